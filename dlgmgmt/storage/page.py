"""A page of dialogs as it was read: rows of dialogs joined with their legs, and variables."""

from __future__ import annotations

from operator import itemgetter
from typing import Any, Final

from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.tables import IN_COLUMNS, OUT_COLUMNS, SHARED

_LEG: Final = 1 + len(IN_COLUMNS)
_SHARED: Final = 1 + len(SHARED)
_LEG_NO: Final = OUT_COLUMNS.index("leg_no")


def whole_dialogs(rows: list[Row], var_rows: list[Row]) -> list[StoredDialog]:
    """The rows of each dialog.

    rows: key and columns of a dialog, key and columns of one of its legs, less SHARED. var_rows:
    keys and columns of the variables.
    """
    dialogs = _joined(rows)
    if var_rows:
        _add_variables(dialogs, var_rows)
    return dialogs


def _joined(rows: list[Row]) -> list[StoredDialog]:
    """Rows of the join: those of a dialog stand together."""
    found: list[StoredDialog] = []
    make = tuple.__new__
    last = -1
    for row in rows:
        row_id = row[0]
        leg_id = row[_LEG]
        if row_id <= last:
            if row_id < last:
                # No database does so, but none has promised not to.
                return _joined(sorted(rows, key=itemgetter(0)))
            dialog = found[-1]
            dialog.out_rows.append(row[1:_SHARED] + row[_LEG + 1 :])
            dialog.out_ids.append(leg_id)
            continue
        last = row_id
        if leg_id is None:
            found.append(StoredDialog(row[1:_LEG], [], [], row_id, [], []))
        else:
            leg = row[1:_SHARED] + row[_LEG + 1 :]
            fields: tuple[Any, ...] = (row[1:_LEG], [leg], [], row_id, [leg_id], [])
            found.append(make(StoredDialog, fields))
    for dialog in found:
        if len(dialog.out_rows) > 1:
            _sort_legs(dialog)
    return found


def _sort_legs(dialog: StoredDialog) -> None:
    """Own legs by their number, Kamailio's by their key."""

    def place(leg: tuple[Row, int]) -> tuple[int, int]:
        number = leg[0][_LEG_NO]
        return number if isinstance(number, int) else -1, leg[1]

    legs = sorted(zip(dialog.out_rows, dialog.out_ids, strict=True), key=place)
    dialog.out_rows[:] = [row for row, _ in legs]
    dialog.out_ids[:] = [row_id for _, row_id in legs]


def _add_variables(dialogs: list[StoredDialog], rows: list[Row]) -> None:
    by_key: dict[tuple[object, object], dict[int, Row]] = {}
    for row in rows:
        # Two dialogs with one key, which only Kamailio writes, bring each variable twice.
        by_key.setdefault(row[2:4], {})[row[0]] = row[1:]
    for dialog in dialogs:
        found = by_key.get(dialog.in_row[1:3])
        if found:
            dialog.var_ids.extend(found)
            dialog.var_rows.extend(found.values())
