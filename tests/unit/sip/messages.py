"""Messages out of lines."""

from __future__ import annotations

from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.validate import check_request

START = "INVITE sip:bob@b.example SIP/2.0"
HEAD = (
    "Via: SIP/2.0/UDP 10.0.9.1;branch=z9hG4bK1",
    "From: <sip:a@a.example>;tag=a",
    "To: <sip:b@b.example>",
    "Call-ID: c1",
    "CSeq: 1 INVITE",
)


def message(*lines: str, start: str = START, body: str = "", ends: str = "\r\n") -> Message:
    text = ends.join([start, *lines, "", ""]) + body
    return Message(text.encode("utf-8", "surrogateescape"))


def defect(msg: Message) -> tuple[int, str] | None:
    try:
        check_request(msg)
    except BadMessage as error:
        return error.status, error.reason
    return None
