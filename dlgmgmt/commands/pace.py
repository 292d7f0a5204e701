"""Ending very many dialogs without a flood: some at once, the others at a steady rate."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable

_LOG = logging.getLogger(__name__)

BURST = 50
"""Jobs that are done together."""

Job = Callable[[], object]


class Pacer:
    """Does jobs in bursts. interval: seconds between two; wait: sleeps for so long."""

    def __init__(self, interval: float = 0.1, wait: Callable[[float], object] = time.sleep) -> None:
        self._interval = interval
        self._wait = wait
        self._lock = threading.Lock()
        self._jobs: OrderedDict[Job, None] = OrderedDict()
        self._busy = False

    def __len__(self) -> int:
        """Jobs that are still to be done."""
        return len(self._jobs)

    def run(self, jobs: Iterable[Job]) -> None:
        """Do a first burst before this returns, unless others wait already; the rest follows.

        A job that is equal to one that waits is not done twice: an order that is repeated while
        its jobs wait adds none.
        """
        with self._lock:
            self._jobs.update(dict.fromkeys(jobs))
            if self._busy:
                return
            self._busy = True
        if self._burst():
            threading.Thread(target=self._follow, name="pacer", daemon=True).start()

    def stop(self) -> None:
        """Forget what is still to be done."""
        with self._lock:
            self._jobs.clear()

    def _follow(self) -> None:
        while True:
            self._wait(self._interval)
            if not self._burst():
                return

    def _burst(self) -> bool:
        """Do some jobs; whether there are more."""
        for _ in range(BURST):
            with self._lock:
                job = self._jobs.popitem(last=False)[0] if self._jobs else None
            if job is None:
                break
            try:
                job()
            except Exception:  # noqa: BLE001 - the others are to be done all the same
                _LOG.exception("a paced job failed")
        with self._lock:
            self._busy = bool(self._jobs)
            return self._busy
