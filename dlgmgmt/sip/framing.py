"""Cutting a byte stream into SIP messages (RFC 3261 18.3, RFC 5626 3.5.1). Without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

_LENGTH = re.compile(
    rb"\n(?:content-length|l)[ \t]*+:(?:[ \t]|\r?\n[ \t])*+([^\r\n]*+)", re.IGNORECASE
)
_START = re.compile(
    rb"SIP/[0-9.]++ [0-9]++(?: .*+)?|[A-Za-z0-9\-.!%*_+`'~]++ .*SIP/[0-9.]++[ \t]*+",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_TOKEN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~")

MAX_HEADER = 65_536


class Signal(Enum):
    """Keep-alives between messages."""

    PING = "ping"
    PONG = "pong"


class FramingError(Exception):
    """The stream cannot be cut any further.

    message: what was read of the message that is wrong, if it began as one; it can be answered.
    """

    def __init__(self, reason: str, message: bytes | None = None) -> None:
        super().__init__(reason)
        self.message = message


class Framer:
    """One direction of a connection. max_message, max_header: bytes.

    Every byte is looked at a bounded number of times, in whatever pieces it comes.
    """

    def __init__(self, max_message: int, max_header: int = MAX_HEADER) -> None:
        self._max_message = max_message
        self._max_header = min(max_header, max_message)
        self._buffer = bytearray()
        # Where the current message has been searched to; whether its start line is one; its
        # length, 0 until the header section is there.
        self._searched = 0
        self._started = False
        self._length = 0
        # A single CRLF has come, and nothing after it.
        self._half = False

    @property
    def pending(self) -> int:
        """Bytes of a message that is not whole yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes | Signal]:
        """Whole messages, and keep-alives, in the order in which they came.

        Two CRLF between messages are a ping. The first of them is given as a pong when it is
        there, for it may be all that comes; so it does not matter how they are cut. Raises
        FramingError after what came before the fault; the stream is of no use then.
        """
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while at < len(buffer):
                if not self._started:
                    skipped = self._blank(at)
                    if skipped:
                        at += skipped
                        if buffer[at - 1] == 10 and skipped == 2:
                            yield Signal.PING if self._half else Signal.PONG
                            self._half = not self._half
                        continue
                    if not self._start(at):
                        return
                if not self._length and not self._head(at):
                    return
                if len(buffer) - at < self._length:
                    return
                message = bytes(buffer[at : at + self._length])
                at += self._length
                self._searched = self._length = 0
                self._started = self._half = False
                yield message
        finally:
            del buffer[:at]

    def _blank(self, at: int) -> int:
        """How many bytes of a line end stand at ``at``, before a message."""
        if self._searched:
            return 0
        if self._buffer[at] == 10:
            return 1
        return 2 if self._buffer[at : at + 2] == b"\r\n" else 0

    def _start(self, at: int) -> bool:
        """Whether the start line is there; FramingError for what can never be one."""
        buffer = self._buffer
        first = buffer[at]
        if first == 13:
            if len(buffer) - at == 1:
                return False
            raise FramingError("not SIP")
        if first not in _TOKEN:
            raise FramingError("not SIP")
        end = buffer.find(b"\n", at + self._searched)
        if end < 0:
            self._searched = len(buffer) - at
            if self._searched > self._max_header:
                raise FramingError("start line too long")
            return False
        if end - at > self._max_header:
            raise FramingError("start line too long")
        line = bytes(buffer[at:end])
        if _START.fullmatch(line.removesuffix(b"\r")) is None:
            raise FramingError("not SIP")
        self._searched = end - at
        self._started = True
        return True

    def _head(self, at: int) -> bool:
        """Whether the header section is there; finds the message's length."""
        buffer = self._buffer
        begin = at + max(self._searched - 2, 0)
        ends = [
            found + len(mark)
            for mark in (b"\n\r\n", b"\n\n")
            if (found := buffer.find(mark, begin)) >= 0
        ]
        head = min(ends) - at if ends else len(buffer) - at
        if head > self._max_header:
            raise FramingError("Header section too long", bytes(buffer[at : at + self._max_header]))
        if not ends:
            self._searched = head
            return False
        text = bytes(buffer[at : at + head])
        values = {value.strip(b" \t") for value in _LENGTH.findall(text)}
        if not values:
            raise FramingError("Missing Content-Length", text)
        if len(values) > 1:
            raise FramingError("Conflicting Content-Length", text)
        value = values.pop()
        if not value.isdigit() or len(value) > 9:
            raise FramingError("Bad Content-Length", text)
        if head + int(value) > self._max_message:
            raise FramingError("Message too large", text)
        self._length = head + int(value)
        return True
