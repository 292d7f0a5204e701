"""Listeners for SIP over WebSocket (RFC 7118), on aiohttp.

A client, a browser say, connects to us; nobody can connect to it. So what is sent to a client goes
over its connection, and cannot be sent once that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import socket
from collections.abc import Callable, Coroutine

from aiohttp import WSMsgType, web

from dlgmgmt.sip.accept import Acceptor, Census
from dlgmgmt.sip.bound import Bound, family_of
from dlgmgmt.sip.carrier import Carrier
from dlgmgmt.sip.flow import Address, Failed, Tap
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.settings import Listener
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
        self.needed: Callable[[Carrier], bool] | None = None
        self._max = max_message
        self._receive = receive
        self._tls = tls
        self._clients: dict[Address, _Client] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._runner: web.AppRunner | None = None
        sock = socket.socket(family_of(listener.host), socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.bind(listener, sock)
        self._sock = sock

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept clients on ``loop``, which does not run yet."""
        loop.run_until_complete(self._start())
        self._task(loop, self._accept(loop))

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

    async def stop(self) -> None:
        """Close every connection."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        # At once: one that says nothing any more takes a second.
        await asyncio.gather(
            *(client.close() for client in [*self._clients.values()]), return_exceptions=True
        )
        if self._runner is not None:
            await self._runner.cleanup()

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def _task(self, loop: asyncio.AbstractEventLoop, work: Coroutine[None, None, None]) -> None:
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _welcome(self, peer: Address) -> bool:
        return self.admits is None or self.admits(peer)

    async def _accept(self, loop: asyncio.AbstractEventLoop) -> None:
        acceptor = Acceptor(self._sock, self.name, self.census, self._welcome, self._tls)
        server = self._runner.server if self._runner is not None else None
        if server is None:
            raise RuntimeError("aiohttp made no server")

        def begin(sock: socket.socket, peer: Address) -> None:
            ended = functools.partial(self.census.leave, peer[0])
            protocol = _Handshake(server(), ended)
            self._task(loop, self._open(loop, acceptor, sock, peer, protocol))

        await acceptor.run(loop, begin)

    async def _open(
        self,
        loop: asyncio.AbstractEventLoop,
        acceptor: Acceptor,
        sock: socket.socket,
        peer: Address,
        protocol: _Handshake,
    ) -> None:
        if not await acceptor.open(loop, sock, peer, protocol):
            protocol.ended()
            return
        # Whoever is no client by then is cut off; aiohttp itself waits for a request for ever.
        await asyncio.sleep(self.census.settings.handshake_timeout)
        if peer not in self._clients:
            protocol.abort()

    # -- clients -----------------------------------------------------------------------------------

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        peername = request.transport.get_extra_info("peername") if request.transport else None
        if not peername:
            raise web.HTTPBadRequest
        peer: Address = (peername[0], peername[1])
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if _PROTOCOL not in [name.strip().lower() for name in offered.split(",")]:
            # RFC 7118 4.1: without it the two would not speak SIP.
            raise web.HTTPBadRequest(text="Sec-WebSocket-Protocol: sip is required\n")
        settings = self.census.settings
        ws = web.WebSocketResponse(
            protocols=(_PROTOCOL,),
            max_msg_size=self._max,
            heartbeat=settings.ping_interval or None,
            # Pings come to _serve: who sends them is not idle.
            autoping=False,
            timeout=_CLOSE_TIMEOUT,
            compress=False,
        )
        if not ws.can_prepare(request):
            raise web.HTTPUpgradeRequired(
                text="a WebSocket is served here\n", headers={"Upgrade": "websocket"}
            )
        await ws.prepare(request)
        await self._serve(ws, peer, request.transport)
        return ws

    async def _serve(
        self, ws: web.WebSocketResponse, peer: Address, transport: asyncio.Transport | None
    ) -> None:
        settings = self.census.settings
        client = _Client(ws, settings.max_unsent, transport)
        self._clients[peer] = client
        writer = asyncio.get_running_loop().create_task(client.write())
        try:
            while True:
                try:
                    async with asyncio.timeout(settings.idle_timeout):
                        message = await ws.receive()
                except TimeoutError:
                    if self.needed is not None and self.needed(client):
                        continue
                    await ws.close()
                    return
                if message.type is WSMsgType.PING:
                    with contextlib.suppress(ConnectionError):
                        await ws.pong(message.data)
                    continue
                if message.type is WSMsgType.PONG:
                    continue
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

    @property
    def carrier(self) -> Carrier | None:
        """The connection, None if it has gone."""
        return self._client

    def carries(self, callid: str) -> None:
        """A party of this call is at the other end."""
        if self._client is not None:
            self._client.carries(callid)

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


class _Handshake(asyncio.Protocol):
    """aiohttp's protocol of one connection, and who is told of its end."""

    def __init__(self, inner: asyncio.Protocol, ended: Callable[[], None]) -> None:
        self.ended = ended
        self._inner = inner
        self._transport: asyncio.BaseTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._inner.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        self._inner.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._inner.connection_lost(exc)
        self.ended()

    def abort(self) -> None:
        """Cut it off."""
        if isinstance(self._transport, asyncio.Transport):
            self._transport.abort()


class _Client(Carrier):
    """One connection: aiohttp's side sends by waiting, ours never waits."""

    def __init__(
        self, ws: web.WebSocketResponse, max_unsent: int, transport: asyncio.Transport | None
    ) -> None:
        super().__init__()
        self.waiting: dict[Failed, None] = {}
        self._ws = ws
        self._transport = transport
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
            if self._transport is not None:
                self._transport.abort()
            return False
        if failed is not None:
            self.waiting[failed] = None
        self._queued += len(data)
        self._queue.put_nowait(data)
        return True

    async def write(self) -> None:
        """Send what is queued until the connection ends."""
        while True:
            data = await self._queue.get()
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
        """The connection has ended: whoever waits for an answer on it is told.

        Not as of one in good order: a browser has no other way to answer (RFC 7118 5).
        """
        self._gone = True
        waiting, self.waiting = self.waiting, {}
        for tell in waiting:
            try:
                tell(ended=False)
            except Exception:  # noqa: BLE001 - logged
                # The others must be told.
                _QUIET.exception("failed on a lost connection")
