"""Who may send, and how much: the first look at every message, and at every new request.

A source is an IPv4 address or an IPv6 network of 64 bits, for whoever has one address of it has
them all. Each has three token buckets: for messages of any kind, for requests that begin
something, and for requests within dialogs that nobody here knows. Requests within known calls are
bounded by the first one alone: a BYE that is refused is worse than an INVITE that is.

A bucket is one number, the time at which it will be full again; a message moves it on by the
bucket's interval, and finds it empty if it then lies beyond the burst.
"""

from __future__ import annotations

import re
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from dlgmgmt.sip.flow import Transport
from dlgmgmt.sip.settings import AllowRule, LimitSettings, Network, SipSettings

_REMEMBERED = 10_000

_WITHIN = (b"SIP/2.0 ", b"ACK ", b"BYE ", b"CANCEL ")
# In a message of a source that is over its limits, before it is parsed: folded lines included.
_TO_TAG = re.compile(rb"\nt(?:o)?[ \t]*:(?:[^\r\n]|\r?\n[ \t])*?;[ \t]*tag[ \t]*=", re.IGNORECASE)


class Verdict(Enum):
    """What to do with a request: take it, answer it 503, or say nothing."""

    PASS = "pass"  # noqa: S105 - no password
    REFUSE = "refuse"
    DROP = "drop"


@dataclass(slots=True)
class GuardCounters:
    """Messages that were not taken.

    forbidden: of sources that no rule allows. refused: over a limit and answered 503. dropped:
    over a limit and not answered.
    """

    forbidden: int = 0
    refused: int = 0
    dropped: int = 0


class Source:
    """What is known of a source. alive: its server transactions. trusted: it has no limits."""

    __slots__ = ("alive", "begun", "packets", "refused", "trusted", "within")

    def __init__(self, *, trusted: bool) -> None:
        self.trusted = trusted
        self.alive = 0
        # When each bucket will be full again.
        self.packets = self.begun = self.within = self.refused = 0.0


class NetworkSet:
    """Networks, and whether an address is in one of them: one look-up per length of prefix."""

    def __init__(self, networks: Iterable[Network]) -> None:
        found: dict[tuple[int, int], set[int]] = {}
        for network in networks:
            shift = network.max_prefixlen - network.prefixlen
            numbers = found.setdefault((network.version, shift), set())
            numbers.add(int(network.network_address) >> shift)
        self._numbers = found

    def __contains__(self, host: str) -> bool:
        version, number = _number(host)
        return any(
            which == version and number >> shift in numbers
            for (which, shift), numbers in self._numbers.items()
        )

    def __bool__(self) -> bool:
        return bool(self._numbers)


class Guard:
    """Allow lists and limits; signalling thread only.

    sockets: those of ``settings.listen``, in the same order. monotonic: clock in seconds.
    """

    def __init__(
        self,
        settings: SipSettings,
        sockets: Sequence[Transport],
        monotonic: Callable[[], float],
    ) -> None:
        self.counters = GuardCounters()
        self._sockets = tuple(sockets)
        self._monotonic = monotonic
        self._sources: OrderedDict[str | bytes, Source] = OrderedDict()
        self._limits: LimitSettings | None = None
        self.use(settings)

    def __len__(self) -> int:
        """Sources remembered."""
        return len(self._sources)

    def use(self, settings: SipSettings) -> None:
        """Work with these settings from now on."""
        self._use_rules(settings.allow, settings)
        limits = settings.limits
        if limits == self._limits:
            return
        self._limits = limits
        self._most_alive = limits.transactions
        self._packet, self._packet_slack = _bucket(limits.packets, limits.packets)
        self._begin, self._begin_slack = _bucket(limits.rate, limits.burst)
        self._refusal, self._refusal_slack = _bucket(limits.refusals, limits.refusals)
        self._trusted = NetworkSet(limits.trusted)
        self._single = any(network.prefixlen > 64 for network in limits.trusted)
        self._most_sources = limits.sources
        self._sources.clear()

    # -- who may send ----------------------------------------------------------------------------

    def _use_rules(self, rules: tuple[AllowRule, ...], settings: SipSettings) -> None:
        self._rules: dict[Transport, NetworkSet] = {}
        for listener, sock in zip(settings.listen, self._sockets, strict=False):
            mine = [rule.networks for rule in rules if rule.listen == listener]
            if mine:
                self._rules[sock] = NetworkSet(network for part in mine for network in part)
        # Hosts that were looked up, and what came of it.
        self._known: OrderedDict[tuple[Transport, str], bool] = OrderedDict()

    def admits(self, sock: Transport, host: str) -> bool:
        """Whether a listener's rules let ``host`` send to it; one that they do not is counted."""
        rules = self._rules.get(sock)
        if rules is None:
            return True
        key = (sock, host)
        good = self._known.get(key)
        if good is None:
            good = self._known[key] = host in rules
            if len(self._known) > _REMEMBERED:
                self._known.popitem(last=False)
        if not good:
            self.counters.forbidden += 1
        return good

    # -- how much --------------------------------------------------------------------------------

    def admit(self, sock: Transport, host: str, data: bytes) -> Source | None:
        """The source of a message; None if the message is to be dropped unread."""
        if self._rules and not self.admits(sock, host):
            return None
        source = self._source(host)
        if source.trusted:
            return source
        now = self._monotonic()
        full = source.packets
        if full > now + self._packet_slack:
            self.counters.dropped += 1
            return None
        source.packets = max(full, now) + self._packet
        if (
            source.refused > now + self._refusal_slack
            and self._is_over(source, now)
            and not data.startswith(_WITHIN)
            and _TO_TAG.search(data) is None
        ):
            # It would be dropped after it had been parsed.
            self.counters.dropped += 1
            return None
        return source

    def begins(self, source: Source) -> Verdict:
        """A request outside of dialogs, no retransmission, has come from ``source``."""
        if source.trusted:
            return Verdict.PASS
        now = self._monotonic()
        if self._is_over(source, now):
            return self._refuse(source, now)
        source.begun = max(source.begun, now) + self._begin
        return Verdict.PASS

    def within(self, source: Source, known: Callable[[], bool], *, answer: bool = True) -> Verdict:
        """A request within a dialog, or a CANCEL. known: whether its call or INVITE is known.

        answer: whether it may be answered; False for an ACK.
        """
        if source.trusted:
            return Verdict.PASS
        now = self._monotonic()
        if source.within <= now + self._begin_slack and not self._is_crowded(source):
            source.within = max(source.within, now) + self._begin
            return Verdict.PASS
        if known():
            return Verdict.PASS
        if answer:
            return self._refuse(source, now)
        self.counters.dropped += 1
        return Verdict.DROP

    def _is_over(self, source: Source, now: float) -> bool:
        return source.begun > now + self._begin_slack or self._is_crowded(source)

    def _is_crowded(self, source: Source) -> bool:
        return 0 < self._most_alive <= source.alive

    def _refuse(self, source: Source, now: float) -> Verdict:
        full = source.refused
        if not self._refusal:
            # None is ever answered: for a second such messages are not even read.
            source.refused = now + 1.0
        if not self._refusal or full > now + self._refusal_slack:
            self.counters.dropped += 1
            return Verdict.DROP
        source.refused = max(full, now) + self._refusal
        self.counters.refused += 1
        return Verdict.REFUSE

    def _source(self, host: str) -> Source:
        sources = self._sources
        key = host if ":" not in host else self._network(host)
        source = sources.get(key)
        if source is None:
            source = sources[key] = Source(trusted=bool(self._trusted) and host in self._trusted)
            if len(sources) > self._most_sources:
                sources.popitem(last=False)
        else:
            sources.move_to_end(key)
        return source

    def _network(self, host: str) -> bytes:
        """The network of 64 bits that an IPv6 address is in; itself, if it alone is trusted."""
        packed = _packed(host)
        return packed if self._single and host in self._trusted else packed[:8]


def _bucket(rate: int, burst: int) -> tuple[float, float]:
    """Interval of a bucket, and how far beyond now it may have been moved; rate 0: no limit."""
    if not rate:
        return 0.0, 0.0
    # Half a message more, so that a sum of intervals that is rounded up does not cost a whole one.
    return 1 / rate, (max(burst, 1) - 0.5) / rate


def _packed(host: str) -> bytes:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.inet_pton(family, host.partition("%")[0])


def _number(host: str) -> tuple[int, int]:
    packed = _packed(host)
    return (6 if len(packed) == 16 else 4), int.from_bytes(packed, "big")
