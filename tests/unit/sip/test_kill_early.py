"""Ending calls before they are answered: 488 to the caller, CANCEL to every branch."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.errors import BadExtraHeaders
from dlgmgmt.sip.terminate import MAX_EXTRA, check_extra_headers
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, CAROL, DAVE, House, Phone, Sip


def refused(home: House, sent: Sip) -> Sip:
    """Alice gets her 488 and acknowledges it."""
    reply = home.alice.one("488")
    home.alice.ack_failure(sent, reply)
    return reply


def cancelled(phone: Phone, invite: Sip) -> Sip:
    """A phone gets its CANCEL and obeys."""
    cancel = phone.one("CANCEL")
    phone.reply(cancel, 200)
    phone.reply(invite, 487)
    phone.one("ACK")
    return cancel


def test_ringing(home: House) -> None:
    sent, invite = home.ring()
    number = home.world.kill()
    assert home.world.state() == 6
    reply = refused(home, sent)
    assert reply.start == "SIP/2.0 488 mi_terminated"
    assert reply["CSeq"] == "1 INVITE"
    assert reply["Via"] == sent["Via"]
    assert reply.tag("To") not in ("", "bob")
    cancel = cancelled(home.bob, invite)
    assert cancel.uri == invite.uri
    assert cancel["Via"] == invite["Via"]
    assert cancel["CSeq"] == "1 CANCEL"
    assert cancel["From"] == invite["From"]
    assert cancel["To"] == invite["To"]
    assert cancel["Reason"] == "SIP;cause=488"
    assert home.world.outcomes(number) == {
        ("caller", ""): "488 acknowledged",
        ("callee", "bob"): "CANCEL 487",
    }
    assert home.world.state() == 0
    assert home.world.sent() == []


def test_a_ringing_fork(home: House) -> None:
    sent = home.alice.invite("2")
    phones = [home.bob, home.carol, home.dave]
    invites = [phone.one("INVITE") for phone in phones]
    for phone, invite in zip(phones, invites, strict=True):
        phone.reply(invite, 180)
    home.alice.last("180")
    number = home.world.kill("carol")
    refused(home, sent)
    for phone, invite in zip(phones, invites, strict=True):
        cancelled(phone, invite)
    assert home.world.outcomes(number) == {
        ("caller", ""): "488 acknowledged",
        ("callee", "bob"): "CANCEL 487",
        ("callee", "carol"): "CANCEL 487",
        ("callee", "dave"): "CANCEL 487",
    }
    assert home.world.state() == 0
    assert home.world.table.counts().failed == 1


def test_no_further_target_of_a_serial_fork_is_tried(home: House) -> None:
    sent = home.alice.invite("3")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.alice.last("180")
    home.world.kill()
    refused(home, sent)
    cancelled(home.bob, invite)
    assert home.world.sent() == []
    assert home.world.state() == 0


@pytest.mark.parametrize("provisional", [100, 180, 183])
def test_before_any_provisional_the_cancel_waits_for_one(home: House, provisional: int) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    number = home.world.kill_early()
    refused(home, sent)
    assert home.bob.inbox() == []
    home.bob.reply(invite, provisional)
    assert home.alice.inbox() == []
    cancelled(home.bob, invite)
    assert home.world.outcomes(number) == {("caller", ""): "488 acknowledged"}
    assert home.world.state() == 0


def test_a_phone_that_never_answers_at_all(home: House) -> None:
    sent = home.alice.invite("1")
    home.alice.one("100")
    home.world.kill_early()
    refused(home, sent)
    home.world.advance(33.0)
    assert [sip.what for sip in home.bob.inbox()] == ["INVITE"] * 7
    assert home.world.state() == 0
    assert home.world.sent() == []


def test_a_phone_that_rings_on_is_given_up_after_64_t1(home: House) -> None:
    sent, _ = home.ring()
    number = home.world.kill()
    refused(home, sent)
    home.world.advance(31.5)
    assert home.world.state() == 6
    home.world.advance(1.0)
    assert home.world.state() == 0
    assert {sip.what for sip in home.bob.inbox()} == {"CANCEL"}
    assert home.world.outcomes(number)["callee", "bob"] == "CANCEL 487"


def test_a_caller_that_never_acknowledges_gets_the_488_again(home: House) -> None:
    _, invite = home.ring()
    number = home.world.kill()
    cancelled(home.bob, invite)
    home.world.advance(33.0)
    assert [sip.what for sip in home.alice.inbox()] == ["488"] * 11
    assert home.world.outcomes(number)["caller", ""] == "488 sent"


def test_what_rings_after_the_kill_is_not_shown_to_the_caller(home: House) -> None:
    sent, invite = home.ring()
    home.world.kill()
    refused(home, sent)
    home.bob.reply(invite, 183)
    assert home.alice.inbox() == []
    cancelled(home.bob, invite)


def test_a_2xx_that_crosses_the_cancel_is_acknowledged_and_hung_up(home: House) -> None:
    sent, invite = home.ring()
    number = home.world.kill()
    refused(home, sent)
    cancel = home.bob.one("CANCEL")
    home.bob.reply(invite, 200)
    home.bob.reply(cancel, 481)
    assert home.alice.inbox() == []
    ack, bye = home.bob.inbox()
    assert ack.start == "ACK sip:bob@10.0.1.1:5060 SIP/2.0"
    assert ack["CSeq"] == "1 ACK"
    assert bye.start == "BYE sip:bob@10.0.1.1:5060 SIP/2.0"
    assert bye["CSeq"] == "2 BYE"
    for sip in (ack, bye):
        assert sip["From"] == "<sip:alice@a.example>;tag=alice"
        assert sip["To"] == "<sip:1@b.example>;tag=bob"
        assert sip["Call-ID"] == "c1"
    assert bye["Reason"].startswith("SIP;cause=488;text=")
    assert ack.branch != bye.branch
    assert home.world.state() == 6
    # The phone did not hear the ACK: it gets it again, but no second BYE.
    home.world.advance(0.2)
    home.bob.reply(invite, 200)
    assert home.bob.one("ACK")["CSeq"] == "1 ACK"
    home.bob.reply(bye, 200)
    assert home.world.outcomes(number) == {
        ("caller", ""): "488 acknowledged",
        ("callee", "bob"): "BYE 200",
    }
    assert home.world.state() == 0
    home.bob.reply(invite, 200)
    assert home.bob.one("ACK").what == "ACK"
    assert home.alice.inbox() == []


def test_a_2xx_from_a_phone_that_had_not_rung(home: House) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.alice.one("100")
    number = home.world.kill_early()
    refused(home, sent)
    home.bob.reply(invite, 200)
    ack, bye = home.bob.inbox()
    assert (ack.what, bye.what) == ("ACK", "BYE")
    home.bob.reply(bye, 200)
    assert home.world.outcomes(number)["callee", "bob"] == "BYE 200"
    assert home.world.state() == 0


def test_the_bye_of_a_late_answer_follows_a_prack(home: House) -> None:
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 183, headers=("Require: 100rel", "RSeq: 1"))
    ringing = home.alice.last("183")
    home.alice.within(home.alice.caller_side(ringing), "PRACK", headers=("RAck: 1 1 INVITE",))
    prack = home.bob.one("PRACK")
    assert prack["CSeq"] == "2 PRACK"
    home.bob.reply(prack, 200)
    home.alice.one("200")
    home.world.kill()
    refused(home, sent)
    home.bob.one("CANCEL")
    home.bob.reply(invite, 200)
    ack, bye = home.bob.inbox()
    assert (ack["CSeq"], bye["CSeq"]) == ("1 ACK", "3 BYE")
    home.bob.reply(bye, 200)


def test_a_late_answer_behind_a_proxy_follows_its_route(home: House) -> None:
    home.bob.record_route = ("<sip:10.0.7.1;lr>",)
    sent, invite = home.ring()
    home.world.kill()
    refused(home, sent)
    home.world.take()
    home.bob.reply(invite, 200)
    ack, bye = home.world.take()
    for mail in (ack, bye):
        assert mail.to == ("10.0.7.1", 5060)
        assert mail.sip.all("Route") == ["<sip:10.0.7.1;lr>"]
    home.bob.reply(bye.sip, 200)


def test_one_phone_answers_late_and_the_others_obey(home: House) -> None:
    sent = home.alice.invite("2")
    invites = [home.bob.one("INVITE"), home.carol.one("INVITE"), home.dave.one("INVITE")]
    for phone, invite in zip((home.bob, home.carol, home.dave), invites, strict=True):
        phone.reply(invite, 180)
    home.alice.last("180")
    number = home.world.kill()
    refused(home, sent)
    cancelled(home.bob, invites[0])
    home.carol.one("CANCEL")
    home.carol.reply(invites[1], 200)
    assert [sip.what for sip in home.carol.inbox()] == ["ACK", "BYE"]
    cancelled(home.dave, invites[2])
    home.world.advance(33.0)
    assert home.world.outcomes(number) == {
        ("caller", ""): "488 acknowledged",
        ("callee", "bob"): "CANCEL 487",
        ("callee", "carol"): "BYE timeout",
        ("callee", "dave"): "CANCEL 487",
    }
    assert home.world.state() == 0


def test_two_phones_answer_late(home: House) -> None:
    sent = home.alice.invite("2")
    invites = [home.bob.one("INVITE"), home.carol.one("INVITE"), home.dave.one("INVITE")]
    home.bob.reply(invites[0], 180)
    home.alice.last("180")
    number = home.world.kill()
    refused(home, sent)
    home.bob.one("CANCEL")
    for phone, invite in zip((home.bob, home.carol), invites, strict=False):
        phone.reply(invite, 200)
        ack, bye = phone.inbox()
        assert (ack.what, bye.what) == ("ACK", "BYE")
        phone.reply(bye, 200)
    assert home.world.outcomes(number) == {
        ("caller", ""): "488 acknowledged",
        ("callee", "bob"): "BYE 200",
        ("callee", "carol"): "BYE 200",
    }
    assert home.world.state() == 6
    home.dave.reply(invites[2], 100)
    cancelled(home.dave, invites[2])
    assert home.world.state() == 0


def test_a_cancel_from_the_caller_after_the_kill(home: House) -> None:
    sent, invite = home.ring()
    home.world.kill()
    home.alice.cancel(sent)
    reply, ok = home.alice.inbox()
    assert (reply.what, ok.what, ok["CSeq"]) == ("488", "200", "1 CANCEL")
    home.alice.ack_failure(sent, reply)
    cancelled(home.bob, invite)
    assert home.world.sent() == []


def test_extra_headers_go_on_the_488_and_every_bye(make: Make) -> None:
    home = make(extra="X-House: one\r\n")
    sent, invite = home.ring()
    home.world.kill(headers="X-Op: dave\nX-Two: 2\r\n")
    reply = refused(home, sent)
    assert (reply["X-Op"], reply["X-Two"]) == ("dave", "2")
    cancelled(home.bob, invite)
    home.talk()
    home.world.kill(headers="X-Op: dave")
    for mail in home.world.take():
        bye = mail.sip
        assert (bye["X-House"], bye["X-Op"]) == ("one", "dave")
        names = [name for name, _ in bye.headers]
        assert names.index("X-House") < names.index("X-Op") < names.index("Reason")
        assert len(names) == len(set(names))


def test_a_reason_of_the_operators_own_replaces_ours(home: House) -> None:
    home.talk()
    home.world.kill(headers='Reason: Q.850;cause=16;text="bye"')
    for mail in home.world.take():
        assert mail.sip.all("Reason") == ['Q.850;cause=16;text="bye"']


@pytest.mark.parametrize(
    "text",
    [
        "no colon",
        ": no name",
        "Bad Name: x",
        "X: a\r\n\r\nINVITE sip:x SIP/2.0",
        "X: a\n\nY: b",
        "X: a\rY: b",
        "X: a\r\r\nY: b",
        "X: a\x00",
        "X: a\x1b[2J",
        "X: a\x7f",
        "X: a\x0bY: b",
        " folded: x",
        "X: a\r\n folded",
        "X: a\n\tfolded",
        "\nX: a",
        "Via: SIP/2.0/UDP x",
        "v: SIP/2.0/UDP x",
        "FROM: <sip:x@y>",
        "f: x",
        "To: x",
        "t: x",
        "Call-ID: x",
        "i : x",
        "CSeq: 1 BYE",
        "Max-Forwards: 1",
        "Route: <sip:x>",
        "Record-Route: <sip:x>",
        "Contact: <sip:x>",
        "m: x",
        "Content-Length: 5",
        "l: 5",
        "L : 5",
        "Content-Type: text/plain",
        "c: text/plain",
        "X: a\r\nContent-Length: 5",
        f"X: {chr(0xD800)}",
        "X: " + "a" * MAX_EXTRA,
    ],
)
def test_extra_headers_that_could_change_the_message_are_refused(home: House, text: str) -> None:
    home.talk()
    before = home.world.view()
    with pytest.raises(BadExtraHeaders) as error:
        home.world.kill(headers=text)
    assert str(error.value).isprintable()
    assert home.world.sent() == []
    assert home.world.view() == before
    home.world.kill()
    home.answer_all()


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ""),
        ("\r\n", ""),
        ("X: a", "X: a\r\n"),
        ("X: a\nY:b\n", "X: a\r\nY:b\r\n"),
        ("X:\tü \udcff", "X:\tü \udcff\r\n"),
        ('P-Sig: "a;b\\"c", <x>', 'P-Sig: "a;b\\"c", <x>\r\n'),
        ("Viable: x\nFromage: y", "Viable: x\r\nFromage: y\r\n"),
    ],
)
def test_extra_headers_are_normalized(text: str, lines: str) -> None:
    assert check_extra_headers(text) == lines


def test_a_kill_tells_the_phones_of_one_call_only(home: House) -> None:
    first = home.alice.invite("1", callid="c1")
    second = home.alice.invite("2", callid="c2")
    home.world.take()
    home.world.kill_early("c2")
    assert home.world.state("c1") == 1
    (reply,) = home.alice.inbox()
    assert reply["Call-ID"] == "c2"
    home.alice.ack_failure(second, reply)
    home.alice.cancel(first)
    assert {to for _, to in home.world.sent()} <= {ALICE, BOB, CAROL, DAVE}
