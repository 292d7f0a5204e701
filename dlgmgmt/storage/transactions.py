"""Changed dialogs as transactions: one, or several where a dialog is refused."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.storage import rowdiff
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.changes import Changes, Copy, Cut, Gone, OldRows, Part
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import RowsRefused, StorageError
from dlgmgmt.storage.faults import printable
from dlgmgmt.storage.tables import DIALOG_IN

_LOG = logging.getLogger(__name__)
_NO_ROW = -1


class Transactions:
    """Of one owner; for the writer's thread.

    commits, rows, refused: transactions, rows, and dialogs that were left out, so far. left_out:
    the dialogs of the last call that were. unwritten: those of the last call that was broken off.
    """

    def __init__(self, database: Database, owner: str, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._owner = owner
        self._monotonic = monotonic
        self._told_at = -math.inf
        self.commits = 0
        self.rows = 0
        self.refused = 0
        self.left_out: list[Dialog] = []
        self.unwritten: list[Copy] = []

    def write(self, cut: Cut, offset: float) -> Iterator[Part]:
        """Write ``cut``; each item is durable. Raises StorageError, the rest is unwritten then.

        offset: wall clock minus monotonic clock. A dialog that the database does not take is found
        by halves and left out until it changes again: strangers write what stands in it, and it
        must not keep the others out.
        """
        self.left_out = []
        todo = [(Changes.copies(cut.dialogs, offset), cut.gone, cut.old)]
        while todo:
            copies, gone, old = todo.pop()
            try:
                yield self._commit(copies, gone, old)
            except RowsRefused as error:
                if not copies:
                    raise
                middle = len(copies) // 2
                # Rows that a dialog had elsewhere go with its new ones, and not before.
                last = {copy.dialog for copy in copies[middle:]}
                after = {dialog: rows for dialog, rows in old.items() if dialog in last}
                before = {dialog: rows for dialog, rows in old.items() if dialog not in last}
                if middle:
                    todo += [(copies[middle:], {}, after), (copies[:middle], gone, before)]
                else:
                    self._refuse(copies[0].dialog, error)
                    todo.append(([], gone, before))
            except StorageError:
                self.unwritten = [*copies, *(copy for more, *_ in todo for copy in more)]
                raise

    def probe(self) -> None:
        """Write nothing, in such a way that a database that takes no rows refuses."""
        self._database.write(WriteBatch(row_ids={DIALOG_IN.name: [_NO_ROW]}))

    def _commit(self, copies: list[Copy], gone: Gone, old: dict[Dialog, OldRows]) -> Part:
        owner = self._owner
        batch = WriteBatch(deletes=[(owner, *place) for place in gone])
        written: list[tuple[Dialog, object]] = []
        bad: set[Dialog] = set()
        for dialog, record, before in copies:
            try:
                written.append((dialog, rowdiff.add(batch, record, before, owner)))
            except Exception as error:  # noqa: BLE001 - one bad dialog must not stop the others
                self._refuse(dialog, error)
                bad.add(dialog)
        went = [dialog for dialog in old if dialog not in bad]
        for dialog in went:
            for table, ids in old[dialog].ids.items():
                batch.row_ids.setdefault(table, []).extend(ids)
        if batch:
            self._database.write(batch)
            self.commits += 1
            self.rows += rowdiff.size(batch)
        return Part(written, gone, went)

    def _refuse(self, dialog: Dialog, error: Exception) -> None:
        self.refused += 1
        self.left_out.append(dialog)
        now = self._monotonic()
        if now - self._told_at >= 1.0:
            self._told_at = now
            text = printable(f"callid={dialog.callid!r}: {error}")
            _LOG.warning("database: %s: is not stored", text)
