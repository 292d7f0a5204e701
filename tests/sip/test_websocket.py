"""SIP over WebSocket (RFC 7118): browsers, which cannot be connected to, on either side."""

from __future__ import annotations

import shutil
import signal
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.sip.harness.certs import Authority, Identity
from tests.sip.harness.daemon import T1, Daemon, Route, poll
from tests.sip.harness.peer import Callee, Caller, response
from tests.sip.harness.phones import Call, Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.stream import Contexts, contexts
from tests.sip.harness.websocket import Refused, WebCallee, WebCaller, WebSocket

NOWHERE = "sip:alice@df7jal23ls0d.invalid;transport=ws"
DESK = free_port()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def daemon(start_daemon: Callable[..., Daemon], authority: Authority) -> Daemon:
    own = authority.issue()
    return start_daemon(
        sip={"t1": T1, "t4": 0.5},
        kinds=("udp", "tcp", "ws", "wss"),
        routes=[Route("desk", (DESK,), fix_contact=True)],
        tables={
            "sip.stream": {"idle_timeout": 3.0, "ping_interval": 0.5},
            "sip.tls": {
                "certificate": str(own.certificate),
                "private_key": str(own.private_key),
                "ca_file": str(authority.ca_file),
            },
        },
    )


@pytest.fixture(params=["ws", "wss"])
def browser(request: pytest.FixtureRequest, authority: Authority) -> dict[str, Any]:
    """What makes a phone a browser."""
    tls: Contexts | None = contexts(authority) if request.param == "wss" else None
    return {"kind": request.param, "tls": tls}


def talk(caller: Caller, callee: Callee) -> Call:
    caller.invite(f"sip:bob@{callee.hostport}{callee.where}")
    callee.take()
    callee.ring()
    caller.expect(180)
    callee.answer()
    a = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    return Call(caller, callee, a, callee.leg())


@pytest.fixture(params=["from-browser", "to-browser", "between-browsers"])
def call(
    request: pytest.FixtureRequest, daemon: Daemon, phones: Phones, browser: dict[str, Any]
) -> Call:
    calling, called = (
        {"from-browser": (browser, {}), "to-browser": ({}, browser)}
    ).get(request.param, (browser, browser))  # fmt: skip
    return talk(phones.caller(daemon, **calling), phones.callee(daemon, **called))


def test_a_whole_call(daemon: Daemon, phones: Phones, call: Call) -> None:
    assert call.callee.invite.get("Via").startswith(f"SIP/2.0/{call.callee.via} ")
    call.a.transact("INVITE", call.callee)
    call.b.transact("INVITE", call.caller)
    call.b.bye(call.caller)
    daemon.wait_ended(phones.callid)


def test_both_sides_are_told_of_a_kill(daemon: Daemon, phones: Phones, call: Call) -> None:
    daemon.wait_state(phones.callid, 4, legs=1)
    assert daemon.kill("http", phones.callid, call.caller.tag, call.callee.tag) == (200, "OK")
    for phone in (call.caller, call.callee):
        phone.send(response(phone.expect("BYE"), 200))
    daemon.wait_ended(phones.callid)


def test_a_kill_while_it_rings(daemon: Daemon, phones: Phones, browser: dict[str, Any]) -> None:
    caller, callee = phones.caller(daemon, **browser), phones.callee(daemon, **browser)
    caller.invite(f"sip:bob@{callee.hostport}{callee.where}")
    callee.take()
    callee.ring()
    caller.expect(180)
    assert daemon.kill("http", phones.callid, caller.tag, callee.tag) == (200, "OK")
    caller.ack_failure(caller.expect(488))
    callee.take_cancel()
    daemon.wait_ended(phones.callid)


def test_a_browser_that_does_not_know_where_it_is(daemon: Daemon, phones: Phones) -> None:
    """Its Contact and Via name nobody; with fix_contact it is told of the kill all the same."""
    caller, callee = phones.caller(daemon, kind="ws"), phones.callee(daemon, port=DESK)
    caller.contact = NOWHERE
    caller.invite(f"sip:desk@{daemon.hostport}")
    callee.take()
    callee.answer()
    caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    daemon.wait_state(phones.callid, 4, legs=1)
    assert daemon.kill("http", phones.callid, caller.tag, callee.tag) == (200, "OK")
    bye = caller.expect("BYE")
    assert bye.uri == NOWHERE
    caller.send(response(bye, 200))
    callee.send(response(callee.expect("BYE"), 200))
    daemon.wait_ended(phones.callid)


def test_a_browser_that_has_gone(daemon: Daemon, phones: Phones) -> None:
    """Nobody can be connected to: the call fails at once, and is not left ringing."""
    caller, callee = phones.caller(daemon), phones.callee(daemon, kind="ws")
    callee.close()
    caller.invite(f"sip:bob@{callee.hostport};transport=ws")
    caller.ack_failure(caller.expect_any(480, 500, 503))
    daemon.wait_ended(phones.callid)


def test_a_browser_that_goes_while_it_rings(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon, kind="ws")
    caller.invite(f"sip:bob@{callee.hostport};transport=ws")
    callee.take()
    callee.close()
    caller.ack_failure(caller.expect_any(500, 503))
    daemon.wait_ended(phones.callid)


def test_pings(daemon: Daemon, phones: Phones) -> None:
    """The daemon pings, and answers CRLF pings too (RFC 7118 6)."""
    caller = phones.caller(daemon, kind="ws")
    assert isinstance(caller, WebCaller)
    caller.send(b"\r\n\r\n")
    caller.pump(1.5)
    assert caller.seen[0].raw == b"\r\n"
    while not caller.connection.pings:
        assert not caller.connection.closed
        caller.pump(1.0)


def test_a_browser_that_pings_is_not_idle(daemon: Daemon, phones: Phones) -> None:
    """Its frames say nothing of SIP, but that it is there; without them it is cut off."""
    caller = phones.caller(daemon, kind="ws")
    assert isinstance(caller, WebCaller)
    connection = caller.connection
    end = time.monotonic() + 4.5
    while time.monotonic() < end:
        connection.ping(b"there?")
        caller.pump(0.2)
    assert not connection.closed
    assert connection.pongs > 5
    connection.answers_pings = False
    poll(lambda: caller.pump(0.1) or connection.closed, 10, lambda: "it is not cut off")


@pytest.mark.parametrize(("protocol", "code"), [("", "400"), ("chat", "400")])
def test_another_protocol_is_refused(daemon: Daemon, protocol: str, code: str) -> None:
    with (
        closing(socket.create_connection(daemon.where("ws"), 5)) as sock,
        pytest.raises(Refused, match=f"HTTP/1.1 {code} "),
    ):
        WebSocket(sock, daemon.at("ws"), protocol)


def test_garbage_in_a_frame(daemon: Daemon, phones: Phones) -> None:
    """It is dropped, or its connection is; others do not notice."""
    bad, good = phones.callee(daemon, kind="ws"), phones.callee(daemon, kind="ws")
    assert isinstance(bad, WebCallee)
    for garbage in (b"\x00", b"hello", b"\xff\xfe" * 500, b"INVITE", b" \r\n" * 100):
        bad.send(garbage)
        bad.pump(0.1)
        if bad.connection.closed:
            break
    good.callid = ""
    good.barrier()
    daemon.check_log()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: "])
def test_whoever_never_becomes_a_client_is_cut_off(
    start_daemon: Callable[..., Daemon], sent: bytes
) -> None:
    daemon = start_daemon(kinds=("udp", "ws"), tables={"sip.stream": {"handshake_timeout": 0.5}})
    with closing(socket.create_connection(daemon.where("ws"), 5)) as sock:
        sock.sendall(sent)
        sock.settimeout(5)
        with suppress(ConnectionResetError):
            assert sock.recv(1) == b""


def test_connections_are_limited_before_they_are_clients(
    start_daemon: Callable[..., Daemon],
) -> None:
    daemon = start_daemon(
        kinds=("udp", "ws"), tables={"sip.stream": {"max_connections_per_peer": 2}}
    )
    with ExitStack() as stack:
        idle = [
            stack.enter_context(closing(socket.create_connection(daemon.where("ws"), 5)))
            for _ in range(3)
        ]
        idle[2].settimeout(5)
        with suppress(ConnectionResetError):
            assert idle[2].recv(1) == b""


def test_a_new_certificate_is_shown_to_new_browsers(
    start_daemon: Callable[..., Daemon], authority: Authority, tmp_path: Path
) -> None:
    def use(new: Identity) -> None:
        shutil.copy(new.certificate, files.certificate)
        shutil.copy(new.private_key, files.private_key)

    def serial() -> str:
        trusted = contexts(authority).client
        with (
            closing(socket.create_connection(daemon.where("wss"), 5)) as sock,
            trusted.wrap_socket(sock, server_hostname="127.0.0.1") as wrapped,
        ):
            shown = wrapped.getpeercert()
        assert shown
        return str(shown["serialNumber"])

    files = Identity(tmp_path / "own.pem", tmp_path / "own.key")
    use(authority.issue())
    tls = {"certificate": str(files.certificate), "private_key": str(files.private_key)}
    daemon = start_daemon(kinds=("udp", "wss"), tables={"sip.tls": tls})
    before = serial()
    use(authority.issue())
    daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: serial() != before, 10, daemon.stderr)
