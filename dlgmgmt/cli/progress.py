"""How far a long command has come, on stderr."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TextIO, TypeVar

_PATIENCE = 1.0
"""Seconds for which nothing is said: most commands are done then."""

_ON_TERMINAL = 0.2
_IN_FILE = 5.0

_Item = TypeVar("_Item")


class Progress:
    """Counts, and says so now and then: in one line of a terminal, or a line every five seconds.

    what: is counted. total: of them, 0 if that is not known.
    """

    def __init__(
        self,
        what: str,
        total: int = 0,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what = what
        self._total = total
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._pause = _ON_TERMINAL if self._terminal else _IN_FILE
        self._due = clock() + (_PATIENCE if self._terminal else _IN_FILE)
        self._shown = False
        self._count = 0

    def count(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """``items``, counted as they pass."""
        try:
            for item in items:
                yield item
                self._count += 1
                # The clock is looked at now and then.
                if not self._count % 64 and self._clock() >= self._due:
                    self._say()
        finally:
            self.clear()

    def clear(self) -> None:
        """Make room in the terminal's line for something else."""
        if self._shown and self._terminal:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
            self._shown = False

    def _say(self) -> None:
        self._due = self._clock() + self._pause
        of = f" of {self._total}" if self._total else ""
        text = f"dlgmgmt: {self._count}{of} {self._what}"
        self._stream.write(f"\r\x1b[K{text}" if self._terminal else f"{text}\n")
        self._stream.flush()
        self._shown = True
