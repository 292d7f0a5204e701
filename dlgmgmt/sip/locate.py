"""From a URI to listeners and addresses.

Numeric hosts are answered at once. Names are looked up by the system's resolver in a thread and
kept for a short time; the full procedure of RFC 3263 (NAPTR, SRV) is not done here.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import logging
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Destination, Transport
from dlgmgmt.sip.uri import DEFAULT_PORTS, MAX_CACHED, parse_uri

_LOG = logging.getLogger(__name__)

CACHE_SECONDS = 30.0
CACHE_SIZE = 4096
MAX_HOST = 255
"""Characters of a host name that is worth a look-up (RFC 1035 2.3.4)."""
MAX_LOOKUPS = 64
"""Lookups under way at once; one more fails at once."""

Found = Callable[[Sequence[Destination]], None]


class _Where(NamedTuple):
    """What a URI says of its next hop. transport: "" where it does not say."""

    host: str
    port: int | None
    numeric: bool
    transport: str


class Locator:
    """Finds the next hop. sockets: the engine's, in the order of the configuration."""

    def __init__(self, sockets: Sequence[Transport], monotonic: Callable[[], float]) -> None:
        self.sockets = sockets
        self._kinds = {sock.kind for sock in sockets}
        self._monotonic = monotonic
        self._cache: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._waiting: dict[str, list[Callable[[str | None], None]]] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="dlgmgmt-dns")

    def close(self) -> None:
        """Give up lookups under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    # -- listeners -------------------------------------------------------------------------------

    def listener(self, kind: str, host: str, preferred: Transport | None) -> Transport | None:
        """The listener to reach a numeric ``host`` from, None without one of its family.

        preferred: taken if it will do. A listener on a loopback address reaches nobody else.
        """
        wide = ":" in host
        if _serves(preferred, kind, wide) and (
            preferred is None or _is_loopback(preferred.host) <= _is_loopback(host)
        ):
            return preferred
        fitting = [sock for sock in self.sockets if _serves(sock, kind, wide)]
        for sock in fitting:
            if _is_loopback(sock.host) == _is_loopback(host):
                return sock
        return fitting[0] if fitting else None

    def named(self, name: str) -> Transport | None:
        """The listener of that name, as a dialog remembers it."""
        return next((sock for sock in self.sockets if sock.name == name), None)

    def by_stream(self, found: Destination) -> Destination | None:
        """The same address over TCP, None without a listener for it (RFC 3261 18.1.1)."""
        sock = self.listener("tcp", found.addr[0], None)
        return None if sock is None else Destination(sock, found.addr, found.name)

    def _default(self) -> str:
        return "udp" if "udp" in self._kinds or "tcp" not in self._kinds else "tcp"

    # -- addresses -------------------------------------------------------------------------------

    def locate(
        self, uri: str, preferred: Transport | None, done: Callable[[Destination | None], None]
    ) -> None:
        """Call ``done`` with the best place for ``uri``, with None if it cannot be reached."""
        self.candidates(uri, preferred, lambda found: done(found[0] if found else None))

    def candidates(self, uri: str, preferred: Transport | None, done: Found) -> None:
        """Call ``done`` with the places where ``uri`` can be reached, best first."""
        where = _where(uri) if len(uri) <= MAX_CACHED else _read(uri)
        if (
            where is None
            or len(where.host) > MAX_HOST
            or (where.transport and where.transport not in self._kinds)
        ):
            _LOG.info("no way to %r", uri)
            done(())
            return
        if where.numeric:
            self._finish(where, preferred, done, where.host)
            return
        finish = functools.partial(self._finish, where, preferred, done)
        known = self._cache.get(where.host)
        if known is not None and known[0] > self._monotonic():
            finish(known[1])
            return
        self._look_up(where.host, finish)

    def failed(self, found: Destination) -> None:
        """Nobody answered there, or the connection failed."""

    def refused(self, found: Destination, seconds: float) -> None:
        """A 503 came from there; seconds: its Retry-After, 0 without one."""

    def _finish(
        self, where: _Where, preferred: Transport | None, done: Found, host: str | None
    ) -> None:
        if host is None:
            done(())
            return
        kind = where.transport or self._default()
        sock = self.listener(kind, host, preferred)
        if sock is None:
            _LOG.info("no %s listener to reach %s", kind, host)
            done(())
            return
        port = where.port or DEFAULT_PORTS.get(kind, 5060)
        name = "" if where.numeric else where.host
        done((Destination(sock, (host, port), name),))

    def _look_up(self, host: str, finish: Callable[[str | None], None]) -> None:
        waiting = self._waiting.get(host)
        if waiting is not None:
            waiting.append(finish)
            return
        if len(self._waiting) >= MAX_LOOKUPS:
            _LOG.warning("too many name lookups under way, %r not looked up", host)
            finish(None)
            return
        self._waiting[host] = [finish]
        loop = asyncio.get_running_loop()
        families = {sock.family for sock in self.sockets}
        future = loop.run_in_executor(self._pool, _resolve, host, families)
        future.add_done_callback(functools.partial(self._looked_up, host))

    def _looked_up(self, host: str, future: asyncio.Future[str | None]) -> None:
        address = None if future.cancelled() else future.result()
        self._cache[host] = self._monotonic() + CACHE_SECONDS, address
        if len(self._cache) > CACHE_SIZE:
            self._cache.popitem(last=False)
        for finish in self._waiting.pop(host, ()):
            finish(address)


def _serves(sock: Transport | None, kind: str, wide: bool) -> bool:  # noqa: FBT001 - hot
    return sock is not None and sock.kind == kind and (sock.family == socket.AF_INET6) == wide


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"


_TRANSPORTS = frozenset({"udp", "tcp", "tls", "ws", "wss"})


def _read(uri: str) -> _Where | None:
    """What a URI says; None for one that no transport here can serve."""
    try:
        parsed = parse_uri(uri)
    except BadMessage:
        return None
    transport = (parsed.param("transport") or "").lower()
    if parsed.scheme == "sips" or transport:
        transport = parsed.transport
        if transport not in _TRANSPORTS:
            return None
    host = (parsed.param("maddr") or parsed.host).strip("[]")
    return _Where(host, parsed.port, is_numeric(host), transport)


_where = functools.lru_cache(maxsize=8192)(_read)


def _resolve(host: str, families: set[socket.AddressFamily]) -> str | None:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        _LOG.info("%r: %s", host, error)
        return None
    for family, _, _, _, address in found:
        if family in families:
            return str(address[0])
    return None


def is_numeric(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 address."""
    return len(host) <= MAX_HOST and _is_numeric(host)


@functools.lru_cache(maxsize=4096)
def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
