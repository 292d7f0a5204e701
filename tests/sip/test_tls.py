"""TLS: who is believed, what is refused, and certificates that are replaced while calls go on."""

from __future__ import annotations

import shutil
import signal
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sip.harness.certs import Authority, Identity
from tests.sip.harness.daemon import T1, Daemon, poll
from tests.sip.harness.message import build
from tests.sip.harness.peer import Caller, new_branch, response
from tests.sip.harness.phones import Call, Phones
from tests.sip.harness.stream import Contexts, StreamCallee, StreamCaller, contexts


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that the daemon does not know."""
    return Authority(tmp_path_factory.mktemp("stranger"))


@pytest.fixture(scope="module")
def known(authority: Authority) -> Contexts:
    """Of a phone that all is well with."""
    return contexts(authority, authority.issue())


def tls_daemon(
    start: Callable[..., Daemon], authority: Authority, own: Identity | None = None, **tls: Any
) -> Daemon:
    own = own or authority.issue()
    files = {
        "certificate": str(own.certificate),
        "private_key": str(own.private_key),
        "ca_file": str(authority.ca_file),
    }
    return start(
        sip={"t1": T1, "t4": 0.5},
        kinds=("udp", "tcp", "tls"),
        tables={"sip.stream": {"handshake_timeout": 1.0}, "sip.tls": {**files, **tls}},
    )


@pytest.fixture(scope="module")
def daemon(start_daemon: Callable[..., Daemon], authority: Authority) -> Daemon:
    return tls_daemon(start_daemon, authority, verify_client="require")


@pytest.fixture(scope="module")
def lenient(start_daemon: Callable[..., Daemon], authority: Authority) -> Daemon:
    return tls_daemon(start_daemon, authority, verify_client="optional", verify_server=False)


def tls_caller(daemon: Daemon, phones: Phones, tls: Contexts) -> StreamCaller:
    caller = phones.caller(daemon, kind="tls", tls=tls)
    assert isinstance(caller, StreamCaller)
    return caller


def tls_callee(daemon: Daemon, phones: Phones, tls: Contexts) -> StreamCallee:
    callee = phones.callee(daemon, kind="tls", tls=tls)
    assert isinstance(callee, StreamCallee)
    return callee


def talk(caller: Caller, callee: StreamCallee) -> Call:
    caller.invite(f"sip:bob@{callee.hostport};transport=tls")
    callee.take()
    callee.answer()
    a = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    return Call(caller, callee, a, callee.leg())


def options(caller: StreamCaller, daemon: Daemon) -> None:
    """An OPTIONS, and its answer."""
    caller.send(
        build(
            f"OPTIONS sip:{daemon.at('tls')};transport=tls SIP/2.0",
            [
                ("Via", f"SIP/2.0/TLS {caller.hostport};branch={new_branch()}"),
                ("Max-Forwards", "70"),
                ("From", f"<sip:{caller.hostport}>;tag=1"),
                ("To", f"<sip:{daemon.hostport}>"),
                ("Call-ID", caller.callid),
                ("CSeq", "1 OPTIONS"),
            ],
        )
    )
    caller.expect(200)


# -- calls -----------------------------------------------------------------------------------------


def test_a_call(daemon: Daemon, phones: Phones, known: Contexts) -> None:
    call = talk(tls_caller(daemon, phones, known), tls_callee(daemon, phones, known))
    assert call.callee.invite.get("Via").startswith(f"SIP/2.0/TLS {daemon.at('tls')};")
    assert f"<sip:{daemon.at('tls')};transport=tls;lr" in call.callee.invite.get("Record-Route")
    call.a.transact("INVITE", call.callee)
    call.b.transact("INVITE", call.caller)
    call.hang_up()


def test_both_sides_are_told_of_a_kill(daemon: Daemon, phones: Phones, known: Contexts) -> None:
    call = talk(tls_caller(daemon, phones, known), tls_callee(daemon, phones, known))
    daemon.wait_state(phones.callid, 4, legs=1)
    assert daemon.kill("http", phones.callid, call.caller.tag, call.callee.tag) == (200, "OK")
    for phone in (call.caller, call.callee):
        phone.send(response(phone.expect("BYE"), 200))
    daemon.wait_ended(phones.callid)


# -- whom the daemon believes when it connects -----------------------------------------------------


@pytest.fixture(params=["stranger", "other-name", "expired"])
def impostor(request: pytest.FixtureRequest, authority: Authority, stranger: Authority) -> Identity:
    if request.param == "stranger":
        return stranger.issue()
    if request.param == "other-name":
        return authority.issue("example.com", "192.0.2.1")
    return authority.issue(expired=True)


def test_a_callee_that_is_not_who_it_should_be(
    daemon: Daemon, phones: Phones, authority: Authority, impostor: Identity
) -> None:
    caller = phones.caller(daemon)
    callee = tls_callee(daemon, phones, contexts(authority, impostor))
    caller.invite(f"sip:bob@{callee.hostport};transport=tls")
    while not (callee.pump(0.1) or caller.pump(0.01)) or not any(
        message.status >= 300 for message in caller.pending
    ):
        assert not callee.seen, "the INVITE was sent to somebody who cannot be believed"
    caller.ack_failure(caller.expect_any(500, 503))
    assert not callee.seen
    daemon.wait_ended(phones.callid)


def test_verify_server_can_be_switched_off(
    lenient: Daemon, phones: Phones, authority: Authority, impostor: Identity
) -> None:
    callee = tls_callee(lenient, phones, contexts(authority, impostor))
    caller = phones.caller(lenient)
    caller.invite(f"sip:bob@{callee.hostport};transport=tls")
    callee.take()
    callee.refuse(486)
    caller.ack_failure(caller.expect(486))


# -- whom it believes when somebody connects -------------------------------------------------------


@pytest.fixture(params=["none", "stranger", "expired"])
def unwanted(request: pytest.FixtureRequest, authority: Authority, stranger: Authority) -> Contexts:
    shown = {
        "none": None,
        "stranger": stranger.issue(),
        "expired": authority.issue(expired=True),
    }[request.param]
    return contexts(authority, shown)


def test_a_client_without_a_good_certificate(
    daemon: Daemon, phones: Phones, unwanted: Contexts
) -> None:
    caller = tls_caller(daemon, phones, unwanted)
    refused(caller)
    options_of_a_friend(daemon, phones)


def refused(caller: StreamCaller) -> None:
    """Nothing but the end of the connection comes."""
    try:
        connection = caller.connect()
        # With TLS 1.3 a client learns only now that its certificate was not taken.
        connection.send(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    except OSError:
        return
    caller.wait_closed(connection, 5)
    assert not caller.seen


def options_of_a_friend(daemon: Daemon, phones: Phones) -> None:
    """It serves others still."""
    friend = phones.caller(daemon)
    friend.barrier()
    daemon.check_log()


def test_an_optional_certificate(
    lenient: Daemon, phones: Phones, authority: Authority, stranger: Authority
) -> None:
    for shown in (None, authority.issue()):
        caller = tls_caller(lenient, phones, contexts(authority, shown))
        options(caller, lenient)
    refused(tls_caller(lenient, phones, contexts(authority, stranger.issue())))


def test_the_daemon_shows_its_certificate(
    daemon: Daemon, phones: Phones, stranger: Authority, authority: Authority
) -> None:
    """A client that believes other authorities than the daemon's notices."""
    caller = tls_caller(daemon, phones, contexts(stranger, authority.issue()))
    with pytest.raises(ssl.SSLCertVerificationError):
        caller.connect()


def test_old_versions_are_refused(daemon: Daemon, phones: Phones, authority: Authority) -> None:
    old = contexts(authority, authority.issue())
    old.client.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.client.minimum_version = old.client.maximum_version = ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError):
        tls_caller(daemon, phones, old).connect()
    old.client.maximum_version = ssl.TLSVersion.TLSv1_2
    options(tls_caller(daemon, phones, old), daemon)


# -- the wrong thing on the wrong port -------------------------------------------------------------


def test_plain_sip_on_the_port_of_tls(daemon: Daemon, phones: Phones) -> None:
    caller = phones.caller(daemon, kind="tcp")
    assert isinstance(caller, StreamCaller)
    connection = caller.connect(daemon.where("tls"))
    connection.send(b"OPTIONS sip:x SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    caller.wait_closed(connection)
    assert not caller.seen
    options_of_a_friend(daemon, phones)


def test_tls_on_the_port_of_tcp(daemon: Daemon, phones: Phones, known: Contexts) -> None:
    caller = tls_caller(daemon, phones, known)
    with pytest.raises(OSError, match=r".+"):
        caller.connect(daemon.where("tcp"))
    options_of_a_friend(daemon, phones)


def test_a_client_that_never_says_hello(daemon: Daemon, phones: Phones) -> None:
    """It has handshake_timeout."""
    caller = phones.caller(daemon, kind="tcp")
    assert isinstance(caller, StreamCaller)
    caller.wait_closed(caller.connect(daemon.where("tls")), 5)


# -- new certificates ------------------------------------------------------------------------------


def serial(caller: StreamCaller) -> str:
    """The number of the certificate that the daemon shows a new connection."""
    sock = caller.connect().sock
    assert isinstance(sock, ssl.SSLSocket)
    shown = sock.getpeercert()
    assert shown
    return str(shown["serialNumber"])


def test_a_certificate_is_replaced_while_a_call_goes_on(
    start_daemon: Callable[..., Daemon],
    phones: Phones,
    authority: Authority,
    known: Contexts,
    tmp_path: Path,
) -> None:
    files = Identity(tmp_path / "own.pem", tmp_path / "own.key")

    def use(new: Identity) -> None:
        shutil.copy(new.certificate, files.certificate)
        shutil.copy(new.private_key, files.private_key)

    use(authority.issue())
    daemon = tls_daemon(start_daemon, authority, files, verify_client="require")
    call = talk(tls_caller(daemon, phones, known), tls_callee(daemon, phones, known))
    visitor = tls_caller(daemon, phones, known)
    before = serial(visitor)

    use(authority.issue())
    daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: serial(visitor) != before, 10, lambda: "it still shows the old certificate")
    after = serial(visitor)

    # One that cannot be read changes nothing, and is named.
    files.certificate.write_text("-----BEGIN CERTIFICATE-----\nnot one\n")
    seen = len(daemon.stderr())
    daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: str(files.certificate) in daemon.stderr()[seen:], 10, daemon.stderr)
    assert serial(visitor) == after

    assert isinstance(call.caller, StreamCaller)
    assert isinstance(call.callee, StreamCallee)
    call.a.transact("INVITE", call.callee)
    call.b.transact("INVITE", call.caller)
    call.hang_up()
    # One connection in each direction, from beginning to end.
    assert (len(call.caller.open), call.caller.accepted) == (2, 1)
    assert (len(call.callee.open), call.callee.accepted) == (1, 1)
    daemon.check_log()
