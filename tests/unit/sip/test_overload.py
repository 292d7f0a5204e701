"""What the proxy does when there is too much: who is refused, who is not, and what is kept."""

from __future__ import annotations

import ipaddress
import logging
from dataclasses import replace
from typing import Any

import pytest

from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.sip.settings import AllowRule, LimitSettings, Listener, SipSettings
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, CAROL, DIALOGS, PROXY, SETTINGS, House, Sip

LIMITS = LimitSettings(
    rate=10, burst=10, packets=0, transactions=0, refusals=4, retry_after=7, sources=16
)


def limited(**changes: Any) -> SipSettings:
    return replace(SETTINGS, limits=replace(LIMITS, **changes))


def flood(home: House, calls: int, *, first: int = 0, user: str = "1") -> list[str]:
    """Alice makes that many calls at once; what she gets."""
    for number in range(first, first + calls):
        home.alice.invite(user, callid=f"flood-{number}")
    return [sip.what for sip in home.alice.inbox()]


def refuse_all(home: House) -> None:
    """Bob refuses what has come to him, so that nothing is left of it."""
    for invite in home.bob.inbox():
        if invite.method == "INVITE":
            home.bob.reply(invite, 486)
    # The ACKs for it.
    home.bob.inbox()
    home.alice.inbox()


def stack_size(home: House) -> int:
    return len(home.world.stack)


# -- one source ------------------------------------------------------------------------------------


def test_of_a_flood_the_burst_passes_a_few_are_answered_and_the_rest_is_dropped(
    make: Make,
) -> None:
    home = make(sip=limited())
    assert flood(home, 1000) == ["100"] * 10 + ["503"] * 4
    assert stack_size(home) == 20
    counters = home.world.proxy.guard.counters
    assert (counters.refused, counters.dropped) == (4, 986)
    # What is dropped is not even read.
    assert home.world.proxy.counters.requests == 14
    refuse_all(home)


def test_a_flood_takes_nothing_from_others_nor_from_its_own_calls(make: Make) -> None:
    home = make(sip=limited())
    call = home.talk()
    flood(home, 1000)
    refuse_all(home)
    # Another source.
    home.carol.invite("1", callid="other")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 486)
    assert [sip.what for sip in home.carol.inbox()] == ["100", "486"]
    # Requests within the call that there was, from the source of the flood, in any number.
    for _ in range(50):
        home.alice.within(call.caller, "INFO")
    assert len([sip for sip in home.bob.inbox() if sip.method == "INFO"]) == 50
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    assert home.alice.last("200")["CSeq"].endswith("BYE")
    assert home.world.state() in {0, 6}


def test_a_call_can_be_cancelled_in_a_flood(make: Make) -> None:
    home = make(sip=limited())
    sent, invite = home.ring()
    flood(home, 1000)
    refuse_all(home)
    for _ in range(30):
        home.alice.invite("1", method="CANCEL", callid="unknown")
    home.alice.inbox()
    home.alice.cancel(sent)
    assert [sip.what for sip in home.bob.inbox()] == ["CANCEL"]
    home.bob.reply(invite, 487)
    assert "487" in [sip.what for sip in home.alice.inbox()]


def test_a_tag_in_the_to_header_is_no_way_around_the_limit(make: Make) -> None:
    home = make(sip=limited())
    side = home.talk().caller
    for number in range(100):
        side.callid = f"unknown-{number}"
        home.alice.within(side, "INVITE")
    assert len([sip for sip in home.bob.inbox() if sip.method == "INVITE"]) <= 10
    assert stack_size(home) <= 20
    assert [sip.what for sip in home.alice.inbox()].count("503") == 4
    # Nor is an ACK.
    for number in range(100):
        side.callid = f"ack-{number}"
        home.alice.within(side, "ACK")
    assert home.bob.inbox() == []
    home.world.kill()
    home.answer_all()


def test_a_retransmission_costs_nothing(make: Make) -> None:
    home = make(sip=limited())
    sent, _ = home.ring()
    for _ in range(50):
        home.alice.send(sent.raw)
    assert [sip.what for sip in home.alice.inbox()] == ["180"] * 50
    assert flood(home, 9, first=1) == ["100"] * 9
    home.alice.cancel(sent)
    refuse_all(home)


def test_the_transactions_of_a_source_come_to_an_end(make: Make) -> None:
    home = make(sip=limited(transactions=3, rate=0))
    assert flood(home, 5) == ["100"] * 3 + ["503"] * 2
    for invite in home.bob.inbox():
        home.bob.reply(invite, 486)
    home.alice.inbox()
    # They still absorb retransmissions.
    assert flood(home, 1, first=10) == ["503"]
    home.world.advance(64 * home.world.stack.t1 + 1)
    home.alice.inbox()
    assert flood(home, 3, first=20) == ["100"] * 3
    home.bob.inbox()


# -- answers without a transaction -----------------------------------------------------------------


def refused(home: House, sent: Sip) -> Sip:
    before = stack_size(home)
    home.alice.send(sent.raw)
    reply = home.alice.one("503")
    assert stack_size(home) == before
    return reply


def test_a_refusal_keeps_nothing_and_its_ack_goes_nowhere(make: Make) -> None:
    home = make(sip=limited(rate=1, burst=1))
    flood(home, 1)
    refuse_all(home)
    # To somewhere else: such an ACK would be forwarded.
    sent = home.alice.invite("1", uri="sip:1@10.0.1.1:5060", callid="over")
    reply = home.alice.one("503")
    assert reply["Retry-After"] == "7"
    assert reply.tag("To")
    assert refused(home, sent).tag("To") == reply.tag("To")
    home.alice.ack_failure(sent, reply)
    assert home.world.mail == []
    assert home.world.proxy.counters.stray_acks == 0


def test_malformed_requests_are_answered_so_and_bounded(make: Make) -> None:
    home = make(sip=limited())
    bad = (
        b"OPTIONS sip:1@10.0.1.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.9.1;branch=z9hG4bKx\r\n"
        b"From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n"
    )
    for _ in range(100):
        home.alice.send(bad)
    replies = home.alice.inbox()
    # All that the limits let be answered: the burst, and then the few.
    assert len(replies) == 14
    assert {sip.what for sip in replies} == {"400"}
    assert len({sip.tag("To") for sip in replies}) == 1
    assert stack_size(home) == 0


# -- everybody -------------------------------------------------------------------------------------


def test_beyond_the_ceiling_of_transactions_only_what_belongs_to_calls_passes(make: Make) -> None:
    home = make(sip=replace(SETTINGS, max_transactions=16))
    call = home.talk()
    ringing = home.alice.invite("1", callid="ringing")
    home.bob.reply(home.bob.one("INVITE"), 180)
    assert flood(home, 30)[-16:] == ["503"] * 16
    assert 16 <= stack_size(home) < 18
    assert home.world.proxy.counters.overload >= 16
    home.bob.inbox()
    # What ends a call needs room too.
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    assert home.alice.last("200")["CSeq"].endswith("BYE")
    home.alice.cancel(ringing)
    assert home.bob.inbox()[0].method == "CANCEL"
    # And has an end as well.
    for _ in range(30):
        home.alice.within(call.caller, "INFO")
    assert stack_size(home) <= 20 + 2
    home.bob.inbox()
    home.alice.inbox()


def test_beyond_the_ceiling_of_dialogs_nothing_is_kept_of_a_call(make: Make) -> None:
    home = make(dialogs=replace(DIALOGS, max_dialogs=1))
    call = home.talk()
    before = stack_size(home)
    assert flood(home, 100) == ["503"] * 100
    assert stack_size(home) == before
    assert home.world.table.counts().rejected == 100
    # Other requests, and those of the call that there is, pass.
    home.alice.invite("1", method="MESSAGE", callid="m")
    home.bob.reply(home.bob.one("MESSAGE"), 200)
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.inbox()
    home.world.advance(40)
    assert flood(home, 1, first=200) == ["100"]
    refuse_all(home)


def test_a_call_that_comes_by_again_needs_no_further_place(make: Make) -> None:
    home = make(dialogs=DialogSettings(hash_size=16, max_dialogs=1))
    home.ring()
    home.alice.invite("1", cseq=2)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 486)
    assert "503" not in [sip.what for sip in home.alice.inbox()]


# -- what is dropped -------------------------------------------------------------------------------


def test_a_datagram_that_is_not_sip_is_dropped_counted_and_logged_once_a_second(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dlgmgmt.sip")
    for number in range(500):
        home.world.receive(b"\x16\x03\x01 GET / HTTP/1.1\r\n\r\n%03d" % number, CAROL)
    assert home.world.proxy.counters.not_sip == 500
    assert home.world.mail == []
    assert caplog.messages == ["not SIP: 25 bytes from ('10.0.1.2', 5060)"]


def test_bad_messages_are_logged_once_a_second(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "dlgmgmt.sip")
    for _ in range(50):
        home.world.receive(b"SIP/2.0 200 OK\r\nCSeq: x\r\n\r\n", CAROL)
        home.world.receive(b"OPTIONS sip:1@10.0.0.1 SIP/2.0\r\nVia: x\r\n\r\n", CAROL)
        home.world.receive(b"OPTIONS sip:1@nowhere;transport=tcp SIP/2.0\r\n\r\n", CAROL)
    assert len(caplog.messages) <= 3


def test_what_a_listeners_rules_forbid_is_dropped_without_a_word(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "dlgmgmt.sip")
    listener = Listener("udp", *PROXY)
    rule = AllowRule(listener, (ipaddress.ip_network(f"{ALICE[0]}/32"), _net(BOB[0])))
    home = make(sip=replace(SETTINGS, listen=(listener,), allow=(rule,)))
    home.carol.invite("1", callid="no")
    home.world.receive(b"nonsense", CAROL)
    assert (home.world.mail, caplog.messages) == ([], [])
    assert home.world.proxy.guard.counters.forbidden == 2
    assert home.world.proxy.counters.requests == home.world.proxy.counters.not_sip == 0
    assert stack_size(home) == 0
    call = home.talk()
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)


def _net(host: str) -> ipaddress.IPv4Network:
    return ipaddress.IPv4Network(f"{host}/32")
