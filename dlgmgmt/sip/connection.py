"""One connection of a stream listener: messages in, messages out (RFC 3261 18.3)."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from typing import TYPE_CHECKING, cast

from dlgmgmt.sip.carrier import PAUSE, Carrier
from dlgmgmt.sip.flow import Address, Failed
from dlgmgmt.sip.framing import Framer, FramingError, Signal
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.settings import StreamSettings

if TYPE_CHECKING:
    from dlgmgmt.sip.streams import StreamListener

_LOG = logging.getLogger(__name__)
_QUIET = Quiet(_LOG)

_PING = b"\r\n\r\n"
_PONG = b"\r\n"


class Connection(Carrier, asyncio.Protocol):
    """A connection that is being made, or is open, or closed.

    peer: the other end's address. name: the domain that was connected to, "" for an address.
    keys: further keys that the listener knows it by. accepted: whether the peer has made it.
    """

    def __init__(
        self, listener: StreamListener, peer: Address, *, name: str = "", accepted: bool = False
    ) -> None:
        super().__init__()
        self.listener = listener
        self.peer = peer
        self.name = name
        self.keys: set[tuple[str, int, str]] = set()
        self.closed = False
        self.accepted = accepted
        self._framer = Framer(listener.max_message)
        self._transport: asyncio.Transport | None = None
        self._queue: list[bytes] = []
        self._queued = 0
        self._waiting: dict[Failed, None] = {}
        self._heard = self._pinged = listener.monotonic()
        # Since when a message is incomplete.
        self._partial: float | None = None
        # Whether the peer has closed it, and not just vanished.
        self._ended = False
        # When it was to be closed, though something waits to be sent still.
        self._closing: float | None = None
        self._names: frozenset[str] | None = None

    # -- sending -----------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether it is there already."""
        return self._transport is not None

    @property
    def gone(self) -> bool:
        """Whether nothing can be sent on it any more, though it may not have been told so yet."""
        transport = self._transport
        return self.closed or (transport is not None and transport.is_closing())

    def send(self, data: bytes, failed: Failed | None) -> bool:
        """Send, or queue until the connection is there; False if it is closed or full."""
        if self.gone or not self._has_room(len(data)):
            return False
        transport = self._transport
        if failed is not None:
            self._waiting[failed] = None
        if transport is None:
            self._queue.append(data)
            self._queued += len(data)
        else:
            transport.write(data)
        return True

    def _has_room(self, size: int) -> bool:
        """Whether so much more may wait to be sent; the connection of a peer is cut off if not."""
        transport = self._transport
        waiting = self._queued if transport is None else transport.get_write_buffer_size()
        if not waiting or waiting + size <= self.listener.census.settings.max_unsent:
            return True
        _QUIET.info(
            "%s: %s:%d does not read, %d bytes wait", self.listener.name, *self.peer, waiting
        )
        self.abort()
        return False

    def settled(self, failed: Failed) -> None:
        """``failed`` need not be called any more."""
        self._waiting.pop(failed, None)

    # -- what the loop calls -----------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is there."""
        self._transport = cast("asyncio.Transport", transport)
        if self.closed:
            self._transport.abort()
            return
        self._heard = self._pinged = self.listener.monotonic()
        self.listener.opened(self)
        queue, self._queue, self._queued = self._queue, [], 0
        for data in queue:
            self._transport.write(data)

    def data_received(self, data: bytes) -> None:
        """Bytes have come."""
        if self.closed:
            return
        listener = self.listener
        now = self._heard = listener.monotonic()
        framer = self._framer
        pings = 0
        try:
            for item in framer.feed(data):
                if isinstance(item, bytes):
                    self._pong(pings)
                    pings = 0
                    self._message(item)
                elif item is Signal.PING:
                    pings += 1
        except FramingError as error:
            self._unreadable(error)
            return
        self._pong(pings)
        if not framer.pending:
            self._partial = None
        elif self._partial is None:
            self._partial = now

    def _pong(self, pings: int) -> None:
        data = _PONG * pings
        if data and self._transport is not None and not self.gone and self._has_room(len(data)):
            self._transport.write(data)

    def _message(self, data: bytes) -> None:
        from dlgmgmt.sip.streams import StreamFlow  # noqa: PLC0415 - the two need each other

        listener = self.listener
        listener.received += 1
        flow = StreamFlow(listener, self.peer, self.name, self)
        listener.receive(data, self.peer, listener, flow)

    def _unreadable(self, error: FramingError) -> None:
        from dlgmgmt.sip.streams import StreamFlow  # noqa: PLC0415 - the two need each other

        listener = self.listener
        flow = StreamFlow(listener, self.peer, self.name, self)
        listener.broken(error, flow)
        # What was answered goes out before it is closed.
        self.close()

    def eof_received(self) -> None:
        """The peer sends no more: it is closed from here as well."""
        self._ended = True

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone."""
        if exc is not None:
            _LOG.debug("%s: %s:%d: %s", self.listener.name, *self.peer, exc)
        self.failed()

    # -- its end -----------------------------------------------------------------------------------

    def failed(self) -> None:
        """It is gone, or could not be made: whoever waits for an answer on it is told."""
        self.closed = True
        self._queue.clear()
        self.listener.closed(self)
        waiting, self._waiting = self._waiting, {}
        for tell in waiting:
            try:
                tell(ended=self._ended)
            except Exception:  # noqa: BLE001 - logged
                # The others must be told.
                _QUIET.exception("failed on a lost connection")

    def close(self) -> None:
        """Close it once what was sent has gone out."""
        self.closed = True
        self._closing = self.listener.monotonic()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close it at once."""
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def look(self, now: float, settings: StreamSettings) -> None:
        """Close it if it has been idle or unfinished for too long; keep it alive if asked."""
        if self._transport is None:
            return
        if self.closed:
            if self._closing is not None and now - self._closing > settings.message_timeout:
                self.abort()
            return
        if self._partial is not None and now - self._partial > settings.message_timeout:
            _QUIET.info("%s: %s:%d sends no whole message", self.listener.name, *self.peer)
            self.abort()
        elif now - self._heard > settings.idle_timeout and not self._waiting:
            if self.listener.needed is not None and self.listener.needed(self):
                self._heard = now - settings.idle_timeout + min(PAUSE, settings.idle_timeout)
            else:
                self.close()
        elif (
            settings.ping_interval
            and not self.accepted
            and now - self._pinged >= settings.ping_interval
        ):
            self._pinged = now
            self._transport.write(_PING)

    # -- who the peer is ---------------------------------------------------------------------------

    def gives_way(self, other: Connection, *, proved: bool) -> bool:
        """Whether a name that leads here may lead to a later connection of the peer.

        A peer that has lost its connection makes another one, and this end may not have heard of
        the loss. proved: whether the name was believed for a certificate; without one it is left
        to nobody from another host. What was connected from here stays as it is.
        """
        if self.gone:
            return True
        return self.accepted and (proved or self.peer[0] == other.peer[0])

    def shows(self, host: str) -> bool:
        """Whether a verified certificate of the peer shows ``host`` (RFC 5922 7)."""
        if self._names is None:
            self._names = _names_of(self._transport)
        host = host.strip("[]").lower()
        return host in self._names or ("*." + host.partition(".")[2]) in self._names


def _names_of(transport: asyncio.Transport | None) -> frozenset[str]:
    found = transport.get_extra_info("ssl_object") if transport is not None else None
    if not isinstance(found, ssl.SSLObject):
        return frozenset()
    # Empty, not None, for a certificate that was shown and not verified.
    shown = found.getpeercert() or {}
    names = set()
    for kind, value in cast("tuple[tuple[str, str], ...]", shown.get("subjectAltName", ())):
        if kind == "DNS":
            names.add(value.lower())
        elif kind == "IP Address":
            names.add(str(ipaddress.ip_address(value)))
    return frozenset(names)
