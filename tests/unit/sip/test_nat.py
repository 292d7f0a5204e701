"""Phones behind a NAT: replies and requests reach them where their messages come from."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.sip.keepalive import Keepalive
from dlgmgmt.sip.settings import Route
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import (
    BOB,
    DIALOGS,
    ERIN,
    PROXY,
    SETTINGS,
    House,
    Phone,
    Sip,
    World,
)
from tests.unit.sip.hidden import NATTED, Hidden

FIXING = replace(
    SETTINGS,
    routes=(
        Route(("sip:10.0.1.1",), user_prefix="1", fix_contact=True),
        Route(("sip:10.0.1.1", "sip:10.0.1.2"), user_prefix="2", fix_contact=True),
        Route(("sip:[2001:db8::77]",), user_prefix="6", fix_contact=True),
        Route(("sip:10.0.1.1",), user_prefix="9"),
    ),
)


@pytest.fixture
def behind(make: Make) -> House:
    """Alice is behind a NAT, Bob too; Carol is not."""
    home = make(sip=FIXING)
    home.alice = Hidden(home.world, NATTED, "alice")
    home.bob = Hidden(home.world, BOB, "bob")
    return home


def contacts(world: World) -> tuple[str, str]:
    view = world.view()
    return view.caller_contact, view.legs[0].callee_contact


def byes(world: World) -> dict[tuple[str, int], Sip]:
    world.kill()
    found = {mail.to: mail.sip for mail in world.take()}
    for to, bye in found.items():
        assert bye.what == "BYE"
        Phone(world, to, "whoever").reply(bye, 200)
    assert world.state() == 0
    return found


ALICES = "sip:alice@10.9.9.9:5062;alias=203.0.113.7~41022~1"
BOBS = "sip:bob@10.9.9.9:5062;alias=10.0.1.1~5060~1"


# -- the mark --------------------------------------------------------------------------------------


def test_both_contacts_are_marked_on_their_way_and_in_the_dialog(behind: House) -> None:
    call = behind.talk()
    assert call.invite.contact == ALICES
    assert call.ok.contact == BOBS
    assert contacts(behind.world) == (ALICES, BOBS)
    # Both have been sent the ACK where they are, and Bob without the alias.
    assert byes(behind.world)[NATTED].uri == "sip:alice@10.9.9.9:5062"


def test_requests_of_the_peers_reach_the_other_without_the_alias(behind: House) -> None:
    call = behind.talk()
    for sender, side, receiver, target in (
        (behind.alice, call.caller, behind.bob, "sip:bob@10.9.9.9:5062"),
        (behind.bob, call.callee, behind.alice, "sip:alice@10.9.9.9:5062"),
    ):
        assert ";alias=" in side.target
        for method in ("INFO", "OPTIONS"):
            sender.within(side, method)
            request = receiver.one(method)
            assert request.uri == target
            receiver.reply(request, 200)
            sender.one("200")
    behind.alice.within(call.caller, "BYE")
    bye = behind.bob.one("BYE")
    assert bye.uri == "sip:bob@10.9.9.9:5062"
    behind.bob.reply(bye, 200)
    behind.alice.one("200")


def test_an_operators_kill_reaches_both_where_they_really_are(behind: House) -> None:
    behind.talk()
    found = byes(behind.world)
    assert {to: bye.uri for to, bye in found.items()} == {
        NATTED: "sip:alice@10.9.9.9:5062",
        BOB: "sip:bob@10.9.9.9:5062",
    }


def test_keepalives_do_too(behind: House) -> None:
    world = behind.world
    behind.talk()
    both = replace(DIALOGS, ka_timer=1, ka_interval=5, ka_sides="both")
    keepalive = Keepalive(world.proxy, world.table, world.terminator, both)
    for _ in range(80):
        world.advance(0.1)
        keepalive.look()
    asked = {mail.to: mail.sip.uri for mail in world.take() if mail.sip.what == "OPTIONS"}
    assert asked == {NATTED: "sip:alice@10.9.9.9:5062", BOB: "sip:bob@10.9.9.9:5062"}
    world.kill()
    world.advance(33)
    world.take()


def test_a_phone_that_moves_is_marked_anew(behind: House) -> None:
    call = behind.talk()
    moved = Hidden(behind.world, ("203.0.113.7", 50111), "alice")
    moved.within(call.caller, "UPDATE")
    update = behind.bob.one("UPDATE")
    assert update.contact == "sip:alice@10.9.9.9:5062;alias=203.0.113.7~50111~1"
    behind.bob.reply(update, 200)
    assert moved.one("200").contact == BOBS
    assert contacts(behind.world) == (update.contact, BOBS)
    assert ("203.0.113.7", 50111) in byes(behind.world)


def test_a_callee_that_moves_too(behind: House) -> None:
    call = behind.talk()
    moved = Hidden(behind.world, ("10.0.1.1", 50111), "bob")
    moved.within(call.callee, "INVITE")
    invite = behind.alice.one("INVITE")
    assert invite.contact == "sip:bob@10.9.9.9:5062;alias=10.0.1.1~50111~1"
    behind.alice.reply(invite, 200)
    assert moved.last("200").contact == ALICES
    call.callee.target = ALICES
    moved.within(call.callee, "ACK")
    assert behind.alice.one("ACK").uri == "sip:alice@10.9.9.9:5062"
    assert ("10.0.1.1", 50111) in byes(behind.world)


def test_a_ringing_phone_is_marked_and_its_prack_finds_it(behind: House) -> None:
    behind.alice.invite("1")
    invite = behind.bob.one("INVITE")
    behind.bob.reply(invite, 183, headers=("Require: 100rel", "RSeq: 1"))
    ringing = behind.alice.last("183")
    assert ringing.contact == BOBS
    side = behind.alice.caller_side(ringing)
    behind.alice.within(side, "PRACK", headers=("RAck: 1 1 INVITE",))
    prack = behind.bob.one("PRACK")
    assert prack.uri == "sip:bob@10.9.9.9:5062"
    behind.bob.reply(prack, 200)
    behind.bob.reply(invite, 200)
    behind.alice.within(side, "ACK", cseq=1)
    assert behind.bob.one("ACK").uri == "sip:bob@10.9.9.9:5062"
    behind.world.take()
    byes(behind.world)


def test_each_leg_of_a_fork_has_its_own(behind: House) -> None:
    behind.alice.invite("2")
    behind.bob.reply(behind.bob.one("INVITE"), 180)
    behind.carol.reply(behind.carol.one("INVITE"), 180)
    legs = {leg.to_tag: leg.callee_contact for leg in behind.world.view().legs}
    # Carol is where she says.
    assert legs == {"bob": BOBS, "carol": "sip:carol@10.0.1.2:5060"}
    behind.world.kill_early()
    behind.world.advance(40)
    behind.world.take()


def test_ipv6(make: Make) -> None:
    home = make(sip=FIXING)
    erin = Hidden(home.world, ERIN, "erin", 1)
    home.alice.invite("6")
    invite = erin.one("INVITE")
    erin.reply(invite, 200)
    ok = home.alice.last("200")
    assert ok.contact == "sip:erin@10.9.9.9:5062;alias=[2001:db8::77]~5060~1"
    side = home.alice.caller_side(ok)
    home.alice.within(side, "ACK")
    assert erin.one("ACK").uri == "sip:erin@10.9.9.9:5062"
    home.world.kill("erin")
    assert erin.one("BYE").uri == "sip:erin@10.9.9.9:5062"
    home.world.advance(33)
    home.world.take()


# -- transports ------------------------------------------------------------------------------------


class Connected(Hidden):
    """A phone that has connected to the daemon, and cannot be connected to."""

    own: int = 2

    @property
    def contact(self) -> str:
        return f"sip:{self.name}@10.9.9.9;transport=tcp"


def test_a_phone_with_a_connection_is_reached_on_it(make: Make) -> None:
    home = make(sip=FIXING, streams=(PROXY,))
    world = home.world
    home.alice = Connected(world, NATTED, "alice", 2)
    call = home.talk()
    assert call.invite.contact == "sip:alice@10.9.9.9;transport=tcp;alias=203.0.113.7~41022~2"
    home.bob.within(call.callee, "INFO")
    (mail,) = [mail for mail in world.take() if mail.sip.what == "INFO"]
    assert (mail.to, mail.sock.kind) == (NATTED, "tcp")
    assert mail.sip.uri == "sip:alice@10.9.9.9;transport=tcp"
    home.alice.reply(mail.sip, 200)
    home.bob.one("200")
    world.kill()
    byes = {mail.to: mail.sock.kind for mail in world.take()}
    assert byes == {NATTED: "tcp", BOB: "udp"}
    world.advance(33)
    world.take()


def test_a_long_request_stays_with_the_transport_of_the_alias(make: Make) -> None:
    """RFC 3261 18.1.1 would have it go over TCP: no connection gets through the NAT."""
    home = make(sip=FIXING, streams=(PROXY,))
    home.alice = Hidden(home.world, NATTED, "alice")
    home.bob = Hidden(home.world, BOB, "bob")
    call = home.talk()
    home.bob.within(call.callee, "UPDATE", headers=("Subject: " + "x" * 1400,))
    (mail,) = [mail for mail in home.world.take() if mail.sip.what == "UPDATE"]
    assert (mail.to, mail.sock.kind) == (NATTED, "udp")
    home.alice.reply(mail.sip, 200)
    home.bob.one("200")
    assert set(byes(home.world)) == {NATTED, BOB}


# -- what is left alone ----------------------------------------------------------------------------


def test_phones_that_are_where_they_say_are_not_marked(make: Make) -> None:
    home = make(sip=FIXING)
    call = home.talk()
    assert call.invite.contact == home.alice.contact
    assert call.ok.contact == home.bob.contact
    home.world.kill()
    home.answer_all()


def test_a_route_without_it_marks_nobody(behind: House) -> None:
    sent = behind.alice.invite("9")
    invite = behind.bob.one("INVITE")
    assert invite.all("Contact") == sent.all("Contact")
    behind.bob.reply(invite, 180)
    assert behind.alice.last("180").contact == behind.bob.contact
    behind.world.kill_early()
    behind.world.advance(40)
    behind.world.take()


def test_behind_another_proxy_a_phone_is_reached_through_it(make: Make) -> None:
    """That proxy knows better: its Record-Route leads to the phone."""
    home = make(sip=FIXING)
    edge = "<sip:10.0.5.5;lr>"
    hers = f"Record-Route: {edge}", "Via: SIP/2.0/UDP 10.0.8.8;branch=z9hG4bK-phone"
    home.alice = Hidden(home.world, ("10.0.5.5", 5060), "alice")
    home.bob = Hidden(home.world, BOB, "bob", record_route=("<sip:10.0.1.1;lr>",))
    call = home.talk(headers=hers)
    assert call.invite.contact == call.ok.contact.replace("bob", "alice")
    assert contacts(home.world) == ("sip:alice@10.9.9.9:5062", "sip:bob@10.9.9.9:5062")
    home.alice.within(call.caller, "UPDATE", routes=["<sip:10.0.0.1:5060;lr>", "<sip:10.0.1.1;lr>"])
    update = home.bob.one("UPDATE")
    assert update.contact == "sip:alice@10.9.9.9:5062"
    home.bob.reply(update, 200)
    assert home.alice.one("200").contact == "sip:bob@10.9.9.9:5062"
    found = byes(home.world)
    assert set(found) == {("10.0.5.5", 5060), BOB}
    assert {bye["Route"] for bye in found.values()} == {edge, "<sip:10.0.1.1;lr>"}


@pytest.mark.parametrize("method", ["REGISTER", "OPTIONS", "MESSAGE", "PUBLISH"])
def test_a_request_that_makes_no_dialog_keeps_its_contact(behind: House, method: str) -> None:
    sent = behind.alice.invite("1", method=method)
    request = behind.bob.one(method)
    assert request.all("Contact") == sent.all("Contact")
    behind.bob.reply(request, 200)
    assert behind.alice.one("200").contact == behind.bob.contact


def test_a_subscription_is_marked_though_no_dialog_is_kept(behind: House) -> None:
    behind.alice.invite("1", method="SUBSCRIBE")
    request = behind.bob.one("SUBSCRIBE")
    assert request.contact == ALICES
    behind.bob.reply(request, 200)
    assert behind.alice.one("200").contact == BOBS
    side = behind.bob.callee_side(request)
    behind.bob.within(side, "NOTIFY")
    notify = behind.alice.one("NOTIFY")
    assert notify.uri == "sip:alice@10.9.9.9:5062"
    behind.alice.reply(notify, 200)
    behind.bob.one("200")


def test_a_subscription_stays_marked_when_it_is_refreshed(behind: House) -> None:
    """RFC 6665 4.4.1: each SUBSCRIBE and NOTIFY moves the target; here without a dialog kept."""
    behind.alice.invite("1", method="SUBSCRIBE")
    request = behind.bob.one("SUBSCRIBE")
    behind.bob.reply(request, 200)
    alices = behind.alice.caller_side(behind.alice.one("200"))
    bobs = behind.bob.callee_side(request)
    moved = Hidden(behind.world, ("203.0.113.7", 50111), "alice")
    moved.within(alices, "SUBSCRIBE")
    again = behind.bob.one("SUBSCRIBE")
    assert again.contact == "sip:alice@10.9.9.9:5062;alias=203.0.113.7~50111~1"
    behind.bob.reply(again, 200)
    assert moved.one("200").contact == BOBS
    bobs.target = again.contact
    behind.bob.within(bobs, "NOTIFY")
    notify = moved.one("NOTIFY")
    assert notify.contact == BOBS
    moved.reply(notify, 200)
    behind.bob.one("200")


def test_a_dialog_that_a_restart_has_lost_goes_on(behind: House, make: Make) -> None:
    call = behind.talk()
    after = make(sip=FIXING)
    alice = Hidden(after.world, NATTED, "alice")
    bob = Hidden(after.world, BOB, "bob")
    for sender, side, receiver, contact in (
        (alice, call.caller, bob, ALICES),
        (bob, call.callee, alice, BOBS),
    ):
        sender.within(side, "UPDATE")
        update = receiver.one("UPDATE")
        assert update.contact == contact
        receiver.reply(update, 200)
        assert sender.one("200").contact == (BOBS if receiver is bob else ALICES)
    byes(behind.world)


@pytest.mark.parametrize("status", [302, 485])
def test_the_contacts_of_a_redirection_are_no_phones(behind: House, status: int) -> None:
    sent = behind.alice.invite("1")
    behind.bob.reply(behind.bob.one("INVITE"), status, contact="sip:else@10.9.9.9")
    answer = behind.alice.last(str(status))
    assert answer.contact == "sip:else@10.9.9.9"
    behind.alice.ack_failure(sent, answer)


def test_a_call_without_it_still_follows_the_aliases_of_others(home: House) -> None:
    """Whoever put it there: a request for it goes where it says."""
    home.alice.invite("1", uri="sip:bob@10.9.9.9:5062;alias=10.0.1.2~5070~1;ob")
    (invite,) = [mail for mail in home.world.take() if mail.sip.what == "INVITE"]
    assert invite.to == ("10.0.1.2", 5070)
    assert invite.sip.uri == "sip:bob@10.9.9.9:5062;ob"
    home.world.kill_early()
    home.world.advance(40)
    home.world.take()
