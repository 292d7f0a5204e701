"""BINRPC: what is too large, too slow, too many, or never ends."""

from __future__ import annotations

import asyncio
import socket

import pytest

from dlgmgmt.interfaces.binrpc_codec import FAULT
from tests.binrpc import call, request
from tests.unit.interfaces.binrpc_doors import KINDS, STREAMS, VERSION, Open, eventually

PAGING = "use dlg.query with limit and cursor"


@pytest.mark.parametrize("kind", KINDS)
async def test_a_result_beyond_the_limit_is_refused_with_the_way_to_page(
    doors: Open, kind: str
) -> None:
    async with doors(calls=20, max_reply=4096) as open_doors:
        client = await open_doors.client(kind)
        await client.send(call("dlg.list", cookie=3))
        fault, cookie, (code, text) = await client.receive()
        assert (fault, cookie, code) == (FAULT, 3, 500)
        assert text == f"the result is more than the 4096 bytes that this door carries: {PAGING}"
        assert open_doors.counter("too_large") == 1
        await client.send(call("core.version"))
        assert await client.receive() == VERSION


@pytest.mark.parametrize("kind", KINDS)
async def test_a_reply_may_be_as_large_as_its_door(doors: Open, kind: str) -> None:
    """As many calls as fit; one more, and the fault says how much would have been carried."""
    limit = 65_507 if kind == "udp" else 131_072
    async with doors() as open_doors:
        client = await open_doors.client(kind)
        count = 0
        while True:
            open_doors.house.invite(f"call-{count:05}@ref", f"uac-{count:05}")
            await client.send(call("dlg.list"))
            found, _, values = await client.receive()
            if found == FAULT:
                break
            count += 1
            assert len(values) == count
            if count == 1:
                # From here on, most of the way at once.
                one = len(request(b"")) + 700
                for _ in range(limit // one - 30):
                    open_doors.house.invite(f"call-{count:05}@ref", f"uac-{count:05}")
                    count += 1
        assert f"the {limit} bytes that this door carries" in str(values[1])
        assert count > limit // 1000


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_slow_reader_is_cut_off_and_holds_up_nobody(doors: Open, kind: str) -> None:
    async with doors(calls=100, write_deadline=0.3) as open_doors:
        slow, other = await open_doors.stream(kind), await open_doors.stream(kind)
        slow.writer.transport.pause_reading()
        for _ in range(200):
            slow.writer.write(call("dlg.list"))
        for _ in range(20):
            await other.send(call("core.version"))
            assert await other.receive() == VERSION
        await eventually(lambda: open_doors.counter("slow_readers") == 1)
        await eventually(lambda: open_doors.counter("connections") == 1)


async def test_a_receiver_with_a_full_queue_is_given_up(doors: Open) -> None:
    async with doors(
        calls=20, max_reply=20_000, write_deadline=0.3, max_connections=5
    ) as open_doors:
        deaf, other = await open_doors.client("unixd"), await open_doors.client("unixd")
        for _ in range(400):
            await deaf.send(call("dlg.list"))
        # No more than five answers wait for it; what it asks besides is refused.
        await eventually(lambda: open_doors.counter("slow_readers") >= 5)
        assert open_doors.counter("refused") > 0
        deaf.close()
        async with asyncio.timeout(10):
            answer = None
            while answer != VERSION:
                await other.send(call("core.version"))
                answer = await other.receive()


@pytest.mark.parametrize("kind", STREAMS)
async def test_a_request_that_stops_in_the_middle_is_given_up(doors: Open, kind: str) -> None:
    async with doors(request_deadline=0.2) as open_doors:
        client = await open_doors.stream(kind)
        await client.send(call("core.version", cookie=8)[:-3])
        assert await client.receive() == (
            FAULT, 8, [400, "bad request: the rest of it did not come in time"],
        )  # fmt: skip
        client.writer.write_eof()
        await client.closed()


async def test_drops_of_a_request_do_not_prolong_its_time(doors: Open) -> None:
    async with doors(request_deadline=0.3) as open_doors:
        client = await open_doors.stream()
        began = asyncio.get_running_loop().time()
        answer = asyncio.ensure_future(client.receive())
        for byte in call("core.version", "x" * 200):
            if answer.done():
                break
            client.writer.write(bytes([byte]))
            await asyncio.sleep(0.02)
        assert (await answer)[0] == FAULT
        assert asyncio.get_running_loop().time() - began < 3


async def test_a_request_whose_end_never_comes_is_answered(doors: Open) -> None:
    async with doors() as open_doors:
        client = await open_doors.stream()
        await client.send(call("core.version") + call("core.version", cookie=8)[:-3])
        client.writer.write_eof()
        assert await client.receive() == VERSION
        assert await client.receive() == (
            FAULT, 8, [400, "bad request: the rest of it is missing"],
        )  # fmt: skip
        await client.closed()


async def test_an_idle_connection_is_closed_without_a_word(doors: Open) -> None:
    async with doors(idle_timeout=0.2) as open_doors:
        client = await open_doors.stream()
        await client.send(call("core.version"))
        assert await client.receive() == VERSION
        await client.closed()
        await eventually(lambda: open_doors.counter("connections") == 0)


@pytest.mark.parametrize("kind", STREAMS)
async def test_too_many_connections(doors: Open, kind: str) -> None:
    async with doors(max_connections=2) as open_doors:
        first, second = await open_doors.stream(), await open_doors.stream("tcp")
        for client in (first, second):
            await client.send(call("core.version"))
            assert await client.receive() == VERSION
        third = await open_doors.stream(kind)
        await third.send(call("core.version", cookie=77))
        assert await third.receive() == (FAULT, 77, [503, "too many connections"])
        third.writer.write_eof()
        await third.closed()
        assert open_doors.counter("refused") == 1
        first.close()
        await eventually(lambda: open_doors.counter("connections") == 1)
        fourth = await open_doors.stream(kind)
        await fourth.send(call("core.version"))
        assert await fourth.receive() == VERSION


async def test_one_client_cannot_take_all_connections(doors: Open) -> None:
    async with doors(max_connections=8, max_connections_per_peer=2) as open_doors:
        for _ in range(2):
            client = await open_doors.stream("tcp")
            await client.send(call("core.version"))
            assert await client.receive() == VERSION
        third = await open_doors.stream("tcp")
        await third.send(call("core.version", cookie=77))
        assert await third.receive() == (FAULT, 77, [503, "too many connections"])
        # This process is another client than the address 127.0.0.1.
        other = await open_doors.stream("unixs")
        await other.send(call("core.version"))
        assert await other.receive() == VERSION


async def test_a_datagram_without_a_sender_changes_nothing(doors: Open) -> None:
    async with doors(calls=1) as open_doors:
        (dialog,) = [view for batch in open_doors.house.table.iter_views() for view in batch]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(
                call("dlg.end_dlg", dialog.h_entry, dialog.h_id), open_doors.at["unixd"].path
            )
        client = await open_doors.client("unixd")
        await client.send(call("core.version"))
        assert await client.receive() == VERSION
        assert open_doors.counter("requests") == 1
        assert open_doors.house.terminator.ordered == []


async def test_a_dialog_whose_callid_is_no_utf8_is_found_by_its_bytes(doors: Open) -> None:
    async with doors() as open_doors:
        name = b"caf\xe9@ref".decode("utf-8", "surrogateescape")
        open_doors.house.invite(name)
        client = await open_doors.stream()
        await client.send(call("dlg.dlg_list", name))
        (dialog,) = (await client.receive())[2]
        assert dialog["call-id"] == name
