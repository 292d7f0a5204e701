"""Flows: where a peer is reached, whatever the transport (RFC 3261 section 18).

A flow is a listener together with what leads from it to one peer: an address for datagrams, a
connection for streams. Transactions hold flows and know nothing of sockets.
"""

from __future__ import annotations

import socket
from typing import NamedTuple, Protocol, runtime_checkable

Address = tuple[str, int]
"""Numeric host without brackets, and port."""

MAX_DATAGRAM = 65_507
"""Bytes that one datagram can carry."""


class Failed(Protocol):
    """Who is told that a stream is broken."""

    def __call__(self, *, ended: bool) -> None:
        """Called once. ended: the peer has closed it, and has not just vanished.

        What such a peer has read it may still answer, over another connection (18.2.2).
        """


class Tap(Protocol):
    """Who sees every whole message that is taken in from a listener, or sent by it."""

    def received(self, transport: Transport, source: Address, data: bytes, /) -> None:
        """A message from ``source``, which the guard has let pass."""

    def sent(self, transport: Transport, peer: Address, data: bytes, /) -> None:
        """A message to ``peer``."""


class Transport(Protocol):
    """One listener.

    kind: "udp", "tcp", "tls", "ws" or "wss". via: the same as a Via writes it. reliable: whether
    what is sent arrives or an error is told. received, sent, unsent: messages; ``unsent`` are
    those that could not be sent.
    """

    tap: Tap | None
    received: int
    sent: int
    unsent: int

    @property
    def kind(self) -> str:
        """The name in a listener's configuration and in a ``transport`` parameter."""

    @property
    def via(self) -> str:
        """The name in a Via."""

    @property
    def via_params(self) -> str:
        """What is added to a Via after its branch."""

    @property
    def reliable(self) -> bool:
        """Whether retransmissions are left to the transport."""

    @property
    def family(self) -> socket.AddressFamily:
        """Of the bound address."""

    @property
    def host(self) -> str:
        """The bound address, numeric."""

    @property
    def port(self) -> int:
        """The bound port."""

    @property
    def wildcard(self) -> bool:
        """Whether it is bound to every address."""

    @property
    def name(self) -> str:
        """As operators write it: ``udp:host:port``."""

    def sent_by(self, host: str) -> str:
        """Host and port of the own Via towards a peer at ``host`` (RFC 3261 18.1.1)."""

    def address_towards(self, host: str) -> str:
        """The own address that a peer at ``host`` sees."""

    def is_own(self, host: str, port: int) -> bool:
        """Whether ``host:port`` (numeric host) is this listener."""

    def flow(self, addr: Address, name: str = "") -> Flow:
        """The way to ``addr``; name: the domain that a certificate of the peer must show."""


@runtime_checkable
class ClientsListener(Transport, Protocol):
    """A listener that cannot connect: it reaches those who are connected to it."""

    def knows(self, addr: Address) -> bool:
        """Whether a client is connected from ``addr``."""


class Flow(Protocol):
    """The way to one peer."""

    @property
    def transport(self) -> Transport:
        """The listener that it belongs to."""

    @property
    def peer(self) -> Address:
        """Where it leads."""

    @property
    def reused(self) -> bool:
        """Whether what was sent last went over a connection that was there before.

        The peer may have given it up just then: a new one may do.
        """

    def send(self, data: bytes, failed: Failed | None = None) -> bool:
        """Send a message; False if that is impossible at once.

        failed: called, once at most and never from within, when a stream turns out to be broken.
        """

    def settled(self, failed: Failed) -> None:
        """``failed`` need not be called any more."""


class StreamFlow(Flow, Protocol):
    """A connection that a request came on."""

    def back_to(self, peer: Address) -> Flow:
        """The way for its replies; peer: where to connect to if it is gone (18.2.2)."""

    def alias(self, addr: Address, host: str) -> None:
        """The peer, whose sent-by is ``host``, offers it for requests to ``addr`` (RFC 5923)."""

    def carries(self, callid: str) -> None:
        """A party of this call is at the other end."""


class Destination(NamedTuple):
    """Where to send a request: a listener, a numeric address, the domain that was asked for.

    stay: do not go over to another transport, however long the request is.
    """

    sock: Transport
    addr: Address
    name: str = ""
    stay: bool = False

    def flow(self) -> Flow:
        """The way there."""
        return self.sock.flow(self.addr, self.name)


def transport_param(sock: Transport) -> str:
    """The URI parameter that leads to a listener of this kind, "" for UDP.

    RFC 7118 5 knows ``ws`` alone: whether it is secure is the scheme's to say.
    """
    kind = "ws" if sock.kind == "wss" else sock.kind
    return "" if kind == "udp" else f";transport={kind}"
