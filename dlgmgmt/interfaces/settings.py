"""Parameters of the interfaces, and what the doors have in common."""

from __future__ import annotations

import functools
import ipaddress
from dataclasses import dataclass
from typing import Literal

Kind = Literal["unixs", "unixd", "unix", "tcp", "udp"]

MAX_UNIX_PATH = 107
"""Bytes of the path of a unix socket (unix(7))."""


@dataclass(slots=True, frozen=True)
class HttpSettings:
    """Where JSON-RPC over HTTP listens, and what one client may use. Times in seconds.

    host: numeric address without brackets. port: 0 takes any free one. max_body: bytes of one
    request body; a larger one is answered 413. max_batch: members of one JSON-RPC batch.
    max_depth: nesting of arrays and objects in a request. max_connections: open at once; further
    ones are answered 503. read_timeout: for one whole request to arrive. write_timeout: without
    progress on a reply that the client does not read. keepalive_timeout: of an idle connection.

    certificate, private_key: PEM files; with them HTTPS is spoken, and nothing else. client_ca: PEM
    file with those who sign the certificates by which clients may be known. host_names: besides
    localhost and any address, what a Host header may name.

    Of one client, an IPv4 address or an IPv6 /64: rate, burst: requests a second, and at once;
    max_requests: under way at once. Beyond, 429 is answered; 0: no limit.
    max_client_connections: open at once; further ones are answered 429.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    max_body: int = 1_048_576
    max_batch: int = 100
    max_depth: int = 32
    max_connections: int = 512
    read_timeout: float = 10.0
    write_timeout: float = 30.0
    keepalive_timeout: float = 75.0
    certificate: str | None = None
    private_key: str | None = None
    client_ca: str | None = None
    host_names: tuple[str, ...] = ()
    rate: int = 500
    burst: int = 1000
    max_requests: int = 128
    max_client_connections: int = 256


@dataclass(slots=True, frozen=True)
class AccessSettings:
    """Who may do what, and what is written of it.

    tokens_file: see dlgmgmt.interfaces.tokens. loopback_role: of clients on this machine who show
    no token, or "none"; None for "none" where tokens are given out and "admin" where none are.
    audit_log: file for a line of JSON for each command that may change something; None: no such
    file. audit_max_bytes: it grows to, before a new one is begun. audit_files: old ones are kept.
    """

    tokens_file: str | None = None
    loopback_role: str | None = None
    audit_log: str | None = None
    audit_max_bytes: int = 10_485_760
    audit_files: int = 10


@dataclass(slots=True, frozen=True)
class SocketAddress:
    """Where a door listens.

    kind: unix stream, unix datagram, the same where a door has no other ("unix"), TCP or UDP. path:
    of a unix socket. host: numeric, without brackets. port: 0 takes any free one.
    """

    kind: Kind
    path: str = ""
    host: str = ""
    port: int = 0

    def __str__(self) -> str:
        """As the configuration writes it."""
        if self.path:
            return f"{self.kind}:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.kind}:{host}:{self.port}"

    @property
    def is_stream(self) -> bool:
        """Whether it takes connections."""
        return self.kind in ("unixs", "tcp")


@dataclass(slots=True, frozen=True)
class FileRights:
    """Who may use a unix socket. user, group: names or numbers; None: as they come."""

    mode: int = 0o660
    user: str | None = None
    group: str | None = None


@dataclass(slots=True, frozen=True)
class MiDatagramSettings:
    """The sockets that take MI in datagrams, and what one client may use.

    listen: the sockets; none by default. socket_mode, socket_user, socket_group: of the unix
    sockets, owners by name or number, None for as they come. max_request: bytes of one request.
    max_reply: bytes of one reply; kamunix takes no larger one, and UDP carries a little less.
    max_pending: requests of each socket that are being answered at once. write_deadline: seconds
    for a client to take a reply.
    """

    listen: tuple[SocketAddress, ...] = ()
    socket_mode: int = 0o660
    socket_user: str | None = None
    socket_group: str | None = None
    max_request: int = 65_536
    max_reply: int = 65_536
    max_pending: int = 64
    write_deadline: float = 2.0

    @property
    def rights(self) -> FileRights:
        """Who may use the unix sockets."""
        return FileRights(self.socket_mode, self.socket_user, self.socket_group)


@dataclass(slots=True, frozen=True)
class BinrpcSettings:
    """Where BINRPC is spoken, and what one client may use. Times in seconds.

    listen: the sockets; none by default. socket_mode, socket_user, socket_group: of the unix
    sockets, owners by name or number, None for as they come. max_request: bytes of one request.
    max_reply: bytes of one reply; kamcmd takes no larger one. max_connections: open at once on all
    stream sockets, and requests of each datagram socket; further ones are answered with a fault.
    max_connections_per_peer: of one address, or of one process on a unix socket. request_deadline:
    from a request's first byte to its last. write_deadline: for a client to take a reply.
    idle_timeout: of a connection without requests.
    """

    listen: tuple[SocketAddress, ...] = ()
    socket_mode: int = 0o660
    socket_user: str | None = None
    socket_group: str | None = None
    max_request: int = 65_536
    max_reply: int = 131_072
    max_connections: int = 64
    max_connections_per_peer: int = 32
    request_deadline: float = 10.0
    write_deadline: float = 10.0
    idle_timeout: float = 600.0

    @property
    def rights(self) -> FileRights:
        """Who may use the unix sockets."""
        return FileRights(self.socket_mode, self.socket_user, self.socket_group)


@dataclass(slots=True, frozen=True)
class JsonFifoSettings:
    """The FIFO that takes JSON-RPC, and what one client may use. Times in seconds.

    fifo_name: its path; "" for none. reply_dir: the directory of the clients' reply FIFOs.
    fifo_mode: permission bits of the FIFO. fifo_user, fifo_group: its owner and group, None as they
    come. max_request: bytes of one request. request_deadline: from a request's first byte to its
    last. open_deadline: for the client to open its reply FIFO. write_deadline: how long a reply
    FIFO may stay full. reply_deadline: for a whole reply. max_replies: under way at once.
    """

    fifo_name: str = ""
    reply_dir: str = ""
    fifo_mode: int = 0o660
    fifo_user: str | None = None
    fifo_group: str | None = None
    max_request: int = 65_536
    request_deadline: float = 2.0
    open_deadline: float = 1.0
    write_deadline: float = 3.0
    reply_deadline: float = 60.0
    max_replies: int = 256


@dataclass(slots=True, frozen=True)
class JsonSockSettings:
    """The sockets that take JSON-RPC, and what one client may use. Times in seconds.

    listen: the sockets; none by default. socket_mode, socket_user, socket_group: of the unix
    sockets, owners by name or number, None for as they come. max_request: bytes of one request.
    max_datagram: bytes of an answer over unix datagram or UDP; kamcli takes no more than the
    default. max_connections: open at once on all stream sockets. max_connections_per_peer: of one
    address, or of one process on a unix socket. max_pending: datagrams that are being answered at
    once, of each socket. request_deadline: from a request's first byte to its last. write_deadline:
    without progress for a client that does not read. idle_timeout: of a connection without
    requests.
    """

    listen: tuple[SocketAddress, ...] = ()
    socket_mode: int = 0o660
    socket_user: str | None = None
    socket_group: str | None = None
    max_request: int = 65_536
    max_datagram: int = 84_000
    max_connections: int = 256
    max_connections_per_peer: int = 64
    max_pending: int = 64
    request_deadline: float = 10.0
    write_deadline: float = 10.0
    idle_timeout: float = 600.0

    @property
    def rights(self) -> FileRights:
        """Who may use the unix sockets."""
        return FileRights(self.socket_mode, self.socket_user, self.socket_group)


def is_loopback(address: str) -> bool:
    """Whether ``address``, a numeric host and perhaps a port, is this machine's own."""
    if address.startswith("["):
        return _is_loopback(address[1:].partition("]")[0])
    return _is_loopback(address.partition(":")[0] if address.count(":") == 1 else address)


@functools.lru_cache(maxsize=1024)
def _is_loopback(host: str) -> bool:
    try:
        found = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return (mapped or found).is_loopback
