"""UDP sockets on the signalling loop."""

from __future__ import annotations

import logging
import socket
from collections import OrderedDict
from collections.abc import Callable

from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.settings import Listener

_LOG = logging.getLogger(__name__)

Address = tuple[str, int]
"""Numeric host without brackets, and port."""

DRAIN = 64
"""Datagrams read per wake-up, so that a flood leaves room for timers and own sending."""

_RECEIVE_BUFFER = 4 * 1024 * 1024
_LOCAL_CACHE = 1024


class UdpSocket:
    """One bound UDP socket. receive: called with each datagram, its source and this socket.

    sent and unsent count datagrams; ``unsent`` are those that the system refused.
    """

    def __init__(
        self,
        listener: Listener,
        max_message: int,
        receive: Callable[[bytes, Address, UdpSocket], None],
    ) -> None:
        self.listener = listener
        self.family = socket.AF_INET6 if ":" in listener.host else socket.AF_INET
        self.received = 0
        self.sent = 0
        self.unsent = 0
        self._max = max_message
        self._receive = receive
        self._local: OrderedDict[str, str] = OrderedDict()
        sock = socket.socket(self.family, socket.SOCK_DGRAM)
        try:
            if self.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
            sock.setblocking(False)
            sock.bind((listener.host, listener.port))
        except OSError as error:
            sock.close()
            where = f"{listener.transport}:{host_text(listener.host)}:{listener.port}"
            msg = f"cannot listen on {where}: {error.strerror or error}"
            raise ListenError(msg) from error
        self._sock = sock
        bound = sock.getsockname()
        self.host: str = bound[0]
        self.port: int = bound[1]
        self.wildcard = self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self._sent_by = f"{host_text(self.host)}:{self.port}"

    @property
    def name(self) -> str:
        """As operators write it: ``udp:host:port``."""
        return f"udp:{host_text(self.host)}:{self.port}"

    def start(self, add_reader: Callable[[int, Callable[[], None]], None]) -> None:
        """Have the socket read whenever it is readable."""
        add_reader(self._sock.fileno(), self._readable)

    def close(self) -> None:
        """Close the socket; the loop that reads it must have stopped."""
        self._sock.close()

    def _readable(self) -> None:
        recvfrom, size, receive = self._sock.recvfrom, self._max, self._receive
        for _ in range(DRAIN):
            try:
                data, source = recvfrom(size)
            except BlockingIOError:
                return
            except OSError as error:
                # An ICMP error for something sent earlier; the transaction's timer deals with it.
                _LOG.debug("%s: %s", self.name, error)
                return
            self.received += 1
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
        return True

    def address_towards(self, host: str) -> str:
        """The own address that a peer at ``host`` sees; the bound one unless it is a wildcard."""
        if not self.wildcard:
            return self.host
        known = self._local.get(host)
        if known is None:
            with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
                # Connecting a UDP socket sends nothing; it only asks for a route.
                try:
                    probe.connect((host, 9))
                    known = probe.getsockname()[0]
                except OSError:
                    known = "::1" if self.family == socket.AF_INET6 else "127.0.0.1"
            self._local[host] = known
            if len(self._local) > _LOCAL_CACHE:
                self._local.popitem(last=False)
        return known

    def sent_by(self, host: str) -> str:
        """Host and port of the own Via towards a peer at ``host`` (RFC 3261 18.1.1)."""
        if not self.wildcard:
            return self._sent_by
        return f"{host_text(self.address_towards(host))}:{self.port}"

    def is_own(self, host: str, port: int) -> bool:
        """Whether ``host:port`` (numeric host) is this socket."""
        if port != self.port:
            return False
        if host == self.host:
            return True
        return self.wildcard and is_local_address(host)


def host_text(host: str) -> str:
    """A host as it stands in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


_OWN: OrderedDict[str, bool] = OrderedDict()


def is_local_address(host: str) -> bool:
    """Whether ``host`` is a numeric address of this machine, found by binding to it."""
    known = _OWN.get(host)
    if known is None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))
                known = True
            except OSError:
                known = False
        _OWN[host] = known
        if len(_OWN) > _LOCAL_CACHE:
            _OWN.popitem(last=False)
    return known
