"""From a URI to a socket and an address.

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
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from dlgmgmt.sip.errors import BadMessage, Unreachable
from dlgmgmt.sip.transport import Address, UdpSocket
from dlgmgmt.sip.uri import DEFAULT_PORT, MAX_CACHED, parse_uri

_LOG = logging.getLogger(__name__)

CACHE_SECONDS = 30.0
CACHE_SIZE = 4096
MAX_HOST = 255
"""Characters of a host name that is worth a look-up (RFC 1035 2.3.4)."""
MAX_LOOKUPS = 64
"""Lookups under way at once; one more fails at once."""

Destination = tuple[UdpSocket, Address]
Done = Callable[[Destination | None], None]


class Locator:
    """Finds the next hop. sockets: the engine's, in the order of the configuration."""

    def __init__(self, sockets: list[UdpSocket], monotonic: Callable[[], float]) -> None:
        self.sockets = sockets
        self._monotonic = monotonic
        self._cache: OrderedDict[str, tuple[float, str | None]] = OrderedDict()
        self._waiting: dict[str, list[Callable[[str | None], None]]] = {}
        self._pool = ThreadPoolExecutor(4, thread_name_prefix="dlgmgmt-dns")

    def close(self) -> None:
        """Give up lookups under way."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def socket_for(self, host: str, preferred: UdpSocket | None) -> UdpSocket:
        """The socket to send to a numeric ``host`` from; Unreachable without one of its family."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        if preferred is not None and preferred.family == family:
            return preferred
        for sock in self.sockets:
            if sock.family == family:
                return sock
        msg = f"no listener to reach {host}"
        raise Unreachable(msg)

    def locate(self, uri: str, preferred: UdpSocket | None, done: Done) -> None:
        """Call ``done`` with socket and address for ``uri``, with None if it cannot be reached."""
        where = _where(uri) if len(uri) <= MAX_CACHED else _read(uri)
        if where is None or len(where[0]) > MAX_HOST:
            _LOG.info("no way to %r", uri)
            done(None)
            return
        host, port, numeric = where
        if numeric:
            if preferred is not None and (":" in host) == (preferred.family == socket.AF_INET6):
                done((preferred, (host, port)))
            else:
                self._finish(port, preferred, done, host)
            return
        finish = functools.partial(self._finish, port, preferred, done)
        known = self._cache.get(host)
        if known is not None and known[0] > self._monotonic():
            finish(known[1])
            return
        self._look_up(host, finish)

    def _finish(self, port: int, preferred: UdpSocket | None, done: Done, host: str | None) -> None:
        if host is None:
            done(None)
            return
        try:
            sock = self.socket_for(host, preferred)
        except Unreachable as error:
            _LOG.info("%s", error)
            done(None)
            return
        done((sock, (host, port)))

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


def _read(uri: str) -> tuple[str, int, bool] | None:
    """Host, port and whether the host is numeric; None for a URI that UDP cannot serve."""
    try:
        parsed = parse_uri(uri)
    except BadMessage:
        return None
    transport = parsed.param("transport")
    if parsed.scheme != "sip" or (transport and transport.lower() != "udp"):
        return None
    host = parsed.param("maddr") or parsed.host
    return host, parsed.port or DEFAULT_PORT, is_numeric(host)


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
