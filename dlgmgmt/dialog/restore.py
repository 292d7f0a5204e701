"""Dialogs put back into the table, as they were when their records were made.

Whole days may lie between: moments are told in Unix time, and timers run from them. What has been
due meanwhile is due at once, or a little later, so that thousands of calls need not end together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from dlgmgmt.dialog.cseq import MAX_CSEQ, Shift, Shifts
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import MAX_LEGS, Dialog, Entry, OutLeg
from dlgmgmt.dialog.record import LOADED, DialogRecord, LegRecord, directions
from dlgmgmt.dialog.states import ANSWERED, STATE_NAMES, State
from dlgmgmt.dialog.table import MAX_ID, DialogTable

_SHOWN_TWICE = 2.0
"""Seconds by which two ways to a dialog's timeout may differ and still be the same."""


_LAST_MOMENT = 2**53
"""Unix seconds."""

# A member of an enumeration takes longer to be found than a name of the module.
_UNCONFIRMED = State.UNCONFIRMED
_CONFIRMED = State.CONFIRMED
_DELETED = State.DELETED
_LOADED = EventType.LOADED


class RestoreError(ValueError):
    """A record that no dialog can be made of; the text says why, in one line."""


class Restored(NamedTuple):
    """A dialog that is back.

    moved: its h_entry:h_id are not those of its record. expired: its time has run out. late: this,
    or that of one of several legs: there are BYEs to be sent.
    """

    dialog: Dialog
    moved: bool
    expired: bool
    late: bool


Beside = Callable[[Dialog, DialogRecord], bool]


def restore(
    table: DialogTable,
    record: DialogRecord,
    *,
    delay: float = 0.0,
    beside: Beside | None = None,
) -> Restored:
    """Make a dialog of ``record``. It keeps its place in the table if that is free.

    delay: seconds until a dialog ends whose time has run out. Listeners are told LOADED. The
    number of dialogs is not limited here: these exist. beside: whether a record with the Call-ID
    and tags of a dialog that is there is another one all the same. Raises RestoreError.
    """
    plain = _is_plain(record)
    if plain:
        state = _CONFIRMED
    else:
        state = _state(record)
        _check_numbers(record)
    callid = record.callid
    legs = record.legs
    entry = table.entry_of(callid)
    wall, monotonic = table.wall(), table.monotonic()
    with entry.lock:
        h_id = record.h_id
        for known in entry.by_callid.get(callid, ()):
            if (
                known.from_tag == record.from_tag
                and _shares_leg(known, record)
                and not (beside is not None and beside(known, record))
            ):
                raise RestoreError(f"{known.entry.index}:{known.h_id} is the same dialog")
        own = entry.index == record.h_entry and h_id not in entry.by_id and 0 <= h_id <= MAX_ID
        dialog = _dialog(entry, h_id if own else table.free_id(entry), record[:])
        for leg in legs:
            dialog.legs[leg.to_tag] = _leg(table, leg[:], monotonic - wall, monotonic)
        if record.profiles:
            table.profiles.join(dialog, record.profiles)
        timeout = record.timeout
        left = timeout - wall if timeout else float(dialog.lifetime)
        if plain or _is_bounded_once(state, legs[0]):
            expired = late = left <= 0
            when = monotonic + (delay if expired else left)
            dialog.timeout = timeout or int(wall + left)
            table.arm_restored(dialog, when)
        else:
            expired, late = _set_timers(table, dialog, record, state, left, delay)
        dialog.state = state
        dialog.stored = LOADED
        dialog.snapshot = None
        table.put(dialog)
    if table.heard(_LOADED):
        table.publish(_LOADED, dialog)
    return tuple.__new__(Restored, (dialog, not own, expired, late))


def put_plain(table: DialogTable, dialogs: list[Dialog], offset: float) -> int:
    """As restore(), of calls that are made but for being in the table; how many of them are now.

    It ends before the first whose place is taken, or whose Call-ID another dialog has: restore()
    knows what to do then. Their only legs are acknowledged, their timeouts and those of sessions
    are to come; ``profiles`` are those that they are to be in. offset: what to add to Unix seconds
    to get the monotonic clock.
    """
    heard, count = table.heard(_LOADED), table.counters.restored
    # All at once: a call may end, and be counted, as soon as it is there.
    count(_CONFIRMED, len(dialogs))
    timers = table.timers_of(dialogs, offset)
    done = 0
    try:
        for dialog, timer in zip(dialogs, timers, strict=True):
            entry, h_id, same = dialog.entry, dialog.h_id, (dialog,)
            with entry.lock:
                by_id = entry.by_id
                if h_id in by_id or entry.by_callid.setdefault(dialog.callid, same) is not same:
                    break
                by_id[h_id] = dialog
                if dialog.profiles:
                    table.profiles.join(dialog, dialog.profiles)
                dialog.timer = timer
                if timer.tick is None:
                    # It came while the dialog had no timer, and so did nothing.
                    table.arm_restored(dialog, dialog.timeout + offset)
                if dialog.session_ts:
                    table.limit_restored(dialog)
            done += 1
            if heard:
                table.publish(_LOADED, dialog)
    finally:
        count(_CONFIRMED, done - len(dialogs))
        table.forget(timers[done:])
    return done


def _is_plain(record: DialogRecord) -> bool:
    """Whether it is a call like nearly all: one leg, acknowledged, without a session timer.

    Nothing is wrong with it then: all numbers are looked at here.
    """
    if len(record.legs) != 1:
        return False
    # Slices of named tuples are plain ones, which are taken apart without an iterator.
    (
        _,
        _,
        _,
        state,
        callid,
        from_tag,
        _,
        _,
        _,
        first_cseq,
        _,
        _,
        _,
        lifetime,
        _,
        _,
        timeout,
        session_ts,
        _,
        _,
        _,
        _,
        keepalive,
        _,
        _,
        _,
        _,
        _,
        (leg,),
    ) = record[:]
    (
        to_tag,
        _,
        _,
        caller_cseq,
        callee_cseq,
        _,
        _,
        _,
        _,
        acked,
        confirmed_at,
        session_end,
        _,
        _,
        referred,
        _,
    ) = leg[:]
    return bool(
        state == 4
        and acked
        and not session_end
        and to_tag
        and callid
        and from_tag
        and 0 < lifetime <= _LAST_MOMENT
        and 0 <= timeout <= _LAST_MOMENT
        and 0 <= session_ts <= _LAST_MOMENT
        and 0 <= confirmed_at <= _LAST_MOMENT
        and not (keepalive | referred) >> 2
        and not (first_cseq | caller_cseq | callee_cseq) & ~MAX_CSEQ
    )


def _state(record: DialogRecord) -> State:
    try:
        state = State(record.state)
    except ValueError:
        raise RestoreError(f"{record.state} is no state") from None
    if state not in ANSWERED:
        raise RestoreError(f"it is {STATE_NAMES[state]}: its transaction is gone")
    if not record.legs:
        raise RestoreError("it has no leg")
    if len(record.legs) > MAX_LEGS:
        raise RestoreError(f"it has more than {MAX_LEGS} legs")
    if not record.callid or not record.from_tag or not all(leg.to_tag for leg in record.legs):
        raise RestoreError("its Call-ID or a tag is empty")
    if len(record.legs) > 1:
        if len({leg.to_tag for leg in record.legs}) < len(record.legs):
            raise RestoreError("two of its legs have the same To-tag")
        return State.CONCURRENT
    if state is State.CONCURRENT:
        return State.CONFIRMED if record.legs[0].acked else State.CONFIRMED_NA
    return state


def _check_numbers(record: DialogRecord) -> None:
    """Let nothing in that no timer can be set to, that no phone takes, or that is not kept."""
    if not 0 < record.lifetime <= _LAST_MOMENT:
        raise RestoreError("its lifetime is no number of seconds")
    if not (0 <= record.timeout <= _LAST_MOMENT and 0 <= record.session_ts <= _LAST_MOMENT):
        raise RestoreError("its timeout is no moment")
    if record.keepalive >> 2:
        raise RestoreError("its marks for keep-alives cannot be")
    for leg in record.legs:
        if (record.first_req_cseq | leg.caller_cseq | leg.callee_cseq) & ~MAX_CSEQ:
            raise RestoreError(f"leg {leg.to_tag!r:.60}: CSeq numbers that cannot be")
        if not (0 <= leg.confirmed_at <= _LAST_MOMENT and 0 <= leg.session_end <= _LAST_MOMENT):
            raise RestoreError(f"leg {leg.to_tag!r:.60}: moments that cannot be")
        if leg.referred >> 2:
            raise RestoreError(f"leg {leg.to_tag!r:.60}: marks of REFER that cannot be")


def _shares_leg(known: Dialog, record: DialogRecord) -> bool:
    if any(leg.to_tag in known.legs for leg in record.legs):
        return True
    ended = {leg.to_tag for leg in known.history}
    return known.state is _DELETED and any(leg.to_tag in ended for leg in record.legs)


def _dialog(entry: Entry, h_id: int, fields: tuple[Any, ...]) -> Dialog:
    """Each field is set once: a start makes dialogs by the hundred thousand.

    fields: a DialogRecord's, of a plain tuple: it is taken apart without an iterator.
    """
    dialog = Dialog.__new__(Dialog)
    (
        _,
        _,
        _,
        _,
        dialog.callid,
        dialog.from_tag,
        dialog.from_uri,
        dialog.to_uri,
        dialog.req_uri,
        dialog.first_req_cseq,
        dialog.caller_contact,
        dialog.caller_route_set,
        dialog.caller_bind_addr,
        dialog.lifetime,
        dialog.init_ts,
        dialog.start_ts,
        _,
        _,
        dialog.sflags,
        dialog.dflags,
        dialog.timeout_bye,
        dialog.timeout_noreset,
        dialog.keepalive,
        dialog.fix_contact,
        dialog.toroute,
        _,
        dialog.variables,
        history,
        _,
    ) = fields
    dialog.entry = entry
    dialog.h_id = h_id
    dialog.state = _UNCONFIRMED
    dialog.end_ts = dialog.timeout = dialog.session_ts = dialog.holds = 0
    dialog.removed = dialog.dirty = False
    dialog.timer = dialog.limit = None
    dialog.legs = {}
    dialog.history = history
    dialog.profiles = ()
    dialog.snapshot = dialog.termination = dialog.transaction = dialog.stored = None
    return dialog


def _leg(table: DialogTable, fields: tuple[Any, ...], offset: float, now: float) -> OutLeg:
    """fields: a LegRecord's. offset: what to add to Unix seconds to get the monotonic clock."""
    leg = OutLeg.__new__(OutLeg)
    (
        to_tag,
        leg.to_uri,
        leg.branch,
        leg.caller_cseq,
        leg.callee_cseq,
        leg.callee_cseq_seen,
        leg.callee_contact,
        leg.callee_route_set,
        leg.callee_bind_addr,
        acked,
        confirmed_at,
        session_end,
        leg.dflags,
        leg.moved_by,
        referred,
        shifts,
    ) = fields
    leg.to_tag = to_tag
    leg.h_entry = table.hash_of(to_tag)
    leg.confirmed = True
    leg.acked = acked
    # Once it is acknowledged, this only says since when keep-alives are due.
    leg.confirmed_at = now if acked else confirmed_at + offset
    leg.session_end = session_end + offset if session_end else 0.0
    leg.referred = directions(referred) if referred else ()
    leg.shifts = leg.probes = None
    if shifts is not None:
        try:
            leg.shifts = Shifts(*map(Shift.restored, shifts))
        except (TypeError, ValueError):
            raise RestoreError(f"leg {to_tag!r:.60}: moves of CSeq that cannot be") from None
    return leg


def _is_bounded_once(state: State, leg: LegRecord) -> bool:
    """Whether nothing but the dialog timeout bounds the call."""
    return state is _CONFIRMED and leg.acked and not leg.session_end


def _set_timers(
    table: DialogTable,
    dialog: Dialog,
    record: DialogRecord,
    state: State,
    left: float,
    delay: float,
) -> tuple[bool, bool]:
    """Let the dialog's timers run from the moments that were recorded.

    Returns whether its time is over, and whether that or a leg's is. left: seconds until the dialog
    timeout. Entry lock held.
    """
    acks = table.ack_left(dialog)
    if acks is not None and state is not State.CONCURRENT and acks + _SHOWN_TWICE < left:
        # Another program's dialog, say, whose timeout does not know of the wait for an ACK.
        left = acks
    expired = left <= 0
    table.arm(dialog, delay if expired else left)
    if record.timeout and (expired or abs(dialog.timeout - record.timeout) <= _SHOWN_TWICE):
        dialog.timeout = record.timeout
    session = table.session_left(dialog)
    late = False
    if state is State.CONCURRENT:
        waits = [wait for wait in (acks, session) if wait is not None]
        if waits:
            late = min(waits) <= 0
            table.limit_legs(dialog, delay if late else min(waits))
    elif session is not None:
        expired |= session <= 0
        table.limit_session(dialog, session if session > 0 else delay)
        if record.session_ts:
            dialog.session_ts = record.session_ts
    return expired, expired or late
