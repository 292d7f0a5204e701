"""What is particular to streams: connections that are kept, lost, refused, misused and overrun."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import T1, Daemon, Route
from tests.sip.harness.peer import SDP, response
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.tcp import invite, options, tcp_phones


@pytest.fixture(scope="module")
def own_daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(
        sip={"t1": T1, "t4": 0.5},
        kinds=("udp", "tcp", "tcp6"),
        tables={"sip.stream": {"message_timeout": 1.0, "connect_timeout": 1.0}},
        routes=[
            Route("refused", (), "serial", targets=(dead(), alive(0))),
            Route("hole", (), "serial", targets=(dead(1), alive(1))),
        ],
    )


_DEAD = [free_port(), free_port()]
_ALIVE = [free_port(), free_port()]


def dead(number: int = 0) -> str:
    return f"sip:127.0.0.1:{_DEAD[number]};transport=tcp"


def alive(number: int) -> str:
    return f"sip:127.0.0.1:{_ALIVE[number]};transport=tcp"


@pytest.fixture
def daemon(own_daemon: Daemon) -> Daemon:
    return own_daemon


# -- which connection ------------------------------------------------------------------------------


def test_replies_come_back_on_the_connection(daemon: Daemon, phones: Phones) -> None:
    caller, callee = tcp_phones(daemon, phones)
    invite(caller, callee)
    callee.ring()
    callee.answer()
    caller.expect(180)
    leg = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    leg.bye(callee)
    assert caller.accepted == 0
    assert callee.accepted == 1, "one connection for everything that goes to a peer"
    assert not caller.copies


def test_replies_go_to_the_via_when_the_connection_is_gone(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 18.2.2."""
    caller, callee = tcp_phones(daemon, phones)
    invite(caller, callee)
    callee.ring()
    caller.expect(180)
    caller.open[0].close()
    # Until the daemon has read of it, what it sends there is lost.
    time.sleep(0.2)
    callee.answer()
    ok = caller.expect(200, "INVITE")
    assert caller.accepted == 1
    caller.ack(ok).bye(callee)


def test_a_bye_of_ours_reaches_a_caller_who_has_reconnected(daemon: Daemon, phones: Phones) -> None:
    caller, callee = tcp_phones(daemon, phones)
    invite(caller, callee)
    callee.answer()
    caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    for phone in (caller, callee):
        for connection in phone.open:
            connection.close()
    daemon.wait_state(phones.callid, 4, legs=1)
    assert daemon.kill("http", phones.callid, caller.tag, callee.tag) == (200, "OK")
    for phone in (caller, callee):
        phone.send(response(phone.expect("BYE"), 200))
    daemon.wait_ended(phones.callid)


def test_a_phone_that_answers_a_kill_over_its_other_connection(
    daemon: Daemon, phones: Phones
) -> None:
    """It closes the one that the BYE came on first: the order's record says 200 all the same."""
    caller, callee = tcp_phones(daemon, phones)
    own = caller.connect()
    invite(caller, callee)
    callee.answer()
    caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    daemon.wait_state(phones.callid, 4, legs=1)
    order = daemon.order_kill(phones.callid)
    callee.send(response(callee.expect("BYE"), 200))
    bye = caller.expect("BYE")
    assert caller.came_on(bye) is not own
    caller.came_on(bye).close()
    # The daemon reads of that before it reads the answer.
    time.sleep(T1)
    own.send(response(bye, 200))
    daemon.wait_outcomes(order, {"caller": "200", "callee": "200"})
    daemon.wait_ended(phones.callid)


def test_calls_to_one_peer_share_its_connection(daemon: Daemon, phones: Phones) -> None:
    caller, callee = tcp_phones(daemon, phones)
    for number in range(3):
        caller.callid = callee.callid = f"{number}-{phones.callid}"
        caller.cseq = 1
        invite(caller, callee)
        callee.answer()
        leg = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        leg.bye(callee)
    assert callee.accepted == 1
    assert len(caller.connections) == 1


def test_nothing_is_retransmitted(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 17.1.1.2: timer A is for UDP alone."""
    caller, callee = tcp_phones(daemon, phones)
    invite(caller, callee)
    end = time.monotonic() + 6 * T1
    while time.monotonic() < end:
        callee.pump(T1)
    assert not callee.copies
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))


# -- cutting the stream ----------------------------------------------------------------------------


def test_a_ping_is_answered_by_a_pong(daemon: Daemon, phones: Phones) -> None:
    """RFC 5626 3.5.1."""
    caller, _ = tcp_phones(daemon, phones)
    connection = caller.connect()
    for _ in range(3):
        connection.send(b"\r\n\r\n")
    caller.barrier()
    # Two pongs in one segment look like a ping.
    assert 2 * connection.pings + connection.pongs == 3
    assert not connection.closed


def test_messages_in_one_segment(daemon: Daemon, phones: Phones) -> None:
    caller, _ = tcp_phones(daemon, phones)
    callids = [f"{number}-{phones.callid}" for number in range(20)]
    caller.send(b"\r\n\r\n".join(options(caller, daemon, callid) for callid in callids))
    caller.callid = ""
    assert [caller.expect(200).callid for _ in callids] == callids


def test_a_message_byte_by_byte(daemon: Daemon, phones: Phones) -> None:
    caller, callee = tcp_phones(daemon, phones)
    connection = caller.connect()
    connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.piece = 1
    invite(caller, callee)
    assert callee.invite.body == SDP
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))


def test_a_message_of_64_kb(daemon: Daemon, phones: Phones) -> None:
    caller, callee = tcp_phones(daemon, phones)
    line = b"X-Long: " + b"x" * 1000 + b"\r\n"
    invite(caller, callee, raw=line * 60)
    assert len(callee.invite.raw) > 60_000
    assert callee.invite.all("X-Long") == ["x" * 1000] * 60
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))


def test_a_message_that_is_too_long(daemon: Daemon, phones: Phones) -> None:
    caller, _ = tcp_phones(daemon, phones)
    connection = caller.connect()
    data = options(caller, daemon, phones.callid)
    connection.send(data.replace(b"Content-Length: 0", b"Content-Length: 70000"))
    caller.wait_closed(connection)
    assert [message.status // 100 for message in caller.pending] in ([], [4], [5])
    still_serves(daemon, phones)


def test_a_message_without_content_length(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 20.14: it must be there. Nobody knows where the next message begins."""
    caller, _ = tcp_phones(daemon, phones)
    connection = caller.connect()
    connection.send(options(caller, daemon, phones.callid).replace(b"Content-Length: 0\r\n", b""))
    assert caller.expect(400).callid == phones.callid
    caller.wait_closed(connection)


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(256)),
        b"\x00" * 1000,
        b"a" * 100_000,
        b"OPTIONS sip:x SIP/2.0\r\n" + b"X: y\r\n" * 20_000,
    ],
    ids=["http", "tls", "zeros", "endless-line", "endless-head"],
)
def test_garbage_ends_the_connection(daemon: Daemon, phones: Phones, garbage: bytes) -> None:
    caller, _ = tcp_phones(daemon, phones)
    connection = caller.connect()
    try:
        connection.send(garbage)
    except ConnectionError:
        # It was closed before all was sent.
        connection.close()
    caller.wait_closed(connection)
    still_serves(daemon, phones)


def test_a_message_that_never_ends(daemon: Daemon, phones: Phones) -> None:
    """The rest must come within message_timeout, however steadily bytes drop in."""
    caller, _ = tcp_phones(daemon, phones)
    connection = caller.connect()
    begin = time.monotonic()
    for byte in b"OPTIONS sip:somebody@somewhere.example.com;with=a;long=uri SIP/2.0\r\n":
        try:
            connection.send(bytes([byte]))
        except ConnectionError:
            break
        if caller.pump(0.05) or connection.closed:
            break
    caller.wait_closed(connection)
    assert 0.9 < time.monotonic() - begin < 8


def still_serves(daemon: Daemon, phones: Phones) -> None:
    caller, _ = tcp_phones(daemon, phones)
    caller.callid = f"still-{phones.callid}"
    caller.send(options(caller, daemon, caller.callid))
    caller.expect(200)
    daemon.check_log()


# -- connections that cannot be made, or break -----------------------------------------------------


def test_a_refused_connection_leads_to_the_next_target(daemon: Daemon, phones: Phones) -> None:
    caller = phones.caller(daemon)
    callee = phones.callee(daemon, kind="tcp", port=_ALIVE[0])
    caller.invite(f"sip:refused@{daemon.hostport}")
    callee.take()
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))


def test_a_black_hole_leads_to_the_next_target(daemon: Daemon, phones: Phones) -> None:
    """A host that does not even answer the SYN: connect_timeout bounds the wait."""
    with BlackHole(_DEAD[1]):
        caller = phones.caller(daemon)
        callee = phones.callee(daemon, kind="tcp", port=_ALIVE[1])
        begin = time.monotonic()
        caller.invite(f"sip:hole@{daemon.hostport}")
        callee.take()
        assert 0.9 < time.monotonic() - begin < 8
        callee.refuse(486)
        caller.ack_failure(caller.expect(486))


class BlackHole:
    """A port whose queue of connections is full: the kernel drops further SYNs."""

    def __init__(self, port: int) -> None:
        self._sockets = [socket.socket()]
        self._sockets[0].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sockets[0].bind(("127.0.0.1", port))
        self._sockets[0].listen(0)
        for _ in range(3):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
            self._sockets.append(filler)

    def __enter__(self) -> None:
        time.sleep(0.05)

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


def test_a_target_that_refuses_and_no_other(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 16.9: as if it had answered 503, which is not passed on (16.7 step 6)."""
    caller = phones.caller(daemon)
    caller.invite(f"sip:bob@127.0.0.1:{free_port()};transport=tcp")
    final = caller.expect_any(500, 503)
    caller.ack_failure(final)
    daemon.wait_ended(phones.callid)


def test_a_connection_that_breaks_before_the_answer(daemon: Daemon, phones: Phones) -> None:
    caller, callee = tcp_phones(daemon, phones)
    invite(caller, callee)
    callee.close()
    begin = time.monotonic()
    caller.ack_failure(caller.expect_any(500, 503))
    assert time.monotonic() - begin < 32 * T1, "no timer had to run out"
    daemon.wait_ended(phones.callid)


def test_a_kill_when_one_side_cannot_be_reached(daemon: Daemon, phones: Phones) -> None:
    """The other one is told, and the record says which one was not."""
    caller, callee = tcp_phones(daemon, phones)
    invite(caller, callee)
    callee.answer()
    caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    daemon.wait_state(phones.callid, 4, legs=1)
    caller.close()
    time.sleep(0.2)
    order = daemon.order_kill(phones.callid)
    callee.send(response(callee.expect("BYE"), 200))
    daemon.wait_outcomes(order, {"caller": "unsendable", "callee": "200"})
    daemon.wait_ended(phones.callid)


# -- long requests from UDP ------------------------------------------------------------------------

LONG = b"X-Long: " + b"x" * 1200 + b"\r\n"


@pytest.mark.parametrize("long", [True, False], ids=["long", "short"])
def test_a_long_request_goes_over_tcp(daemon: Daemon, phones: Phones, long: bool) -> None:  # noqa: FBT001
    """RFC 3261 18.1.1: over 1300 bytes, where the target says nothing of the transport."""
    caller = phones.caller(daemon)
    stream = phones.callee(daemon, kind="tcp")
    datagrams = phones.callee(daemon, port=stream.port)
    caller.invite(f"sip:bob@{stream.hostport}", raw=LONG if long else b"")
    callee = stream if long else datagrams
    assert callee.take().get("Via").startswith(f"SIP/2.0/{callee.via} ")
    callee.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    leg.bye(callee)
    assert not (datagrams if long else stream).seen


def test_a_long_request_stays_on_udp_where_there_is_no_tcp(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}", raw=LONG)
    assert callee.take().get("Via").startswith("SIP/2.0/UDP ")
    callee.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    leg.bye(callee)
