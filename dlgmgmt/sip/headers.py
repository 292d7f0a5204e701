"""Header names, and changes of a message's header lines."""

from __future__ import annotations

import re
from typing import NamedTuple

from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.grammar import TOKEN

_NAME = re.compile(TOKEN, re.ASCII)

COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
    "s": "subject",
    "e": "content-encoding",
    "o": "event",
    "r": "refer-to",
    "u": "allow-events",
    "x": "session-expires",
}
# Spelling as met, with its colon -> name; filled up to a bound, so that a stranger's inventions
# cannot grow it.
NAMES: dict[str, str] = {}
_MAX_NAMES = 512
_MAX_NAME = 64


def _canonical(name: str) -> str:
    low = name.lower()
    low = COMPACT.get(low, low)
    if len(NAMES) < _MAX_NAMES and len(name) <= _MAX_NAME:
        NAMES[name + ":"] = low
    return low


def read_name(line: str) -> str:
    """The name of a header line that is spelled in a way not met before."""
    colon = line.find(":")
    name = line[:colon].rstrip(" \t") if colon > 0 else ""
    if _NAME.fullmatch(name) is None:
        raise BadMessage(400, "Malformed header line")
    return _canonical(name)


class Edits(NamedTuple):
    """Changes of a message's headers: whole lines to add, without CRLF, and names to remove.

    The names are lower-case long ones. What is removed stood in the message; what is added stays.
    """

    added: tuple[str, ...] = ()
    removed: frozenset[str] = frozenset()


def edit_lines(
    names: list[str | None], lines: list[str], edits: Edits
) -> tuple[list[str | None], list[str]]:
    """Names and header lines after ``edits``, as new lists."""
    both = zip(names, lines, strict=True)
    kept = [(name, line) for name, line in both if name not in edits.removed]
    kept += [(header_name(line), line) for line in edits.added]
    return [name for name, _ in kept], [line for _, line in kept]


def header_name(line: str) -> str:
    """The lower-case long name of a header line; BadMessage for a line without one."""
    return NAMES.get(line[: line.find(":") + 1]) or read_name(line)
