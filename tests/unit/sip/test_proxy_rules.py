"""What RFC 3261 16 asks of a proxy: validation, replies, loops. Targets: test_proxy_routes."""

from __future__ import annotations

import pytest

from tests.unit.sip.harness import BOB, Call, House, Sip

FAR = "sip:someone@far.example"
NEXT = "<sip:10.0.1.1;lr>"
OWN = "<sip:10.0.0.1;lr>"


def refused(home: House, *headers: str, uri: str = "", callid: str = "c1") -> Sip:
    """Alice's INVITE is answered by the proxy itself, and goes nowhere."""
    home.alice.invite("1", headers=headers, uri=uri, callid=callid)
    (mail,) = home.world.take()
    assert home.world.state(callid) == 0
    return mail.sip


def hang_up(home: House, call: Call) -> None:
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")


# -- validation ------------------------------------------------------------------------------------


def test_max_forwards_is_counted_down_to_0_and_no_further(home: House) -> None:
    home.alice.invite("1", headers=("Max-Forwards: 1",))
    home.alice.one("100")
    assert home.bob.one("INVITE")["Max-Forwards"] == "0"
    answer = refused(home, "Max-Forwards: 0", callid="c2")
    assert answer.start == "SIP/2.0 483 Too Many Hops"


@pytest.mark.parametrize("hops", ["256", "-1", "x"])
def test_max_forwards_that_is_no_number_is_refused(home: House, hops: str) -> None:
    assert refused(home, f"Max-Forwards: {hops}").status == 400


def test_an_ack_without_hops_left_is_dropped(home: House) -> None:
    call = home.talk(ack=False)
    routes = tuple(f"Route: {route}" for route in call.caller.routes)
    home.alice.send(
        (
            f"ACK {call.caller.target} SIP/2.0\r\nVia: {home.alice.via('z9hG4bKack')}\r\n"
            + "".join(f"{route}\r\n" for route in routes)
            + f"Max-Forwards: 0\r\nFrom: {call.caller.local}\r\nTo: {call.caller.remote}\r\n"
            "Call-ID: c1\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
        ).encode()
    )
    assert home.world.take() == []
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    hang_up(home, call)


@pytest.mark.parametrize(
    "lines", [("Proxy-Require: a, b",), ("Proxy-Require: a", "proxy-require:b")]
)
def test_what_a_proxy_must_know_and_does_not(home: House, lines: tuple[str, ...]) -> None:
    answer = refused(home, *lines)
    assert answer.start == "SIP/2.0 420 Bad Extension"
    assert answer["Unsupported"] == "a, b"


def test_require_is_for_the_phone(home: House) -> None:
    home.alice.invite("1", headers=("Require: nobody-knows-this",))
    assert home.bob.one("INVITE")["Require"] == "nobody-knows-this"


@pytest.mark.parametrize(
    ("uri", "start"),
    [
        ("tel:+1234", "416 Unsupported URI Scheme"),
        ("urn:service:sos", "416 Unsupported URI Scheme"),
        ("sip:1@10.0.0.1?Subject=x", "400 Headers in the Request-URI"),
        ("sip:1@[::1", "400 Bad URI"),
        ("<sip:1@10.0.0.1>", "400 Bad URI"),
    ],
)
def test_request_uris_that_cannot_be_forwarded(home: House, uri: str, start: str) -> None:
    assert refused(home, uri=uri).start == f"SIP/2.0 {start}"


@pytest.mark.parametrize("uri", ["tel:+1234;phone-context=x", "urn:service:sos"])
def test_a_route_leads_where_the_scheme_does_not(home: House, uri: str) -> None:
    home.alice.invite("1", uri=uri, headers=(f"Route: {NEXT}",))
    invite = home.bob.one("INVITE")
    assert (invite.uri, invite.all("Route")) == (uri, [NEXT])


def test_within_a_dialog_they_are_refused_too(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "INFO", uri="tel:+1", routes=[OWN])
    assert home.alice.one("416")["CSeq"] == "2 INFO"
    home.alice.within(call.caller, "INFO", uri=f"{call.caller.target}?Subject=x")
    assert home.alice.one("400")["CSeq"] == "3 INFO"
    assert home.world.state() == 4
    hang_up(home, call)


@pytest.mark.parametrize("method", ["MESSAGE", "PUBLISH", "NEWMETHOD", "invite", "x%41!'~"])
def test_methods_that_it_does_not_know_are_forwarded(home: House, method: str) -> None:
    home.alice.invite("1", method=method)
    got = home.bob.one(method)
    assert got["CSeq"] == f"1 {method}"
    assert got["Record-Route"] == ""
    home.bob.reply(got, 501)
    assert home.alice.one("501")["CSeq"] == f"1 {method}"
    assert home.world.state() == 0


def test_unknown_methods_within_a_dialog_too(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "NEWMETHOD")
    home.bob.reply(home.bob.one("NEWMETHOD"), 200)
    home.alice.one("200")
    assert home.world.state() == 4
    hang_up(home, call)


# -- OPTIONS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("headers", [(), (f"Route: {OWN}",), ("Max-Forwards: 0",)])
def test_options_for_the_proxy_itself(home: House, headers: tuple[str, ...]) -> None:
    home.alice.invite("", method="OPTIONS", uri="sip:10.0.0.1:5060", headers=headers)
    answer = home.alice.one("200")
    assert answer["Allow"] == "INVITE, ACK, CANCEL, BYE, OPTIONS"
    assert answer["Accept"] == "*/*"
    assert ("Supported", "") in answer.headers
    assert answer.tag("To")


def test_options_for_somebody_are_forwarded(home: House) -> None:
    home.alice.invite("1", method="OPTIONS")
    home.bob.one("OPTIONS")


def test_options_that_may_go_no_further_are_answered_here(home: House) -> None:
    """RFC 3261 11: what a series of them finds are the hops of the path."""
    home.alice.invite("1", method="OPTIONS", headers=("Max-Forwards: 0",))
    assert home.alice.one("200")["Allow"]
    assert home.world.take() == []


# -- replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [180, 200, 404])
def test_a_reply_without_a_further_via_goes_nowhere(home: House, status: int) -> None:
    """RFC 3261 16.7 point 3; who sent it may yet send a better one."""
    home.alice.invite("1")
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    further = f"Via: {invite.all('Via')[1]}\r\n"
    lone = home.bob.reply(invite, 180).raw.replace(further.encode(), b"")
    home.alice.one("180")
    home.bob.send(lone.replace(b"SIP/2.0 180", f"SIP/2.0 {status}".encode()))
    assert home.world.take() == []
    assert home.world.proxy.counters.bad_replies == 1
    home.bob.reply(invite, 486)
    home.alice.one("486")


def test_vias_of_a_reply_may_be_on_one_line(home: House) -> None:
    home.alice.invite("1", method="OPTIONS")
    options = home.bob.one("OPTIONS")
    own, further = options.all("Via")
    lines = f"Via: {own}\r\nVia: {further}\r\n"
    for name in ("From", "To", "Call-ID", "CSeq"):
        lines += f"{name}: {options[name]}\r\n"
    one = lines.replace("\r\nVia:", ",", 1)
    home.bob.send(f"SIP/2.0 200 OK\r\n{one}\r\n".encode())
    assert home.alice.one("200").all("Via") == [further]


# -- loops, spirals and merged requests ------------------------------------------------------------


def come_back(invite: Sip, uri: str, branch: str) -> bytes:
    """What another proxy makes of a request that it sends back here."""
    start, _, rest = invite.raw.partition(b"\r\n")
    line = start.replace(invite.uri.encode(), uri.encode())
    via = f"Via: SIP/2.0/UDP 10.0.1.1:5060;branch={branch}".encode()
    return b"\r\n".join([line, via, rest.replace(b"Max-Forwards: 69", b"Max-Forwards: 68")])


def test_a_request_that_comes_back_as_it_was_has_looped(home: House) -> None:
    sent = home.alice.invite("1")
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    home.world.receive(come_back(invite, sent.uri, "z9hG4bKback"), BOB)
    assert home.bob.one("482")["CSeq"] == "1 INVITE"
    # The call knows nothing of it.
    assert len(home.world.table.find("c1")) == 1
    home.bob.reply(invite, 200)
    home.alice.one("200")
    assert home.world.state() == 5


def test_a_spiral_is_forwarded_and_stays_one_call(home: House) -> None:
    """It comes back with another Request-URI: that is no loop, and no second dialog."""
    home.alice.invite("1")
    home.alice.one("100")
    first = home.bob.one("INVITE")
    home.world.receive(come_back(first, "sip:10.0.1.2", "z9hG4bKback"), BOB)
    home.bob.one("100")
    second = home.carol.one("INVITE")
    assert home.world.view().req_uri == "sip:1@10.0.0.1:5060"
    own = [value for value in second.all("Record-Route") if "did=" in value]
    assert len(own) == 2
    assert own[0] == own[1]
    home.carol.reply(second, 200)
    through = home.bob.one("200")
    # Bob's proxy takes its own Via off.
    home.world.receive(through.raw.replace(f"Via: {through['Via']}\r\n".encode(), b"", 1), BOB)
    home.alice.one("200")
    assert home.world.state() == 5
    assert [leg.to_tag for leg in home.world.view().legs] == ["carol"]


@pytest.mark.parametrize("other", ["sip:1@10.0.0.1:5060", "sip:10.0.1.2"])
def test_the_same_request_by_two_paths(home: House, other: str) -> None:
    """An upstream fork: two branches, one Call-ID, From-tag and CSeq.

    Both are forwarded. That they meet at one phone is for the phone to say (482, 8.2.2.2); that
    they go to different ones is what forking is for. The call goes on, whichever is refused.
    """
    home.alice.invite("1")
    home.alice.one("100")
    first = home.bob.one("INVITE")
    home.alice.invite("1", uri=other)
    home.alice.one("100")
    phone = home.bob if other.startswith("sip:1@") else home.carol
    second = phone.one("INVITE")
    assert second.branch != first.branch
    (view,) = home.world.table.find("c1")
    phone.reply(second, 482, tag="merged")
    phone.one("ACK")
    home.alice.one("482")
    assert [found.h_id for found in home.world.table.find("c1")] == [view.h_id]
    home.bob.reply(first, 180)
    home.alice.one("180")
    assert home.world.state() == 2
    home.bob.reply(first, 200)
    side = home.alice.caller_side(home.alice.one("200"))
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    assert [leg.to_tag for leg in home.world.view().legs] == ["bob"]
    bye = home.bob.callee_side(first)
    home.bob.within(bye, "BYE")
    home.alice.reply(home.alice.one("BYE"), 200)
    home.bob.one("200")
    assert home.world.state() == 0


def test_a_call_by_the_second_path_works_beside_the_dialog(home: House) -> None:
    """The dialog follows the first path, which fails; nothing of the second is lost by that."""
    home.alice.invite("1")
    first = home.bob.one("INVITE")
    home.alice.invite("1", uri="sip:10.0.1.2")
    second = home.carol.one("INVITE")
    home.bob.reply(first, 486)
    home.bob.one("ACK")
    assert home.world.state() in (0, 6)
    home.alice.inbox()
    home.carol.reply(second, 200)
    side = home.alice.caller_side(home.alice.one("200"))
    home.alice.within(side, "ACK")
    home.carol.one("ACK")
    home.carol.within(home.carol.callee_side(second), "INFO")
    home.alice.reply(home.alice.one("INFO"), 200)
    home.carol.one("200")
    home.alice.within(side, "BYE")
    home.carol.reply(home.carol.one("BYE"), 200)
    home.alice.one("200")
