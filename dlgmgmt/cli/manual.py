"""``dlgmgmt manual``: what a parameter, function, variable, statistic or command does."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence

from dlgmgmt.cli.text import complain
from dlgmgmt.manual import book, render
from dlgmgmt.manual.entry import Entry

_FOUND = 0
_UNKNOWN = 2


def show(name: str | None, *, as_json: bool) -> int:
    """Print the contents, or what has that name; the exit code, 2 for an unknown name."""
    found: Sequence[Entry] = book.everything() if name is None else book.find(name)
    if name is not None and not found:
        complain("dlgmgmt", _unknown(name))
        return _UNKNOWN
    try:
        if as_json:
            _print([json.dumps([render.record(entry) for entry in found], indent=2)])
        elif name is None:
            _print(render.contents())
        else:
            _print(_pages(found))
        sys.stdout.flush()
    except BrokenPipeError:
        # "dlgmgmt manual | head": nobody reads the rest, and Python would complain at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return _FOUND


def _pages(entries: Sequence[Entry]) -> Iterable[str]:
    for place, entry in enumerate(entries):
        if place:
            yield ""
        yield from render.page(entry)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)


def _unknown(name: str) -> str:
    alike = book.close(name)
    shown = name if len(name) <= 80 else name[:77] + "..."
    hint = f"did you mean {', '.join(alike)}" if alike else '"dlgmgmt manual" lists all names'
    return f"the manual has no '{shown}'; {hint}" + ("?" if alike else "")
