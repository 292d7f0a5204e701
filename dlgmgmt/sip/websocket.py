"""Listeners for SIP over WebSocket (RFC 7118), on aiohttp.

A client, a browser say, connects to us; nobody can connect to it. So what is sent to a client goes
over its connection, and cannot be sent once that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable

from aiohttp import WSMsgType, web

from dlgmgmt.sip.bound import Bound, family_of
from dlgmgmt.sip.flow import Address, Failed, Tap
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.settings import Listener
from dlgmgmt.sip.streams import Census
from dlgmgmt.sip.tls import TlsContexts

_QUIET = Quiet(logging.getLogger(__name__))

_PROTOCOL = "sip"
_KEEPALIVE = b"\r\n\0 "
_CLOSE_TIMEOUT = 1.0

Receive = Callable[[bytes, Address, "WebSocketListener", "WebSocketFlow"], None]


class WebSocketListener(Bound):
    """One listening socket for WebSocket clients; parameters as those of ``StreamListener``."""

    reliable = True
    tap: Tap | None = None
    received = 0
    sent = 0
    unsent = 0

    def __init__(
        self,
        listener: Listener,
        max_message: int,
        census: Census,
        *,
        receive: Receive,
        tls: TlsContexts | None = None,
    ) -> None:
        self.kind = "ws" if tls is None else "wss"
        self.via = "WS" if tls is None else "WSS"
        self.census = census
        self.admits: Callable[[Address], bool] | None = None
        self._max = max_message
        self._receive = receive
        self._tls = tls
        self._clients: dict[Address, _Client] = {}
        self._runner: web.AppRunner | None = None
        sock = socket.socket(family_of(listener.host), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.bind(listener, sock)
        self._sock = sock

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept clients on ``loop``, which does not run yet."""
        loop.run_until_complete(self._start())

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._upgrade)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=self.census.settings.handshake_timeout,
            lingering_time=0,
            shutdown_timeout=_CLOSE_TIMEOUT,
        )
        await self._runner.setup()
        context = None if self._tls is None else self._tls.server
        await web.SockSite(self._runner, self._sock, ssl_context=context).start()

    async def stop(self) -> None:
        """Close every connection."""
        for client in [*self._clients.values()]:
            await client.close()
        if self._runner is not None:
            await self._runner.cleanup()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    # -- clients -----------------------------------------------------------------------------------

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        peername = request.transport.get_extra_info("peername") if request.transport else None
        if not peername:
            raise web.HTTPBadRequest
        peer: Address = (peername[0], peername[1])
        if self.admits is not None and not self.admits(peer):
            raise web.HTTPForbidden
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if _PROTOCOL not in [name.strip().lower() for name in offered.split(",")]:
            # RFC 7118 4.1: without it the two would not speak SIP.
            raise web.HTTPBadRequest(text="Sec-WebSocket-Protocol: sip is required\n")
        settings = self.census.settings
        ws = web.WebSocketResponse(
            protocols=(_PROTOCOL,),
            max_msg_size=self._max,
            heartbeat=settings.ping_interval or None,
            timeout=_CLOSE_TIMEOUT,
            compress=False,
        )
        if not ws.can_prepare(request):
            raise web.HTTPUpgradeRequired(
                text="a WebSocket is served here\n", headers={"Upgrade": "websocket"}
            )
        if not self.census.enter(peer[0]):
            raise web.HTTPServiceUnavailable(headers={"Retry-After": "5"})
        try:
            await ws.prepare(request)
            await self._serve(ws, peer)
        finally:
            self.census.leave(peer[0])
        return ws

    async def _serve(self, ws: web.WebSocketResponse, peer: Address) -> None:
        settings = self.census.settings
        client = _Client(ws, settings.max_unsent)
        self._clients[peer] = client
        writer = asyncio.get_running_loop().create_task(client.write())
        try:
            while True:
                try:
                    async with asyncio.timeout(settings.idle_timeout):
                        message = await ws.receive()
                except TimeoutError:
                    await ws.close()
                    return
                if message.type is WSMsgType.TEXT:
                    data = message.data.encode("utf-8", "surrogateescape")
                elif message.type is WSMsgType.BINARY:
                    data = message.data
                else:
                    return
                self._message(data, peer, client)
        finally:
            client.gone()
            if self._clients.get(peer) is client:
                del self._clients[peer]
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writer

    def _message(self, data: bytes, peer: Address, client: _Client) -> None:
        if not data.strip(_KEEPALIVE):
            # RFC 7118 6: a CRLF ping may come here as well.
            if data == b"\r\n\r\n":
                client.send(b"\r\n", None)
            return
        self.received += 1
        if self.tap is not None:
            self.tap.received(self, peer, data)
        self._receive(data, peer, self, WebSocketFlow(self, peer, client))

    # -- sending -----------------------------------------------------------------------------------

    def knows(self, addr: Address) -> bool:
        """Whether a client is connected from ``addr``."""
        return addr in self._clients

    def flow(self, addr: Address, name: str = "") -> WebSocketFlow:
        """The way to the client that is connected from ``addr``."""
        del name
        return WebSocketFlow(self, addr, self._clients.get(addr))


class WebSocketFlow:
    """The way to one client; there is none if it has gone."""

    __slots__ = ("_client", "peer", "transport")

    # There is no other that could be tried.
    reused = False

    def __init__(self, transport: WebSocketListener, peer: Address, client: _Client | None) -> None:
        self.transport = transport
        self.peer = peer
        self._client = client

    def back_to(self, peer: Address) -> WebSocketFlow:
        """The way for replies: only this connection."""
        del peer
        return self

    def alias(self, addr: Address, host: str) -> None:
        """A client cannot be connected to anyway."""

    def send(self, data: bytes, failed: Failed | None = None) -> bool:
        """Send a message; False if the client has gone, or does not read."""
        if self._client is None or not self._client.send(data, failed):
            self.transport.unsent += 1
            return False
        self.transport.sent += 1
        if self.transport.tap is not None:
            self.transport.tap.sent(self.transport, self.peer, data)
        return True

    def settled(self, failed: Failed) -> None:
        """``failed`` need not be called any more."""
        if self._client is not None:
            self._client.waiting.pop(failed, None)


class _Client:
    """One connection: aiohttp's side sends by waiting, ours never waits."""

    def __init__(self, ws: web.WebSocketResponse, max_unsent: int) -> None:
        self.waiting: dict[Failed, None] = {}
        self._ws = ws
        self._max = max_unsent
        self._queue: asyncio.Queue[bytes] = asyncio.Queue()
        self._queued = 0
        self._gone = False

    def send(self, data: bytes, failed: Failed | None) -> bool:
        if self._gone:
            return False
        if self._queued and self._queued + len(data) > self._max:
            _QUIET.info("a WebSocket client does not read, %d bytes wait", self._queued)
            self._gone = True
            self._queue.put_nowait(b"")
            return False
        if failed is not None:
            self.waiting[failed] = None
        self._queued += len(data)
        self._queue.put_nowait(data)
        return True

    async def write(self) -> None:
        """Send what is queued until the connection ends."""
        # Nothing is the end: the client did not read.
        while data := await self._queue.get():
            try:
                # RFC 7118 5: a text frame must be UTF-8.
                await self._ws.send_str(data.decode())
            except UnicodeDecodeError:
                await self._send_bytes(data)
            except ConnectionError:
                break
            self._queued -= len(data)
        await self.close()

    async def _send_bytes(self, data: bytes) -> None:
        with contextlib.suppress(ConnectionError):
            await self._ws.send_bytes(data)

    async def close(self) -> None:
        self._gone = True
        await self._ws.close()

    def gone(self) -> None:
        """The connection has ended: whoever waits for an answer on it is told."""
        self._gone = True
        waiting, self.waiting = self.waiting, {}
        for tell in waiting:
            try:
                tell()
            except Exception:  # noqa: BLE001 - logged
                # The others must be told.
                _QUIET.exception("failed on a lost connection")
