"""The timeouts of every state: when they come, what they count, and what sets or stops them."""

from __future__ import annotations

import logging

import pytest

from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.orders import Termination
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import EndedLeg
from tests.unit.dialog.harness import UNIX, Core, in_state, state_of, with_settings


def due(core: Core, seconds: float) -> list[Termination | None]:
    """Let time pass; the orders of the dialogs whose timeout came."""
    core.advance(seconds)
    found, core.expired[:] = core.expired[:], []
    return [core.orders.expired(dialog) for dialog in found]


def short() -> Core:
    return with_settings(early_timeout=100, noack_timeout=40, end_timeout=50)


def sides(order: Termination | None) -> list[tuple[str, str, str, str]]:
    assert order is not None
    return [tuple(side) for side in order.view().sides]  # type: ignore[misc]


def counted(core: Core) -> tuple[int, int]:
    counts = core.check_counts()
    return counts.expired, counts.failed


def hung(core: Core) -> list[str]:
    """What timers are set, by what is known of the only dialog."""
    (view,) = core.table.find("c1")
    return [f"{view.timeout - int(UNIX)}", f"{len(core.table._wheel)}"]


# -- ringing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rings", [True, False])
def test_a_call_that_nobody_answers(rings: bool) -> None:  # noqa: FBT001 - a case
    core = short()
    dialog = core.invite()
    core.advance(60.0)
    if rings:
        core.reply(dialog, 180)
    assert due(core, 39.0) == []
    (order,) = due(core, 1.3)
    assert order is not None
    assert (order.early, order.reason, order.cause) == (True, "early_timeout", 488)
    phones = [("callee", "bob", "CANCEL", "pending")] if rings else []
    assert sides(order) == [("caller", "", "488", "pending"), *phones]
    assert state_of(dialog) is State.DELETED
    assert counted(core) == (1, 1)
    assert core.kinds()[-1] is EventType.EXPIRED


def test_an_answer_stops_the_limit_on_ringing() -> None:
    core = short()
    dialog = core.invite()
    core.advance(99.0)
    core.answer(dialog)
    core.down("ACK", 10)
    assert hung(core) == ["699", "1"]
    assert due(core, 300.0) == []
    assert state_of(dialog) is State.CONFIRMED


def test_an_answer_while_the_limit_on_ringing_fires_wins() -> None:
    core = short()
    dialog = core.invite()
    core.now = 101.0
    fires = core.table.due()
    core.answer(dialog)
    for fire in fires:
        fire()
    assert core.orders.expired(dialog) is None
    assert state_of(dialog) is State.CONFIRMED_NA
    assert counted(core) == (0, 0)


def test_a_failure_stops_the_limit_on_ringing() -> None:
    core = short()
    dialog = core.invite()
    core.tracker.invite_failed(dialog, 486)
    core.table.release(dialog)
    assert len(core.table._wheel) == 0
    assert due(core, 200.0) == []
    assert counted(core) == (0, 1)


# -- the ACK ---------------------------------------------------------------------------------------


def test_an_answer_whose_ack_never_comes() -> None:
    core = short()
    dialog, _ = core.call(acked=False)
    assert hung(core) == ["40", "1"]
    assert due(core, 39.0) == []
    (order,) = due(core, 1.3)
    assert order is not None
    assert (order.early, order.reason, order.cause) == (False, "noack_timeout", 408)
    assert sides(order) == [
        ("caller", "bob", "BYE", "pending"),
        ("callee", "bob", "BYE", "pending"),
    ]
    assert counted(core) == (1, 0)
    assert state_of(dialog) is State.DELETED


def test_the_ack_starts_the_lifetime() -> None:
    core = short()
    dialog = core.invite()
    core.answer(dialog)
    core.advance(39.0)
    core.down("ACK", 10)
    assert hung(core) == ["639", "1"]
    core.advance(1.0)
    core.down("ACK", 10)
    assert hung(core) == ["639", "1"]


def test_a_lifetime_shorter_than_the_wait_for_the_ack() -> None:
    core = short()
    dialog = core.invite()
    core.table.set_lifetime(dialog, 5)
    core.answer(dialog)
    (order,) = due(core, 5.3)
    assert order is not None
    assert order.reason == "dialog_timeout"


def test_a_request_does_not_stand_for_the_ack() -> None:
    core = short()
    core.call(acked=False)
    core.advance(20.0)
    core.up("UPDATE", 1)
    assert hung(core) == ["40", "1"]


def two_answers(core: Core, *acked: str) -> Dialog:
    """Bob answers at 0 and Carol at 10; these ACKs come."""
    dialog = core.invite()
    core.answer(dialog, "bob", branch=0)
    if "bob" in acked:
        core.down("ACK", 10, "bob")
    core.advance(10.0)
    core.answer(dialog, "carol", branch=1)
    if "carol" in acked:
        core.down("ACK", 10, "carol")
    core.table.release(dialog)
    return dialog


class Unacked:
    """Takes the part of the engine when legs have waited too long."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.orders: list[Termination] = []
        core.table.on_legs_due = self.unacked

    def unacked(self, dialog: Dialog) -> None:
        order = self.core.orders.legs_due(dialog)
        if order is not None:
            self.orders.append(order)


def test_one_leg_of_two_without_its_ack_is_ended_and_the_call_goes_on() -> None:
    core = short()
    engine = Unacked(core)
    dialog = two_answers(core, "bob")
    core.advance(39.0)
    assert engine.orders == []
    core.advance(1.3)
    (order,) = engine.orders
    assert (order.reason, order.cause, order.early) == ("noack_timeout", 408, False)
    assert sides(order) == [
        ("caller", "carol", "BYE", "pending"),
        ("callee", "carol", "BYE", "pending"),
    ]
    assert core.table.termination(order.id) == order.view()
    (view,) = core.table.find("c1")
    assert (view.state, [leg.to_tag for leg in view.legs]) == (4, ["bob"])
    assert view.history == (EndedLeg(1, "carol", 200, "timeout"),)
    # It began with the first ACK, and nothing has moved it.
    assert view.timeout == int(UNIX) + 600
    assert core.events[-1].type is EventType.LEG_ENDED
    assert core.events[-1].to_tag == "carol"
    assert counted(core) == (0, 0)
    # A 2xx or an ACK that comes now is late.
    assert core.reply(dialog, 200, "carol", branch=1) is None
    match = core.down("ACK", 10, "carol")
    assert match is not None
    assert match.leg is None
    core.table.release(dialog)
    core.down("BYE", 11, "bob")
    core.table.release(dialog)
    assert len(core.table) == len(core.table._wheel) == 0


def test_neither_ack_comes() -> None:
    core = short()
    engine = Unacked(core)
    dialog = two_answers(core)
    core.advance(31.0)
    (order,) = engine.orders
    assert [side.to_tag for side in order.view().sides] == ["bob", "bob"]
    assert state_of(dialog) is State.CONFIRMED_NA
    assert hung(core)[0] == "50"
    assert due(core, 8.0) == []
    (last,) = due(core, 1.5)
    assert last is not None
    assert last.reason == "noack_timeout"
    assert [side.to_tag for side in last.view().sides] == ["carol", "carol"]
    assert counted(core) == (1, 0)


def test_both_acks_are_late_at_once() -> None:
    core = short()
    engine = Unacked(core)
    dialog = core.invite()
    for i, tag in enumerate(("bob", "carol")):
        core.answer(dialog, tag, branch=i)
    core.advance(41.0)
    (order,) = engine.orders
    assert dialog.termination is order
    assert len(order.sides) == 4
    assert state_of(dialog) is State.DELETED
    assert counted(core) == (1, 0)
    assert core.kinds()[-1] is EventType.EXPIRED


def test_two_of_three_are_late() -> None:
    core = short()
    engine = Unacked(core)
    dialog = two_answers(core, "carol")
    core.advance(5.0)
    core.answer(dialog, "dave", branch=2)
    core.advance(60.0)
    assert [[side.to_tag for side in order.view().sides] for order in engine.orders] == [
        ["bob", "bob", "dave", "dave"]
    ]
    (view,) = core.table.find("c1")
    assert (view.state, [leg.to_tag for leg in view.legs]) == (4, ["carol"])


def test_acks_that_come_leave_both_legs() -> None:
    core = short()
    engine = Unacked(core)
    dialog = two_answers(core)
    core.advance(20.0)
    for tag in ("bob", "carol"):
        core.down("ACK", 10, tag)
    core.advance(300.0)
    assert engine.orders == []
    assert state_of(dialog) is State.CONCURRENT
    # Carol's answer made it a call; her ACK does not move that.
    assert hung(core) == ["610", "1"]


def test_a_request_within_does_not_stop_the_wait_for_the_other_legs_ack() -> None:
    core = short()
    engine = Unacked(core)
    two_answers(core, "bob")
    core.advance(20.0)
    core.down("INFO", 11, "bob")
    core.advance(21.0)
    assert len(engine.orders) == 1


# -- the dialog timeout ----------------------------------------------------------------------------


def test_sequential_requests_start_it_anew_unless_it_is_to_be_left_alone() -> None:
    everywhere = with_settings(timeout_noreset=True)
    here = with_settings()
    nowhere = with_settings()
    ends = []
    for core in (everywhere, here, nowhere):
        dialog, _ = core.call()
        if core is here:
            core.table.set_timeout_noreset(dialog, True)
        core.advance(300.0)
        core.down("INFO", 11)
        core.up("INVITE", 1)
        ends.append(hung(core)[0])
    assert ends == ["600", "600", "900"]


def test_without_send_bye_the_dialog_just_leaves() -> None:
    core = with_settings(send_bye=False)
    dialog, _ = core.call()
    assert due(core, 601.0) == [None]
    assert state_of(dialog) is State.DELETED
    assert len(core.table) == len(core.table._wheel) == 0
    assert core.kinds()[-2:] == [EventType.EXPIRED, EventType.DESTROYED]
    assert core.events[-2].detail == "dialog_timeout"
    assert core.table.terminations() == []
    assert counted(core) == (1, 0)


def test_without_send_bye_a_dialog_may_still_be_marked_for_it() -> None:
    core = with_settings(send_bye=False)
    dialog, _ = core.call()
    core.table.set_timeout_bye(dialog, True)
    (order,) = due(core, 601.0)
    assert [side.side for side in (order.view().sides if order else ())] == ["caller", "callee"]


def test_without_send_bye_the_other_timeouts_tell_the_parties() -> None:
    core = with_settings(send_bye=False, early_timeout=100, noack_timeout=40)
    ringing, answered = core.invite("c1"), core.invite("c2")
    core.answer(answered)
    orders = due(core, 41.0) + due(core, 60.0)
    assert [order and order.dialog for order in orders] == [answered, ringing]


def test_a_dialog_that_just_leaves_waits_for_its_transactions() -> None:
    core = with_settings(send_bye=False)
    dialog, _ = core.call()
    core.table.hold(dialog)
    assert due(core, 601.0) == [None]
    (view,) = core.table.find("c1")
    assert view.state == 6
    core.table.release(dialog)
    assert len(core.table) == 0


def test_timeouts_are_exact_to_a_quarter_of_a_second() -> None:
    core = with_settings()
    dialog, _ = core.call()
    core.advance(599.99)
    assert core.expired == []
    core.advance(0.26)
    assert core.expired == [dialog]


# -- deleted ---------------------------------------------------------------------------------------


def test_a_deleted_dialog_that_is_held_leaves_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    core = short()
    dialog = core.invite()
    core.table.hold(dialog)
    core.tracker.invite_failed(dialog, 486)
    core.advance(49.0)
    assert len(core.table) == 1
    with caplog.at_level(logging.WARNING):
        core.advance(1.3)
    assert len(core.table) == len(core.table._wheel) == 0
    assert core.table.counters.forced == 1
    assert "end_timeout" in caplog.text
    assert core.kinds()[-1] is EventType.DESTROYED
    # What held it gives its hold back to nobody.
    for _ in range(2):
        core.table.release(dialog)
    assert core.kinds().count(EventType.DESTROYED) == 1
    assert counted(core) == (0, 1)


def test_a_dialog_that_leaves_in_time_is_not_forced() -> None:
    core = short()
    dialog, _ = core.call()
    core.up("BYE", 1)
    core.table.release(dialog)
    core.advance(100.0)
    assert core.table.counters.forced == 0
    assert len(core.table._wheel) == 0


@pytest.mark.parametrize("send_bye", [True, False])
@pytest.mark.parametrize("state", State)
def test_a_dialog_that_everybody_forgot_is_gone_in_the_end(
    state: State,
    send_bye: bool,  # noqa: FBT001 - a case
) -> None:
    """No message comes any more, and nothing gives its hold back."""
    core = with_settings(early_timeout=100, noack_timeout=40, end_timeout=50, send_bye=send_bye)
    Unacked(core)
    dialog = in_state(core, state)
    for _ in range(10):
        due(core, 90.0)
    assert len(core.table) == len(core.table._wheel) == 0
    assert core.table.counters.forced == 1
    assert core.kinds().count(EventType.DESTROYED) == 1
    assert dialog.removed
    assert core.table.lookup("c1", "alice", "") is None
    assert counted(core)[0] == (state is not State.DELETED)
