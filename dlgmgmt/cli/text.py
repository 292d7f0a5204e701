"""Text for terminals: hostile characters made visible, tables, times.

What a SIP peer writes into a Call-ID or a URI ends up on an operator's screen. There it must
neither move the cursor, nor ring, nor turn the reading direction round, nor look like more lines.
"""

from __future__ import annotations

import shutil
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

# Cc control, Cf format (bidi overrides, zero width), Cs surrogates, Co private, Cn unassigned,
# Zl and Zp line and paragraph separators.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_MIN_COLUMN = 8


def visible(text: str) -> str:
    r"""The text with everything that is not plainly visible written as ``\x1b`` or ``\u202e``."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_shown(char) for char in text)


def _shown(char: str) -> str:
    # A space other than the common one would look like it (Zs).
    if unicodedata.category(char) not in _HIDDEN and (char == " " or not char.isspace()):
        return char
    code = ord(char)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def width(text: str) -> int:
    """Columns that a terminal needs for visible text."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def cut(text: str, room: int) -> str:
    """The text in at most ``room`` columns; a cut is marked with a tilde at its end."""
    if width(text) <= room:
        return text
    kept = []
    used = 1
    for char in text:
        used += _columns(char)
        if used > room:
            break
        kept.append(char)
    return "".join(kept) + "~"


def terminal_width(stream: TextIO) -> int | None:
    """Columns of the terminal that ``stream`` writes to, None if it is none."""
    try:
        if not stream.isatty():
            return None
    except ValueError:  # closed
        return None
    return shutil.get_terminal_size().columns


def table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, room: int | None) -> list[str]:
    """Aligned lines; cells are made visible here. room: columns to fit in, None never to cut.

    Where it is too wide the widest columns are narrowed, none below eight columns.
    """
    cells = [list(headings), *([visible(cell) for cell in row] for row in rows)]
    widths = [max(width(row[column]) for row in cells) for column in range(len(headings))]
    if room is not None:
        spare = room - 2 * (len(headings) - 1)
        while sum(widths) > spare and max(widths) > _MIN_COLUMN:
            widths[widths.index(max(widths))] -= 1
    lines = []
    for row in cells:
        fitted = [cut(cell, wide) for cell, wide in zip(row, widths, strict=True)]
        padded = [
            cell + " " * (wide - width(cell)) for cell, wide in zip(fitted, widths, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def duration(seconds: int) -> str:
    """``59s``, ``4m05s``, ``2h03m``, ``3d04h``; a clock that ran backwards gives ``0s``."""
    seconds = max(seconds, 0)
    if seconds < 60:
        return f"{seconds}s"
    if seconds < 3600:
        return f"{seconds // 60}m{seconds % 60:02d}s"
    if seconds < 86_400:
        return f"{seconds // 3600}h{seconds // 60 % 60:02d}m"
    return f"{seconds // 86_400}d{seconds // 3600 % 24:02d}h"


def complain(program: str, message: str) -> None:
    """One line on stderr."""
    print(f"{program}: {visible(message)}", file=sys.stderr)
