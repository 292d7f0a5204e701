"""All that a dialog consists of, as plain values: what is stored of it, and made a dialog of again.

Only answered dialogs have records. What rings lives by its transactions, which nothing outlives.
"""

from __future__ import annotations

from typing import NamedTuple

from dlgmgmt.dialog.cseq import ShiftState
from dlgmgmt.dialog.model import Dialog, Direction, OutLeg
from dlgmgmt.dialog.views import EndedLeg

LOADED = object()
"""``Dialog.stored`` of a dialog that is stored, with contents that nobody knows any more."""

_CALLER, _CALLEE = 1, 2


class LegRecord(NamedTuple):
    """An answered out leg; what is not said here is as in LegView.

    callee_cseq_seen: whether the callee has really used its number. confirmed_at: Unix seconds of
    the answer, 0.0 once it is acknowledged. session_end: Unix seconds, 0.0 without a session timer.
    moved_by: the requests of caller and callee whose Contact was taken last. referred: who has sent
    a REFER himself, bit 1 the caller, bit 2 the callee. shifts: how the CSeq numbers of caller and
    callee are moved, None if they are not.
    """

    to_tag: str
    to_uri: str
    branch: int
    caller_cseq: int
    callee_cseq: int
    callee_cseq_seen: bool
    callee_contact: str
    callee_route_set: tuple[str, ...]
    callee_bind_addr: str
    acked: bool
    confirmed_at: float
    session_end: float
    dflags: int
    moved_by: tuple[int, int]
    referred: int
    shifts: tuple[ShiftState, ShiftState] | None


class DialogRecord(NamedTuple):
    """An answered dialog; what is not said here is as in DialogView.

    timeout: Unix seconds, 0 if none runs. session_ts: Unix seconds at which the session timer ends
    the dialog, 0 without one. keepalive: bits as in ``Dialog.keepalive``. legs: the confirmed ones.
    """

    h_entry: int
    h_id: int
    did: str
    state: int
    callid: str
    from_tag: str
    from_uri: str
    to_uri: str
    req_uri: str
    first_req_cseq: int
    caller_contact: str
    caller_route_set: tuple[str, ...]
    caller_bind_addr: str
    lifetime: int
    init_ts: int
    start_ts: int
    timeout: int
    session_ts: int
    sflags: int
    dflags: int
    timeout_bye: bool
    timeout_noreset: bool
    keepalive: int
    fix_contact: bool
    toroute: str
    profiles: tuple[tuple[str, str | None], ...]
    variables: tuple[tuple[str, str], ...]
    history: tuple[EndedLeg, ...]
    legs: tuple[LegRecord, ...]


def record_of(dialog: Dialog, offset: float) -> DialogRecord:
    """Copy an answered dialog. Entry lock held.

    offset: what to add to the monotonic clock to get Unix seconds.
    """
    legs = dialog.legs
    # As in Dialog.view(): tuple.__new__ spares the call with 29 arguments.
    fields = (
        dialog.entry.index,
        dialog.h_id,
        dialog.did,
        int(dialog.state),
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
        dialog.timeout,
        dialog.session_ts,
        dialog.sflags,
        dialog.dflags,
        dialog.timeout_bye,
        dialog.timeout_noreset,
        dialog.keepalive,
        dialog.fix_contact,
        dialog.toroute,
        dialog.profiles,
        dialog.variables,
        dialog.history,
        tuple([_leg(leg, offset) for leg in legs.values() if leg.confirmed]),
    )
    return tuple.__new__(DialogRecord, fields)


def _leg(leg: OutLeg, offset: float) -> LegRecord:
    referred = 0
    if leg.referred:
        referred = (_CALLER if Direction.DOWNSTREAM in leg.referred else 0) | (
            _CALLEE if Direction.UPSTREAM in leg.referred else 0
        )
    fields = (
        leg.to_tag,
        leg.to_uri,
        leg.branch,
        leg.caller_cseq,
        leg.callee_cseq,
        leg.callee_cseq_seen,
        leg.callee_contact,
        leg.callee_route_set,
        leg.callee_bind_addr,
        leg.acked,
        0.0 if leg.acked else leg.confirmed_at + offset,
        leg.session_end + offset if leg.session_end else 0.0,
        leg.dflags,
        leg.moved_by,
        referred,
        None if leg.shifts is None else leg.shifts.state(),
    )
    return tuple.__new__(LegRecord, fields)


def directions(referred: int) -> tuple[Direction, ...]:
    """What LegRecord.referred says, as a leg keeps it."""
    return ((Direction.DOWNSTREAM,) if referred & _CALLER else ()) + (
        (Direction.UPSTREAM,) if referred & _CALLEE else ()
    )
