"""What happens before the answer: early media, several early dialogs, PRACK, UPDATE, 199."""

from __future__ import annotations

import pytest

from tests.unit.sip.harness import House, Phone, Side, Sip


def fork(home: House) -> tuple[Sip, dict[str, Sip]]:
    """Alice calls Bob and Carol at once (Dave is busy): what she sent, and what they got."""
    sent = home.alice.invite("2")
    invites = {phone.name: phone.one("INVITE") for phone in (home.bob, home.carol, home.dave)}
    home.dave.reply(invites["dave"], 486)
    home.dave.one("ACK")
    home.alice.one("100")
    return sent, invites


def rings(home: House, phone: Phone, invite: Sip, status: int = 180, **more: object) -> Side:
    """A provisional reply, and the early dialog that it makes for Alice."""
    phone.reply(invite, status, **more)  # type: ignore[arg-type]
    return home.alice.caller_side(home.alice.one(str(status)))


def tags(home: House) -> list[str]:
    return [leg.to_tag for leg in home.world.view().legs]


def end(home: House) -> None:
    """Kill what is left of the call; every phone confirms."""
    home.world.take()
    home.world.kill_early()
    home.world.take()
    home.world.advance(40)
    home.world.take()


def test_early_media_without_a_to_tag_is_forwarded_and_makes_no_leg(home: House) -> None:
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    home.bob.reply(invite, 183, tag="", headers=("P-Early-Media: sendonly",))
    progress = home.alice.one("183")
    assert progress.tag("To") == ""
    assert progress["P-Early-Media"] == "sendonly"
    assert home.world.state() == 1
    assert tags(home) == []
    home.bob.reply(invite, 183)
    assert home.alice.one("183").tag("To") == "bob"
    assert home.world.state() == 2
    assert tags(home) == ["bob"]
    end(home)


def test_each_fork_has_its_early_dialog(home: House) -> None:
    _, invites = fork(home)
    rings(home, home.bob, invites["bob"])
    rings(home, home.carol, invites["carol"], 183)
    # One branch may hold several phones, behind a proxy that forks.
    rings(home, home.carol, invites["carol"], 180, tag="carol-2")
    assert tags(home) == ["bob", "carol", "carol-2"]
    assert {leg.state for leg in home.world.view().legs} == {"early"}
    home.carol.reply(invites["carol"], 200, tag="carol-2")
    side = home.alice.caller_side(home.alice.one("200"))
    home.alice.within(side, "ACK")
    assert home.carol.one("ACK").tag("To") == "carol-2"
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invites["bob"], 487)
    home.bob.one("ACK")
    assert tags(home) == ["carol-2"]
    end(home)


def test_each_prack_goes_to_its_phone_with_its_numbers(home: House) -> None:
    _, invites = fork(home)
    sides = []
    for phone, number in ((home.bob, 7001), (home.carol, 12)):
        headers = ("Require: 100rel", f"RSeq: {number}")
        phone.reply(invites[phone.name], 183, headers=headers)
        ringing = home.alice.one("183")
        assert (ringing["Require"], ringing["RSeq"]) == ("100rel", str(number))
        sides.append((phone, number, home.alice.caller_side(ringing)))
    for phone, number, side in reversed(sides):
        home.alice.within(side, "PRACK", headers=(f"RAck: {number} 1 INVITE",))
        prack = phone.one("PRACK")
        assert prack["RAck"] == f"{number} 1 INVITE"
        assert prack.tag("To") == phone.name
        phone.reply(prack, 200)
        assert home.alice.one("200").tag("To") == phone.name
    assert home.world.take() == []
    assert [leg.caller_cseq for leg in home.world.view().legs] == [2, 2]
    end(home)


@pytest.mark.parametrize("method", ["UPDATE", "INFO"])
def test_requests_before_the_answer_go_both_ways_by_leg(home: House, method: str) -> None:
    _, invites = fork(home)
    with_bob = rings(home, home.bob, invites["bob"], 183)
    with_carol = rings(home, home.carol, invites["carol"], 183)
    for phone, side in ((home.bob, with_bob), (home.carol, with_carol)):
        home.alice.within(side, method)
        request = phone.one(method)
        assert request.tag("To") == phone.name
        phone.reply(request, 200)
        assert home.alice.one("200").tag("To") == phone.name
    for phone in (home.carol, home.bob):
        phone.within(phone.callee_side(invites[phone.name]), method)
        request = home.alice.one(method)
        assert request.tag("From") == phone.name
        home.alice.reply(request, 491)
        assert phone.one("491").tag("From") == phone.name
    assert home.world.take() == []
    assert home.world.state() == 2
    assert [leg.callee_cseq for leg in home.world.view().legs] == [101, 101]
    end(home)


def test_an_update_before_the_answer_moves_its_leg_alone(home: House) -> None:
    _, invites = fork(home)
    rings(home, home.bob, invites["bob"], 183)
    rings(home, home.carol, invites["carol"], 183)
    moved = Phone(home.world, ("10.0.1.1", 5070), "bob")
    moved.within(moved.callee_side(invites["bob"]), "UPDATE")
    home.alice.reply(home.alice.one("UPDATE"), 200)
    moved.one("200")
    found = {leg.to_tag: leg.callee_contact for leg in home.world.view().legs}
    assert found == {"bob": "sip:bob@10.0.1.1:5070", "carol": home.carol.contact}
    end(home)


def test_199_ends_its_early_dialog_and_no_other(home: House) -> None:
    """RFC 6228: a proxy further down says so of a branch of its own; the INVITE goes on."""
    _, invites = fork(home)
    rings(home, home.bob, invites["bob"])
    rings(home, home.bob, invites["bob"], tag="bob-2")
    rings(home, home.carol, invites["carol"])
    home.bob.reply(invites["bob"], 199, tag="bob-2", headers=("Reason: SIP;cause=486",))
    ended = home.alice.one("199")
    assert ended.tag("To") == "bob-2"
    assert ended["Reason"] == "SIP;cause=486"
    assert tags(home) == ["bob", "carol"]
    assert ("bob-2", 199, "rejected") in [
        (past.to_tag, past.code, past.cause) for past in home.world.view().history
    ]
    assert home.world.state() == 2
    # Nothing was cancelled: Bob's other phone answers.
    home.bob.reply(invites["bob"], 200)
    side = home.alice.caller_side(home.alice.one("200"))
    home.alice.within(side, "ACK")
    assert [sip.what for sip in home.bob.inbox()] == ["ACK"]
    home.carol.reply(home.carol.one("CANCEL"), 200)
    home.carol.reply(invites["carol"], 487)
    home.carol.one("ACK")
    assert home.world.state() == 4
    end(home)


def test_199_of_an_unknown_early_dialog_makes_none(home: House) -> None:
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    home.bob.reply(invite, 199)
    home.alice.one("199")
    assert tags(home) == []
    assert home.world.state() == 1
    end(home)


def test_the_refusal_after_a_199_is_its_outcome(home: House) -> None:
    sent, invites = fork(home)
    rings(home, home.bob, invites["bob"])
    home.bob.reply(invites["bob"], 199)
    home.alice.one("199")
    home.bob.reply(invites["bob"], 480)
    home.bob.one("ACK")
    history = [(past.to_tag, past.code) for past in home.world.view().history]
    assert history == [("dave", 486), ("bob", 480)]
    home.carol.reply(invites["carol"], 480)
    home.carol.one("ACK")
    home.alice.ack_failure(sent, home.alice.one("480"))
    assert home.world.state() == 0


def test_a_provisional_reply_after_the_answer_of_another_leg_is_kept_back(home: House) -> None:
    """RFC 3261 16.7 point 5: none after a final reply; and no leg comes of it."""
    _, invites = fork(home)
    home.bob.reply(invites["bob"], 200)
    side = home.alice.caller_side(home.alice.one("200"))
    home.carol.reply(invites["carol"], 180)
    home.carol.reply(invites["carol"], 183)
    assert home.alice.inbox() == []
    # Carol had not said anything before: the CANCEL had to wait for it (9.1).
    home.carol.reply(home.carol.one("CANCEL"), 200)
    home.carol.reply(invites["carol"], 487)
    home.carol.one("ACK")
    assert tags(home) == ["bob"]
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    end(home)


def test_two_answers_are_two_calls_until_one_is_hung_up(home: House) -> None:
    """RFC 6026 8.5: the 2xx of the branch that was just cancelled passes too."""
    _, invites = fork(home)
    rings(home, home.bob, invites["bob"])
    rings(home, home.carol, invites["carol"])
    home.bob.reply(invites["bob"], 200)
    with_bob = home.alice.caller_side(home.alice.one("200"))
    home.carol.reply(invites["carol"], 200)
    with_carol = home.alice.caller_side(home.alice.one("200"))
    home.carol.reply(home.carol.one("CANCEL"), 481)
    assert home.world.state() == 7
    for phone, side in ((home.bob, with_bob), (home.carol, with_carol)):
        home.alice.within(side, "ACK")
        assert phone.one("ACK").tag("To") == phone.name
    home.alice.within(with_carol, "BYE")
    home.carol.reply(home.carol.one("BYE"), 200)
    home.alice.one("200")
    assert home.world.state() == 4
    assert tags(home) == ["bob"]
    home.alice.within(with_bob, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    assert home.world.state() == 0


def test_bye_in_an_early_dialog_ends_that_one(home: House) -> None:
    """RFC 3261 15: a caller may; the phone then refuses the INVITE."""
    sent, invites = fork(home)
    with_bob = rings(home, home.bob, invites["bob"])
    rings(home, home.carol, invites["carol"])
    home.alice.within(with_bob, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    home.bob.reply(invites["bob"], 487)
    home.bob.one("ACK")
    assert tags(home) == ["carol"]
    home.carol.reply(invites["carol"], 480)
    home.carol.one("ACK")
    home.alice.ack_failure(sent, home.alice.last("480"))
    assert home.world.state() == 0
