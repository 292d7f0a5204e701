"""Dialogs and out legs, as the table keeps them.

Every field that changes is read and written under the lock of the dialog's hash entry.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING

from dlgmgmt.dialog.cseq import Shifts
from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.states import ANSWERED, State
from dlgmgmt.dialog.views import DialogView, EndedLeg, LegView, Snapshot
from dlgmgmt.dialog.wheel import Timer

if TYPE_CHECKING:
    from dlgmgmt.dialog.orders import Termination

MAX_LEGS = 64
"""Out legs of one dialog; a To-tag beyond them is forwarded but not tracked."""

MAX_HISTORY = 32
"""Ended legs that a dialog remembers."""


class Direction(Enum):
    """Who sent a request within a dialog."""

    DOWNSTREAM = "caller to callee"
    UPSTREAM = "callee to caller"


class Entry:
    """One hash entry: the dialogs whose Call-ID falls here, and the lock that guards them."""

    __slots__ = ("by_callid", "by_id", "index", "journal", "lock", "next_id")

    def __init__(self, index: int, first_id: int) -> None:
        self.index = index
        self.next_id = first_id
        self.lock = threading.Lock()
        # Who is told of changes that are to be stored, if dialogs are.
        self.journal: Journal | None = None
        self.by_id: dict[int, Dialog] = {}
        self.by_callid: dict[str, tuple[Dialog, ...]] = {}


class OutLeg:
    """A To-tag that answered the INVITE; see :class:`~dlgmgmt.dialog.views.LegView`."""

    __slots__ = (
        "acked",
        "branch",
        "callee_bind_addr",
        "callee_contact",
        "callee_cseq",
        "callee_cseq_seen",
        "callee_route_set",
        "caller_cseq",
        "confirmed",
        "confirmed_at",
        "dflags",
        "h_entry",
        "moved_by",
        "probes",
        "referred",
        "session_end",
        "shifts",
        "to_tag",
        "to_uri",
    )

    def __init__(self, h_entry: int, branch: int, to_uri: str, to_tag: str, cseq: int) -> None:
        self.h_entry = h_entry
        self.branch = branch
        self.to_uri = to_uri
        self.to_tag = to_tag
        self.caller_cseq = cseq
        # The module starts from the INVITE's number; the first one that the callee really uses
        # replaces it, be it smaller or larger.
        self.callee_cseq = cseq
        self.callee_cseq_seen = False
        self.callee_contact = ""
        self.callee_route_set: tuple[str, ...] = ()
        self.callee_bind_addr = ""
        # The requests of caller and callee whose Contact was taken last.
        self.moved_by = (0, 0)
        self.confirmed = False
        self.confirmed_at = 0.0
        self.acked = False
        # When its session timer has run out (RFC 4028), on the monotonic clock; 0 without one.
        self.session_end = 0.0
        self.dflags = 0
        # Directions in which a party has sent a REFER itself.
        self.referred: tuple[Direction, ...] = ()
        # None until the daemon sends a request within the leg: the way of nearly all legs.
        self.shifts: Shifts | None = None
        # The SIP engine's own record of its keep-alives.
        self.probes: object | None = None

    def next_cseq(self, *, to_caller: bool) -> int:
        """The number of the last request that the daemon sends to a side: of its BYE.

        It is not kept as that of the party in whose name it goes, which has not sent it.
        """
        shifts = self.shifts
        if to_caller:
            return self.callee_cseq + (shifts.callee.total if shifts else 0) + 1
        return self.caller_cseq + (shifts.caller.total if shifts else 0) + 1

    def take_cseq(self, *, to_caller: bool) -> int:
        """The number of any other request of the daemon: what the party sends later moves up."""
        if self.shifts is None:
            self.shifts = Shifts()
        if to_caller:
            return self.shifts.callee.take(self.callee_cseq, seen=self.callee_cseq_seen)
        return self.shifts.caller.take(self.caller_cseq, seen=True)

    def view(self) -> LegView:
        """Copy the leg."""
        fields = (
            self.h_entry,
            0,
            "",
            self.branch,
            "confirmed" if self.confirmed else "early",
            self.acked,
            self.to_uri,
            self.to_tag,
            self.caller_cseq,
            self.callee_cseq,
            self.callee_contact,
            ", ".join(self.callee_route_set) if self.callee_route_set else "",
            self.callee_bind_addr,
            self.dflags,
        )
        return tuple.__new__(LegView, fields)


class Dialog:
    """A dialog; see :class:`~dlgmgmt.dialog.views.DialogView` for the fields that are shown.

    holds: transactions that still need it. snapshot: the copy that was listed last; every change of
    what is shown gives it up (``touch``). transaction: the SIP engine's own handle on the INVITE.
    fix_contact: the engine notes in the call's Contacts where they really are. dirty: it is in the
    journal. stored: None while it is not stored, else what whoever stores it remembers of it.
    """

    __slots__ = (
        "_did",
        "caller_bind_addr",
        "caller_contact",
        "caller_route_set",
        "callid",
        "dflags",
        "dirty",
        "end_ts",
        "entry",
        "first_req_cseq",
        "fix_contact",
        "from_tag",
        "from_uri",
        "h_id",
        "history",
        "holds",
        "init_ts",
        "keepalive",
        "legs",
        "lifetime",
        "limit",
        "profiles",
        "removed",
        "req_uri",
        "session_ts",
        "sflags",
        "snapshot",
        "start_ts",
        "state",
        "stored",
        "termination",
        "timeout",
        "timeout_bye",
        "timeout_noreset",
        "timer",
        "to_uri",
        "toroute",
        "transaction",
        "variables",
    )

    _did: str

    def __init__(self, entry: Entry, h_id: int, init: DialogInit, now: float) -> None:
        self.entry = entry
        self.h_id = h_id
        self.state = State.UNCONFIRMED
        self.callid = init.callid
        self.from_tag = init.from_tag
        self.from_uri = init.from_uri
        self.to_uri = init.to_uri
        self.req_uri = init.req_uri
        self.first_req_cseq = init.cseq
        self.caller_contact = init.contact
        self.caller_route_set = init.route_set
        self.caller_bind_addr = init.bind_addr
        self.lifetime = init.lifetime
        # Unix seconds, whole ones: they are only shown.
        self.init_ts = int(now)
        self.start_ts = 0
        self.end_ts = 0
        self.timeout = 0
        # When the session timer ends the call; 0 without one.
        self.session_ts = 0
        self.timeout_bye = False
        self.timeout_noreset = False
        self.timer: Timer | None = None
        # Bounds what the dialog timeout does not: ringing, sessions, the ACKs of several legs, and
        # the wait for transactions once deleted.
        self.limit: Timer | None = None
        self.holds = 0
        self.removed = False
        self.legs: dict[str, OutLeg] = {}
        self.history: tuple[EndedLeg, ...] = ()
        self.toroute = ""
        self.dflags = 0
        self.sflags = 0
        # Who is sent keep-alives, whatever the settings say: bit 1 the caller, bit 2 the callee.
        self.keepalive = 0
        self.profiles: tuple[tuple[str, str | None], ...] = ()
        self.variables: tuple[tuple[str, str], ...] = ()
        self.snapshot: Snapshot | None = None
        self.termination: Termination | None = None
        self.transaction: object | None = None
        self.fix_contact = False
        self.dirty = False
        self.stored: object | None = None

    @property
    def did(self) -> str:
        """The id that travels in Record-Route. It is written out when it is first asked for."""
        try:
            return self._did
        except AttributeError:
            self._did = did = encode_did(self.entry.index, self.h_id)
            return did

    def touch(self) -> None:
        """What is shown of the dialog changes. Entry lock held."""
        self.snapshot = None
        if self.entry.journal is not None and not self.dirty:
            self.mark()

    def mark(self) -> None:
        """What is stored of the dialog changes. Entry lock held.

        Of a dialog that rings nothing is, nor of one that ends before it was stored.
        """
        journal = self.entry.journal
        if journal is None or self.dirty or (self.stored is None and self.state not in ANSWERED):
            return
        self.dirty = True
        journal.add(self)

    def confirmed_legs(self) -> list[OutLeg]:
        """The legs that were answered and not hung up, in the order in which they appeared."""
        return [leg for leg in self.legs.values() if leg.confirmed]

    def end_leg(self, leg: OutLeg, code: int, cause: str) -> None:
        """Move ``leg`` to the history."""
        del self.legs[leg.to_tag]
        self.remember(EndedLeg(leg.branch, leg.to_tag, code, cause))

    def remember(self, ended: EndedLeg) -> None:
        """Add to the bounded history; one that was answered takes the place of one that was not."""
        if len(self.history) >= MAX_HISTORY:
            lost = next((past for past in self.history if past.code != 200), None)
            if ended.code != 200 or lost is None:
                return
            at = self.history.index(lost)
            self.history = self.history[:at] + self.history[at + 1 :]
        self.history += (ended,)

    def show(self) -> Snapshot:
        """The copy that is kept until the dialog changes; the caller holds the entry lock."""
        snapshot = self.snapshot
        if snapshot is None:
            snapshot = self.snapshot = Snapshot(self.view())
        return snapshot

    def view(self) -> DialogView:
        """Copy the dialog; the caller holds the entry lock."""
        state = self.state
        legs = self.legs
        # A listing does this for every dialog: tuple.__new__ spares the call with 26 arguments.
        fields = (
            self.entry.index,
            self.h_id,
            self.did,
            state,
            1 + (self.timer is not None) + (state is State.DELETED and self.holds > 0),
            self.callid,
            self.from_uri,
            self.from_tag,
            self.to_uri,
            self.req_uri,
            self.first_req_cseq,
            self.caller_contact,
            ", ".join(self.caller_route_set) if self.caller_route_set else "",
            self.caller_bind_addr,
            self.init_ts,
            self.start_ts,
            self.end_ts,
            self.lifetime,
            min(self.timeout, self.session_ts) if self.session_ts else self.timeout,
            self.toroute,
            self.dflags,
            self.sflags,
            self.profiles,
            self.variables,
            tuple([leg.view() for leg in legs.values()]) if legs else (),
            self.history,
        )
        return tuple.__new__(DialogView, fields)
