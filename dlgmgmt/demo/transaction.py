"""Transactions of a phone, in a simple form (RFC 3261 17 and RFC 6026, UDP only)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dlgmgmt.demo.message import Message, build

Address = tuple[str, int]
Headers = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Timers:
    """RFC 3261 17.1.1.1, in seconds."""

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0

    @property
    def end(self) -> float:
        """Timers B, F, H, J, L and M: 64*T1."""
        return 64 * self.t1


class Wire(Protocol):
    """What a transaction needs of its phone."""

    timers: Timers

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram."""


class Repeater:
    """Sends again after T1, then 2*T1, ... up to ``cap`` seconds apart, for 64*T1 in all."""

    def __init__(
        self, timers: Timers, send: Callable[[], None], give_up: Callable[[], None], cap: float
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._send = send
        self._give_up = give_up
        self._cap = cap
        self._interval = timers.t1
        self._end = self._loop.time() + timers.end
        self._handle = self._loop.call_later(self._interval, self._tick)

    def _tick(self) -> None:
        if self._loop.time() >= self._end:
            self._give_up()
            return
        self._send()
        self._interval = min(2 * self._interval, self._cap)
        left = max(0.0, self._end - self._loop.time())
        self._handle = self._loop.call_later(min(self._interval, left), self._tick)

    def stop(self) -> None:
        """Send no more and do not give up."""
        self._handle.cancel()


@dataclass(slots=True)
class Request:
    """A request as it is sent; ``route`` and the rest are kept to build its ACK or CANCEL."""

    method: str
    uri: str
    via: str
    route: list[str]
    from_: str
    to: str
    callid: str
    cseq: int
    extra: Headers
    body: str

    def data(self) -> bytes:
        """The bytes on the wire."""
        headers = [("Via", self.via), ("Max-Forwards", "70")]
        headers += [("Route", route) for route in self.route]
        headers += [("From", self.from_), ("To", self.to), ("Call-ID", self.callid)]
        headers.append(("CSeq", f"{self.cseq} {self.method}"))
        return build(f"{self.method} {self.uri} SIP/2.0", headers + self.extra, self.body)

    def same_hop(self, method: str, to: str) -> Request:
        """Its CANCEL, or the ACK of a final non-2xx (RFC 3261 9.1, 17.1.1.3)."""
        return Request(
            method, self.uri, self.via, self.route, self.from_, to, self.callid, self.cseq, [], ""
        )


class ClientTransaction:
    """A request on its way; reports responses until its final one.

    ``on_response`` gets provisional responses and the first final one (every 2xx of an INVITE);
    when nothing comes, a 408 made here. ``done`` is set with the final one. ``on_end`` is called
    once, when nothing more can come.
    """

    def __init__(
        self,
        wire: Wire,
        request: Request,
        to: Address,
        on_response: Callable[[Message], None],
        on_end: Callable[[], None],
    ) -> None:
        self.request = request
        self.to = to
        self.provisional = False
        self.final = 0
        self.done = asyncio.Event()
        self._wire = wire
        self._on_response = on_response
        self._on_end = on_end
        self._ack = b""
        self._linger: asyncio.TimerHandle | None = None
        data = request.data()
        invite = request.method == "INVITE"
        cap = wire.timers.end if invite else wire.timers.t2
        self._repeater = Repeater(wire.timers, lambda: wire.send(data, to), self.time_out, cap)
        wire.send(data, to)

    def receive(self, response: Message) -> None:
        """Take a response to this request."""
        invite = self.request.method == "INVITE"
        if response.status < 200:
            self.provisional = True
            if invite:
                self._repeater.stop()
            if not self.final:
                self._on_response(response)
            return
        if self.final:
            if self._ack and response.status >= 300:
                self._wire.send(self._ack, self.to)
            elif invite and response.status < 300 and self.final < 300:
                self._on_response(response)
            return
        if invite and response.status >= 300:
            self._ack = self.request.same_hop("ACK", response.get("to")).data()
            self._wire.send(self._ack, self.to)
        self._finish(response)

    def limit(self) -> None:
        """Wait no longer than another 64*T1: it has been cancelled (RFC 3261 9.1)."""
        if self._linger is None:
            loop = asyncio.get_running_loop()
            self._linger = loop.call_later(self._wire.timers.end, self.time_out)

    def time_out(self) -> None:
        """No final response is expected any more: report 408."""
        if not self.final:
            self._finish(
                Message(self.request.method, "", 408, "no answer", self.request.cseq, [], b"")
            )

    def _finish(self, response: Message) -> None:
        self._repeater.stop()
        self.final = response.status
        self.done.set()
        if self._linger is not None:
            self._linger.cancel()
        timers = self._wire.timers
        wait = timers.end if self.request.method == "INVITE" else timers.t4
        self._linger = asyncio.get_running_loop().call_later(wait, self._on_end)
        self._on_response(response)

    def close(self) -> None:
        """Stop the timers; nothing is reported any more."""
        self._repeater.stop()
        if self._linger is not None:
            self._linger.cancel()


class ServerTransaction:
    """A request that came in, and the last response to it."""

    def __init__(
        self, wire: Wire, request: Message, reply_to: Address, on_end: Callable[[], None]
    ) -> None:
        self.request = request
        self.final = 0
        self._wire = wire
        self._reply_to = reply_to
        self._on_end = on_end
        self._last = b""
        self._repeater: Repeater | None = None
        self._linger: asyncio.TimerHandle | None = None

    def respond(self, status: int, data: bytes) -> None:
        """Send a response; a final one only once, a non-2xx to an INVITE until it is ACKed."""
        if self.final:
            return
        self._last = data
        if status < 200:
            self.repeat()
            return
        self.final = status
        timers = self._wire.timers
        self._linger = asyncio.get_running_loop().call_later(timers.end, self._on_end)
        if self.request.method == "INVITE" and status >= 300:
            self._repeater = Repeater(timers, self.repeat, self.acked, timers.t2)
        self.repeat()

    def repeat(self) -> None:
        """The request came again: send the last response again."""
        if self._last:
            self._wire.send(self._last, self._reply_to)

    def acked(self) -> None:
        """The ACK of a non-2xx came: repeat no more."""
        if self._repeater is not None:
            self._repeater.stop()

    def close(self) -> None:
        """Stop the timers."""
        self.acked()
        if self._linger is not None:
            self._linger.cancel()
