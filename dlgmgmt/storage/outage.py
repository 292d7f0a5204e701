"""Whether the database can be written to: when to try again, and what the log says."""

from __future__ import annotations

import logging

from dlgmgmt.storage.status import StorageStatus

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_QUICK = 1.0
_HURRY = 0.5


_AGAIN = 60.0
"""Seconds for which the log is not told again that changes are late."""


class Lateness:
    """Says in the log when changes begin to wait for too long, and when they do no more."""

    def __init__(self) -> None:
        self._said_at: float | None = None
        self._late = False

    def look(self, status: StorageStatus, now: float) -> None:
        """Look at how it goes; now: monotonic."""
        if status.state == "late":
            if self._said_at is None or now - self._said_at >= _AGAIN:
                self._said_at, self._late = now, True
                _LOG.warning(
                    "database: the changes of %d dialogs wait to be written, the first for %.1f s",
                    status.waiting,
                    status.oldest,
                )
        elif self._late:
            self._late = False
            if status.state == "ok":
                _LOG.warning("database: changes are written in time again")


class Once:
    """Faults of the program that come again and again."""

    def __init__(self) -> None:
        self._last = ""

    def tell(self, error: Exception) -> None:
        """Log what is being handled, unless it was the last that was logged."""
        text = f"{type(error).__name__}: {error}"
        if text != self._last:
            self._last = text
            _LOG.error("database: the writer failed", exc_info=error)


class Outage:
    """Failed tries in a row, and what is remembered of earlier ones. Times are monotonic.

    down: whether the database is held to be away. A single failure is not enough: a connection that
    lay idle, or a server that was restarted, costs one quick try. errors: failed tries. ended:
    outages that are over. last: the latest failure.
    """

    def __init__(self) -> None:
        self._pause = 0.0
        self._since: float | None = None
        self.down = False
        self.retry_at = 0.0
        self.errors = 0
        self.ended = 0
        self.last = ""

    def failed(self, text: str, begun: float, now: float, longest: float) -> None:
        """A try that began at ``begun`` has failed. longest: pause until the next, in seconds."""
        self.errors += 1
        self.last = text
        if self._since is None:
            self._since = begun
            if now - begun < _QUICK:
                self.retry_at = now
                return
        if not self.down:
            self.down = True
            self._pause = _FIRST_PAUSE
            _LOG.error("database: %s; calls go on, and their changes wait", text)
        self.retry_at = now + min(self._pause, longest)
        self._pause = min(self._pause * 2, longest)

    def hurry(self, now: float) -> None:
        """Let no more than half a second pass until the next try."""
        self.retry_at = min(self.retry_at, now + _HURRY)

    def passed(self, now: float, waited: int) -> None:
        """A try has succeeded, at which the changes of ``waited`` dialogs were waiting."""
        if self._since is None:
            return
        if self.down:
            self.ended += 1
            _LOG.warning(
                "database: it is back after %.1f s; the changes of %d dialogs have waited",
                now - self._since,
                waited,
            )
        self._since = None
        self.down = False
        self.retry_at = 0.0
