"""A dialog table on a clock that stands still until a test moves it."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import InviteReply, Match, Tracker
from dlgmgmt.dialog.views import TableCounts

UNIX = 1_700_000_000.0
"""Wall-clock time when the monotonic clock is 0."""

SETTINGS = DialogSettings(hash_size=8, default_timeout=600, noack_timeout=60)


def make_init(callid: str = "c1", from_tag: str = "alice", *, cseq: int = 10) -> DialogInit:
    return DialogInit(
        callid=callid,
        from_tag=from_tag,
        from_uri="sip:alice@a.example",
        to_uri="sip:bob@b.example",
        req_uri="sip:bob@proxy.example",
        cseq=cseq,
        contact="sip:alice@192.0.2.1",
        route_set=("<sip:192.0.2.9;lr>",),
        bind_addr="udp:192.0.2.5:5060",
        lifetime=600,
    )


class Core:
    """Table, tracker and terminations, their events, and the clock that drives them."""

    def __init__(self, settings: DialogSettings = SETTINGS) -> None:
        self.now = 0.0
        self.table = DialogTable(
            settings,
            wall=lambda: UNIX + self.now,
            monotonic=lambda: self.now,
            rng=random.Random(7),
        )
        self.expired: list[Dialog] = []
        self.tracker = Tracker(self.table, self.expired.append)
        self.orders = Terminations(self.table)
        self.events: list[DialogEvent] = []
        self.table.add_listener(self.events.append)

    def kinds(self) -> list[EventType]:
        return [event.type for event in self.events]

    def invite(self, callid: str = "c1", from_tag: str = "alice", *, cseq: int = 10) -> Dialog:
        dialog, new = self.table.open(make_init(callid, from_tag, cseq=cseq))
        assert new
        return dialog

    def reply(
        self,
        dialog: Dialog,
        code: int,
        to_tag: str = "bob",
        *,
        branch: int = 0,
        contact: str = "sip:bob@192.0.2.2",
        routes: tuple[str, ...] = ("<sip:192.0.2.8;lr>",),
        session: int = 0,
    ) -> OutLeg | None:
        bound = "udp:192.0.2.5:5060"
        return self.tracker.invite_reply(
            dialog,
            InviteReply(branch, code, to_tag, contact, routes, bool(routes), bound, session),
        )

    def answer(self, dialog: Dialog, to_tag: str = "bob", *, branch: int = 0) -> OutLeg:
        leg = self.reply(dialog, 200, to_tag, branch=branch)
        assert leg is not None
        return leg

    def down(
        self, method: str, cseq: int, to_tag: str = "bob", *, did: str | None = None
    ) -> Match | None:
        """A request from the caller."""
        return self.tracker.request(did, "c1", "alice", to_tag, method, cseq)

    def up(
        self, method: str, cseq: int, to_tag: str = "bob", *, did: str | None = None
    ) -> Match | None:
        """A request from the callee whose leg is ``to_tag``."""
        return self.tracker.request(did, "c1", to_tag, "alice", method, cseq)

    def call(self, *, acked: bool = True) -> tuple[Dialog, OutLeg]:
        """A call that was answered; the INVITE transaction has ended."""
        dialog = self.invite()
        leg = self.answer(dialog)
        if acked:
            self.down("ACK", 10)
        self.table.release(dialog)
        return dialog, leg

    def advance(self, seconds: float) -> None:
        """Move the clock and run the timeouts that have come."""
        self.now += seconds
        for fire in self.table.due():
            fire()

    def recount(self) -> dict[State, int]:
        """Dialogs per state, counted from a listing."""
        states = [State(view.state) for batch in self.table.iter_views() for view in batch]
        return {state: states.count(state) for state in State}

    def check_counts(self) -> TableCounts:
        """The counters say what a listing shows."""
        counts = self.table.counts()
        assert per_state(counts) == self.recount()
        assert len(self.table) == sum(self.recount().values())
        return counts


def per_state(counts: TableCounts) -> dict[State, int]:
    return {
        State.UNCONFIRMED: counts.unconfirmed,
        State.EARLY: counts.early,
        State.CONFIRMED: counts.confirmed,
        State.CONFIRMED_NA: counts.confirmed_no_ack,
        State.CONCURRENT: counts.concurrent,
        State.DELETED: counts.deleted,
    }


def with_settings(**changes: int | bool) -> Core:
    return Core(replace(SETTINGS, **changes))  # type: ignore[arg-type]


def in_state(core: Core, state: State) -> Dialog:
    """A dialog that came to ``state`` by messages."""
    dialog = core.invite()
    steps: dict[State, Callable[[], object]] = {
        State.UNCONFIRMED: lambda: None,
        State.EARLY: lambda: core.reply(dialog, 180),
        State.CONFIRMED_NA: lambda: core.answer(dialog),
        State.CONFIRMED: lambda: (core.answer(dialog), core.down("ACK", 10)),
        State.CONCURRENT: lambda: (core.answer(dialog), core.answer(dialog, "carol", branch=1)),
        State.DELETED: lambda: core.tracker.invite_failed(dialog, 486),
    }
    steps[state]()
    assert dialog.state is state
    return dialog


def state_of(dialog: Dialog) -> State:
    """The state at this moment, in a way that a type checker does not take for constant."""
    return dialog.state
