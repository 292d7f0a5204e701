"""The whole demo, with a few lines of stateless forwarding in place of the proxy."""

from __future__ import annotations

import asyncio
import logging
import random

import pytest

from dlgmgmt.demo import Demo
from dlgmgmt.demo.scripts import GROUPS, LINES
from dlgmgmt.demo.transaction import Timers

Address = tuple[str, int]
FAST = Timers(t1=0.05, t2=0.2, t4=0.2)


class Forwarder(asyncio.DatagramProtocol):
    """Sends INVITEs and their CANCEL and ACK to the first target of the user's route."""

    def __init__(self) -> None:
        self.targets: dict[str, Address] = {}
        self.transport: asyncio.DatagramTransport | None = None
        self._callers: dict[bytes, Address] = {}

    def datagram_received(self, data: bytes, addr: Address) -> None:
        assert self.transport is not None
        branch = data.partition(b"branch=")[2].partition(b"\r\n")[0]
        if data.startswith(b"SIP/2.0"):
            self.transport.sendto(data, self._callers[branch])
            return
        self._callers[branch] = addr
        user = data.partition(b"sip:")[2].partition(b"@")[0].decode()
        self.transport.sendto(data, self.targets[user])


def test_routes_lead_to_every_phone_and_fork_to_a_group() -> None:
    demo = Demo(("127.0.0.1", 5060), rng=random.Random(1), logger=logging.getLogger("demo"))
    bound = demo.bind()
    routes = {route.user_prefix: route for route in demo.routes()}
    try:
        for user, (host, port) in bound.items():
            assert host == "127.0.0.1"
            assert routes[user].targets == (f"sip:{host}:{port}",)
        for group, users in GROUPS.items():
            assert len(routes[group].targets) == len(users) == 2
            assert routes[group].fork == "parallel"
        assert {line.callee for line in LINES} <= set(routes)
        # A prefix that is the start of another one would take its calls.
        names = list(routes)
        assert not any(a != b and b.startswith(a) for a in names for b in names)
        assert demo.bind() == bound
    finally:
        for phone in demo.phones.values():
            phone.close()


async def test_every_line_calls_again_and_again_and_stop_ends_the_calls(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    loop = asyncio.get_running_loop()
    transport, forwarder = await loop.create_datagram_endpoint(
        Forwarder, local_addr=("127.0.0.1", 0)
    )
    forwarder.transport = transport
    demo = Demo(
        transport.get_extra_info("sockname"),
        rng=random.Random(1),
        logger=logging.getLogger("demo"),
        pace=0.01,
        timers=FAST,
    )
    bound = demo.bind()
    forwarder.targets = bound | {group: bound[users[0]] for group, users in GROUPS.items()}
    lines = Lines(
        "alice: hangs up on bob",
        "alice: puts bob on hold",
        "bob: taken off hold by alice",
        "carol: dave hung up",
        "judy: puts erin on hold",
        "carol: call to frank cancelled",
        "frank: carol stopped calling",
        "erin: call to ivan failed: 486 Busy Here",
        "alice: hangs up on sales",
    )
    logging.getLogger("demo").addHandler(lines)
    try:
        targets = await demo.start()
        assert sorted(targets) == sorted(bound.values())
        async with asyncio.timeout(20):
            await lines.complete.wait()
    finally:
        logging.getLogger("demo").removeHandler(lines)
        await demo.stop()
        transport.close()
    assert not [call for phone in demo.phones.values() for call in phone.calls if call.outgoing]
    assert not [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


class Lines(logging.Handler):
    """Waits until each of some lines has been logged twice."""

    def __init__(self, *wanted: str) -> None:
        super().__init__()
        self.complete = asyncio.Event()
        self._missing = dict.fromkeys(wanted, 2)

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line in self._missing:
            self._missing[line] -= 1
        if all(count <= 0 for count in self._missing.values()):
            self.complete.set()
