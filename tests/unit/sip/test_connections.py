"""Connections on loopback: what peers that mean no good can do to the listener."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Callable

import pytest
import trustme

from dlgmgmt.sip.accept import Acceptor, Census
from dlgmgmt.sip.flow import Address, Failed
from dlgmgmt.sip.framing import FramingError
from dlgmgmt.sip.settings import Listener, StreamSettings, TlsSettings
from dlgmgmt.sip.streams import StreamFlow, StreamListener
from dlgmgmt.sip.tls import TlsContexts

LIMIT = 65_536


@contextlib.asynccontextmanager
async def listening(tls: TlsContexts | None = None) -> AsyncIterator[StreamListener]:
    def receive(data: bytes, source: Address, sock: StreamListener, flow: StreamFlow) -> None:
        """Every message is answered with its copy."""
        del source, sock
        flow.send(data)

    def broken(error: FramingError, flow: StreamFlow) -> None:
        raise AssertionError(error)

    listener = StreamListener(
        Listener("tcp" if tls is None else "tls", "127.0.0.1", 0),
        65_535,
        Census(StreamSettings(max_unsent=LIMIT)),
        receive=receive,
        broken=broken,
        monotonic=time.monotonic,
        tls=tls,
    )
    listener.start(asyncio.get_running_loop())
    try:
        yield listener
    finally:
        await listener.stop()
        listener.close()


async def until(done: Callable[[], bool]) -> None:
    """Let the loop turn until it is so."""
    async with asyncio.timeout(10):
        for _ in iter(done, True):
            await asyncio.sleep(0)


@pytest.mark.parametrize("name", ["a" * 70 + ".example", ".example", "a..b"])
def test_a_name_that_no_certificate_can_show_is_a_connection_that_fails(name: str) -> None:
    async def run() -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            async with listening(TlsContexts(TlsSettings(verify_server=False))) as listener:
                told: list[bool] = []
                assert listener.flow(server.getsockname(), name).send(b"x", collected(told))
                await until(lambda: told == [False])
                assert len(listener.census) == 0

    asyncio.run(run())


def collected(told: list[bool]) -> Failed:
    def failed(*, ended: bool) -> None:
        told.append(ended)

    return failed


@pytest.mark.parametrize("secured", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_who_waits_is_told_whether_the_peer_has_closed_or_vanished(
    reset: bool,  # noqa: FBT001
    secured: bool,  # noqa: FBT001
) -> None:
    async def run() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            assert await reader.readexactly(1) == b"x"
            if reset:
                linger = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
                writer.transport.abort()
            writer.close()

        context = None
        if secured:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
        tls = TlsContexts(TlsSettings(verify_server=False)) if secured else None
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
        async with server, listening(tls) as listener:
            told: list[bool] = []
            port = server.sockets[0].getsockname()[1]
            assert listener.flow(("127.0.0.1", port)).send(b"x", collected(told))
            await until(lambda: bool(told))
            assert told == [not reset]

    asyncio.run(run())


def test_pongs_for_a_peer_that_does_not_read_have_a_limit() -> None:
    async def run() -> None:
        async with listening() as listener:
            # Accepted ones inherit it: what the system keeps does not matter here.
            listener._sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
            with socket.socket() as peer:
                peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                peer.connect(("127.0.0.1", listener.port))
                peer.setblocking(False)
                async with asyncio.timeout(20):
                    while True:
                        try:
                            peer.send(b"\r\n" * 50_000)
                        except BlockingIOError:
                            pass
                        except ConnectionError:
                            break
                        await asyncio.sleep(0)
            await until(lambda: len(listener.census) == 0)

    asyncio.run(run())


def test_a_peer_that_is_gone_costs_no_line_for_each_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    message = b"OPTIONS sip:a SIP/2.0\r\nContent-Length: 0\r\n\r\n"

    async def run() -> None:
        async with listening() as listener:
            peer = socket.create_connection(("127.0.0.1", listener.port))
            await until(lambda: len(listener.census) == 1)
            peer.sendall(message * 500)
            # With a reset, so that answers fail while the others are read.
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            peer.close()
            await until(lambda: len(listener.census) == 0)

    with caplog.at_level(logging.WARNING):
        asyncio.run(run())
    assert caplog.records == []


def test_who_connects_without_end_does_not_keep_the_loop() -> None:
    async def run() -> None:
        loop = asyncio.get_running_loop()
        with contextlib.ExitStack() as stack:
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=200))
            server.setblocking(False)
            for _ in range(100):
                stack.enter_context(socket.create_connection(server.getsockname()))
            seen = 0

            def refuse(peer: Address) -> bool:
                del peer
                nonlocal seen
                seen += 1
                return False

            acceptor = Acceptor(server, "tcp", Census(StreamSettings()), refuse, None)
            task = loop.create_task(acceptor.run(loop, lambda *_: None))
            await asyncio.sleep(0)
            # The first turn that something else has.
            first = seen
            await until(lambda: seen == 100)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            assert 0 < first < 50

    asyncio.run(run())


def test_a_peer_that_connects_again_takes_its_alias_with_it() -> None:
    """What it has lost may look open from here; and nobody else can take the name."""
    name = "127.0.0.1", 5099

    async def run() -> None:
        async with listening() as listener:
            listener.alias_policy = "all"
            with contextlib.ExitStack() as stack:
                to = "127.0.0.1", listener.port
                for host in ("127.0.0.1", "127.0.0.1", "127.0.0.2"):
                    stack.enter_context(socket.create_connection(to, source_address=(host, 0)))
                await until(lambda: [each.open for each in listener._alive] == [True] * 3)
                old, new, other = listener._alive
                listener.alias(old, name, "peer.example")
                assert listener.connection(name, "") is old
                listener.alias(new, name, "peer.example")
                assert listener.connection(name, "") is new
                listener.alias(other, name, "peer.example")
                assert listener.connection(name, "") is new
                old.abort()
                await until(lambda: old not in listener._alive)
                assert listener.connection(name, "") is new

    asyncio.run(run())
