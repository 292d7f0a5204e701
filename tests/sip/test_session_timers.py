"""Session timers (RFC 4028) on the wire: a session of three seconds, and one of grace."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.peer import SDP, Leg, Peer, response
from tests.sip.harness.phones import Call, Phones

SHORT = [("Require", "timer"), ("Session-Expires", "3;refresher=uac")]


@pytest.fixture(scope="module")
def quick(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(sip={"t1": 0.1, "t4": 0.5})


def talk(daemon: Daemon, phones: Phones) -> Call:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(
        f"sip:bob@{callee.hostport}",
        headers=[("Supported", "timer"), ("Session-Expires", "3"), ("Min-SE", "90")],
    )
    invite = callee.take()
    assert (invite.get("Session-Expires"), invite.get("Min-SE")) == ("3", "90")
    callee.answer(headers=SHORT)
    ok = caller.expect(200, "INVITE")
    assert ok.get("Session-Expires") == "3;refresher=uac"
    a = caller.ack(ok)
    callee.expect("ACK")
    return Call(caller, callee, a, callee.leg())


def refresh(leg: Leg, method: str, other: Peer) -> None:
    leg.request(method, headers=[("Session-Expires", "3")], body=SDP if method == "INVITE" else b"")
    request = other.expect(method)
    other.send(response(request, 200, contact=True, peer=other, headers=SHORT))
    leg.peer.expect(200, method, where=lambda m: m.cseq == request.cseq)
    if method == "INVITE":
        leg.request("ACK", cseq=request.cseq)
        other.expect("ACK")


def test_both_are_hung_up_when_the_session_is_over(quick: Daemon, phones: Phones) -> None:
    call = talk(quick, phones)
    begun = time.monotonic()
    for phone in (call.caller, call.callee):
        bye = phone.expect("BYE", timeout=8.0)
        assert 'text="session_expired"' in bye.get("Reason")
        phone.send(response(bye, 200))
    assert 3.9 <= time.monotonic() - begun < 5.5
    quick.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


def test_refreshes_by_both_sides_keep_the_call(quick: Daemon, phones: Phones) -> None:
    call = talk(quick, phones)
    for leg, other, method in (
        (call.a, call.callee, "UPDATE"),
        (call.b, call.caller, "INVITE"),
        (call.a, call.callee, "INVITE"),
    ):
        time.sleep(2.5)
        refresh(leg, method, other)
    assert quick.wait_state(phones.callid, 4).state == 4
    call.caller.nothing_more()
    call.callee.nothing_more()
    call.hang_up()
    quick.wait_ended(phones.callid)


def test_422_passes_and_the_call_is_tried_again(quick: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(quick), phones.callee(quick)
    caller.invite(f"sip:bob@{callee.hostport}", headers=[("Session-Expires", "3")])
    callee.take()
    callee.refuse(422, headers=[("Min-SE", "90")])
    callee.expect("ACK")
    refusal = caller.expect(422)
    assert refusal.get("Min-SE") == "90"
    caller.ack_failure(refusal)
    quick.wait_ended(phones.callid)
