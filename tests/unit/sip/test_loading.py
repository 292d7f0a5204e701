"""Requests while dialogs are being loaded: none makes a dialog, and no call that ended stays."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest

from dlgmgmt.dialog.restore import restore
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, DIALOGS, Call, House, Sip
from tests.unit.sip.restart import before, empty, load, records


class Start(NamedTuple):
    """A call, and a new daemon that does not know it yet."""

    past: House
    home: House
    call: Call

    def load(self) -> None:
        """Load the call, and come to an end."""
        load(self.past, self.home)
        self.home.world.proxy.loading.end()


@pytest.fixture(params=["refuse", "forward"])
def policy(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.fixture
def start(make: Make, policy: str) -> Start:
    return begin(make, policy)


def begin(make: Make, policy: str, *, ack: bool = True, **settings: object) -> Start:
    past = before(**settings)
    call = past.talk(ack=ack)
    past.world.take()
    home = empty(past, make, **settings)
    gate = home.world.proxy.loading
    gate.policy, gate.retry_after = policy, 7
    gate.begin()
    return Start(past, home, call)


def refused(home: House) -> Sip:
    """Alice was told to come again; nobody else heard of it."""
    answer = home.alice.one("503")
    assert answer["Retry-After"] == "7"
    assert home.world.take() == []
    assert home.world.stack.servers == {}
    return answer


def hang_up(home: House, call: Call) -> None:
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
    assert home.alice.last("200")["CSeq"].endswith("BYE")
    assert home.world.state() == 0


def test_a_call_is_for_later(start: Start) -> None:
    home = start.home
    sent = home.alice.invite("1", callid="new")
    answer = refused(home)
    home.alice.ack_failure(sent, answer)
    assert home.world.take() == []
    assert home.world.proxy.loading.refused == 1
    start.load()
    sent = home.alice.invite("1", callid="new", cseq=2)
    home.bob.reply(home.bob.one("INVITE"), 486)
    assert home.alice.last("486")["CSeq"] == "2 INVITE"
    hang_up(home, start.call)


@pytest.mark.parametrize("method", ["MESSAGE", "SUBSCRIBE", "REGISTER"])
def test_what_makes_no_dialog_passes_if_all_is_to_be_forwarded(
    start: Start, policy: str, method: str
) -> None:
    home = start.home
    home.alice.invite("1", callid="new", method=method)
    if policy == "refuse":
        refused(home)
    else:
        home.bob.reply(home.bob.one(method), 200)
        home.alice.one("200")
    start.load()
    hang_up(home, start.call)


def test_who_asks_for_the_proxy_learns_that_it_is_not_ready(start: Start) -> None:
    home = start.home
    home.alice.invite("", uri="sip:10.0.0.1:5060", method="OPTIONS", callid="probe")
    refused(home)
    home.alice.invite("1", method="OPTIONS", callid="probe2", headers=("Max-Forwards: 0",), cseq=2)
    refused(home)
    start.load()
    home.alice.invite("", uri="sip:10.0.0.1:5060", method="OPTIONS", callid="probe", cseq=3)
    home.alice.one("200")
    hang_up(home, start.call)


def test_a_call_that_is_there_goes_on(start: Start) -> None:
    home = start.home
    load(start.past, home)
    home.alice.within(start.call.caller, "INVITE")
    home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.last("200")
    home.alice.within(start.call.caller, "ACK")
    home.bob.one("ACK")
    assert home.world.view().legs[0].caller_cseq == 2
    hang_up(home, start.call)
    home.world.proxy.loading.end()


def test_a_call_that_is_not_there_yet_goes_on_or_waits(start: Start, policy: str) -> None:
    home, call = start.home, start.call
    home.alice.within(call.caller, "UPDATE", cseq=41)
    if policy == "refuse":
        refused(home)
        start.load()
        assert home.world.view().legs[0].caller_cseq == 1
        hang_up(home, call)
        return
    home.bob.reply(home.bob.one("UPDATE"), 200)
    home.alice.one("200")
    start.load()
    # What it has said is known: a BYE in its name must not repeat the number.
    number = home.world.kill()
    assert {bye["CSeq"] for bye in home.answer_all()["bob"]} == {"42 BYE"}
    assert home.world.outcomes(number)["callee", "bob"] == "BYE 200"


@pytest.mark.parametrize("answered", ["before", "after"])
@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
def test_where_phones_have_moved_meanwhile_is_known(
    make: Make, method: str, *, answered: str
) -> None:
    """And that they have agreed on a session timer."""
    start = begin(make, "forward")
    home, call = start.home, start.call
    home.alice.addr = ALICE[0], 5999
    home.alice.within(call.caller, method)
    request = home.bob.one(method)
    if answered == "after":
        load(start.past, home)
    headers = ("Session-Expires: 600;refresher=uac",)
    home.bob.reply(request, 200, contact="sip:bob@10.0.1.1:5998", headers=headers)
    assert home.alice.last("200")["CSeq"] == f"2 {method}"
    if method == "INVITE":
        home.alice.within(call.caller, "ACK", uri="sip:bob@10.0.1.1:5998")
        home.world.take()
    if answered == "before":
        load(start.past, home)
    home.world.proxy.loading.end()
    view = home.world.view()
    assert view.caller_contact == "sip:alice@10.0.9.1:5999"
    assert view.legs[0].callee_contact == "sip:bob@10.0.1.1:5998"
    assert view.timeout - 1_700_000_000 < 700
    home.bob.addr = BOB[0], 5998
    home.world.kill()
    assert [sip["CSeq"] for sip in home.answer_all()["bob"]] == ["3 BYE"]


def test_an_answer_that_refuses_moves_nobody(make: Make) -> None:
    start = begin(make, "forward")
    home, call = start.home, start.call
    home.alice.within(call.caller, "UPDATE")
    home.bob.reply(home.bob.one("UPDATE"), 491, contact="sip:bob@10.0.1.1:5998")
    home.alice.one("491")
    start.load()
    assert home.world.view().legs[0].callee_contact == home.bob.contact
    hang_up(home, call)


@pytest.mark.parametrize("side", ["alice", "bob"])
def test_a_call_that_is_hung_up_before_it_is_loaded_does_not_stay(start: Start, side: str) -> None:
    """Whoever says BYE is gone, whatever he is answered: it is forwarded in any case."""
    home, call = start.home, start.call
    if side == "alice":
        home.alice.within(call.caller, "BYE")
        home.bob.reply(home.bob.one("BYE"), 200)
        home.alice.one("200")
    else:
        home.bob.within(call.callee, "BYE")
        home.alice.reply(home.alice.one("BYE"), 200)
        home.bob.one("200")
    start.load()
    assert home.world.state() == 0
    assert home.world.sent() == []
    assert home.world.table.counts().confirmed == 0
    assert home.world.proxy.loading.applied == 1


def test_a_bye_that_cannot_pass_ends_nothing(start: Start) -> None:
    home, call = start.home, start.call
    home.alice.within(call.caller, "BYE", uri="sip:bob@10.0.1.1:5060?subject=x")
    assert home.world.sent() == [("400", ALICE)]
    start.load()
    assert home.world.state() == 4
    hang_up(home, call)


def test_an_ack_before_its_dialog_is_no_ack_that_is_missing(make: Make, policy: str) -> None:
    start = begin(make, policy, ack=False)
    home, call = start.home, start.call
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    start.load()
    assert home.world.state() == 4
    home.world.advance(70)
    assert home.world.sent() == []
    hang_up(home, call)


def test_a_request_meets_its_dialog_while_that_is_being_loaded(
    make: Make, policy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked in vain, and before it is noted the dialog is there."""
    start = begin(make, policy)
    home, call = start.home, start.call
    gate = home.world.proxy.loading
    note = gate.note
    (record,) = records(start.past.world)

    def late(msg: object) -> object:
        restore(home.world.table, record)
        return note(msg)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "note", late)
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    assert home.world.state() == 0
    gate.end()


def test_what_is_noted_has_a_limit(make: Make, policy: str) -> None:
    start = begin(make, policy, dialogs=replace(DIALOGS, max_dialogs=2))
    home, call = start.home, start.call
    for number in range(4):
        call.caller.callid = f"c{number}"
        home.alice.within(call.caller, "BYE")
    call.caller.callid = "c" * 2000
    home.alice.within(call.caller, "BYE")
    gate = home.world.proxy.loading
    assert (gate.noted, gate.lost) == (2, 3)
    # All are forwarded all the same.
    assert [what for what, to in home.world.sent() if to == BOB] == ["BYE"] * 5
    start.load()
    assert home.world.state() == 0


def test_a_cancel_without_its_invite_is_answered(start: Start) -> None:
    home = start.home
    sent = home.alice.invite("1", callid="new")
    refused(home)
    home.alice.cancel(sent)
    assert home.world.sent() == [("481", ALICE)]
    start.load()
    hang_up(home, start.call)


def test_replies_pass(make: Make, policy: str) -> None:
    """A call of this process, begun before others are adopted."""
    home = make()
    sent, invite = home.ring()
    gate = home.world.proxy.loading
    gate.policy = policy
    gate.begin()
    home.bob.reply(invite, 200)
    ok = home.alice.last("200")
    side = home.alice.caller_side(ok)
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert sent["Call-ID"] == "c1"
    home.alice.within(side, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    gate.end()
    assert home.world.state() == 0
