"""Rows that cannot be used: one line each, up to a bound, then a count."""

from __future__ import annotations

import logging

_LOG = logging.getLogger(__name__)

MAX_LINES = 100
"""Rows that are named in the log at one start, or by one command."""

MAX_TEXT = 300
"""Characters of a line; a row may hold whatever somebody has put there."""


def printable(text: str) -> str:
    """``text`` in one line that no terminal obeys, cut at MAX_TEXT characters."""
    whole = "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode("ascii")
        for one in text[: MAX_TEXT + 1]
    )
    return whole if len(whole) <= MAX_TEXT else whole[: MAX_TEXT - 3] + "..."


class Faults:
    """What was skipped, and why. One of a start, or of a command."""

    __slots__ = ("count", "first")

    def __init__(self) -> None:
        self.count = 0
        self.first = ""

    def skip(self, table: str, row: int, text: str) -> None:
        """A row is left where it is, and what it stands for is not loaded."""
        self.count += 1
        if self.count > MAX_LINES:
            return
        line = printable(f"{table} {row}: {text}")
        if not self.first:
            self.first = line
        _LOG.warning("%s: skipped", line)

    def close(self) -> None:
        """Say how many were skipped besides those that were named."""
        if self.count > MAX_LINES:
            _LOG.warning("%d more rows were skipped", self.count - MAX_LINES)
