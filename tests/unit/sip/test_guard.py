"""Who may send, and how much."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest

from dlgmgmt.sip.flow import Transport
from dlgmgmt.sip.guard import Guard, NetworkSet, Source, Verdict
from dlgmgmt.sip.settings import AllowRule, LimitSettings, Listener, SipSettings
from tests.unit.sip.harness import FakeSocket, World

LISTEN = (Listener("udp", "10.0.0.1", 5060), Listener("udp", "2001:db8::1", 5060))
LIMITS = LimitSettings(
    rate=10, burst=20, packets=100, transactions=0, refusals=2, sources=16, trusted=()
)

INVITE = b"INVITE sip:2@10.0.0.1 SIP/2.0\r\nTo: <sip:2@x>\r\nFrom: <sip:1@x>;tag=a\r\n\r\n"
REINVITE = INVITE.replace(b"2@x>", b"2@x>;tag=b")


class Desk:
    """A guard, and a clock that is moved by hand."""

    def __init__(self, *allow: AllowRule, **limits: Any) -> None:
        self.now = 1000.0
        self.settings = SipSettings(listen=LISTEN, allow=allow, limits=replace(LIMITS, **limits))
        world = World()
        self.sockets: list[Transport] = [FakeSocket(world, one.host, one.port) for one in LISTEN]
        self.guard = Guard(self.settings, self.sockets, lambda: self.now)

    def admit(self, host: str = "10.0.9.1", data: bytes = INVITE) -> Source | None:
        return self.guard.admit(self.sockets[":" in host], host, data)

    def source(self, host: str = "10.0.9.1") -> Source:
        found = self.admit(host, b"ACK ")
        assert found is not None
        return found

    def begin(self, times: int, host: str = "10.0.9.1") -> list[Verdict]:
        source = self.source(host)
        return [self.guard.begins(source) for _ in range(times)]

    def within(self, times: int, *, known: bool = False) -> list[Verdict]:
        source = self.source()
        return [self.guard.within(source, lambda: known) for _ in range(times)]


PASS, REFUSE, DROP = Verdict.PASS, Verdict.REFUSE, Verdict.DROP


def test_a_burst_passes_a_few_are_answered_and_the_rest_is_dropped() -> None:
    desk = Desk()
    assert desk.begin(25) == [PASS] * 20 + [REFUSE] * 2 + [DROP] * 3
    assert (desk.guard.counters.refused, desk.guard.counters.dropped) == (2, 3)


def test_after_a_burst_the_rate_passes() -> None:
    desk = Desk()
    desk.begin(20)
    passed = 0
    for _ in range(100):
        desk.now += 0.05
        passed += desk.begin(1).count(PASS)
    assert passed == 50


def test_a_source_that_was_silent_has_its_burst_again_and_no_more() -> None:
    desk = Desk()
    desk.begin(40)
    desk.now += 3600
    assert desk.begin(25).count(PASS) == 20


def test_one_source_over_its_limit_takes_nothing_from_another() -> None:
    desk = Desk()
    desk.begin(100)
    assert desk.begin(1, "10.0.9.2") == [PASS]


def test_requests_within_calls_have_a_bucket_of_their_own() -> None:
    desk = Desk()
    desk.begin(100)
    assert desk.within(20) == [PASS] * 20
    assert desk.within(1, known=False) == [DROP]
    # Those of calls that are known pass whatever else comes from there.
    assert desk.within(30, known=True) == [PASS] * 30


def test_an_ack_is_never_answered() -> None:
    desk = Desk()
    desk.within(20)
    source = desk.source()
    assert desk.guard.within(source, lambda: False, answer=False) is DROP
    assert desk.guard.counters.refused == 0
    assert desk.guard.within(source, lambda: True, answer=False) is PASS


def test_the_transactions_alive_of_a_source_are_bounded() -> None:
    desk = Desk(transactions=3)
    source = desk.source()
    source.alive = 3
    assert desk.begin(1) == [REFUSE]
    assert desk.within(1, known=False) == [REFUSE]
    assert desk.within(1, known=True) == [PASS]
    source.alive = 2
    assert desk.begin(1) == [PASS]


def test_messages_of_any_kind_are_bounded() -> None:
    desk = Desk()
    assert [desk.admit(data=REINVITE) is not None for _ in range(101)] == [True] * 100 + [False]
    assert desk.guard.counters.dropped == 1
    desk.now += 0.1
    assert [desk.admit(data=REINVITE) is not None for _ in range(11)] == [True] * 10 + [False]


@pytest.mark.parametrize(
    ("data", "read"),
    [
        (INVITE, False),
        (b"OPTIONS sip:10.0.0.1 SIP/2.0\r\nt: <sip:x>\r\nf: <sip:y>;tag=1\r\n\r\n", False),
        (b"nonsense", False),
        (REINVITE, True),
        (REINVITE.replace(b"To:", b"t  :"), True),
        (REINVITE.replace(b";tag=b", b"\r\n ; TAG\t=b"), True),
        (INVITE.replace(b"INVITE", b"BYE"), True),
        (INVITE.replace(b"INVITE", b"CANCEL"), True),
        (INVITE.replace(b"INVITE", b"ACK"), True),
        (b"SIP/2.0 200 OK\r\nTo: <sip:x>\r\n\r\n", True),
    ],
)
def test_what_would_be_dropped_is_not_even_read(data: bytes, read: bool) -> None:  # noqa: FBT001
    desk = Desk()
    assert desk.admit(data=data) is not None
    desk.begin(22)
    assert (desk.admit(data=data) is not None) == read
    # When one may be answered again, it is.
    desk.now += 0.5
    assert desk.admit(data=data) is not None


def test_without_answers_it_is_only_dropped() -> None:
    desk = Desk(refusals=0)
    assert desk.begin(22) == [PASS] * 20 + [DROP] * 2
    assert desk.admit() is None
    desk.now += 3600
    assert desk.begin(1) == [PASS]


def test_zero_is_no_limit() -> None:
    desk = Desk(rate=0, packets=0, transactions=0)
    source = desk.source()
    source.alive = 1_000_000
    assert {*desk.begin(1000), *desk.within(1000)} == {PASS}
    assert all(desk.admit() for _ in range(1000))


def test_trusted_networks_have_no_limits() -> None:
    networks = tuple(map(ipaddress.ip_network, ("10.0.8.0/24", "2001:db8:0:1::/64", "::2/128")))
    desk = Desk(trusted=networks, transactions=1)
    for host in ("10.0.8.255", "2001:db8:0:1::9", "::2"):
        desk.source(host).alive = 9
        assert {*desk.begin(200, host)} == {PASS}
        assert all(desk.admit(host) for _ in range(200))
    for host in ("10.0.9.255", "2001:db8:0:2::9", "::3"):
        assert DROP in desk.begin(200, host)


def test_an_ipv6_source_is_its_network_of_64_bits() -> None:
    desk = Desk()
    one = desk.source("2001:db8::1")
    assert desk.source("2001:db8::ffff:1") is one
    assert desk.source("2001:db8:0:1::1") is not one
    assert desk.source("fe80::1%eth0") is desk.source("fe80::2")


def test_no_more_sources_are_remembered_than_the_limit_and_the_busy_ones_stay() -> None:
    desk = Desk(packets=0)
    desk.begin(100)
    for number in range(1000):
        desk.source(f"10.1.{number // 250}.{number % 250}")
        assert desk.begin(1)[0] is not PASS
    assert len(desk.guard) == 16


def test_new_limits_hold_at_once() -> None:
    desk = Desk()
    desk.begin(100)
    desk.guard.use(replace(desk.settings, limits=replace(LIMITS, rate=1, burst=1)))
    assert desk.begin(2) == [PASS, REFUSE]
    # A reload that changes nothing gives nobody a new burst.
    desk.guard.use(replace(desk.settings, limits=replace(LIMITS, rate=1, burst=1)))
    assert desk.begin(1) == [REFUSE]


# -- rules -----------------------------------------------------------------------------------------


def rule(listener: int, *networks: str) -> AllowRule:
    return AllowRule(LISTEN[listener], tuple(map(ipaddress.ip_network, networks)))


def test_only_the_networks_of_its_rules_may_send_to_a_listener() -> None:
    desk = Desk(rule(0, "10.0.9.0/24"), rule(0, "192.0.2.7/32"))
    assert desk.admit("10.0.9.200") is not None
    assert desk.admit("192.0.2.7") is not None
    assert [desk.admit("10.0.8.1"), desk.admit("192.0.2.8")] == [None, None]
    assert [desk.admit("10.0.8.1", b"SIP/2.0 200 OK"), desk.admit("10.0.8.1", b"")] == [None, None]
    assert desk.guard.counters.forbidden == 4
    # The other listener has no rule.
    assert desk.admit("2001:db8::9") is not None
    assert len(desk.guard) == 3


def test_new_rules_hold_at_once() -> None:
    desk = Desk(rule(1, "2001:db8:1::/48"))
    assert not desk.guard.admits(desk.sockets[1], "2001:db8:2::1")
    desk.guard.use(replace(desk.settings, allow=(rule(1, "2001:db8:2::/48"),)))
    assert desk.guard.admits(desk.sockets[1], "2001:db8:2::1")
    assert not desk.guard.admits(desk.sockets[1], "2001:db8:1::1")
    desk.guard.use(replace(desk.settings, allow=()))
    assert desk.guard.admits(desk.sockets[1], "2001:db8:1::1")


def test_trust_is_no_permission() -> None:
    desk = Desk(rule(0, "10.0.9.0/24"), trusted=(ipaddress.ip_network("10.0.8.0/24"),))
    assert desk.admit("10.0.8.1") is None


def test_what_is_remembered_of_forbidden_hosts_is_bounded() -> None:
    desk = Desk(rule(1, "2001:db8:1::/48"))
    for number in range(10_100):
        assert not desk.guard.admits(desk.sockets[1], f"2001:db8:2::{number:x}")
    assert len(desk.guard._known) == 10_000
    assert len(desk.guard) == 0


def test_sets_of_networks() -> None:
    networks = NetworkSet(map(ipaddress.ip_network, ("10.0.0.0/8", "0.0.0.7/32", "::/127")))
    good = [host in networks for host in ("10.255.0.1", "0.0.0.7", "::1")]
    bad = [host in networks for host in ("11.0.0.0", "0.0.0.1", "::2", "::ffff:10.0.0.1")]
    assert (good, bad) == ([True] * 3, [False] * 4)
    assert not NetworkSet(())
    assert "9.9.9.9" in NetworkSet([ipaddress.ip_network("0.0.0.0/0")])
