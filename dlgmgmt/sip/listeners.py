"""All listeners of the engine: bound together, started together, closed together."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from typing import Protocol

from dlgmgmt.sip.accept import Census
from dlgmgmt.sip.carrier import Carrier
from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.flow import Address, StreamFlow, Tap, Transport
from dlgmgmt.sip.framing import FramingError
from dlgmgmt.sip.loop import DirectSelector
from dlgmgmt.sip.settings import Listener, SipSettings
from dlgmgmt.sip.streams import StreamListener
from dlgmgmt.sip.tls import TlsContexts
from dlgmgmt.sip.transport import UdpSocket
from dlgmgmt.sip.websocket import WebSocketListener

AnyListener = UdpSocket | StreamListener | WebSocketListener


class Receiver(Protocol):
    """The proxy."""

    def receive(
        self, data: bytes, source: Address, sock: Transport, stream: StreamFlow | None = None, /
    ) -> None:
        """A message has come."""

    def unreadable(self, error: FramingError, stream: StreamFlow, /) -> None:
        """A connection is about to be closed for what came on it."""

    def unreachable(self, data: bytes, addr: Address, /) -> None:
        """A datagram that was sent to ``addr`` came to nobody; data: its beginning."""


class Listeners:
    """Binds every listener of ``settings``; raises ListenError, and then none is bound.

    receiver: gives the proxy, which is made after them. monotonic: clock in seconds.
    """

    def __init__(
        self,
        settings: SipSettings,
        receiver: Callable[[], Receiver],
        monotonic: Callable[[], float],
    ) -> None:
        self._receiver = receiver
        self._monotonic = monotonic
        self.census = Census(settings.stream)
        self.tls: TlsContexts | None = None
        self.all: list[AnyListener] = []
        try:
            if any(listener.transport in ("tls", "wss") for listener in settings.listen):
                self.tls = TlsContexts(settings.tls)
            for listener in settings.listen:
                self.all.append(self._bind(listener, settings))
        except ListenError:
            self.close()
            raise

    @property
    def transports(self) -> list[Transport]:
        """The listeners in the order of the configuration."""
        return [*self.all]

    def start(self, loop: asyncio.AbstractEventLoop, selector: DirectSelector) -> None:
        """Begin to read."""
        for sock in self.all:
            if isinstance(sock, UdpSocket):
                sock.start(selector.add_direct)
            else:
                sock.start(loop)

    def use(self, settings: SipSettings) -> None:
        """Take other limits and certificates; raises ListenError for files that cannot be used.

        What is open stays as it is.
        """
        if self.tls is not None:
            self.tls.use(settings.tls)
        self.census.settings = settings.stream
        for sock in self.all:
            if isinstance(sock, StreamListener):
                sock.alias_policy = settings.accept_alias

    def ask(self, admits: Callable[[Transport, str], bool]) -> None:
        """Have ``admits`` say of each peer that connects, by its host, whether it may."""
        for sock in self.all:
            if not isinstance(sock, UdpSocket):
                sock.admits = functools.partial(_admits, admits, sock)

    def need(self, needed: Callable[[Carrier], bool]) -> None:
        """Have ``needed`` say whether an idle connection must stay."""
        for sock in self.all:
            if not isinstance(sock, UdpSocket):
                sock.needed = needed

    async def stop(self) -> None:
        """End what runs on the loop; nothing is received any more."""
        for sock in self.all:
            if not isinstance(sock, UdpSocket):
                await sock.stop()

    def tap(self, tap: Tap | None) -> None:
        """Show every message to ``tap`` from now on."""
        for sock in self.all:
            sock.tap = tap

    def close(self) -> None:
        """Close everything."""
        for sock in self.all:
            sock.close()

    def _bind(self, listener: Listener, settings: SipSettings) -> AnyListener:
        if listener.transport == "udp":
            return UdpSocket(listener, settings.max_message, self._datagram, self._unreachable)
        if listener.transport in ("ws", "wss"):
            return WebSocketListener(
                listener,
                settings.max_message,
                self.census,
                receive=self._message,
                tls=self.tls if listener.transport == "wss" else None,
            )
        stream = StreamListener(
            listener,
            settings.max_message,
            self.census,
            receive=self._message,
            broken=self._broken,
            monotonic=self._monotonic,
            tls=self.tls if listener.transport == "tls" else None,
        )
        stream.alias_policy = settings.accept_alias
        return stream

    def _datagram(self, data: bytes, source: Address, sock: UdpSocket) -> None:
        self._receiver().receive(data, source, sock)

    def _unreachable(self, data: bytes, addr: Address) -> None:
        self._receiver().unreachable(data, addr)

    def _message(self, data: bytes, source: Address, sock: Transport, stream: StreamFlow) -> None:
        self._receiver().receive(data, source, sock, stream)

    def _broken(self, error: FramingError, stream: StreamFlow) -> None:
        self._receiver().unreadable(error, stream)


def _admits(admits: Callable[[Transport, str], bool], sock: Transport, peer: Address) -> bool:
    return admits(sock, peer[0])
