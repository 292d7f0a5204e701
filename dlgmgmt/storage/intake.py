"""What becomes of each dialog that was read: loaded, dropped, or skipped with a word."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.restore import Beside, Restored, RestoreError, restore
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.faults import Faults
from dlgmgmt.storage.importer import Imported
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.rows import record_from
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.tables import DIALOG_IN, DIALOG_OUT, DIALOG_VARS, IN_COLUMNS, OUT_COLUMNS
from dlgmgmt.storage.twins import Verdict

_STATE = IN_COLUMNS.index("state")
_TO_URI = OUT_COLUMNS.index("to_uri")
_EARLY = (int(State.UNCONFIRMED), int(State.EARLY))
_TABLE = DIALOG_IN.name


Rows: TypeAlias = dict[str, list[int]]
"""Ids of rows, by the name of their table."""


class Sorted(NamedTuple):
    """A page. records: dialogs to be loaded, with their rows. gone: early and late ones, which go.

    purged: how many of these are late. faults: table, id and fault of what stays where it is.
    """

    records: list[tuple[DialogRecord, StoredDialog]]
    gone: list[StoredDialog]
    purged: int
    faults: list[tuple[str, int, str]]


class Intake:
    """Of one start, or one adoption. Its counts are those of a LoadReport."""

    def __init__(
        self, settings: StorageSettings, table: DialogTable, *, wall: Callable[[], float]
    ) -> None:
        self._settings = settings
        self._table = table
        self._wall = wall
        self.faults = Faults()
        # Calls that are given BYEs, one after the other.
        self._late = 0
        self.loaded = self.early = self.expired = self.purged = self.moved = 0

    def sort(self, page: list[StoredDialog], twins: dict[int, Verdict]) -> Sorted:
        """Read the rows of a page. twins: what is known of dialogs that share their identity."""
        records: list[tuple[DialogRecord, StoredDialog]] = []
        gone: list[StoredDialog] = []
        faults: list[tuple[str, int, str]] = []
        purged = 0
        now = self._wall()
        # With BYE, restore() finds out by itself who is late.
        purge = self._settings.on_expired == "purge"
        lifetime = self._table.settings.default_timeout
        for row in page:
            stored = row
            try:
                if twins and row.in_id in twins:
                    stored = _untangle(row, twins[row.in_id])
                if stored.in_row[_STATE] in _EARLY:
                    gone.append(stored)
                    continue
                record = record_from(stored, now=now, lifetime=lifetime)
            except RowFault as fault:
                faults.append((fault.table, fault.id, fault.text))
                continue
            if record.state in _EARLY:
                # A number that SQLite has kept as a text.
                gone.append(stored)
            elif purge and _over(record, now):
                purged += 1
                gone.append(stored)
            else:
                records.append((record, stored))
        return Sorted(records, gone, purged, faults)

    def settle(self, page: Sorted) -> None:
        """Count what is not loaded of a page, and say why."""
        self.purged += page.purged
        self.early += len(page.gone) - page.purged
        for table, row, text in page.faults:
            self.faults.skip(table, row, text)

    def late(self, page: list[Imported]) -> tuple[list[Imported], list[Imported]]:
        """Those to be loaded, and those that are to be purged."""
        if self._settings.on_expired != "purge":
            return page, []
        now = self._wall()
        kept = [one for one in page if not _over(one.record, now)]
        return kept, [one for one in page if _over(one.record, now)]

    def restore(
        self,
        record: DialogRecord,
        row: int,
        *,
        moved: bool = False,
        beside: Beside | None = None,
    ) -> Restored | None:
        """Put a dialog into the table; None, and a word in the log, if it cannot be.

        row: its id. moved: whether it has another place than that of its rows already. beside: as
        dlgmgmt.dialog.restore.
        """
        try:
            delay = self._late / self._settings.expired_rate
            done = restore(self._table, record, delay=delay, beside=beside)
        except RestoreError as error:
            self.faults.skip(_TABLE, row, str(error))
            return None
        self.loaded += 1
        self._late += done.late
        if done.expired:
            self.expired += 1
        if moved or done.moved:
            self.moved += 1
        return done


def rows_of(stored: StoredDialog, twins: dict[int, Verdict]) -> Rows:
    """All rows of a dialog, those of its copies included."""
    verdict = twins.get(stored.in_id)
    copies = verdict.copies if verdict is not None else ()
    return {
        DIALOG_IN.name: [stored.in_id, *copies],
        DIALOG_OUT.name: stored.out_ids,
        DIALOG_VARS.name: stored.var_ids,
    }


def _untangle(stored: StoredDialog, verdict: Verdict) -> StoredDialog:
    """The rows that are this dialog's own; raises RowFault if it is to be skipped."""
    if verdict.fault:
        raise RowFault(_TABLE, stored.in_id, verdict.fault)
    if not verdict.rivals:
        return stored
    owns = [verdict.is_own(leg[_TO_URI]) for leg in stored.out_rows]
    if None in owns:
        fault = "its legs cannot be told from those of another call with its hash_entry:hash_id"
        raise RowFault(_TABLE, stored.in_id, fault)
    legs = [number for number, own in enumerate(owns) if own]
    # Whose the variables are nobody can say.
    return stored._replace(
        out_rows=[stored.out_rows[number] for number in legs],
        out_ids=[stored.out_ids[number] for number in legs],
        var_rows=[],
        var_ids=[],
    )


def _over(record: DialogRecord, now: float) -> bool:
    """Whether a dialog's time has run out, or that of its session."""
    return 0 < record.timeout <= now or 0 < record.session_ts <= now
