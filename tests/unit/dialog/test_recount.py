"""Thousands of random calls, and at every moment the statistics are what a recount gives."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.results_system import Statistics
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.orders import Termination
from dlgmgmt.dialog.states import State
from tests.unit.commands.harness import ME, OrdersOnly
from tests.unit.dialog.harness import SETTINGS, Core, make_init

CALLS = 5_000
AT_ONCE = 60
VALUES = ("alice", "bob", "carol", "dave")

ANSWERED = (State.CONFIRMED, State.CONFIRMED_NA, State.CONCURRENT)
RINGING = (State.UNCONFIRMED, State.EARLY)


class Exchange:
    """Places random calls and does random things to them. ``seen``: what has become of them."""

    def __init__(self, seed: int, *, send_bye: bool) -> None:
        self.rng = random.Random(seed)
        self.core = Core(
            replace(
                SETTINGS,
                send_bye=send_bye,
                default_timeout=600,
                early_timeout=90,
                noack_timeout=30,
                profiles_with_value=("caller", "gateway"),
                profiles_no_value=("inbound",),
            )
        )
        self.seen: Counter[str] = Counter()
        self.inviting: set[Dialog] = set()
        self.alive: list[Dialog] = []
        self.orders: list[Termination] = []
        self.commands = Dispatcher(
            build_registry(),
            CommandContext(
                table=self.core.table,
                terminator=OrdersOnly(self.core.table),
                clock=self.core.table.wall,
                start_time=0.0,
                version="",
            ),
        )
        self.core.table.on_legs_due = self.unacked
        self.made = 0

    # -- a call's messages ---------------------------------------------------------------------

    def invite(self) -> None:
        self.made += 1
        core, rng = self.core, self.rng
        dialog, new = core.table.open(make_init(f"call-{self.made}"))
        assert new
        self.seen["processed"] += 1
        self.inviting.add(dialog)
        self.alive.append(dialog)
        for _ in range(rng.choice((0, 1, 1, 2, 3))):
            self.enter(dialog)

    def enter(self, dialog: Dialog) -> None:
        name = self.rng.choice(("caller", "gateway", "inbound"))
        value = None if name == "inbound" else self.rng.choice(VALUES)
        self.core.table.profiles.insert(dialog, name, value)

    def spiral(self, dialog: Dialog) -> None:
        again, new = self.core.table.open(make_init(dialog.callid))
        assert again is dialog
        assert not new

    def ring(self, dialog: Dialog) -> None:
        branch = self.rng.randrange(3)
        self.core.reply(dialog, 180, f"phone-{branch}", branch=branch)

    def answer(self, dialog: Dialog) -> None:
        branch = self.rng.randrange(3)
        session = self.rng.choice((0, 0, 12, 90))
        self.core.reply(dialog, 200, f"phone-{branch}", branch=branch, session=session)

    def fail(self, dialog: Dialog) -> None:
        """Rejected, cancelled, or nothing came: the INVITE is over."""
        tracker = self.core.tracker
        how = self.rng.choice(("rejected", "cancelled", "silent"))
        if how != "silent":
            for branch in range(3):
                tracker.branch_failed(dialog, branch, 486, f"phone-{branch}", how)
            tracker.invite_failed(dialog, 486 if how == "rejected" else 487)
        self.seen["failed"] += 1
        self.end_invite(dialog)

    def end_invite(self, dialog: Dialog) -> None:
        self.inviting.discard(dialog)
        self.core.tracker.invite_ended(dialog)
        self.core.table.release(dialog)

    def within(self, dialog: Dialog, method: str) -> None:
        leg = self.rng.choice(dialog.confirmed_legs())
        if self.rng.random() < 0.5:
            tags = dialog.from_tag, leg.to_tag
        else:
            tags = leg.to_tag, dialog.from_tag
        if method == "ACK":
            tags = dialog.from_tag, leg.to_tag
        match = self.core.tracker.request(None, dialog.callid, *tags, method, 20)
        assert match is not None
        if match.held:
            self.core.table.release(dialog)
        if method == "UPDATE":
            session = self.rng.choice((0, 9, 60))
            self.core.tracker.response(match, method, 200, "", "", cseq=20, session=session)

    # -- orders and timeouts -------------------------------------------------------------------

    def kill(self, dialog: Dialog) -> None:
        ringing = dialog.state in RINGING
        order = self.core.orders.by_id(dialog.entry.index, dialog.h_id, reason="random")
        self.seen["failed"] += ringing
        self.orders.append(order)

    def unacked(self, dialog: Dialog) -> None:
        """Legs of several are not acknowledged or refreshed: the call goes on with the others."""
        was, legs = dialog.state, len(dialog.legs)
        order = self.core.orders.legs_due(dialog)
        if was is not State.DELETED and dialog.state is State.DELETED:
            self.seen["expired"] += 1
        else:
            self.seen["legs"] += len(dialog.legs) < legs
        if order is not None:
            self.orders.append(order)

    def carry_out(self) -> None:
        """What the engine does: BYEs are answered, and the CANCELs end the INVITE."""
        for order in self.orders:
            dialog = order.dialog
            if order.early and dialog in self.inviting:
                self.end_invite(dialog)
            self.core.table.release(dialog)
        self.orders.clear()

    def wait(self) -> None:
        self.core.advance(self.rng.choice((0.5, 3.0, 20.0)))
        due, self.core.expired[:] = self.core.expired[:], []
        for dialog in due:
            was = dialog.state
            order = self.core.orders.expired(dialog)
            if order is not None:
                self.seen[order.reason] += 1
            if was is State.DELETED:
                assert order is None
            else:
                self.seen["expired"] += 1
                self.seen["failed"] += was in RINGING
            if order is not None:
                self.orders.append(order)

    # -- the exchange --------------------------------------------------------------------------

    def step(self) -> None:
        rng = self.rng
        self.alive = [dialog for dialog in self.alive if dialog.state is not State.DELETED]
        if self.made < CALLS and len(self.alive) < AT_ONCE and rng.random() < 0.3:
            self.invite()
            return
        if rng.random() < 0.02:
            self.wait()
        if rng.random() < 0.3:
            self.carry_out()
        alive = [dialog for dialog in self.alive if dialog.state is not State.DELETED]
        if not alive:
            return
        dialog = rng.choice(alive)
        if rng.random() < 0.1:
            self.profile_change(dialog)
        elif dialog.state in RINGING:
            do = rng.choices(
                (self.ring, self.answer, self.fail, self.kill, self.spiral), (6, 4, 3, 1, 1)
            )
            do[0](dialog)
        elif dialog in self.inviting and rng.random() < 0.4:
            # Another phone answers as well, or the INVITE is done.
            rng.choice((self.answer, self.end_invite))(dialog)
        else:
            kinds = rng.choices(("ACK", "INFO", "UPDATE", "BYE", "kill"), (5, 2, 2, 3, 1))
            if kinds == ["kill"]:
                self.kill(dialog)
            else:
                self.within(dialog, kinds[0])

    def profile_change(self, dialog: Dialog) -> None:
        if self.rng.random() < 0.5 or not dialog.profiles:
            self.enter(dialog)
        else:
            name, value = self.rng.choice(dialog.profiles)
            assert self.core.table.profiles.remove(dialog, name, value)

    # -- what must hold ------------------------------------------------------------------------

    def check(self) -> None:
        table = self.core.table
        views = [view for batch in table.iter_views() for view in batch]
        states = Counter(view.state for view in views)
        assert self.core.check_counts().illegal_events == 0
        statistics = self.commands.call(MgmtProtocol.MI, "get_statistics", [(None, "dialog:")], ME)
        assert isinstance(statistics, Statistics)
        assert {row.name: row.value for row in statistics.rows} == {
            "active_dialogs": sum(states[state] for state in ANSWERED),
            "early_dialogs": states[State.EARLY],
            "expired_dialogs": self.seen["expired"],
            "failed_dialogs": self.seen["failed"],
            "processed_dialogs": self.seen["processed"],
        }
        members = Counter(member for view in views for member in view.profiles)
        assert all(view.profiles == () for view in views if view.state == State.DELETED)
        for name in ("caller", "gateway", "inbound"):
            mine = {value: n for (profile, value), n in members.items() if profile == name}
            assert table.profiles.size(name, None) == sum(mine.values())
            for value in VALUES if name != "inbound" else ():
                assert table.profiles.size(name, value) == mine.get(value, 0)
                listed = {(v.h_entry, v.h_id) for v in table.profiles.views(name, value)}
                assert listed == {(v.h_entry, v.h_id) for v in views if (name, value) in v.profiles}


@pytest.mark.parametrize(("seed", "send_bye"), [(1, True), (2, False)])
def test_five_thousand_random_calls(seed: int, send_bye: bool) -> None:  # noqa: FBT001 - a case
    exchange = Exchange(seed, send_bye=send_bye)
    steps = 0
    while exchange.made < CALLS or exchange.alive:
        exchange.step()
        steps += 1
        if steps % 400 == 0:
            exchange.check()
    for dialog in list(exchange.inviting):
        exchange.end_invite(dialog)
    exchange.carry_out()
    exchange.check()

    core, seen = exchange.core, exchange.seen
    assert len(core.table) == 0
    assert len(core.table._wheel) == 0
    assert core.table.profiles._members == {}
    # Every way to end was taken often, or this says little.
    kinds = Counter(core.kinds())
    assert seen["processed"] == CALLS == kinds[EventType.DESTROYED]
    assert min(seen["failed"], seen["expired"]) > 300
    assert min(kinds[EventType.TERMINATED], kinds[EventType.SPIRALED]) > 300
    assert kinds[EventType.EXPIRED] == seen["expired"]
    assert kinds[EventType.LEG_ENDED] > 100
    assert seen["legs"] > 20
    assert seen["session_expired"] >= 50 * send_bye
