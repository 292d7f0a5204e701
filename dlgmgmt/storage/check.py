"""Whether what is stored can be loaded: tried with a table of its own, as a start would do it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import URL

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.restore import RestoreError, restore
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage import importer_ims
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.importer import Found, source
from dlgmgmt.storage.intake import Intake
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.spirals import Spirals
from dlgmgmt.storage.survey import strays, survey
from dlgmgmt.storage.tables import DIALOG_IN


class Trial:
    """A table into which dialogs are restored to see whether they can be. now: Unix time."""

    def __init__(self, now: float) -> None:
        self._now = now
        self._spirals = Spirals()
        self.table = DialogTable(
            DialogSettings(max_dialogs=2**31 - 1),
            wall=lambda: now,
            monotonic=lambda: 0.0,
            rng=random.Random(0),  # noqa: S311 - ids that are thrown away
        )

    def fault(self, record: DialogRecord, *, own: bool = True) -> str:
        """Why ``record`` cannot be restored, "" if it can. own: whether this program wrote it."""
        try:
            done = restore(self.table, record, beside=self._spirals.beside if own else None)
        except RestoreError as error:
            return str(error)
        self._spirals.note(done.dialog, record)
        return ""


@dataclass(slots=True)
class Checked:
    """What was seen of an owner's rows. dialogs: good ones. early: that a start drops.

    stray_legs, stray_variables: rows that belong to no dialog.
    """

    dialogs: int = 0
    early: int = 0
    faults: int = 0
    stray_legs: int = 0
    stray_variables: int = 0


def dialogs_of(
    database: Database, settings: StorageSettings, owner: str, now: float, seen: Checked
) -> Iterator[DialogRecord | RowFault]:
    """An owner's dialogs in the order of their rows, and what is wrong with the other rows.

    ``seen`` is filled in meanwhile. Raises StorageError.
    """
    trial = Trial(now)
    intake = Intake(settings, trial.table, wall=lambda: now)
    known = survey(database.query, owner, trial.table.hash_of)
    for page in database.read(owner, settings.fetch_rows):
        told = intake.sort(page, known.twins)
        seen.early += len(told.gone)
        for fault in told.faults:
            seen.faults += 1
            yield RowFault(*fault)
        for record, stored in told.records:
            text = trial.fault(record)
            if text:
                seen.faults += 1
                yield RowFault(DIALOG_IN.name, stored.in_id, text)
            else:
                seen.dialogs += 1
                yield record
    seen.stray_legs, seen.stray_variables = strays(database.query, owner)


def foreign_dialogs(url: URL, now: float, seen: Checked) -> Iterator[DialogRecord | RowFault]:
    """As ``dialogs_of``, of the rows without an owner, which kamailio's ims_dialog has written."""
    trial = Trial(now)
    found = Found()
    with source(url) as connection:
        for record, rows in importer_ims.read(connection, now, found):
            text = trial.fault(record, own=False)
            if text:
                seen.faults += 1
                yield RowFault(DIALOG_IN.name, rows[DIALOG_IN.name][0], text)
            else:
                seen.dialogs += 1
                yield record
    seen.early += found.early
    for fault in found.faults:
        seen.faults += 1
        yield fault
