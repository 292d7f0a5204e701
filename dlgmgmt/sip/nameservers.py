"""One question to the name servers, through dnspython.

dnspython gives it random ids and ports, asks again and the next server, asks over TCP for what was
cut off, and passes over garbage, answers to other questions, and loops. Here the size of an answer
is bounded before it is read: 64 kB would keep the signalling thread busy for a third of a second.
"""

from __future__ import annotations

import itertools
import logging
import socket
from collections.abc import Callable
from typing import Any, Self

import dns.asyncbackend
import dns.asyncresolver
import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
from dns.rdata import Rdata
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.NAPTR import NAPTR
from dns.rdtypes.IN.SRV import SRV

from dlgmgmt.sip.hosts import Watched
from dlgmgmt.sip.selection import Naptr, Question, Records, Srv
from dlgmgmt.sip.settings import DnsSettings

_LOG = logging.getLogger(__name__)

MAX_ANSWER = 4096
"""Bytes of an answer, some 80 SRV records; a longer one counts as none."""
MAX_RECORDS = 256
"""Records taken of one answer."""
MAX_ALIASES = 8
"""CNAMEs followed from one answer to the next."""


class NoAnswer(Exception):
    """No server has answered the question."""


class NameServers:
    """Those of the settings, or the system's. resolv_conf: the file that names them.

    monotonic: clock in seconds.
    """

    __slots__ = ("_backend", "_file", "_resolver", "_settings")

    def __init__(
        self, settings: DnsSettings, monotonic: Callable[[], float], resolv_conf: str
    ) -> None:
        self._settings = settings
        self._file = Watched(resolv_conf, monotonic)
        self._resolver: dns.asyncresolver.Resolver | None = None
        self._backend: Any = _Backend(dns.asyncbackend.get_backend("asyncio"))

    @property
    def resolver(self) -> dns.asyncresolver.Resolver:
        """With what is known of the servers now."""
        changed = not self._settings.servers and self._file.changed()
        if self._resolver is None or changed:
            self._resolver = _resolver(self._settings, self._file.path)
        return self._resolver

    @property
    def patience(self) -> float:
        """Seconds for one question: each attempt asks the next server, and three are asked."""
        servers = len(self.resolver.nameservers)
        return self._settings.timeout * max(self._settings.attempts, min(servers, 3))

    async def ask(self, question: Question) -> tuple[Records, float]:
        """The records, and the seconds that they, or their absence, last; raises NoAnswer."""
        try:
            return await self._ask(question)
        except (dns.exception.DNSException, OSError, UnicodeError) as error:
            raise NoAnswer(str(error)) from error
        except Exception as error:
            # It reads what strangers send: a fault in it is no fault of this program.
            raise NoAnswer(repr(error)) from error

    async def _ask(self, question: Question) -> tuple[Records, float]:
        resolver = self.resolver
        # As the system does for a host; NAPTR and SRV are of domains, whose names are whole.
        search = question.kind in ("A", "AAAA") and not self._settings.servers
        name, life = question.name, float("inf")
        for _ in range(MAX_ALIASES):
            try:
                answer = await resolver.resolve(
                    name if search else f"{name}.",
                    question.kind,
                    raise_on_no_answer=False,
                    lifetime=self.patience,
                    search=search,
                    backend=self._backend,
                )
            except dns.resolver.NXDOMAIN as error:
                said: Any = error  # the class has no types
                for response in said.responses().values():
                    life = min(life, response.resolve_chaining().minimum_ttl)
                return (), life
            chain = answer.chaining_result
            life = min(life, chain.minimum_ttl)
            if answer.rrset is not None:
                some = itertools.islice(answer.rrset, MAX_RECORDS)
                records = (_record(each, question.kind) for each in some)
                return tuple(each for each in records if each is not None), life
            if chain.canonical_name == answer.qname:
                return (), life
            # The server has the alias and not what it stands for.
            name, search = _text(chain.canonical_name), False
        return (), life


def _resolver(settings: DnsSettings, resolv_conf: str) -> dns.asyncresolver.Resolver:
    resolver = dns.asyncresolver.Resolver(configure=False)
    if settings.servers:
        resolver.nameservers = [
            dns.nameserver.Do53Nameserver(host, port) for host, port in settings.servers
        ]
    else:
        try:
            resolver.read_resolv_conf(resolv_conf)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            # As the system's resolver does without a usable file.
            _LOG.warning("%s: %s: 127.0.0.1 is asked", resolv_conf, error)
            resolver.nameservers = ["127.0.0.1"]
    resolver.timeout = settings.timeout
    return resolver


def _record(data: Rdata, kind: str) -> Naptr | Srv | str | None:
    """A record as ``selection`` knows it, None for one of another kind."""
    if isinstance(data, A | AAAA):
        return data.address if kind == ("A" if isinstance(data, A) else "AAAA") else None
    if isinstance(data, SRV):
        return Srv(data.priority, data.weight, data.port, _text(data.target))
    if isinstance(data, NAPTR):
        flags = data.flags.decode("ascii", "replace")
        service = data.service.decode("ascii", "replace")
        return Naptr(data.order, data.preference, flags, service, _text(data.replacement))
    return None


def _text(name: dns.name.Name) -> str:
    """A name in lower case without its final dot; "" for the root."""
    return name.to_text(omit_final_dot=True).lower() if len(name) > 1 else ""


class _Around:
    """Something of dnspython's, which has no types, with one method of its own."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._inner.close()


class _Backend(_Around):
    """asyncio's, with sockets that let no long answer in."""

    def datagram_connection_required(self) -> bool:
        # A connected socket gets nobody else's datagrams, and hears of a port without a server.
        return True

    async def make_socket(self, af: int, socktype: int, *args: Any, **kwargs: Any) -> _Around:
        inner = await self._inner.make_socket(af, socktype, *args, **kwargs)
        return _Datagrams(inner) if socktype == socket.SOCK_DGRAM else _Stream(inner)


class _Datagrams(_Around):
    async def recvfrom(self, size: int, timeout: float | None) -> tuple[bytes, Any]:  # noqa: ASYNC109 - dnspython's
        data, source = await self._inner.recvfrom(size, timeout)
        # An empty datagram is garbage, and passed over.
        return (data if len(data) <= MAX_ANSWER else b""), source


class _Stream(_Around):
    async def recv(self, size: int, timeout: float | None) -> bytes:  # noqa: ASYNC109 - dnspython's
        # The length comes first, and then as much is asked for.
        if size > MAX_ANSWER:
            raise OSError(f"an answer of {size} bytes is too long")
        data: bytes = await self._inner.recv(size, timeout)
        return data
