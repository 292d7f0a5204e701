"""Cutting a byte stream into SIP messages (RFC 3261 18.3, RFC 5626 3.5.1). Without I/O."""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum

_TOKEN = rb"[A-Za-z0-9\-.!%*_+`'~]"
_LENGTH = re.compile(
    # The value with its further lines, so that what is read here is what the parser reads.
    rb"\n(?:content-length|l)[ \t]*+:((?:[^\n]|\n[ \t])*+)",
    re.IGNORECASE,
)
_FOLD = re.compile(rb"\r?\n[ \t]")
_START = re.compile(
    rb"SIP/[0-9.]++ [0-9]++(?: .*+)?|" + _TOKEN + rb"++ .*SIP/[0-9.]++[ \t]*+",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
# What a start line begins with, as far as it is there.
_BEGIN = re.compile(_TOKEN + rb"++(?: .*+|/.*+)?", re.ASCII | re.DOTALL)
_BEGIN_BYTES = 64
_END = re.compile(rb"\n\r?\n")

MAX_HEADER = 65_536


class Signal(Enum):
    """Keep-alives between messages."""

    PING = "ping"
    PONG = "pong"


class FramingError(Exception):
    """The stream cannot be cut any further.

    message: what was read of the message that is wrong, if it began as one; it can be answered
    with ``status``.
    """

    def __init__(self, reason: str, message: bytes | None = None, status: int = 400) -> None:
        super().__init__(reason)
        self.message = message
        self.status = status


class Framer:
    """One direction of a connection. max_message, max_header: bytes.

    Every byte is looked at a bounded number of times, in whatever pieces it comes, and what is
    kept is never more than one message and the piece that came last.
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

        To be iterated to its end before the next piece is fed. Two CRLF between messages are a
        ping. The first of them is given as a pong when it is there, for it may be all that comes;
        so it does not matter how they are cut, and a pong that was not waited for means nothing.
        Raises FramingError after what came before the fault; the stream is of no use then.
        """
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while at < len(buffer):
                if not self._started:
                    skipped = self._blank(at)
                    at += skipped
                    if skipped == 2:
                        yield Signal.PING if self._half else Signal.PONG
                        self._half = not self._half
                    if skipped:
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
        if buffer[at] == 13 and len(buffer) - at == 1:
            return False
        end = buffer.find(b"\n", at + self._searched)
        size = (len(buffer) if end < 0 else end) - at
        if self._searched < _BEGIN_BYTES:
            # What speaks another protocol may wait for an answer and never end its line.
            begin = bytes(buffer[at : at + min(size, _BEGIN_BYTES)])
            if _BEGIN.fullmatch(begin) is None:
                raise FramingError("not SIP")
        if size > self._max_header:
            raise FramingError("start line too long")
        self._searched = size
        if end < 0:
            return False
        if _START.fullmatch(bytes(buffer[at:end]).removesuffix(b"\r")) is None:
            raise FramingError("not SIP")
        self._started = True
        return True

    def _head(self, at: int) -> bool:
        """Whether the header section is there; finds the message's length."""
        buffer = self._buffer
        end = _after_head(buffer, at + max(self._searched - 2, 0))
        head = (len(buffer) if end < 0 else end) - at
        if head > self._max_header:
            raise FramingError("Header section too long", bytes(buffer[at : at + self._max_header]))
        if end < 0:
            self._searched = head
            return False
        text = bytes(buffer[at:end])
        values = {_FOLD.sub(b" ", value).strip(b" \t\r") for value in _LENGTH.findall(text)}
        if not values:
            raise FramingError("Missing Content-Length", text)
        if len(values) > 1:
            raise FramingError("Conflicting Content-Length", text)
        value = values.pop()
        if not value.isdigit():
            raise FramingError("Bad Content-Length", text)
        # More digits than a number of this size has are not read at all: leading zeros neither.
        if len(value) > 9 or head + int(value) > self._max_message:
            raise FramingError("Message too large", text, 513)
        self._length = head + int(value)
        return True


def _after_head(buffer: bytearray, begin: int) -> int:
    """Where the first empty line ends, -1 without one.

    A pattern finds either form of it in one pass; a search for each would pass over all that
    follows. Its match must not live longer than this, for it keeps the buffer from shrinking.
    """
    found = _END.search(buffer, begin)
    return -1 if found is None else found.end()
