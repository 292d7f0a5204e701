"""Copies of the messages that pass: the last ones kept, for one call's log, and sent as HEP.

The signalling thread puts messages in, any thread looks for those of a call. There is no lock
between them: a search reads the slots a piece at a time, and leaves out what came after it began
and what was gone before it ended.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from dlgmgmt.sip.bound import host_text
from dlgmgmt.sip.flow import Address, Tap, Transport
from dlgmgmt.sip.hep import HepCounters, HepSender, callid_of
from dlgmgmt.sip.settings import TraceSettings

_LOG = logging.getLogger(__name__)

MAX_FOUND = 500
MAX_FOUND_BYTES = 1_048_576
"""Messages, and their bytes, that one search gives; the next one goes on after them."""

_PIECE = 1024
_MIN_MESSAGE = 16
"""Keep-alives are shorter, and there is no SIP message that is."""

_Record = tuple[int, float, str, str, str, int, Address, bytes]
"""As Traced, but with the local address in two: plain tuples cost the least."""


class Traced(NamedTuple):
    """A message that was kept.

    number: counts all that were, from 1. time: Unix seconds. direction: "in" or "out".
    transport: "udp", "tcp", "tls", "ws" or "wss". local: the listener's address.
    """

    number: int
    time: float
    direction: str
    transport: str
    local: Address
    remote: Address
    data: bytes

    @property
    def local_text(self) -> str:
        """``host:port``, IPv6 in brackets."""
        return f"{host_text(self.local[0])}:{self.local[1]}"

    @property
    def remote_text(self) -> str:
        """As local_text."""
        return f"{host_text(self.remote[0])}:{self.remote[1]}"


class NoCollector(Exception):
    """There is no address to which copies could be sent."""


class _Ring:
    """The last messages, ``size`` of them and ``room`` bytes at most; see the module.

    count: all that were ever put in, those of the ring before this one included.
    """

    __slots__ = ("_first", "_slots", "count", "held", "room", "size", "used")

    def __init__(self, size: int, room: int, count: int) -> None:
        self.size = size
        self.room = room
        self.count = self._first = count
        self.held = 0
        self.used = 0
        self._slots: list[_Record | None] = []

    def put(
        self,
        now: float,
        direction: str,
        transport: Transport,
        peer: Address,
        data: bytes,
        /,
    ) -> None:
        """Keep a message, and forget as many old ones as it takes."""
        used = self.used + len(data)
        if self.held == self.size or used > self.room:
            used = self._forget(len(data))
            if used > self.room:
                return
        place = (self.count - self._first) % self.size
        self.count += 1
        local = transport.address_towards(peer[0]) if transport.wildcard else transport.host
        record = (
            self.count, now, direction, transport.kind, local, transport.port, peer, data
        )  # fmt: skip
        if place == len(self._slots):
            self._slots.append(record)
        else:
            self._slots[place] = record
        self.held += 1
        self.used = used

    def _forget(self, need: int) -> int:
        """Make room for a message of ``need`` bytes; how many are used then with it."""
        if need > self.room:
            return need
        while self.held and (self.held == self.size or self.used + need > self.room):
            place = (self.count - self._first - self.held) % self.size
            record = self._slots[place]
            self._slots[place] = None
            self.held -= 1
            if record is not None:
                self.used -= len(record[7])
        return self.used + need

    def records(self, callid: bytes) -> list[_Record]:
        """The messages with this Call-ID, oldest first. Any thread."""
        last = self.count
        found: list[_Record] = []
        for start in range(0, len(self._slots), _PIECE):
            # A slice is made in one step, whatever the other thread does.
            for record in self._slots[start : start + _PIECE]:
                # The first look is the quick one.
                if record is None or callid not in record[7] or record[0] > last:
                    continue
                if callid_of(record[7]) == callid:
                    found.append(record)
        # Some that were found may have gone meanwhile, and others between them unseen.
        oldest = self.count - self.held
        return sorted(record for record in found if record[0] > oldest)


class Tracer:
    """The tap of the listeners. settings: those in force, any thread may read them.

    tap: called on the signalling thread with what the listeners' taps are to be, this or None.
    post: has the signalling thread call a function.
    """

    def __init__(
        self,
        settings: TraceSettings,
        tap: Callable[[Tap | None], None],
        post: Callable[[Callable[[], None]], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.settings = settings
        self.hep = HepCounters()
        self._file = settings
        self._tap = tap
        self._post = post
        self._clock = clock
        self._lock = threading.Lock()
        self._ring: _Ring | None = None
        self._numbered = 0
        self._sender: HepSender | None = None
        self._in_force = TraceSettings(ring_messages=0)
        self._apply()

    # -- the tap ---------------------------------------------------------------------------------

    def received(self, transport: Transport, source: Address, data: bytes, /) -> None:
        """See flow.Tap."""
        if len(data) < _MIN_MESSAGE:
            return
        now = self._clock()
        if self._ring is not None:
            self._ring.put(now, "in", transport, source, data)
        if self._sender is not None:
            self._sender.send(source, _local(transport, source), now, transport.kind, data)

    def sent(self, transport: Transport, peer: Address, data: bytes, /) -> None:
        """See flow.Tap."""
        if len(data) < _MIN_MESSAGE:
            return
        now = self._clock()
        if self._ring is not None:
            self._ring.put(now, "out", transport, peer, data)
        if self._sender is not None:
            self._sender.send(_local(transport, peer), peer, now, transport.kind, data)

    # -- any thread ------------------------------------------------------------------------------

    def find(self, callid: str, after: int = 0) -> list[Traced] | None:
        """The kept messages of a call in their order; None if there is not one.

        Those with a number above ``after``, and no more than MAX_FOUND and MAX_FOUND_BYTES of
        them: the rest comes after the last of these.
        """
        ring = self._ring
        records = [] if ring is None else ring.records(callid.encode("utf-8", "surrogateescape"))
        if not records:
            return None
        found: list[Traced] = []
        size = 0
        for number, when, direction, transport, host, port, remote, data in records:
            if number <= after:
                continue
            size += len(data)
            if found and (len(found) == MAX_FOUND or size > MAX_FOUND_BYTES):
                break
            found.append(Traced(number, when, direction, transport, (host, port), remote, data))
        return found

    @property
    def sending(self) -> bool:
        """Whether copies are to be sent."""
        return self.settings.enabled and self.settings.hep is not None

    def switch(self, *, on: bool, collector: Address | None = None) -> None:
        """Begin or cease to send copies, to ``collector`` if one is given.

        It lasts until the next switch, or until a reload that brings other settings. Raises
        NoCollector if there is nowhere to send to.
        """
        with self._lock:
            hep = collector or self.settings.hep
            if on and hep is None:
                raise NoCollector
            self.settings = replace(self.settings, enabled=on, hep=hep)
        self._post(self._apply)

    def use(self, settings: TraceSettings) -> None:
        """Take what the configuration says, if that has changed since it last did."""
        with self._lock:
            if settings == self._file:
                return
            self._file = self.settings = settings
        self._post(self._apply)

    def statistics(self) -> Sequence[tuple[str, int]]:
        """Counters for operators."""
        ring = self._ring
        return (
            ("hep_cut", self.hep.cut),
            ("hep_dropped", self.hep.dropped),
            ("hep_sent", self.hep.sent),
            ("ring_bytes", 0 if ring is None else ring.used),
            ("ring_messages", 0 if ring is None else ring.held),
        )

    # -- the signalling thread -------------------------------------------------------------------

    def close(self) -> None:
        """Send no more."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def _apply(self) -> None:
        """Put the settings in force that are wanted by now."""
        old, new = self._in_force, self.settings
        self._in_force = new
        if (old.ring_messages, old.ring_bytes) != (new.ring_messages, new.ring_bytes):
            self._resize(new)
        if _sending(old) != _sending(new):
            self.close()
            self._open(new)
        idle = self._ring is None and self._sender is None
        self._tap(None if idle else self)

    def _resize(self, settings: TraceSettings) -> None:
        if self._ring is not None:
            self._numbered = self._ring.count
        size, room = settings.ring_messages, settings.ring_bytes
        # The numbers go on, so that who reads on after the last one misses nothing.
        self._ring = _Ring(size, room, self._numbered) if size and room else None

    def _open(self, settings: TraceSettings) -> None:
        if not settings.enabled or settings.hep is None:
            _LOG.info("copies of the messages are not sent")
            return
        where = f"udp:{host_text(settings.hep[0])}:{settings.hep[1]}"
        key = settings.hep_password.encode()
        try:
            self._sender = HepSender(settings.hep, settings.hep_id, key, self.hep)
        except OSError as error:
            _LOG.error("no copies are sent to %s: %s", where, error.strerror or error)
        else:
            _LOG.info("copies of the messages are sent to %s", where)


def _local(transport: Transport, peer: Address) -> Address:
    return transport.address_towards(peer[0]), transport.port


def _sending(settings: TraceSettings) -> tuple[object, ...] | None:
    """All that a sender is made of, None if there is to be none."""
    if not settings.enabled or settings.hep is None:
        return None
    return settings.hep, settings.hep_id, settings.hep_password
