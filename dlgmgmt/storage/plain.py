"""Rows that this daemon has written, told from others by a few operations on all values at once.

A start does this for each of a hundred thousand calls before the daemon is ready.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dlgmgmt.dialog.cseq import MAX_CSEQ
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.record import LOADED
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.extras import Extras, Unreadable, split_routes
from dlgmgmt.storage.odd import (
    ANSWERED,
    EARLY,
    ID_BITS,
    MAX_CSEQ_DIGITS,
    MAX_NUMBER,
    NUMBER_BITS,
    SWITCH_BITS,
)

_LENGTH = 8_192
"""Characters of all texts of a row; those of a longer one are looked at one by one."""

_STATES = ANSWERED | EARLY
_CONFIRMED = State.CONFIRMED
_new = object.__new__
KEEPALIVE = 3
"""Bit of ``switches`` from which on it is said who is sent keep-alives."""

_SHORT = 512
_split = lru_cache(maxsize=256)(split_routes)
# Sockets are few: each need not be kept as often as there are calls.
_shared = lru_cache(maxsize=256)(str)


def is_plain_dialog(row: Row) -> bool:
    """Whether it is as in_row makes it, of an ordinary length, and nothing is wrong with it."""
    (
        owner,
        h_entry,
        h_id,
        _,
        callid,
        from_tag,
        _,
        _,
        _,
        cseq,
        _,
        _,
        _,
        _,
        state,
        lifetime,
        init_ts,
        start_ts,
        timeout,
        session_ts,
        sflags,
        dflags,
        switches,
        xdata,
    ) = row
    try:
        return (
            len("".join(row[3:14])) <= _LENGTH
            and not (h_entry | h_id | sflags) >> ID_BITS
            and not (lifetime | init_ts | start_ts | timeout | session_ts | dflags) >> NUMBER_BITS
            and not switches >> SWITCH_BITS
            and state | 0 in _STATES
            and h_id != 0
            and callid != ""
            and from_tag != ""
            and len(cseq) <= MAX_CSEQ_DIGITS
            and cseq.isdecimal()
            and owner is not None
            and xdata is None
        )
    except TypeError:
        # A value is of another type than the others that it is joined with.
        return False


def is_plain_leg(row: Row) -> bool:
    """As with a dialog's row."""
    (
        owner,
        _,
        _,
        _,
        _,
        to_tag,
        caller_cseq,
        callee_cseq,
        _,
        _,
        _,
        number,
        branch,
        acked,
        seen,
        dflags,
        confirmed_at,
        session_end,
        xdata,
    ) = row
    try:
        return (
            len("".join(row[3:11])) <= _LENGTH
            and not (branch | acked | seen | dflags) >> NUMBER_BITS
            and type(number) is int
            and to_tag != ""
            and len(caller_cseq) <= MAX_CSEQ_DIGITS
            and len(callee_cseq) <= MAX_CSEQ_DIGITS
            and caller_cseq.isdecimal()
            and callee_cseq.isdecimal()
            and type(confirmed_at) is type(session_end) is float
            and 0 <= confirmed_at <= MAX_NUMBER
            and 0 <= session_end <= MAX_NUMBER
            and owner is not None
            and xdata is None
        )
    except TypeError:
        return False


def plain_call(row: Row, table: DialogTable, now: float, monotonic: float) -> Dialog | None:
    """The dialog of a row of Database.calls(), for put_plain(); None if it is not like nearly all.

    Those are acknowledged calls of one leg, with no extras but profiles, which this daemon has
    written, whose entry is still the same and whose timeouts are after ``now`` (Unix seconds,
    ``monotonic`` by the other clock). It is what restore() makes of the whole rows' record, with no
    step between; what there is of variables has to be added (plain_variables).
    """
    dialog = _new(Dialog)
    leg = _new(OutLeg)
    (
        _,
        plain,
        h_entry,
        h_id,
        dialog.callid,
        dialog.from_tag,
        dialog.from_uri,
        to_uri,
        dialog.req_uri,
        cseq,
        dialog.caller_contact,
        routes,
        caller_sock,
        dialog.toroute,
        to_tag,
        leg.callee_contact,
        leg_routes,
        leg_to_uri,
        caller_cseq,
        callee_cseq,
        callee_sock,
        dialog.lifetime,
        dialog.init_ts,
        dialog.start_ts,
        dialog.timeout,
        dialog.sflags,
        dialog.dflags,
        switches,
        leg.branch,
        seen,
        leg.dflags,
        session_ts,
        session_end,
        xdata,
    ) = row
    if not plain:
        return None
    try:
        if (
            len("".join(row[4:17])) > _LENGTH
            or (h_entry | h_id | dialog.sflags) >> ID_BITS
            or (dialog.lifetime | dialog.init_ts | dialog.start_ts | dialog.timeout) >> NUMBER_BITS
            or (dialog.dflags | leg.branch | leg.dflags | seen) >> NUMBER_BITS
            or switches >> SWITCH_BITS
            or not (dialog.timeout > now and h_id and dialog.lifetime)
            or not (dialog.callid and dialog.from_tag and to_tag)
            or not cseq.isdecimal()
        ):
            return None
        dialog.first_req_cseq = caller = callee = first = int(cseq)
        dialog.caller_bind_addr = leg_sock = _shared(caller_sock)
        # While nobody has sent anything but the ACK, they are the same.
        if caller_cseq is not None and caller_cseq != cseq:
            caller = _number(caller_cseq)
        if callee_cseq is not None and callee_cseq != cseq:
            callee = _number(callee_cseq)
        if callee_sock is not None and callee_sock != caller_sock:
            leg_sock = _shared(_text(callee_sock))
        if leg_to_uri is None or leg_to_uri == to_uri:
            leg_to_uri = to_uri
        else:
            _text(leg_to_uri)
    except (TypeError, ValueError):
        # A value is of another type than the others that it is joined with, or has no end.
        return None
    entry = table.entry_of(dialog.callid)
    if entry.index != h_entry or (first | caller | callee) > MAX_CSEQ:
        return None
    leg.caller_cseq = caller
    leg.callee_cseq = callee
    dialog.entry = entry
    dialog.h_id = h_id
    dialog.to_uri = to_uri
    dialog.caller_route_set = routes_of(routes) if routes else ()
    dialog.removed = dialog.dirty = False
    dialog.timeout_bye = dialog.timeout_noreset = dialog.fix_contact = False
    dialog.end_ts = dialog.session_ts = dialog.holds = dialog.keepalive = 0
    if switches:
        _switch(dialog, switches)
    dialog.state = _CONFIRMED
    dialog.history = dialog.profiles = dialog.variables = leg.referred = ()
    leg.session_end = 0.0
    if (xdata is not None and not _take_profiles(dialog, xdata)) or (
        (session_ts is not None or session_end is not None)
        and not _take_session(dialog, leg, session_ts, session_end, now, monotonic)
    ):
        return None
    dialog.timer = dialog.limit = dialog.snapshot = dialog.termination = dialog.transaction = None
    dialog.legs = {to_tag: leg}
    dialog.stored = LOADED
    leg.to_tag = to_tag
    leg.h_entry = table.hash_of(to_tag)
    leg.to_uri = leg_to_uri
    leg.callee_bind_addr = leg_sock
    leg.callee_cseq_seen = seen != 0
    leg.callee_route_set = routes_of(leg_routes) if leg_routes else ()
    leg.confirmed = leg.acked = True
    # Once it is acknowledged, this only says since when keep-alives are due.
    leg.confirmed_at = monotonic
    leg.moved_by = (0, 0)
    leg.shifts = leg.probes = None
    return dialog


def _switch(dialog: Dialog, switches: int) -> None:
    dialog.timeout_bye = switches & 1 == 1
    dialog.timeout_noreset = switches & 2 == 2
    dialog.fix_contact = switches & 4 == 4
    dialog.keepalive = switches >> KEEPALIVE


def _take_session(
    dialog: Dialog, leg: OutLeg, session_ts: Any, session_end: Any, now: float, monotonic: float
) -> bool:
    """Take a session timer; False if there is half of one, or one that has run out."""
    if session_ts == 0 and session_end == 0:
        return True
    if type(session_ts) is not int or type(session_end) is not float:
        return False
    if not (now < session_ts <= MAX_NUMBER and now < session_end <= MAX_NUMBER):
        return False
    dialog.session_ts = session_ts
    leg.session_end = session_end + (monotonic - now)
    return True


def _take_profiles(dialog: Dialog, xdata: Any) -> bool:
    """Take profiles; False if something else is told there."""
    if type(xdata) is not str or len(xdata) > _LENGTH:
        return False
    profiles = _only_profiles(xdata)
    dialog.profiles = profiles
    return profiles != ()


@lru_cache(maxsize=256)
def _only_profiles(xdata: str) -> tuple[tuple[str, str | None], ...]:
    try:
        extras = Extras(xdata)
        return extras.profiles() if extras.names() == {"profiles"} else ()
    except Unreadable:
        return ()


def _number(text: Any) -> int:
    if not _text(text).isdecimal():
        raise ValueError
    return int(text)


def _text(value: Any) -> str:
    if type(value) is not str or len(value) > _SHORT:
        raise ValueError
    return value


def plain_variables(rows: list[Row]) -> tuple[tuple[str, str], ...] | None:
    """The variables of a dialog, each with a key to be sorted by; None if one has to be checked."""
    if len(rows) > 1:
        rows.sort()
    for _, name, value in rows:
        if type(name) is not str or type(value) is not str or not name:
            return None
        if len(name) + len(value) > _LENGTH:
            return None
    return tuple([(name, value) for _, name, value in rows])


def routes_of(text: str) -> tuple[str, ...]:
    """The values of a route set. Calls that go the same way share them."""
    return _split(text) if len(text) <= _SHORT else split_routes(text)
