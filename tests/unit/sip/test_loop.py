"""The loop whose selector reads the UDP sockets itself."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from dlgmgmt.sip.loop import ROUNDS, DirectSelector, new_loop

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        ours.setblocking(False)
        yield ours, theirs


def test_a_direct_reader_is_called_and_not_returned(pair: Pair) -> None:
    ours, theirs = pair
    read: list[bytes] = []
    with DirectSelector() as selector:
        selector.add_direct(ours.fileno(), lambda: read.append(ours.recv(100)))
        theirs.send(b"one")
        assert selector.select(0) == []
    assert read == [b"one"]


def test_whatever_else_is_ready_is_returned(pair: Pair) -> None:
    ours, theirs = pair
    with DirectSelector() as selector:
        key = selector.register(ours, 1, "data")
        theirs.send(b"one")
        assert selector.select(0) == [(key, 1)]


def test_a_flood_leaves_the_loop_its_turn(pair: Pair) -> None:
    ours, theirs = pair
    rounds = 0

    def never_done() -> None:
        nonlocal rounds
        rounds += 1

    with DirectSelector() as selector:
        selector.add_direct(ours.fileno(), never_done)
        theirs.send(b"stays readable")
        # Without a timeout select would wait for ever: it returns although nothing else is ready.
        assert selector.select(None) == []
    assert rounds == ROUNDS


def test_timers_and_other_threads_work_are_served_between_datagrams(pair: Pair) -> None:
    ours, theirs = pair
    happened: list[str] = []
    loop, selector = new_loop()
    selector.add_direct(ours.fileno(), lambda: happened.append(ours.recv(100).decode()))
    loop.call_soon_threadsafe(happened.append, "submitted")
    loop.call_later(0.0, theirs.send, b"datagram")
    loop.call_later(0.02, loop.stop)
    loop.run_forever()
    loop.close()
    assert happened == ["submitted", "datagram"]
    assert not selector.serving


def test_what_a_reader_leaves_for_the_loop_does_not_wait_for_a_timer(pair: Pair) -> None:
    ours, theirs = pair
    loop, selector = new_loop()
    order: list[str] = []

    async def task() -> None:
        order.append("task")
        loop.stop()

    def read() -> None:
        ours.recv(100)
        order.append("read")
        tasks.append(loop.create_task(task()))

    tasks: list[asyncio.Task[None]] = []
    selector.add_direct(ours.fileno(), read)
    loop.call_soon(theirs.send, b"datagram")
    # It would come first if the selector went on waiting.
    late = loop.call_later(5.0, order.append, "timer")
    loop.run_forever()
    late.cancel()
    loop.close()
    assert order == ["read", "task"]
