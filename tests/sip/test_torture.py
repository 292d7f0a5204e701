"""The messages of RFC 4475 over a real socket; after each of them a call goes through."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable, Iterator

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
    with contextlib.closing(_socket(SERVER, free_port())) as sock:
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
    # tshark does not know "Via  :" or escaped control characters: what it says of these messages,
    # which the RFC calls valid, says nothing of the daemon that passes them on.
    senders()["udp"].discard(daemon.port)
    yield daemon
    dns.stop()


class Sender:
    """Whoever sends the RFC's messages: one address, and each port that their Vias name."""

    def __init__(self, proxy: tuple[str, int]) -> None:
        self._proxy = proxy
        self._socks = {port: _socket(SENDER, port) for port in (5060, 5050, 5061)}
        self._heard: set[bytes] = set()

    def close(self) -> None:
        for sock in self._socks.values():
            sock.close()

    def send(self, data: bytes) -> None:
        self._socks[5060].sendto(data, self._proxy)

    def answered(self, data: bytes, status: bytes, port: int = 5060) -> None:
        """Wait for the final answer to ``data``, and acknowledge that of an INVITE."""
        request = Raw.of(data)
        got = b"SIP/2.0 100 "
        while got.startswith(b"SIP/2.0 100 "):
            got = self._socks[port].recv(65_535)
            self._heard.add(got)
        reply = Raw.of(got)
        assert reply.start == b"SIP/2.0 " + status
        if request.start.startswith(b"INVITE "):
            lines = [request.start.replace(b"INVITE", b"ACK", 1), *request.vias[:1]]
            lines += request.named(b"from", b"f")[:1] + reply.named(b"to", b"t")
            lines += request.named(b"call-id", b"i")[:1]
            lines += [request.named(b"cseq")[0].replace(b"INVITE", b"ACK"), b"", b""]
            self.send(b"\r\n".join(lines))

    def hears_no_more(self) -> None:
        """Nothing but copies of what it has heard."""
        for sock in self._socks.values():
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while (data := sock.recv(65_535)) in self._heard:
                    pass
                pytest.fail(f"unexpected: {data!r}")


@pytest.mark.parametrize("name", NAMES)
def test_a_message_of_the_rfc_and_then_a_call(
    tortured: Daemon, server: socket.socket, phones: Phones, name: str
) -> None:
    # Many of them have this branch, which makes one the retransmission of another.
    data = read(name).replace(b"=z9hG4bKkdjuw\r\n", b"=z9hG4bKkdjuw.%s\r\n" % name.encode())
    with contextlib.closing(Sender(tortured.address)) as sender:
        sender.send(data)
        refused = REFUSED.get(name)
        if refused is not None:
            sender.answered(data, f"{refused.status} {refused.reason}".encode(), refused.port)
        elif name in REPLIES:
            # Whatever it would send comes before the answer to this.
            options = _options(f"sip:{tortured.hostport}", name)
            sender.send(options)
            sender.answered(options, b"200 OK")
        elif FORWARDED[name].port == ROUTED[1]:
            with contextlib.closing(_socket(*ROUTED)) as router:
                _forwarded(name, data, sender, router)
        else:
            _forwarded(name, data, sender, server)
        phones.talk(tortured).hang_up()
        sender.hears_no_more()
    tortured.check_log()


def _forwarded(name: str, data: bytes, sender: Sender, callee: socket.socket) -> None:
    sent = Raw.of(data)
    passed, proxy = callee.recvfrom(65_535)
    while (got := Raw.of(passed)).named(b"call-id", b"i") != sent.named(b"call-id", b"i"):
        # One before it, sent again.
        passed, proxy = callee.recvfrom(65_535)
    assert got.kept == sent.kept
    assert got.body == sent.cut()
    assert got.hops() == FORWARDED[name].hops
    callee.sendto(answer(passed, b"480 Not now"), proxy)
    sender.answered(data, b"480 Not now")


def _options(uri: str, name: str) -> bytes:
    return (
        f"OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SENDER}:5060;branch=z9hG4bK-{name}\r\n"
        f"From: <sip:a@b.example>;tag=1\r\nTo: <{uri}>\r\nCall-ID: {name}\r\n"
        "CSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()
