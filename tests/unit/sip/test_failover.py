"""A target with several servers: when the next one is tried, and which ones have a rest."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dlgmgmt.sip.blocked import server
from dlgmgmt.sip.selection import Question
from dlgmgmt.sip.settings import Route, SipSettings
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import BOB, CAROL, PROXY, SETTINGS, House

SITE = "sip:1@site.example:5060"
BACK_OFF = SipSettings().dns.back_off
SILENCE = 33


@pytest.fixture
def site(make: Make) -> House:
    """site.example is at Bob's first, and then at Carol's; 7 is there and at Dave's."""
    both = Route(("sip:site.example:5060", "sip:10.0.1.3"), user_prefix="7")
    return serve(make, sip=replace(SETTINGS, routes=(both,)))


def serve(make: Make, **settings: Any) -> House:
    """A house whose proxy has looked site.example up."""
    home = make(**settings)
    resolver = home.world.locator.resolver
    resolver._keep(Question("site.example", "A"), (BOB[0], CAROL[0]), 1e9)
    resolver._keep(Question("site.example", "AAAA"), (), 1e9)
    return home


def test_after_a_503_the_next_server_is_tried_at_once(site: House) -> None:
    site.alice.invite("1", uri=SITE)
    first = site.bob.one("INVITE")
    site.bob.reply(first, 503)
    site.bob.one("ACK")
    second = site.carol.one("INVITE")
    assert first.branch != second.branch
    assert first["CSeq"] == second["CSeq"]
    site.carol.reply(second, 486)
    site.carol.one("ACK")
    assert [sip.what for sip in site.alice.inbox()] == ["100", "486"]


def test_what_rang_at_a_server_that_then_said_503_rings_no_more(site: House) -> None:
    site.alice.invite("1", uri=SITE)
    first = site.bob.one("INVITE")
    site.bob.reply(first, 183)
    assert [leg.to_tag for leg in site.world.view().legs] == ["bob"]
    site.bob.reply(first, 503)
    site.bob.one("ACK")
    second = site.carol.one("INVITE")
    view = site.world.view()
    assert view.legs == ()
    assert [(leg.to_tag, leg.code, leg.cause) for leg in view.history] == [("bob", 503, "rejected")]
    site.carol.reply(second, 180)
    assert [leg.to_tag for leg in site.world.view().legs] == ["carol"]
    site.carol.reply(second, 486)
    site.carol.one("ACK")
    assert [sip.what for sip in site.alice.inbox()] == ["100", "183", "180", "486"]


@pytest.mark.parametrize("others", [True, False])
def test_a_server_that_says_503_over_tcp_is_not_asked_again_over_udp(
    make: Make, *, others: bool
) -> None:
    """18.1.1 falls back to UDP where nobody listens, and there somebody does."""
    site = serve(make, sip=replace(SETTINGS, routes=()), streams=(PROXY,))
    uri = SITE if others else "sip:1@10.0.1.1"
    site.alice.invite("1", uri=uri, body="x" * 2000)
    invite = site.bob.one("INVITE")
    assert invite["Via"].startswith("SIP/2.0/TCP")
    site.bob.own = 2
    site.bob.reply(invite, 503, headers=("Retry-After: 20",))
    assert [sip.what for sip in site.bob.inbox()] == ["ACK"]
    if others:
        site.carol.own = 2
        site.carol.reply(site.carol.one("INVITE"), 486)
        site.carol.one("ACK")
    # Nor is a small one sent to it, as long as there is somebody else.
    site.alice.invite("1", uri=uri, callid="c2")
    asked = site.carol if others else site.bob
    asked.own = 0
    asked.reply(asked.one("INVITE"), 486)


def test_a_closed_port_is_left_for_the_next_server_at_once(site: House) -> None:
    """RFC 3261 18.4: what ICMP says of a datagram counts, if it repeats enough of it."""
    site.alice.invite("1", uri=SITE)
    proxy = site.world.proxy
    (sent,) = [mail.sip.raw for mail in site.world.mail if mail.to == BOB]
    site.bob.one("INVITE")
    for data, addr in (
        (sent[:28], BOB),
        (sent[:520].replace(b"z9hG4bK", b"z9hG4bK0"), BOB),
        (sent[:520], CAROL),
        (b"\xff\0", BOB),
    ):
        proxy.unreachable(data, addr)
        assert site.carol.inbox() == []
    proxy.unreachable(sent[:520], BOB)
    proxy.unreachable(sent[:520], BOB)
    invite = site.carol.one("INVITE")
    assert site.world.locator.blocked.is_blocked(server("udp", BOB))
    site.carol.reply(invite, 180)
    # Who rings is there, whatever is said of it.
    proxy.unreachable(invite.raw[:520], CAROL)
    site.carol.reply(invite, 486)
    assert [sip.what for sip in site.alice.inbox()] == ["100", "180", "486"]


def test_a_closed_port_is_left_for_the_next_target_at_once(home: House) -> None:
    home.alice.invite("3")
    home.world.proxy.unreachable(home.bob.one("INVITE").raw, BOB)
    home.carol.reply(home.carol.one("INVITE"), 200)
    assert [sip.what for sip in home.alice.inbox()] == ["100", "200"]
    home.world.kill("carol")


def test_where_there_is_nobody_else_a_closed_port_may_open(home: House) -> None:
    """It may belong to a server that is being started again."""
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.world.proxy.unreachable(invite.raw, BOB)
    home.world.advance(1)
    home.bob.reply(home.bob.one("INVITE"), 486)
    assert [sip.what for sip in home.alice.inbox()] == ["100", "486"]


def test_a_server_without_tcp_is_asked_over_udp_after_all(make: Make) -> None:
    site = make(streams=(PROXY,))
    site.world.sockets[2].broken.add(BOB)
    site.alice.invite("1", body="x" * 2000)
    invite = site.bob.one("INVITE")
    assert invite["Via"].startswith("SIP/2.0/UDP")
    site.bob.reply(invite, 486)
    site.bob.one("ACK")


def test_a_server_that_failed_has_a_rest_and_comes_back(site: House) -> None:
    for call in ("c1", "c2", "c3"):
        site.alice.invite("1", uri=SITE, callid=call)
        if call == "c1":
            site.bob.reply(site.bob.one("INVITE"), 503)
            site.bob.one("ACK")
        if call == "c3":
            site.bob.reply(site.bob.one("INVITE"), 486)
            site.bob.one("ACK")
            assert site.carol.inbox() == []
            return
        assert site.bob.inbox() == []
        site.carol.reply(site.carol.one("INVITE"), 486)
        site.carol.one("ACK")
        if call == "c2":
            site.world.advance(BACK_OFF)
            site.alice.inbox()


def test_silence_is_a_failure_and_a_provisional_is_not(site: House) -> None:
    site.alice.invite("1", uri=SITE)
    site.world.advance(SILENCE)
    assert {sip.what for sip in site.bob.inbox()} == {"INVITE"}
    site.carol.reply(site.carol.inbox()[-1], 100)
    site.world.advance(SILENCE)
    assert site.bob.inbox() == []
    blocked = site.world.locator.blocked
    assert blocked.is_blocked(server("udp", BOB))
    assert not blocked.is_blocked(server("udp", CAROL))


def test_the_next_server_must_ring_for_itself(site: House) -> None:
    """9.1: no CANCEL to it, because another one rang; and its silence counts."""
    call = site.alice.invite("1", uri=SITE)
    invite = site.bob.one("INVITE")
    site.bob.reply(invite, 180)
    site.bob.reply(invite, 503)
    site.bob.one("ACK")
    site.carol.one("INVITE")
    site.alice.cancel(call)
    assert site.carol.inbox() == []
    site.world.advance(SILENCE)
    assert {sip.what for sip in site.carol.inbox()} == {"INVITE"}
    assert site.world.locator.blocked.is_blocked(server("udp", CAROL))
    assert site.alice.last("487")["CSeq"] == "1 INVITE"


def test_a_cancelled_request_is_not_tried_elsewhere(site: House) -> None:
    call = site.alice.invite("1", uri=SITE)
    site.bob.one("INVITE")
    site.alice.cancel(call)
    site.world.advance(SILENCE)
    assert site.carol.inbox() == []
    assert site.alice.last("487")["CSeq"] == "1 INVITE"


def test_an_answered_request_is_not_tried_elsewhere(site: House) -> None:
    site.alice.invite("7", method="MESSAGE")
    site.bob.one("MESSAGE")
    site.dave.reply(site.dave.one("MESSAGE"), 200)
    assert site.alice.last("200")["CSeq"] == "1 MESSAGE"
    site.world.advance(SILENCE)
    assert site.carol.inbox() == []


@pytest.mark.parametrize(("length", "blocked"), [(10, True), (66_000, False)])
def test_what_no_datagram_can_carry_says_nothing_of_the_server(
    site: House, length: int, *, blocked: bool
) -> None:
    site.world.sockets[0].broken.add(BOB)
    site.alice.invite("1", uri=SITE, body="x" * length)
    site.carol.reply(site.carol.one("INVITE"), 486)
    site.carol.one("ACK")
    assert site.world.locator.blocked.is_blocked(server("udp", BOB)) == blocked
