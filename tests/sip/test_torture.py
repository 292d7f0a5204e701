"""The messages of RFC 4475 over a real socket; after each of them a call goes through."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext

import pytest

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.dnsmasq import BINARY, Dnsmasq
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port, senders
from tests.unit.sip.torture import FORWARDED, NAMES, REFUSED, REPLIES, Raw, answer, read

pytestmark = pytest.mark.skipif(
    BINARY is None,
    reason="dnsmasq is not installed (Debian: apt-get install dnsmasq-base): "
    "NO MESSAGE OF RFC 4475 WENT OVER A SOCKET",
)

SENDER, SERVER = "127.0.0.75", "127.0.0.76"
# The RFC's own: where mpart01 is routed to.
ROUTED = "127.0.0.1", 5080
DOMAINS = ("example.com", "example.net", "example.org", "company.com")
HOSTS = ("services.example.com", "registrar.example.com")


def _socket(host: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.settimeout(5.0)
    sock.bind((host, port))
    return sock


@pytest.fixture(scope="module")
def server() -> Iterator[socket.socket]:
    """Whoever the domains of the RFC belong to."""
    with closing(_socket(SERVER, free_port())) as sock:
        yield sock


@pytest.fixture(scope="module")
def tortured(
    tmp_path_factory: pytest.TempPathFactory,
    start_daemon: Callable[..., Daemon],
    server: socket.socket,
) -> Iterator[Daemon]:
    port = server.getsockname()[1]
    records = [f"--local=/{domain}/" for domain in DOMAINS]
    records += [f"--srv-host=_sip._udp.{name},phone.example,{port}" for name in DOMAINS + HOSTS]
    dns = Dnsmasq(tmp_path_factory.mktemp("dns"), *records, f"--host-record=phone.example,{SERVER}")
    daemon = start_daemon(
        sip={"t1": 0.1, "t4": 0.2}, tables={"sip.dns": {"servers": [dns.address]}}
    )
    # tshark does not know "Via  :" or "BEL:\\x07": its judgement of these messages, which the RFC
    # calls valid, is none of the daemon that passes them on.
    senders()["udp"].discard(daemon.port)
    yield daemon
    dns.stop()


def receive(sock: socket.socket, start: bytes) -> bytes:
    """The next message that is none of those that are sent again; it begins with ``start``."""
    data = sock.recv(65_535)
    while data.startswith(b"SIP/2.0 100 "):
        data = sock.recv(65_535)
    assert data.startswith(start), data
    return data


@pytest.mark.parametrize("name", NAMES)
def test_a_message_of_the_rfc_and_then_a_call(
    tortured: Daemon, server: socket.socket, phones: Phones, name: str
) -> None:
    sent = Raw.of(read(name))
    refused = REFUSED.get(name)
    port = refused.port if refused is not None else 5060
    # Many of them have this branch, which makes one the retransmission of another.
    data = read(name).replace(b"=z9hG4bKkdjuw\r\n", b"=z9hG4bKkdjuw.%s\r\n" % name.encode())
    with (
        closing(_socket(SENDER, 5060)) as sender,
        closing(_socket(SENDER, 5050)) as other,
        closing(_socket(SENDER, 5061)) as secure,
    ):
        heard = {5060: sender, 5050: other, 5061: secure}[port]
        sender.sendto(data, tortured.address)
        if refused is not None:
            receive(heard, f"SIP/2.0 {refused.status} {refused.reason}\r\n".encode())
        elif name in REPLIES:
            # Whatever it would send comes before the answer to this.
            sender.sendto(_options(f"sip:{tortured.hostport}", name), tortured.address)
            receive(sender, b"SIP/2.0 200 OK\r\n")
        else:
            _forwarded(name, sent, sender, server)
        phones.talk(tortured).hang_up()
        sender.setblocking(False)
        with pytest.raises(BlockingIOError):
            sender.recv(65_535)
    tortured.check_log()


def _forwarded(name: str, sent: Raw, sender: socket.socket, server: socket.socket) -> None:
    routed = FORWARDED[name].port == ROUTED[1]
    with closing(_socket(*ROUTED)) if routed else nullcontext(server) as callee:
        callid = sent.named(b"call-id", b"i")
        data, proxy = callee.recvfrom(65_535)
        while (got := Raw.of(data)).named(b"call-id", b"i") != callid:
            # One before it, sent again.
            data, proxy = callee.recvfrom(65_535)
        assert got.kept == sent.kept
        assert got.body == sent.cut()
        assert got.hops() == FORWARDED[name].hops
        callee.sendto(answer(data, b"480 Not now"), proxy)
        receive(sender, b"SIP/2.0 480 Not now\r\n")
        if sent.start.startswith(b"INVITE"):
            assert callee.recv(65_535).startswith(b"ACK ")
            ack = [b"ACK" + sent.start[6:], *sent.vias[:1], *sent.named(b"from", b"f")]
            ack += [*sent.named(b"to", b"t"), *sent.named(b"call-id", b"i")]
            cseq = sent.named(b"cseq")[0].replace(b"INVITE", b"ACK")
            sender.sendto(b"\r\n".join([*ack, cseq, b"", b""]), proxy)


def _options(uri: str, name: str) -> bytes:
    return (
        f"OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SENDER}:5060;branch=z9hG4bK-{name}\r\n"
        f"From: <sip:a@b.example>;tag=1\r\nTo: <{uri}>\r\nCall-ID: {name}\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()
