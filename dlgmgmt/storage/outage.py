"""Whether the database can be written to: when to try again, and what the log says."""

from __future__ import annotations

import logging

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_QUICK = 1.0
_HURRY = 0.5


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
