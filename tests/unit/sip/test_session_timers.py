"""Session timers (RFC 4028): the headers pass, and a call that is not refreshed ends."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import DIALOGS, UNIX, Call, House, Phone, Side, Sip

MINUTE = "Session-Expires: 60;refresher=uac"
"""Sixty seconds, and twenty more until the call is taken as lost."""


def dialogs(**changes: int | bool) -> dict[str, object]:
    return {"dialogs": replace(DIALOGS, **changes)}  # type: ignore[arg-type]


def talk(home: House, *headers: str, offer: tuple[str, ...] = ()) -> Call:
    """A call whose 2xx carries these headers."""
    sent = home.alice.invite("1", headers=offer)
    invite = home.bob.one("INVITE")
    answer = home.bob.reply(invite, 200, headers=headers)
    ok = home.alice.last("200")
    call = Call(sent, invite, ok, home.alice.caller_side(ok), home.bob.callee_side(invite))
    call.answer = answer
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    return call


def within(
    sender: Phone,
    side: Side,
    receiver: Phone,
    method: str,
    status: int = 200,
    headers: tuple[str, ...] = (),
) -> Sip:
    """A request within the call and its answer; returns what the sender is answered."""
    sent = sender.within(side, method)
    receiver.reply(receiver.one(method), status, headers=headers)
    answer = sender.last(str(status))
    if method == "INVITE" and status < 300:
        sender.within(side, "ACK")
        receiver.one("ACK")
    elif method == "INVITE":
        sender.ack_failure(sent, answer)
        receiver.one("ACK")
    return answer


def hung_up(home: House) -> None:
    """Both phones have been sent the BYE of a session that is over."""
    for phone in (home.alice, home.bob):
        bye = phone.one("BYE")
        assert bye["Reason"] == 'SIP;cause=408;text="session_expired"'
        phone.reply(bye, 200)
    assert home.world.state() == 0
    assert home.world.table.counts().expired == 1
    (order,) = home.world.table.terminations()
    assert order.reason == "session_expired"


def silent(home: House, seconds: float) -> None:
    home.world.advance(seconds)
    assert home.world.sent() == []
    assert home.world.state() == 4


def test_the_headers_pass_as_they_are(home: House) -> None:
    offer = ("Supported: timer", "Session-Expires: 1800;refresher=uas", "Min-SE: 120")
    answer = ("Require: timer", "x: 1800 ;refresher=uas")
    call = talk(home, *answer, offer=offer)
    for name in ("Supported", "Session-Expires", "Min-SE"):
        assert call.invite.all(name) == call.sent.all(name) != []
    for name in ("Require", "x"):
        assert call.ok.all(name) == call.answer.all(name) != []
    home.world.kill()
    home.answer_all()


def test_422_passes(home: House) -> None:
    sent = home.alice.invite("1", headers=("Session-Expires: 30",))
    home.bob.reply(home.bob.one("INVITE"), 422, headers=("Min-SE: 90",))
    refusal = home.alice.last("422")
    assert refusal["Min-SE"] == "90"
    home.alice.ack_failure(sent, refusal)
    assert home.world.state() == 0


def test_a_call_that_is_not_refreshed_ends_after_its_session(home: House) -> None:
    talk(home, MINUTE)
    assert home.world.view().timeout == UNIX + 80
    silent(home, 79.75)
    home.world.advance(0.5)
    hung_up(home)


@pytest.mark.parametrize(("seconds", "end"), [(90, 120.0), (1800, 1832.0)])
def test_the_grace_is_a_third_of_the_interval_32_seconds_at_most(
    home: House, seconds: int, end: float
) -> None:
    talk(home, f"Session-Expires: {seconds}")
    silent(home, end - 0.25)
    home.world.advance(0.5)
    hung_up(home)


@pytest.mark.parametrize("method", ["INVITE", "UPDATE"])
@pytest.mark.parametrize("by", ["caller", "callee"])
def test_a_refresh_by_either_side_starts_it_anew(home: House, method: str, by: str) -> None:
    call = talk(home, MINUTE)
    sender, side, receiver = home.alice, call.caller, home.bob
    if by == "callee":
        sender, side, receiver = home.bob, call.callee, home.alice
    for _ in range(3):
        silent(home, 50)
        within(sender, side, receiver, method, headers=(MINUTE,))
    silent(home, 79.5)
    home.world.advance(0.75)
    hung_up(home)


def test_a_refresh_may_change_the_interval_and_a_2xx_without_one_ends_it(home: House) -> None:
    call = talk(home, MINUTE)
    within(home.alice, call.caller, home.bob, "UPDATE", headers=("Session-Expires: 300",))
    assert home.world.view().timeout == UNIX + 332
    silent(home, 300)
    within(home.alice, call.caller, home.bob, "INVITE")
    assert home.world.view().timeout == UNIX + 300 + 3600
    silent(home, 3000)
    home.world.kill()
    home.answer_all()


@pytest.mark.parametrize(("method", "status"), [("INVITE", 491), ("INVITE", 488), ("UPDATE", 500)])
def test_a_refused_refresh_is_none(home: House, method: str, status: int) -> None:
    call = talk(home, MINUTE)
    silent(home, 50)
    within(home.alice, call.caller, home.bob, method, status, headers=(MINUTE,))
    silent(home, 29.5)
    home.world.advance(0.5)
    hung_up(home)


@pytest.mark.parametrize("method", ["INFO", "OPTIONS", "MESSAGE", "NOTIFY"])
def test_other_requests_are_no_refresh_whatever_they_carry(home: House, method: str) -> None:
    call = talk(home, MINUTE)
    silent(home, 50)
    within(home.alice, call.caller, home.bob, method, headers=(MINUTE,))
    silent(home, 29.5)
    home.world.advance(0.5)
    hung_up(home)


def test_the_dialog_timeout_holds_where_it_is_shorter(make: Make) -> None:
    home = make(**dialogs(default_timeout=40))
    talk(home, MINUTE)
    assert home.world.view().timeout == UNIX + 40
    home.world.advance(40.25)
    assert home.alice.one("BYE")["Reason"].endswith('text="dialog_timeout"')
    home.bob.reply(home.bob.one("BYE"), 200)
    home.world.advance(33)
    home.world.take()


def test_a_bye_in_time_is_all(home: House) -> None:
    call = talk(home, MINUTE)
    silent(home, 70)
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    home.world.advance(60)
    assert home.world.sent() == []
    assert home.world.table.counts().expired == 0


def test_without_send_bye_the_call_just_leaves(make: Make) -> None:
    home = make(**dialogs(send_bye=False))
    talk(home, MINUTE)
    home.world.advance(80.25)
    assert home.world.sent() == []
    assert home.world.state() == 0
    assert home.world.table.counts().expired == 1


def test_session_timers_can_be_left_to_the_parties(make: Make) -> None:
    home = make(**dialogs(session_timers=False))
    talk(home, MINUTE)
    assert home.world.view().timeout == UNIX + 3600
    silent(home, 3000)
    home.world.kill()
    home.answer_all()


def test_they_can_be_switched_off_while_a_call_runs(home: House) -> None:
    call = talk(home, MINUTE)
    home.world.table.settings = replace(DIALOGS, session_timers=False)
    silent(home, 300)
    home.world.table.settings = DIALOGS
    silent(home, 10)
    within(home.alice, call.caller, home.bob, "UPDATE", headers=(MINUTE,))
    home.world.advance(80.25)
    hung_up(home)


@pytest.mark.parametrize(
    "value",
    ["0", "-5", "", "soon", "2147483648", "9" * 400, "12 34", "1e3", "60, 90", "٦٠", "0x3c"],
)
def test_a_value_that_makes_no_sense_is_no_session_timer(
    home: House, caplog: pytest.LogCaptureFixture, value: str
) -> None:
    with caplog.at_level(logging.INFO, "dlgmgmt.sip.session_timer"):
        call = talk(home, f"Session-Expires: {value}")
    (record,) = [r for r in caplog.records if r.name == "dlgmgmt.sip.session_timer"]
    assert "c1" in record.getMessage()
    assert len(record.getMessage()) < 200
    assert call.ok["Session-Expires"] == value.strip()
    silent(home, 3000)
    home.world.kill()
    home.answer_all()


def test_a_provisional_reply_and_an_update_before_the_answer_set_none(home: House) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 183, headers=(MINUTE,))
    side = home.alice.caller_side(home.alice.last("183"))
    within(home.alice, side, home.bob, "UPDATE", headers=(MINUTE,))
    home.world.advance(100)
    assert home.world.state() == 2
    home.bob.reply(invite, 200)
    home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK", cseq=int(sent["CSeq"].split()[0]))
    home.bob.one("ACK")
    silent(home, 200)
    home.world.kill()
    home.answer_all()


def test_the_session_ends_though_the_ack_never_comes(make: Make) -> None:
    home = make(**dialogs(noack_timeout=600))
    home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 200, headers=(MINUTE,))
    home.alice.last("200")
    home.world.advance(79.5)
    assert home.world.sent() == []
    home.world.advance(0.75)
    hung_up(home)


def test_of_two_answered_legs_each_has_its_own_session(home: House) -> None:
    home.alice.invite("2")
    invites = [(phone, phone.one("INVITE")) for phone in (home.bob, home.carol)]
    home.dave.inbox()
    sides = []
    for (phone, invite), seconds in zip(invites, (60, 300), strict=True):
        phone.reply(invite, 200, headers=(f"Session-Expires: {seconds}",))
        side = home.alice.caller_side(home.alice.last("200"))
        home.alice.within(side, "ACK")
        sides.append(side)
    home.dave.inbox()
    home.bob.inbox()
    home.carol.inbox()
    home.world.advance(80.25)
    byes = {phone.name: phone.inbox() for phone in (home.alice, home.bob, home.carol)}
    assert [sip.what for sip in byes["bob"]] == ["BYE"]
    assert byes["carol"] == []
    assert [sip.tag("From") for sip in byes["alice"]] == ["bob"]
    home.bob.reply(byes["bob"][0], 200)
    home.alice.reply(byes["alice"][0], 200)
    # The call goes on with Carol, within her session.
    assert home.world.state() == 4
    assert home.world.view().timeout == UNIX + 332
    home.world.take()
    home.world.advance(332 - 80)
    home.alice.reply(home.alice.one("BYE"), 200)
    home.carol.reply(home.carol.one("BYE"), 200)
    home.world.take()
    assert home.world.state() == 0
