"""The thread that writes changed dialogs behind the calls.

:meth:`Writer.step` is all that it does, driven by a clock that is handed in; the thread only calls
it and waits. A second, smaller thread sees to what must not wait for a database that hangs: answers
that are held back, and ended dialogs that must not pile up in the journal.
"""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable, Iterator

from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.storage.bell import Bell
from dlgmgmt.storage.changes import Changes, Cut, OldRows, Part
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import Damaged, StorageError
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.outage import Lateness, Once, Outage
from dlgmgmt.storage.rescue import ended_of, rescue
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.status import StorageState, StorageStatus
from dlgmgmt.storage.transactions import Transactions
from dlgmgmt.storage.waiters import Done, Waiter, Waiters

_LOG = logging.getLogger(__name__)

NONE, REAL_TIME, DELAYED, SHUTDOWN = range(4)
"""The values of ``db_mode``."""

SWEEP = 1.0
"""Seconds between two looks into the journal while the database is away."""

WATCH = 0.25
"""Seconds between two rounds of the second thread."""

_GIVE_WAY = 0.001
_STEADY = 0.05
_MARGIN = 1.25
_FORGET = 0.93


class Writer:
    """Writes what ``journal`` holds to ``database``, which is its own from :meth:`start` on.

    wall, monotonic: Unix time and the clock of all deadlines. answered: the dialogs that are
    written at the end in mode 3, as DialogTable.iter_answered. alarm: what the thread waits on.
    """

    def __init__(
        self,
        journal: Journal,
        database: Database,
        settings: StorageSettings,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        answered: Callable[[], Iterator[list[Dialog]]] | None = None,
        alarm: Bell | None = None,
    ) -> None:
        self.settings = settings
        self._database = database
        self._wall = wall
        self._monotonic = monotonic
        self._answered = answered
        self._alarm = alarm if alarm is not None else Bell()
        self._changes = Changes(journal)
        self._transactions = Transactions(database, settings.owner, monotonic)
        self._waiters = Waiters()
        self._outage, self._lateness, self._faults = Outage(), Lateness(), Once()
        # When the first change that the journal holds was made; None if it is empty.
        self._first: float | None = None
        self._offset = wall() - monotonic()
        self._period_at = _end_of(settings, monotonic())
        # How long a transaction takes from when it is due, the slower ones of late.
        self._expected = 0.0
        self._busy_since: float | None = None
        # After a transaction, for as long as a first change may wait: see _after.
        self._resting = False
        self._swept_at = monotonic()
        # Orders to write everything: given, tried, carried out.
        self._orders = threading.Condition()
        self._asked = self._tried = self._served = 0
        self._stopping = self._finished = False
        self._rescued = 0
        self._threads: list[threading.Thread] = []
        self._watch_alarm = Bell()
        journal.wake = self._wake

    # -- for any thread ------------------------------------------------------------------------

    def _wake(self) -> None:
        """The journal has its first change. On the thread, and under the lock, of the change."""
        if self._first is None:
            self._first = self._monotonic()
        # While it rests, or the database is away, the thread looks by itself: no wake for each.
        if not self._resting and not self._outage.down and not self._alarm.is_set():
            self._alarm.set()

    def use(self, settings: StorageSettings) -> None:
        """Other times and limits, from now on: what has no thread or connection of its own."""
        self.settings = settings
        self._period_at = min(self._period_at, _end_of(settings, self._monotonic()))
        self._alarm.set()

    def loaded(self, dialog: Dialog, stored: StoredDialog | None) -> None:
        """A dialog that was restored; stored: its rows, if they are to leave.

        That is so if they belong to another owner or have another place. They leave in the
        transaction that writes the dialog anew.
        """
        if stored is not None:
            self._changes.moved(dialog, OldRows.of(stored))

    def unload(self) -> None:
        """All dialogs are loaded, or adopted: in mode 3 their rows go now.

        A kill would leave calls behind that have ended since.
        """
        if self.settings.mode == SHUTDOWN and self._answered is not None:
            for dialogs in self._answered():
                self._changes.unload(dialogs, self._monotonic())
            self._alarm.set()

    def when_durable(self, dialog: Dialog, done: Done) -> None:
        """Tell ``done`` once what has changed in ``dialog`` so far is durable.

        It hears False if the database is away, or after ``sync_timeout``; always on a thread of
        the writer.
        """
        self._waiters.add(dialog, done, self._monotonic() + self.settings.sync_timeout)
        if self._outage.down:
            self._watch_alarm.set()
        elif self._first is None and not self._alarm.is_set():
            # Otherwise a step is due for the change itself, and looks for those that wait.
            self._alarm.set()

    def order_flush(self) -> int:
        """Have everything written that waits now; returns a number for :meth:`is_flushed`."""
        with self._orders:
            self._asked += 1
            number = self._asked
        self._alarm.set()
        return number

    def is_flushed(self, number: int) -> bool:
        """Whether what waited when this order was given is durable."""
        return self._served >= number

    def flush(self, deadline: float) -> int:
        """Write everything that waits, until ``deadline`` (monotonic clock); how much still waits.

        What waits goes on waiting.
        """
        number = self.order_flush()
        with self._orders:
            while self._served < number:
                left = deadline - self._monotonic()
                if left <= 0 or not self._orders.wait(left):
                    return len(self._changes) if self._served < number else 0
        return 0

    def status(self) -> StorageStatus:
        """How it goes; what the start and adoptions have found is not known here."""
        now, outage = self._monotonic(), self._outage
        known = [at for at in (self._changes.since(), self._first) if at is not None]
        oldest = max(now - min(known), 0.0) if known else 0.0
        allowed = self.settings.late_after
        if self.settings.mode == DELAYED:
            allowed += self.settings.update_period
        state: StorageState = "ok"
        if outage.down:
            state = "down"
        elif oldest > allowed and self.settings.mode != SHUTDOWN:
            state = "late"
        return StorageStatus(
            self.settings.mode,
            state,
            len(self._changes),
            oldest,
            self._transactions.commits,
            self._transactions.rows,
            outage.errors,
            outage.ended,
            outage.last,
            rescued=self._rescued,
            unsynced=self._waiters.unsynced,
            refused=self._transactions.refused,
        )

    # -- beginning and end ---------------------------------------------------------------------

    def start(self) -> None:
        """Start the threads."""
        self._period_at = _end_of(self.settings, self._monotonic())
        for name, run in (("dlgmgmt-db-writer", self._run), ("dlgmgmt-db-watch", self._run_watch)):
            thread = threading.Thread(target=run, name=name, daemon=True)
            thread.start()
            self._threads.append(thread)

    def stop(self, deadline: float) -> int:
        """Write everything until ``deadline`` (monotonic clock), and end all the same.

        What could not be written goes to a file of JSON lines; returns how many dialogs that are.
        """
        if self.settings.mode == SHUTDOWN and self._answered is not None:
            for dialogs in self._answered():
                self._changes.put(dialogs)
        self._stopping = True
        self._alarm.set()
        if self._threads:
            self._threads[0].join(max(deadline - self._monotonic(), 0.0))
        self._finished = True
        self._alarm.set()
        self._watch_alarm.set()
        self._waiters.expire(math.inf, everybody=True)
        left = self._changes.left(self._monotonic())
        return self._rescue(left) if left else 0

    def _rescue(self, left: Cut) -> int:
        records = [copy.record for copy in Changes.copies(left.dialogs, self._steady_offset())]
        owner = self.settings.owner
        ended, count = ended_of(left, owner)
        count += len(records)
        self._rescued = rescue(self.settings.rescue_dir, owner, self._wall(), records, ended, count)
        return self._rescued

    # -- the threads ---------------------------------------------------------------------------

    def _run(self) -> None:
        alarm = self._alarm
        while not self._finished:
            try:
                delay = self.step(self._monotonic())
            except Exception as error:  # noqa: BLE001 - logged; nobody else would write
                self._faults.tell(error)
                delay = SWEEP
            if not self._finished:
                alarm.wait(delay)
        self._database.close()

    def _run_watch(self) -> None:
        pause = min(WATCH, self.settings.sync_timeout / 4) if self.settings.sync_confirm else WATCH
        while not self._finished:
            self._watch_alarm.wait(pause)
            try:
                self.watch(self._monotonic())
            except Exception as error:  # noqa: BLE001 - logged; nobody else would tell who waits
                self._faults.tell(error)

    def watch(self, now: float) -> None:
        """Let nobody and nothing wait for a database that hangs."""
        self._lateness.look(self.status(), now)
        if self._waiters:
            self._waiters.expire(now, everybody=self._outage.down)
        busy = self._busy_since
        if busy is not None and now - busy >= SWEEP:
            self._sweep(now)

    def step(self, now: float) -> float | None:
        """Do what is due; seconds until the next step, None if it is only to come when woken."""
        asked = self._asked
        rested, self._resting = self._resting, False
        if self._stopping:
            # There is no other time.
            self._outage.hurry(now)
        retry_at = self._outage.retry_at
        if now < retry_at and asked == self._tried:
            self._sweep(now)
            return min(retry_at - now, SWEEP)
        due = now if rested and self._first is not None else self._due(now)
        if due > now:
            return due - now if due < math.inf else None
        self._tried = asked
        waiting = self._waiters.now()
        if now >= self._period_at and not self._changes.sorted:
            # Nothing has waited for it: the period begins with what comes now.
            self._period_at = self._next_period(now)
        self._sort(now)
        cut = self._changes.cut([w.dialog for _, w in waiting], ready=self._ready(now))
        if not self._write(cut, now):
            if self._outage.down:
                self._waiters.expire(now, everybody=True)
            return min(max(self._outage.retry_at - self._monotonic(), 0.0), SWEEP)
        if waiting:
            self._tell(waiting)
        took = min(_MARGIN * (self._monotonic() - min(due, now)), self.settings.commit_interval)
        self._expected = max(took, self._expected * _FORGET)
        return self._after(asked)

    def _tell(self, waiting: list[tuple[int, Waiter]]) -> None:
        """Let those know whose dialog does not wait any more."""
        over = [each for each in waiting if not self._changes.waits(each[1].dialog)]
        left_out = self._transactions.left_out
        if left_out or self.settings.mode == SHUTDOWN:
            lost = [e for e in over if self.settings.mode == SHUTDOWN or e[1].dialog in left_out]
            self._waiters.tell(lost, durable=False)
        self._waiters.tell(over, durable=True)

    def _due(self, now: float) -> float:
        # While it is away it is tried, though nothing waits: nobody else would find it back.
        if self._stopping or self._asked != self._served or self._outage.down:
            return now
        first = self._first
        due = math.inf
        if first is not None:
            due = first + self._room()
        elif self._waiters:
            return now
        if self._changes.sorted:
            if self._ready(now) or self._changes.deletions:
                return now
            if self.settings.mode == DELAYED:
                due = min(due, self._period_at)
        return due

    def _room(self) -> float:
        """Seconds that a change may wait until its transaction begins."""
        interval = self.settings.commit_interval
        return max(interval - self._expected, interval / 4)

    def _next_period(self, now: float) -> float:
        """When a period ends that begins with the first change that waits, or else now."""
        return _end_of(self.settings, now if self._first is None else min(self._first, now))

    def _ready(self, now: float) -> bool:
        """Whether all that is sorted is to be written, not deletions alone."""
        mode = self.settings.mode
        return (
            mode == REAL_TIME
            or self._stopping
            or (self._asked != self._served and mode == DELAYED)
            or (mode == DELAYED and now >= self._period_at)
        )

    def _after(self, asked: int) -> float | None:
        """When to go on after a transaction."""
        now = self._monotonic()
        if self._changes.sorted:
            if self._changes.deletions or self._ready(now):
                return 0.0 if self._stopping else _GIVE_WAY
        else:
            if now >= self._period_at:
                self._period_at = self._next_period(now)
            if asked != self._served:
                with self._orders:
                    self._served = asked
                    self._orders.notify_all()
            if self._stopping and self._first is None:
                self._finished = True
                return None
        if self._rests():
            # Where there was a change there are more. To be woken by the next one, only to wait
            # for those after it, would cost the thread that carries the calls as well.
            self._resting = True
            return self._room()
        due = self._due(now)
        return max(due - now, 0.0) if due < math.inf else None

    def _rests(self) -> bool:
        return (
            self.settings.mode == REAL_TIME
            and self._first is None
            and not self._changes.sorted
            and not self._waiters
            and self._asked == self._served
            and not self._stopping
        )

    def _sort(self, now: float) -> None:
        first, self._first = self._first, None
        self._changes.sort(now if first is None else first)

    def _sweep(self, now: float) -> None:
        """Keep what waits short while nothing can be written."""
        self._sort(now)
        if now - self._swept_at >= SWEEP:
            self._swept_at = now
            self._changes.sweep()

    # -- a transaction -------------------------------------------------------------------------

    def _write(self, cut: Cut, now: float) -> bool:
        """Write ``cut``; False if it waits again, for the database cannot be written to."""
        parts: list[Part] = []
        if cut or self._outage.down:
            waited = len(self._changes)
            self._busy_since = now
            try:
                for part in self._transactions.write(cut, self._steady_offset()):
                    parts.append(part)  # noqa: PERF402 - what came before an error counts
                if not cut:
                    self._transactions.probe()
            except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be lost
                text = f"{error}; {error.HINT}" if isinstance(error, Damaged) else str(error)
                if not isinstance(error, StorageError):
                    text = f"{type(error).__name__}: {error}"
                    self._faults.tell(error)
                elif error.undone:
                    self._changes.take_back(self._transactions.unwritten)
                self._transactions.unwritten = []
                self._changes.failed(cut, parts)
                # What waits goes to a file then: another try would only take time.
                self._finished |= self._stopping and isinstance(error, Damaged)
                self._outage.failed(text, now, self._monotonic(), self.settings.retry_max)
                return False
            finally:
                self._busy_since = None
            self._outage.passed(self._monotonic(), waited)
        self._changes.done(cut, parts)
        return True

    def _steady_offset(self) -> float:
        """Wall clock minus monotonic clock, without the jitter of reading the two.

        Otherwise moments that have not changed would differ from those that were written.
        """
        offset = self._wall() - self._monotonic()
        if abs(offset - self._offset) > _STEADY:
            self._offset = offset
        return self._offset


def _end_of(settings: StorageSettings, began: float) -> float:
    """When to write what has changed in a period of mode 2, so that it is done when that is over.

    Transactions may take as long then as one may in real time.
    """
    period = settings.update_period
    return began + max(period - settings.commit_interval, period / 2)
