"""Ending dialogs: who is told, what is remembered, and when the dialog leaves."""

from __future__ import annotations

import gc

import pytest

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.orders import MAX_ORDERS, Termination
from dlgmgmt.dialog.states import State
from tests.unit.dialog.harness import UNIX, Core, in_state, state_of


def end(core: Core, to_tag: str = "bob") -> Termination:
    return core.orders.by_tags("c1", "alice", to_tag, reason="why")


def sides(order: Termination) -> list[tuple[str, str, str, str]]:
    return [tuple(side) for side in order.view().sides]  # type: ignore[misc]


def test_a_confirmed_call_is_told_on_both_sides() -> None:
    core = Core()
    dialog, _ = core.call()
    core.now = 4.0
    order = end(core)
    assert not order.early
    assert order.cause == 200
    assert sides(order) == [
        ("caller", "bob", "BYE", "pending"),
        ("callee", "bob", "BYE", "pending"),
    ]
    assert state_of(dialog) is State.DELETED
    view = core.table.termination(order.id)
    assert view is not None
    assert (view.h_entry, view.h_id) == (dialog.entry.index, dialog.h_id)
    assert (view.callid, view.from_tag, view.reason) == ("c1", "alice", "why")
    assert view.ordered_ts == int(UNIX) + 4
    assert core.events[-1].type is EventType.TERMINATED
    assert core.events[-1].detail == "why"


def test_each_confirmed_leg_is_told_and_no_other() -> None:
    core = Core()
    dialog = core.invite()
    for i, tag in enumerate(["bob", "carol", "dave"]):
        core.reply(dialog, 180, tag, branch=i)
    core.answer(dialog, "carol", branch=1)
    core.down("ACK", 10, "carol")
    core.answer(dialog, "dave", branch=2)
    order = end(core, "carol")
    assert sides(order) == [
        ("caller", "carol", "BYE", "pending"),
        ("callee", "carol", "BYE", "pending"),
        ("caller", "dave", "BYE", "waiting for ACK"),
        ("callee", "dave", "BYE", "waiting for ACK"),
    ]


def test_an_early_dialog_gets_488_and_cancel() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180, "bob")
    core.reply(dialog, 180, "carol", branch=1)
    order = end(core, "carol")
    assert order.early
    assert order.cause == 488
    assert sides(order) == [
        ("caller", "", "488", "pending"),
        ("callee", "bob", "CANCEL", "pending"),
        ("callee", "carol", "CANCEL", "pending"),
    ]
    assert core.check_counts().failed == 1


def test_an_unconfirmed_dialog_is_ended_by_id() -> None:
    core = Core()
    dialog = core.invite()
    order = core.orders.by_id(dialog.entry.index, dialog.h_id, reason="why")
    assert sides(order) == [("caller", "", "488", "pending")]


def test_the_tags_may_be_given_in_either_order() -> None:
    core = Core()
    dialog, _ = core.call()
    core.orders.by_tags("c1", "bob", "alice", reason="why")
    assert state_of(dialog) is State.DELETED


@pytest.mark.parametrize(
    ("callid", "from_tag", "to_tag", "known"),
    [
        ("c1", "alice", "bobby", True),
        ("c1", "alice", "", True),
        ("c1", "mallory", "bob", True),
        ("c1", "bob", "bob", True),
        ("c1", "alice", "alice", True),
        ("c1", "", "", True),
        ("c9", "alice", "bob", False),
        ("", "alice", "bob", False),
    ],
)
def test_a_wrong_identity_changes_nothing(
    callid: str,
    from_tag: str,
    to_tag: str,
    known: bool,  # noqa: FBT001
) -> None:
    core = Core()
    core.call()
    before, counts = core.table.find("c1"), core.table.counts()
    with pytest.raises(NoSuchDialog) as refused:
        core.orders.by_tags(callid, from_tag, to_tag, reason="why")
    assert refused.value.callid_known is known
    assert core.table.find("c1") == before
    assert core.table.counts() == counts
    assert core.table.terminations() == []


def test_the_tag_of_a_leg_that_lost_names_no_dialog() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180, "bob")
    core.answer(dialog, "carol", branch=1)
    with pytest.raises(NoSuchDialog):
        end(core, "bob")


def test_ending_twice_is_refused() -> None:
    core = Core()
    dialog, _ = core.call()
    end(core)
    with pytest.raises(NoSuchDialog) as refused:
        end(core)
    assert refused.value.callid_known
    with pytest.raises(NoSuchDialog):
        core.orders.by_id(dialog.entry.index, dialog.h_id, reason="why")
    assert len(core.table.terminations()) == 1


@pytest.mark.parametrize(("entry", "number"), [(-1, 1), (8, 1), (10**9, 1), (0, 0), (0, -5)])
def test_an_unknown_id_is_refused(entry: int, number: int) -> None:
    core = Core()
    core.call()
    with pytest.raises(NoSuchDialog):
        core.orders.by_id(entry, number, reason="why")


@pytest.mark.parametrize("state", [s for s in State if s is not State.DELETED])
def test_every_living_state_can_be_ended_and_leaves(state: State) -> None:
    core = Core()
    dialog = in_state(core, state)
    core.table.release(dialog)
    order = core.orders.by_id(dialog.entry.index, dialog.h_id, reason="why")
    assert state_of(dialog) is State.DELETED
    assert len(core.table) == 1
    # The hold of the order itself.
    core.table.release(dialog)
    assert len(core.table) == 0
    assert core.check_counts().deleted == 0
    assert core.table.termination(order.id) is not None


def test_the_timeout_ends_the_dialog_once() -> None:
    core = Core()
    dialog, _ = core.call()
    core.advance(599.0)
    assert core.expired == []
    core.advance(2.0)
    assert core.expired == [dialog]
    order = core.orders.expired(dialog)
    assert order is not None
    assert (order.cause, order.reason) == (408, "dialog_timeout")
    assert core.orders.expired(dialog) is None
    assert core.events[-1].type is EventType.EXPIRED
    counts = core.check_counts()
    assert (counts.expired, counts.deleted) == (1, 1)


def test_a_timeout_that_was_set_anew_while_it_fired_does_not_end_the_dialog() -> None:
    core = Core()
    dialog, _ = core.call()
    core.now = 601.0
    due = core.table.due()
    core.up("INFO", 1)
    for fire in due:
        fire()
    assert all(core.orders.expired(dialog) is None for dialog in [dialog, *core.expired])
    assert state_of(dialog) is State.CONFIRMED
    assert core.check_counts().expired == 0
    core.advance(601.0)
    assert core.orders.expired(dialog) is not None


def test_a_bye_while_the_timeout_fires_wins() -> None:
    core = Core()
    dialog, _ = core.call()
    core.now = 601.0
    due = core.table.due()
    core.up("BYE", 1)
    for fire in due:
        fire()
    assert core.orders.expired(dialog) is None
    assert core.check_counts().expired == 0


def test_no_timer_outlives_its_dialog() -> None:
    core = Core()
    for i in range(20):
        dialog = core.invite(f"c{i}")
        core.answer(dialog)
        core.table.release(dialog)
        core.orders.by_id(dialog.entry.index, dialog.h_id, reason="why")
        core.table.release(dialog)
    assert len(core.table._wheel) == 0


def test_outcomes_are_recorded() -> None:
    core = Core()
    core.call()
    order = end(core)
    core.orders.record(order, order.sides[0], "200")
    core.orders.record(order, order.sides[1], "timeout")
    view = core.table.termination(order.id)
    assert view is not None
    assert [side.outcome for side in view.sides] == ["200", "timeout"]


def test_the_next_cseq_follows_the_last_of_each_direction() -> None:
    core = Core()
    dialog, leg = core.call()
    core.down("INVITE", 15)
    core.up("INVITE", 900)
    assert core.orders.next_cseq(dialog, leg, to_caller=True) == 901
    assert core.orders.next_cseq(dialog, leg, to_caller=False) == 16


def test_only_so_many_terminations_are_remembered() -> None:
    core = Core()
    for i in range(MAX_ORDERS + 50):
        dialog = core.invite(f"c{i}")
        core.table.release(dialog)
        core.orders.by_id(dialog.entry.index, dialog.h_id, reason="why")
        core.table.release(dialog)
    views = core.table.terminations()
    assert len(views) == MAX_ORDERS
    assert [view.id for view in views] == list(range(51, MAX_ORDERS + 51))
    assert core.table.termination(50) is None
    assert core.table.termination(MAX_ORDERS + 51) is None
    assert len(core.table) == 0


def test_what_is_remembered_of_a_termination_keeps_no_dialog_in_memory() -> None:
    core = Core()
    gc.collect()
    before = {id(each) for each in gc.get_objects() if isinstance(each, Dialog)}
    dialog, _ = core.call()
    order = end(core)
    number = order.id
    for side in order.sides:
        core.orders.record(order, side, "200")
    order.open = False
    core.table.release(dialog)
    core.events.clear()
    # The collector comes rarely.
    gc.disable()
    del dialog, order, side
    gc.enable()
    after = {id(each) for each in gc.get_objects() if isinstance(each, Dialog) and each.removed}
    assert after <= before
    view = core.table.termination(number)
    assert view is not None
    assert [side.outcome for side in view.sides] == ["200", "200"]
    assert core.table.terminations() == [view]


def test_an_answer_that_comes_after_the_dialog_has_left_is_remembered() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180)
    order = core.orders.by_tags("c1", "alice", "bob", reason="why")
    caller, callee = order.sides
    core.orders.record(order, callee, "487")
    core.orders.record(order, caller, "sent")
    core.table.release(dialog)
    core.table.release(dialog)
    assert dialog.removed
    core.orders.record(order, caller, "acknowledged")
    view = core.table.termination(order.id)
    assert view is not None
    assert [side.outcome for side in view.sides] == ["acknowledged", "487"]
