"""Where replies go: ``received`` (RFC 3261 18.2) and ``rport`` (RFC 3581)."""

from __future__ import annotations

import re

import pytest

from tests.unit.sip.harness import ALICE, ERIN, House, Phone, Sip
from tests.unit.sip.hidden import NATTED, Hidden


def test_replies_go_to_the_address_and_port_that_the_request_came_from(home: House) -> None:
    """RFC 3581 4: with the request's Via filled in, which comes back to the phone."""
    alice = Hidden(home.world, NATTED, "alice")
    sent = alice.invite("1")
    invite = home.bob.one("INVITE")
    mine, hers = invite.all("Via")
    assert mine.startswith("SIP/2.0/UDP 10.0.0.1:5060;")
    assert f"branch={sent.branch}" in hers
    assert re.search(r";rport=41022(;|$)", hers)
    assert re.search(r";received=203\.0\.113\.7(;|$)", hers)
    home.bob.reply(invite, 486)
    trying, busy = alice.inbox()
    assert (trying.what, busy.what) == ("100", "486")
    assert busy["Via"] == hers
    alice.ack_failure(sent, busy)


@pytest.mark.parametrize(
    ("params", "back"),
    [
        (";RPort ;branch={}", NATTED),
        (";branch={};rport;received=10.6.6.6", NATTED),
        ("; received = 10.6.6.6 ;branch={}", ("203.0.113.7", 5062)),
        (";rport=7;branch={}", ("203.0.113.7", 5062)),
        (";branch={};x-rport;y=rport", ("203.0.113.7", 5062)),
    ],
)
def test_what_a_via_may_say_of_its_source(home: House, params: str, back: tuple[str, int]) -> None:
    alice = Hidden(home.world, NATTED, "alice")
    data = alice.invite("1").raw
    home.world.take()
    alice.cancel(Sip(data))
    home.world.take()
    head, _, rest = data.partition(b"Via: ")
    old, _, rest = rest.partition(b"\r\n")
    via = "SIP/2.0/UDP 10.9.9.9:5062" + params.format("z9hG4bK-odd")
    alice.send((head + b"Via: " + via.encode() + b"\r\n" + rest).replace(b"c1", b"c2"))
    (trying,) = [mail for mail in home.world.take() if mail.sip.what == "100"]
    assert trying.to == back
    assert trying.sip["Via"].count("received") == 1
    assert trying.sip["Via"].endswith(";received=203.0.113.7")
    assert old
    home.world.advance(34)
    home.world.take()


def test_received_is_added_for_rport_though_the_address_is_right(home: House) -> None:
    """RFC 3581 4; and an IPv6 address stands there without brackets (RFC 3261 25.1)."""
    erin = Phone(home.world, ERIN, "erin", 1)
    data = (
        erin.invite("6").raw.replace(b";branch=", b";rport;branch=z9hG4bKx").replace(b"c1", b"c2")
    )
    home.world.take()
    erin.send(data)
    (trying,) = [mail for mail in home.world.take() if mail.sip.what == "100"]
    assert trying.to == ERIN
    assert trying.sip["Via"].endswith(";received=2001:db8::77")
    assert ";rport=5060;" in trying.sip["Via"]
    home.world.advance(34)
    home.world.take()


def test_without_rport_the_port_is_that_of_the_via(home: House) -> None:
    """RFC 3261 18.2.2: the address is that of the packet, the port that of the Via."""
    alice = Phone(home.world, NATTED, "alice")
    data = home.alice.invite("1").raw
    home.world.take()
    home.alice.cancel(Sip(data))
    home.world.take()
    alice.send(data.replace(b"c1", b"c2").replace(b"branch=z9hG4bK", b"branch=z9hG4bKx"))
    (trying,) = [mail for mail in home.world.take() if mail.sip.what == "100"]
    assert trying.to == ("203.0.113.7", ALICE[1])
    assert "received=203.0.113.7" in trying.sip["Via"]
    assert "rport" not in trying.sip["Via"]
    home.world.advance(34)
    home.world.take()
