"""Loading the daemon's own dialogs, page by page, while SIP is answered."""

from __future__ import annotations

import gc
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from operator import lt
from typing import NamedTuple, TypeVar, cast

from sqlalchemy import literal, select

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.restore import put_plain
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage.batch import Row, WriteBatch
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import Damaged, StorageError
from dlgmgmt.storage.intake import Intake, rows_of
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.plain import plain_call, plain_variables
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.spirals import Spirals
from dlgmgmt.storage.survey import highest, strays, survey
from dlgmgmt.storage.twins import Verdict
from dlgmgmt.storage.writer import Writer

_LOG = logging.getLogger(__name__)

PIECE = 200
"""Dialogs between two moments at which signalling is let in, however large a page is."""

SAY = 5.0
"""Seconds between two lines about how far it is."""

_FIRST_PAUSE = 0.1
_Answer = TypeVar("_Answer")


class LoadReport(NamedTuple):
    """What was found in the database. Dialogs, but for ``seconds``.

    loaded: in the table now, ``expired`` and ``moved`` ones included. early: dropped, for their
    transactions are gone. expired: their time had run out, they are being ended. purged: the same,
    and removed. skipped: rows that stand for no dialog. moved: with another hash_entry:hash_id than
    they were stored with.
    """

    loaded: int = 0
    early: int = 0
    expired: int = 0
    purged: int = 0
    skipped: int = 0
    moved: int = 0
    seconds: float = 0.0


def report_of(intake: Intake, began: float) -> LoadReport:
    """What ``intake`` has counted since ``began`` (time.monotonic)."""
    return LoadReport(
        intake.loaded,
        intake.early,
        intake.expired,
        intake.purged,
        intake.faults.count,
        intake.moved,
        time.monotonic() - began,
    )


class Stopped(Exception):
    """The daemon ends while rows are still being read."""


class Loader:
    """Reads the rows of ``settings.owner`` into ``table``.

    database: for this thread alone. stopping: ends it early. give_way: called between pieces, with
    no lock held. single: as survey().
    """

    def __init__(
        self,
        settings: StorageSettings,
        table: DialogTable,
        database: Database,
        writer: Writer,
        intake: Intake,
        *,
        stopping: threading.Event,
        give_way: Callable[[], None] | None = None,
        single: bool = False,
    ) -> None:
        self._settings = settings
        self._table = table
        self._database = database
        self._writer = writer
        self._intake = intake
        self._stopping = stopping
        self._give_way = give_way
        self._single = single
        self._said = time.monotonic()
        # What shared its identity, and what of it is loaded.
        self.twins: dict[int, Verdict] = {}
        self.loaded_twins: set[int] = set()
        self._spirals = Spirals()
        self._legs = self._variables = 0
        self._has_variables = True
        self._undropped = False
        # Since when it answers, and what is asked of it fails.
        self._failing: float | None = None

    def load(self) -> None:
        """Load all; raises Stopped, or Damaged. An outage only takes time."""
        owner = self._settings.owner
        query, hash_of = self._database.query, self._table.hash_of
        tops = self._insist(lambda: highest(query, owner))
        for h_entry, h_id in tops.items():
            reserve(self._table, h_entry, h_id)
        found = self._insist(lambda: survey(query, owner, hash_of, single=self._single))
        self.twins = found.twins
        self._has_variables = found.variables > 0
        seen = 0
        for page in self._pages(owner):
            ids = [row[0] for row in page]
            # Dialogs of several legs have several rows.
            alone = all(map(lt, ids, ids[1:]))
            ids = ids if alone else sorted(set(ids))
            for start in range(0, len(ids), PIECE):
                if alone:
                    self._take_calls(page[start : start + PIECE])
                else:
                    self._take(self._whole(ids[start : start + PIECE]))
                self._pause()
            seen += len(ids)
            self._say(seen, found.dialogs)
        if (self._legs, self._variables) != (found.legs, found.variables):
            say_strays(self._insist(lambda: strays(self._database.query, owner)))

    def _take_calls(self, rows: list[Row]) -> None:
        """Dialogs of one leg each, or none, nearly all of them ordinary calls.

        They go in in their order: of two with the same identity the first one counts.
        """
        table, twins = self._table, self.twins
        wall, monotonic = table.wall(), table.monotonic()
        made = [plain_call(row, table, wall, monotonic) for row in rows]
        ids = [row[0] for row in rows]
        if self._has_variables:
            self._add_variables(ids, made)
        if twins:
            made = [
                None if row_id in twins else call for row_id, call in zip(ids, made, strict=True)
            ]
        if None not in made:
            self._put(cast("list[Dialog]", made), ids, monotonic - wall)
            return
        others = [row_id for row_id, call in zip(ids, made, strict=True) if call is None]
        whole = {dialog.in_id: dialog for dialog in self._whole(others)}
        at = 0
        for plain, group in groupby(made, bool):
            calls = list(group)
            some = ids[at : at + len(calls)]
            at += len(calls)
            if plain:
                self._put(cast("list[Dialog]", calls), some, monotonic - wall)
            else:
                self._take([whole[row_id] for row_id in some if row_id in whole])

    def _add_variables(self, ids: list[int], calls: list[Dialog | None]) -> None:
        """Add those of ordinary calls; None takes the place of one whose variables are not."""
        owner, first, last = self._settings.owner, ids[0], ids[-1]
        found: dict[int, list[Row]] = {}
        for row in self._insist(lambda: self._database.call_variables(owner, first, last)):
            found.setdefault(row[0], []).append(row[1:])
        if not found:
            return
        for place, call in enumerate(calls):
            rows = found.get(ids[place])
            if rows is not None and call is not None:
                variables = plain_variables(rows)
                if variables is None:
                    calls[place] = None
                else:
                    call.variables = variables

    def _put(self, calls: list[Dialog], ids: list[int], offset: float) -> None:
        """Calls and their keys; offset: what to add to Unix seconds to get the monotonic clock."""
        while calls:
            # Once they are in the table, they change.
            variables = [len(c.variables) for c in calls] if self._has_variables else []
            done = put_plain(self._table, calls, offset)
            self._intake.loaded += done
            self._legs += done
            self._variables += sum(variables[:done])
            # The place of the next one, if there is one, is not free.
            self._take(self._whole(ids[done : done + 1]))
            calls, ids = calls[done + 1 :], ids[done + 1 :]

    def _whole(self, ids: list[int]) -> list[StoredDialog]:
        """All of some dialogs."""
        if not ids:
            return []
        return self._insist(lambda: self._database.dialogs(self._settings.owner, ids))

    def _take(self, piece: list[StoredDialog]) -> None:
        """Dialogs of any kind."""
        twins = self.twins
        told = self._intake.sort(piece, twins)
        self._intake.settle(told)
        for record, stored in told.records:
            done = self._intake.restore(record, stored.in_id, beside=self._spirals.beside)
            if twins and stored.in_id in twins and done is not None:
                self.loaded_twins.add(stored.in_id)
            if done is not None and done.moved:
                # Nobody else has a row at its new place: reserve() has seen to it.
                self._writer.loaded(done.dialog, stored)
                self._spirals.note(done.dialog, record)
        if told.gone:
            self._drop(told.gone, twins)
        for stored in piece:
            self._legs += len(stored.out_rows)
            self._variables += len(stored.var_rows)

    def _drop(self, gone: list[StoredDialog], twins: dict[int, Verdict]) -> None:
        """Delete the rows of dialogs that are not loaded."""
        batch = WriteBatch()
        for stored in gone:
            for table, ids in rows_of(stored, twins).items():
                batch.row_ids.setdefault(table, []).extend(ids)
        try:
            self._database.write(batch)
        except StorageError as error:
            # They are dropped again at the next start.
            if not self._undropped:
                _LOG.warning("database: rows of early or expired dialogs remain: %s", error)
            self._undropped = True

    def _pages(self, owner: str) -> Iterator[list[Row]]:
        """All pages of an owner, through outages."""
        # What is written meanwhile is of dialogs that are in the table, or have been.
        last = self._insist(lambda: self._database.last(owner))
        read, count = self._database.calls, self._settings.fetch_rows
        after = 0
        pause = 0.0
        while True:
            try:
                for page in read(owner, count, after=after, last=last):
                    after = max(row[0] for row in page)
                    pause = 0.0
                    yield page
            except StorageError as error:
                pause = self._wait(pause, error)
            else:
                return

    def _insist(self, ask: Callable[[], _Answer]) -> _Answer:
        pause = 0.0
        while True:
            try:
                return ask()
            except StorageError as error:
                pause = self._wait(pause, error)

    def _wait(self, pause: float, error: StorageError) -> float:
        """Wait before the next try; the pause after which to give the next one."""
        if isinstance(error, Damaged):
            raise error
        now = time.monotonic()
        if not pause:
            self._failing = None
            _LOG.error("database: %s; loading goes on when it is back", error)
        if not self._answers():
            self._failing = None
        elif self._failing is None:
            self._failing = now
        elif now - self._failing > self._settings.connect_timeout:
            raise Damaged(f"{error}: it answers, and this cannot be read")
        pause = min(max(2 * pause, _FIRST_PAUSE), self._settings.retry_max)
        if self._stopping.wait(pause):
            raise Stopped
        return pause

    def _answers(self) -> bool:
        """Whether the database does what needs none of the rows."""
        try:
            self._database.query(select(literal(1)))
        except StorageError:
            return False
        return True

    def _pause(self) -> None:
        if self._stopping.is_set():
            raise Stopped
        if self._give_way is not None:
            self._give_way()

    def _say(self, seen: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said >= SAY:
            self._said = now
            _LOG.info("database: %d of %d dialogs read", seen, max(seen, total))


def reserve(table: DialogTable, h_entry: int, h_id: int) -> None:
    """Have new dialogs of an entry take ids above ``h_id``.

    A row that is not loaded (yet) keeps its identity: a new dialog with the same one would write
    over it, or find its legs and variables beside its own.
    """
    entry = table.entry_at(h_entry)
    if entry is None:
        return
    with entry.lock:
        entry.next_id = max(entry.next_id, h_id + 1)


def say_strays(found: tuple[int, int]) -> None:
    """Say that there are legs and variables of no dialog."""
    if any(found):
        _LOG.warning("database: %d legs and %d variables belong to no dialog", *found)


@contextmanager
def quiet_gc() -> Iterator[None]:
    """Collect no cycles meanwhile, and never walk through what has been made.

    All that is loaded stays: each collection would only look at more of it.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
