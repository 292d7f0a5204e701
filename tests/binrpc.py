"""A client of BINRPC for the tests: its bytes are made here, apart from the codec's own."""

from __future__ import annotations

from dlgmgmt.interfaces.binrpc_codec import decode_values, read_header

_KINDS = {"int": 0, "str": 1, "double": 2, "struct": 3, "array": 4, "avp": 5, "bytes": 6}


def _digits(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def record(kind: str, content: bytes) -> bytes:
    """A record with a content."""
    size = len(content)
    if size < 8:
        return bytes([size * 16 + _KINDS[kind]]) + content
    return bytes([128 + len(_digits(size)) * 16 + _KINDS[kind]]) + _digits(size) + content


def argument(value: object) -> bytes:
    """A value of a request."""
    if isinstance(value, str):
        return record("str", value.encode("utf-8", "surrogateescape") + b"\0")
    if isinstance(value, int):
        return record("int", _digits(value) if value >= 0 else _digits(value + 2**32))
    if isinstance(value, float):
        whole = argument(round(value * 1000))
        return bytes([whole[0] + _KINDS["double"]]) + whole[1:]
    if isinstance(value, dict):
        members = (
            record("avp", name.encode() + b"\0") + argument(member)
            for name, member in value.items()
        )
        return b"\x03" + b"".join(members) + b"\x83"
    assert isinstance(value, list)
    return b"\x04" + b"".join(map(argument, value)) + b"\x84"


def request(body: bytes, *, cookie: int = 1, kind: int = 0) -> bytes:
    """A packet around records."""
    length, mark = _digits(len(body)) or b"\0", _digits(cookie) or b"\0"
    flags = kind * 16 + (len(length) - 1) * 4 + len(mark) - 1
    return bytes([0xA1, flags]) + length + mark + body


def call(method: str, *arguments: object, cookie: int = 1) -> bytes:
    """A request."""
    return request(b"".join(map(argument, (method, *arguments))), cookie=cookie)


def values_of(packet: bytes) -> tuple[int, int, list[object]]:
    """Type, cookie and values of a whole packet."""
    header = read_header(packet)
    assert header is not None
    assert header.size + header.length == len(packet)
    return header.kind, header.cookie, decode_values(packet, header.size, 1_000_000)
