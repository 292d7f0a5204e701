"""Cutting a byte stream into JSON-RPC messages, JSON and msgpack, one after the other. Without I/O.

A message delimits itself: a JSON object or array ends with its last bracket, a msgpack map or array
with its last item. What a message begins with says which of the two it is. What is inside is left
to the decoders, except where a stream would otherwise be lost: see JsonFraming.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

MAX_NESTING = 512
"""Arrays and objects within each other, whatever they hold; JSON-RPC's own limit is lower."""

_BLANK = re.compile(rb"[ \t\r\n]*+")
_OUTSIDE = re.compile(rb'["{}\[\]]')
_INSIDE = re.compile(rb'["\\\x00-\x1f]')
_PAIRS = {0x7D: 0x7B, 0x5D: 0x5B}
_QUOTE, _BACKSLASH, _COMMA = b'"\\,'
_OPENERS = frozenset(b"{[")
_BLANKS = frozenset(b" \t\r\n")


class Encoding(Enum):
    """How a message is written, and its answer too."""

    JSON = "JSON"
    MSGPACK = "msgpack"


class Frame(NamedTuple):
    """A whole message, not decoded."""

    encoding: Encoding
    data: bytes


class FramingError(Exception):
    """What came is no message. at: where in :attr:`RpcFramer.pending` the fault was found."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


def encoding_of(data: bytes | bytearray) -> Encoding:
    """By the first byte: that of a msgpack map or array begins no JSON text."""
    first = data[0] if data else 0
    packed = 0x80 <= first <= 0x9F or 0xDC <= first <= 0xDF
    return Encoding.MSGPACK if packed else Encoding.JSON


class RpcFramer:
    """One direction of a stream. max_message: bytes.

    Every byte is looked at a bounded number of times, in whatever pieces it comes, and what is
    kept is never more than one message and the piece that came last.
    """

    def __init__(self, max_message: int) -> None:
        self._max = max_message
        self._buffer = bytearray()
        # How far the message at the start of the buffer has been read, and what is open there.
        self._scan: _JsonScan | _PackedScan | None = None

    @property
    def pending(self) -> bytes:
        """What has come of a message that is not whole."""
        return bytes(self._buffer)

    @property
    def waiting(self) -> int:
        """How many bytes ``pending`` has."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Whole messages, in the order in which they came.

        To be iterated to its end before the next piece is fed. Raises FramingError after what came
        before the fault; only :meth:`skip` leads on from there.
        """
        self._buffer += data
        while True:
            scan = self._scan or self._begin()
            if scan is None:
                return
            self._scan = scan
            size = self._end(scan)
            if not size:
                return
            frame = Frame(scan.encoding, bytes(self._buffer[:size]))
            self._drop(size)
            yield frame

    def _end(self, scan: _JsonScan | _PackedScan) -> int:
        """Where the message at the start of the buffer ends, 0 if that has not come."""
        try:
            size = scan.end(self._buffer)
        except FramingError as error:
            # What is beyond the limit does not count, in whatever pieces it comes.
            if error.at < self._max:
                raise
            size = self._max + 1
        if (size or len(self._buffer)) > self._max:
            raise FramingError(f"a message of more than {self._max} bytes", self._max)
        return size

    def skip(self, at: int, begin: re.Pattern[bytes]) -> bytes:
        """Drop what is there up to the first ``begin`` from ``at`` on, or all; what was dropped."""
        found = _find(begin, self._buffer, at)
        dropped = bytes(self._buffer if found < 0 else self._buffer[:found])
        self._drop(len(dropped))
        return dropped

    def _begin(self) -> _JsonScan | _PackedScan | None:
        del self._buffer[: _blanks(self._buffer)]
        if not self._buffer:
            return None
        if encoding_of(self._buffer) is Encoding.MSGPACK:
            return _PackedScan(self._max)
        if self._buffer[0] not in _OPENERS:
            raise FramingError("a message is an object or an array", 0)
        return _JsonScan()

    def _drop(self, size: int) -> None:
        del self._buffer[:size]
        self._scan = None


def _blanks(buffer: bytearray) -> int:
    """How many blanks ``buffer`` begins with; the match, which holds it, ends here."""
    match = _BLANK.match(buffer)
    return match.end() if match else 0


def _find(pattern: re.Pattern[bytes], buffer: bytearray, at: int) -> int:
    match = pattern.search(buffer, at)
    return -1 if match is None else match.start()


class _JsonScan:
    """Finds the end of a JSON object or array: its brackets, outside of strings.

    Three faults are found here: brackets that do not match, a line break within a string, and an
    object where none can stand. Each of them shows that a message was left unfinished and another
    one has begun, which would be swallowed.
    """

    encoding = Encoding.JSON

    def __init__(self) -> None:
        self._at = 0
        self._open = bytearray()
        self._in_string = False

    def end(self, buffer: bytearray) -> int:
        """Where the value ends, 0 if that has not come; raises FramingError."""
        while True:
            if self._in_string:
                if not self._string(buffer):
                    return 0
                continue
            at = _find(_OUTSIDE, buffer, self._at)
            if at < 0:
                self._at = len(buffer)
                return 0
            byte = buffer[at]
            if byte == _QUOTE:
                self._in_string = True
            elif byte in _OPENERS:
                self._opened(buffer, at)
            elif self._open.pop() != _PAIRS[byte]:
                raise FramingError("brackets that do not match", at)
            self._at = at + 1
            if not self._open:
                return self._at

    def _string(self, buffer: bytearray) -> bool:
        """Go to the end of a string; whether it is there."""
        at = _find(_INSIDE, buffer, self._at)
        while at >= 0:
            if buffer[at] == _QUOTE:
                self._at = at + 1
                self._in_string = False
                return True
            if buffer[at] == _BACKSLASH:
                if at + 1 == len(buffer):
                    self._at = at
                    return False
                at += 1
            if buffer[at] < 0x20:
                raise FramingError("a line break or another control character in a string", at)
            at = _find(_INSIDE, buffer, at + 1)
        self._at = len(buffer)
        return False

    def _opened(self, buffer: bytearray, at: int) -> None:
        if self._open:
            before = at - 1
            while buffer[before] in _BLANKS:
                before -= 1
            last = buffer[before]
            in_array = self._open[-1] == 0x5B
            if not (last in b":[" or (last == _COMMA and in_array)):
                raise FramingError("a message that is not finished before the next", at)
        if len(self._open) == MAX_NESTING:
            raise FramingError(f"nested more than {MAX_NESTING} deep", at)
        self._open.append(buffer[at])


class _Size(NamedTuple):
    """How long an item of msgpack is: its first byte and what follows it.

    digits: bytes of a number, of bytes or of items, after the first byte. extra: bytes besides.
    items: that the number counts items, so many for each.
    """

    digits: int = 0
    extra: int = 0
    items: int = 0


def _sizes() -> list[_Size | None]:
    """By the first byte from 0xc0 to 0xdf; None for one that is not used."""
    fixed = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4}
    fixed |= {0xD3: 8, 0xD4: 2, 0xD5: 3, 0xD6: 5, 0xD7: 9, 0xD8: 17, 0xC0: 0, 0xC2: 0, 0xC3: 0}
    table: list[_Size | None] = [None] * 32
    for first, extra in fixed.items():
        table[first - 0xC0] = _Size(extra=extra)
    for power in range(3):
        digits = 1 << power
        table[0xC4 - 0xC0 + power] = table[0xD9 - 0xC0 + power] = _Size(digits)
        table[0xC7 - 0xC0 + power] = _Size(digits, 1)
    for power in range(2):
        table[0xDC - 0xC0 + power] = _Size(2 << power, items=1)
        table[0xDE - 0xC0 + power] = _Size(2 << power, items=2)
    return table


_SIZES = _sizes()


class _PackedScan:
    """Finds the end of a msgpack value, without making its objects."""

    encoding = Encoding.MSGPACK

    def __init__(self, most: int) -> None:
        self._most = most
        self._at = 0
        # Items that are still to come, for each map and array that is open.
        self._open: list[int] = []

    def end(self, buffer: bytearray) -> int:
        """Where the value ends, 0 if that has not come; raises FramingError."""
        while self._at < len(buffer):
            first = buffer[self._at]
            size, items = 1, 0
            if first < 0x80 or first >= 0xE0:
                pass
            elif first < 0xA0:
                items = (first & 15) * (2 if first < 0x90 else 1)
            elif first < 0xC0:
                size += first & 31
            else:
                kind = _SIZES[first - 0xC0]
                if kind is None:
                    raise FramingError("a byte that msgpack does not use", self._at)
                start = self._at + 1
                if start + kind.digits > len(buffer):
                    return 0
                number = int.from_bytes(buffer[start : start + kind.digits], "big")
                items = number * kind.items
                size += kind.digits + kind.extra + (0 if kind.items else number)
            # Each item has a byte at least.
            if self._at + size + items > self._most:
                raise FramingError(f"a message of more than {self._most} bytes", self._at)
            if self._at + size > len(buffer):
                return 0
            self._at += size
            if items:
                if len(self._open) == MAX_NESTING:
                    raise FramingError(f"nested more than {MAX_NESTING} deep", self._at)
                self._open.append(items)
            elif not self._closed():
                return self._at
        return 0

    def _closed(self) -> bool:
        """Count an item; whether anything is still open."""
        while self._open:
            self._open[-1] -= 1
            if self._open[-1]:
                return True
            self._open.pop()
        return False
