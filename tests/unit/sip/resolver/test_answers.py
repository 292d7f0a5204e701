"""The procedure on the wire, and what is remembered of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.sip import nameservers
from dlgmgmt.sip.selection import Candidate
from tests.unit.sip.resolver.server import WIDE, Server, World


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
