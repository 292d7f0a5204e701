"""From a URI to listeners and addresses: RFC 3263, and which servers are passed over.

Numeric hosts are answered at once; names go through ``resolver``. Each server is reached from the
listener that fits it.
"""

from __future__ import annotations

import functools
import logging
import random
import socket
from collections.abc import Callable, Sequence

from dlgmgmt.sip.blocked import Blocked, server
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Address, ClientsListener, Destination, Transport
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.resolver import Resolver
from dlgmgmt.sip.selection import Candidate, Plan, Step, is_numeric, plan
from dlgmgmt.sip.settings import DnsSettings
from dlgmgmt.sip.uri import DEFAULT_PORT, MAX_CACHED, parse_uri

__all__ = ["Locator", "is_numeric"]

_QUIET = Quiet(logging.getLogger(__name__))
_NOTHING = Step.NOTHING  # looked at for each request

Found = Callable[[Sequence[Destination]], None]


class Locator:
    """Finds the next hop. sockets: the engine's, in the order of the configuration.

    monotonic: clock in seconds. rng: shares the load between servers of different weight.
    """

    def __init__(
        self,
        sockets: Sequence[Transport],
        monotonic: Callable[[], float],
        dns: DnsSettings | None = None,
        rng: random.Random | None = None,
    ) -> None:
        dns = dns or DnsSettings()
        self.sockets = sockets
        self.blocked = Blocked(dns.back_off, monotonic)
        self.resolver = Resolver(dns, monotonic=monotonic, rng=rng or random.SystemRandom())
        listening: dict[str, dict[socket.AddressFamily, None]] = {}
        for sock in sockets:
            listening.setdefault(sock.kind, {})[sock.family] = None
        self._listening = {kind: tuple(families) for kind, families in listening.items()}
        self._plan = functools.lru_cache(maxsize=2048)(self._read)

    def use(self, dns: DnsSettings) -> None:
        """Go on with other settings."""
        self.blocked.back_off = dns.back_off
        self.resolver.use(dns)

    def close(self) -> None:
        """Give up lookups under way."""
        self.resolver.close()

    def statistics(self) -> Sequence[tuple[str, int]]:
        """Counters for operators."""
        resolver, blocked = self.resolver, self.blocked
        return (
            ("blocked", blocked.blocked),
            ("cached", len(resolver)),
            ("failures", resolver.failures),
            ("hits", resolver.hits),
            ("misses", resolver.misses),
            ("passed_over", blocked.passed_over),
            ("refused", resolver.refused),
            ("under_way", resolver.under_way),
        )

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
        """The listener of that name, as a dialog remembers it; None if none will do.

        One that is bound to all addresses does for a single one. A dialog may have been another
        proxy's before; where that listened elsewhere, at least the port may be the same.
        """
        found = next((sock for sock in self.sockets if sock.name == name), None)
        if found is not None or not name:
            return found
        kind, _, where = name.partition(":")
        host, _, port = where.rpartition(":")
        number = int(port) if port.isdecimal() and len(port) < 6 else 0
        same = [sock for sock in self.sockets if sock.kind == kind and sock.port == number]
        numeric = host.strip("[]")
        if is_numeric(numeric):
            same.sort(key=lambda sock: not sock.is_own(numeric, number))
        return same[0] if same else None

    def by_stream(self, found: Destination) -> Destination | None:
        """The same address over TCP (RFC 3261 18.1.1).

        None without a listener for it, or if nobody listened there a moment ago.
        """
        sock = self.listener("tcp", found.addr[0], None)
        if sock is None or self.blocked.is_blocked(server("tcp", found.addr)):
            return None
        return Destination(sock, found.addr, found.name)

    def _of_client(self, addr: Address) -> Transport | None:
        """The listener that a WebSocket client at ``addr`` has connected to.

        What browsers call ``transport=ws`` is the secure one too (RFC 7118 5).
        """
        for sock in self.sockets:
            if isinstance(sock, ClientsListener) and sock.knows(addr):
                return sock
        return None

    # -- addresses -------------------------------------------------------------------------------

    def locate(
        self, uri: str, preferred: Transport | None, done: Callable[[Destination | None], None]
    ) -> None:
        """Call ``done`` with the best place for ``uri``, with None if it cannot be reached."""
        self.candidates(uri, preferred, lambda found: done(found[0] if found else None))

    def candidates(self, uri: str, preferred: Transport | None, done: Found) -> None:
        """Call ``done`` with the places where ``uri`` can be reached, best first."""
        asked = self._plan(uri) if len(uri) <= MAX_CACHED else self._read(uri)
        if asked is None:
            _QUIET.info("no way to %r", uri)
            done(())
        elif asked.step is _NOTHING:
            addr = asked.host, asked.port or DEFAULT_PORT
            sock = self._of_client(addr) if asked.default in ("ws", "wss") else None
            sock = sock or self.listener(asked.default, asked.host, preferred)
            if sock is None:
                _QUIET.info("no %s listener to reach %s", asked.default, asked.host)
                done(())
                return
            done((Destination(sock, addr, asked.name),))
        else:
            found = functools.partial(self._found, uri, preferred, done)
            self.resolver.find(asked, self._listening, found)

    def _read(self, uri: str) -> Plan | None:
        try:
            return plan(parse_uri(uri), self._listening)
        except BadMessage:
            return None

    def _found(
        self,
        uri: str,
        preferred: Transport | None,
        done: Found,
        candidates: Sequence[Candidate],
    ) -> None:
        places = []
        for candidate in self.blocked.order(candidates):
            sock = self.listener(candidate.transport, candidate.host, preferred)
            if sock is not None:
                addr = candidate.host, candidate.port
                places.append(Destination(sock, addr, candidate.name))
        if not places:
            _QUIET.info("no way to %r", uri)
        done(places)

    # -- servers that fail -----------------------------------------------------------------------

    def failed(self, found: Destination) -> None:
        """Nobody answered there, or the connection failed."""
        self.blocked.block(server(found.sock.kind, found.addr, found.name))

    def refused(self, found: Destination, seconds: float) -> None:
        """A 503 came from there; seconds: its Retry-After, 0 without one."""
        self.blocked.block(server(found.sock.kind, found.addr, found.name), seconds)


def _serves(sock: Transport | None, kind: str, wide: bool) -> bool:  # noqa: FBT001 - hot
    return sock is not None and sock.kind == kind and (sock.family == socket.AF_INET6) == wide


def _is_loopback(host: str) -> bool:
    return host.startswith("127.") or host == "::1"
