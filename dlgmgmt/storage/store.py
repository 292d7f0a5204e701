"""What the daemon sees of its database: opened, loaded from, written to, closed."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage.adopt import Adopter
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.drivers import target_of
from dlgmgmt.storage.errors import Damaged, OwnerTaken, SchemaError, StorageError
from dlgmgmt.storage.intake import Intake
from dlgmgmt.storage.loader import Loader, LoadReport, Stopped, quiet_gc, report_of
from dlgmgmt.storage.locks import WAIT
from dlgmgmt.storage.mend import Indexes, indexes_of, mend
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.status import StorageStatus
from dlgmgmt.storage.url import parse_url
from dlgmgmt.storage.writer import SHUTDOWN, Writer

_LOG = logging.getLogger(__name__)

_FIRST_PAUSE = 0.1
_PATIENCE = 5.0
"""Seconds that the end waits for rows that are just being read."""


class Storage:
    """The dialogs of ``table`` in a database, for a mode other than 0.

    wall: Unix time. monotonic: the clock of the timeouts. give_way: called between pieces of long
    work, with no lock held. writer: says of single dialogs when they are durable.

    ``open``, ``start``, ``load`` and ``stop`` are called in this order, each once; ``load`` and
    ``adopt`` block for as long as they take and want a thread of their own; the others may be
    called from any. ``stop`` ends whatever is under way.
    """

    def __init__(
        self,
        settings: StorageSettings,
        table: DialogTable,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        give_way: Callable[[], None] | None = None,
    ) -> None:
        self.settings = settings
        self._table = table
        self._wall = wall
        self._monotonic = monotonic
        self._give_way = give_way
        self._target = target_of(settings, parse_url(settings.url))
        journal = Journal()
        # One connection for each thread; the writer's holds the lock.
        self._main = Database(settings)
        self.writer = Writer(
            journal,
            self._main,
            settings,
            wall=wall,
            monotonic=monotonic,
            answered=table.iter_answered,
        )
        table.use_journal(journal)
        self._stopping = threading.Event()
        self._started = self._loaded = False
        # Held by whoever reads rows.
        self._reading = threading.Lock()
        self._start = Intake(settings, table, wall=wall)
        self._found = LoadReport()
        self._adopted = 0

    def open(self) -> None:
        """Connect, check or make the tables, and become the owner of the rows.

        It is tried for ``connect_timeout``; then StorageError, OwnerTaken or SchemaError.
        """
        deadline = time.monotonic() + self.settings.connect_timeout
        pause = _FIRST_PAUSE
        said = False
        patience = 0.0
        while True:
            try:
                self._main.open(patience=patience)
            except (Damaged, SchemaError):
                raise
            except OwnerTaken as error:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping.is_set():
                    raise
                if not patience:
                    _LOG.warning("database: %s; its end is waited for, %.0f s at most", error, left)
                # It looks often enough by itself.
                patience = min(WAIT, left)
            except StorageError as error:
                left = deadline - time.monotonic()
                if left <= 0 or self._stopping.wait(min(pause, left)):
                    raise
                if not said:
                    said = True
                    _LOG.warning("database: %s; tried again for %.0f s", error, left)
                pause = min(pause * 2, self.settings.retry_max)
            else:
                return

    def start(self) -> None:
        """From now on changes are written. Before load(): what ends meanwhile must not return."""
        self._started = True
        self.writer.start()

    def load(self) -> LoadReport:
        """Load the dialogs. It goes on through outages, until it is done or stop() is called.

        Raises Damaged if rows cannot be read though the database answers.
        """
        began = time.monotonic()
        intake = self._start
        indexes = self._indexes()
        try:
            with self._reader() as database, quiet_gc():
                loader = Loader(
                    self.settings,
                    self._table,
                    database,
                    self.writer,
                    intake,
                    stopping=self._stopping,
                    give_way=self._give_way,
                    single=indexes is not None and indexes.single,
                )
                loader.load()
                if indexes is None or any(indexes):
                    self._mend(loader)
                self._take_over(database, intake)
                if self.settings.mode == SHUTDOWN:
                    # From now on nothing is in the database, and no change concerns it.
                    self.writer.unload()
                    self._table.use_journal(None)
        except Stopped:
            _LOG.warning("database: stopped before all dialogs were loaded")
        self._loaded = True
        intake.faults.close()
        self._found = report_of(intake, began)
        _say(self._found)
        return self._found

    def _indexes(self) -> Indexes | None:
        """None in an outage, of which the loader will hear as well."""
        try:
            return indexes_of(self._target)
        except StorageError:
            return None

    def _mend(self, loader: Loader) -> None:
        """Nothing can be written by indexes that are not there."""
        try:
            mend(self._target, self.settings.owner, loader.twins, loader.loaded_twins)
        except StorageError as error:
            _LOG.error("database: indexes cannot be made: %s", error)

    @contextmanager
    def _reader(self) -> Iterator[Database]:
        """A connection for this thread, one at a time."""
        with self._reading:
            database = Database(self.settings, lock=False, repairs=True)
            try:
                yield database
            finally:
                database.close()

    def _take_over(self, database: Database, intake: Intake) -> None:
        """Make rows without an owner the daemon's own; if that fails they stay as they are."""
        adopter = self._adopter(database, intake)
        deadline = time.monotonic() + self.settings.connect_timeout
        pause = _FIRST_PAUSE
        before = intake.loaded
        while True:
            try:
                if database.count(None):
                    adopter.adopt(None)
                self._adopted += intake.loaded - before
            except OwnerTaken:
                _LOG.warning("database: another daemon is taking over the rows without an owner")
                return
            except Damaged:
                raise
            except StorageError as error:
                if time.monotonic() > deadline:
                    _LOG.error(
                        "database: %s; rows without an owner stay until dlg.db_adopt takes them",
                        error,
                    )
                    return
            else:
                return
            if self._stopping.wait(pause):
                raise Stopped
            pause = min(pause * 2, self.settings.retry_max)

    def _adopter(self, database: Database, intake: Intake) -> Adopter:
        return Adopter(
            self.settings,
            self._table,
            database,
            intake,
            stopping=self._stopping,
            wall=self._wall,
            give_way=self._give_way,
        )

    def adopt(self, owner: str | None) -> LoadReport:
        """Take over the rows of another daemon that does not run; None: rows without an owner.

        Raises OwnerTaken if it runs, StorageError. What was taken until then stays.
        """
        if owner == self.settings.owner:
            raise StorageError(f"{owner} is this daemon itself")
        began = time.monotonic()
        intake = Intake(self.settings, self._table, wall=self._wall)
        try:
            with self._reader() as database:
                self._adopter(database, intake).adopt(owner)
        except Stopped:
            raise StorageError("the daemon is stopping") from None
        finally:
            intake.faults.close()
            self._adopted += intake.loaded
        report = report_of(intake, began)
        _say(report)
        return report

    def flush(self, deadline: float) -> int:
        """Have written what waits, until ``deadline`` (monotonic); how many dialogs still wait."""
        return self.writer.flush(deadline)

    def stop(self) -> None:
        """Write what waits, for ``stop_timeout`` at most; the rest goes to a file. Close."""
        self._stopping.set()
        if self._reading.acquire(timeout=_PATIENCE):
            self._reading.release()
        self.writer.stop(self._monotonic() + self.settings.stop_timeout)
        if not self._started:
            self._main.close()

    def status(self) -> StorageStatus:
        """How it goes."""
        status = self.writer.status()
        intake = self._start
        return status._replace(
            state=status.state if self._loaded else "loading",
            loaded=intake.loaded,
            skipped=intake.faults.count,
            early=intake.early,
            expired=intake.expired + intake.purged,
            adopted=self._adopted,
        )

    def statistics(self) -> Sequence[tuple[str, int]]:
        """The statistics group ``database``."""
        status = self.status()
        return (
            ("adopted", status.adopted),
            ("commits", status.commits),
            ("down", int(status.state == "down")),
            ("early", status.early),
            ("errors", status.errors),
            ("expired", status.expired),
            ("loaded", status.loaded),
            ("oldest_ms", int(status.oldest * 1000)),
            ("reconnects", status.reconnects),
            ("refused", status.refused),
            ("rescued", status.rescued),
            ("rows", status.rows),
            ("skipped", status.skipped),
            ("unsynced", status.unsynced),
            ("waiting", status.waiting),
        )


def _say(report: LoadReport) -> None:
    """What was found, in one line."""
    words = ", ".join(
        f"{count} {word}"
        for word, count in (
            ("moved", report.moved),
            ("expired", report.expired),
            ("purged", report.purged),
            ("early and dropped", report.early),
            ("skipped", report.skipped),
        )
        if count
    )
    more = f" ({words})" if words else ""
    _LOG.info("database: %d dialogs loaded in %.2f s%s", report.loaded, report.seconds, more)
