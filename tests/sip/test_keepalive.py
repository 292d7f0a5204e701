"""OPTIONS within real calls: a phone that has gone silent is found, a healthy one left alone."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from .harness.daemon import Daemon
from .harness.message import Message
from .harness.peer import SDP, Callee, Caller, Leg, Peer, response
from .harness.phones import Call, Phones

# 64*T1 is how long an OPTIONS is waited for.
T1 = 0.04


@pytest.fixture(scope="module")
def guarded(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(
        sip={"t1": T1, "t4": 0.2},
        ims={"ka_timer": 1, "ka_interval": 1, "ka_failed_limit": 2, "ka_sides": "both"},
    )


def attend(
    seconds: float, *phones: Peer, until: Callable[[], bool] = lambda: False
) -> dict[int, list[Message]]:
    """The phones answer every request, for some time or ``until``; the requests, by port."""
    got: dict[int, list[Message]] = {phone.port: [] for phone in phones}
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        for phone in phones:
            phone.pump(0.02)
            for message in [m for m in phone.pending if not m.status and m.method != "ACK"]:
                phone.pending.remove(message)
                got[phone.port].append(message)
                phone.send(response(message, 200))
    return got


def byed(phone: Peer) -> Callable[[], bool]:
    return lambda: any(message.method == "BYE" for message in phone.seen)


def of(messages: list[Message], method: str) -> list[Message]:
    return [message for message in messages if message.method == method]


def exchange(leg: Leg, method: str, other: Peer) -> Message:
    """A request that ``other`` answers, as it arrived there; its reply has the own number."""
    leg.request(method, body=SDP if method == "INVITE" else b"")
    arrived = other.expect(method)
    other.send(response(arrived, 200, contact=True, peer=other))
    leg.peer.expect(200, method, where=lambda m: m.cseq == leg.cseq)
    if method == "INVITE":
        leg.request("ACK", cseq=leg.cseq)
        assert other.expect("ACK").cseq == arrived.cseq
    return arrived


def silent(call: Call, who: str) -> tuple[Caller | Callee, Caller | Callee]:
    phones = call.caller, call.callee
    return phones if who == "caller" else (call.callee, call.caller)


@pytest.mark.parametrize("who", ["caller", "callee"])
def test_a_silent_phone_ends_the_call(guarded: Daemon, phones: Phones, who: str) -> None:
    call = phones.talk(guarded)
    gone, other = silent(call, who)
    got = attend(30, other, until=byed(other))[other.port]
    attend(0.3, other)
    (bye,) = of(got, "BYE") or of(other.seen, "BYE")
    assert 'text="keepalive_failed"' in bye.get("Reason")
    options = of(got, "OPTIONS")
    # It was asked as well, and its answers were heard: only the other one has failed.
    assert len(options) >= 2
    numbers = [message.cseq for message in [*options, bye]]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    # The silent one is sent a BYE too, in case that it only does not know OPTIONS.
    last = gone.expect("BYE", timeout=5)
    assert 'text="keepalive_failed"' in last.get("Reason")
    gone.drain()
    assert len(of(gone.seen, "OPTIONS")) == 2
    guarded.wait_ended(phones.callid)
    guarded.wait_gone(phones.callid, 10)


def test_phones_that_answer_keep_their_call(guarded: Daemon, phones: Phones) -> None:
    call = phones.talk(guarded)
    got = attend(6, call.caller, call.callee)
    for port, messages in got.items():
        assert {message.method for message in messages} == {"OPTIONS"}, port
        assert len(messages) >= 3
        assert len({message.cseq for message in messages}) == len(messages)
    assert guarded.wait_state(phones.callid, 4).callid == phones.callid
    # What the phones send now does not collide with the numbers that were used in their name.
    used = max(message.cseq for message in got[call.callee.port])
    update = exchange(call.a, "UPDATE", call.callee)
    assert update.cseq > used
    assert call.a.cseq < used
    invite = exchange(call.b, "INVITE", call.caller)
    assert invite.cseq > max(message.cseq for message in got[call.caller.port])
    exchange(call.a, "BYE", call.callee)
    guarded.wait_ended(phones.callid)


def test_a_phone_that_does_not_know_the_call_ends_it(guarded: Daemon, phones: Phones) -> None:
    call = phones.talk(guarded)
    for _ in range(2):
        call.callee.send(response(call.callee.expect("OPTIONS"), 481))
    bye = call.callee.expect("BYE")
    call.callee.send(response(bye, 481))
    attend(5, call.caller, until=byed(call.caller))
    attend(0.3, call.caller)
    guarded.wait_gone(phones.callid, 10)
