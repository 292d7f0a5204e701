"""The resolver against a DNS server on loopback that answers as a test tells it to."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest

from dlgmgmt.sip import nameservers
from dlgmgmt.sip import resolver as module
from dlgmgmt.sip.hosts import LOOK, read_hosts
from dlgmgmt.sip.resolver import Resolver
from dlgmgmt.sip.selection import MAX_CANDIDATES, Candidate, Listening, plan
from dlgmgmt.sip.settings import DnsSettings
from dlgmgmt.sip.uri import parse_uri

UDP: Listening = {"udp": (socket.AF_INET,)}
WIDE: Listening = {"udp": (socket.AF_INET, socket.AF_INET6), "tcp": (socket.AF_INET,)}

Hook = Callable[[dns.message.Message, bytes], list[bytes] | None]


class Server(asyncio.DatagramProtocol):
    """Records by (name, kind), as zone text. hook: answers in place of them, None to leave it."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.asked: list[str] = []
        self.hook: Hook | None = None
        self.silent = False
        self.address = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None

    def has(self, name: str, kind: str, *records: str, ttl: int = 300) -> None:
        self.zone[name, kind] = ttl, list(records)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{kind} {name}")
        if self.silent:
            return
        answers = self.hook(query, data) if self.hook is not None else None
        if answers is None:
            answers = [self.answer(query).to_wire()]
        assert self._transport is not None
        for answer in answers:
            self._transport.sendto(answer, addr)

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        known = self.zone.get((name, kind)) or self.zone.get((name, "CNAME"))
        if known is not None:
            shown = kind if (name, kind) in self.zone else "CNAME"
            response.answer.append(
                dns.rrset.from_text(f"{name}.", known[0], "IN", shown, *known[1])
            )
        else:
            exists = any(owner == name for owner, _ in self.zone)
            response.set_rcode(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
            soa = "ns.example. root.example. 1 3600 600 86400 40"
            response.authority.append(dns.rrset.from_text("example.", 900, "IN", "SOA", soa))
        return response


class World:
    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.now = 1000.0
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.resolv_conf = folder / "resolv.conf"
        self.settings = DnsSettings(servers=(server.address,), timeout=2.0, attempts=2)
        self.resolver = self.new(self.settings)

    def new(self, settings: DnsSettings) -> Resolver:
        self.resolver = Resolver(
            settings,
            monotonic=lambda: self.now,
            rng=random.Random(1),
            hosts=str(self.hosts),
            resolv_conf=str(self.resolv_conf),
        )
        return self.resolver

    def begin(self, uri: str, listening: Listening = UDP) -> asyncio.Future[Sequence[Candidate]]:
        future: asyncio.Future[Sequence[Candidate]] = asyncio.get_running_loop().create_future()
        asked = plan(parse_uri(uri), listening)
        assert asked is not None
        self.resolver.find(asked, listening, future.set_result)
        return future

    async def find(self, uri: str, listening: Listening = UDP) -> list[tuple[str, int]]:
        found = await self.begin(uri, listening)
        return [(each.host, each.port) for each in found]


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(Server, local_addr=("127.0.0.1", 0))
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


# -- the procedure on the wire -------------------------------------------------------------------


async def test_the_whole_procedure(world: World, domain: Server) -> None:
    found = await world.begin("sip:bob@phones.example", WIDE)
    name = "phones.example"
    assert list(found) == [
        Candidate("udp", "127.0.0.2", 5060, name),
        Candidate("udp", "::1", 5060, name),
        Candidate("udp", "127.0.0.3", 5070, name),
        Candidate("tcp", "127.0.0.2", 5060, name),
    ]
    assert domain.asked[:3] == [
        "NAPTR phones.example",
        "SRV _sip._udp.phones.example",
        "SRV _sip._tcp.phones.example",
    ]
    assert len(domain.asked) == 7


async def test_what_is_known_is_answered_at_once(world: World, domain: Server) -> None:
    await world.find("sip:phones.example")
    asked = len(domain.asked)
    assert world.begin("sip:alice@phones.example").done()
    assert len(domain.asked) == asked
    assert (world.resolver.hits, world.resolver.misses) == (4, 4)


async def test_look_ups_of_the_same_name_are_joined(world: World, domain: Server) -> None:
    many = [world.begin("sip:phones.example") for _ in range(500)]
    other = world.begin("sip:phones.example;transport=udp")
    for each in (*many, other):
        assert [one.port for one in await each] == [5060, 5070]
    assert len(domain.asked) == len(set(domain.asked)) == 4
    assert world.resolver.refused == 0


async def test_an_alias_is_followed(world: World, server: Server) -> None:
    server.has("alias.example", "CNAME", "other.example.", ttl=20)
    server.has("other.example", "A", "127.0.0.9")
    assert await world.find("sip:alias.example:5060") == [("127.0.0.9", 5060)]
    world.now += 21
    server.has("other.example", "A", "127.0.0.8")
    assert await world.find("sip:alias.example:5060") == [("127.0.0.8", 5060)]


async def test_an_endless_alias_is_given_up(world: World, server: Server) -> None:
    server.has("one.example", "CNAME", "two.example.")
    server.has("two.example", "CNAME", "one.example.")
    assert await world.find("sip:one.example:5060") == []
    assert len(server.asked) <= nameservers.MAX_ALIASES


# -- what is remembered --------------------------------------------------------------------------


async def test_an_answer_lasts_as_long_as_it_says(world: World, server: Server) -> None:
    server.has("host.example", "A", "127.0.0.2", ttl=60)
    await world.find("sip:host.example:5060")
    server.has("host.example", "A", "127.0.0.3", ttl=60)
    world.now += 59
    assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]
    world.now += 2
    assert await world.find("sip:host.example:5060") == [("127.0.0.3", 5060)]


@pytest.mark.parametrize(("ttl", "kept"), [(0, 30), (10, 30), (50, 50), (10**6, 100)])
async def test_the_life_of_an_answer_has_bounds(
    world: World, server: Server, ttl: int, kept: int
) -> None:
    world.new(replace(world.settings, min_ttl=30, max_ttl=100))
    server.has("host.example", "A", "127.0.0.2", ttl=ttl)
    await world.find("sip:host.example:5060")
    world.now += kept - 1
    assert world.begin("sip:host.example:5060").done()
    world.now += 2
    assert not world.begin("sip:host.example:5060").done()


async def test_an_answer_for_no_time_is_used_but_not_kept(world: World, domain: Server) -> None:
    for (name, kind), (_, records) in tuple(domain.zone.items()):
        domain.has(name, kind, *records, ttl=0)
    for _ in range(2):
        assert await world.find("sip:phones.example") == [("127.0.0.2", 5060), ("127.0.0.3", 5070)]
    assert len(domain.asked) == 8
    assert len(world.resolver) == 0


@pytest.mark.parametrize(("negative_ttl", "kept"), [(30, 30), (600, 40), (0, 0)])
async def test_that_there_is_nothing_lasts_for_less(
    world: World, server: Server, negative_ttl: int, kept: int
) -> None:
    """40 is the minimum of the SOA record."""
    world.new(replace(world.settings, negative_ttl=negative_ttl))
    assert await world.find("sip:none.example") == []
    asked = len(server.asked)
    if kept:
        world.now += kept - 1
        assert world.begin("sip:none.example").done()
        world.now += 2
    server.has("none.example", "A", "127.0.0.2")
    assert await world.find("sip:none.example") == [("127.0.0.2", 5060)]
    assert len(server.asked) == 2 * asked


async def test_the_cache_is_bounded(world: World, server: Server) -> None:
    world.new(replace(world.settings, cache_size=5))
    for number in range(20):
        server.has(f"h{number}.example", "A", "127.0.0.2")
        await world.find(f"sip:h{number}.example:5060")
    assert len(world.resolver) == 5
    assert world.begin("sip:h19.example:5060").done()
    assert not world.begin("sip:h0.example:5060").done()


async def test_other_settings_are_another_cache(world: World, server: Server) -> None:
    server.has("host.example", "A", "127.0.0.2")
    await world.find("sip:host.example:5060")
    world.resolver.use(world.settings)
    assert world.begin("sip:host.example:5060").done()
    world.resolver.use(replace(world.settings, timeout=0.2))
    assert await world.find("sip:host.example:5060") == [("127.0.0.2", 5060)]
    assert len(server.asked) == 2


# -- servers that fail or lie --------------------------------------------------------------------


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
    tcp = await asyncio.start_server(serve, *server.address)
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
    await asyncio.sleep(0.01)
    assert server.asked == ["A host.example"]
    world.resolver.close()
    await asyncio.sleep(0.01)
    assert not waiting.done()
    assert world.resolver.under_way == 0


# -- the system's files --------------------------------------------------------------------------


async def test_a_name_of_the_hosts_file_is_not_asked_for(world: World, server: Server) -> None:
    world.hosts.write_text(
        "# gateways\n127.0.0.4\tGW.example gw # the old one\n::1 gw.example\nnonsense gw.example\n"
    )
    server.has("gw.example", "NAPTR", '10 10 "s" "SIP+D2U" "" _sip._udp.gw.example.')
    assert world.begin("sip:gw.example").done()
    assert await world.find("sip:gw.example") == [("127.0.0.4", 5060)]
    assert await world.find("sip:gw", WIDE) == [("127.0.0.4", 5060)]
    assert await world.find("sip:GW.example:5070", WIDE) == [("127.0.0.4", 5070), ("::1", 5070)]
    assert await world.find("sip:gw.example;transport=udp") == [("127.0.0.4", 5060)]
    assert server.asked == []


async def test_a_browsers_name_is_known_to_nobody(world: World, server: Server) -> None:
    assert await world.find("sip:bob@df7jal23ls0d.invalid") == []
    assert await world.find("sip:bob@df7jal23ls0d.invalid:5060") == []
    assert server.asked == []


async def test_a_target_may_stand_in_the_hosts_file(world: World, domain: Server) -> None:
    world.hosts.write_text("127.0.0.5 a.phones.example\n")
    assert await world.find("sip:phones.example") == [("127.0.0.5", 5060), ("127.0.0.3", 5070)]


async def test_the_hosts_file_is_read_again(world: World, server: Server) -> None:
    server.has("gw.example", "A", "127.0.0.9")
    world.hosts.write_text("127.0.0.4 gw.example\n")
    assert await world.find("sip:gw.example") == [("127.0.0.4", 5060)]
    world.hosts.write_text("127.0.0.14 gw.example\n")
    world.now += LOOK
    assert await world.find("sip:gw.example") == [("127.0.0.14", 5060)]
    world.hosts.unlink()
    world.now += LOOK
    assert await world.find("sip:gw.example") == [("127.0.0.9", 5060)]


def test_localhost_needs_no_file(tmp_path: Path) -> None:
    assert read_hosts(str(tmp_path / "none"))["localhost"] == ("127.0.0.1", "::1")
    (tmp_path / "hosts").write_bytes(b"127.0.0.2 localhost\n\xff\xfe\x00 \xff\n")
    assert read_hosts(str(tmp_path / "hosts"))["localhost"] == ("127.0.0.2",)


async def test_without_servers_the_systems_are_asked(world: World, server: Server) -> None:
    """The port is 53 there; what can be shown without it is which file is read, and when."""
    world.resolv_conf.write_text("nameserver 127.0.0.55\nsearch example other.example\n")
    world.new(DnsSettings(timeout=0.05))
    servers = world.resolver._servers.resolver
    assert [str(each) for each in servers.nameservers] == ["127.0.0.55"]
    assert [each.to_text() for each in servers.search] == ["example.", "other.example."]
    world.now += LOOK
    assert world.resolver._servers.resolver is servers
    world.resolv_conf.write_text("nameserver 127.0.0.56\nnameserver ::1\n")
    world.now += LOOK
    again = world.resolver._servers.resolver
    assert [str(each) for each in again.nameservers] == ["127.0.0.56", "::1"]
    world.resolv_conf.write_text("nonsense\n")
    world.now += LOOK
    assert [str(each) for each in world.resolver._servers.resolver.nameservers] == ["127.0.0.1"]
