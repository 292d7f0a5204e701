"""Dialogs as batches of rows: of each dialog only the rows that differ from those written last.

``Dialog.stored`` is None of a dialog that has no rows, LOADED of one that may have rows of unknown
contents (loaded, or the last write failed), and else what this module returned when it was written.
"""

from __future__ import annotations

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.rows import in_row, out_rows, var_rows

Written = tuple[int, ...]
"""Hashes of the rows: that of the dialog, that of its variables (0 without any), one of each leg.

Not the rows themselves: a busy daemon would keep every dialog twice.
"""


def add(batch: WriteBatch, record: DialogRecord, before: object | None, owner: str) -> Written:
    """Put into ``batch`` what has to be written of a dialog; what to remember once it is."""
    row = in_row(record, owner)
    legs = out_rows(record, owner)
    variables = record.variables
    vars_hash = hash(variables) if variables else 0
    after: Written = (hash(row), vars_hash, *map(hash, legs))
    if isinstance(before, tuple):
        if after == before:
            return after
        place = record.h_entry, record.h_id
        if after[0] != before[0]:
            batch.dialogs.append(row)
        if after[2:] != before[2:]:
            known = len(before) - 2
            batch.legs += [
                leg
                for number, leg in enumerate(legs)
                if number >= known or after[number + 2] != before[number + 2]
            ]
            if len(legs) < known:
                batch.legs_beyond.append((*place, len(legs)))
        if vars_hash != before[1]:
            batch.vars_replaced.append(place)
            batch.vars += var_rows(record, owner)
        return after
    batch.dialogs.append(row)
    batch.legs += legs
    if before is not None:
        place = record.h_entry, record.h_id
        batch.legs_beyond.append((*place, len(legs)))
        batch.vars_replaced.append(place)
    if variables:
        batch.vars += var_rows(record, owner)
    return after


def size(batch: WriteBatch) -> int:
    """How many rows and deletions are in ``batch``."""
    return (
        len(batch.deletes)
        + len(batch.dialogs)
        + len(batch.legs)
        + len(batch.legs_beyond)
        + len(batch.vars_replaced)
        + len(batch.vars)
        + sum(map(len, batch.row_ids.values()))
    )
