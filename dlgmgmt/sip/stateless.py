"""Answers without a transaction, and the ACKs that come for them (RFC 3261 8.2.7)."""

from __future__ import annotations

import re
import zlib

from dlgmgmt.sip import build
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Flow
from dlgmgmt.sip.message import Message

_BARE_RETURN = re.compile(rb"\r(?!\n)")


class Stateless:
    """Nothing is kept of a request that is answered here.

    mark: begins the To-tag of such an answer, so that its ACK is known; not predictable.
    """

    def __init__(self, mark: str) -> None:
        self._mark = f"{mark}."

    def answer(
        self,
        msg: Message,
        flow: Flow,
        status: int,
        *,
        server: str,
        reason: str = "",
        extra: str = "",
    ) -> None:
        """Answer a request; extra: header lines with CRLF."""
        try:
            tag = "" if msg.to_tag else self._tag(msg)
        except BadMessage:
            # A To that cannot be read is answered as it is.
            tag = ""
        data = build.reply(msg, status, server=server, to_tag=tag, reason=reason, extra=extra)
        if msg.defect is not None:
            # What is repeated of a malformed request must not make the answer one.
            data = _BARE_RETURN.sub(b" ", data)
        flow.send(data)

    def _tag(self, msg: Message) -> str:
        """The same for every copy of a request, as 8.2.7 asks."""
        text = msg.lines("via") + msg.line("call-id")
        return f"{self._mark}{zlib.crc32(text.encode('utf-8', 'surrogateescape')):x}"

    def is_mine(self, msg: Message) -> bool:
        """Whether an ACK is for such an answer."""
        return msg.to_tag.startswith(self._mark)
