"""What ims_dialog has stored: ``dialog_in`` has the caller's side, ``dialog_out`` a row a leg.

The rows do not say which of several legs was answered: the phones that only rang stay in the table
beside it. All of them are taken for answered, so that whoever ends the call tells the right one.
Nor do they follow the CSeq numbers: those of the INVITE stay there whatever the phones send later.
A BYE with a number that a phone has seen is refused, so the daemon's own numbers begin well above.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Connection

from dlgmgmt.dialog.cseq import ShiftState
from dlgmgmt.dialog.model import MAX_LEGS
from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.dialog.states import State
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.importer import Found, Imported, Source
from dlgmgmt.storage.ims_links import DialogRow, LegRow, link
from dlgmgmt.storage.values import Values, dialog_of, leg_of

_IN_COLUMNS = frozenset(
    {
        *("id", "hash_entry", "hash_id", "did", "callid", "from_uri", "from_tag", "req_uri"),
        *("caller_original_cseq", "caller_route_set", "caller_contact", "caller_sock"),
        *("state", "start_time", "timeout", "sflags", "toroute_name"),
    }
)
_OUT_COLUMNS = frozenset(
    {
        *("id", "hash_entry", "hash_id", "did", "to_uri", "to_tag", "caller_cseq", "callee_cseq"),
        *("callee_contact", "callee_route_set", "callee_sock"),
    }
)
CSEQ_MARGIN = 1000
"""By how much; a phone that refreshes its session every minute needs some 700 in twelve hours."""

_EARLY = (State.UNCONFIRMED, State.EARLY)
_ANSWERED = (State.CONFIRMED, State.CONFIRMED_NA, State.CONCURRENT)


def read(connection: Connection, now: float, found: Found) -> Iterator[Imported]:
    """The calls of the three tables, in the order of their rows; the rest is noted in ``found``.

    now: Unix time. Raises SchemaError.
    """
    source = Source(connection)
    dialogs = list(source.rows(source.table("dialog_in", _IN_COLUMNS)))
    legs = {row["id"]: row for row in source.rows(source.table("dialog_out", _OUT_COLUMNS))}
    variables = source.variables(found)
    owned, unsure = _links(dialogs, legs)
    for row in dialogs:
        values = Values("dialog_in", row)
        found.calls += 1
        numbers = owned.get(values.id, [])
        try:
            key = values.integer("hash_entry"), values.integer("hash_id")
            pairs = variables.pop(key, [])
            state = values.integer("state")
            rows = {
                "dialog_in": [values.id],
                "dialog_out": numbers,
                "dialog_vars": [number for number, *_ in pairs],
            }
            if state in _EARLY or state == State.DELETED:
                found.early += state in _EARLY
                found.ended += state == State.DELETED
                found.gone.append(rows)
                continue
            if state not in _ANSWERED:
                raise values.fault(f"state is {state}, which is none of that module")
            if not numbers:
                raise values.fault(
                    "which rows of dialog_out are its legs is not certain"
                    if values.id in unsure
                    else "it has no row in dialog_out, and without a To-tag it is no call"
                )
            record = _record(values, key, State(state), [legs[n] for n in numbers], pairs, now)
        except RowFault as fault:
            found.faults.append(fault)
        else:
            yield Imported(record, rows)
    for number in sorted(legs.keys() - {n for numbers in owned.values() for n in numbers}):
        found.faults.append(RowFault("dialog_out", number, "of which dialog it is is not certain"))
    for pairs in variables.values():
        for number, *_ in pairs:
            found.faults.append(RowFault("dialog_vars", number, "belongs to no dialog"))


def _links(
    dialogs: list[Mapping[str, Any]], legs: dict[int, Mapping[str, Any]]
) -> tuple[dict[int, list[int]], set[int]]:
    """The legs of each dialog, by its id; and the dialogs of which some could be any of theirs."""
    owned: dict[int, list[int]] = {}
    rest: list[LegRow] = []
    by_did = {row["did"]: row["id"] for row in dialogs if row["did"]}
    # The module writes hash_id 0; whoever has mended its rows wrote the dialog's.
    by_key = {(row["hash_entry"], row["hash_id"]): row["id"] for row in dialogs if row["hash_id"]}
    for number, row in legs.items():
        owner = by_did.get(row["did"]) or by_key.get((row["hash_entry"], row["hash_id"]))
        if owner is not None:
            owned.setdefault(owner, []).append(number)
        else:
            rest.append(LegRow(number, _shown(row["to_uri"])))
    open_dialogs = [
        DialogRow(row["id"], _shown(row["req_uri"])) for row in dialogs if row["id"] not in owned
    ]
    owned |= link(open_dialogs, rest)
    left = len(rest) - sum(len(owned.get(row.id, ())) for row in open_dialogs)
    return owned, {row.id for row in open_dialogs if row.id not in owned} if left else set()


def _shown(value: object) -> str:
    return value if isinstance(value, str) else ""


def _record(
    values: Values,
    key: tuple[int, int],
    state: State,
    rows: list[Mapping[str, Any]],
    variables: list[tuple[int, str, str]],
    now: float,
) -> DialogRecord:
    started, *_ = values.lifetime(now)
    first = values.cseq("caller_original_cseq")
    if len(rows) > MAX_LEGS:
        raise values.fault(f"it has more than {MAX_LEGS} legs")
    # A phone that answered has said where it is.
    answered = [row for row in rows if row["callee_contact"]] or rows
    acked = state is not State.CONFIRMED_NA
    legs = tuple(
        _leg(Values("dialog_out", row), branch, first, 0.0 if acked else float(started))
        for branch, row in enumerate(answered)
    )
    if len({leg.to_tag for leg in legs}) < len(legs):
        raise values.fault("two of its legs have the same To-tag")
    if len(legs) > 1:
        state = State.CONCURRENT
    elif state is State.CONCURRENT:
        state = State.CONFIRMED
    return dialog_of(values, key, state, first, legs, variables, now)


def _leg(values: Values, branch: int, first: int, confirmed_at: float) -> LegRecord:
    caller_cseq, callee_cseq = values.cseq("caller_cseq"), values.cseq("callee_cseq")
    # It begins with the number of the INVITE.
    seen = callee_cseq != first
    leg = leg_of(values, branch, caller_cseq, callee_cseq, confirmed_at, seen=seen)
    return leg._replace(shifts=(_moved(caller_cseq), _moved(callee_cseq if seen else -1)))


def _moved(after: int) -> ShiftState:
    """What a party sends above ``after`` is moved by the margin; as cseq.Shift keeps it."""
    return ((after, CSEQ_MARGIN),), 0, 0, -1
