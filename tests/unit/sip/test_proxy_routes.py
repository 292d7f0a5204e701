"""Where RFC 3261 16.4 to 16.6 has a proxy send a request: Route, maddr, targets."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.sip.settings import Route
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import CAROL, ERIN, SETTINGS, House
from tests.unit.sip.test_proxy_rules import FAR, NEXT, OWN, refused

# -- Route -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lines",
    [
        (f"Route: {OWN}", f"Route: {NEXT}", "Route: <sip:after.example;lr>;x=1"),
        (f"Route: {OWN}, {NEXT}", "Route: <sip:after.example;lr>;x=1"),
        (f"route : {OWN} ,\r\n {NEXT},\r\n\t<sip:after.example;lr>;x=1",),
        (f'Route: "Own, <here>" {OWN}, {NEXT},,<sip:after.example;lr>;x=1',),
    ],
)
def test_a_preloaded_route_set(home: House, lines: tuple[str, ...]) -> None:
    home.alice.invite("1", uri=FAR, headers=lines)
    invite = home.bob.one("INVITE")
    assert invite.uri == FAR
    assert invite.all("Route") == [NEXT, "<sip:after.example;lr>;x=1"]


def test_all_own_values_of_a_route_are_taken_off(home: House) -> None:
    home.alice.invite("1", uri=FAR, headers=(f"Route: {OWN}, <sip:[2001:db8::1];lr>, {NEXT}",))
    assert home.bob.one("INVITE").all("Route") == [NEXT]


def test_a_strict_next_router_gets_itself_as_request_uri(home: House) -> None:
    strict = "<sip:10.0.1.1;x=1>"
    home.alice.invite("1", uri=FAR, headers=(f"Route: {OWN}, {strict}, <sip:after.example;lr>",))
    invite = home.bob.one("INVITE")
    assert invite.uri == "sip:10.0.1.1;x=1"
    assert invite.all("Route") == ["<sip:after.example;lr>", f"<{FAR}>"]


def test_a_user_part_makes_no_router_loose(home: House) -> None:
    home.alice.invite("1", uri=FAR, headers=("Route: <sip:user;lr@10.0.1.1>",))
    invite = home.bob.one("INVITE")
    assert (invite.uri, invite.all("Route")) == ("sip:user;lr@10.0.1.1", [f"<{FAR}>"])


def test_what_a_strict_router_sends_is_repaired(home: House) -> None:
    """It has put our Record-Route value into the Request-URI, and the target behind the Route."""
    call = home.talk()
    (own,) = call.caller.routes
    routes = ["<sip:10.0.1.2;lr>", f"<{call.caller.target}>"]
    home.alice.within(call.caller, "BYE", uri=own.strip("<>"), routes=routes)
    bye = home.carol.one("BYE")
    assert bye.uri == call.caller.target
    assert bye.all("Route") == ["<sip:10.0.1.2;lr>"]
    assert home.world.state() == 6
    home.carol.reply(bye, 200)
    home.alice.one("200")


def test_a_route_that_cannot_be_read_is_refused(home: House) -> None:
    assert refused(home, 'Route: "open <sip:10.0.1.1;lr>').status == 400
    assert refused(home, "Route: nonsense <", callid="c2").status == 400


# -- maddr -----------------------------------------------------------------------------------------


def test_maddr_of_a_request_uri_is_the_next_hop_and_stays(home: House) -> None:
    """16.5: whatever route there is for its user, the URI itself is the only target."""
    uri = "sip:2@far.example;maddr=10.0.1.1;unknown=x"
    home.alice.invite("2", uri=uri)
    assert home.bob.one("INVITE").uri == uri
    home.alice.one("100")
    assert home.world.take() == []


def test_maddr_leads_away_from_the_own_address(home: House) -> None:
    home.alice.invite("2", uri="sip:2@10.0.0.1;maddr=10.0.1.1")
    assert home.bob.one("INVITE").uri == "sip:2@10.0.0.1;maddr=10.0.1.1"


@pytest.mark.parametrize(
    "uri",
    [
        "sip:x@named.example;maddr=10.0.0.1",
        "sip:x@named.example:5060;transport=udp;maddr=10.0.0.1;p",
    ],
)
def test_maddr_that_is_here_is_stripped(home: House, uri: str) -> None:
    """16.4: it has done its work; the domain decides."""
    home.alice.invite("x", uri=uri)
    assert home.bob.one("INVITE").uri == "sip:x@10.0.1.1"


def test_maddr_that_is_here_on_an_own_uri(home: House) -> None:
    home.alice.invite("", method="OPTIONS", uri="sip:10.0.0.1;maddr=10.0.0.1")
    home.alice.one("200")


def test_maddr_of_a_route_is_the_next_hop(home: House) -> None:
    route = "<sip:far.example;maddr=10.0.1.1;lr>"
    home.alice.invite("1", uri=FAR, headers=(f"Route: {OWN}, {route}",))
    assert home.bob.one("INVITE").all("Route") == [route]


def test_a_route_with_the_own_maddr_is_the_own(home: House) -> None:
    route = "<sip:far.example;maddr=10.0.0.1;lr>"
    home.alice.invite("1", uri=FAR, headers=(f"Route: {route}, {NEXT}",))
    assert home.bob.one("INVITE").all("Route") == [NEXT]


def test_maddr_of_the_topmost_via_is_where_replies_go(home: House) -> None:
    """RFC 3261 18.2.2: before received and rport, on the sent-by's port."""
    via = f"{home.alice.via('z9hG4bKm')};maddr=10.0.1.2;rport".removeprefix("SIP/2.0/UDP ")
    home.world.receive(
        (
            f"OPTIONS sip:10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {via}\r\nMax-Forwards: 1\r\n"
            "From: <sip:a@x>;tag=a\r\nTo: <sip:10.0.0.1>\r\nCall-ID: c1\r\nCSeq: 1 OPTIONS\r\n\r\n"
        ).encode(),
        ("10.0.9.8", 5999),
    )
    ((to, sip),) = [(mail.to, mail.sip) for mail in home.world.take()]
    assert (to, sip.what) == (CAROL, "200")
    assert sip["Via"].endswith(";maddr=10.0.1.2;rport=5999;received=10.0.9.8")


@pytest.mark.parametrize("maddr", ["far.example", "2001:db8::77", "[2001:db8::77]", ""])
def test_maddr_of_a_via_that_cannot_be_used(home: House, maddr: str) -> None:
    """A name is not looked up for a reply, and an address of the other family not reached."""
    home.alice.invite("", method="OPTIONS", uri="sip:10.0.0.1", branch=f"z9hG4bKm;maddr={maddr}")
    home.alice.one("200")
    assert ERIN not in [mail.to for mail in home.world.take()]


# -- targets ---------------------------------------------------------------------------------------


def test_unknown_parameters_of_a_request_uri_stay(home: House) -> None:
    uri = "sip:x;y=1@10.0.1.1:5060;unknown;Other=%41;method=INVITE;ttl=1"
    home.alice.invite("1", uri=uri)
    assert home.bob.one("INVITE").uri == uri


def test_escapes_of_a_user_part_stay_when_a_route_gives_the_host(make: Make) -> None:
    routes = (Route(("sip:10.0.1.1;x=1",), domain="named.example"),)
    home = make(sip=replace(SETTINGS, routes=routes))
    home.alice.invite("1", uri="sip:a%40b;c=d%3b,e?f@named.example;user=phone")
    assert home.bob.one("INVITE").uri == "sip:a%40b;c=d%3b,e?f@10.0.1.1;x=1"


def test_a_message_of_64_kb(home: House) -> None:
    body = "".join(f"{number:07}\r\n" for number in range(7000))
    home.alice.invite("1", body=body)
    invite = home.bob.one("INVITE")
    assert len(invite.body) == 63_000
    assert invite.body == body.encode()
    assert invite["Content-Length"] == "63000"


def test_more_than_content_length_goes_no_further(home: House) -> None:
    sent = home.alice.invite("1", body="")
    home.bob.one("INVITE")
    home.alice.one("100")
    data = sent.raw.replace(b"z9hG4bK", b"z9hG4bKx").replace(b"Call-ID: c1", b"Call-ID: c2")
    home.alice.send(data + b"\r\nBYE sip:1@10.0.0.1 SIP/2.0\r\n\r\n")
    assert home.bob.one("INVITE").body == b""
