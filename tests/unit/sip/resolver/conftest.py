"""Fixtures of the tests that ask a DNS server."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.unit.sip.resolver.server import Server, World


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    """On one port for UDP and TCP, which is bound and refuses connections."""
    loop = asyncio.get_running_loop()
    with contextlib.ExitStack() as sockets:
        while True:
            tcp = sockets.enter_context(socket.socket(socket.AF_INET, socket.SOCK_STREAM))
            tcp.bind(("127.0.0.1", 0))
            with contextlib.suppress(OSError):  # taken for UDP
                transport, protocol = await loop.create_datagram_endpoint(
                    functools.partial(Server, tcp), local_addr=tcp.getsockname()
                )
                break
        yield protocol
        transport.close()


@pytest.fixture
async def world(server: Server, tmp_path: Path) -> AsyncIterator[World]:
    world = World(server, tmp_path)
    yield world
    world.resolver.close()
    await asyncio.sleep(0)


@pytest.fixture
def domain(server: Server) -> Server:
    server.has(
        "phones.example",
        "NAPTR",
        '20 10 "S" "SIP+D2T" "" _sip._tcp.phones.example.',
        '10 10 "s" "SIP+D2U" "" _SIP._udp.Phones.example.',
    )
    server.has(
        "_sip._udp.phones.example",
        "SRV",
        "20 0 5070 b.phones.example.",
        "10 0 5060 A.phones.example.",
    )
    server.has("_sip._tcp.phones.example", "SRV", "10 0 5060 a.phones.example.")
    server.has("a.phones.example", "A", "127.0.0.2")
    server.has("a.phones.example", "AAAA", "::1")
    server.has("b.phones.example", "A", "127.0.0.3")
    return server
