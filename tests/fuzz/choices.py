"""What the operations of a driver choose from, by number."""

from __future__ import annotations

USERS = ("1", "1", "2", "3", "6", "named", "nowhere")
URIS = ("", "", "", "sip:x@10.0.1.1;transport=tcp", "sip:x@gone.example", "tel:1", "sip:10.0.0.1")
METHODS = ("INVITE", "OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "odd")
INITIAL = (
    (),
    (),
    ("Supported: 100rel, timer", "Session-Expires: 90"),
    ("Route: <sip:10.0.0.1:5060;lr>, <sip:10.0.1.2;lr>",),
    ("Route: <sip:10.0.1.2>",),
    ("Max-Forwards: 0",),
    ("Max-Forwards: 1",),
    ("Proxy-Require: foo",),
    ("Record-Route: <sip:10.0.8.8;lr>",),
    ("Record-Route: <sip:10.0.8.8>",),
)
STATUSES = (100, 180, 183, 199, 200, 200, 202, 302, 404, 408, 481, 486, 487, 491, 503, 600, 603)
REPLIED = (
    (),
    (),
    ("Require: 100rel", "RSeq: 1"),
    ("Session-Expires: 90;refresher=uas",),
    ("Retry-After: 3",),
    ("RSeq: x", "Session-Expires: x"),
)
CONTACTS = (
    None,
    None,
    None,
    "",
    "sip:x@10.0.7.7:5070",
    "sip:x@[2001:db8::5]",
    "sip:x@gone.example",
)
WITHIN = (
    "ACK", "BYE", "BYE", "INVITE", "UPDATE", "PRACK", "INFO", "REFER", "NOTIFY", "MESSAGE",
    "OPTIONS", "SUBSCRIBE", "CANCEL", "odd",
)  # fmt: skip
EXTRA = ((), ("RAck: 1 1 INVITE",), ("Event: refer;id=101",), ("Session-Expires: 90",))
TIMES = (0.05, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 32.0, 33.0, 61.0, 125.0)
