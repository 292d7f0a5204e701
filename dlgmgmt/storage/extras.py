"""What of a dialog has no column: the JSON of ``xdata``; and text that no column can hold.

PostgreSQL takes no NUL character, and no database takes half a surrogate pair, which is how bytes
that are no UTF-8 arrive from SIP. The column then has a readable likeness, the JSON the text.
"""

from __future__ import annotations

import json
from typing import Any

from dlgmgmt.dialog.model import MAX_HISTORY
from dlgmgmt.dialog.profiles import MAX_INSERTIONS
from dlgmgmt.dialog.views import EndedLeg

MAX_TEXT = 65_535
"""Characters of one text; a SIP message has no more bytes."""

MAX_XDATA = 16_777_215
MAX_VARIABLES = 1_000
_MAX_DEPTH = 6
_MAX_NUMBER = 2**53


def is_clean(text: str) -> bool:
    """Whether each of the databases can hold it."""
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return False
    return "\0" not in text


def clean(text: str) -> str:
    """Something like ``text`` that every database can hold."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")[:MAX_TEXT]


def split_routes(text: str) -> tuple[str, ...]:
    """The values of a route set; commas within quotes or angle brackets are parts of one."""
    if "," not in text:
        return (text,) if text else ()
    count = text.count("<")
    if text[0] == "<" and text[-1] == ">" and '"' not in text and count == text.count(">"):
        # Nearly all of them: nothing but addresses.
        values = text[1:-1].split(">, <")
        if len(values) == count:
            return tuple([f"<{value}>" for value in values])
    found: list[str] = []
    start = position = 0
    while position < len(text):
        char = text[position]
        if char == ",":
            found.append(text[start:position].strip())
            start = position + 1
        elif char == "<":
            end = text.find(">", position)
            position = end if end >= 0 else len(text)
        elif char == '"':
            position = _end_of_quote(text, position)
        position += 1
    found.append(text[start:].strip())
    return tuple(found)


def _end_of_quote(text: str, start: int) -> int:
    position = start + 1
    while position < len(text) and text[position] != '"':
        position += 2 if text[position] == "\\" else 1
    return position


def dialog_extras(
    texts: dict[str, str],
    routes: tuple[str, ...],
    profiles: tuple[tuple[str, str | None], ...],
    history: tuple[EndedLeg, ...],
    variables: tuple[tuple[str, str], ...],
) -> str | None:
    """The ``xdata`` of a dialog. texts: by column; routes, variables: if rows cannot hold them."""
    extras: dict[str, object] = {}
    if profiles:
        extras["profiles"] = [[_packed(n), None if v is None else _packed(v)] for n, v in profiles]
    if history:
        extras["history"] = [
            [e.branch, _packed(e.to_tag), e.code, _packed(e.cause)] for e in history
        ]
    if variables:
        extras["variables"] = [[_packed(name), _packed(value)] for name, value in variables]
    return _written(extras, texts, routes)


def leg_extras(
    texts: dict[str, str],
    routes: tuple[str, ...],
    moved_by: tuple[int, int],
    referred: int,
    shifts: tuple[Any, ...] | None,
) -> str | None:
    """The ``xdata`` of a leg."""
    extras: dict[str, object] = {}
    if moved_by != (0, 0):
        extras["moved_by"] = moved_by
    if referred:
        extras["referred"] = referred
    if shifts is not None:
        extras["shifts"] = shifts
    return _written(extras, texts, routes)


def _written(
    extras: dict[str, object], texts: dict[str, str], routes: tuple[str, ...]
) -> str | None:
    if texts:
        extras["texts"] = {name: _packed(text) for name, text in texts.items()}
    if routes:
        extras["routes"] = [_packed(value) for value in routes]
    if not extras:
        return None
    return json.dumps(extras, separators=(",", ":"))


def _packed(text: str) -> object:
    """JSON's own escapes would bring NUL back in PostgreSQL's jsonb, and pair half surrogates."""
    return text if is_clean(text) else {"hex": text.encode("utf-8", "surrogatepass").hex()}


class Unreadable(ValueError):
    """JSON that no dialog can have left."""


class Extras:
    """The ``xdata`` of a row, read; Unreadable says what is wrong with it."""

    __slots__ = ("_value",)

    def __init__(self, xdata: str) -> None:
        if len(xdata) > MAX_XDATA:
            raise Unreadable("xdata: too long")
        try:
            value = json.loads(xdata)
        except (ValueError, RecursionError):
            raise Unreadable("xdata: no JSON") from None
        if not isinstance(value, dict):
            raise Unreadable("xdata: no JSON object")
        self._value: dict[str, object] = value

    def names(self) -> set[str]:
        """What there is."""
        return set(self._value)

    def texts(self) -> dict[str, str]:
        """What stands for the texts of columns, by column."""
        value = self._value.get("texts", {})
        if not isinstance(value, dict):
            raise Unreadable("xdata: texts is no object")
        return {name: _unpacked(text) for name, text in value.items()}

    def routes(self) -> tuple[str, ...] | None:
        """The route set, if the column cannot tell it."""
        if "routes" not in self._value:
            return None
        return tuple(map(_unpacked, self._list("routes", MAX_TEXT)))

    def profiles(self) -> tuple[tuple[str, str | None], ...]:
        """Profiles, each with its value."""
        pairs = self._rows("profiles", MAX_INSERTIONS, 2)
        return tuple((_unpacked(n), None if v is None else _unpacked(v)) for n, v in pairs)

    def history(self) -> tuple[EndedLeg, ...]:
        """Legs that have ended."""
        return tuple(
            EndedLeg(_number(branch), _unpacked(to_tag), _number(code), _unpacked(cause))
            for branch, to_tag, code, cause in self._rows("history", MAX_HISTORY, 4)
        )

    def variables(self) -> tuple[tuple[str, str], ...] | None:
        """All variables, if rows cannot hold one of them."""
        if "variables" not in self._value:
            return None
        pairs = self._rows("variables", MAX_VARIABLES, 2)
        return tuple((_unpacked(name), _unpacked(value)) for name, value in pairs)

    def moved_by(self) -> tuple[int, int]:
        """Whose requests have moved the leg's Contacts last."""
        if "moved_by" not in self._value:
            return 0, 0
        caller, callee = self._row("moved_by", self._value["moved_by"], 2)
        return _number(caller), _number(callee)

    def referred(self) -> int:
        """Who has sent a REFER."""
        referred = _number(self._value.get("referred", 0))
        if referred > 3:
            raise Unreadable("xdata: referred is no number from 0 to 3")
        return referred

    def shifts(self) -> tuple[Any, ...] | None:
        """How CSeq numbers move."""
        value = self._value.get("shifts")
        if value is None:
            return None
        if not isinstance(value, list):
            raise Unreadable("xdata: shifts is no list")
        return tuple(_numbers(item, 1) for item in value)

    def _list(self, name: str, most: int) -> list[object]:
        value = self._value.get(name, [])
        if not isinstance(value, list):
            raise Unreadable(f"xdata: {name} is no list")
        if len(value) > most:
            raise Unreadable(f"xdata: {name} has more than {most} items")
        return value

    def _row(self, name: str, value: object, size: int) -> list[object]:
        if not isinstance(value, list) or len(value) != size:
            raise Unreadable(f"xdata: {name} has an item that is no list of {size}")
        return value

    def _rows(self, name: str, most: int, size: int) -> list[list[object]]:
        return [self._row(name, value, size) for value in self._list(name, most)]


def _unpacked(value: object) -> str:
    if isinstance(value, dict) and isinstance(value.get("hex"), str):
        try:
            value = bytes.fromhex(value["hex"]).decode("utf-8", "surrogatepass")
        except ValueError:
            raise Unreadable("xdata: hex that is no text") from None
    if not isinstance(value, str):
        raise Unreadable("xdata: something else than a text where one is needed")
    if len(value) > MAX_TEXT:
        raise Unreadable("xdata: a text that is too long")
    return value


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _MAX_NUMBER:
        raise Unreadable("xdata: something else than a number where one is needed")
    return value


def _numbers(value: object, depth: int) -> Any:
    if isinstance(value, list) and depth < _MAX_DEPTH:
        return tuple(_numbers(item, depth + 1) for item in value)
    if type(value) is not int or abs(value) > _MAX_NUMBER:
        raise Unreadable("xdata: shifts has something else than numbers")
    return value
