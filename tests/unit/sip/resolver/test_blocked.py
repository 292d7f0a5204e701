"""Dead servers are passed over for a while, and come back."""

from __future__ import annotations

from dlgmgmt.sip.blocked import MAX_BLOCKED, MAX_SECONDS, Blocked, server
from dlgmgmt.sip.selection import Candidate

A, B, C = (Candidate("udp", f"192.0.2.{each}", 5060, "example.com") for each in (1, 2, 3))


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_blocked_server_is_passed_over_until_its_back_off_is_over() -> None:
    clock = Clock()
    blocked = Blocked(60, clock)
    blocked.block(A.key)
    assert blocked.order([A, B, C]) == [B, C]
    clock.now += 59.9
    assert blocked.order([A, B, C]) == [B, C]
    assert (blocked.blocked, blocked.passed_over) == (1, 2)
    clock.now += 0.2
    assert blocked.order([A, B, C]) == [A, B, C]
    assert len(blocked) == 0


def test_when_all_are_blocked_all_are_tried() -> None:
    blocked = Blocked(60, Clock())
    for each in (A, B):
        blocked.block(each.key)
    assert blocked.order([A, B]) == [A, B]
    assert blocked.order([A]) == [A]
    assert blocked.order([]) == []
    assert blocked.passed_over == 0


def test_a_retry_after_is_heeded_but_bounded() -> None:
    clock = Clock()
    blocked = Blocked(60, clock)
    blocked.block(A.key, 5)
    blocked.block(B.key, 10**9)
    clock.now += 6
    assert blocked.order([A, B, C]) == [A, C]
    clock.now += MAX_SECONDS
    assert blocked.order([A, B, C]) == [A, B, C]


def test_transport_and_port_tell_servers_apart_and_the_name_does_not() -> None:
    blocked = Blocked(60, Clock())
    blocked.block(A.key)
    others = [A._replace(transport="tcp"), A._replace(port=5062)]
    assert blocked.order([A._replace(name="other.example"), *others]) == others


def test_a_certificate_that_lacks_a_domain_says_nothing_of_the_others() -> None:
    blocked = Blocked(60, Clock())
    first = A._replace(transport="tls")
    blocked.block(first.key)
    other = first._replace(name="other.example")
    assert blocked.order([first, other]) == [other]


def test_a_back_off_of_zero_blocks_nobody() -> None:
    blocked = Blocked(0, Clock())
    blocked.block(A.key)
    assert blocked.order([A, B]) == [A, B]


def test_what_is_remembered_is_bounded() -> None:
    blocked = Blocked(60, Clock())
    for port in range(MAX_BLOCKED + 10):
        blocked.block(server("udp", ("192.0.2.1", port)))
    assert len(blocked) == MAX_BLOCKED
    assert not blocked.is_blocked(server("udp", ("192.0.2.1", 9)))
    assert blocked.is_blocked(server("udp", ("192.0.2.1", 10)))
