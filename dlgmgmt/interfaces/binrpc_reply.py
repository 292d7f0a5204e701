"""Replies in BINRPC version 1; see binrpc_codec.py.

What JSON has and BINRPC has not is written as the real server writes it: an array as a structure
whose values have no names, at the top of a reply as one value after another; objects in it that
hold one named object each as that, by its name; true and false as 1 and 0; null as a text. An
integer beyond 32 bits, which kamcmd would show cut, is written as text in digits, and a fraction in
thousandths, or as text where they do not fit, or where it is negative, which kamcmd shows wrong.
"""

from __future__ import annotations

import functools
import math
import re
from typing import Any, Final

import msgspec

from dlgmgmt.interfaces.binrpc_codec import (
    AVP,
    DOUBLE,
    FAULT,
    INT,
    MAGIC,
    REPLY,
    SIZED,
    STR,
    STRUCT,
)

_STRUCT_END: Final = STRUCT | SIZED
_NULL: Final = "<null string>"
_MIN_INT, _MAX_INT = -(2**31), 2**31 - 1
_SURROGATE = re.compile("[\ud800-\udfff]")


class TooLarge(Exception):
    """A reply is larger than its receiver takes."""


class ReplyWriter:
    """Gathers the values of one reply. limit: bytes of the whole packet."""

    def __init__(self, cookie: int, limit: int) -> None:
        self._cookie = cookie
        self._room = limit - len(_header(REPLY, limit, cookie))
        self._records = bytearray()
        self._open = 0

    def add(self, value: object) -> None:
        """Add one value: what JSON holds, or a record of rpc_items. Raises TooLarge."""
        if self._open:
            _write_members(self._records, [value])
        else:
            _write(self._records, value)
        if len(self._records) + self._open > self._room:
            raise TooLarge

    def open_array(self, members: dict[str, object], name: str) -> None:
        """Begin an object with these members and an array, which gets what is added then."""
        self._records.append(STRUCT)
        _write_members(self._records, members)
        self._records += _member(name)
        self._records.append(STRUCT)
        self._open = 2

    def add_result(self, result: object) -> None:
        """Add a result: an array at its top is one value after another, nothing if it is empty."""
        if isinstance(result, (list, tuple)):
            for value in result:
                self.add(value)
        elif result != {}:
            self.add(result)

    def packet(self) -> bytes:
        """The whole packet."""
        self._records += bytes((_STRUCT_END,)) * self._open
        self._open = 0
        return _header(REPLY, len(self._records), self._cookie) + bytes(self._records)


def fault(cookie: int, code: int, text: str) -> bytes:
    """A packet that says why there is no result."""
    records = bytearray()
    _write(records, code)
    _write(records, text)
    return _header(FAULT, len(records), cookie) + bytes(records)


def encode_reply(cookie: int, result: object, limit: int) -> bytes:
    """A packet with ``result`` in it; raises TooLarge beyond ``limit`` bytes."""
    writer = ReplyWriter(cookie, limit)
    writer.add_result(result)
    return writer.packet()


def _bytes_of(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _header(kind: int, length: int, cookie: int) -> bytes:
    length_bytes = _bytes_of(length) or b"\0"
    cookie_bytes = _bytes_of(cookie) or b"\0"
    flags = kind << 4 | (len(length_bytes) - 1) << 2 | len(cookie_bytes) - 1
    return bytes((MAGIC, flags)) + length_bytes + cookie_bytes


def _record(kind: int, content: bytes) -> bytes:
    size = len(content)
    if size < 8:
        return bytes((size << 4 | kind,)) + content
    size_bytes = _bytes_of(size)
    return bytes((SIZED | len(size_bytes) << 4 | kind,)) + size_bytes + content


def _integer(kind: int, number: int) -> bytes:
    # Only the sign needs all four bytes.
    return _record(
        kind, number.to_bytes(4, "big", signed=True) if number < 0 else _bytes_of(number)
    )


def _string(kind: int, text: str) -> bytes:
    try:
        raw = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = _SURROGATE.sub("\ufffd", text).encode()
    if 0 in raw:
        raw = raw.replace(b"\0", "\ufffd".encode())
    return _record(kind, raw + b"\0")


@functools.lru_cache(maxsize=256)
def _member(name: str) -> bytes:
    """A member's name, which most structures of a reply share."""
    return _string(AVP, name)


def _write(out: bytearray, value: Any) -> None:
    kind = type(value)
    if kind is str:
        out += _string(STR, value)
    elif kind is int or kind is bool:
        if _MIN_INT <= value <= _MAX_INT:
            out += _integer(INT, value)
        else:
            out += _string(STR, str(value))
    elif value is None:
        out += _string(STR, _NULL)
    elif kind is float:
        _write_float(out, value)
    elif isinstance(value, (msgspec.Struct, dict, list, tuple)):
        out.append(STRUCT)
        _write_members(out, value)
        out.append(_STRUCT_END)
    else:
        # A subclass, such as an enumeration's member.
        _write(out, msgspec.to_builtins(value))


def _write_float(out: bytearray, value: float) -> None:
    if math.isfinite(value) and 0 <= (thousandths := round(value * 1000)) <= _MAX_INT:
        out += _integer(DOUBLE, thousandths)
    else:
        out += _string(STR, repr(value))


def _write_members(out: bytearray, value: Any) -> None:
    if isinstance(value, msgspec.Struct):
        fields = value.__struct_fields__
        for field, name in zip(fields, value.__struct_encode_fields__, strict=True):
            out += _member(name)
            _write(out, getattr(value, field))
    elif isinstance(value, dict):
        for name, member in value.items():
            out += _string(AVP, name)
            _write(out, member)
    elif all(map(_is_named, value)):
        for member in value:
            _write_members(out, member)
    else:
        for member in value:
            _write(out, member)


def _is_named(item: object) -> bool:
    """Whether an item of an array is nothing but a name and an object."""
    if type(item) is not dict or len(item) != 1:
        return False
    (inner,) = item.values()
    return isinstance(inner, (dict, msgspec.Struct))
