"""Phones behind a NAT: where their messages come from goes into their Contact.

The mark is a URI parameter, ``alias=host~port~number``, as Kamailio's nathelper writes it: both
understand it from the other. It is the daemon's own: it comes back in the Request-URI of requests
for the phone, and is taken off before they are sent there.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from dlgmgmt.dialog.model import Direction
from dlgmgmt.dialog.tracker import Match
from dlgmgmt.sip.bound import host_text
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.locate import is_numeric
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.uri import parse_uri

Fix = Callable[[Message, str], Message]
"""Marks the Contact of a reply that came over this kind of transport."""

NAT_PARAM = "nat"
"""Of the own Record-Route value: the Contacts of this dialog are marked. Most dialogs, those of
subscriptions, are kept nowhere else."""

_NUMBERS = {"udp": 1, "tcp": 2, "tls": 3, "ws": 5, "wss": 6}
_KINDS = {str(number): kind for kind, number in _NUMBERS.items()}

_ALIAS = re.compile(
    r";alias=([0-9A-Fa-f.:\[\]]{2,47})~([0-9]{1,5})~([0-9]{1,2})(?=;|$)", re.ASCII | re.IGNORECASE
)
_DISPLAY = re.compile(r'[^<"]*+"(?:[^"\\]|\\.)*+"', re.ASCII)

_MARKED = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})
"""Requests whose Contact is a remote target. Not REGISTER: what is registered must come back as it
was, for the phone to know it (RFC 3261 10.3)."""


def take_alias(uri: str) -> tuple[str, str] | None:
    """The URI without its alias, and the URI of the place that the alias names; None without."""
    if "alias=" not in uri.lower():
        return None
    try:
        parsed = parse_uri(uri)
    except BadMessage:
        return None
    found = _ALIAS.search(parsed.params)
    if found is None:
        return None
    host, port, kind = found[1].strip("[]"), int(found[2]), _KINDS.get(found[3])
    if kind is None or not is_numeric(host) or not 0 < port < 65536:
        return None
    start = len(uri) - len(parsed.headers) - len(parsed.params)
    plain = uri[: start + found.start()] + uri[start + found.end() :]
    return plain, f"sip:{host_text(host)}:{port};transport={kind}"


def marked(msg: Message, kind: str) -> Message:
    """The message with an alias in its Contact; ``msg`` itself where that is not needed.

    It is where the Contact does not name the address and the transport that ``msg`` came from.
    """
    host, port = msg.source
    number = _NUMBERS.get(kind)
    try:
        uri = msg.contact_uri
        parsed = parse_uri(uri) if uri and host else None
    except BadMessage:
        return msg
    if parsed is None or number is None or parsed.param("alias") is not None:
        return msg
    if (parsed.host, parsed.port or parsed.default_port, parsed.transport) == (host, port, kind):
        return msg
    at = len(uri) - len(parsed.headers)
    new = f"{uri[:at]};alias={host_text(host)}~{port}~{number}{uri[at:]}"
    index = msg.names.index("contact")
    line = msg.header_lines[index]
    display = _DISPLAY.match(line)
    start = line.find(uri, display.end() if display else line.find(":") + 1)
    if start < 0:
        return msg
    head = line[:start]
    if not head.rstrip().endswith("<"):
        # Without brackets its parameters would be the header's.
        new = f"<{new}>"
    copy = msg.edited(Edits())
    lines = copy.header_lines.copy()
    lines[index] = head + new + line[start + len(uri) :]
    copy.set_lines(copy.names, lines)
    return copy


def marked_request(msg: Message, kind: str) -> Message:
    """A request, marked if it comes from its sender itself and its Contact is a remote target."""
    if msg.method not in _MARKED or "contact" not in msg.names or "record-route" in msg.names:
        return msg
    try:
        alone = len(msg.all("via")) == 1
    except BadMessage:
        alone = False
    return marked(msg, kind) if alone else msg


def marked_reply(is_own: Callable[[str], bool], msg: Message, kind: str) -> Message:
    """A reply, marked if no other proxy stands between its sender and this one.

    is_own: whether a Record-Route value is the daemon's own.
    """
    if not 101 <= msg.status < 300 or "contact" not in msg.names:
        return msg
    try:
        method = msg.cseq[1]
        routes = msg.all("record-route")
        if method not in _MARKED or (routes and not is_own(routes[0])):
            return msg
    except BadMessage:
        return msg
    return marked(msg, kind)


def fixed_within(match: Match | None, msg: Message, kind: str, *, nat: bool) -> Message:
    """A request within a dialog, marked if the Contacts of the dialog are.

    nat: what its own Route value says, for a dialog that is not kept.
    """
    marks = nat if match is None else _direct(match, match.direction)
    return marked_request(msg, kind) if marks else msg


def fix_of(match: Match | None, is_own: Callable[[str], bool], *, nat: bool) -> Fix | None:
    """What marks the replies to a request within a dialog, None if nothing does.

    nat: for a dialog that is not kept, that they are marked and come from a party itself.
    """
    if match is not None:
        down = match.direction is Direction.DOWNSTREAM
        nat = _direct(match, Direction.UPSTREAM if down else Direction.DOWNSTREAM)
    return functools.partial(marked_reply, is_own) if nat else None


def _direct(match: Match, sender: Direction) -> bool:
    """Whether what is sent in this direction is marked, and comes from a party itself."""
    dialog, leg = match.dialog, match.leg
    if not dialog.fix_contact or leg is None:
        return False
    down = sender is Direction.DOWNSTREAM
    return not (dialog.caller_route_set if down else leg.callee_route_set)
