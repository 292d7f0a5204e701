"""Parameters of the SIP engine (``[sip]`` and ``[[sip.route]]``)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True, frozen=True)
class Listener:
    """A socket to bind: transport ("udp"), numeric host without brackets, port (0: any free)."""

    transport: str
    host: str
    port: int


@dataclass(slots=True, frozen=True)
class Route:
    """Where initial requests go; the first route that matches wins.

    domain: Request-URI host to match, lower case, None for any. user_prefix: start of the
    Request-URI's user part, None for any. targets: SIP URIs; each keeps the request's user part.
    fork: "parallel" or "serial" (RFC 3261 16.6).
    """

    targets: tuple[str, ...]
    domain: str | None = None
    user_prefix: str | None = None
    fork: str = "parallel"


@dataclass(slots=True, frozen=True)
class SipSettings:
    """Settings of the SIP engine. Times in seconds, sizes in bytes.

    server_header: text of the Server and User-Agent header that own messages carry.
    t1, t2, t4: RFC 3261 17.1.1.1. timer_c: RFC 3261 16.6 point 11. max_transactions: ceiling on
    transactions alive at once; a request beyond it is answered 503. max_message: the largest
    datagram that is read. max_branches: targets of one request at most.
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
