"""Immutable copies of dialogs, taken under the entry lock and rendered outside of it.

Plain named tuples: a listing makes one per dialog, and these are the cheapest records that
the standard library has.
"""

from __future__ import annotations

from typing import NamedTuple


class LegView(NamedTuple):
    """One out leg: one To-tag that a provisional or 2xx reply to the INVITE brought.

    Text fields are as they stood in the messages; ``caller_cseq`` and ``callee_cseq`` are the
    last CSeq numbers of each direction; ``state`` is "early" or "confirmed".
    """

    h_entry: int
    h_id: int
    did: str
    branch: int
    state: str
    acked: bool
    to_uri: str
    to_tag: str
    caller_cseq: int
    callee_cseq: int
    callee_contact: str
    callee_route_set: str
    callee_bind_addr: str
    dflags: int


class EndedLeg(NamedTuple):
    """What became of a leg that is no longer part of its dialog.

    ``code`` is its final SIP status (0: none came); ``cause`` is one of "rejected", "cancelled",
    "timeout", "bye".
    """

    branch: int
    to_tag: str
    code: int
    cause: str


class DialogView(NamedTuple):
    """One dialog at one moment. Times are Unix seconds, 0 where not yet known.

    ``state`` is the ims_dialog number (states.State); ``timeout`` is the moment of expiry;
    ``lifetime`` is in seconds; ``ref_count`` counts the table's own reference, the running
    dialog timer and, for a deleted dialog, the transactions that it waits for.
    """

    h_entry: int
    h_id: int
    did: str
    state: int
    ref_count: int
    callid: str
    from_uri: str
    from_tag: str
    to_uri: str
    req_uri: str
    first_req_cseq: int
    caller_contact: str
    caller_route_set: str
    caller_bind_addr: str
    init_ts: int
    start_ts: int
    end_ts: int
    lifetime: int
    timeout: int
    toroute: str
    dflags: int
    sflags: int
    profiles: tuple[tuple[str, str | None], ...]
    variables: tuple[tuple[str, str], ...]
    legs: tuple[LegView, ...]
    history: tuple[EndedLeg, ...]


class Snapshot:
    """A copy of a dialog that its table keeps until the dialog changes.

    A listing renders it once and leaves the outcome in ``rendered``, in whatever form it likes;
    ``view`` is then given up, for it would only take memory.
    """

    __slots__ = ("rendered", "view")

    def __init__(self, view: DialogView) -> None:
        self.view: DialogView | None = view
        self.rendered: object | None = None


class SideOutcome(NamedTuple):
    """What one party of a terminated dialog was sent, and what came back.

    side: "caller" or "callee". to_tag: the leg's To-tag ("" for the caller of an early dialog).
    method: "BYE", "CANCEL" or "488". outcome: "pending", "waiting for ACK", a status code as
    text such as "200", or "timeout", "unsendable".
    """

    side: str
    to_tag: str
    method: str
    outcome: str


class TerminationView(NamedTuple):
    """One termination ordered by an operator or by the dialog timer, and how it went so far."""

    id: int
    h_entry: int
    h_id: int
    callid: str
    from_tag: str
    reason: str
    ordered_ts: int
    sides: tuple[SideOutcome, ...]


class TableCounts(NamedTuple):
    """Dialogs per state, and the totals since the start (manual chapter 7)."""

    unconfirmed: int
    early: int
    confirmed: int
    confirmed_no_ack: int
    concurrent: int
    deleted: int
    processed: int
    expired: int
    failed: int
    illegal_events: int
    rejected: int
