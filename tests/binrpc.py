"""A client of BINRPC for the tests: its bytes are made here, apart from the codec's own."""

from __future__ import annotations

from typing import Any

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
            record("avp", name.encode("utf-8", "surrogateescape") + b"\0") + argument(member)
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
    """Type, cookie and values of a whole packet; AssertionError for what is none."""
    assert packet[0] == 0xA1
    flags = packet[1]
    cookie_at = 3 + (flags >> 2 & 3)
    start = cookie_at + 1 + (flags & 3)
    assert int.from_bytes(packet[2:cookie_at], "big") == len(packet) - start
    values = []
    at = start
    while at < len(packet):
        value, at = _value(packet, at)
        values.append(value)
    return flags >> 4, int.from_bytes(packet[cookie_at:start], "big"), values


def _value(data: bytes, at: int) -> tuple[Any, int]:
    """The value that begins there, and where the next one does."""
    head = data[at]
    kind = head & 15
    if head == _KINDS["struct"]:
        return _struct(data, at + 1)
    assert kind in (0, 1, 2), head
    content, at = _content(data, at)
    if kind == _KINDS["str"]:
        assert content.index(0) == len(content) - 1
        return content[:-1].decode("utf-8", "surrogateescape"), at
    assert len(content) <= 4
    assert not content.startswith(b"\0")
    number = int.from_bytes(content, "big", signed=len(content) == 4)
    return (number / 1000 if kind == _KINDS["double"] else number), at


def _content(data: bytes, at: int) -> tuple[bytes, int]:
    size = data[at] >> 4
    at += 1
    if size >= 8:
        size, at = int.from_bytes(data[at : at + size - 8], "big"), at + size - 8
    assert at + size <= len(data)
    return data[at : at + size], at + size


def _struct(data: bytes, at: int) -> tuple[Any, int]:
    """A structure: a dict, a list where there are no names, pairs where names are repeated."""
    names: list[str | None] = []
    values = []
    while data[at] != 0x83:
        name = None
        if data[at] & 15 == _KINDS["avp"]:
            content, at = _content(data, at)
            name = content.removesuffix(b"\0").decode("utf-8", "surrogateescape")
        value, at = _value(data, at)
        names.append(name)
        values.append(value)
    at += 1
    if None in names:
        assert {*names} == {None}
        return values, at
    if len({*names}) < len(names):
        return [{name: value} for name, value in zip(names, values, strict=True)], at
    return dict(zip(names, values, strict=True)), at
