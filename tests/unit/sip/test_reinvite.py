"""Requests that change a call: glare, cancelled and refused ones, and where the parties move to."""

from __future__ import annotations

import pytest

from tests.unit.sip.harness import Call, House, Phone, Side, Sip

ELSEWHERE = "10.0.9.77", 5099


def ack(sender: Phone, side: Side, receiver: Phone) -> None:
    sender.within(side, "ACK")
    receiver.one("ACK")


def refused(sender: Phone, sent: Sip, status: int, receiver: Phone) -> Sip:
    """A re-INVITE's refusal has come: its ACK is hop by hop, on both hops."""
    answer = sender.last(str(status))
    sender.ack_failure(sent, answer)
    receiver.one("ACK")
    return answer


def hang_up(home: House, call: Call) -> None:
    """The call works: it is still known, and ends like any other."""
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    assert home.world.state() == 0
    assert home.world.take() == []


def contacts(home: House) -> tuple[str, str]:
    view = home.world.view()
    return view.caller_contact, view.legs[0].callee_contact


def kill(home: House) -> dict[str, str]:
    """An operator's kill: who is sent the BYE, and to which Request-URI."""
    home.world.kill()
    found = {}
    for mail in home.world.take():
        assert mail.sip.what == "BYE"
        found[mail.to[0]] = mail.sip.uri
        phone = Phone(home.world, mail.to, "whoever")
        phone.reply(mail.sip, 200)
    return found


# -- re-INVITE -------------------------------------------------------------------------------------


def test_glare_passes_in_both_directions(home: House) -> None:
    """RFC 3261 14.1: each refuses the other's with 491, waits, and one of them tries again."""
    call = home.talk()
    from_alice = home.alice.within(call.caller, "INVITE")
    from_bob = home.bob.within(call.callee, "INVITE")
    for_alice = [sip for sip in home.alice.inbox() if sip.what == "INVITE"]
    for_bob = [sip for sip in home.bob.inbox() if sip.what == "INVITE"]
    assert len(for_alice) == len(for_bob) == 1
    home.alice.reply(for_alice[0], 491)
    home.bob.reply(for_bob[0], 491)
    for phone, sent in ((home.alice, from_alice), (home.bob, from_bob)):
        # The proxy's ACK of the own 491, and the other's 491.
        ack_, answer = phone.inbox()
        assert (ack_.what, answer.what) in {("ACK", "491"), ("491", "ACK")}
        phone.ack_failure(sent, answer if answer.what == "491" else ack_)
    assert home.world.take() == []
    view = home.world.view()
    assert view.state == 4
    assert view.legs[0].caller_cseq == call.caller.cseq
    assert view.legs[0].callee_cseq == call.callee.cseq
    # Bob does not own the Call-ID, so he waits less.
    home.bob.within(call.callee, "INVITE")
    home.alice.reply(home.alice.one("INVITE"), 200)
    home.bob.last("200")
    ack(home.bob, call.callee, home.alice)
    assert home.world.view().legs[0].callee_cseq == call.callee.cseq
    hang_up(home, call)


@pytest.mark.parametrize("status", [401, 408, 481, 488, 491, 500, 603])
def test_a_refused_reinvite_keeps_the_call_as_it_is(home: House, status: int) -> None:
    """After 481 and 408 the party has to hang up (RFC 3261 12.2.1.2): its BYE ends the call here.

    The proxy cannot know whether it does, and that the callee has lost the call says nothing of
    the caller's half of it.
    """
    call = home.talk()
    before = home.world.view()
    sent = home.alice.within(call.caller, "INVITE")
    home.bob.reply(home.bob.one("INVITE"), status, contact="sip:bob@10.9.9.9")
    refused(home.alice, sent, status, home.bob)
    after = home.world.view()
    leg = before.legs[0]._replace(caller_cseq=call.caller.cseq)
    assert after == before._replace(legs=(leg,), timeout=after.timeout)
    hang_up(home, call)


@pytest.mark.parametrize(("status", "told"), [(481, ["481"]), (500, ["500"]), (408, [])])
def test_a_bye_that_is_refused_ends_the_call_all_the_same(
    home: House, status: int, told: list[str]
) -> None:
    """A 408 is not sent on: RFC 4320 4.2, the caller's own timer says so."""
    call = home.talk()
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), status)
    assert [sip.what for sip in home.alice.inbox()] == told
    assert home.world.state() == 0


def test_a_cancelled_reinvite_keeps_the_call(home: House) -> None:
    call = home.talk()
    sent = home.alice.within(call.caller, "INVITE")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.inbox()
    home.alice.cancel(sent)
    assert home.alice.one("200")["CSeq"].endswith("CANCEL")
    cancel = home.bob.one("CANCEL")
    assert cancel.branch == invite.branch
    assert cancel.tag("To") == "bob"
    home.bob.reply(cancel, 200)
    home.bob.reply(invite, 487)
    refused(home.alice, sent, 487, home.bob)
    assert home.world.state() == 4
    hang_up(home, call)


def test_a_2xx_that_crosses_the_cancel_of_a_reinvite_counts(home: House) -> None:
    call = home.talk()
    sent = home.alice.within(call.caller, "INVITE")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.inbox()
    home.alice.cancel(sent)
    cancel = home.bob.one("CANCEL")
    home.bob.reply(invite, 200, contact="sip:bob@10.0.1.1:5070")
    home.bob.reply(cancel, 481)
    assert [sip.what for sip in home.alice.inbox()] == ["200", "200"]
    ack(home.alice, call.caller, home.bob)
    assert home.world.state() == 4
    assert contacts(home)[1] == "sip:bob@10.0.1.1:5070"
    hang_up(home, call)


def test_a_reinvite_that_nobody_answers_gets_408(home: House) -> None:
    call = home.talk()
    sent = home.alice.within(call.caller, "INVITE")
    home.world.advance(33)
    assert {sip.what for sip in home.bob.inbox()} == {"INVITE"}
    refusal = home.alice.last("408")
    home.alice.ack_failure(sent, refusal)
    assert home.world.state() == 4
    hang_up(home, call)


# -- the order of requests -------------------------------------------------------------------------


def test_a_request_out_of_order_passes_and_the_number_shown_does_not_go_back(home: House) -> None:
    """RFC 3261 12.2.2 has the callee answer 500: that is not the proxy's to do (16.3)."""
    call = home.talk()
    home.alice.within(call.caller, "INFO", cseq=50)
    home.bob.reply(home.bob.one("INFO"), 200)
    home.alice.within(call.caller, "INFO", cseq=20)
    late = home.bob.one("INFO")
    assert late["CSeq"] == "20 INFO"
    home.bob.reply(late, 500)
    assert [sip.what for sip in home.alice.inbox()] == ["200", "500"]
    assert home.world.view().legs[0].caller_cseq == 50
    home.world.kill()
    bye = home.bob.one("BYE")
    assert bye["CSeq"] == "51 BYE"
    home.bob.reply(bye, 200)
    home.answer_all()


def test_a_request_with_unknown_tags_goes_where_its_route_says(home: House) -> None:
    """16.4 and 16.6: a proxy forwards by Route and Request-URI; 481 is the other side's to say."""
    call = home.talk()
    strange = Side(
        call.caller.local,
        "<sip:1@b.example>;tag=nobody",
        call.caller.target,
        call.caller.routes,
        "c1",
        7,
    )
    home.alice.within(strange, "BYE")
    bye = home.bob.one("BYE")
    home.bob.reply(bye, 481)
    home.alice.one("481")
    assert home.world.state() == 4
    hang_up(home, call)


def test_a_request_with_unknown_tags_for_the_proxy_itself_is_answered_481(home: House) -> None:
    call = home.talk()
    strange = Side(
        call.caller.local, "<sip:1@b.example>;tag=nobody", "sip:1@10.0.0.1:5060", [], "c1", 7
    )
    home.alice.within(strange, "BYE")
    home.alice.one("481")
    assert home.world.take() == []
    assert home.world.state() == 4
    hang_up(home, call)


# -- target refresh --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY"])
def test_both_parties_move_with_the_2xx(home: House, method: str) -> None:
    """RFC 3261 12.2, RFC 3311 5, RFC 6665 4.4.1; kills go to where they are then."""
    call = home.talk()
    before = contacts(home)
    moved = Phone(home.world, ELSEWHERE, "alice")
    moved.within(call.caller, method)
    request = home.bob.one(method)
    assert contacts(home) == before
    home.bob.reply(request, 200, contact="sip:bob@10.0.1.1:5070")
    moved.last("200")
    if method == "INVITE":
        ack(moved, call.caller, home.bob)
    assert contacts(home) == ("sip:alice@10.0.9.77:5099", "sip:bob@10.0.1.1:5070")
    assert kill(home) == {
        "10.0.9.77": "sip:alice@10.0.9.77:5099",
        "10.0.1.1": "sip:bob@10.0.1.1:5070",
    }


@pytest.mark.parametrize("method", ["OPTIONS", "INFO", "MESSAGE", "PRACK", "BYEBYE"])
def test_no_other_request_moves_anybody(home: House, method: str) -> None:
    call = home.talk()
    before = contacts(home)
    moved = Phone(home.world, ELSEWHERE, "alice")
    moved.within(call.caller, method)
    home.bob.reply(home.bob.one(method), 200, contact="sip:bob@10.0.1.1:5070")
    moved.last("200")
    assert contacts(home) == before
    hang_up(home, call)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("status", [401, 491, 504])
def test_a_refresh_that_fails_moves_nobody(home: House, method: str, status: int) -> None:
    call = home.talk()
    before = contacts(home)
    moved = Phone(home.world, ELSEWHERE, "alice")
    sent = moved.within(call.caller, method)
    home.bob.reply(home.bob.one(method), status, contact="sip:bob@10.0.1.1:5070")
    if method == "INVITE":
        refused(moved, sent, status, home.bob)
    else:
        moved.last(str(status))
    assert contacts(home) == before
    hang_up(home, call)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_without_contact_a_party_stays(home: House, method: str) -> None:
    call = home.talk()
    before = contacts(home)
    home.alice.within(call.caller, method, contact=False)
    request = home.bob.one(method)
    data = home.bob.reply(request, 183).raw.replace(b"SIP/2.0 183", b"SIP/2.0 200")
    lines = data.split(b"\r\n")
    home.bob.send(b"\r\n".join(line for line in lines if not line.startswith(b"Contact")))
    home.alice.last("200")
    if method == "INVITE":
        ack(home.alice, call.caller, home.bob)
    assert contacts(home) == before
    hang_up(home, call)


def test_a_provisional_reply_to_a_reinvite_moves_them_if_it_is_reliable(home: House) -> None:
    """RFC 6141 4: and the failure of the re-INVITE does not move them back."""
    call = home.talk()
    before = contacts(home)
    moved = Phone(home.world, ELSEWHERE, "alice")
    sent = moved.within(call.caller, "INVITE")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 183, contact="sip:bob@10.0.1.1:5070")
    moved.last("183")
    assert contacts(home) == before
    reliable = ("Require: 100rel", "RSeq: 88")
    home.bob.reply(invite, 183, contact="sip:bob@10.0.1.1:5070", headers=reliable)
    assert moved.one("183")["RSeq"] == "88"
    after = "sip:alice@10.0.9.77:5099", "sip:bob@10.0.1.1:5070"
    assert contacts(home) == after
    home.bob.reply(invite, 488)
    refused(moved, sent, 488, home.bob)
    assert contacts(home) == after
    assert set(kill(home)) == {"10.0.9.77", "10.0.1.1"}


def test_a_2xx_of_the_invite_that_comes_again_does_not_move_the_callee_back(home: House) -> None:
    call = home.talk()
    home.bob.within(call.callee, "UPDATE")
    home.bob.inbox()
    update = home.alice.one("UPDATE")
    home.alice.reply(update, 200)
    home.bob.send(call.answer.raw)
    home.alice.one("200")
    assert contacts(home)[1] == home.bob.contact
    moved = Phone(home.world, ("10.0.1.1", 5070), "bob")
    moved.within(call.callee, "UPDATE")
    home.alice.reply(home.alice.one("UPDATE"), 200)
    home.bob.send(call.answer.raw)
    home.alice.one("200")
    assert contacts(home)[1] == "sip:bob@10.0.1.1:5070"
    home.world.take()
    home.world.kill()
    home.world.take()
    home.world.advance(33)
    home.world.take()


def test_a_2xx_of_a_reinvite_that_comes_again_does_not_move_anybody_back(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "INVITE")
    first = home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.last("200")
    moved = Phone(home.world, ("10.0.1.1", 5070), "bob")
    moved.within(call.callee, "UPDATE")
    home.alice.reply(home.alice.one("UPDATE"), 200, contact="sip:alice@10.0.9.77:5099")
    moved.one("200")
    # The ACK of the re-INVITE was lost.
    home.bob.send(first.raw)
    home.alice.one("200")
    ack(home.alice, call.caller, home.bob)
    assert contacts(home) == ("sip:alice@10.0.9.77:5099", "sip:bob@10.0.1.1:5070")
    assert set(kill(home)) == {"10.0.9.77", "10.0.1.1"}


def test_a_slow_reinvite_does_not_undo_the_update_that_overtook_it(home: House) -> None:
    """RFC 6141 4: the order of one party's requests is that of their numbers."""
    call = home.talk()
    home.alice.within(call.caller, "INVITE")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.last("180")
    moved = Phone(home.world, ELSEWHERE, "alice")
    moved.within(call.caller, "UPDATE")
    home.bob.reply(home.bob.one("UPDATE"), 200)
    moved.one("200")
    home.bob.reply(invite, 200, contact="sip:bob@10.0.1.1:5070")
    home.alice.one("200")
    moved.within(call.caller, "ACK", cseq=2)
    home.bob.one("ACK")
    assert contacts(home) == ("sip:alice@10.0.9.77:5099", "sip:bob@10.0.1.1:5070")
    assert set(kill(home)) == {"10.0.9.77", "10.0.1.1"}
