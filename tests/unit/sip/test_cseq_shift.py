"""Requests of the daemon within a call: the parties' own numbers give way to theirs."""

from __future__ import annotations

import functools

import pytest

from dlgmgmt.dialog.cseq import MAX_CSEQ
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.sip.own_requests import InDialogSender, party, take_cseq
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import BOB, CAROL, Call, House, Phone, Side, Sip, World


def the_dialog(world: World, callid: str = "c1") -> tuple[Dialog, OutLeg]:
    (dialog,) = world.table.entry_of(callid).by_callid[callid]
    (leg,) = dialog.legs.values()
    return dialog, leg


def probe(home: House, phone: Phone, status: int = 200) -> Sip:
    """The daemon sends an OPTIONS, and the phone answers it."""
    dialog, leg = the_dialog(home.world)
    to_caller = phone is home.alice
    outcome: list[str] = []
    InDialogSender(home.world.proxy).send(
        "OPTIONS",
        party(dialog, leg, to_caller=to_caller),
        functools.partial(take_cseq, dialog, leg, to_caller=to_caller),
        "X-Why: test\r\n",
        outcome.append,
    )
    options = phone.one("OPTIONS")
    assert options["X-Why"] == "test"
    phone.reply(options, status)
    assert outcome == [str(status)]
    return options


def pair(home: House, call: Call, who: str) -> tuple[Phone, Side, Phone]:
    """The phone that sends, its side, and the one that receives."""
    if who == "alice":
        return home.alice, call.caller, home.bob
    return home.bob, call.callee, home.alice


def exchange(sender: Phone, side: Side, receiver: Phone, method: str = "INFO") -> tuple[Sip, Sip]:
    """A request through the proxy: what arrived, and the 200 as the sender saw it."""
    sent = sender.within(side, method)
    got = receiver.last(method)
    receiver.reply(got, 200)
    ok = sender.last("200")
    assert ok["CSeq"] == sent["CSeq"]
    return got, ok


def end(home: House, call: Call) -> None:
    """Alice hangs up."""
    exchange(home.alice, call.caller, home.bob, "BYE")
    assert home.world.state() == 0


def number(sip: Sip) -> int:
    return int(sip["CSeq"].split()[0])


def test_an_options_speaks_as_the_other_side(home: House) -> None:
    call = home.talk()
    options = probe(home, home.bob)
    assert options.start == "OPTIONS sip:bob@10.0.1.1:5060 SIP/2.0"
    assert options["From"] == "<sip:alice@a.example>;tag=alice"
    assert options.tag("To") == "bob"
    assert number(options) == 2
    assert probe(home, home.alice).tag("From") == "bob"
    end(home, call)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_requests_after_it_move_up_and_their_replies_move_down(home: House, who: str) -> None:
    call = home.talk()
    sender, side, receiver = pair(home, call, who)
    before, _ = exchange(sender, side, receiver)
    first = number(before)
    assert first == side.cseq
    assert number(probe(home, receiver)) == first + 1
    assert number(exchange(sender, side, receiver)[0]) == first + 2
    assert [number(probe(home, receiver)) for _ in range(2)] == [first + 3, first + 4]
    assert number(exchange(sender, side, receiver)[0]) == first + 5
    # The other direction has its own numbers.
    assert number(exchange(receiver, pair(home, call, receiver.name)[1], sender)[0]) in (2, 101)
    end(home, call)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_re_invite_and_its_ack(home: House, who: str) -> None:
    call = home.talk()
    sender, side, receiver = pair(home, call, who)
    exchange(sender, side, receiver)
    probe(home, receiver)
    got, _ = exchange(sender, side, receiver, "INVITE")
    assert number(got) == side.cseq + 1
    # Another probe before the ACK does not change the number of the INVITE that it confirms.
    probe(home, receiver)
    sender.within(side, "ACK")
    ack = receiver.one("ACK")
    assert ack["CSeq"] == f"{number(got)} ACK"
    assert number(exchange(sender, side, receiver)[0]) == side.cseq + 2
    end(home, call)


def test_a_2xx_that_comes_again_keeps_the_number(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    home.alice.within(call.caller, "INVITE")
    got = home.bob.one("INVITE")
    for _ in range(2):
        home.bob.reply(got, 200)
        assert home.alice.last("200")["CSeq"] == "2 INVITE"
    home.alice.within(call.caller, "ACK")
    assert home.bob.one("ACK")["CSeq"] == "3 ACK"
    end(home, call)


def test_provisional_and_failed_replies_keep_the_number(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    sent = home.alice.within(call.caller, "INVITE")
    got = home.bob.one("INVITE")
    assert home.alice.one("100")["CSeq"] == "2 INVITE"
    home.bob.reply(got, 180)
    assert home.alice.one("180")["CSeq"] == "2 INVITE"
    home.bob.reply(got, 491)
    assert home.bob.one("ACK")["CSeq"] == "3 ACK"
    refused = home.alice.one("491")
    assert refused["CSeq"] == "2 INVITE"
    home.alice.ack_failure(sent, refused)
    end(home, call)


def test_a_retransmission_is_absorbed_and_one_by_the_daemon_is_the_same(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    home.alice.within(call.caller, "INFO", branch="z9hG4bK-same")
    first = home.bob.one("INFO")
    home.alice.within(call.caller, "INFO", branch="z9hG4bK-same", cseq=call.caller.cseq)
    assert home.bob.inbox() == []
    home.world.advance(0.6)
    assert home.bob.one("INFO").raw == first.raw
    home.bob.reply(first, 200)
    assert home.alice.one("200")["CSeq"] == "2 INFO"
    end(home, call)


def test_a_cancel_carries_the_number_that_was_sent(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    sent = home.alice.within(call.caller, "INVITE")
    got = home.bob.one("INVITE")
    home.bob.reply(got, 180)
    home.alice.inbox()
    home.alice.cancel(sent)
    cancel = home.bob.one("CANCEL")
    assert (cancel["CSeq"], cancel.branch) == ("3 CANCEL", got.branch)
    home.bob.reply(cancel, 200)
    home.bob.reply(got, 487)
    assert home.bob.one("ACK")["CSeq"] == "3 ACK"
    ok, ended = home.alice.inbox()
    assert (ok["CSeq"], ended["CSeq"]) == ("2 CANCEL", "2 INVITE")
    home.alice.ack_failure(sent, ended)
    end(home, call)


def test_a_prack_names_the_invite_by_the_number_that_it_had(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    home.alice.within(call.caller, "INVITE")
    got = home.bob.one("INVITE")
    home.bob.reply(got, 183, headers=("RSeq: 88", "Require: 100rel"))
    probe(home, home.bob)
    assert home.alice.last("183")["CSeq"] == "2 INVITE"
    home.alice.within(call.caller, "PRACK", headers=("RAck: 88 2 INVITE",))
    prack = home.bob.one("PRACK")
    assert (prack["RAck"], prack["CSeq"]) == ("88 3 INVITE", "5 PRACK")
    home.bob.reply(prack, 200)
    assert home.alice.one("200")["CSeq"] == "3 PRACK"
    home.bob.reply(got, 200)
    assert home.alice.one("200")["CSeq"] == "2 INVITE"
    home.alice.within(call.caller, "ACK", cseq=2)
    assert home.bob.one("ACK")["CSeq"] == "3 ACK"
    end(home, call)


def test_a_prack_whose_rack_cannot_be_read_passes_as_it_is(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    home.alice.within(call.caller, "PRACK", headers=("RAck: nonsense",))
    prack = home.bob.one("PRACK")
    assert (prack["RAck"], prack["CSeq"]) == ("nonsense", "3 PRACK")
    home.bob.reply(prack, 200)
    home.alice.one("200")
    end(home, call)


@pytest.mark.parametrize("who", ["alice", "bob"])
def test_a_bye_after_it(home: House, who: str) -> None:
    call = home.talk()
    sender, side, receiver = pair(home, call, who)
    probe(home, receiver)
    sender.within(side, "BYE")
    bye = receiver.one("BYE")
    assert number(bye) == side.cseq + 1
    receiver.reply(bye, 200)
    assert sender.one("200")["CSeq"] == f"{side.cseq} BYE"
    assert home.world.state() == 0


def test_the_byes_of_the_daemon_follow_its_other_requests(home: House) -> None:
    home.talk()
    for _ in range(3):
        probe(home, home.bob)
    probe(home, home.alice)
    home.world.kill()
    to_alice, to_bob = home.alice.one("BYE"), home.bob.one("BYE")
    assert (to_bob["CSeq"], to_alice["CSeq"]) == ("5 BYE", "3 BYE")
    home.alice.reply(to_alice, 200)
    home.bob.reply(to_bob, 200)
    assert home.world.state() == 0


def test_a_callee_whose_first_number_is_below_what_was_used_in_its_name(home: House) -> None:
    call = home.talk()
    assert [number(probe(home, home.alice)) for _ in range(2)] == [2, 3]
    call.callee.cseq = 0
    got, _ = exchange(home.bob, call.callee, home.alice)
    assert (call.callee.cseq, number(got)) == (1, 4)
    assert number(probe(home, home.alice)) == 5
    assert number(exchange(home.bob, call.callee, home.alice)[0]) == 6
    end(home, call)


def test_subscriptions_of_a_refer_keep_their_id(home: House) -> None:
    """Alice refers Bob: the NOTIFYs name the REFER by its number."""
    call = home.talk()
    probe(home, home.bob)
    got, _ = exchange(home.alice, call.caller, home.bob, "REFER")
    assert (call.caller.cseq, number(got)) == (2, 3)
    home.bob.within(call.callee, "NOTIFY", headers=("Event: refer;id=3",))
    notify = home.alice.one("NOTIFY")
    assert notify["Event"] == "refer;id=2"
    home.alice.reply(notify, 200)
    home.bob.one("200")
    home.alice.within(call.caller, "SUBSCRIBE", headers=("Event: refer;id=2",))
    subscribe = home.bob.one("SUBSCRIBE")
    assert (subscribe["Event"], subscribe["CSeq"]) == ("refer;id=3", "4 SUBSCRIBE")
    home.bob.reply(subscribe, 200)
    home.alice.one("200")
    end(home, call)


def test_the_body_and_all_other_headers_stay(home: House) -> None:
    call = home.talk()
    plain = home.alice.within(call.caller, "INFO", headers=("X-Odd : a, b", "k: path"))
    before = home.bob.one("INFO")
    home.bob.reply(before, 200)
    home.alice.one("200")
    probe(home, home.bob)
    home.alice.within(call.caller, "INFO", headers=("X-Odd : a, b", "k: path"))
    after = home.bob.one("INFO")
    home.bob.reply(after, 200)
    home.alice.one("200")
    assert plain["CSeq"] == "2 INFO"

    def rest(sip: Sip) -> list[tuple[str, str]]:
        return [(n, v) for n, v in sip.headers if n not in ("Via", "CSeq")]

    assert rest(before) == rest(after)
    assert (before["CSeq"], after["CSeq"]) == ("2 INFO", "4 INFO")
    end(home, call)


def test_the_list_shows_the_numbers_of_the_parties(home: House) -> None:
    call = home.talk()
    probe(home, home.bob)
    exchange(home.alice, call.caller, home.bob)
    (leg,) = home.world.view().legs
    assert leg.caller_cseq == call.caller.cseq == 2
    end(home, call)


def test_what_cannot_be_sent_is_reported_and_takes_no_number(make: Make) -> None:
    home = make()
    call = home.talk()
    dialog, leg = the_dialog(home.world)
    outcome: list[str] = []
    sender = InDialogSender(home.world.proxy)
    nowhere = party(dialog, leg, to_caller=False)._replace(target="tel:+49")
    sender.send("OPTIONS", nowhere, lambda: 1 // 0, "", outcome.append)
    high = party(dialog, leg, to_caller=False)
    sender.send("OPTIONS", high, lambda: 2**31, "", outcome.append)
    home.world.sockets[0].broken.add(BOB)
    sender.send("OPTIONS", high, lambda: 7, "", outcome.append)
    home.world.sockets[0].broken.clear()
    assert outcome == ["unsendable"] * 3
    sender.send("OPTIONS", high._replace(target="sip:x@10.0.1.2"), lambda: 7, "", outcome.append)
    assert home.world.sent() == [("OPTIONS", CAROL)]
    home.world.advance(40)
    assert outcome[3:] == ["timeout"]
    home.world.take()
    end(home, call)


def test_numbers_that_cannot_move_further_stay(home: House) -> None:
    home.alice.invite("1", cseq=MAX_CSEQ - 1)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert probe(home, home.bob)["CSeq"] == f"{MAX_CSEQ} OPTIONS"
    got, _ = exchange(home.alice, side, home.bob, "BYE")
    assert got["CSeq"] == f"{MAX_CSEQ} BYE"
    assert home.world.state() == 0
