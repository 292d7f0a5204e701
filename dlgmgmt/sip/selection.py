"""Which servers serve a URI: the choices of RFC 3263 4.1 and 4.2, apart from the asking.

``plan`` reads what the URI itself settles. ``find`` is a generator: it yields the questions that it
needs answered next, is sent the answers, and returns the candidates, best first. So the procedure
runs without a pause where all answers are known, and a test can hand it records.
"""

from __future__ import annotations

import enum
import functools
import ipaddress
import random
import socket
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import NamedTuple

from dlgmgmt.sip.blocked import Key, server
from dlgmgmt.sip.uri import DEFAULT_PORT, DEFAULT_PORTS, Uri

MAX_HOST = 255
"""Characters of a host name that is worth a look-up (RFC 1035 2.3.4)."""
MAX_SERVICES = 8
"""NAPTR records of a domain that are followed."""
MAX_TARGETS = 16
"""SRV records of a service that are followed."""
MAX_CANDIDATES = 16
"""Servers that a request tries at most: a dead one may cost it 64*T1."""

Families = Sequence[socket.AddressFamily]
Listening = Mapping[str, Families]
"""The transports that there are listeners for, with their address families, the preferred first."""


class Candidate(NamedTuple):
    """A server. host: numeric. name: what its TLS certificate must show (RFC 5922), "" for none."""

    transport: str
    host: str
    port: int
    name: str = ""

    @property
    def key(self) -> Key:
        """Which server it is."""
        return server(self.transport, (self.host, self.port), self.name)


class Naptr(NamedTuple):
    """A NAPTR record (RFC 3403 4). The regular expression has no part in RFC 3263."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


class Srv(NamedTuple):
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str


class Question(NamedTuple):
    """name: without a final dot. kind: "NAPTR", "SRV", "A" or "AAAA"."""

    name: str
    kind: str


Records = tuple[Naptr | Srv | str, ...]
"""What a name has of a kind; addresses as text. Empty: nothing, or nobody could say."""
Answers = Mapping[Question, Records]
Steps = Generator[tuple[Question, ...], Answers, list[Candidate]]


class Step(enum.Enum):
    """What is to be asked first."""

    NOTHING = "the host is an address"
    ADDRESS = "A, AAAA"
    SERVICE = "SRV"
    TRANSPORT = "NAPTR"


class Plan(NamedTuple):
    """What a URI settles. port: None for the default. default: the transport where DNS has no word.

    secure: a sips URI. transports: those to ask SRV records for, in this order.
    """

    step: Step
    host: str
    port: int | None
    default: str
    transports: tuple[str, ...]
    secure: bool
    name: str


class _Service(NamedTuple):
    """Where a domain offers a transport. port: None where an SRV record is to say it."""

    transport: str
    host: str
    port: int | None


_D2X = {"SIP+D2U": "udp", "SIP+D2T": "tcp", "SIPS+D2T": "tls", "SIP+D2W": "ws", "SIPS+D2W": "wss"}
# WebSocket has no labels of its own: RFC 7118 leaves it to NAPTR.
_LABELS = {"udp": "_sip._udp.", "tcp": "_sip._tcp.", "tls": "_sips._tcp."}
_SECURE = frozenset({"tls", "wss"})
_KINDS = {socket.AF_INET: "A", socket.AF_INET6: "AAAA"}


def plan(uri: Uri, listening: Listening) -> Plan | None:
    """What is to be done for ``uri``; None if no listener's transport can serve it."""
    secure = uri.scheme == "sips"
    named = uri.param("transport")
    default = _default(secure, listening)
    transports: tuple[str, ...]
    if named:
        transport = uri.transport
        if transport == "ws" and transport not in listening:
            # RFC 7118 5 has one name for both.
            transport = "wss"
        if transport not in listening:
            return None
        default, transports = transport, (transport,)
    elif secure:
        transports = ("tls",)
    else:
        transports = ("udp", "tcp", "tls")
    host = (uri.param("maddr") or uri.host).strip("[]").lower().rstrip(".")
    if not host or len(host) > MAX_HOST:
        return None
    name = "" if host == uri.host and is_numeric(host) else uri.host.rstrip(".")
    if is_numeric(host):
        step = Step.NOTHING
    elif uri.port is not None:
        step = Step.ADDRESS
    elif named:
        step = Step.SERVICE if default in _LABELS else Step.ADDRESS
    else:
        step = Step.TRANSPORT
    if not default and (step is not Step.TRANSPORT or (secure and not _SECURE & listening.keys())):
        return None
    usable = tuple(each for each in transports if each in listening)
    port = uri.port
    if step is Step.NOTHING:
        port = port or default_port(default)
    return Plan(step, host, port, default, usable, secure, name)


def _default(secure: bool, listening: Listening) -> str:  # noqa: FBT001 - what the scheme says
    """4.1: UDP for sip, TLS for sips; here TCP for sip without a UDP listener. "" for none."""
    if secure:
        return "tls" if "tls" in listening else ""
    return next((each for each in ("udp", "tcp") if each in listening), "")


def default_port(transport: str) -> int:
    """The port of a transport where nothing says another."""
    return DEFAULT_PORTS.get(transport, DEFAULT_PORT)


def find(asked: Plan, listening: Listening, rng: random.Random) -> Steps:
    """Follow a plan. rng: shares the load between servers of different weight."""
    services: list[_Service] | None = None
    if asked.step is Step.NOTHING:
        port = asked.port or default_port(asked.default)
        return [Candidate(asked.default, asked.host, port, asked.name)]
    if asked.step is Step.TRANSPORT:
        question = Question(asked.host, "NAPTR")
        answers = yield (question,)
        services = _offered(answers.get(question, ()), asked.secure, listening)
    if services is None and asked.step is not Step.ADDRESS:
        services = [
            _Service(transport, _LABELS[transport] + asked.host, None)
            for transport in asked.transports
            if transport in _LABELS
        ]
    targets: list[Candidate] = []
    if services:
        questions = tuple(Question(each.host, "SRV") for each in services if each.port is None)
        answers = (yield questions) if questions else {}
        present = False
        for service in services:
            if service.port is not None:
                targets.append(Candidate(service.transport, service.host, service.port))
                present = True
                continue
            records = answers.get(Question(service.host, "SRV"), ())
            present = present or bool(records)
            targets += _targets(service.transport, records, rng)
        if not present:
            services = None
    if services is None and asked.default:
        port = asked.port or default_port(asked.default)
        targets.append(Candidate(asked.default, asked.host, port))
    return (yield from _addresses(targets, listening, asked.name))


def _offered(
    records: Records,
    secure: bool,  # noqa: FBT001 - what the scheme says
    listening: Listening,
) -> list[_Service] | None:
    """The services of a domain that can be used, best first.

    None where the domain says nothing of SIP; nothing where it says that none of the own
    transports will do, for then it has no default either.
    """
    said = False
    services = []
    for record in sorted(each for each in records if isinstance(each, Naptr)):
        transport = _D2X.get(record.service.upper())
        flag = record.flags.upper()
        if transport is None or flag not in ("S", "A") or not record.replacement:
            continue
        said = True
        if transport not in listening or (secure and transport not in _SECURE):
            continue
        port = default_port(transport) if flag == "A" else None
        services.append(_Service(transport, record.replacement, port))
    return services[:MAX_SERVICES] if said else None


def _targets(transport: str, records: Records, rng: random.Random) -> Iterable[Candidate]:
    """SRV records as servers, best first; a target of "." says that there is none (RFC 2782)."""
    servers = [each for each in records if isinstance(each, Srv) and each.target and each.port]
    for record in weighted(servers, rng)[:MAX_TARGETS]:
        yield Candidate(transport, record.target, record.port)


def weighted(records: Iterable[Srv], rng: random.Random) -> list[Srv]:
    """The order in which to try SRV records: by priority, and by lot within one (RFC 2782)."""
    ordered: list[Srv] = []
    # Within a priority those without weight stand first, so that a lot of 0 can fall on them.
    rest = sorted(records, key=lambda record: (record.priority, record.weight > 0))
    while rest:
        same = [record for record in rest if record.priority == rest[0].priority]
        lot = rng.randint(0, sum(record.weight for record in same))
        reached = 0
        for record in same:
            reached += record.weight
            if reached >= lot:
                ordered.append(record)
                rest.remove(record)
                break
    return ordered


def _addresses(targets: list[Candidate], listening: Listening, name: str) -> Steps:
    """Each server's addresses, of the families that its transport can reach."""
    questions: dict[Question, None] = {}
    for target in targets:
        if not is_numeric(target.host):
            for family in listening[target.transport]:
                questions[Question(target.host, _KINDS[family])] = None
    answers = (yield tuple(questions)) if questions else {}
    found: dict[Candidate, None] = {}
    for target in targets:
        if is_numeric(target.host):
            # No record may say so, but some do.
            found[target._replace(name=name)] = None
            continue
        for family in listening[target.transport]:
            for address in answers.get(Question(target.host, _KINDS[family]), ()):
                if isinstance(address, str):
                    found[target._replace(host=address, name=name)] = None
    return list(found)[:MAX_CANDIDATES]


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
