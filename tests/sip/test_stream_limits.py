"""Connections have limits: idle ones, too many, peers that do not read; and many calls at once."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import LINGER, T1, Daemon, Route, poll
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port, sends_from
from tests.sip.harness.stream import StreamCaller
from tests.sip.harness.tcp import invite, options, tcp_phones


@pytest.fixture(scope="module")
def strict(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(
        sip={"t1": T1, "t4": 0.5, "accept_alias": "all"},
        kinds=("udp", "tcp", "tcp6"),
        tables={
            "sip.stream": {
                "idle_timeout": 1.0,
                "ping_interval": 0.3,
                "max_connections": 7,
                "max_connections_per_peer": 5,
                "max_unsent": 65_536,
                "connect_timeout": 1.0,
            }
        },
    )


def test_an_idle_connection_is_closed(strict: Daemon, phones: Phones) -> None:
    caller, _ = tcp_phones(strict, phones)
    connection = caller.connect()
    begin = time.monotonic()
    caller.wait_closed(connection)
    assert 0.9 < time.monotonic() - begin < 8


def test_a_connection_that_a_call_depends_on_is_not_idle(strict: Daemon, phones: Phones) -> None:
    """A phone behind a NAT has no other: while it rings, while it talks, and then no longer."""
    caller, callee = tcp_phones(strict, phones)
    invite(caller, callee)
    callee.ring()
    caller.expect(180)
    (connection,) = caller.open
    quiet(caller, 2.5)
    assert not connection.closed
    callee.answer()
    a = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    quiet(caller, 2.5)
    assert not connection.closed
    a.bye(callee)
    strict.wait_ended(phones.callid)
    caller.wait_closed(connection)


def quiet(caller: StreamCaller, seconds: float) -> None:
    """Say nothing for longer than the daemon keeps an idle connection."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        caller.pump(0.1)


def test_our_connections_are_kept_alive(strict: Daemon, phones: Phones) -> None:
    """Each end that pings shows the other one that it is there: neither is idle."""
    caller, callee = tcp_phones(strict, phones)
    invite(caller, callee)
    (connection,) = callee.open
    end = time.monotonic() + 1.6
    while time.monotonic() < end:
        pings = connection.pings
        callee.pump(0.1)
        for _ in range(connection.pings - pings):
            connection.send(b"\r\n")
        caller.send(b"\r\n\r\n")
        caller.pump(0.01)
    assert connection.pings >= 1
    assert not connection.closed
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))


def test_connections_of_one_peer(strict: Daemon, phones: Phones) -> None:
    # An address that no other test uses: what they have closed may still be counted.
    caller = phones.caller(strict, kind="tcp", host="127.0.0.77")
    assert isinstance(caller, StreamCaller)
    poll(lambda: admitted(caller, 8) == 5, 10, lambda: "never 5 of 8")
    caller.open[0].close()
    poll(lambda: admitted(caller, 1) == 1, 5, lambda: "no room for another one")
    late = caller.open[-1]
    late.send(options(caller, strict, phones.callid))
    caller.expect(200)


def test_connections_in_all(strict: Daemon, phones: Phones) -> None:
    first = phones.caller(strict, kind="tcp", host="127.0.0.78")
    second = phones.caller(strict, kind="tcp6", host="::1")
    assert isinstance(first, StreamCaller)
    assert isinstance(second, StreamCaller)

    def both() -> tuple[int, int]:
        for caller in (first, second):
            for connection in caller.open:
                connection.close()
        return admitted(first, 4), admitted(second, 4)

    poll(lambda: both() == (4, 3), 10, lambda: "never 4 and 3")


def admitted(caller: StreamCaller, count: int) -> int:
    """How many of so many new connections stay open; with more than one, all old ones go."""
    if count > 1:
        for connection in caller.open:
            connection.close()
    some = [caller.connect() for _ in range(count)]
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        caller.pump(0.1)
    return sum(not connection.closed for connection in some)


def test_a_peer_that_does_not_read(strict: Daemon, phones: Phones) -> None:
    """What waits for it is bounded: its connection is closed, and the calls on it fail."""
    caller, callee = tcp_phones(strict, phones)
    target = f"sip:bob@{callee.hostport};transport=tcp"
    raw = (b"X-Long: " + b"x" * 1000 + b"\r\n") * 60
    for number in range(300):
        caller.callid = f"{number}-{phones.callid}"
        caller.invite(target, raw=raw)
        caller.pump(0.002)
        if failed(caller):
            break
    else:
        pytest.fail("18 MB are waiting for it")
    # Those that were on the connection; what came after it is on a new one.
    end = time.monotonic() + 10
    while len(failed(caller)) < number // 2:
        assert time.monotonic() < end, f"{len(failed(caller))} of {number} calls have failed"
        caller.pump(0.1)
    strict.check_log()


def failed(caller: StreamCaller) -> set[str]:
    """The Call-IDs of the calls that the daemon has given up."""
    return {message.callid for message in caller.pending if message.status in (500, 503)}


def test_an_alias(strict: Daemon, phones: Phones) -> None:
    """RFC 5923: requests to the sent-by of a peer go over the connection that it has opened."""
    caller, callee = tcp_phones(strict, phones)
    callee.send(options(callee, strict, f"alias-{phones.callid}", extra=";alias"))
    callee.callid = ""
    callee.expect(200)
    callee.callid = phones.callid
    invite(caller, callee)
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))
    assert callee.accepted == 0


@pytest.mark.parametrize("sockets", ["t1", "tn"], ids=["one-connection", "one-for-each-call"])
def test_300_calls_at_100_a_second(
    start_daemon: Callable[..., Daemon], phones: Phones, sockets: str
) -> None:
    """sipp's own scenarios, over TCP on both sides: not one failed call, nothing left."""
    port = free_port()
    target = f"sip:127.0.0.1:{port};transport=tcp"
    daemon = start_daemon(kinds=("udp", "tcp"), routes=[Route("service", (), targets=(target,))])
    sends_from("phone", port)
    uas = phones.sipp("uas", port=port, calls=300, limit=60, extra=["-t", "t1"])
    uac = phones.sipp(
        "uac",
        remote=daemon.at("tcp"),
        service="service",
        calls=300,
        limit=60,
        extra=["-t", sockets, "-max_socket", "500", "-r", "100", "-l", "100"],
    )
    uac.wait()
    uas.wait()
    daemon.wait_empty(LINGER)
    daemon.stop()
