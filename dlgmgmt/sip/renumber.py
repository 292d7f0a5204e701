"""Messages of a leg in which the daemon has sent requests of its own: their numbers are moved.

Every place where a request names a CSeq number of its dialog: CSeq itself, RAck (RFC 3262 7.2)
and the id of ``Event: refer`` (RFC 3515 2.4.6).
"""

from __future__ import annotations

import re

from dlgmgmt.dialog.cseq import MAX_CSEQ, Shifts
from dlgmgmt.dialog.model import Direction
from dlgmgmt.dialog.tracker import Match
from dlgmgmt.sip.message import Message

_RACK = re.compile(r"([0-9]{1,10})([ \t]+)([0-9]{1,10})([ \t]+\S+)", re.ASCII)
_REFER_ID = re.compile(
    r"(refer[ \t]*;(?:.*;)?[ \t]*id[ \t]*=[ \t]*)([0-9]{1,10})(?![0-9])(.*)",
    re.ASCII | re.IGNORECASE,
)


def as_sent(msg: Message, match: Match | None) -> Message:
    """The request as the other side of its leg is to see it: ``msg`` itself if nothing moved."""
    if match is None or match.leg is None or match.leg.shifts is None:
        return msg
    return _moved(msg, match.leg.shifts, match.direction)


def _moved(msg: Message, shifts: Shifts, direction: Direction) -> Message:
    down = direction is Direction.DOWNSTREAM
    sender, receiver = (shifts.caller, shifts.callee) if down else (shifts.callee, shifts.caller)
    number, method = msg.cseq
    changes: dict[str, str] = {}
    moved = sender.sent(number)
    # Beyond the last number there is none: the receiver may refuse what it has seen before.
    if number != moved <= MAX_CSEQ:
        changes["cseq"] = f"CSeq: {moved} {method}"
    if method == "PRACK":
        rack = _RACK.fullmatch(msg.get("rack") or "")
        if rack is not None:
            of = sender.sent(int(rack[3]))
            changes["rack"] = f"RAck: {rack[1]}{rack[2]}{of}{rack[4]}"
    elif method in ("NOTIFY", "SUBSCRIBE"):
        event = _REFER_ID.fullmatch(msg.get("event") or "")
        if event is not None:
            refer = int(event[2])
            # A NOTIFY names the number of a request that went the other way.
            known = receiver.own(refer) if method == "NOTIFY" else sender.sent(refer)
            if known is not None:
                changes["event"] = f"Event: {event[1]}{known}{event[3]}"
    return _replaced(msg, changes) if changes else msg


def returned(reply: Message, number: int) -> Message:
    """A reply with the number that the request had when it came."""
    return _replaced(reply, {"cseq": f"CSeq: {number} {reply.cseq[1]}"})


def _replaced(msg: Message, changes: dict[str, str]) -> Message:
    """A copy in which the first lines of these headers are others."""
    lines = msg.header_lines.copy()
    for name, line in changes.items():
        lines[msg.names.index(name)] = line
    start = (
        f"SIP/2.0 {msg.status} {msg.reason}" if msg.status else f"{msg.method} {msg.uri} SIP/2.0"
    )
    copy = Message(msg.encode("\r\n".join([start, *lines, ""])))
    copy.source = msg.source
    return copy
