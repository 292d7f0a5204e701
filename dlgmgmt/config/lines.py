"""On which line of a TOML text each key stands, so that a wrong value can be pointed at.

tomllib gives values without places. This walks over a text that tomllib has accepted already, so
it needs to know only where a statement ends, not what TOML allows.
"""

from __future__ import annotations

import re

Path = tuple[str | int, ...]

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_HEADER = re.compile(r"\[(\[)?((?:[^\]\"'\n]|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')*)\]")
_KEY = re.compile(r"((?:[^=\"'\n]|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*')*)=")
_KEY_PART = re.compile(r"\s*(?:\"((?:[^\"\\\n]|\\.)*)\"|'([^'\n]*)'|([A-Za-z0-9_-]+))\s*\.?")
_SKIP = re.compile(
    r"\"\"\"(?:[^\"\\]|\\[\s\S]|\"(?!\"\"))*\"{3,5}|'''(?:[^']|'(?!''))*'{3,5}"
    r"|\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|#[^\n]*|[^\"'#\[\]{}\n]+"
)


def key_lines(text: str) -> dict[Path, int]:
    """Line number (from 1) of every table header and key, by its path.

    The n-th element of an array of tables has n (from 0) in its path: ("sip", "route", 0, "fork").
    """
    lines: dict[Path, int] = {}
    counts: dict[Path, int] = {}
    table: Path = ()
    pos = 0
    while True:
        pos = _end(_BLANK, text, pos)
        if pos >= len(text):
            return lines
        line = text.count("\n", 0, pos) + 1
        header = _HEADER.match(text, pos) if text[pos] == "[" else None
        if header is not None:
            table = _resolve(_names(header[2]), counts)
            if header[1]:
                counts[table] = counts.get(table, -1) + 1
                lines.setdefault(table, line)
                table = (*table, counts[table])
            lines.setdefault(table, line)
            # The second bracket of "[[x]]" is skipped with the rest of the line.
            pos = _statement_end(text, header.end() + (1 if header[1] else 0))
            continue
        key = _KEY.match(text, pos)
        if key is None:  # not reached for a text that tomllib takes
            return lines
        path = table
        for name in _names(key[1]):
            path = (*path, name)
            lines.setdefault(path, line)
        pos = _statement_end(text, key.end())


def line_of(lines: dict[Path, int], path: Path) -> int:
    """The line of ``path`` or, where it has none of its own, of the nearest table around it."""
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return 1


def _end(pattern: re.Pattern[str], text: str, pos: int) -> int:
    match = pattern.match(text, pos)
    return match.end() if match else pos


def _names(dotted: str) -> list[str]:
    return [m[1] or m[2] or m[3] or "" for m in _KEY_PART.finditer(dotted)]


def _resolve(names: list[str], counts: dict[Path, int]) -> Path:
    """A header's path; a name that is an array of tables on the way stands for its last element."""
    path: Path = ()
    for position, name in enumerate(names):
        path = (*path, name)
        if path in counts and position < len(names) - 1:
            path = (*path, counts[path])
    return path


def _statement_end(text: str, pos: int) -> int:
    """The end of the line that closes the value at ``pos``, over open brackets and long strings."""
    depth = 0
    while pos < len(text):
        char = text[pos]
        if char == "\n" and depth == 0:
            return pos
        if char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        skipped = _SKIP.match(text, pos)
        pos = skipped.end() if skipped else pos + 1
    return pos
