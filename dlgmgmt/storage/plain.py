"""Rows that this daemon has written, told from others by a few operations on all values at once.

A start does this for each of a hundred thousand calls before the daemon is ready.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from dlgmgmt.dialog.states import State
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.extras import split_routes
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
_CONFIRMED = int(State.CONFIRMED)
KEEPALIVE = 3
"""Bit of ``switches`` from which on it is said who is sent keep-alives."""

_SHORT = 512
_split = lru_cache(maxsize=256)(split_routes)


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


def plain_call(row: Row, now: float) -> tuple[Any, ...] | None:
    """What restore_plain() takes, of a row of a simple page; None for what is not like nearly all.

    Those are acknowledged calls of one leg without extras, which this daemon has written and whose
    timeout is after ``now`` (Unix seconds). It is what record_from() makes of the row.
    """
    (
        _,
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
        lifetime,
        init_ts,
        start_ts,
        timeout,
        session_ts,
        sflags,
        dflags,
        switches,
        xdata,
        _,
        leg_to_uri,
        to_tag,
        caller_cseq,
        callee_cseq,
        callee_contact,
        callee_routes,
        callee_bind_addr,
        number,
        branch,
        acked,
        seen,
        leg_dflags,
        confirmed_at,
        session_end,
        leg_xdata,
    ) = row
    try:
        if (
            len("".join(row[4:15] + row[26:33])) > _LENGTH
            or (h_entry | h_id | sflags) >> ID_BITS
            or (lifetime | init_ts | start_ts | timeout | dflags) >> NUMBER_BITS
            or (branch | seen | leg_dflags) >> NUMBER_BITS
            or switches >> SWITCH_BITS
            or not (state == _CONFIRMED and acked == 1 and timeout > now and h_id and lifetime)
            or not (session_ts == number == confirmed_at == session_end == 0)
            or not (callid and from_tag and to_tag)
            or max(len(cseq), len(caller_cseq), len(callee_cseq)) >= MAX_CSEQ_DIGITS
            or not (cseq.isdecimal() and caller_cseq.isdecimal() and callee_cseq.isdecimal())
            or not (xdata is None and leg_xdata is None)
        ):
            return None
    except TypeError:
        return None
    leg = (
        to_tag,
        to_uri if leg_to_uri == to_uri else leg_to_uri,
        branch,
        int(caller_cseq),
        int(callee_cseq),
        seen != 0,
        callee_contact,
        routes_of(callee_routes) if callee_routes else (),
        callee_bind_addr,
        True,
        0.0,
        0.0,
        leg_dflags,
        (0, 0),
        0,
        None,
    )
    return (
        h_entry,
        h_id,
        did,
        _CONFIRMED,
        callid,
        from_tag,
        from_uri,
        to_uri,
        req_uri,
        int(cseq),
        contact,
        routes_of(routes) if routes else (),
        bind_addr,
        lifetime,
        init_ts,
        start_ts,
        timeout,
        0,
        sflags,
        dflags,
        switches & 1 == 1,
        switches & 2 == 2,
        switches >> KEEPALIVE,
        switches & 4 == 4,
        toroute,
        (),
        (),
        (),
        (leg,),
    )


def routes_of(text: str) -> tuple[str, ...]:
    """The values of a route set. Calls that go the same way share them."""
    return _split(text) if len(text) <= _SHORT else split_routes(text)
