"""Parameters of the SIP engine (``[sip]``, the tables within it, and ``[trace]``)."""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

Network = IPv4Network | IPv6Network
"""A range of addresses, as a CIDR names it."""


@dataclass(slots=True, frozen=True)
class Listener:
    """A socket to bind: transport, numeric host without brackets, port (0: any free).

    transport: "udp", "tcp", "tls", "ws" or "wss".
    """

    transport: str
    host: str
    port: int


@dataclass(slots=True, frozen=True)
class Route:
    """Where initial requests go; the first route that matches wins.

    domain: Request-URI host to match, lower case, None for any. user_prefix: start of the
    Request-URI's user part, None for any. targets: SIP URIs; each keeps the request's user part.
    fork: "parallel" or "serial" (RFC 3261 16.6). fix_contact: where a party's Contact does not
    name the address that its messages come from, own requests go to that address.
    """

    targets: tuple[str, ...]
    domain: str | None = None
    user_prefix: str | None = None
    fork: str = "parallel"
    fix_contact: bool = False


@dataclass(slots=True, frozen=True)
class StreamSettings:
    """Connections of tcp, tls, ws and wss (``[sip.stream]``). Times in seconds.

    connect_timeout: for an own connection to be there. handshake_timeout: for TLS and the upgrade
    to WebSocket. message_timeout: from the first byte of a message to its last. idle_timeout: a
    connection without a message or ping for so long is closed, unless a call or a transaction
    depends on it. ping_interval: between the CRLF pings (RFC 5626 4.4.1) on own connections, 0 for
    none. max_connections: in all; max_connections_per_peer: with one host. max_unsent: bytes that
    wait for a peer that does not read; with more, its connection is closed.
    """

    connect_timeout: float = 5.0
    handshake_timeout: float = 5.0
    message_timeout: float = 10.0
    idle_timeout: float = 600.0
    ping_interval: float = 0.0
    max_connections: int = 10_000
    max_connections_per_peer: int = 200
    max_unsent: int = 1_048_576


@dataclass(slots=True, frozen=True)
class TlsSettings:
    """Certificates of tls and wss (``[sip.tls]``). Paths are of PEM files, absolute.

    certificate: the own one, with the chain that leads to it, and its private_key; None where no
    listener needs them. ca_file: who may have signed the peers' ones; None for the system's
    authorities. verify_client: "none", "optional" (one that is shown must be good) or "require".
    verify_server: whether the certificate of a host that is connected to must be good, and its
    own. minimum: "1.2" or "1.3".
    """

    certificate: str | None = None
    private_key: str | None = None
    ca_file: str | None = None
    verify_client: str = "none"
    verify_server: bool = True
    minimum: str = "1.2"


@dataclass(slots=True, frozen=True)
class DnsSettings:
    """Looking up next hops (``[sip.dns]``). Times in seconds.

    servers: numeric hosts with ports; empty for the system's. timeout: for one answer, asked for
    ``attempts`` times. min_ttl, max_ttl: bounds of what an answer says of its own life;
    negative_ttl: how long it is remembered that there is no such name, at most. cache_size:
    answers remembered. back_off: how long a target that did not answer, or answered 503, is passed
    over.
    """

    servers: tuple[tuple[str, int], ...] = ()
    timeout: float = 2.0
    attempts: int = 2
    min_ttl: int = 0
    max_ttl: int = 3600
    negative_ttl: int = 30
    cache_size: int = 10_000
    back_off: float = 60.0


@dataclass(slots=True, frozen=True)
class LimitSettings:
    """What one source may do (``[sip.limits]``): an IPv4 address, or an IPv6 network of 64 bits.

    rate: requests a second that begin something (outside of dialogs, no retransmission), ``burst``
    of them at once. packets: messages of any kind a second, and at once. transactions: server
    transactions alive. 0 is no limit, for each of these. refusals: requests over a limit that are
    answered 503, a second; the others are dropped. retry_after: seconds that a 503 asks to wait.
    sources: how many are remembered. trusted: networks that have no limits.
    """

    rate: int = 500
    burst: int = 1000
    packets: int = 5000
    transactions: int = 50_000
    refusals: int = 20
    retry_after: int = 5
    sources: int = 10_000
    trusted: tuple[Network, ...] = ()


@dataclass(slots=True, frozen=True)
class AllowRule:
    """Who may send to a listener (``[[sip.allow]]``); what others send is dropped.

    The networks of all rules for a listener count; one without a rule takes all.
    """

    listen: Listener
    networks: tuple[Network, ...]


@dataclass(slots=True, frozen=True)
class TraceSettings:
    """Copies of the messages (``[trace]``).

    enabled: whether they are sent to ``hep``, numeric host and port of a collector of HEPv3 over
    UDP. hep_id: the capture agent's number; hep_password: its key, "" for none. ring_messages,
    ring_bytes: bounds of what is kept for ``trace``; 0 for either, and nothing is kept.
    """

    enabled: bool = False
    hep: tuple[str, int] | None = None
    hep_id: int = 2001
    hep_password: str = field(default="", repr=False)
    ring_messages: int = 10_000
    ring_bytes: int = 8_388_608


@dataclass(slots=True, frozen=True)
class SipSettings:
    """Settings of the SIP engine. Times in seconds, sizes in bytes.

    server_header: text of the Server and User-Agent header that own messages carry.
    t1, t2, t4: RFC 3261 17.1.1.1. timer_c: RFC 3261 16.6 point 11. max_transactions: ceiling on
    transactions alive at once; a request beyond it is answered 503. max_message: the largest
    message that is read. max_branches: targets of one request at most. udp_limit: a larger request
    goes over TCP where there is a TCP listener (RFC 3261 18.1.1), 0 for never. accept_alias: on
    which connections a peer's ``alias`` is believed (RFC 5923), "none", "tls" (those of TLS) or
    "all".
    """

    listen: tuple[Listener, ...] = (Listener("udp", "127.0.0.1", 5060),)
    server_header: str = "dlgmgmt"
    routes: tuple[Route, ...] = ()
    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    timer_c: float = 180.0
    max_transactions: int = 200_000
    max_message: int = 65_535
    max_branches: int = 16
    udp_limit: int = 1300
    accept_alias: str = "tls"
    stream: StreamSettings = field(default_factory=StreamSettings)
    tls: TlsSettings = field(default_factory=TlsSettings)
    dns: DnsSettings = field(default_factory=DnsSettings)
    limits: LimitSettings = field(default_factory=LimitSettings)
    allow: tuple[AllowRule, ...] = ()
    trace: TraceSettings = field(default_factory=TraceSettings)
