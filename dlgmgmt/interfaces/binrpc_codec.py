"""BINRPC version 1, the language of kamcmd and Kamailio's ctl module, without I/O.

A packet is a header and records. The header: a byte of magic and version, a byte of flags (type,
sizes of the two numbers that follow), the length of the records, and a cookie that a reply
repeats. A record: a byte of which the low half is its type; the high half is its size, or, with
the highest bit set, the size of the size that follows. A number is big-endian without leading
zeros. A text has a NUL at its end, and its size counts that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

REQUEST, REPLY, FAULT = 0, 1, 3
"""Types of packets."""

MAGIC: Final = 0xA1
"""The first byte: the magic number, and version 1."""

INT, STR, DOUBLE, STRUCT, ARRAY, AVP, BYTES = range(7)
"""Types of records."""

SIZED: Final = 0x80
"""Set in a record's first byte: the size of its size stands there; of a structure, its end."""

_STRUCT_END, _ARRAY_END = STRUCT | SIZED, ARRAY | SIZED

MAX_DEPTH: Final = 16
"""Nesting of structures and arrays in a request."""

MAX_RECORDS: Final = 1024
"""Records of a request, those within structures counted too."""

BAD_REQUEST: Final = 400
CORRUPTED: Final = "bad request: corrupted packet"
_ENDED: Final = "end of packet encountered"


class BadPacket(Exception):
    """Bytes that are no request. text: what the client is told; cookie: 0 if it was not read."""

    def __init__(self, text: str, cookie: int = 0) -> None:
        super().__init__(text)
        self.text = text
        self.cookie = cookie


class Header(NamedTuple):
    """kind: REQUEST, REPLY or FAULT. size: bytes of the header. length: bytes of the records."""

    kind: int
    size: int
    length: int
    cookie: int


class Request(NamedTuple):
    """A method and its arguments: int, str, float, bytes, lists and dicts of these."""

    cookie: int
    method: str
    arguments: list[object]


def read_header(data: bytes | bytearray, start: int = 0) -> Header | None:
    """The header that begins at ``start``, None while it is not complete; raises BadPacket."""
    there = len(data) - start
    if there and data[start] != MAGIC:
        raise BadPacket(CORRUPTED)
    if there < 2:
        return None
    flags = data[start + 1]
    at = start + 2
    cookie_at = at + 1 + ((flags >> 2) & 3)
    end = cookie_at + 1 + (flags & 3)
    if len(data) < end:
        return None
    return Header(
        flags >> 4,
        end - start,
        int.from_bytes(data[at:cookie_at], "big"),
        int.from_bytes(data[cookie_at:end], "big"),
    )


class Framer:
    """Cuts a stream into packets. max_request: bytes of one, its header included."""

    def __init__(self, max_request: int) -> None:
        self._max_request = max_request
        self._data = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of a packet that has not come whole yet."""
        return len(self._data)

    @property
    def cookie(self) -> int:
        """The cookie of the packet that has not come whole yet, 0 if that is not known."""
        header = read_header(self._data)
        return 0 if header is None else header.cookie

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The packets that ``data`` completes; raises BadPacket, and is of no use afterwards."""
        buffer = self._data
        buffer += data
        start = 0
        try:
            while (header := read_header(buffer, start)) is not None:
                end = start + self._check(header)
                if len(buffer) < end:
                    break
                packet = bytes(buffer[start:end])
                start = end
                yield packet
        finally:
            del buffer[:start]

    def _check(self, header: Header) -> int:
        """Bytes of the packet; raises BadPacket before any of a hostile one is waited for."""
        if header.kind != REQUEST:
            raise BadPacket(CORRUPTED, header.cookie)
        size = header.size + header.length
        if size > self._max_request:
            raise BadPacket(
                f"bad request: {size} bytes, at most {self._max_request} are taken", header.cookie
            )
        return size


def decode_request(packet: bytes) -> Request:
    """The request that a whole packet is; raises BadPacket."""
    header = read_header(packet)
    if header is None:
        raise BadPacket(CORRUPTED)
    if header.kind != REQUEST or header.size + header.length != len(packet):
        raise BadPacket(CORRUPTED, header.cookie)
    try:
        method, *arguments = _request_values(packet, header.size)
    except BadPacket as error:
        raise BadPacket(error.text, header.cookie) from None
    return Request(header.cookie, str(method), arguments)


def _request_values(packet: bytes, start: int) -> list[object]:
    if start == len(packet):
        raise BadPacket(f"bad request method: {_ENDED}")
    if packet[start] & 0x0F != STR:
        raise BadPacket("bad request method: record doesn't match type")
    return decode_values(packet, start)


def decode_values(data: bytes, start: int, max_records: int = MAX_RECORDS) -> list[object]:
    """The values that stand from ``start`` to the end; raises BadPacket."""
    reader = _Reader(data, start, max_records)
    values = []
    while reader.at < len(data):
        values.append(reader.value(0))
    return values


class _Reader:
    """Reads records one after another; every length is checked before it is used."""

    __slots__ = ("_data", "_left", "at")

    def __init__(self, data: bytes, at: int, max_records: int) -> None:
        self._data = data
        self._left = max_records
        self.at = at

    def value(self, depth: int) -> object:
        """The record here, with all that is within it."""
        byte = self._next()
        kind = byte & 0x0F
        if kind in (STRUCT, ARRAY):
            if byte >> 4:
                raise BadPacket(CORRUPTED)
            if depth >= MAX_DEPTH:
                raise BadPacket(f"bad request: nested more than {MAX_DEPTH} deep")
            return self._struct(depth + 1) if kind == STRUCT else self._array(depth + 1)
        raw = self._take(byte)
        if kind == STR:
            return _text(raw)
        if kind == INT:
            return _number(raw)
        if kind == DOUBLE:
            return _number(raw) / 1000
        if kind == BYTES:
            return raw
        raise BadPacket(CORRUPTED)

    def _array(self, depth: int) -> list[object]:
        values = []
        while self._peek() != _ARRAY_END:
            values.append(self.value(depth))
        self.at += 1
        return values

    def _struct(self, depth: int) -> dict[str, object] | list[object]:
        """A structure; one whose values have no names is an array."""
        named: dict[str, object] = {}
        plain: list[object] = []
        while (byte := self._peek()) != _STRUCT_END:
            if byte & 0x0F != AVP:
                plain.append(self.value(depth))
                continue
            name = _text(self._take(self._next()))
            if name in named:
                raise BadPacket("bad request: two members of a structure share a name")
            if self._peek() & 0x0F == AVP:
                raise BadPacket(CORRUPTED)
            named[name] = self.value(depth)
        self.at += 1
        if named and plain:
            raise BadPacket("bad request: a structure with and without names")
        return plain or named

    def _peek(self) -> int:
        if self.at >= len(self._data):
            raise BadPacket(f"bad request: {_ENDED}")
        return self._data[self.at]

    def _next(self) -> int:
        byte = self._peek()
        if not self._left:
            raise BadPacket("bad request: too many records")
        self._left -= 1
        self.at += 1
        return byte

    def _take(self, byte: int) -> bytes:
        """The content of a record that begins with ``byte``."""
        size = (byte >> 4) & 7
        data = self._data
        if byte & SIZED:
            sized = self.at + size
            if sized > len(data) or not 0 < size <= 4:
                raise BadPacket(CORRUPTED)
            size = int.from_bytes(data[self.at : sized], "big")
            self.at = sized
        end = self.at + size
        if end > len(data):
            raise BadPacket(f"bad request: {_ENDED}")
        raw = data[self.at : end]
        self.at = end
        return raw


def _text(raw: bytes) -> str:
    if not raw or raw.find(0) != len(raw) - 1:
        raise BadPacket("bad request: a text must have its only NUL at its end")
    # As everywhere: what is no UTF-8 keeps its bytes.
    return raw[:-1].decode("utf-8", "surrogateescape")


def _number(raw: bytes) -> int:
    if len(raw) > 4:
        raise BadPacket("bad request: an integer of more than 32 bits")
    return int.from_bytes(raw, "big", signed=len(raw) == 4)
