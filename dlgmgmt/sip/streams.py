"""Listeners for TCP and TLS: accepting, connecting, and which connection leads where."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Protocol

from dlgmgmt.sip.accept import Acceptor, Census, why
from dlgmgmt.sip.bound import Bound, family_of, host_text
from dlgmgmt.sip.carrier import Carrier
from dlgmgmt.sip.connection import Connection
from dlgmgmt.sip.flow import Address, Failed, Tap
from dlgmgmt.sip.framing import FramingError
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.settings import Listener
from dlgmgmt.sip.tls import TlsContexts

_QUIET = Quiet(logging.getLogger(__name__))

Work = Coroutine[None, None, None]

SWEEP = 1.0
"""Seconds between two looks at what has been idle, or unfinished, for too long."""


class Receive(Protocol):
    """Where messages go: bytes, source, listener, and the way back."""

    def __call__(
        self, data: bytes, source: Address, sock: StreamListener, flow: StreamFlow, /
    ) -> None:
        """A whole message has come on a connection."""


class Broken(Protocol):
    """Who is told of a stream that cannot be cut into messages any more."""

    def __call__(self, error: FramingError, flow: StreamFlow, /) -> None:
        """What is wrong, with what could be read, and the way back."""


class StreamListener(Bound):
    """One listening TCP socket, with all connections that were accepted or made for it.

    census: counts connections. tls: makes this a TLS listener. receive: called with each message.
    broken: called before a connection is closed because of what came on it. admits: whether a peer
    may connect. needed: whether a connection is, though it is idle. monotonic: clock in seconds.
    """

    reliable = True
    tap: Tap | None = None
    received = 0
    sent = 0
    unsent = 0

    def __init__(
        self,
        listener: Listener,
        max_message: int,
        census: Census,
        *,
        receive: Receive,
        broken: Broken,
        monotonic: Callable[[], float],
        tls: TlsContexts | None = None,
    ) -> None:
        self.kind = "tcp" if tls is None else "tls"
        self.via = "TCP" if tls is None else "TLS"
        # RFC 5923 5: with its certificate the peer may use our connections for requests to us.
        self.via_params = ";alias" if tls is not None and tls.has_certificate else ""
        self.max_message = max_message
        self.census = census
        self.receive = receive
        self.broken = broken
        self.monotonic = monotonic
        self.admits: Callable[[Address], bool] | None = None
        self.needed: Callable[[Carrier], bool] | None = None
        self.alias_policy = "tls"
        self._tls = tls
        self._connections: dict[tuple[str, int, str], Connection] = {}
        self._alive: dict[Connection, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        sock = socket.socket(family_of(listener.host), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.bind(listener, sock)
        self._sock = sock

    # -- life --------------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept connections on ``loop``."""
        self._task(loop, self._accept(loop))
        self._sweep(loop)

    async def stop(self) -> None:
        """End every connection; what was sent already goes out as far as that goes at once."""
        self._stopped = True
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for connection in [*self._alive]:
            connection.close()
        # A turn of the loop for the closing, and one for the goodbye of TLS.
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        for connection in [*self._alive]:
            connection.abort()
        await asyncio.sleep(0)

    def close(self) -> None:
        """Close the socket."""
        self._stopped = True
        self._sock.close()

    def _task(self, loop: asyncio.AbstractEventLoop, work: Work) -> None:
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._stopped:
            return
        loop.call_later(SWEEP, self._sweep, loop)
        now = self.monotonic()
        for connection in [*self._alive]:
            connection.look(now, self.census.settings)

    # -- accepting ---------------------------------------------------------------------------------

    def _welcome(self, peer: Address) -> bool:
        return self.admits is None or self.admits(peer)

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        acceptor = Acceptor(self._sock, self.name, self.census, self._welcome, self._tls)

        def begin(sock: socket.socket, peer: Address) -> None:
            connection = Connection(self, peer, accepted=True)
            self._alive[connection] = None
            self._task(loop, self._open(loop, acceptor, sock, connection))

        await acceptor.run(loop, begin)

    @staticmethod
    async def _open(
        loop: asyncio.AbstractEventLoop,
        acceptor: Acceptor,
        sock: socket.socket,
        connection: Connection,
    ) -> None:
        if not await acceptor.open(loop, sock, connection.peer, connection):
            connection.failed()

    def _handshake_timeout(self) -> float | None:
        return None if self._tls is None else self.census.settings.handshake_timeout

    # -- which connection leads where --------------------------------------------------------------

    def flow(self, addr: Address, name: str = "") -> StreamFlow:
        """The way to ``addr``; a certificate must show ``name``, or the address without one."""
        return StreamFlow(self, addr, name if self._tls is not None else "", None)

    def opened(self, connection: Connection) -> None:
        """A connection is there: what is sent to its peer goes over it."""
        self._connections.setdefault((*connection.peer, connection.name), connection)

    def closed(self, connection: Connection) -> None:
        """A connection has ended."""
        if self._alive.pop(connection, self) is self:
            return
        self.census.leave(connection.peer[0])
        for key in connection.keys | {(*connection.peer, connection.name)}:
            if self._connections.get(key) is connection:
                del self._connections[key]

    def alias(self, connection: Connection, addr: Address, host: str) -> None:
        """The peer of ``connection`` wants requests to ``addr`` to come over it (RFC 5923).

        host: its sent-by, as text. Believed where the policy says so, and, with "tls", only if the
        peer's certificate shows ``host``.
        """
        policy = self.alias_policy
        if policy == "none" or (policy == "tls" and not connection.shows(host)):
            return
        names = {""} if self._tls is None else {"", host.strip("[]")}
        for name in names:
            key = (*addr, name)
            found = self._connections.get(key)
            if found is connection or len(connection.keys) >= 4:
                continue
            if found is None or found.gives_way(connection, proved=policy == "tls"):
                self._connections[key] = connection
                connection.keys.add(key)

    def connection(self, addr: Address, name: str) -> Connection | None:
        """The connection to ``addr``, made if there is none; None if there are too many."""
        found = self._connections.get((*addr, name))
        if found is not None and not found.gone:
            return found
        if self._stopped or not addr[1] or not self.census.enter(addr[0]):
            return None
        connection = Connection(self, addr, name=name)
        self._alive[connection] = None
        self._connections[(*addr, name)] = connection
        loop = asyncio.get_running_loop()
        self._task(loop, self._connect(loop, connection))
        return connection

    async def _connect(self, loop: asyncio.AbstractEventLoop, connection: Connection) -> None:
        host, port = connection.peer
        tls = self._tls
        timeout = self.census.settings.connect_timeout
        try:
            if tls is not None:
                # The TLS of asyncio would find out late, and lose the socket.
                (connection.name or host).encode("idna")
            async with asyncio.timeout(timeout + (self._handshake_timeout() or 0)):
                await loop.create_connection(
                    lambda: connection,
                    host,
                    port,
                    local_addr=None if self.wildcard else (self.host, 0),
                    ssl=None if tls is None else tls.client,
                    server_hostname=None if tls is None else connection.name or host,
                    ssl_handshake_timeout=self._handshake_timeout(),
                )
        except (OSError, ssl.SSLError, ValueError) as error:
            # ValueError: a name that no certificate can show.
            _QUIET.info(
                "%s: no connection to %s:%d: %s", self.name, host_text(host), port, why(error)
            )
            connection.failed()


class StreamFlow:
    """The way to a peer over a connection, which is made again if it is gone.

    peer: where it leads. again: where to connect to in that case, if not to ``peer``.
    """

    __slots__ = ("_again", "_connection", "_name", "peer", "reused", "transport")

    def __init__(
        self,
        transport: StreamListener,
        peer: Address,
        name: str,
        connection: Connection | None,
        again: Address | None = None,
    ) -> None:
        self.transport = transport
        self.peer = peer
        self._name = name
        self._connection = connection
        self._again = again or peer
        self.reused = False

    def back_to(self, peer: Address) -> StreamFlow:
        """The way for replies: this connection, or a new one to ``peer`` (RFC 3261 18.2.2)."""
        return StreamFlow(self.transport, self.peer, self._name, self._connection, peer)

    def alias(self, addr: Address, host: str) -> None:
        """The peer offers its connection for requests to ``addr`` (RFC 5923)."""
        if self._connection is not None:
            self.transport.alias(self._connection, addr, host)

    @property
    def carrier(self) -> Carrier | None:
        """The connection, if there is one yet."""
        return self._connection

    def carries(self, callid: str) -> None:
        """A party of this call is at the other end."""
        if self._connection is not None:
            self._connection.carries(callid)

    def send(self, data: bytes, failed: Failed | None = None) -> bool:
        """Send a message; False if there is no connection and none can be made."""
        connection = self._connection
        if connection is None or connection.gone:
            connection = self.transport.connection(self._again, self._name)
            if connection is None:
                self.transport.unsent += 1
                return False
            self._connection = connection
        self.reused = connection.open
        if not connection.send(data, failed):
            self.transport.unsent += 1
            return False
        self.transport.sent += 1
        if self.transport.tap is not None:
            self.transport.tap.sent(self.transport, connection.peer, data)
        return True

    def settled(self, failed: Failed) -> None:
        """``failed`` need not be called any more."""
        if self._connection is not None:
            self._connection.settled(failed)
