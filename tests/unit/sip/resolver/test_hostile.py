"""Name servers that fail or lie."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from dataclasses import replace

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dlgmgmt.sip import resolver as module
from dlgmgmt.sip.selection import MAX_CANDIDATES, Candidate, plan
from dlgmgmt.sip.uri import parse_uri
from tests.unit.sip.resolver.server import UDP, Server, World


async def test_a_silent_server_costs_a_bounded_time(world: World, server: Server) -> None:
    server.silent = True
    world.new(replace(world.settings, timeout=0.1))
    began = asyncio.get_running_loop().time()
    assert await world.find("sip:phones.example") == []
    assert asyncio.get_running_loop().time() - began < 1
    assert world.resolver.failures >= 1
    # That nobody answers is remembered for a moment, so that a dead server is not asked for each
    # call; and forgotten soon.
    server.silent = False
    server.has("phones.example", "A", "127.0.0.2")
    world.now += module.FAILURE_SECONDS + 1
    assert await world.find("sip:phones.example") == [("127.0.0.2", 5060)]


async def test_the_next_server_is_asked(world: World, server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        servers = (silent.getsockname(), server.address)
        world.new(replace(world.settings, servers=servers, timeout=0.05))
        server.has("host.example", "A", "127.0.0.2")
        assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]


async def test_a_server_that_is_not_there_costs_no_time(world: World, server: Server) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as gone:
        gone.bind(("127.0.0.1", 0))
        address = gone.getsockname()
    server.has("host.example", "A", "127.0.0.2")
    world.new(replace(world.settings, servers=(address, server.address), timeout=30.0))
    async with asyncio.timeout(5):
        assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]
        world.new(replace(world.settings, servers=(address,), timeout=30.0))
        assert await world.find("sip:host.example:5060") == []


async def test_a_lost_answer_is_asked_for_again(world: World, server: Server) -> None:
    world.new(replace(world.settings, timeout=0.2, attempts=5))
    server.has("host.example", "A", "127.0.0.2")
    lost: list[list[bytes]] = [[]]

    def hook(query: dns.message.Message, data: bytes) -> list[bytes] | None:
        return lost.pop() if lost else None

    server.hook = hook
    assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]
    assert len(server.asked) == 2


async def test_a_naptr_that_no_server_answers_leaves_the_rest(world: World, domain: Server) -> None:
    world.new(replace(world.settings, timeout=0.05))

    def hook(query: dns.message.Message, data: bytes) -> list[bytes] | None:
        return [] if query.question[0].rdtype == dns.rdatatype.NAPTR else None

    domain.hook = hook
    assert await world.find("sip:phones.example") == [("127.0.0.2", 5060), ("127.0.0.3", 5070)]


async def test_answers_that_are_not_to_the_question_are_ignored(
    world: World, server: Server
) -> None:
    server.has("host.example", "A", "127.0.0.2")

    def hook(query: dns.message.Message, data: bytes) -> list[bytes]:
        true = server.answer(query).to_wire()
        other = dns.message.make_query("evil.example.", "A")
        other.id = query.id
        forged = dns.message.make_response(other)
        forged.answer.append(dns.rrset.from_text("evil.example.", 60, "IN", "A", "127.6.6.6"))
        wrong_id = bytearray(true.replace(b"\x7f\x00\x00\x02", b"\x7f\x06\x06\x06"))
        wrong_id[0] ^= 0xFF
        looped = true[:12] + b"\xc0\x0c" + true[14:]
        return [
            b"",
            b"\x00",
            bytes(range(256)),
            bytes(wrong_id),
            forged.to_wire(),
            looped,
            data,
            true,
        ]

    server.hook = hook
    assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]


@pytest.mark.parametrize("rcode", [dns.rcode.SERVFAIL, dns.rcode.REFUSED, dns.rcode.YXDOMAIN])
async def test_an_error_of_the_server_ends_the_look_up(
    world: World, server: Server, rcode: dns.rcode.Rcode
) -> None:
    def hook(query: dns.message.Message, data: bytes) -> list[bytes]:
        response = dns.message.make_response(query)
        response.set_rcode(rcode)
        return [response.to_wire()]

    server.hook = hook
    assert await world.find("sip:host.example:5060") == []
    assert world.resolver.failures == 1


async def test_a_long_answer_is_read_in_part(world: World, server: Server) -> None:
    server.has("host.example", "A", *(f"127.0.{each}.1" for each in range(200)))

    def hook(query: dns.message.Message, data: bytes) -> list[bytes]:
        return [server.answer(query).to_wire(max_size=65535)]

    server.hook = hook
    assert len(await world.find("sip:host.example:5060")) == MAX_CANDIDATES


async def test_a_huge_answer_is_not_read(world: World, server: Server) -> None:
    """To read all of one would keep every call waiting."""
    world.new(replace(world.settings, timeout=0.1, attempts=1))
    server.has("host.example", "A", *(f"127.{each >> 8}.{each & 255}.1" for each in range(3000)))
    huge: list[bytes] = []

    def hook(query: dns.message.Message, data: bytes) -> list[bytes]:
        huge[:] = huge or [server.answer(query).to_wire(max_size=65535)]
        return [data[:2] + huge[0][2:]]

    server.hook = hook
    assert await world.find("sip:host.example:5060") == []
    assert len(huge[0]) > 40_000


@pytest.mark.parametrize(("count", "found"), [(200, MAX_CANDIDATES), (3000, 0)])
async def test_what_is_cut_off_is_asked_for_over_tcp(
    world: World, server: Server, count: int, found: int
) -> None:
    addresses = [f"127.{each >> 8}.{each & 255}.1" for each in range(count)]
    server.has("host.example", "A", *addresses)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        length = int.from_bytes(await reader.readexactly(2), "big")
        query = dns.message.from_wire(await reader.readexactly(length))
        answer = server.answer(query).to_wire(max_size=65535)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()

    def hook(query: dns.message.Message, data: bytes) -> list[bytes]:
        short = dns.message.make_response(query)
        short.flags |= dns.flags.TC
        return [short.to_wire()]

    server.hook = hook
    tcp = await asyncio.start_server(serve, sock=server.tcp)
    try:
        assert len(await world.find("sip:host.example:5060")) == found
    finally:
        tcp.close()


async def test_a_strange_name_is_no_fault(world: World) -> None:
    for uri in (
        f"sip:{'a' * 64}.example:5060",
        "sip:a..example:5060",
        "sip:-_-.example",
        "sip:x.example;maddr=\\999.example",
        "sip:x.example;maddr=%00%ff.example",
    ):
        assert await world.find(uri) == []


async def test_too_many_look_ups_fail_at_once(world: World, server: Server) -> None:
    server.silent = True
    waiting = [world.begin(f"sip:h{number}.example:5060") for number in range(module.MAX_LOOKUPS)]
    late = world.begin("sip:late.example:5060")
    assert late.done()
    assert late.result() == ()
    assert world.resolver.refused == 1
    assert world.resolver.under_way == module.MAX_LOOKUPS
    assert not any(each.done() for each in waiting)


async def test_a_call_that_fails_does_not_take_the_others_along(
    world: World, server: Server
) -> None:
    server.has("host.example", "A", "127.0.0.2")
    asked = plan(parse_uri("sip:host.example:5060"), UDP)
    assert asked is not None

    def fail(found: Sequence[Candidate]) -> None:
        raise RuntimeError(str(found))

    world.resolver.find(asked, UDP, fail)
    assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]


async def test_nothing_is_told_after_the_end(world: World, server: Server) -> None:
    server.silent = True
    waiting = world.begin("sip:host.example:5060")
    async with asyncio.timeout(5):
        for _ in iter(lambda: server.asked, ["A host.example"]):
            await asyncio.sleep(0.001)
    world.resolver.close()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert world.resolver.under_way == 0
