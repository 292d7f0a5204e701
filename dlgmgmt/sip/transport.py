"""UDP sockets on the signalling loop."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from collections.abc import Callable

from dlgmgmt.sip.bound import Bound, family_of
from dlgmgmt.sip.flow import Address, Failed, Tap
from dlgmgmt.sip.settings import Listener

_LOG = logging.getLogger(__name__)

DRAIN = 64
"""Datagrams read per wake-up, so that a flood leaves room for timers and own sending."""

_NO_ROOM = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})

_PENDING = frozenset(
    {
        errno.ECONNREFUSED,
        errno.EHOSTUNREACH,
        errno.ENETUNREACH,
        errno.EACCES,
        errno.EMSGSIZE,
        errno.ENOPROTOOPT,
        errno.EPROTO,
        errno.EOPNOTSUPP,
    }
)

_RECVERR = {socket.AF_INET: (socket.IPPROTO_IP, 11), socket.AF_INET6: (socket.IPPROTO_IPV6, 25)}
"""IP_RECVERR and IPV6_RECVERR of Linux."""

_QUOTED = 2048
"""Bytes of a datagram that are read of what ICMP repeats of it."""

_ICMP, _ICMP6 = 2, 3
_UNREACHABLE = {_ICMP: 3, _ICMP6: 1}
_TOO_BIG = 4

_RECEIVE_BUFFER = 4 * 1024 * 1024


def _nobody(data: bytes, addr: Address) -> None:
    """Who is told of errors, if somebody is."""


class UdpSocket(Bound):
    """One bound UDP socket. receive: called with each datagram, its source and this socket.

    unreachable: called with what the network repeats of a datagram that came to nobody, and where
    that was to go.

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
        unreachable: Callable[[bytes, Address], None] = _nobody,
    ) -> None:
        # One for all: a buffer for each datagram, shrunk to what came, leaves the heap in pieces.
        self._buffer = memoryview(bytearray(max_message))
        self._receive = receive
        self._unreachable = unreachable
        sock = socket.socket(family_of(listener.host), socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        # Another system than Linux has none of it: there the transactions' timers tell.
        with contextlib.suppress(OSError):
            sock.setsockopt(*_RECVERR[sock.family], 1)
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
        for count in range(DRAIN):
            try:
                size, source = recvfrom_into(buffer)
            except OSError:
                # With nothing to read it is an error that has woken us.
                if not count:
                    self._read_errors()
                return
            self.received += 1
            receive(bytes(buffer[:size]), (source[0], source[1]), self)

    def _read_errors(self) -> None:
        """Take what ICMP says of datagrams that were sent, which it repeats (ip(7))."""
        for _ in range(DRAIN):
            try:
                data, ancillary, _, peer = self._sock.recvmsg(_QUOTED, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            if data and any(_is_final(value) for _, _, value in ancillary):
                self._unreachable(data, (peer[0], peer[1]))

    def send(self, data: bytes, addr: Address) -> bool:
        """Send one datagram; False if the system refused it.

        One for which there is no room just now is lost, as it could be anywhere on its way: that
        says nothing of where it was to go.
        """
        try:
            self._send(data, addr)
        except OSError as error:
            self.unsent += 1
            _LOG.debug("%s to %s: %s", self.name, addr, error)
            return error.errno in _NO_ROOM
        self.sent += 1
        if self.tap is not None:
            self.tap.sent(self, addr, data)
        return True

    def _send(self, data: bytes, addr: Address) -> None:
        try:
            self._sock.sendto(data, addr)
        except OSError as error:
            if error.errno not in _PENDING:
                raise
            # It may be of another peer, for what was sent earlier; then it is said only once.
            self._sock.sendto(data, addr)

    def flow(self, addr: Address, name: str = "") -> UdpFlow:
        """The way to ``addr``."""
        del name
        return UdpFlow(self, addr)


def _is_final(value: bytes) -> bool:
    """Whether a sock_extended_err says that a destination cannot be reached (RFC 3261 18.4)."""
    if len(value) < 7:
        return False
    origin, kind, code = value[4:7]
    return kind == _UNREACHABLE.get(origin) and (origin, code) != (_ICMP, _TOO_BIG)


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
