"""The connections of the HTTP server: who gets one, and how long it may be silent.

They are accepted one by one, and not by asyncio's own server, because the peer's address has to be
known before anything is spent on him, and because certificates change while the daemon runs.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong

from dlgmgmt.interfaces.http_limits import client_of

_LOG = logging.getLogger(__name__)

_BACKLOG = 512
_REFUSAL_TIME = 1.0
_MAX_REFUSALS = 64
_PAUSE_AFTER_ERROR = 0.5
_QUIET = 1.0
_TOO_MANY_HEADERS = "Too many headers"


def _refusal(status: str, text: str) -> bytes:
    return (
        f"HTTP/1.1 {status}\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(text)}\r\n"
        "Retry-After: 1\r\n"
        "Connection: close\r\n"
        "\r\n"
        f"{text}"
    ).encode()


_BUSY = _refusal("503 Service Unavailable", "too many connections\n")
_GREEDY = _refusal("429 Too Many Requests", "too many connections of this client\n")


class _Handler(web.RequestHandler):
    """Answers what is no HTTP request without a traceback for each, and with the status for it."""

    logged_at = 0.0

    def __init__(self, listener: HttpListener, server: web.Server, **arguments: Any) -> None:
        super().__init__(server, loop=asyncio.get_running_loop(), **arguments)
        self._listener = listener
        self.client = ""
        self.timer: asyncio.TimerHandle | None = None
        self.is_made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, TLS included."""
        super().connection_made(transport)
        self.is_made = True
        self._listener.opened(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """It has ended."""
        super().connection_lost(exc)
        self._listener.closed(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to a request that could not be read; what is worse, as the library does."""
        if not isinstance(exc, HttpProcessingError):
            return super().handle_error(request, status, exc, message)
        if isinstance(exc, LineTooLong) or exc.message.startswith(_TOO_MANY_HEADERS):
            status, text = 431, "the request line or the headers are too long, or too many\n"
        else:
            status, text = 400, "this is no HTTP request\n"
        now = time.monotonic()
        if now - _Handler.logged_at >= _QUIET:
            _Handler.logged_at = now
            _LOG.info("HTTP: a request from %s cannot be read: %d", request.remote, status)
        response = web.Response(status=status, text=text, headers={"Server": "dlgmgmt"})
        response.force_close()
        return response


class HttpListener:
    """Connections for ``server``.

    limit: connections at once; further ones are answered 503. per_client: of one client; further
    ones are answered 429. first_request: seconds that a connection has for the header of its first
    request; the HTTP library itself begins to watch it when that is there. handshake: seconds for
    that of TLS. arguments: of the library's handlers.
    """

    def __init__(
        self,
        server: web.Server,
        *,
        limit: int,
        per_client: int,
        first_request: float,
        handshake: float,
        arguments: Mapping[str, Any],
    ) -> None:
        self.refused = 0
        self.tls: ssl.SSLContext | None = None
        self._server = server
        self._limit = limit
        self._per_client = per_client
        self._first_request = first_request
        self._handshake = handshake
        self._arguments = dict(arguments)
        self._clients: Counter[str] = Counter()
        self._count = 0
        self._refusing = 0
        self._sock: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on; RuntimeError unless it is started."""
        if self._sock is None:
            raise RuntimeError("the HTTP server is not started")
        host, port = self._sock.getsockname()[:2]
        return str(host), int(port)

    def start(self, host: str, port: int) -> None:
        """Listen; raises OSError if the address cannot be had."""
        sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.bind((host, port))
            sock.listen(_BACKLOG)
        except BaseException:
            sock.close()
            raise
        self._sock = sock
        self._spawn(self._accept(sock))

    async def stop(self) -> None:
        """Accept no more; connections that are there stay."""
        if self._sock is not None:
            self._sock.close()
            self._sock = None
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def arrived(self, protocol: web.RequestHandler) -> None:
        """A request has come on this connection."""
        if isinstance(protocol, _Handler) and protocol.timer is not None:
            protocol.timer.cancel()
            protocol.timer = None

    def opened(self, protocol: _Handler) -> None:
        """The first request may come."""
        protocol.timer = asyncio.get_running_loop().call_later(
            self._first_request, self._give_up, protocol
        )

    def closed(self, protocol: _Handler) -> None:
        """There is room for another."""
        self.arrived(protocol)
        self._leave(protocol.client)

    # -- accepting -----------------------------------------------------------------------------

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, peer = await loop.sock_accept(listening)
            except OSError as error:
                # Such as: no more files. What was accepted already goes on.
                _LOG.error("HTTP: cannot accept: %s", error.strerror)
                await asyncio.sleep(_PAUSE_AFTER_ERROR)
                continue
            sock.setblocking(False)
            self._take(sock, client_of(peer[0]))

    def _take(self, sock: socket.socket, client: str) -> None:
        if self._count < self._limit and self._clients[client] < self._per_client:
            self._count += 1
            self._clients[client] += 1
            self._spawn(self._open(sock, client))
            return
        answer = _BUSY if self._count >= self._limit else _GREEDY
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # 1, 2, 4, ...: a flood must not fill the log
            _LOG.warning("HTTP: %d connections refused so far", self.refused)
        if self.tls is not None or self._refusing >= _MAX_REFUSALS:
            sock.close()
            return
        self._refusing += 1
        self._spawn(self._refuse(sock, answer))

    def _leave(self, client: str) -> None:
        self._count -= 1
        self._clients[client] -= 1
        if not self._clients[client]:
            del self._clients[client]

    async def _open(self, sock: socket.socket, client: str) -> None:
        protocol = _Handler(self, self._server, **self._arguments)
        protocol.client = client
        more = {} if self.tls is None else {"ssl_handshake_timeout": self._handshake}
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: protocol, sock, ssl=self.tls, **more
            )
        except OSError as error:  # of TLS, too
            _LOG.debug("HTTP: no connection with %s: %s", client, error)
        finally:
            if not protocol.is_made:
                self._leave(client)
                sock.close()

    def _give_up(self, protocol: _Handler) -> None:
        protocol.timer = None
        if protocol.transport is not None:
            _LOG.info("HTTP: a connection closed that sent no request")
            protocol.force_close()

    async def _refuse(self, sock: socket.socket, answer: bytes) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: _Refusal(answer, self._refusal_ended), sock
            )
        except OSError:
            sock.close()
            self._refusal_ended()

    def _refusal_ended(self) -> None:
        self._refusing -= 1


class _Refusal(asyncio.Protocol):
    """Answers once the request has begun to come, and closes."""

    def __init__(self, answer: bytes, ended: Callable[[], object]) -> None:
        self._answer = answer
        self._ended = ended
        self._timer: asyncio.TimerHandle | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - a stream's own kind
        self._transport = transport
        self._timer = asyncio.get_running_loop().call_later(_REFUSAL_TIME, transport.abort)

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it was
        # Closing a socket with unread data resets it, and the client would not see the answer:
        # so the first data is read before.
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._answer)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - either way it ended
        if self._timer is not None:
            self._timer.cancel()
        self._ended()
