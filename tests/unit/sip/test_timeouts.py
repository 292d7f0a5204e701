"""The timeouts on the wire: who is told what, and when."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.dialog.model import Dialog
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, CAROL, DIALOGS, House, World


def dialogs(**changes: int | bool) -> dict[str, object]:
    return {"dialogs": replace(DIALOGS, **changes)}  # type: ignore[arg-type]


def only(world: World) -> Dialog:
    (dialog,) = world.table.entry_of("c1").by_callid["c1"]
    return dialog


def when(world: World, seconds: float) -> dict[float, list[str]]:
    """What is sent in this time, and when: seconds from now."""
    start = world.now
    world.take()
    world.advance(seconds)
    found: dict[float, list[str]] = {}
    for mail in world.take():
        found.setdefault(round(mail.time - start, 2), []).append(mail.sip.what)
    return found


def test_a_call_that_rings_too_long_gets_488_and_cancel(make: Make) -> None:
    home = make(**dialogs(early_timeout=20))
    sent, invite = home.ring()
    home.world.advance(19.9)
    assert home.world.take() == []
    home.world.advance(0.4)
    refusal = home.alice.one("488")
    assert refusal.start == "SIP/2.0 488 early_timeout"
    cancel = home.bob.one("CANCEL")
    assert cancel["Reason"] == "SIP;cause=488"
    home.alice.ack_failure(sent, refusal)
    home.bob.reply(cancel, 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    assert home.world.state() == 0
    counts = home.world.table.counts()
    assert (counts.expired, counts.failed) == (1, 1)
    (order,) = home.world.table.terminations()
    assert order.reason == "early_timeout"


def test_every_branch_of_a_silent_fork_is_cancelled(make: Make) -> None:
    home = make(**dialogs(early_timeout=20))
    sent = home.alice.invite("2")
    invites = [(phone, phone.one("INVITE")) for phone in (home.bob, home.carol, home.dave)]
    for phone, invite in invites[:2]:
        phone.reply(invite, 180)
    home.world.advance(20.3)
    home.alice.ack_failure(sent, home.alice.last("488"))
    for phone, invite in invites[:2]:
        phone.reply(phone.one("CANCEL"), 200)
        phone.reply(invite, 487)
    # RFC 3261 9.1: not before Dave has said anything.
    assert {sip.what for sip in home.dave.inbox()} == {"INVITE"}
    home.dave.reply(invites[2][1], 180)
    home.dave.reply(home.dave.one("CANCEL"), 200)
    home.dave.reply(invites[2][1], 487)
    home.world.take()
    assert home.world.state() == 0


def test_a_call_answered_in_time_is_left_alone(make: Make) -> None:
    home = make(**dialogs(early_timeout=20))
    home.talk()
    home.world.advance(60.0)
    assert home.world.take() == []
    assert home.world.state() == 4
    home.world.kill()
    home.answer_all()


@pytest.mark.parametrize("wait", [10, 50])
def test_without_the_ack_both_are_hung_up_in_time(make: Make, wait: int) -> None:
    """Before and after the 32 s for which the 2xx is repeated."""
    home = make(**dialogs(noack_timeout=wait))
    home.talk(ack=False)
    ((moment, what),) = when(home.world, wait + 0.3).items()
    assert what == ["BYE", "BYE"]
    assert wait <= moment <= wait + 0.25
    assert home.world.state() == 6
    home.world.advance(33.0)
    (order,) = home.world.table.terminations()
    assert order.reason == "noack_timeout"
    assert home.world.outcomes(order.id) == {
        ("caller", "bob"): "BYE timeout",
        ("callee", "bob"): "BYE timeout",
    }
    assert home.world.table.counts().expired == 1
    home.world.take()


def test_the_ack_in_time_saves_the_call(make: Make) -> None:
    home = make(**dialogs(noack_timeout=10))
    call = home.talk(ack=False)
    home.world.advance(9.5)
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    home.world.advance(60.0)
    assert home.world.state() == 4
    home.world.kill()
    home.answer_all()


def test_of_two_answers_the_one_without_ack_is_hung_up(make: Make) -> None:
    home = make(**dialogs(noack_timeout=10))
    home.alice.invite("2")
    invites = [(phone, phone.one("INVITE")) for phone in (home.bob, home.carol)]
    calls = []
    for phone, invite in invites:
        phone.reply(invite, 200)
        calls.append(home.alice.caller_side(home.alice.last("200")))
    home.alice.within(calls[0], "ACK")
    home.dave.reply(home.dave.inbox()[0], 487)
    home.world.take()
    home.world.advance(10.3)
    byes = home.world.take()
    assert [(mail.sip.what, mail.to) for mail in byes] == [("BYE", ALICE), ("BYE", CAROL)]
    assert byes[1].sip["Reason"] == 'SIP;cause=408;text="noack_timeout"'
    for phone, mail in zip((home.alice, home.carol), byes, strict=True):
        phone.reply(mail.sip, 200)
    view = home.world.view()
    assert (view.state, [leg.to_tag for leg in view.legs]) == (4, ["bob"])
    (order,) = home.world.table.terminations()
    assert home.world.outcomes(order.id) == {
        ("caller", "carol"): "BYE 200",
        ("callee", "carol"): "BYE 200",
    }
    # The call with Bob goes on, and ends as any other.
    home.alice.within(calls[0], "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
    home.alice.last("200")
    assert home.world.state() == 0
    assert home.world.table.counts().expired == 0


def test_the_dialog_timeout_comes_within_a_quarter_of_a_second(make: Make) -> None:
    home = make(**dialogs(default_timeout=30))
    home.talk()
    home.world.advance(0.05)
    ((moment, what),) = when(home.world, 30.3).items()
    assert what == ["BYE", "BYE"]
    assert 29.95 <= moment <= 30.25
    home.world.advance(40.0)
    home.world.take()


def test_without_send_bye_nobody_is_told(make: Make) -> None:
    home = make(**dialogs(default_timeout=30, send_bye=False))
    call = home.talk()
    home.world.advance(31.0)
    assert home.world.take() == []
    assert home.world.state() == 0
    assert home.world.table.counts().expired == 1
    # The phones go on by themselves: their BYE still goes through.
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")


def test_a_dialog_marked_for_bye_is_told_all_the_same(make: Make) -> None:
    home = make(**dialogs(default_timeout=30, send_bye=False))
    home.talk()
    home.world.table.set_timeout_bye(only(home.world), True)
    home.world.advance(30.3)
    for phone in (home.alice, home.bob):
        bye = phone.one("BYE")
        assert bye["Reason"] == 'SIP;cause=408;text="dialog_timeout"'
        phone.reply(bye, 200)
    assert home.world.state() == 0


@pytest.mark.parametrize("noreset", [True, False])
def test_a_reinvite_restarts_the_timeout(make: Make, noreset: bool) -> None:  # noqa: FBT001 - a case
    home = make(**dialogs(default_timeout=100, timeout_noreset=noreset))
    call = home.talk()
    home.world.advance(60.0)
    home.alice.within(call.caller, "INVITE")
    home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.last("200")
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    home.world.advance(40.3)
    told = [(mail.sip.what, mail.to) for mail in home.world.mail]
    assert told == ([("BYE", ALICE), ("BYE", BOB)] if noreset else [])
    if not noreset:
        home.world.kill()
    home.answer_all()


def test_a_lifetime_that_a_script_sets_during_the_call(home: House) -> None:
    home.talk()
    home.world.advance(100.0)
    home.world.table.set_lifetime(only(home.world), 7)
    home.world.advance(6.9)
    assert home.world.take() == []
    home.world.advance(0.4)
    assert set(home.answer_all()) == {"alice", "bob"}
    assert home.world.state() == 0
