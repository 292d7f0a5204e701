"""Who waits until a dialog is durable: 2xx that are held back."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from typing import NamedTuple

from dlgmgmt.dialog.model import Dialog

_LOG = logging.getLogger(__name__)

Done = Callable[[bool], None]
"""Told once whether it is durable; on a thread of the storage, with no lock held."""


class Waiter(NamedTuple):
    """deadline: on the monotonic clock."""

    dialog: Dialog
    done: Done
    deadline: float


class Waiters:
    """Any thread. They are as many as INVITE transactions at most."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()
        self._waiting: dict[int, Waiter] = {}
        self.unsynced = 0

    def __bool__(self) -> bool:
        """Whether anybody waits."""
        return bool(self._waiting)

    def add(self, dialog: Dialog, done: Done, deadline: float) -> None:
        """Have ``done`` told of ``dialog``."""
        with self._lock:
            self._waiting[next(self._numbers)] = Waiter(dialog, done, deadline)

    def now(self) -> list[tuple[int, Waiter]]:
        """Those that wait at this moment."""
        if not self._waiting:
            return []
        with self._lock:
            return list(self._waiting.items())

    def tell(self, waiters: list[tuple[int, Waiter]], *, durable: bool) -> None:
        """Let ``waiters`` know, except those that were told before."""
        with self._lock:
            told = [w for number, w in waiters if self._waiting.pop(number, None) is not None]
            if not durable:
                self.unsynced += len(told)
        for waiter in told:
            try:
                waiter.done(durable)
            except Exception:  # noqa: BLE001 - logged; the others are told all the same
                _LOG.exception("database: who waited for callid=%r failed", waiter.dialog.callid)

    def expire(self, now: float, *, everybody: bool) -> None:
        """Tell those whose time is over, or ``everybody``, that it is not durable."""
        late = [(number, w) for number, w in self.now() if everybody or w.deadline <= now]
        if late:
            self.tell(late, durable=False)
