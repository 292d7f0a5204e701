"""Where a request came from, and where its replies go (RFC 3261 18.2, RFC 3581)."""

from __future__ import annotations

import re

from dlgmgmt.sip import grammar
from dlgmgmt.sip.flow import Address
from dlgmgmt.sip.grammar import Via
from dlgmgmt.sip.locate import is_numeric
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.uri import DEFAULT_PORT, DEFAULT_PORTS

_RECEIVED = re.compile(r";\s*received\s*(?:=[^;,\"]*)?(?=;|$)", re.IGNORECASE)
_RPORT = re.compile(r";\s*rport(?=\s*(?:;|$))", re.IGNORECASE)


def mark_source(msg: Message, via: Via, source: Address) -> Address:
    """Add received and rport (RFC 3261 18.2.1, RFC 3581 4); returns where replies go."""
    host, port = source
    params = via.params
    low = params.lower()
    rport = "rport" in low and grammar.param(params, "rport") == ""
    spoofed = "received" in low and grammar.param(params, "received") is not None
    if rport or spoofed or via.host.strip("[]") != host:
        # What may end in a semicolon must not go on with a second one.
        text = msg.top_via_text().rstrip("; ")
        if spoofed:
            # Only who receives it may say so.
            text = _RECEIVED.sub("", text)
        if rport:
            text = _RPORT.sub(f";rport={port}", text, count=1)
        msg.set_top_via(f"{text};received={host}")
    if "maddr" in low:
        maddr = (grammar.param(params, "maddr") or "").strip("[]")
        if is_numeric(maddr) and (":" in maddr) == (":" in host):
            # 18.2.2. A name is not looked up for a reply: it goes where the request came from.
            return maddr, via.port or default_port(via)
    return (host, port) if rport else (host, via.port or default_port(via))


def default_port(via: Via) -> int:
    """The port of a Via that names none."""
    return DEFAULT_PORTS.get(via.transport.lower(), DEFAULT_PORT)
