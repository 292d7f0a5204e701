"""What the messages of a call make of its dialog."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import MAX_HISTORY, MAX_LEGS, Direction
from dlgmgmt.dialog.states import Event, IllegalEvent, State
from dlgmgmt.dialog.views import EndedLeg
from tests.unit.dialog.harness import UNIX, Core, state_of


def test_a_call_from_ringing_to_bye() -> None:
    core = Core()
    dialog = core.invite()
    core.now = 1.0
    leg = core.reply(dialog, 180)
    assert leg is not None
    assert state_of(dialog) is State.EARLY
    core.now = 5.0
    core.answer(dialog)
    assert state_of(dialog) is State.CONFIRMED_NA
    core.down("ACK", 10)
    assert state_of(dialog) is State.CONFIRMED
    core.table.release(dialog)
    (view,) = core.table.find("c1")
    assert (view.init_ts, view.start_ts) == (int(UNIX), int(UNIX) + 5)
    assert view.timeout == int(UNIX) + 605
    (shown,) = view.legs
    assert (shown.to_tag, shown.state, shown.acked) == ("bob", "confirmed", True)
    assert shown.callee_contact == "sip:bob@192.0.2.2"
    assert shown.callee_route_set == "<sip:192.0.2.8;lr>"
    core.now = 9.0
    match = core.up("BYE", 1)
    assert match is not None
    assert match.held
    assert state_of(dialog) is State.DELETED
    (view,) = core.table.find("c1")
    assert (view.end_ts, view.timeout) == (int(UNIX) + 9, 0)
    core.table.release(dialog)
    assert core.table.find("c1") == []
    assert not any(core.check_counts()[:6])
    assert core.kinds() == [
        EventType.CREATED,
        EventType.EARLY,
        EventType.CONFIRMED_NA,
        EventType.CONFIRMED,
        EventType.TERMINATED,
        EventType.DESTROYED,
    ]


def test_a_second_180_is_no_second_event() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180)
    core.reply(dialog, 183)
    assert core.kinds() == [EventType.CREATED, EventType.EARLY]


def test_a_retransmitted_2xx_and_its_ack_change_nothing() -> None:
    core = Core()
    dialog, _ = core.call()
    before, events = core.table.find("c1"), len(core.events)
    core.answer(dialog)
    core.down("ACK", 10)
    assert core.table.find("c1") == before
    assert len(core.events) == events


def test_a_failed_invite() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180)
    core.tracker.branch_failed(dialog, 0, 486, "bob", "rejected")
    core.tracker.invite_failed(dialog, 486)
    core.tracker.invite_failed(dialog, 486)
    assert state_of(dialog) is State.DELETED
    assert dialog.legs == {}
    assert dialog.history == (EndedLeg(0, "bob", 486, "rejected"),)
    counts = core.check_counts()
    assert (counts.failed, counts.deleted) == (1, 1)
    assert core.events[-1].type is EventType.FAILED
    assert core.events[-1].detail == "486"
    core.table.release(dialog)
    assert len(core.table) == 0


def test_a_branch_that_fails_with_no_leg_is_remembered_too() -> None:
    core = Core()
    dialog = core.invite()
    core.tracker.branch_failed(dialog, 0, 408, "", "timeout")
    core.tracker.branch_failed(dialog, 1, 404, "x", "rejected")
    assert dialog.history == (EndedLeg(0, "", 408, "timeout"), EndedLeg(1, "x", 404, "rejected"))


def test_an_invite_that_ends_without_any_result_leaves_nothing_behind() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180)
    core.tracker.invite_ended(dialog)
    core.table.release(dialog)
    assert len(core.table) == 0
    assert core.check_counts().failed == 1


def test_the_end_of_the_invite_does_not_touch_an_answered_call() -> None:
    core = Core()
    dialog = core.invite()
    core.answer(dialog)
    core.tracker.invite_ended(dialog)
    assert state_of(dialog) is State.CONFIRMED_NA


def test_a_fork_keeps_one_leg_for_each_phone_that_rings() -> None:
    core = Core()
    dialog = core.invite()
    for i, tag in enumerate(["bob", "carol", "dave"]):
        core.reply(dialog, 180, tag, branch=i, contact=f"sip:{tag}@h")
    (view,) = core.table.find("c1")
    assert [(leg.branch, leg.to_tag, leg.callee_contact) for leg in view.legs] == [
        (0, "bob", "sip:bob@h"),
        (1, "carol", "sip:carol@h"),
        (2, "dave", "sip:dave@h"),
    ]


def test_the_losers_of_an_answered_fork_go_to_the_history_with_their_code() -> None:
    core = Core()
    dialog = core.invite()
    for i, tag in enumerate(["bob", "carol", "dave"]):
        core.reply(dialog, 180, tag, branch=i)
    core.answer(dialog, "carol", branch=1)
    assert list(dialog.legs) == ["carol"]
    assert dialog.history == (
        EndedLeg(0, "bob", 0, "cancelled"),
        EndedLeg(2, "dave", 0, "cancelled"),
    )
    core.tracker.branch_failed(dialog, 0, 487, "bob", "cancelled")
    core.tracker.branch_failed(dialog, 2, 486, "dave", "cancelled")
    assert dialog.history == (
        EndedLeg(0, "bob", 487, "cancelled"),
        EndedLeg(2, "dave", 486, "cancelled"),
    )
    assert state_of(dialog) is State.CONFIRMED_NA


def test_a_provisional_after_the_answer_makes_no_leg() -> None:
    core = Core()
    dialog = core.invite()
    core.answer(dialog)
    assert core.reply(dialog, 180, "carol", branch=1) is None
    assert list(dialog.legs) == ["bob"]
    assert core.check_counts().illegal_events == 0


def test_two_answers_are_concurrent_and_a_leg_that_was_cancelled_returns() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180, "bob", branch=0)
    core.reply(dialog, 180, "carol", branch=1)
    core.answer(dialog, "bob", branch=0)
    core.answer(dialog, "carol", branch=1)
    assert state_of(dialog) is State.CONCURRENT
    assert list(dialog.legs) == ["bob", "carol"]
    assert dialog.history == ()
    core.down("ACK", 10, "carol")
    assert state_of(dialog) is State.CONCURRENT
    (view,) = core.table.find("c1")
    assert [(leg.to_tag, leg.acked) for leg in view.legs] == [("bob", False), ("carol", True)]


def concurrent(core: Core, *acked: str) -> None:
    dialog = core.invite()
    core.answer(dialog, "bob", branch=0)
    core.answer(dialog, "carol", branch=1)
    for tag in acked:
        core.down("ACK", 10, tag)
    core.table.release(dialog)


def test_bye_on_one_of_two_legs_leaves_a_confirmed_call() -> None:
    core = Core()
    concurrent(core, "bob", "carol")
    match = core.down("BYE", 11, "carol")
    assert match is not None
    assert not match.held
    (view,) = core.table.find("c1")
    assert view.state == 4
    assert [leg.to_tag for leg in view.legs] == ["bob"]
    assert view.history == (EndedLeg(1, "carol", 200, "bye"),)
    match = core.down("BYE", 11, "bob")
    assert match is not None
    assert match.held
    core.table.release(match.dialog)
    assert len(core.table) == 0
    assert EventType.LEG_ENDED in core.kinds()


def test_bye_that_leaves_a_leg_whose_ack_is_missing_waits_for_it_a_short_time() -> None:
    core = Core()
    concurrent(core, "carol")
    core.down("BYE", 11, "carol")
    (view,) = core.table.find("c1")
    assert view.state == 5
    assert view.timeout == int(UNIX) + 60
    core.advance(62.0)
    assert [d.callid for d in core.expired] == ["c1"]


def test_the_late_ack_gives_the_call_its_lifetime_back() -> None:
    core = Core()
    concurrent(core, "carol")
    core.down("BYE", 11, "carol")
    core.advance(30.0)
    core.down("ACK", 10, "bob")
    core.advance(62.0)
    assert core.expired == []
    (view,) = core.table.find("c1")
    assert (view.state, view.timeout) == (4, int(UNIX) + 630)


def test_bye_on_one_of_three_stays_concurrent() -> None:
    core = Core()
    dialog = core.invite()
    for i, tag in enumerate(["bob", "carol", "dave"]):
        core.answer(dialog, tag, branch=i)
        core.down("ACK", 10, tag)
    core.up("BYE", 1, "dave")
    assert state_of(dialog) is State.CONCURRENT
    core.up("BYE", 1, "bob")
    assert state_of(dialog) is State.CONFIRMED
    core.up("BYE", 1, "carol")
    assert state_of(dialog) is State.DELETED


def test_a_late_2xx_does_not_bring_back_a_leg_that_was_hung_up() -> None:
    core = Core()
    concurrent(core, "bob", "carol")
    core.down("BYE", 11, "carol")
    (before,) = core.table.find("c1")
    dialog = core.tracker.table.entry_of("c1").by_callid["c1"][0]
    assert core.reply(dialog, 200, "carol", branch=1) is None
    assert core.table.find("c1") == [before]


def test_a_request_on_an_ended_leg_still_belongs_to_its_call() -> None:
    core = Core()
    concurrent(core, "bob", "carol")
    core.down("BYE", 11, "carol")
    for match, direction in (
        (core.down("ACK", 10, "carol"), Direction.DOWNSTREAM),
        (core.up("INFO", 5, "carol"), Direction.UPSTREAM),
    ):
        assert match is not None
        assert match.leg is None
        assert match.direction is direction
    assert core.check_counts().confirmed == 1


def test_each_direction_of_each_leg_has_its_own_cseq() -> None:
    core = Core()
    dialog = core.invite()
    bob, carol = core.answer(dialog, "bob"), core.answer(dialog, "carol", branch=1)
    for tag in ("bob", "carol"):
        core.down("ACK", 10, tag)
    core.down("INVITE", 11, "bob")
    core.down("ACK", 11, "bob")
    core.up("UPDATE", 7000, "carol")
    core.down("INFO", 14, "carol")
    assert (bob.caller_cseq, carol.caller_cseq) == (11, 14)
    assert carol.callee_cseq == 7000


@pytest.mark.parametrize("number", [1, 5000])
def test_the_first_cseq_of_the_callee_replaces_the_placeholder(number: int) -> None:
    core = Core()
    _, leg = core.call()
    assert leg.callee_cseq == 10
    core.up("INFO", number)
    assert leg.callee_cseq == number
    core.up("INFO", number + 1)
    core.up("INFO", number)
    assert leg.callee_cseq == number + 1


def test_ack_and_cancel_do_not_count() -> None:
    core = Core()
    _, leg = core.call()
    core.down("ACK", 400)
    core.down("CANCEL", 500)
    assert leg.caller_cseq == 10


def test_prack_in_an_early_dialog() -> None:
    core = Core()
    dialog = core.invite()
    leg = core.reply(dialog, 183)
    assert leg is not None
    match = core.down("PRACK", 11)
    assert match is not None
    assert match.leg is leg
    assert leg.caller_cseq == 11
    assert state_of(dialog) is State.EARLY
    assert core.events[-1].type is EventType.REQUEST_WITHIN
    assert core.events[-1].detail == "PRACK"


def test_bye_in_an_early_dialog_does_not_end_it() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180)
    match = core.down("BYE", 11)
    assert match is not None
    assert not match.held
    assert state_of(dialog) is State.EARLY


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("direction", ["down", "up"])
def test_a_2xx_to_a_target_refresh_moves_both_contacts(method: str, direction: str) -> None:
    core = Core()
    dialog, leg = core.call()
    match = core.down(method, 11) if direction == "down" else core.up(method, 3)
    assert match is not None
    core.tracker.response(match, method, 183, "sip:early@x", "sip:early@y")
    core.tracker.response(match, method, 488, "sip:no@x", "sip:no@y")
    assert dialog.caller_contact == "sip:alice@192.0.2.1"
    core.tracker.response(match, method, 200, "sip:sender@x", "sip:replier@y")
    got = dialog.caller_contact, leg.callee_contact
    want = "sip:sender@x", "sip:replier@y"
    assert got == (want if direction == "down" else want[::-1])
    core.tracker.response(match, method, 200, "", "")
    assert (dialog.caller_contact, leg.callee_contact) == got


@pytest.mark.parametrize("method", ["INFO", "PRACK", "BYE", "MESSAGE"])
def test_a_2xx_to_anything_else_moves_none(method: str) -> None:
    core = Core()
    dialog, leg = core.call()
    match = core.down("INFO", 11)
    assert match is not None
    core.tracker.response(match, method, 200, "sip:x@x", "sip:y@y")
    assert dialog.caller_contact == "sip:alice@192.0.2.1"
    assert leg.callee_contact == "sip:bob@192.0.2.2"


def test_a_retransmitted_first_2xx_does_not_undo_a_target_refresh() -> None:
    core = Core()
    dialog, leg = core.call()
    match = core.up("INVITE", 3)
    assert match is not None
    core.tracker.response(match, "INVITE", 200, "sip:bob@moved", "sip:alice@moved")
    core.answer(dialog)
    assert leg.callee_contact == "sip:bob@moved"


def test_the_route_set_of_the_2xx_replaces_that_of_the_180() -> None:
    core = Core()
    dialog = core.invite()
    leg = core.reply(dialog, 180, routes=("<sip:a;lr>", "<sip:b;lr>"))
    assert leg is not None
    seen: list[tuple[str, ...]] = []
    for code in (183, 200):
        core.reply(dialog, code, routes=())
        seen.append(leg.callee_route_set)
    assert seen == [("<sip:a;lr>", "<sip:b;lr>"), ()]


def test_a_request_within_starts_the_timeout_anew() -> None:
    core = Core()
    core.call()
    core.advance(500.0)
    core.up("INFO", 1)
    core.advance(500.0)
    assert core.expired == []
    core.advance(102.0)
    assert len(core.expired) == 1


def test_late_messages_of_a_deleted_dialog_are_absorbed() -> None:
    core = Core()
    dialog, leg = core.call(acked=False)
    core.up("BYE", 1)
    counts, events = core.check_counts(), len(core.events)
    assert core.reply(dialog, 200) is None
    assert core.reply(dialog, 180, "new") is None
    for match in (core.down("ACK", 10), core.down("INFO", 11), core.down("BYE", 12)):
        assert match is not None
        assert match.leg is leg
        assert not match.held
    core.tracker.invite_failed(dialog, 500)
    assert core.check_counts() == counts
    assert len(core.events) == events
    core.table.release(dialog)
    assert core.down("BYE", 12) is None
    assert len(core.table) == 0


def test_an_ack_before_the_answer_is_illegal_and_counted() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180)
    with pytest.raises(IllegalEvent) as refused:
        core.down("ACK", 10)
    assert refused.value.event is Event.ACK
    assert core.check_counts().illegal_events == 1
    assert state_of(dialog) is State.EARLY


def test_the_callees_ack_does_not_confirm_the_setup() -> None:
    core = Core()
    dialog, leg = core.call(acked=False)
    core.up("ACK", 3)
    assert state_of(dialog) is State.CONFIRMED_NA
    assert not leg.acked


def test_a_deleted_dialog_stays_until_its_last_hold_is_given_back() -> None:
    core = Core()
    dialog = core.invite()
    core.table.hold(dialog)
    core.tracker.invite_failed(dialog, 486)
    core.table.release(dialog)
    (view,) = core.table.find("c1")
    assert view.ref_count == 2
    core.table.release(dialog)
    assert len(core.table) == 0


def test_a_confirmed_dialog_needs_no_hold() -> None:
    core = Core()
    dialog, _ = core.call()
    assert dialog.holds == 0
    assert len(core.table) == 1


def test_to_tags_beyond_the_limit_are_not_tracked_but_an_answer_is() -> None:
    core = Core()
    dialog = core.invite()
    for i in range(MAX_LEGS + 10):
        core.reply(dialog, 180, f"t{i}")
    assert len(dialog.legs) == MAX_LEGS
    core.answer(dialog, "winner")
    assert list(dialog.legs) == ["winner"]
    assert state_of(dialog) is State.CONFIRMED_NA
    assert len(dialog.history) == MAX_HISTORY
    for i in range(MAX_LEGS + 10):
        core.reply(dialog, 200, f"u{i}")
    assert len(dialog.legs) == MAX_LEGS
    assert core.check_counts().concurrent == 1
