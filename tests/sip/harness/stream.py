"""Scripted peers over TCP and TLS: the counterpart of the UDP peer, connection by connection.

A peer listens on its port, as the daemon may connect to it, and connects to the daemon when it
sends and has no connection. Everything that comes on any connection is cut into messages here.
"""

from __future__ import annotations

import re
import select
import socket
import ssl
import time
from typing import Any, NamedTuple

from .certs import Authority, Identity
from .message import Message
from .peer import Address, Callee, Caller, Peer
from .ports import sends_from

_LENGTH = re.compile(rb"\r\nContent-Length: *(\d+)\r\n", re.IGNORECASE)


class Contexts(NamedTuple):
    """Of a peer that speaks TLS."""

    client: ssl.SSLContext
    server: ssl.SSLContext


def contexts(authority: Authority, own: Identity | None = None, *, demand: bool = True) -> Contexts:
    """Contexts that believe ``authority``. own: what the peer shows; demand: ask the daemon too."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    for context in (client, server):
        context.load_verify_locations(authority.ca_file)
        if own is not None:
            context.load_cert_chain(own.certificate, own.private_key)
    if demand:
        server.verify_mode = ssl.CERT_REQUIRED
    return Contexts(client, server)


class Connection:
    """One end of a connection. pongs: single CRLFs between messages; pings: double ones.

    piece: bytes that are sent at a time, 0 for all at once.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.closed = False
        self.pings = self.pongs = 0
        self.piece = 0
        self._buffer = b""

    def send(self, data: bytes) -> None:
        step = self.piece or len(data)
        for at in range(0, len(data), step):
            self.sock.sendall(data[at : at + step])

    def close(self) -> None:
        self.closed = True
        self.sock.close()

    def read(self) -> list[Message]:
        """What is whole after one read that does not wait long; ``closed`` if there is an end."""
        self.sock.settimeout(1.0)
        try:
            data = self.sock.recv(262_144)
            while isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
                data += self.sock.recv(262_144)
        except (TimeoutError, ssl.SSLWantReadError):
            return []
        except OSError:
            data = b""
        if not data:
            self.close()
        self._buffer += data
        return self._cut()

    def _cut(self) -> list[Message]:
        messages = []
        while self._buffer:
            if self._buffer.startswith(b"\r\n\r\n"):
                self.pings += 1
                self._buffer = self._buffer[4:]
                continue
            if self._buffer.startswith(b"\r\n"):
                self.pongs += 1
                self._buffer = self._buffer[2:]
                continue
            head, end, _ = self._buffer.partition(b"\r\n\r\n")
            if not end:
                break
            found = _LENGTH.search(head + b"\r\n")
            assert found, f"no Content-Length over a stream (RFC 3261 20.14): {head!r}"
            size = len(head) + 4 + int(found[1])
            if len(self._buffer) < size:
                break
            messages.append(Message(self._buffer[:size]))
            self._buffer = self._buffer[size:]
        return messages


class OverStream(Peer):
    """A peer whose messages go over connections. tls: it speaks TLS with these contexts."""

    def __init__(self, *args: Any, tls: Contexts | None = None, **more: Any) -> None:
        self.tls = tls
        self.via = "TCP" if tls is None else "TLS"
        self.where = f";transport={self.via.lower()}"
        self.connections: list[Connection] = []
        self.accepted = 0
        # Of the message that came last, by its identity.
        self._came_on: dict[int, Connection] = {}
        super().__init__(*args, **more)
        self.sock.listen()
        if tls is None:
            sends_from("phone", self.port)

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock

    def close(self) -> None:
        for connection in self.connections:
            connection.close()
        self.sock.close()

    def connect(self, proxy: Address | None = None) -> Connection:
        """A new connection to the daemon."""
        sock = socket.create_connection(proxy or self.proxy, 5.0, (self.host, 0))
        if self.tls is not None:
            sock = self.tls.client.wrap_socket(sock, server_hostname=(proxy or self.proxy)[0])
        connection = Connection(sock)
        self.connections.append(connection)
        return connection

    @property
    def open(self) -> list[Connection]:
        return [connection for connection in self.connections if not connection.closed]

    def send(self, data: bytes) -> None:
        """Send over the connection that was used last, or a new one."""
        connections = self.open
        (connections[-1] if connections else self.connect()).send(data)

    def came_on(self, message: Message) -> Connection:
        """The connection on which a message came."""
        return self._came_on[id(message)]

    def pump(self, timeout: float = 0.0) -> bool:
        """Read what comes on any connection within ``timeout`` seconds; accept new ones."""
        found = False
        end = time.monotonic() + timeout
        while not found:
            sockets: dict[Any, Connection | None] = {self.sock: None}
            sockets.update({connection.sock: connection for connection in self.open})
            ready = select.select([*sockets], [], [], max(0.0, end - time.monotonic()))[0]
            if not ready:
                return False
            for sock in ready:
                connection = sockets[sock]
                if connection is None:
                    self._accept()
                    continue
                for message in connection.read():
                    self._came_on[id(message)] = connection
                    # What is sent next is an answer to it.
                    if not connection.closed:
                        self.connections.remove(connection)
                        self.connections.append(connection)
                    self._take(message)
                    found = True
            if not found and time.monotonic() >= end:
                return False
        return True

    def _accept(self) -> None:
        sock, _ = self.sock.accept()
        self.accepted += 1
        sock.settimeout(5.0)
        if self.tls is not None:
            try:
                sock = self.tls.server.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                return
        self.connections.append(Connection(sock))

    def wait_closed(self, connection: Connection, timeout: float = 10.0) -> None:
        """Return when the daemon has closed it."""
        end = time.monotonic() + timeout
        while not connection.closed:
            left = end - time.monotonic()
            assert left > 0, f"a connection of {self.hostport} is still open; got:\n{self.trace()}"
            self.pump(min(left, 0.2))


class StreamCaller(OverStream, Caller):
    """A phone that places one call over TCP or TLS."""


class StreamCallee(OverStream, Callee):
    """A phone that takes one call over TCP or TLS."""
