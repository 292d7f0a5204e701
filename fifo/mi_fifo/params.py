"""Parameter lines of MI, the same wherever a request comes from."""

from __future__ import annotations

import re
from typing import NamedTuple

BLANKS = b" \t\r"
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
# A value such as a Call-ID with an IPv6 host holds "::" too: only an identifier is a name.
_NAMED = re.compile(rb"([A-Za-z_][\w.-]*)?::[ \t]*(.*)\Z", re.DOTALL)
_CLOSING_QUOTE = re.compile(rb'(?<!\\)"')
_SAFE_VALUE = re.compile(r"[A-Za-z0-9_@.+-]+")


class MiParam(NamedTuple):
    """One parameter. name: None for a bare value. Bytes that are no UTF-8 are surrogate-escaped."""

    name: str | None
    value: str


class BadParam(Exception):
    """A line that is no parameter. cause: a word to count by. Its text is free of the line's."""

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause


def text(raw: bytes) -> str:
    """The text of bytes that may be no UTF-8."""
    return raw.decode("utf-8", "surrogateescape")


def has_control(raw: bytes) -> bool:
    """Whether a control character other than tab, CR and LF is in it."""
    return _CONTROL.search(raw) is not None


class ParamReader:
    """Reads the parameter lines of one request, each without its newline.

    limit: all of them together, newlines included, are shorter. quoted: whether a quoted value goes
    on in the next line.
    """

    __slots__ = ("_limit", "_name", "_quote", "_used", "params", "quoted")

    def __init__(self, limit: int) -> None:
        self.params: list[MiParam] = []
        self.quoted = False
        self._limit = limit
        self._used = 0
        self._name: str | None = None
        self._quote = bytearray()

    def line(self, line: bytes, cut: int = 0) -> None:
        """Takes a line, of which ``cut`` bytes are missing; raises BadParam."""
        self._used += cut + len(line) + 1
        if self._used >= self._limit:
            raise BadParam("too_long", f"parameters of {self._limit} bytes or more")
        if has_control(line):
            raise BadParam("binary", "a control character in a parameter")
        if self.quoted:
            self._quoted(line)
        else:
            self._parameter(line)

    def _parameter(self, line: bytes) -> None:
        value = line.lstrip(BLANKS)
        name: str | None = None
        named = _NAMED.match(value)
        if named:
            name = text(named[1]) if named[1] else None
            value = named[2]
        if value.startswith(b'"'):
            self.quoted = True
            self._name = name
            self._quoted(value[1:])
            return
        value = value.rstrip(BLANKS)
        if b'"' in value:
            raise BadParam("quote", "a quote within an unquoted value")
        if b"\r" in value:
            raise BadParam("binary", "a carriage return within an unquoted value")
        self.params.append(MiParam(name, text(value)))

    def _quoted(self, part: bytes) -> None:
        closing = _CLOSING_QUOTE.search(part)
        if not closing:
            self._quote += part + b"\n"
            return
        value = bytes(self._quote) + part[: closing.start()]
        if part[closing.end() :].strip(BLANKS):
            raise BadParam("quote", "text behind a closing quote")
        if not value:
            raise BadParam("quote", "an empty quoted value")
        self.params.append(MiParam(self._name, text(value.replace(b'\\"', b'"'))))
        self.quoted = False
        self._quote.clear()


def encode_param(param: MiParam) -> str:
    """The line of a parameter, its value quoted where that is needed."""
    head = f"{param.name}::" if param.name is not None else ""
    value = param.value
    # A backslash before the closing quote would escape it: such a value goes bare.
    if _SAFE_VALUE.fullmatch(value) or value.endswith("\\") or not value:
        return f"{head}{value}\n"
    escaped = value.replace('"', '\\"')
    return f'{head}"{escaped}"\n'
