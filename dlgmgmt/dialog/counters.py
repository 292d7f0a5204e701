"""Dialogs per state and totals since the start, kept as the states change."""

from __future__ import annotations

import threading

from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import TableCounts


class Counters:
    """Counted under a lock of their own, the innermost one: it is never held over another."""

    __slots__ = (
        "_lock",
        "_states",
        "_total",
        "expired",
        "failed",
        "forced",
        "illegal_events",
        "processed",
        "rejected",
    )

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._states = dict.fromkeys(State, 0)
        self._total = 0
        self.processed = 0
        self.expired = 0
        self.failed = 0
        self.forced = 0
        self.illegal_events = 0
        self.rejected = 0

    def reserve(self, limit: int) -> bool:
        """Count one more unconfirmed dialog unless ``limit`` dialogs exist; False if so."""
        with self._lock:
            if self._total >= limit:
                self.rejected += 1
                return False
            self._total += 1
            self._states[State.UNCONFIRMED] += 1
            self.processed += 1
            return True

    def restored(self, state: State, count: int = 1) -> None:
        """Count dialogs that were there before the start; they were processed then."""
        with self._lock:
            self._total += count
            self._states[state] += count

    def is_full(self, limit: int) -> bool:
        """Whether ``limit`` dialogs exist."""
        return self._total >= limit

    def add_rejected(self) -> None:
        """Count a call for which there was no place."""
        with self._lock:
            self.rejected += 1

    def move(self, old: State, new: State) -> None:
        """Count a dialog that went from ``old`` to ``new``."""
        with self._lock:
            self._states[old] -= 1
            self._states[new] += 1

    def gone(self) -> None:
        """Count a deleted dialog that left the table."""
        with self._lock:
            self._states[State.DELETED] -= 1
            self._total -= 1

    def add_illegal(self) -> None:
        """Count an event that the state machine refused."""
        with self._lock:
            self.illegal_events += 1

    def add_failed(self) -> None:
        """Count a dialog that ended before it was answered."""
        with self._lock:
            self.failed += 1

    def add_expired(self) -> None:
        """Count a dialog that its timeout ended."""
        with self._lock:
            self.expired += 1

    def add_forced(self) -> None:
        """Count a deleted dialog that had to be taken out."""
        with self._lock:
            self.forced += 1

    def view(self) -> TableCounts:
        """All counts at one moment."""
        with self._lock:
            s = self._states
            return TableCounts(
                unconfirmed=s[State.UNCONFIRMED],
                early=s[State.EARLY],
                confirmed=s[State.CONFIRMED],
                confirmed_no_ack=s[State.CONFIRMED_NA],
                concurrent=s[State.CONCURRENT],
                deleted=s[State.DELETED],
                processed=self.processed,
                expired=self.expired,
                failed=self.failed,
                illegal_events=self.illegal_events,
                rejected=self.rejected,
            )
