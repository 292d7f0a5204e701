"""What keeps other sites and too many clients off the HTTP interface.

The interface has no passwords yet and listens on loopback: a web page in the operator's browser
must not reach it, neither by a cross-site request (Origin) nor by DNS rebinding (Host).
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import re
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from aiohttp import web

_LOG = logging.getLogger(__name__)

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:/@\s]+))(?::[0-9]{1,5})?")
_REFUSAL_TIME = 1.0
_MAX_REFUSALS = 64
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: 21\r\n"
    b"Retry-After: 1\r\n"
    b"Connection: close\r\n"
    b"\r\n"
    b"too many connections\n"
)


def host_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether the Host header names this server: by an address, as localhost, or by ``names``.

    An address cannot be rebound to another machine, a name can.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["v6"] or match["name"]).lower().rstrip(".")
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def origin_allowed(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Whether a request comes from no page, or from one that this server itself gave out.

    origin, fetch_site: the headers Origin and Sec-Fetch-Site, None where absent.
    """
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return False
    if origin is None:
        return True
    try:
        return urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def refusal(request: web.Request, names: frozenset[str]) -> str | None:
    """Why ``request`` is to be answered 403, None if it may pass."""
    host = request.headers.get("Host")
    if host is not None and not host_allowed(host, names):
        return "the Host header names another server"
    if not origin_allowed(
        request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), host or ""
    ):
        return "requests from pages of other sites are refused"
    return None


class ConnectionGate:
    """A protocol factory that answers 503 beyond ``limit`` connections.

    first_request: seconds that a new connection has for its first request's header; the HTTP
    library itself begins to watch a connection when that is there.
    """

    def __init__(self, server: web.Server, *, limit: int, first_request: float) -> None:
        self._server = server
        self._limit = limit
        self._first_request = first_request
        self._waiting: dict[web.RequestHandler, asyncio.TimerHandle] = {}
        self._refusing = 0
        self.refused = 0

    def __call__(self) -> asyncio.BaseProtocol:
        """The protocol for a new connection."""
        if len(self._server.connections) >= self._limit:
            self.refused += 1
            if (
                self.refused & (self.refused - 1) == 0
            ):  # 1, 2, 4, ...: a flood must not fill the log
                _LOG.warning("HTTP: %d connections refused so far", self.refused)
            return _Refusal(self._refusal_ended, at_once=self._count_refusal() > _MAX_REFUSALS)
        if len(self._waiting) > 2 * self._limit:
            self._forget_closed()
        protocol = self._server()
        loop = asyncio.get_running_loop()
        self._waiting[protocol] = loop.call_later(self._first_request, self._give_up, protocol)
        return protocol

    def arrived(self, protocol: web.RequestHandler) -> None:
        """A request has come on this connection."""
        timer = self._waiting.pop(protocol, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Stop all timers."""
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()

    def _forget_closed(self) -> None:
        """Drop what is left of connections that were closed without a request."""
        for protocol, timer in list(self._waiting.items()):
            if protocol.transport is None:
                timer.cancel()
                del self._waiting[protocol]

    def _give_up(self, protocol: web.RequestHandler) -> None:
        del self._waiting[protocol]
        if protocol.transport is not None:
            _LOG.info("HTTP: a connection closed that sent no request")
            protocol.force_close()

    def _count_refusal(self) -> int:
        self._refusing += 1
        return self._refusing

    def _refusal_ended(self) -> None:
        self._refusing -= 1


class _Refusal(asyncio.Protocol):
    """Answers 503 once the request has begun to come, and closes."""

    def __init__(self, ended: Callable[[], None], *, at_once: bool) -> None:
        self._ended = ended
        self._at_once = at_once
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_server's own kind
        self._transport = transport
        if self._at_once:
            transport.abort()
            return
        self._timer = asyncio.get_running_loop().call_later(_REFUSAL_TIME, transport.abort)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it was
        # Closing a socket with unread data resets it, and the client would not see the answer:
        # so the first data is read before.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(_BUSY)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - either way it ended
        if self._timer is not None:
            self._timer.cancel()
        self._ended()


def lower_names(names: Iterable[str]) -> frozenset[str]:
    """Host names as :func:`host_allowed` compares them."""
    return frozenset(name.lower().rstrip(".") for name in names)
