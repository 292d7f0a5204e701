"""Rows that this daemon has not written as they are: Kamailio's, and broken ones.

What Kamailio leaves out gets the value that fits best; what cannot be right is a RowFault.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.states import STATE_NAMES, State
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.extras import MAX_TEXT, MAX_XDATA
from dlgmgmt.storage.tables import IN_COLUMNS, OUT_COLUMNS, VAR_COLUMNS

ANSWERED = frozenset({int(State.CONFIRMED), int(State.CONFIRMED_NA), int(State.CONCURRENT)})
EARLY = frozenset({int(State.UNCONFIRMED), int(State.EARLY)})
ID_BITS = 32
NUMBER_BITS = 53
"""Of times and flags; all of them are far from there."""

SWITCH_BITS = 5
MAX_ID = 2**ID_BITS - 1
MAX_NUMBER = 2**NUMBER_BITS - 1

MAX_CSEQ_DIGITS = 10
MAX_ROUTES = 2 * MAX_TEXT
"""Characters of a route set, which has commas besides its texts."""


class StoredDialog(NamedTuple):
    """The rows of one dialog; in_id, out_ids, var_ids: their keys, in the same order."""

    in_row: Row
    out_rows: list[Row]
    var_rows: list[Row]
    in_id: int
    out_ids: list[int]
    var_ids: list[int]


class _Columns:
    """One row, column by column."""

    __slots__ = ("_id", "_table", "_values")

    def __init__(self, table: str, names: tuple[str, ...], row: Row, row_id: int) -> None:
        self._table = table
        self._id = row_id
        self._values: dict[str, Any] = dict(zip(names, row, strict=True))

    def fault(self, name: str, why: str) -> RowFault:
        return RowFault(self._table, self._id, f"{name}: {why}")

    def text(self, name: str, default: str | None = None, *, most: int = MAX_TEXT) -> str:
        """A text; NULL stands for ``default``, and without one for a fault."""
        value = self._values[name]
        if value is None:
            if default is None:
                raise self.fault(name, "is NULL")
            return default
        if isinstance(value, bytes | memoryview):
            value = bytes(value).decode("utf-8", "surrogateescape")
        elif isinstance(value, int):
            # SQLite: a column may have any type, and its values too.
            value = str(value)
        if not isinstance(value, str):
            raise self.fault(name, "is no text")
        if len(value) > most:
            raise self.fault(name, f"has {len(value)} characters, at most {most} can be right")
        return value

    def filled(self, name: str) -> str:
        """A text that must not be empty."""
        value = self.text(name)
        if not value:
            raise self.fault(name, "is empty")
        return value

    def number(
        self, name: str, default: int | None = None, *, least: int = 0, most: int = MAX_NUMBER
    ) -> int:
        """An integer; NULL as with texts."""
        value = self._values[name]
        if value is None:
            if default is None:
                raise self.fault(name, "is NULL")
            return default
        number = _integer(value)
        if number is None:
            raise self.fault(name, f"is no integer: {value!r:.40}")
        if not least <= number <= most:
            raise self.fault(name, f"{number} is not within {least} to {most}")
        return number

    def moment(self, name: str, default: float) -> float:
        """Seconds with a fraction."""
        value = self._values[name]
        if value is None:
            return default
        try:
            moment = float(value)
        except (TypeError, ValueError):
            raise self.fault(name, f"is no number: {value!r:.40}") from None
        if not 0 <= moment <= MAX_NUMBER:
            raise self.fault(name, f"{moment} is not within 0 to {MAX_NUMBER}")
        return moment

    def cseq(self, name: str, default: str | None = None) -> str:
        """A CSeq number, which is a text in these tables."""
        text = self.text(name, default).strip()
        if not text and default is not None:
            return default
        if not text.isascii() or not text.isdecimal() or len(text) > MAX_CSEQ_DIGITS:
            raise self.fault(name, f"is no CSeq number: {text!r:.40}")
        return text

    def optional(self, name: str) -> str | None:
        """JSON, or nothing."""
        return self.text(name, "", most=MAX_XDATA) or None


def _integer(value: object) -> int | None:
    if isinstance(value, bytes):
        value = value.decode("latin-1")
    if isinstance(value, str):
        digits = value.strip()
        return int(digits) if digits.isascii() and digits.isdecimal() and len(digits) < 20 else None
    try:
        number = int(value)  # type: ignore[call-overload]  # int, float or Decimal of a driver
    except (TypeError, ValueError, OverflowError):
        return None
    return number if number == value else None


def checked_in(stored: StoredDialog, now: float, lifetime: int) -> Row:
    """The row of ``dialog_in`` as this daemon would have written it."""
    row = _Columns("dialog_in", IN_COLUMNS, stored.in_row, stored.in_id)
    state = row.number("state")
    if state not in ANSWERED and state not in EARLY:
        name = STATE_NAMES.get(State.DELETED) if state == State.DELETED else "there is none such"
        raise row.fault("state", f"{state}: {name}")
    h_entry = row.number("hash_entry", most=MAX_ID)
    h_id = row.number("hash_id", least=1, most=MAX_ID)
    callid = row.filled("callid")
    from_tag = row.filled("from_tag")
    start = row.number("start_time", 0)
    timeout = row.number("timeout", 0)
    left = timeout - int(now)
    if stored.out_rows:
        leg = _Columns("dialog_out", OUT_COLUMNS, stored.out_rows[0], stored.out_ids[0])
        to_uri = leg.text("to_uri", "")
    else:
        to_uri = ""
    return (
        stored.in_row[0],
        h_entry,
        h_id,
        row.text("did", "") or encode_did(h_entry, h_id),
        callid,
        from_tag,
        row.text("from_uri"),
        row.text("to_uri", to_uri),
        row.text("req_uri"),
        row.cseq("caller_original_cseq"),
        row.text("caller_contact"),
        row.text("caller_route_set", "", most=MAX_ROUTES),
        row.text("caller_sock", ""),
        row.text("toroute_name", ""),
        state,
        row.number("lifetime", left if timeout and left > 0 else lifetime),
        row.number("init_ts", start),
        start,
        timeout,
        row.number("session_ts", 0),
        row.number("sflags", 0, most=MAX_ID),
        row.number("dflags", 0),
        row.number("switches", 0, most=2**SWITCH_BITS - 1),
        row.optional("xdata"),
    )


def checked_leg(leg: Row, leg_id: int, dialog: Row, number: int) -> Row:
    """A row of ``dialog_out``. dialog: the row that it belongs to, checked; number: its place."""
    row = _Columns("dialog_out", OUT_COLUMNS, leg, leg_id)
    first = dialog[9]
    caller_cseq = row.cseq("caller_cseq", first)
    callee_cseq = row.cseq("callee_cseq", first)
    acked = row.number("acked", int(dialog[14] != State.CONFIRMED_NA), most=1)
    return (
        leg[0],
        dialog[1],
        dialog[2],
        dialog[3],
        row.text("to_uri", dialog[7]),
        row.filled("to_tag"),
        caller_cseq,
        callee_cseq,
        row.text("callee_contact"),
        row.text("callee_route_set", "", most=MAX_ROUTES),
        row.text("callee_sock", ""),
        row.number("leg_no", number),
        row.number("branch", 0),
        acked,
        # Kamailio starts with the INVITE's number: another one is the callee's own.
        row.number("callee_cseq_seen", int(callee_cseq != first), most=1),
        row.number("dflags", 0),
        row.moment("confirmed_at", 0.0 if acked else float(dialog[17])),
        row.moment("session_end", 0.0),
        row.optional("xdata"),
    )


def checked_var(row: Row, row_id: int) -> tuple[str, str]:
    """A variable of a row of ``dialog_vars``."""
    name, value = row[3], row[4]
    if type(name) is str and type(value) is str and name and len(name) + len(value) <= MAX_TEXT:
        return name, value
    columns = _Columns("dialog_vars", VAR_COLUMNS, row, row_id)
    return columns.filled("dialog_key"), columns.text("dialog_value", "")
