"""Accepting connections, one by one: limits and certificates of the moment hold for each."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable
from typing import NoReturn

from dlgmgmt.sip.flow import Address
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.settings import StreamSettings
from dlgmgmt.sip.tls import TlsContexts

_QUIET = Quiet(logging.getLogger(__name__))

_PAUSE_AFTER_ERROR = 0.5
_AT_ONCE = 16
"""Connections taken in a row; then the loop has its turn, however many more there are."""


Begin = Callable[[socket.socket, Address], None]


class Census:
    """Connections alive, in all and by the host of the peer; shared by all stream listeners."""

    def __init__(self, settings: StreamSettings) -> None:
        self.settings = settings
        self.refused = 0
        self._hosts: Counter[str] = Counter()
        self._all = 0

    def __len__(self) -> int:
        """Connections alive."""
        return self._all

    def enter(self, host: str) -> bool:
        """Count a connection with ``host``; False if there are too many."""
        settings = self.settings
        if (
            self._all >= settings.max_connections
            or self._hosts[host] >= settings.max_connections_per_peer
        ):
            self.refused += 1
            if not self._hosts[host]:
                del self._hosts[host]
            return False
        self._all += 1
        self._hosts[host] += 1
        return True

    def leave(self, host: str) -> None:
        """A connection with ``host`` has ended."""
        self._all -= 1
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]


class Acceptor:
    """Takes connections off a listening socket.

    name: the listener's, for the log. census: counts each; whoever made its protocol says when it
    has ended. welcome: whether a peer may connect. tls: makes these connections TLS.
    """

    def __init__(
        self,
        sock: socket.socket,
        name: str,
        census: Census,
        welcome: Callable[[Address], bool],
        tls: TlsContexts | None,
    ) -> None:
        self._sock = sock
        self._name = name
        self._census = census
        self._welcome = welcome
        self._tls = tls

    async def run(self, loop: asyncio.AbstractEventLoop, begin: Begin) -> NoReturn:
        """Accept until it is cancelled. begin: given each socket and its peer."""
        taken = 0
        while True:
            taken += 1
            if taken % _AT_ONCE == 0:
                await asyncio.sleep(0)
            try:
                sock, address = await loop.sock_accept(self._sock)
            except OSError as error:
                # Out of file descriptors, say: the connection stays in the backlog.
                _QUIET.warning("%s: cannot accept: %s", self._name, error)
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
                continue
            peer = (address[0], address[1])
            if self._welcome(peer) and self._census.enter(peer[0]):
                begin(sock, peer)
            else:
                sock.close()

    async def open(
        self,
        loop: asyncio.AbstractEventLoop,
        sock: socket.socket,
        peer: Address,
        protocol: asyncio.Protocol,
    ) -> bool:
        """Have ``protocol`` speak with an accepted peer; False if TLS came to nothing."""
        tls = self._tls
        try:
            await loop.connect_accepted_socket(
                lambda: protocol,
                sock,
                ssl=None if tls is None else tls.server,
                ssl_handshake_timeout=(
                    None if tls is None else self._census.settings.handshake_timeout
                ),
            )
        except (OSError, ssl.SSLError) as error:
            _QUIET.info("%s: no connection with %s:%d: %s", self._name, *peer, why(error))
            sock.close()
            return False
        return True


def why(error: BaseException) -> str:
    """Why there is no connection, in a few words."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, ssl.SSLError):
        return error.reason or str(error)
    return str(getattr(error, "strerror", "") or error) or type(error).__name__
