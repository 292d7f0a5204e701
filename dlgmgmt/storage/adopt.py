"""Taking over rows of others: of a daemon that does not run, or of nobody (Kamailio's).

Each page moves in one transaction, and comes into the table afterwards. So a dialog is in the
database once at any time, and a daemon that dies in between finds it among its own rows.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage import importer_ims
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import RowsRefused
from dlgmgmt.storage.importer import Found, source
from dlgmgmt.storage.intake import Intake, Rows, rows_of
from dlgmgmt.storage.loader import Stopped, say_strays
from dlgmgmt.storage.rows import in_row, out_rows, var_rows
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.spirals import is_itself
from dlgmgmt.storage.survey import HIGHEST, strays, survey
from dlgmgmt.storage.tables import DIALOG_IN
from dlgmgmt.storage.url import parse_url
from dlgmgmt.storage.writer import SHUTDOWN

PAGE = 200
"""Dialogs of one transaction at most: the writer must not wait long."""

_Item = TypeVar("_Item")


class Move(NamedTuple):
    """A dialog on its way: as it will be, and the rows that it had; h_entry: of these."""

    record: DialogRecord
    rows: Rows
    moved: bool
    h_entry: int


class Adopter:
    """Moves rows of others to ``settings.owner`` and their dialogs into ``table``.

    database: for this thread alone. stopping: ends it between two pages.
    """

    def __init__(
        self,
        settings: StorageSettings,
        table: DialogTable,
        database: Database,
        intake: Intake,
        *,
        stopping: threading.Event,
        wall: Callable[[], float],
        give_way: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._table = table
        self._database = database
        self._intake = intake
        self._stopping = stopping
        self._wall = wall
        self._give_way = give_way
        self._rows = min(settings.fetch_rows or PAGE, PAGE)
        # What this program's rows have brought so far, by the hash_entry that it had.
        self._taken: dict[Dialog, int] = {}

    def adopt(self, owner: str | None) -> None:
        """Take over all rows of ``owner``. Raises OwnerTaken, StorageError, Stopped.

        What was taken over until then stays; the rest is where it was.
        """
        with self._database.take_owner(owner):
            if owner is None:
                self._adopt_foreign()
            else:
                self._adopt_owned(owner)

    def _adopt_owned(self, owner: str) -> None:
        """Rows of this program."""
        query = self._database.query
        found = survey(query, owner, self._table.hash_of)
        for page in self._database.read(owner, self._rows):
            told = self._intake.sort(page, found.twins)
            moves = [(record, rows_of(stored, found.twins)) for record, stored in told.records]
            gone = [rows_of(stored, found.twins) for stored in told.gone]
            self._take(moves, gone, own=True)
            self._intake.settle(told)
            self._pause()
        say_strays(strays(query, owner))

    def _adopt_foreign(self) -> None:
        """Rows of Kamailio, which name no dialog's legs by its numbers."""
        found = Found()
        with source(parse_url(self._settings.url)) as connection:
            calls = importer_ims.read(connection, self._wall(), found)
            for page in _pages(calls, self._rows):
                kept, late = self._intake.late(page)
                self._take(kept, [rows for _, rows in late])
                self._intake.purged += len(late)
                self._pause()
        for gone in _pages(found.gone, self._rows):
            self._take([], gone)
        self._intake.early += found.early
        for fault in found.faults:
            self._intake.faults.skip(fault.table, fault.id, fault.text)

    def _pause(self) -> None:
        if self._stopping.is_set():
            raise Stopped
        if self._give_way is not None:
            self._give_way()

    def _take(
        self,
        dialogs: Iterable[tuple[DialogRecord, Rows]],
        gone: list[Rows],
        *,
        own: bool = False,
    ) -> None:
        """Move what can be moved of a page, and load it; delete the rows ``gone``.

        own: these are rows of this program, so that one call may be two dialogs (spirals.py).
        """
        moves: list[Move] = []
        legs: dict[tuple[str, str, str], int] = {}
        for record, rows in dialogs:
            mine = [(record.callid, record.from_tag, leg.to_tag) for leg in record.legs]
            other = own and is_itself(record)
            again = any(leg in legs and not (other and legs[leg] == record.h_entry) for leg in mine)
            if again or self._is_there(record):
                self._skip(rows, "the call is there already")
                continue
            legs |= dict.fromkeys(mine, record.h_entry)
            moves.append(self._place(record, rows))
        try:
            self._write(moves, gone)
        except RowsRefused:
            # What the database does not take must not keep the others out.
            moves = [move for move in moves if self._moves_alone(move)]
            self._write([], gone)
        for move in moves:
            row = move.rows[DIALOG_IN.name][0]
            done = self._intake.restore(
                move.record, row, moved=move.moved, beside=lambda known, _: known in self._taken
            )
            if done is None:
                continue
            if own:
                self._taken[done.dialog] = move.h_entry
            if self._settings.mode == SHUTDOWN:
                with done.dialog.entry.lock:
                    done.dialog.stored = None

    def _skip(self, rows: Rows, text: str) -> None:
        self._intake.faults.skip(DIALOG_IN.name, rows[DIALOG_IN.name][0], text)

    def _is_there(self, record: DialogRecord) -> bool:
        entry = self._table.entry_of(record.callid)
        with entry.lock:
            return any(
                dialog.from_tag == record.from_tag
                and any(leg.to_tag in dialog.legs for leg in record.legs)
                and not (self._taken.get(dialog) == record.h_entry and is_itself(record))
                for dialog in entry.by_callid.get(record.callid, ())
            )

    def _place(self, record: DialogRecord, rows: Rows) -> Move:
        """Find a place that no dialog of this daemon has had.

        Rows of one that has ended may still wait to be deleted, by this identity.
        """
        entry = self._table.entry_of(record.callid)
        with entry.lock:
            h_id = record.h_id
            kept = entry.index == record.h_entry and entry.next_id <= h_id < HIGHEST
            if kept:
                entry.next_id = h_id + 1
            else:
                h_id = self._table.free_id(entry)
        did = encode_did(entry.index, h_id)
        placed = record._replace(h_entry=entry.index, h_id=h_id, did=did)
        return Move(placed, rows, not kept, record.h_entry)

    def _moves_alone(self, move: Move) -> bool:
        try:
            self._write([move], [])
        except RowsRefused as error:
            self._skip(move.rows, str(error))
            return False
        return True

    def _write(self, moves: list[Move], gone: list[Rows]) -> None:
        """One transaction: old rows go, and the same dialogs are written as own ones."""
        batch = WriteBatch()
        for rows in itertools.chain((move.rows for move in moves), gone):
            for table, ids in rows.items():
                batch.row_ids.setdefault(table, []).extend(ids)
        # In that mode nothing is in the database while the daemon runs.
        if self._settings.mode != SHUTDOWN:
            owner = self._settings.owner
            for record, *_ in moves:
                batch.dialogs.append(in_row(record, owner))
                batch.legs += out_rows(record, owner)
                batch.vars += var_rows(record, owner)
        if batch:
            self._database.write(batch)


def _pages(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    rest = iter(items)
    while page := list(itertools.islice(rest, size)):
        yield page
