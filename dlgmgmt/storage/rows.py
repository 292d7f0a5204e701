"""Dialogs as rows, and rows as dialogs.

A plain dialog takes a short way in both directions: a few operations on all values at once tell a
row that this daemon has written from any other, for those of another type do not go through them,
and only others are looked at column by column (``odd.py``).
"""

from __future__ import annotations

from dlgmgmt.dialog.model import MAX_LEGS
from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.extras import (
    Extras,
    Unreadable,
    clean,
    dialog_extras,
    is_clean,
    leg_extras,
    split_routes,
)
from dlgmgmt.storage.odd import (
    EARLY,
    StoredDialog,
    checked_in,
    checked_leg,
    checked_var,
)
from dlgmgmt.storage.plain import KEEPALIVE, is_plain_dialog, is_plain_leg, routes_of
from dlgmgmt.storage.tables import IN_COLUMNS, OUT_COLUMNS

DEFAULT_LIFETIME = 43_200

_IN_TEXTS = IN_COLUMNS[3:14]
_OUT_TEXTS = OUT_COLUMNS[3:11]


def in_row(record: DialogRecord, owner: str) -> Row:
    """The row of ``dialog_in``."""
    r = record
    routes = ", ".join(r.caller_route_set) if r.caller_route_set else ""
    texts: tuple[str, ...] = (
        r.did,
        r.callid,
        r.from_tag,
        r.from_uri,
        r.to_uri,
        r.req_uri,
        str(r.first_req_cseq),
        r.caller_contact,
        routes,
        r.caller_bind_addr,
        r.toroute,
    )
    xdata = None
    plain = is_clean("".join(texts)) and (
        not r.caller_route_set or split_routes(routes) == r.caller_route_set
    )
    if not plain or r.profiles or r.history or r.variables:
        # A variable that its row cannot hold takes all of them here: they have an order.
        odd = any(not (is_clean(name) and is_clean(value)) for name, value in r.variables)
        texts, originals = _cleaned(texts, _IN_TEXTS, "caller_route_set")
        xdata = dialog_extras(
            originals,
            () if plain else r.caller_route_set,
            r.profiles,
            r.history,
            r.variables if odd else (),
        )
    return (
        owner,
        r.h_entry,
        r.h_id,
        *texts,
        int(r.state),
        r.lifetime,
        r.init_ts,
        r.start_ts,
        r.timeout,
        r.session_ts,
        r.sflags,
        r.dflags,
        r.timeout_bye | r.timeout_noreset << 1 | r.fix_contact << 2 | r.keepalive << KEEPALIVE,
        xdata,
    )


def out_rows(record: DialogRecord, owner: str) -> list[Row]:
    """The rows of ``dialog_out``, one a leg."""
    did = record.did
    h_entry = record.h_entry
    h_id = record.h_id
    rows: list[Row] = []
    for number, leg in enumerate(record.legs):
        (
            to_tag,
            to_uri,
            branch,
            caller_cseq,
            callee_cseq,
            callee_cseq_seen,
            callee_contact,
            route_set,
            callee_bind_addr,
            acked,
            confirmed_at,
            session_end,
            dflags,
            moved_by,
            referred,
            shifts,
        ) = leg
        routes = ", ".join(route_set) if route_set else ""
        texts: tuple[str, ...] = (
            did,
            to_uri,
            to_tag,
            str(caller_cseq),
            str(callee_cseq),
            callee_contact,
            routes,
            callee_bind_addr,
        )
        xdata = None
        plain = is_clean("".join(texts)) and (not route_set or split_routes(routes) == route_set)
        if not plain or moved_by != (0, 0) or referred or shifts is not None:
            texts, originals = _cleaned(texts, _OUT_TEXTS, "callee_route_set")
            xdata = leg_extras(originals, () if plain else route_set, moved_by, referred, shifts)
        rows.append(
            (
                owner,
                h_entry,
                h_id,
                *texts,
                number,
                branch,
                int(acked),
                int(callee_cseq_seen),
                dflags,
                float(confirmed_at),
                float(session_end),
                xdata,
            )
        )
    return rows


def var_rows(record: DialogRecord, owner: str) -> list[Row]:
    """The rows of ``dialog_vars``, one a variable."""
    if not record.variables:
        return []
    key = (owner, record.h_entry, record.h_id)
    return [
        (*key, name, value)
        if is_clean(name) and is_clean(value)
        else (*key, clean(name), clean(value))
        for name, value in record.variables
    ]


def _cleaned(
    texts: tuple[str, ...], columns: tuple[str, ...], routes: str
) -> tuple[tuple[str, ...], dict[str, str]]:
    """What the columns take, and the originals of those that had to be changed."""
    originals = {
        column: text
        for column, text in zip(columns, texts, strict=True)
        if column != routes and not is_clean(text)
    }
    return tuple(text if is_clean(text) else clean(text) for text in texts), originals


def record_from(
    stored: StoredDialog, *, now: float = 0.0, lifetime: int = DEFAULT_LIFETIME
) -> DialogRecord:
    """The dialog that rows tell of; RowFault for whatever is not right in them.

    now: Unix seconds. lifetime: of a dialog whose rows do not tell it. An early dialog comes
    without legs: there is nothing to check in what is dropped anyway.
    """
    row = stored.in_row
    # What follows is done for each of a hundred thousand calls before the daemon is ready.
    if not is_plain_dialog(row):
        row = checked_in(stored, now, lifetime)
    (
        _,
        h_entry,
        h_id,
        did,
        callid,
        from_tag,
        from_uri,
        to_uri,
        req_uri,
        cseq,
        contact,
        routes,
        bind_addr,
        toroute,
        state,
        its_lifetime,
        init_ts,
        start_ts,
        timeout,
        session_ts,
        sflags,
        dflags,
        switches,
        xdata,
    ) = row
    rows = stored.out_rows
    if state in EARLY:
        legs: tuple[LegRecord, ...] = ()
    elif len(rows) == 1:
        legs = (_leg(rows[0], stored.out_ids[0], row, 0),)
    else:
        legs = _legs(stored, row)
    var_rows = stored.var_rows
    plain = (
        h_entry,
        h_id,
        did,
        state,
        callid,
        from_tag,
        from_uri,
        to_uri,
        req_uri,
        int(cseq),
        contact,
        routes_of(routes) if routes else (),
        bind_addr,
        its_lifetime,
        init_ts,
        start_ts,
        timeout,
        session_ts,
        sflags,
        dflags,
        switches & 1 == 1,
        switches & 2 == 2,
        switches >> KEEPALIVE,
        switches & 4 == 4,
        toroute,
        (),
        tuple(map(checked_var, var_rows, stored.var_ids)) if var_rows else (),
        (),
        legs,
    )
    record: DialogRecord = tuple.__new__(DialogRecord, plain)
    return record if xdata is None else _with_extras(record, xdata, stored.in_id)


def _leg(row: Row, row_id: int, dialog: Row, number: int) -> LegRecord:
    """A leg. dialog: the row that it belongs to; number: its place among the legs."""
    if not is_plain_leg(row):
        row = checked_leg(row, row_id, dialog, number)
    (
        _,
        _,
        _,
        _,
        to_uri,
        to_tag,
        caller_cseq,
        callee_cseq,
        contact,
        routes,
        bind_addr,
        _,
        branch,
        acked,
        seen,
        dflags,
        confirmed_at,
        session_end,
        xdata,
    ) = row
    plain = (
        to_tag,
        # Mostly they are the same text: it need not be kept twice.
        dialog[7] if to_uri == dialog[7] else to_uri,
        branch,
        int(caller_cseq),
        int(callee_cseq),
        seen != 0,
        contact,
        routes_of(routes) if routes else (),
        bind_addr,
        acked != 0,
        confirmed_at,
        session_end,
        dflags,
        (0, 0),
        0,
        None,
    )
    leg: LegRecord = tuple.__new__(LegRecord, plain)
    return leg if xdata is None else _leg_with_extras(leg, xdata, row_id)


def _leg_with_extras(leg: LegRecord, xdata: str, row_id: int) -> LegRecord:
    try:
        extras = Extras(xdata)
        texts = extras.texts()
        routes = extras.routes()
        return leg._replace(
            to_tag=texts.get("to_tag", leg.to_tag),
            to_uri=texts.get("to_uri", leg.to_uri),
            callee_contact=texts.get("callee_contact", leg.callee_contact),
            callee_bind_addr=texts.get("callee_sock", leg.callee_bind_addr),
            callee_route_set=leg.callee_route_set if routes is None else routes,
            moved_by=extras.moved_by(),
            referred=extras.referred(),
            shifts=extras.shifts(),
        )
    except Unreadable as error:
        raise RowFault("dialog_out", row_id, str(error)) from None


def _legs(stored: StoredDialog, dialog: Row) -> tuple[LegRecord, ...]:
    if not stored.out_rows:
        raise RowFault("dialog_in", stored.in_id, "there is no row of a leg for it")
    if len(stored.out_rows) > MAX_LEGS:
        raise RowFault("dialog_in", stored.in_id, f"more than {MAX_LEGS} legs")
    legs: dict[str, LegRecord] = {}
    for number, (row, row_id) in enumerate(zip(stored.out_rows, stored.out_ids, strict=True)):
        leg = _leg(row, row_id, dialog, number)
        if leg.to_tag in legs:
            raise RowFault("dialog_out", row_id, "to_tag: another leg of the dialog has it")
        legs[leg.to_tag] = leg
    return tuple(legs.values())


def _with_extras(record: DialogRecord, xdata: str, row_id: int) -> DialogRecord:
    try:
        extras = Extras(xdata)
        texts = extras.texts()
        routes = extras.routes()
        variables = extras.variables()
        return record._replace(
            callid=texts.get("callid", record.callid),
            from_tag=texts.get("from_tag", record.from_tag),
            from_uri=texts.get("from_uri", record.from_uri),
            to_uri=texts.get("to_uri", record.to_uri),
            req_uri=texts.get("req_uri", record.req_uri),
            caller_contact=texts.get("caller_contact", record.caller_contact),
            caller_bind_addr=texts.get("caller_sock", record.caller_bind_addr),
            toroute=texts.get("toroute_name", record.toroute),
            caller_route_set=record.caller_route_set if routes is None else routes,
            profiles=extras.profiles(),
            history=extras.history(),
            variables=record.variables if variables is None else variables,
        )
    except Unreadable as error:
        raise RowFault("dialog_in", row_id, str(error)) from None
