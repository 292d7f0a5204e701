"""Listeners and sockets: which one leads to a peer, and what their errors say."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterator
from typing import cast

import pytest

from dlgmgmt.sip.flow import Address, StreamFlow, Transport
from dlgmgmt.sip.framing import FramingError
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.settings import LimitSettings, Listener
from dlgmgmt.sip.transport import UdpSocket
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, PROXY, FakeClients, House, settings

OFFICE, HOME = ("10.0.0.1", 443), ("10.0.0.1", 8443)
BROWSER = "10.0.7.7", 50000


@pytest.mark.parametrize("where", ["alias=10.0.7.7~50000~6", "alias=10.0.7.7~50000~5"])
def test_a_browser_is_found_at_whichever_listener_it_is(make: Make, where: str) -> None:
    house = make(clients=(OFFICE, HOME))
    second = cast("FakeClients", house.world.sockets[-1])
    second.opened.add(BROWSER)
    house.alice.invite("1", uri=f"sip:carol@gone.invalid;{where}", method="MESSAGE")
    (mail,) = house.world.take()
    assert (mail.to, mail.sock, mail.sip.uri) == (BROWSER, second, "sip:carol@gone.invalid")


def test_an_own_route_names_a_secure_websocket_listener(make: Make) -> None:
    """RFC 7118 5: a URI calls both kinds ``ws``."""
    house = make(clients=(OFFICE, HOME))
    route = "Route: <sip:10.0.0.1:8443;transport=ws;lr>\r\n"
    msg = Message(f"MESSAGE sip:x@10.0.1.1 SIP/2.0\r\n{route}\r\n".encode())
    assert house.world.proxy.forwarder.router.preprocess(msg).out is house.world.sockets[-1]


class Everywhere:
    """Makes a socket one of a machine with an address in each network."""

    def __init__(self, house: House) -> None:
        self.sock = house.world.sockets[0]
        self.sock.wildcard = True
        self.sock._sent_by = ""

    def sent_by(self, host: str) -> str:
        return f"{host.rpartition('.')[0]}.254:5060"

    def is_own(self, host: str, port: int) -> bool:
        return host.endswith(".254") and port == 5060


def test_each_side_has_an_address_that_it_can_reach(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket that is bound to all addresses has one for the caller and one for the callee."""
    world = home.world
    everywhere = Everywhere(home)
    monkeypatch.setattr(type(everywhere.sock), "sent_by", lambda _, host: everywhere.sent_by(host))
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    towards_bob, towards_alice = invite.all("Record-Route")
    assert towards_bob.startswith("<sip:10.0.1.254:5060;")
    assert towards_alice.startswith("<sip:10.0.9.254:5060;")
    assert all("r2=on" in value for value in (towards_bob, towards_alice))
    did = f"did={world.view().did}"
    assert all(did in value for value in (towards_bob, towards_alice))
    home.bob.reply(invite, 486)


def test_one_address_needs_one_value(home: House) -> None:
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    assert len(invite.all("Record-Route")) == 1
    home.bob.reply(invite, 486)


# -- UDP -------------------------------------------------------------------------------------------


@pytest.fixture
def udp() -> Iterator[UdpSocket]:
    told: list[tuple[bytes, Address]] = []
    sock = UdpSocket(
        Listener("udp", "127.0.0.1", 0),
        65_535,
        lambda *_: None,
        lambda data, addr: told.append((data, addr)),
    )
    TOLD[sock] = told
    yield sock
    del TOLD[sock]
    sock.close()


TOLD: dict[UdpSocket, list[tuple[bytes, Address]]] = {}


class Full:
    """A socket of the system that has no room."""

    def __init__(self, number: int) -> None:
        self.number = number

    def sendto(self, data: bytes, addr: Address) -> int:
        raise OSError(self.number, "no")


@pytest.mark.parametrize(
    ("number", "sent"),
    [(errno.EAGAIN, True), (errno.ENOBUFS, True), (errno.EHOSTUNREACH, False)],
)
def test_a_full_buffer_is_a_datagram_that_is_lost(
    udp: UdpSocket, monkeypatch: pytest.MonkeyPatch, number: int, *, sent: bool
) -> None:
    """The transaction sends it again; that the server is dead it does not say."""
    with monkeypatch.context() as patched:
        patched.setattr(udp, "_sock", Full(number))
        assert udp.send(b"OPTIONS sip:a SIP/2.0\r\n\r\n", ("127.0.0.1", 9)) == sent
    assert udp.unsent == 1


def closed_port() -> Address:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        addr: Address = sock.getsockname()
    return addr


def test_a_closed_port_is_told_with_the_datagram_that_found_it(udp: UdpSocket) -> None:
    dead = closed_port()
    data = b"INVITE sip:a SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n" + b"x" * 2000
    assert udp.send(data, dead)
    end = time.monotonic() + 10
    while not TOLD[udp] and time.monotonic() < end:
        select.select([udp._sock], [], [udp._sock], 0.1)
        udp._readable()
    ((quoted, addr),) = TOLD[udp]
    assert addr == dead
    assert len(quoted) > 200
    assert data.startswith(quoted)
    # Nothing is left that would wake the loop again.
    assert select.select([udp._sock], [], [], 0) == ([], [], [])


def test_an_error_of_one_peer_does_not_keep_a_datagram_from_another(udp: UdpSocket) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as good:
        good.bind(("127.0.0.1", 0))
        good.settimeout(10)
        for _ in range(5):
            assert udp.send(b"to nobody", closed_port())
            assert udp.send(b"to somebody", good.getsockname())
            assert good.recv(100) == b"to somebody"


# -- what comes in ---------------------------------------------------------------------------------


class Ear:
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def received(self, transport: Transport, source: Address, data: bytes, /) -> None:
        self.heard.append(data)

    def sent(self, transport: Transport, peer: Address, data: bytes, /) -> None:
        """Nothing of what is sent."""


def test_a_flood_that_is_dropped_pushes_nothing_out_of_the_trace(make: Make) -> None:
    limits = LimitSettings(packets=10, rate=0, refusals=0)
    house = make(sip=settings(limits=limits))  # type: ignore[arg-type]
    ear = house.world.sockets[0].tap = Ear()
    for number in range(100):
        house.alice.invite("1", method="MESSAGE", cseq=number)
    assert len(ear.heard) == 10
    house.bob.inbox()


class Torn:
    """A connection that fails in a way that nobody has thought of."""

    transport: Transport
    peer = ALICE

    def send(self, data: bytes, failed: object = None) -> bool:
        raise RuntimeError("torn")


def test_what_cannot_be_read_takes_nothing_down(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    house = make(streams=(PROXY,))
    torn = Torn()
    torn.transport = house.world.sockets[-1]
    message = (
        b"MESSAGE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 10.0.9.1;branch=z9hG4bKx\r\n"
        b"From: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\n"
        b"Content-Length: -1\r\n\r\n"
    )
    house.world.proxy.unreadable(FramingError("bad", message), cast("StreamFlow", torn))
    assert "torn" in caplog.text
    # Such faults are counted; what this one has counted is not an error of the test.
    assert house.world.proxy.counters.errors == 1
    house.world.proxy.counters.errors = 0
    assert BOB not in [mail.to for mail in house.world.take()]
