"""UDP sockets on the signalling loop."""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable

from dlgmgmt.sip.bound import Bound, family_of
from dlgmgmt.sip.flow import Address, Failed, Tap
from dlgmgmt.sip.settings import Listener

_LOG = logging.getLogger(__name__)

DRAIN = 64
"""Datagrams read per wake-up, so that a flood leaves room for timers and own sending."""

_RECEIVE_BUFFER = 4 * 1024 * 1024


class UdpSocket(Bound):
    """One bound UDP socket. receive: called with each datagram, its source and this socket.

    sent and unsent count datagrams; ``unsent`` are those that the system refused.
    """

    kind = "udp"
    via = "UDP"
    reliable = False

    tap: Tap | None = None
    received = 0
    sent = 0
    unsent = 0

    def __init__(
        self,
        listener: Listener,
        max_message: int,
        receive: Callable[[bytes, Address, UdpSocket], None],
    ) -> None:
        # One for all: a buffer for each datagram, shrunk to what came, leaves the heap in pieces.
        self._buffer = memoryview(bytearray(max_message))
        self._receive = receive
        sock = socket.socket(family_of(listener.host), socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self.bind(listener, sock)
        self._sock = sock

    def start(self, add_reader: Callable[[int, Callable[[], None]], None]) -> None:
        """Have the socket read whenever it is readable."""
        add_reader(self._sock.fileno(), self._readable)

    def close(self) -> None:
        """Close the socket; the loop that reads it must have stopped."""
        self._sock.close()

    def _readable(self) -> None:
        recvfrom_into, buffer, receive = self._sock.recvfrom_into, self._buffer, self._receive
        tap = self.tap
        for _ in range(DRAIN):
            try:
                size, source = recvfrom_into(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP error for something sent earlier; the transaction's timer deals with it.
                _LOG.debug("%s: %s", self.name, error)
                return
            self.received += 1
            data = bytes(buffer[:size])
            if tap is not None:
                tap.received(self, (source[0], source[1]), data)
            receive(data, (source[0], source[1]), self)

    def send(self, data: bytes, addr: Address) -> bool:
        """Send one datagram; False if the system refused it."""
        try:
            self._sock.sendto(data, addr)
        except OSError as error:
            self.unsent += 1
            _LOG.debug("%s to %s: %s", self.name, addr, error)
            return False
        self.sent += 1
        if self.tap is not None:
            self.tap.sent(self, addr, data)
        return True

    def flow(self, addr: Address, name: str = "") -> UdpFlow:
        """The way to ``addr``."""
        del name
        return UdpFlow(self, addr)


class UdpFlow:
    """A UDP socket and an address."""

    __slots__ = ("peer", "transport")

    reused = False

    def __init__(self, transport: UdpSocket, peer: Address) -> None:
        self.transport = transport
        self.peer = peer

    def send(self, data: bytes, failed: Failed | None = None) -> bool:
        """Send a datagram; False if the system refused it. That it arrives is never known."""
        del failed
        return self.transport.send(data, self.peer)

    def settled(self, failed: Failed) -> None:
        """Nothing was waited for."""
