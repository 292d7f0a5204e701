"""The Session-Expires header (RFC 4028): read, never changed."""

from __future__ import annotations

import logging
import re

from dlgmgmt.dialog.attributes import MAX_LIFETIME
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.quiet import Quiet

_QUIET = Quiet(logging.getLogger(__name__))

_SHOWN = 60
"""Characters of a bad value that are logged."""

_VALUE = re.compile(r"([0-9]{1,10})(?:[ \t]*;.*)?", re.ASCII)


def session_of(reply: Message) -> int:
    """The seconds of a reply's session timer; 0 without one, and for a value that makes no sense.

    RFC 4028 5 has sessions last 90 seconds at least. Who agrees on less is believed: the parties
    themselves go by it.
    """
    text = reply.get("session-expires")
    if text is None:
        return 0
    match = _VALUE.fullmatch(text)
    seconds = int(match[1]) if match else 0
    if 0 < seconds <= MAX_LIFETIME:
        return seconds
    _QUIET.info("callid=%r: Session-Expires %r ignored", reply.get("call-id"), text[:_SHOWN])
    return 0
