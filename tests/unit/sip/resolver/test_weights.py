"""In which order the servers of a domain are tried: RFC 2782, and their addresses."""

from __future__ import annotations

import random
import socket
from collections import Counter

from dlgmgmt.sip.selection import (
    MAX_CANDIDATES,
    weighted,
)
from tests.unit.sip.resolver.zone import BOTH, UDP, V4, Zone, srv

# -- addresses -----------------------------------------------------------------------------------


def test_addresses_are_of_the_families_of_the_transports_listeners() -> None:
    zone = Zone().has("example.com", "A", "192.0.2.7").has("example.com", "AAAA", "2001:db8::7")
    v6_first = (socket.AF_INET6, socket.AF_INET)
    for listening, expected in (
        ({"udp": V4}, ["192.0.2.7"]),
        ({"udp": (socket.AF_INET6,)}, ["2001:db8::7"]),
        ({"udp": BOTH}, ["192.0.2.7", "2001:db8::7"]),
        ({"udp": v6_first}, ["2001:db8::7", "192.0.2.7"]),
        ({"udp": V4, "tcp": BOTH}, ["192.0.2.7"]),
    ):
        assert [each.host for each in zone.find("sip:example.com:5060", listening)] == expected


def test_the_candidates_are_bounded_and_none_comes_twice() -> None:
    zone = Zone().has(
        "_sip._udp.example.com",
        "SRV",
        *(srv(0, 0, 5060 + each % 40, f"h{each % 40}.example.com") for each in range(200)),
    )
    for each in range(40):
        zone.has(f"h{each}.example.com", "A", "192.0.2.7", "192.0.2.7", "192.0.2.8")
    found = zone.find("sip:example.com", UDP)
    assert len(found) == len(set(found)) == MAX_CANDIDATES
    assert len(zone.asked) < 30


# -- RFC 2782 ------------------------------------------------------------------------------------


def test_priorities_go_before_weights() -> None:
    records = [srv(2, 100, 1, "c"), srv(1, 0, 1, "b"), srv(0, 1, 1, "a")]
    for seed in range(50):
        ordered = weighted(records, random.Random(seed))
        assert [each.target for each in ordered] == ["a", "b", "c"]


def test_weights_share_the_load() -> None:
    rng = random.Random(3263)
    records = [srv(0, 60, 1, "a"), srv(0, 30, 1, "b"), srv(0, 10, 1, "c"), srv(1, 99, 1, "z")]
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for _ in range(20_000):
        ordered = [each.target for each in weighted(records, rng)]
        assert sorted(ordered) == ["a", "b", "c", "z"]
        assert ordered[3] == "z"
        first[ordered[0]] += 1
        if ordered[0] == "a":
            second[ordered[1]] += 1
    # The lot runs from 0 to the sum, inclusive: the shares are 61, 30 and 10 of 101.
    assert abs(first["a"] / 20_000 - 61 / 101) < 0.015
    assert abs(first["b"] / 20_000 - 30 / 101) < 0.015
    assert abs(first["c"] / 20_000 - 10 / 101) < 0.01
    assert abs(second["b"] / second.total() - 31 / 41) < 0.02


def test_a_server_without_weight_is_chosen_seldom_but_sometimes() -> None:
    rng = random.Random(2782)
    records = [srv(0, 49, 1, "heavy"), srv(0, 0, 1, "light")]
    chosen = Counter(weighted(records, rng)[0].target for _ in range(20_000))
    assert 0.01 < chosen["light"] / 20_000 < 0.03
