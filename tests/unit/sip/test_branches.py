"""What becomes of the branches of an INVITE: silence, refusals, CANCEL, and late replies."""

from __future__ import annotations

import pytest

from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import BOB, CAROL, DAVE, House, Phone, Sip, settings


def whats(phone: Phone) -> list[str]:
    return [sip.what for sip in phone.inbox()]


def fork(home: House, user: str = "2") -> tuple[Sip, list[tuple[Phone, Sip]]]:
    """Alice calls Bob, Carol and Dave at once: what she sent, and what each of them got."""
    sent = home.alice.invite(user)
    invites = [(phone, phone.one("INVITE")) for phone in (home.bob, home.carol, home.dave)]
    home.alice.one("100")
    return sent, invites


def refused(home: House, sent: Sip, status: int) -> Sip:
    """Alice has got this final reply as her last message, and acknowledges it."""
    answer = home.alice.last(str(status))
    home.alice.ack_failure(sent, answer)
    assert home.world.state() == 0
    return answer


# -- Timer C ---------------------------------------------------------------------------------------


def test_every_provisional_reply_but_100_starts_timer_c_anew(make: Make) -> None:
    """RFC 3261 16.7 point 2."""
    home = make(sip=settings(timer_c=20.0))
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 100)
    for status in (180, 183, 181, 180):
        home.world.advance(19)
        home.bob.reply(invite, status)
    home.alice.inbox()
    for _ in range(3):
        home.world.advance(6.5)
        home.bob.reply(invite, 100)
        assert home.alice.inbox() == []
    home.world.advance(0.6)
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    # 16.8: to the caller nobody has answered; nobody cancelled the call.
    refused(home, sent, 408)


def test_timer_c_ends_a_branch_whose_phone_is_gone(make: Make) -> None:
    home = make(sip=settings(timer_c=20.0))
    sent = home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 180)
    home.world.advance(20)
    assert set(whats(home.bob)) == {"CANCEL"}
    home.world.advance(33)
    refused(home, sent, 408)
    home.world.take()


# -- nobody there ----------------------------------------------------------------------------------


def test_a_dead_branch_is_tried_seven_times_and_then_answered_408(home: House) -> None:
    """17.1.1.2: timers A and B, at 0.5, 1.5, 3.5, 7.5, 15.5 and 31.5 seconds, and at 32."""
    sent = home.alice.invite("1")
    home.alice.one("100")
    home.world.advance(33)
    copies = [mail for mail in home.world.mail if mail.to == BOB]
    assert {mail.sip.raw for mail in copies} == {copies[0].sip.raw}
    times = [mail.time for mail in copies]
    assert times == pytest.approx([0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5], abs=0.1)
    answer = next(mail for mail in home.world.mail if mail.sip.what == "408")
    assert answer.time == pytest.approx(32, abs=0.1)
    home.world.mail = [answer]
    refused(home, sent, 408)


def test_a_dead_branch_does_not_keep_another_from_answering(home: House) -> None:
    _, invites = fork(home)
    home.carol.reply(invites[1][1], 180)
    home.world.advance(40)
    home.carol.reply(invites[1][1], 200)
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK")
    assert home.carol.last("ACK").tag("To") == "carol"
    home.world.take()
    home.world.kill("carol")
    home.answer_all()


def test_a_reply_that_comes_after_the_end_of_its_branch_is_dropped(home: House) -> None:
    """RFC 6026 8.9: without its transaction a reply goes nowhere."""
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.world.advance(33)
    refused(home, sent, 408)
    home.world.advance(70)
    home.world.take()
    for status in (180, 200, 486):
        home.bob.reply(invite, status)
    assert home.world.take() == []
    assert home.world.proxy.counters.stray_replies == 3
    assert home.world.state() == 0


# -- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [600, 603, 604])
def test_6xx_stops_a_fork(home: House, status: int) -> None:
    """16.7 point 5: no new branches, and the others are cancelled; 6xx is the answer."""
    sent, invites = fork(home)
    (_, bobs), (_, carols), (_, daves) = invites
    home.carol.reply(carols, 180)
    home.alice.one("180")
    home.bob.reply(bobs, status)
    home.bob.one("ACK")
    # 9.1: Dave's CANCEL waits for his first word.
    home.carol.reply(home.carol.one("CANCEL"), 200)
    assert home.alice.inbox() == []
    home.carol.reply(carols, 487)
    home.dave.reply(daves, 180)
    home.dave.reply(home.dave.one("CANCEL"), 200)
    home.dave.reply(daves, 487)
    refused(home, sent, status)
    home.world.take()


def test_6xx_stops_a_serial_fork(home: House) -> None:
    sent = home.alice.invite("3")
    home.bob.reply(home.bob.one("INVITE"), 603)
    refused(home, sent, 603)
    assert {mail.to for mail in home.world.take()} <= {BOB}


def test_503_of_the_only_branch_is_answered_500(home: House) -> None:
    """16.7 point 6: a 503 would say that the proxy can serve nothing at all."""
    sent = home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 503, headers=("Retry-After: 120",))
    home.bob.one("ACK")
    answer = refused(home, sent, 500)
    assert answer["Retry-After"] == ""


def test_503_of_all_branches_is_answered_500(home: House) -> None:
    sent, invites = fork(home)
    for phone, invite in invites:
        phone.reply(invite, 503, headers=("Retry-After: 120",))
        phone.one("ACK")
    assert refused(home, sent, 500)["Retry-After"] == ""


@pytest.mark.parametrize("status", [404, 486, 500, 504])
def test_any_other_refusal_is_better_than_a_503(home: House, status: int) -> None:
    sent, invites = fork(home)
    for (phone, invite), code in zip(invites, (503, status, 503), strict=True):
        phone.reply(invite, code)
    refused(home, sent, status)
    home.world.take()


def test_a_503_with_a_serial_fork_tries_the_next(home: House) -> None:
    home.alice.invite("3")
    home.bob.reply(home.bob.one("INVITE"), 503)
    home.bob.one("ACK")
    home.carol.reply(home.carol.one("INVITE"), 200)
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK")
    home.carol.one("ACK")
    home.world.kill("carol")
    home.answer_all()


@pytest.mark.parametrize("status", [300, 301, 302, 305, 380])
def test_3xx_passes_with_its_contacts(home: House, status: int) -> None:
    """16.5 lets a proxy recurse; this one leaves it to the caller."""
    sent = home.alice.invite("1")
    where = "Contact: <sip:elsewhere@10.0.7.7>;q=0.5, <sip:voicemail@10.0.7.8>;q=0.1"
    home.bob.reply(home.bob.one("INVITE"), status, headers=(where,))
    home.bob.one("ACK")
    answer = refused(home, sent, status)
    assert where.removeprefix("Contact: ") in answer.all("Contact")
    assert home.world.take() == []


# -- CANCEL ----------------------------------------------------------------------------------------


def test_a_cancel_before_any_provisional_reply_waits_for_it(home: House) -> None:
    """RFC 3261 9.1; the caller has the CANCEL's 200 at once."""
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    home.alice.cancel(sent)
    assert home.alice.one("200")["CSeq"].endswith("CANCEL")
    home.world.advance(3)
    assert set(whats(home.bob)) == {"INVITE"}
    home.bob.reply(invite, 100)
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    refused(home, sent, 487)


def test_a_cancelled_branch_that_never_says_anything_ends_with_487(home: House) -> None:
    sent = home.alice.invite("1")
    home.alice.cancel(sent)
    home.world.advance(33)
    assert set(whats(home.bob)) == {"INVITE"}
    refused(home, sent, 487)


def test_a_cancel_of_something_unknown_is_answered_481(home: House) -> None:
    """16.10 has it forwarded without state; but this proxy forwards no INVITE without state."""
    home.alice.cancel(
        Sip(home.alice.invite("1").raw.replace(b"branch=z9hG4bK", b"branch=z9hG4bKno"))
    )
    assert [sip.what for sip in home.alice.inbox()] == ["100", "481"]
    assert whats(home.bob) == ["INVITE"]
    home.world.kill_early()
    home.world.take()
    home.world.advance(33)
    home.world.take()


def test_a_cancel_that_crosses_the_2xx_leaves_the_call(home: House) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.bob.reply(invite, 200)
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.cancel(sent)
    # 9.2: what has its final reply is not cancelled any more.
    assert home.alice.one("200")["CSeq"].endswith("CANCEL")
    assert home.bob.inbox() == []
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    home.alice.within(side, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")


def test_a_2xx_that_crosses_the_cancel_passes_and_is_a_call(home: House) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.inbox()
    home.alice.cancel(sent)
    home.bob.reply(invite, 200)
    home.bob.reply(home.bob.one("CANCEL"), 481)
    cancelled, answer = home.alice.inbox()
    assert cancelled["CSeq"].endswith("CANCEL")
    side = home.alice.caller_side(answer)
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    # RFC 3261 15: the caller, who did not want it, hangs up.
    home.alice.within(side, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    assert home.world.state() == 0


# -- the 2xx and its ACK ---------------------------------------------------------------------------


def test_a_2xx_is_forwarded_each_time_it_comes(home: House) -> None:
    """RFC 6026 7.2 and 8.5: retransmissions are the callee's, the proxy adds none of its own."""
    call = home.talk(ack=False)
    for _ in range(5):
        home.world.advance(1)
        assert home.world.take() == []
        home.bob.send(call.answer.raw)
        assert home.alice.one("200").raw == call.ok.raw
    assert home.world.state() == 5
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    home.world.kill()
    home.answer_all()


def test_each_copy_of_the_ack_is_forwarded(home: House) -> None:
    call = home.talk()
    first = home.alice.within(call.caller, "ACK", branch="z9hG4bK-again")
    home.bob.one("ACK")
    home.alice.send(first.raw)
    home.bob.one("ACK")
    assert home.world.state() == 4
    home.world.kill()
    home.answer_all()


def test_a_lost_ack_is_sent_again_for_the_next_2xx(home: House) -> None:
    """To the proxy it is the first: the one that was lost, between it and the callee or before."""
    call = home.talk()
    home.bob.send(call.answer.raw)
    home.alice.one("200")
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    assert home.world.view().legs[0].acked
    home.world.kill()
    home.answer_all()


def test_an_ack_without_a_call_is_forwarded_by_its_route_and_answered_by_nobody(
    home: House,
) -> None:
    call = home.talk()
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    home.alice.within(call.caller, "ACK", cseq=1)
    home.bob.one("ACK")
    assert home.world.take() == []


def test_the_other_targets_of_a_fork_hear_nothing_of_the_ack(home: House) -> None:
    _, invites = fork(home)
    for phone, invite in invites:
        phone.reply(invite, 180)
    home.carol.reply(invites[1][1], 200)
    side = home.alice.caller_side(home.alice.last("200"))
    for phone, invite in (invites[0], invites[2]):
        phone.reply(phone.one("CANCEL"), 200)
        phone.reply(invite, 487)
        # Hop by hop, for the 487.
        assert phone.one("ACK").branch == invite.branch
    home.alice.within(side, "ACK")
    assert [(mail.sip.what, mail.to) for mail in home.world.take()] == [("ACK", CAROL)]
    assert DAVE != CAROL
    home.world.kill("carol")
    home.answer_all()
