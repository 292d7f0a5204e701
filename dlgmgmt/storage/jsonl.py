"""Dialogs as JSON lines: what ``dlgmgmt db dump`` and a writer that could not write leave behind.

The first line is a header, ``{"format": "dlgmgmt-dialogs", "version": 1, ...}``. Each further line
is a dialog, the fields of a :class:`~dlgmgmt.dialog.record.DialogRecord` by name, or a call that
ended, ``{"ended": {...}}``: its rows are to go, wherever in the file its dialog stood before.
Lines are ASCII, so that what strangers wrote into a call steers no terminal.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple, TypeVar

from dlgmgmt.dialog.model import MAX_HISTORY, MAX_LEGS
from dlgmgmt.dialog.profiles import MAX_INSERTIONS
from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.dialog.views import EndedLeg

FORMAT = "dlgmgmt-dialogs"
VERSION = 1

MAX_LINE = 16_777_216
"""Bytes of a line; the largest dialog that the daemon keeps is smaller."""

_MAX_LIST = 100_000
_MAX_INTEGER = 2**63 - 1
_MAX_DEPTH = 6

_Item = TypeVar("_Item")
_Read = Callable[[object], Any]


class LinesError(ValueError):
    """A file that is no list of dialogs; the text names file, line and field."""


class Header(NamedTuple):
    """The first line. owner: whose dialogs these are, None of rows without one (Kamailio's).

    written: Unix seconds. whole: all dialogs of the owner, not only what changed lately.
    """

    owner: str | None
    written: int
    whole: bool


class Ended(NamedTuple):
    """A call that is over, by the row that may still be there; owner: of the row, or None."""

    owner: str | None
    h_entry: int
    h_id: int
    callid: str
    from_tag: str


def header_line(header: Header) -> str:
    """The header, with its end of line."""
    return _line({"format": FORMAT, "version": VERSION, **header._asdict()})


def dialog_line(record: DialogRecord) -> str:
    """A dialog, with its end of line."""
    fields = record._asdict()
    fields["legs"] = [leg._asdict() for leg in record.legs]
    fields["history"] = [ended._asdict() for ended in record.history]
    return _line(fields)


def ended_line(ended: Ended) -> str:
    """A call that is over, with its end of line."""
    return _line({"ended": ended._asdict()})


def _line(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), allow_nan=False) + "\n"


def lines_of(file: BinaryIO) -> Iterator[bytes]:
    """The lines of an open file; one that is too long comes in pieces, which no reader takes."""
    return iter(lambda: file.readline(MAX_LINE + 1), b"")


class Reader:
    """Reads a file of dialogs; iterate for its items in order. Raises LinesError.

    lines: of the file, as bytes with their ends (``lines_of``). name: for errors.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self._lines = iter(lines)
        self._name = name
        self.line = 0
        self.header = self._header()

    def _header(self) -> Header:
        line = next(self._lines, b"")
        self.line = 1
        value = self._decoded(line) if line.strip() else {}
        if value.get("format") != FORMAT:
            raise LinesError(f"{self._name}: no file of dialogs: its first line is no header")
        version = value.pop("version", None)
        if version != VERSION or isinstance(version, bool):
            raise LinesError(
                f"{self._name}: version {version!r:.20} of the format, this program reads {VERSION}"
            )
        del value["format"]
        return self._record(Header, _HEADER, value)

    def __iter__(self) -> Iterator[DialogRecord | Ended]:
        """The dialogs and the ends of calls."""
        for line in self._lines:
            self.line += 1
            if not line.endswith(b"\n"):
                # What was cut off in mid-line might be read as something shorter that is valid.
                raise LinesError(f"{self._name} line {self.line}: is cut off")
            value = self._decoded(line)
            if "ended" in value:
                yield self._record(_EndedLine, _ENDED_LINE, value).ended
            else:
                yield self._record(DialogRecord, _DIALOG, value)

    def _decoded(self, line: bytes) -> dict[str, object]:
        where = f"{self._name} line {self.line}"
        if len(line) > MAX_LINE:
            raise LinesError(f"{where}: longer than {MAX_LINE} bytes")
        try:
            value = json.loads(
                line.decode(), object_pairs_hook=_unique, parse_constant=_no_constant
            )
        except UnicodeDecodeError:
            raise LinesError(f"{where}: not UTF-8") from None
        except json.JSONDecodeError as error:
            raise LinesError(f"{where}: no JSON: {error.msg} at column {error.colno}") from None
        except _Fault as fault:
            raise LinesError(f"{where}: {fault}") from None
        except (ValueError, RecursionError):  # a number of thousands of digits; nesting
            raise LinesError(f"{where}: no JSON that can be read") from None
        if not isinstance(value, dict):
            raise LinesError(f"{where}: not an object")
        return value

    def _record(
        self, kind: Callable[..., _Item], readers: dict[str, _Read], value: dict[str, object]
    ) -> _Item:
        try:
            return _fields(kind, readers)(value)
        except _Fault as fault:
            raise LinesError(f"{self._name} line {self.line}: {fault}") from None


class _Fault(ValueError):
    """What is wrong; ``path`` grows from the inside out."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self.path = ""

    def within(self, name: str) -> _Fault:
        dot = "." if self.path and not self.path.startswith("[") else ""
        self.path = f"{name}{dot}{self.path}"
        return self

    def __str__(self) -> str:
        return f"{self.path}: {self.why}" if self.path else self.why


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _Fault("a name stands there twice")
    return value


def _no_constant(name: str) -> object:
    raise _Fault(f"{name} is no number")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise _Fault("not a text")
    return value


def _integer(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise _Fault("not an integer")
    if not -_MAX_INTEGER <= value <= _MAX_INTEGER:
        raise _Fault("too large")
    return value


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Fault("not a number")
    if not math.isfinite(value) or abs(value) > _MAX_INTEGER:
        raise _Fault("too large")
    return float(value)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise _Fault("not true or false")
    return value


def _or_null(read: _Read) -> _Read:
    return lambda value: None if value is None else read(value)


def _list(read: _Read, most: int = _MAX_LIST) -> Callable[[object], tuple[Any, ...]]:
    def items(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _Fault("not a list")
        if len(value) > most:
            raise _Fault(f"more than {most}")
        result = []
        for number, item in enumerate(value):
            try:
                result.append(read(item))
            except _Fault as fault:
                raise fault.within(f"[{number}]") from None
        return tuple(result)

    return items


def _pair(first: _Read, second: _Read) -> Callable[[object], tuple[Any, Any]]:
    def both(value: object) -> tuple[Any, Any]:
        if not isinstance(value, list) or len(value) != 2:
            raise _Fault("not a pair")
        return first(value[0]), second(value[1])

    return both


def _numbers(value: object, depth: int = 0) -> Any:
    """Lists of integers in one another, as tuples."""
    if not isinstance(value, list):
        return _integer(value)
    if depth == _MAX_DEPTH:
        raise _Fault("nested too deeply")
    return tuple(_numbers(item, depth + 1) for item in value)


def _shifts(value: object) -> Any:
    if not isinstance(value, list):
        raise _Fault("not a list")
    return _numbers(value)


def _fields(kind: Callable[..., _Item], readers: dict[str, _Read]) -> Callable[[object], _Item]:
    """All of the names, no other ones."""

    def record(value: object) -> _Item:
        if not isinstance(value, dict):
            raise _Fault("not an object")
        unknown = value.keys() - readers.keys()
        if unknown:
            raise _Fault(f"unknown field {min(unknown)!r:.60}")
        result = []
        for name, read in readers.items():
            if name not in value:
                raise _Fault("is missing").within(name)
            try:
                result.append(read(value[name]))
            except _Fault as fault:
                raise fault.within(name) from None
        return kind(*result)

    return record


class _EndedLine(NamedTuple):
    ended: Ended


_HEADER: dict[str, _Read] = {"owner": _or_null(_text), "written": _integer, "whole": _truth}
_ENDED: dict[str, _Read] = {
    "owner": _or_null(_text),
    "h_entry": _integer,
    "h_id": _integer,
    "callid": _text,
    "from_tag": _text,
}
_ENDED_LINE: dict[str, _Read] = {"ended": _fields(Ended, _ENDED)}
_HISTORY: dict[str, _Read] = {
    "branch": _integer,
    "to_tag": _text,
    "code": _integer,
    "cause": _text,
}
# In the order of the records' fields.
_LEG: dict[str, _Read] = {
    "to_tag": _text,
    "to_uri": _text,
    "branch": _integer,
    "caller_cseq": _integer,
    "callee_cseq": _integer,
    "callee_cseq_seen": _truth,
    "callee_contact": _text,
    "callee_route_set": _list(_text),
    "callee_bind_addr": _text,
    "acked": _truth,
    "confirmed_at": _number,
    "session_end": _number,
    "dflags": _integer,
    "moved_by": _pair(_integer, _integer),
    "referred": _integer,
    "shifts": _or_null(_shifts),
}
_DIALOG: dict[str, _Read] = {
    "h_entry": _integer,
    "h_id": _integer,
    "did": _text,
    "state": _integer,
    "callid": _text,
    "from_tag": _text,
    "from_uri": _text,
    "to_uri": _text,
    "req_uri": _text,
    "first_req_cseq": _integer,
    "caller_contact": _text,
    "caller_route_set": _list(_text),
    "caller_bind_addr": _text,
    "lifetime": _integer,
    "init_ts": _integer,
    "start_ts": _integer,
    "timeout": _integer,
    "session_ts": _integer,
    "sflags": _integer,
    "dflags": _integer,
    "timeout_bye": _truth,
    "timeout_noreset": _truth,
    "keepalive": _integer,
    "fix_contact": _truth,
    "toroute": _text,
    "profiles": _list(_pair(_text, _or_null(_text)), MAX_INSERTIONS),
    "variables": _list(_pair(_text, _text)),
    "history": _list(_fields(EndedLeg, _HISTORY), MAX_HISTORY),
    "legs": _list(_fields(LegRecord, _LEG), MAX_LEGS),
}
