"""An order and a message that cross: made on one thread, carried out a moment later on another."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.errors import NoSuchDialog
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, CAROL, House, settings


def outcomes(home: House, number: int) -> set[str]:
    return set(home.world.outcomes(number).values())


# -- answered, the ACK not seen --------------------------------------------------------------------


def test_byes_wait_for_the_ack(home: House) -> None:
    call = home.talk(ack=False)
    number = home.world.kill()
    assert home.world.sent() == []
    assert outcomes(home, number) == {"BYE waiting for ACK"}
    home.world.advance(1.0)
    # The phone repeats its 2xx: Alice still hears it, for only she can acknowledge it.
    home.bob.reply(call.invite, 200)
    home.alice.one("200")
    home.alice.within(call.caller, "ACK")
    ack, bye = home.bob.inbox()
    assert (ack.what, bye.what, bye["CSeq"]) == ("ACK", "BYE", "2 BYE")
    home.bob.reply(bye, 200)
    home.alice.reply(home.alice.one("BYE"), 200)
    assert outcomes(home, number) == {"BYE 200"}
    assert home.world.state() == 0
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")


def test_without_an_ack_the_byes_go_64_t1_after_the_2xx(home: House) -> None:
    home.talk(ack=False)
    home.world.advance(10.0)
    number = home.world.kill()
    home.world.advance(21.8)
    assert home.world.sent() == []
    home.world.advance(0.3)
    assert home.world.sent() == [("BYE", ALICE), ("BYE", BOB)]
    home.world.advance(33.0)
    assert outcomes(home, number) == {"BYE timeout"}
    assert home.world.state() == 0


def test_killed_long_after_the_2xx_without_ack_the_byes_go_at_once(home: House) -> None:
    home.talk(ack=False)
    home.world.advance(50.0)
    home.world.kill()
    home.world.advance(0.1)
    assert home.world.sent() == [("BYE", ALICE), ("BYE", BOB)]


def test_one_leg_waits_and_the_other_does_not(home: House) -> None:
    home.alice.invite("2")
    invites = home.bob.one("INVITE"), home.carol.one("INVITE")
    home.dave.reply(home.dave.one("INVITE"), 486)
    for phone, invite in zip((home.bob, home.carol), invites, strict=True):
        phone.reply(invite, 200)
    oks = home.alice.inbox()[-2:]
    home.alice.within(home.alice.caller_side(oks[1]), "ACK")
    home.carol.one("ACK")
    home.world.take()
    home.world.kill()
    assert home.world.sent() == [("BYE", ALICE), ("BYE", CAROL)]
    home.alice.within(home.alice.caller_side(oks[0]), "ACK")
    assert home.world.sent() == [("ACK", BOB), ("BYE", ALICE), ("BYE", BOB)]


def test_the_ack_comes_between_the_order_and_its_execution(home: House) -> None:
    call = home.talk(ack=False)
    home.world.defer()
    number = home.world.kill()
    home.alice.within(call.caller, "ACK")
    assert home.world.sent() == [("ACK", BOB)]
    home.world.execute()
    to_alice, to_bob = home.alice.one("BYE"), home.bob.one("BYE")
    assert (to_alice["CSeq"], to_bob["CSeq"]) == ("2 BYE", "2 BYE")
    home.alice.reply(to_alice, 200)
    assert home.world.state() == 6
    home.bob.reply(to_bob, 200)
    assert outcomes(home, number) == {"BYE 200"}
    assert home.world.state() == 0
    home.world.advance(70.0)
    assert home.world.sent() == []


def test_a_bye_comes_between_the_order_and_its_execution(home: House) -> None:
    call = home.talk()
    home.world.defer()
    number = home.world.kill()
    home.bob.within(call.callee, "BYE")
    theirs = home.alice.one("BYE")
    home.world.execute()
    ours = home.alice.one("BYE")
    assert int(ours["CSeq"].split()[0]) > int(theirs["CSeq"].split()[0])
    home.alice.reply(theirs, 200)
    home.alice.reply(ours, 481)
    to_bob, ok = home.bob.inbox()
    assert (to_bob.what, ok.what) == ("BYE", "200")
    home.bob.reply(to_bob, 481)
    assert outcomes(home, number) == {"BYE 481"}
    assert home.world.state() == 0


def test_a_re_invite_comes_between_the_order_and_its_execution(home: House) -> None:
    call = home.talk()
    home.world.defer()
    home.world.kill()
    home.alice.within(call.caller, "INVITE")
    home.bob.one("INVITE")
    home.world.execute()
    assert home.bob.one("BYE")["CSeq"] == "3 BYE"


def test_a_second_answer_comes_between_the_order_and_its_execution(home: House) -> None:
    """It is no leg of the dialog any more: the phone is acknowledged and hung up, once."""
    home.alice.invite("2")
    bob, carol = home.bob.one("INVITE"), home.carol.one("INVITE")
    home.dave.reply(home.dave.one("INVITE"), 486)
    home.bob.reply(bob, 200)
    home.alice.within(home.alice.caller_side(home.alice.last("200")), "ACK")
    home.world.take()
    home.world.defer()
    number = home.world.kill()
    home.carol.reply(carol, 200)
    assert home.alice.inbox() == []
    home.carol.one("ACK")
    home.world.execute()
    got = home.answer_all()
    assert {name: [sip.what for sip in sips] for name, sips in got.items()} == {
        "alice": ["BYE"],
        "bob": ["BYE"],
        "carol": ["BYE"],
    }
    assert home.world.outcomes(number) == {
        ("caller", "bob"): "BYE 200",
        ("callee", "bob"): "BYE 200",
        ("callee", "carol"): "BYE 200",
    }
    assert home.world.state() == 0


def test_a_second_answer_after_the_execution(home: House) -> None:
    home.alice.invite("2")
    bob, carol = home.bob.one("INVITE"), home.carol.one("INVITE")
    home.bob.reply(bob, 200)
    home.alice.within(home.alice.caller_side(home.alice.last("200")), "ACK")
    home.world.take()
    home.world.kill()
    home.answer_all()
    # The branches that lost are still open: the dialog stays for what may come from them.
    assert home.world.state() == 6
    home.carol.reply(carol, 200)
    assert home.alice.inbox() == []
    ack, bye = home.carol.inbox()
    assert (ack.what, bye.what) == ("ACK", "BYE")
    home.carol.reply(bye, 200)
    home.carol.reply(carol, 200)
    home.carol.one("ACK")


# -- not answered ----------------------------------------------------------------------------------


def test_a_486_comes_between_the_order_and_its_execution(home: House) -> None:
    sent, invite = home.ring()
    home.world.defer()
    number = home.world.kill()
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    refused = home.alice.one("486")
    assert home.world.state() == 6
    home.world.execute()
    assert home.world.sent() == []
    home.alice.ack_failure(sent, refused)
    assert home.world.outcomes(number)["callee", "bob"] == "CANCEL 486"
    assert home.world.state() == 0


def test_a_200_comes_between_the_order_and_its_execution(home: House) -> None:
    sent, invite = home.ring()
    home.world.defer()
    number = home.world.kill()
    home.bob.reply(invite, 200)
    assert home.alice.inbox() == []
    ack, bye = home.bob.inbox()
    assert (ack.what, bye.what) == ("ACK", "BYE")
    assert home.world.state() == 6
    home.world.execute()
    home.alice.ack_failure(sent, home.alice.one("488"))
    assert home.bob.inbox() == []
    assert home.world.state() == 6
    home.bob.reply(bye, 200)
    assert home.world.outcomes(number) == {
        ("caller", ""): "488 acknowledged",
        ("callee", "bob"): "BYE 200",
    }
    assert home.world.state() == 0


def test_a_200_and_its_bye_end_before_the_execution(home: House) -> None:
    _, invite = home.ring()
    home.world.defer()
    home.world.kill()
    home.bob.reply(invite, 200)
    home.bob.reply(home.bob.inbox()[-1], 200)
    assert home.world.state() == 6
    home.world.execute()
    home.alice.one("488")
    assert home.world.state() == 0


def test_one_phone_of_a_fork_answers_between_order_and_execution(home: House) -> None:
    sent = home.alice.invite("2")
    invites = [home.bob.one("INVITE"), home.carol.one("INVITE"), home.dave.one("INVITE")]
    for phone, invite in zip((home.bob, home.carol, home.dave), invites, strict=True):
        phone.reply(invite, 180)
    home.alice.last("180")
    home.world.defer()
    number = home.world.kill()
    home.bob.reply(invites[0], 200)
    assert home.alice.inbox() == []
    for phone, invite in ((home.carol, invites[1]), (home.dave, invites[2])):
        phone.reply(phone.one("CANCEL"), 200)
        phone.reply(invite, 487)
        phone.one("ACK")
    assert home.alice.inbox() == []
    home.world.execute()
    home.alice.ack_failure(sent, home.alice.one("488"))
    home.answer_all()
    assert home.world.outcomes(number)["callee", "bob"] == "BYE 200"
    assert home.world.state() == 0


def test_a_cancel_comes_between_the_order_and_its_execution(home: House) -> None:
    sent, invite = home.ring()
    home.world.defer()
    home.world.kill()
    home.alice.cancel(sent)
    home.bob.one("CANCEL")
    home.bob.reply(invite, 487)
    ok, terminated = home.alice.inbox()
    assert (ok.what, terminated.what) == ("200", "487")
    home.world.execute()
    assert home.alice.inbox() == []
    home.alice.ack_failure(sent, terminated)
    assert home.world.state() == 0


def test_a_provisional_comes_between_the_order_and_its_execution(home: House) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    home.world.defer()
    home.world.kill_early()
    home.bob.reply(invite, 180)
    assert home.alice.inbox() == []
    home.world.execute()
    home.alice.ack_failure(sent, home.alice.one("488"))
    home.bob.one("CANCEL")


def test_the_invite_times_out_between_the_order_and_its_execution(make: Make) -> None:
    home = make(sip=settings(t1=0.1))
    sent = home.alice.invite("1")
    home.world.defer()
    home.world.kill_early()
    home.world.advance(7.0)
    timeout = home.alice.last("408")
    assert home.world.state() == 6
    home.world.execute()
    home.alice.ack_failure(sent, timeout)
    assert home.world.state() == 0


def test_an_order_that_comes_when_the_call_has_just_failed(home: House) -> None:
    sent, invite = home.ring()
    home.bob.reply(invite, 486)
    with pytest.raises(NoSuchDialog):
        home.world.kill()
    home.alice.ack_failure(sent, home.alice.one("486"))
    assert home.world.state() == 0


def test_an_order_for_an_early_call_is_not_shaken_by_its_ack(home: House) -> None:
    """The call is answered in the moment of the order: it is confirmed, so BYEs are due."""
    sent, invite = home.ring()
    home.world.defer()
    home.bob.reply(invite, 200)
    ok = home.alice.one("200")
    number = home.world.kill()
    home.alice.within(home.alice.caller_side(ok), "ACK")
    home.bob.one("ACK")
    home.world.execute()
    home.answer_all()
    assert outcomes(home, number) == {"BYE 200"}
    assert home.world.state() == 0
    assert sent["CSeq"] == "1 INVITE"
