"""JSON-RPC over WebSocket, on the HTTP server: a text message is JSON, a binary one msgpack.

Requests of one connection are answered beside each other, each when it is done: their ids tell
which is which. An answer is one message, and so has a limit.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from dlgmgmt.interfaces.http_limits import RequestLimits
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.rpc_door import Who, answer, busy, whole
from dlgmgmt.interfaces.rpc_framing import Encoding, Frame
from dlgmgmt.interfaces.settings import HttpSettings

_LOG = logging.getLogger(__name__)

MAX_REPLY = 4 * 1024 * 1024
"""Bytes of an answer: what aiohttp, and others, take as one message unless they are told."""

AT_ONCE = 16
"""Requests of one connection that are answered at once; for more than that one waits."""

_PATIENCE = 10.0
_STOP_GRACE = 1.0
_HEARTBEAT = 30.0


def is_upgrade(request: web.Request) -> bool:
    """Whether a GET asks for a WebSocket."""
    return request.headers.get("Upgrade", "").strip().lower() == "websocket"


class WebSockets:
    """All connections. slow_readers: cut off, for they did not take their answers."""

    def __init__(
        self,
        rpc: JsonRpc,
        settings: HttpSettings,
        limits: RequestLimits,
        *,
        max_reply: int = MAX_REPLY,
    ) -> None:
        self._rpc = rpc
        self._settings = settings
        self._limits = limits
        self._max_reply = max_reply
        self._open: set[_Connection] = set()
        self.requests = 0
        self.slow_readers = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    async def stop(self) -> None:
        """Close them; those who do not take it in a moment are cut off."""
        connections = list(self._open)
        going = [each.socket.close(code=WSCloseCode.GOING_AWAY) for each in connections]
        closing = asyncio.gather(*going, return_exceptions=True)
        await asyncio.wait([closing], timeout=_STOP_GRACE)
        for each in connections:
            each.abort()
        await closing

    async def serve(self, request: web.Request, who: Who) -> web.StreamResponse:
        """Serve one to its end; raises HTTPBadRequest for a handshake that is none."""
        socket = web.WebSocketResponse(
            timeout=self._settings.write_timeout,
            heartbeat=_HEARTBEAT,
            compress=False,
            max_msg_size=self._settings.max_body,
        )
        await socket.prepare(request)
        connection = _Connection(socket, request, who, f"websocket {request.remote}")
        self._open.add(connection)
        try:
            await self._read(connection)
        finally:
            self._open.discard(connection)
            await connection.end()
        return socket

    async def _read(self, connection: _Connection) -> None:
        async for message in connection.socket:
            if message.type is WSMsgType.TEXT:
                frame = Frame(Encoding.JSON, message.data.encode())
            elif message.type is WSMsgType.BINARY:
                frame = Frame(Encoding.MSGPACK, message.data)
            else:
                return
            self.requests += 1
            if self._limits.wait(connection.host) or not await connection.room():
                await self._send(connection, busy(frame), frame.encoding)
                continue
            connection.start(self._answer(connection, frame))

    async def _answer(self, connection: _Connection, frame: Frame) -> None:
        try:
            with self._limits.under_way(connection.host):
                reply = await answer(self._rpc, frame, connection.who, connection.label)
                if reply is None:
                    return
                data = await whole(reply, frame.encoding, self._max_reply)
            await self._send(connection, data, frame.encoding)
        except Exception:  # noqa: BLE001 - others go on
            _LOG.exception("an answer to %s failed", connection.label)
            connection.abort()

    async def _send(self, connection: _Connection, data: bytes, encoding: Encoding) -> None:
        try:
            async with asyncio.timeout(self._settings.write_timeout), connection.sending:
                if encoding is Encoding.JSON:
                    await connection.socket.send_str(data.decode())
                else:
                    await connection.socket.send_bytes(data)
        except TimeoutError:
            self.slow_readers += 1
            deadline = self._settings.write_timeout
            _LOG.warning("%s cut off: it did not read for %g s", connection.label, deadline)
            connection.abort()
        except ConnectionError:
            _LOG.info("%s went away before its answer", connection.label)


class _Connection:
    def __init__(
        self, socket: web.WebSocketResponse, request: web.Request, who: Who, label: str
    ) -> None:
        self.socket = socket
        self.who = who
        self.label = label
        self.host = request.remote or ""
        self.sending = asyncio.Lock()
        self._request = request
        self._tasks: set[asyncio.Task[None]] = set()

    async def room(self) -> bool:
        """Wait until another request may be answered; False if that takes long."""
        if len(self._tasks) < AT_ONCE:
            return True
        done, _ = await asyncio.wait(
            self._tasks, timeout=_PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )
        return bool(done)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Answer a request beside the others."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def abort(self) -> None:
        """End the connection at once."""
        if self._request.transport is not None:
            self._request.transport.abort()

    async def end(self) -> None:
        """Give up what is still to be answered: nobody is there any more."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
