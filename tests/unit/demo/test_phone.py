"""Two phones call each other directly over loopback, and a scripted peer ends their calls."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pytest
import pytest_asyncio

from dlgmgmt.demo.call import Call, Stage
from dlgmgmt.demo.message import Message, parse, tag, uri_of
from dlgmgmt.demo.phone import MAX_CALLS, OnCall, Phone
from dlgmgmt.demo.transaction import Timers

Address = tuple[str, int]
MakePhone = Callable[..., Awaitable[Phone]]
T = TypeVar("T")

FAST = Timers(t1=0.02, t2=0.08, t4=0.1)
CRLF = "\r\n"


async def soon(waited: Awaitable[T]) -> T:
    async with asyncio.timeout(5):
        return await waited


class Incoming:
    """Keeps the calls that come in, and does with them what the test says."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[Call] = asyncio.Queue()

    async def __call__(self, call: Call) -> None:
        self.calls.put_nowait(call)
        await call.ended.wait()

    async def next(self) -> Call:
        return await soon(self.calls.get())


@pytest_asyncio.fixture
async def make() -> AsyncIterator[MakePhone]:
    phones: list[Phone] = []

    async def start(
        user: str, proxy: Address, on_call: OnCall | None = None, timers: Timers = FAST
    ) -> Phone:
        phone = Phone(
            user,
            proxy,
            rng=random.Random(user),
            logger=logging.getLogger("demo"),
            on_call=on_call,
            timers=timers,
        )
        phones.append(phone)
        await phone.start()
        return phone

    yield start
    for phone in phones:
        phone.close()


class Peer(asyncio.DatagramProtocol):
    """Speaks SIP as the test writes it, to see and do what a proxy or a broken peer does."""

    def __init__(self) -> None:
        self.inbox: asyncio.Queue[tuple[Message, Address]] = asyncio.Queue()
        self.address: Address = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", 0)
        )
        self.address = self._transport.get_extra_info("sockname")

    def datagram_received(self, data: bytes, addr: Address) -> None:
        self.inbox.put_nowait((parse(data), addr))

    def send(self, text: str | bytes, to: Address) -> None:
        assert self._transport is not None
        self._transport.sendto(text if isinstance(text, bytes) else text.encode(), to)

    async def expect(self, method: str, status: int = 0) -> Message:
        """The next message of that kind; others (retransmissions, 180) are passed over."""
        while True:
            message, _ = await soon(self.inbox.get())
            if (message.method, message.status) == (method, status):
                return message

    def reply(self, request: Message, status: str, to: Address, *extra: str) -> None:
        to_value = request.get("to")
        if not tag(to_value):
            to_value += ";tag=peer"
        self.send(
            CRLF.join(
                [
                    f"SIP/2.0 {status}",
                    f"Via: {request.via}",
                    f"From: {request.get('from')}",
                    f"To: {to_value}",
                    f"Call-ID: {request.get('call-id')}",
                    f"CSeq: {request.get('cseq')}",
                    *extra,
                    "",
                    "",
                ]
            ),
            to,
        )

    def request(self, method: str, where: Address, /, *extra: str, **fields: object) -> None:
        values = {
            "branch": "z9hG4bKpeer1",
            "from": "<sip:mallory@demo.invalid>;tag=m",
            "to": "<sip:bob@demo.invalid>",
            "callid": "peer-call",
            "cseq": 1,
            "via": f"{self.address[0]}:{self.address[1]}",
        } | fields
        self.send(
            CRLF.join(
                [
                    f"{method} sip:x@127.0.0.1 SIP/2.0",
                    f"Via: SIP/2.0/UDP {values['via']};branch={values['branch']}",
                    f"From: {values['from']}",
                    f"To: {values['to']}",
                    f"Call-ID: {values['callid']}",
                    f"CSeq: {values['cseq']} {method}",
                    *extra,
                    "",
                    "",
                ]
            ),
            where,
        )

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


@pytest_asyncio.fixture
async def peer() -> AsyncIterator[Peer]:
    started = Peer()
    await started.start()
    yield started
    started.close()


async def talking(make: MakePhone) -> tuple[Call, Call]:
    """A call that alice placed to bob and bob answered: her side, his side."""
    incoming = Incoming()
    bob = await make("bob", ("127.0.0.1", 9), incoming)
    alice = await make("alice", bob.address)
    placed = alice.call("sip:bob@demo.invalid")
    taken = await incoming.next()
    taken.ring()
    await soon(placed.rang.wait())
    taken.answer()
    await soon(placed.answered.wait())
    await soon(taken.acked.wait())
    return placed, taken


async def test_a_call_is_answered_and_the_caller_hangs_up(make: MakePhone) -> None:
    placed, taken = await talking(make)
    assert placed.remote_tag == taken.local_tag
    placed.hang_up()
    await soon(taken.ended.wait())
    assert taken.end_reason == "hung up by peer"
    assert placed.end_reason == "hung up"
    assert not taken.by_network
    await soon(placed.phone.settled())
    assert not placed.phone.calls
    assert not taken.phone.calls


async def test_the_callee_hangs_up(make: MakePhone) -> None:
    placed, taken = await talking(make)
    taken.hang_up()
    await soon(placed.ended.wait())
    assert placed.end_reason == "hung up by peer"


async def test_both_hang_up_at_once(make: MakePhone) -> None:
    placed, taken = await talking(make)
    placed.hang_up()
    taken.hang_up()
    await soon(placed.phone.settled())
    await soon(taken.phone.settled())
    assert placed.stage is taken.stage is Stage.ENDED


async def test_hold_and_resume_from_both_sides(make: MakePhone) -> None:
    placed, taken = await talking(make)
    assert await soon(placed.hold()) == 200
    assert taken.remote_direction == "sendonly"
    await soon(taken.acked.wait())
    assert await soon(placed.resume()) == 200
    assert taken.remote_direction == "sendrecv"
    await soon(taken.acked.wait())
    assert await soon(taken.hold()) == 200
    assert placed.remote_direction == "sendonly"


async def test_reinvites_that_cross_are_refused_and_the_call_goes_on(make: MakePhone) -> None:
    placed, taken = await talking(make)
    answers = await soon(asyncio.gather(placed.hold(), taken.hold()))
    assert list(answers) == [491, 491]
    assert placed.stage is taken.stage is Stage.UP


async def test_a_ringing_call_is_cancelled(make: MakePhone) -> None:
    incoming = Incoming()
    bob = await make("bob", ("127.0.0.1", 9), incoming)
    alice = await make("alice", bob.address)
    placed = alice.call("sip:bob@demo.invalid")
    taken = await incoming.next()
    taken.ring()
    await soon(placed.rang.wait())
    placed.hang_up()
    await soon(placed.ended.wait())
    await soon(taken.ended.wait())
    assert placed.end_reason == taken.end_reason == "cancelled"
    assert not taken.by_network


async def test_a_cancel_that_the_answer_overtakes_ends_in_a_bye(
    make: MakePhone, peer: Peer
) -> None:
    alice = await make("alice", peer.address)
    placed = alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    peer.reply(invite, "180 Ringing", alice.address)
    await soon(placed.rang.wait())
    placed.hang_up()
    await peer.expect("CANCEL")
    host, port = peer.address
    peer.reply(invite, "200 OK", alice.address, f"Contact: <sip:p@{host}:{port}>")
    await peer.expect("ACK")
    bye = await peer.expect("BYE")
    assert bye.cseq == invite.cseq + 1


async def test_no_cancel_before_a_provisional_response(make: MakePhone, peer: Peer) -> None:
    alice = await make("alice", peer.address)
    placed = alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    placed.hang_up()
    again, _ = await soon(peer.inbox.get())
    assert again.method == "INVITE"
    peer.reply(invite, "100 Trying", alice.address)
    cancel = await peer.expect("CANCEL")
    assert cancel.branch == invite.branch
    assert cancel.cseq == invite.cseq


async def test_a_busy_phone(make: MakePhone) -> None:
    incoming = Incoming()
    bob = await make("bob", ("127.0.0.1", 9), incoming)
    alice = await make("alice", bob.address)
    placed = alice.call("sip:bob@demo.invalid")
    (await incoming.next()).reject()
    await soon(placed.ended.wait())
    assert placed.end_reason == "486 Busy Here"
    assert not placed.by_network


async def test_nobody_there(make: MakePhone) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        alice = await make("alice", silent.getsockname())
        placed = alice.call("sip:bob@demo.invalid")
        await soon(placed.ended.wait())
    assert placed.end_reason == "408 no answer"


async def test_a_kill_of_a_call_that_is_up_is_told_at_both_phones(
    make: MakePhone, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    placed, taken = await talking(make)
    reason = 'Reason: SIP;cause=200;text="mi_terminated"'
    for call, branch in ((placed, "z9hG4bKk1"), (taken, "z9hG4bKk2")):
        peer.request(
            "BYE",
            call.phone.address,
            reason,
            branch=branch,
            callid=call.callid,
            to=call.local,
            cseq=call.remote_cseq + 1,
            **{"from": call.remote},
        )
        await peer.expect("BYE", 200)
        await soon(call.ended.wait())
        assert call.by_network
    warned = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert warned == [
        'alice: call to bob hung up by network: SIP;cause=200;text="mi_terminated"',
        'bob: call from alice hung up by network: SIP;cause=200;text="mi_terminated"',
    ]


async def test_a_kill_of_a_ringing_call_is_488_and_cancel(make: MakePhone, peer: Peer) -> None:
    incoming = Incoming()
    bob = await make("bob", peer.address, incoming)
    alice = await make("alice", peer.address)
    placed = alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    peer.reply(invite, "180 Ringing", alice.address)
    peer.reply(invite, "488 mi_terminated", alice.address)
    ack = await peer.expect("ACK")
    assert ack.branch == invite.branch
    await soon(placed.ended.wait())
    assert placed.by_network
    assert placed.end_reason == "488 mi_terminated"

    peer.request("INVITE", bob.address)
    (await incoming.next()).ring()
    await peer.expect("INVITE", 180)
    peer.request("CANCEL", bob.address, "Reason: SIP;cause=488")
    await peer.expect("CANCEL", 200)
    final = await peer.expect("INVITE", 487)
    # Repeated until it is acknowledged.
    await peer.expect("INVITE", 487)
    peer.request("ACK", bob.address, to=final.get("to"))


async def test_the_route_set_is_followed(make: MakePhone, peer: Peer) -> None:
    alice = await make("alice", peer.address)
    placed = alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    host, port = peer.address
    first, second = "<sip:192.0.2.1;lr;did=c2f.fee2>", f"<sip:{host}:{port};lr>"
    peer.reply(
        invite,
        "200 OK",
        alice.address,
        f"Record-Route: {first}, {second}",
        "Contact: <sip:bob@192.0.2.7:5066>",
    )
    ack = await peer.expect("ACK")
    assert ack.all("route") == [second, first]
    assert ack.uri == "sip:bob@192.0.2.7:5066"
    assert ack.cseq == invite.cseq
    assert ack.branch != invite.branch
    peer.reply(invite, "200 OK", alice.address)
    assert (await peer.expect("ACK")).branch == ack.branch
    placed.hang_up()
    bye = await peer.expect("BYE")
    assert bye.all("route") == [second, first]
    assert (bye.uri, bye.cseq) == ("sip:bob@192.0.2.7:5066", invite.cseq + 1)


async def test_a_strict_router_gets_the_request_uri(make: MakePhone, peer: Peer) -> None:
    alice = await make("alice", peer.address)
    alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    host, port = peer.address
    strict = f"<sip:{host}:{port}>"
    peer.reply(
        invite,
        "200 OK",
        alice.address,
        f"Record-Route: {strict}",
        "Contact: <sip:bob@192.0.2.7:5066>",
    )
    ack = await peer.expect("ACK")
    assert ack.uri == uri_of(strict)
    assert ack.all("route") == ["<sip:bob@192.0.2.7:5066>"]


async def test_a_second_answer_of_a_fork_is_acknowledged_and_ended(
    make: MakePhone, peer: Peer
) -> None:
    alice = await make("alice", peer.address)
    placed = alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    host, port = peer.address
    contact = f"Contact: <sip:p@{host}:{port}>"
    peer.reply(invite, "200 OK", alice.address, contact)
    await peer.expect("ACK")
    other = invite
    other.headers = [
        (name, value + ";tag=other" if name == "to" else value) for name, value in invite.headers
    ]
    peer.reply(other, "200 OK", alice.address, contact)
    assert tag((await peer.expect("ACK")).get("to")) == "other"
    assert tag((await peer.expect("BYE")).get("to")) == "other"
    assert placed.stage is Stage.UP


async def test_an_answer_is_repeated_and_the_call_ended_when_no_ack_comes(
    make: MakePhone, peer: Peer
) -> None:
    incoming = Incoming()
    bob = await make("bob", peer.address, incoming)
    host, port = peer.address
    peer.request("INVITE", bob.address, f"Contact: <sip:m@{host}:{port}>")
    taken = await incoming.next()
    taken.answer()
    await peer.expect("INVITE", 200)
    await peer.expect("INVITE", 200)
    taken.hang_up()
    assert taken.stage is Stage.UP
    bye = await peer.expect("BYE")
    assert bye.uri == f"sip:m@{host}:{port}"


async def test_a_repeated_invite_is_one_call_with_one_tag(make: MakePhone, peer: Peer) -> None:
    incoming = Incoming()
    bob = await make("bob", peer.address, incoming)
    peer.request("INVITE", bob.address)
    (await incoming.next()).ring()
    first = await peer.expect("INVITE", 180)
    peer.request("INVITE", bob.address)
    assert (await peer.expect("INVITE", 180)).get("to") == first.get("to")
    assert len(bob.calls) == 1


@pytest.mark.parametrize(
    ("method", "to", "status"),
    [
        ("BYE", "<sip:bob@demo.invalid>;tag=nothing", 481),
        ("BYE", "<sip:bob@demo.invalid>", 481),
        ("CANCEL", "<sip:bob@demo.invalid>", 481),
        ("OPTIONS", "<sip:bob@demo.invalid>", 200),
        ("PUBLISH", "<sip:bob@demo.invalid>", 405),
        ("INVITE", "<sip:bob@demo.invalid>", 480),
    ],
)
async def test_requests_that_belong_to_no_call(
    make: MakePhone, peer: Peer, method: str, to: str, status: int
) -> None:
    bob = await make("bob", peer.address)
    peer.request(method, bob.address, to=to)
    await peer.expect(method, status)


async def test_a_required_extension_is_refused(make: MakePhone, peer: Peer) -> None:
    bob = await make("bob", peer.address, Incoming())
    peer.request("INVITE", bob.address, "Require: 100rel, timer")
    assert (await peer.expect("INVITE", 420)).get("unsupported") == "100rel, timer"


async def test_calls_at_once_are_limited(make: MakePhone, peer: Peer) -> None:
    bob = await make("bob", peer.address, Incoming())
    for number in range(MAX_CALLS + 1):
        peer.request("INVITE", bob.address, branch=f"z9hG4bK{number}", callid=f"c{number}")
    refused = await peer.expect("INVITE", 486)
    assert refused.get("call-id") == f"c{MAX_CALLS}"
    assert len(bob.calls) == MAX_CALLS


async def test_garbage_is_counted_and_logged_once_and_the_phone_goes_on(
    make: MakePhone, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    bob = await make("bob", peer.address)
    rng = random.Random(1)
    garbage = [b"\r\n\r\n", b"x", b"INVITE\r\n\r\n", b"SIP/2.0 99 x\r\nVia: a\r\n\r\n"]
    garbage += [rng.randbytes(rng.randrange(1, 600)) + b"\r\n\r\n" for _ in range(30)]
    for data in garbage:
        peer.send(data, bob.address)
    peer.request("OPTIONS", bob.address)
    await peer.expect("OPTIONS", 200)
    assert bob.malformed >= 30
    assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == 1


async def test_text_from_the_network_cannot_steer_a_terminal(
    make: MakePhone, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    bob = await make("bob", peer.address, Incoming())
    peer.request("INVITE", bob.address, **{"from": "<sip:a\x1b[2Jb@demo.invalid>;tag=m"})
    alice = await make("alice", peer.address)
    placed = alice.call("sip:bob@demo.invalid")
    invite = await peer.expect("INVITE")
    peer.reply(invite, "603 No\x1b]0;owned\x07", alice.address)
    await soon(placed.ended.wait())
    assert caplog.records
    assert not any("\x1b" in record.getMessage() for record in caplog.records)
