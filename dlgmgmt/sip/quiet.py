"""Lines that strangers can provoke: each kind is logged once a second at most.

A kind is a text before its arguments are put in, so there are as many as the program has. What is
left out is counted, and told with the next line of the kind or, if none comes, by :func:`flush`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

EVERY = 1.0
"""Seconds between two lines of a kind."""


class _Kind:
    """level, logger, text: of the last line. at: when it was logged. left: left out since."""

    __slots__ = ("at", "left", "level", "logger", "text")

    def __init__(self, logger: logging.Logger, level: int, text: str, at: float) -> None:
        self.logger = logger
        self.level = level
        self.text = text
        self.at = at
        self.left = 0


_kinds: dict[tuple[str, str], _Kind] = {}
_lock = threading.Lock()


class Quiet:
    """A logger for such lines; any thread. monotonic: clock in seconds."""

    def __init__(
        self, logger: logging.Logger, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._logger = logger
        self._monotonic = monotonic

    def info(self, text: str, *args: object) -> None:
        """Something that may interest somebody."""
        self._log(logging.INFO, text, args)

    def warning(self, text: str, *args: object) -> None:
        """Something that an operator may want to see to."""
        self._log(logging.WARNING, text, args)

    def exception(self, text: str, *args: object) -> None:
        """A fault of this program, with its traceback; in an except block."""
        self._log(logging.ERROR, text, args, trace=True)

    def _log(self, level: int, text: str, args: tuple[object, ...], *, trace: bool = False) -> None:
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        now = self._monotonic()
        with _lock:
            kind = _kinds.get((logger.name, text))
            if kind is None:
                kind = _kinds[logger.name, text] = _Kind(logger, level, text, now - EVERY)
            if now - kind.at < EVERY:
                kind.left += 1
                return
            kind.at = now
            left, kind.left = kind.left, 0
        if left:
            text, args = f"{text} (and %d more like it before)", (*args, left)
        logger.log(level, text, *args, exc_info=trace)


def flush(monotonic: Callable[[], float] = time.monotonic) -> None:
    """Tell what was left out of the kinds that have been silent since."""
    now = monotonic()
    with _lock:
        due = [kind for kind in _kinds.values() if kind.left and now - kind.at >= EVERY]
        told = [(kind, kind.left) for kind in due]
        for kind in due:
            kind.at, kind.left = now, 0
    for kind, left in told:
        kind.logger.log(kind.level, "%d more were not logged of: %s", left, kind.text)


def forget() -> None:
    """Begin anew; for tests, which share the process."""
    with _lock:
        _kinds.clear()
