"""REFER within a call: one phone is sent elsewhere, the other knows nothing of it."""

from __future__ import annotations

import functools

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.sip import refer
from dlgmgmt.sip.refer import Referrals
from dlgmgmt.sip.refer_watch import LONGEST, NOTIFY_WAIT
from tests.unit.sip.harness import BOB, Call, House, Phone, Side, Sip

TARGET = "sip:carol@10.0.1.2"
GIVEN_UP = 32 + NOTIFY_WAIT


def referrals(home: House, extra: str = "") -> Referrals:
    world = home.world
    return Referrals(
        world.proxy,
        world.terminator,
        world.table,
        world.proxy.forwarder.own,
        world.submit,
        controller="sip:controller@localhost",
        extra=extra,
    )


def the_dialog(home: House, callid: str = "c1") -> Dialog:
    (dialog,) = home.world.table.entry_of(callid).by_callid[callid]
    return dialog


def notify(
    phone: Phone,
    side: Side,
    frag: str = "",
    *,
    event: str = "refer",
    state: str = "active;expires=60",
    kind: str = "message/sipfrag;version=2.0",
) -> list[Sip]:
    """The phone sends a NOTIFY; what it got then."""
    body = frag.encode()
    side.cseq += 1
    head = [
        f"NOTIFY {side.target} SIP/2.0",
        f"Via: {phone.via(phone.world.new_branch())}",
        *(f"Route: {route}" for route in side.routes),
        "Max-Forwards: 70",
        f"From: {side.local}",
        f"To: {side.remote}",
        f"Call-ID: {side.callid}",
        f"CSeq: {side.cseq} NOTIFY",
        f"Event: {event}",
        f"Subscription-State: {state}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "",
        "",
    ]
    phone.send("\r\n".join(head).encode() + body)
    return phone.inbox()


def whats(messages: list[Sip]) -> list[str]:
    return [sip.what for sip in messages]


def parties(home: House, call: Call, side: str) -> tuple[Phone, Side, Phone, Side]:
    """The referred phone with its side of the call, and the other."""
    alice, bob = (home.alice, call.caller), (home.bob, call.callee)
    return (*alice, *bob) if side == "caller" else (*bob, *alice)


def hang_up(home: House, call: Call) -> None:
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
    home.alice.last("200")
    assert home.world.state() == 0


both = pytest.mark.parametrize("side", ["caller", "callee"])


@both
def test_success_ends_both_legs(home: House, side: str) -> None:
    call = home.talk()
    phone, within, other, _ = parties(home, call, side)
    refs = referrals(home, extra="X-Own: yes\r\n")
    assert refs.refer(the_dialog(home), side, TARGET)
    request = phone.one("REFER")
    assert request["Refer-To"] == f"<{TARGET}>"
    assert request["Referred-By"] == "<sip:controller@localhost>"
    # The NOTIFYs are to come as if the other phone had sent it: through this proxy.
    assert request["Contact"] == f"<{other.contact}>"
    assert request["X-Own"] == "yes"
    assert request.tag("From") == other.name
    phone.reply(request, 202)
    assert whats(notify(phone, within, "SIP/2.0 100 Trying")) == ["200"]
    assert whats(notify(phone, within, "SIP/2.0 180 Ringing\r\n")) == ["200"]
    assert home.world.sent() == []
    assert home.world.state() == 4
    got = notify(phone, within, "SIP/2.0 200 OK\r\n", state="terminated;reason=noresource")
    assert whats(got) == ["200", "BYE"]
    bye = other.one("BYE")
    assert bye["Reason"] == 'SIP;cause=200;text="referred"'
    phone.reply(got[1], 200)
    other.reply(bye, 200)
    assert home.world.state() == 0
    assert (len(refs), refs.succeeded, refs.failed) == (0, 1, 0)
    assert len(home.world.proxy.forwarder.own) == 0


@both
def test_the_phone_does_not_get_through_and_the_call_goes_on(home: House, side: str) -> None:
    call = home.talk()
    phone, within, other, with_other = parties(home, call, side)
    refs = referrals(home)
    refs.refer(the_dialog(home), side, TARGET)
    phone.reply(phone.one("REFER"), 202)
    notify(phone, within, "SIP/2.0 180 Ringing")
    got = notify(phone, within, "SIP/2.0 486 Busy Here", state="terminated;reason=noresource")
    assert whats(got) == ["200"]
    assert home.world.sent() == []
    assert (len(refs), refs.succeeded, refs.failed) == (0, 0, 1)
    assert home.world.state() == 4
    other.within(with_other, "INFO")
    info = phone.one("INFO")
    assert info["CSeq"] == f"{with_other.cseq + 1} INFO"
    phone.reply(info, 200)
    assert other.one("200")["CSeq"] == f"{with_other.cseq} INFO"
    hang_up(home, call)


@pytest.mark.parametrize("status", [302, 405, 403, 420, 481, 501, 603])
def test_a_phone_that_refuses(home: House, status: int) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), status)
    assert (len(refs), refs.failed) == (0, 1)
    assert len(home.world.proxy.forwarder.own) == 0
    assert home.world.sent() == []
    hang_up(home, call)


def test_a_phone_that_is_silent(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.world.advance(33)
    assert set(home.world.sent()) == {("REFER", BOB)}
    assert (len(refs), refs.failed) == (0, 1)
    assert home.world.state() == 4
    hang_up(home, call)


def test_no_notify_ever_comes(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    home.world.advance(GIVEN_UP - 1)
    assert (len(refs), refs.failed) == (1, 0)
    home.world.advance(2)
    assert refs.failed == 1
    # What is late for the outcome is still not for Alice.
    assert whats(notify(home.bob, call.callee, "SIP/2.0 200 OK")) == ["200"]
    assert home.world.state() == 4
    home.world.advance(33)
    assert len(refs) == 0
    assert home.world.sent() == []
    hang_up(home, call)


def test_each_notify_gives_more_time(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    for _ in range(3):
        home.world.advance(GIVEN_UP - 5)
        assert whats(notify(home.bob, call.callee, "SIP/2.0 180 Ringing")) == ["200"]
    assert refs.failed == 0
    notify(home.bob, call.callee, "SIP/2.0 480 Gone", state="terminated")
    assert refs.failed == 1
    hang_up(home, call)


@pytest.mark.parametrize(
    ("frag", "kind"),
    [("", "text/plain"), ("SIP/2.0 100 Trying", "message/sipfrag"), ("SIP/2.0 200", "text/plain")],
)
def test_a_subscription_that_ends_without_an_outcome(home: House, frag: str, kind: str) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    got = notify(home.bob, call.callee, frag, state="Terminated;reason=giveup", kind=kind)
    assert whats(got) == ["200"]
    assert (len(refs), refs.failed) == (0, 1)
    assert home.world.state() == 4
    hang_up(home, call)


def test_a_notify_may_overtake_the_202(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    request = home.bob.one("REFER")
    got = notify(home.bob, call.callee, "SIP/2.0 200 OK", state="terminated")
    assert whats(got) == ["200", "BYE"]
    home.bob.reply(request, 202)
    home.bob.reply(got[1], 200)
    home.alice.reply(home.alice.one("BYE"), 200)
    assert refs.succeeded == 1


def test_the_notify_that_ends_the_subscription_may_come_after_the_outcome(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    assert whats(notify(home.bob, call.callee, "SIP/2.0 486 Busy")) == ["200"]
    assert (len(refs), refs.failed) == (1, 1)
    assert whats(notify(home.bob, call.callee, state="terminated;reason=noresource")) == ["200"]
    assert len(refs) == 0
    assert home.world.sent() == []
    hang_up(home, call)


def test_a_notify_that_comes_again_gets_the_same_answer(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    sent = home.bob.within(call.callee, "NOTIFY", headers=("Event: refer",), branch="z9hG4bK-n")
    first = home.bob.one("200")
    home.bob.send(sent.raw)
    assert home.bob.one("200").raw == first.raw
    hang_up(home, call)


def test_the_notifys_of_a_refer_that_the_party_has_sent_are_forwarded(home: House) -> None:
    """Alice and the daemon have both referred Bob: the ids tell which is which."""
    call = home.talk()
    home.alice.within(call.caller, "REFER", headers=(f"Refer-To: <{TARGET}>",))
    hers = home.bob.one("REFER")
    home.bob.reply(hers, 202)
    home.alice.one("202")
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    ours = home.bob.one("REFER")
    assert (hers["CSeq"], ours["CSeq"]) == ("2 REFER", "3 REFER")
    home.bob.reply(ours, 202)
    assert notify(home.bob, call.callee, "SIP/2.0 100 Trying", event="refer;id=2") == []
    passed = home.alice.one("NOTIFY")
    assert passed["Event"] == "refer;id=2"
    home.alice.reply(passed, 200)
    home.bob.one("200")
    assert whats(notify(home.bob, call.callee, "SIP/2.0 100 Trying", event="refer;id=3")) == ["200"]
    assert notify(home.bob, call.callee, event="refer;id=what") == []
    home.alice.reply(home.alice.one("NOTIFY"), 200)
    home.bob.one("200")
    hang_up(home, call)


def test_a_notify_without_an_id_belongs_to_the_first_refer(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "REFER", headers=(f"Refer-To: <{TARGET}>",))
    home.bob.reply(home.bob.one("REFER"), 202)
    home.alice.one("202")
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    assert notify(home.bob, call.callee, "SIP/2.0 200 OK", state="terminated") == []
    home.alice.reply(home.alice.one("NOTIFY"), 200)
    home.bob.one("200")
    assert home.world.state() == 4
    assert (refs.succeeded, refs.failed) == (0, 0)
    hang_up(home, call)


def test_other_notifys_and_those_of_the_other_phone_are_forwarded(home: House) -> None:
    call = home.talk()
    referrals(home).refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    assert notify(home.bob, call.callee, event="dialog") == []
    home.alice.reply(home.alice.one("NOTIFY"), 200)
    home.bob.one("200")
    assert notify(home.alice, call.caller, "SIP/2.0 200 OK") == []
    home.bob.reply(home.bob.one("NOTIFY"), 200)
    home.alice.one("200")
    assert home.world.state() == 4
    hang_up(home, call)


def test_without_a_refer_every_notify_is_forwarded(home: House) -> None:
    call = home.talk()
    referrals(home)
    assert notify(home.bob, call.callee, "SIP/2.0 200 OK") == []
    home.alice.reply(home.alice.one("NOTIFY"), 200)
    home.bob.one("200")
    hang_up(home, call)


def test_the_call_ends_meanwhile(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    hang_up(home, call)
    assert (refs.succeeded, refs.failed) == (0, 1)
    # Bob still has something to say; Alice has hung up.
    assert whats(notify(home.bob, call.callee, "SIP/2.0 200 OK", state="terminated")) == ["200"]
    assert len(refs) == 0
    assert home.world.sent() == []


def test_an_operator_ends_the_call_meanwhile(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    request = home.bob.one("REFER")
    home.world.kill()
    home.answer_all()
    assert refs.failed == 1
    # Bob has not answered the REFER yet, and Alice has hung up: his NOTIFYs are not for her.
    assert whats(notify(home.bob, call.callee, "SIP/2.0 100 Trying")) == ["200"]
    home.bob.reply(request, 202)
    assert whats(notify(home.bob, call.callee, "SIP/2.0 200 OK", state="terminated")) == ["200"]
    assert home.world.sent() == []
    assert (len(refs), refs.failed) == (0, 1)
    assert home.world.state() == 0


@pytest.mark.parametrize("status", [202, 481])
def test_what_an_ended_call_leaves_of_a_refer_goes_by_itself(home: House, status: int) -> None:
    home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    request = home.bob.one("REFER")
    home.world.kill()
    home.answer_all()
    assert len(refs) == 1
    home.bob.reply(request, status)
    assert len(refs) == (status == 202)
    home.world.advance(33)
    assert (len(refs), refs.failed) == (0, 1)
    assert len(home.world.proxy.forwarder.own) == 0


def test_a_phone_that_never_comes_to_an_outcome_is_given_up(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    refs.refer(the_dialog(home), "callee", TARGET)
    home.bob.reply(home.bob.one("REFER"), 202)
    for _ in range(int(LONGEST / 60)):
        assert (len(refs), refs.failed) == (1, 0)
        assert whats(notify(home.bob, call.callee, "SIP/2.0 100 Trying")) == ["200"]
        home.world.advance(60)
    home.world.advance(1)
    assert refs.failed == 1
    for _ in range(3):
        notify(home.bob, call.callee, "SIP/2.0 100 Trying")
        home.world.advance(15)
    assert len(refs) == 0
    assert home.world.state() == 4
    home.world.take()
    hang_up(home, call)


def test_one_at_a_time_to_a_side(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    dialog = the_dialog(home)
    assert refs.refer(dialog, "callee", TARGET)
    assert not refs.refer(dialog, "callee", TARGET)
    assert refs.refer(dialog, "caller", TARGET)
    assert [sip.what for sip in home.bob.inbox()] == ["REFER"]
    assert [sip.what for sip in home.alice.inbox()] == ["REFER"]
    hang_up(home, call)
    home.world.advance(33)
    assert len(refs) == 0


def test_their_number_is_bounded(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refer, "MAX_REFERS", 1)
    call = home.talk()
    refs = referrals(home)
    assert refs.refer(the_dialog(home), "callee", TARGET)
    assert not refs.refer(the_dialog(home), "caller", TARGET)
    home.bob.reply(home.bob.one("REFER"), 603)
    assert refs.refer(the_dialog(home), "caller", TARGET)
    home.alice.reply(home.alice.one("REFER"), 603)
    hang_up(home, call)


def test_a_call_that_is_not_answered_is_not_referred(home: House) -> None:
    _, invite = home.ring()
    refs = referrals(home)
    dialog = the_dialog(home)
    assert not refs.refer(dialog, "callee", TARGET)
    home.bob.reply(invite, 200)
    ok = home.alice.last("200")
    # Without the ACK neither.
    assert not refs.refer(dialog, "callee", TARGET)
    side = home.alice.caller_side(ok)
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    home.alice.within(side, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    assert not refs.refer(dialog, "callee", TARGET)
    assert len(refs) == 0


def test_a_phone_that_cannot_be_reached(home: House) -> None:
    call = home.talk()
    refs = referrals(home)
    home.world.sockets[0].broken.add(BOB)
    assert refs.refer(the_dialog(home), "callee", TARGET)
    home.world.sockets[0].broken.clear()
    assert (len(refs), refs.failed) == (0, 1)
    hang_up(home, call)


def test_two_calls_with_one_call_id(home: House) -> None:
    """Carol calls Bob with the Call-ID that Alice uses: each REFER has its own NOTIFYs."""
    call = home.talk()
    carol = functools.partial(home.carol.within, cseq=None)
    home.carol.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200, tag="bob2")
    caller = home.carol.caller_side(home.carol.last("200"))
    carol(caller, "ACK")
    home.bob.one("ACK")
    first, second = home.world.table.entry_of("c1").by_callid["c1"]
    refs = referrals(home)
    assert refs.refer(first, "callee", TARGET)
    assert refs.refer(second, "callee", TARGET)
    for request in home.bob.inbox():
        home.bob.reply(request, 202)
    other = home.bob.callee_side(invite, "bob2")
    assert whats(notify(home.bob, other, "SIP/2.0 486 Busy", state="terminated")) == ["200"]
    assert (len(refs), refs.failed) == (1, 1)
    assert whats(notify(home.bob, call.callee, "SIP/2.0 486 Busy", state="terminated")) == ["200"]
    assert (len(refs), refs.failed) == (0, 2)
    assert len(home.world.proxy.forwarder.own) == 0
    carol(caller, "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
