"""JSON-RPC 2.0 over HTTP: POST /RPC (and /jsonrpc), JSON or msgpack.

The HTTP status says whether the message was understood as HTTP; what a command answered stands in
the JSON-RPC response alone, under status 200 (204 where nothing is to be answered).
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.interfaces.http_guard import ConnectionGate, lower_names, refusal
from dlgmgmt.interfaces.http_reply import JSON_TYPE, MSGPACK_TYPE, ReplyWriter
from dlgmgmt.interfaces.jsonrpc import PARSE_ERROR, JsonRpc, error_response
from dlgmgmt.interfaces.packed import unpack
from dlgmgmt.interfaces.rpc_door import MAX_MSGPACK
from dlgmgmt.interfaces.settings import HttpSettings

_LOG = logging.getLogger(__name__)

_STOP_GRACE = 2.0
# How long the rest of a refused request is read, so that its sender sees the answer.
_LINGER = 0.5
_JSON_TYPES = frozenset({"", JSON_TYPE, "application/json-rpc", "application/jsonrequest"})
_MSGPACK_TYPES = frozenset({MSGPACK_TYPE, "application/x-msgpack", "application/vnd.msgpack"})


class HttpServer:
    """The HTTP interface.

    settings: see HttpSettings. host_names: names, besides localhost and any address, that a
    request's Host header may carry. Start and stop it on the management loop.
    """

    def __init__(
        self,
        settings: HttpSettings,
        dispatcher: Dispatcher,
        *,
        host_names: Iterable[str] = (),
        max_msgpack: int = MAX_MSGPACK,
    ) -> None:
        self.settings = settings
        self._rpc = JsonRpc(dispatcher, max_batch=settings.max_batch, max_depth=settings.max_depth)
        self._names = lower_names((settings.host, *host_names))
        self._writer = ReplyWriter(write_timeout=settings.write_timeout, max_msgpack=max_msgpack)
        document = openapi_document(dispatcher.registry)
        self._openapi = json.dumps(document).encode()
        self._runner: web.AppRunner | None = None
        self._server: asyncio.Server | None = None
        self._gate: ConnectionGate | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on; RuntimeError unless it is started."""
        if self._server is None:
            raise RuntimeError("the HTTP server is not started")
        host, port = self._server.sockets[0].getsockname()[:2]
        return str(host), int(port)

    def counters(self) -> list[tuple[str, int]]:
        """Refused connections and cut-off readers, for the statistics group "http"."""
        refused = self._gate.refused if self._gate is not None else 0
        return [("refused_connections", refused), ("slow_readers", self._writer.slow_readers)]

    async def start(self) -> None:
        """Listen; raises OSError if the address cannot be had."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._guard(request)
            return await handler(request)

        app = web.Application(client_max_size=self.settings.max_body, middlewares=[guard])
        app.on_response_prepare.append(_own_headers)
        app.router.add_post("/RPC", self._serve)
        app.router.add_post("/jsonrpc", self._serve)
        app.router.add_get("/openapi.json", self._describe)
        runner = web.AppRunner(
            app,
            access_log=None,
            keepalive_timeout=self.settings.keepalive_timeout,
            shutdown_timeout=_STOP_GRACE,
            lingering_time=_LINGER,
            auto_decompress=False,
        )
        await runner.setup()
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp made no server")
        gate = ConnectionGate(
            server,
            limit=self.settings.max_connections,
            first_request=self.settings.read_timeout,
        )
        try:
            self._server = await asyncio.get_running_loop().create_server(
                gate, self.settings.host, self.settings.port, backlog=512
            )
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._gate = runner, gate

    async def stop(self) -> None:
        """Stop listening, give running replies a moment, close every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._gate is not None:
            self._gate.close()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _guard(self, request: web.Request) -> None:
        if self._gate is not None:
            self._gate.arrived(request.protocol)
        reason = refusal(request, self._names)
        if reason is not None:
            _LOG.warning("HTTP: %s refused: %s", request.remote, reason)
            raise web.HTTPForbidden(text=reason + "\n")

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        return await self._writer.send_body(request, self._openapi, JSON_TYPE)

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        msgpack_body = _is_msgpack(request)
        body = await self._read(request)
        caller = Caller(f"HTTP {request.remote}")
        msgpack_reply = _wants_msgpack(request, default=msgpack_body)
        decode = unpack if msgpack_body else msgspec.json.decode
        try:
            decoded: object = decode(body)
        except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
            # The decoders' own texts tell where the fault lies, and hold nothing of this program.
            detail = "" if isinstance(error, UnicodeError) else str(error)
            _LOG.info("rpc from %s: no valid message: %s", caller.label, ascii(detail))
            answer = error_response(PARSE_ERROR, detail)
            return await self._writer.send(request, answer, msgpack=msgpack_reply)
        replies = self._rpc.handle(decoded, caller)
        if replies is None:
            return web.Response(status=204)
        return await self._writer.send(request, replies, msgpack=msgpack_reply)

    async def _read(self, request: web.Request) -> bytes:
        length = request.content_length
        if length is not None and length > self.settings.max_body:
            raise self._too_large(request, length)
        try:
            async with asyncio.timeout(self.settings.read_timeout):
                return await request.read()
        except TimeoutError:
            _LOG.info("HTTP: %s did not send its request in time", request.remote)
            timeout = web.HTTPRequestTimeout(text="the request did not arrive in time\n")
            timeout.force_close()
            raise timeout from None
        except web.HTTPRequestEntityTooLarge as error:
            raise self._too_large(request, self.settings.max_body + 1) from error

    def _too_large(self, request: web.Request, size: int) -> web.HTTPException:
        limit = self.settings.max_body
        _LOG.info("HTTP: a body of more than %d bytes from %s refused", limit, request.remote)
        error = web.HTTPRequestEntityTooLarge(
            max_size=limit, actual_size=size, text=f"at most {limit} bytes are taken\n"
        )
        # The rest of the body is not read.
        error.force_close()
        return error


async def _own_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = "dlgmgmt"
    response.headers["X-Content-Type-Options"] = "nosniff"


def _is_msgpack(request: web.Request) -> bool:
    """Whether the body is msgpack; raises HTTPUnsupportedMediaType if it is nothing known."""
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    kind = request.content_type if "Content-Type" in request.headers else ""
    if encoding == "identity":
        if kind in _JSON_TYPES:
            return False
        if kind in _MSGPACK_TYPES:
            return True
    _LOG.info("HTTP: body of an unknown kind from %s: %s", request.remote, ascii(kind))
    raise web.HTTPUnsupportedMediaType(text=f"send {JSON_TYPE} or {MSGPACK_TYPE}, not compressed\n")


def _wants_msgpack(request: web.Request, *, default: bool) -> bool:
    """Whether Accept asks for msgpack; ``default`` where it leaves the choice."""
    accepted = {
        part.partition(";")[0].strip().lower()
        for value in request.headers.getall("Accept", [])
        for part in value.split(",")
    }
    if accepted & _MSGPACK_TYPES:
        return True
    return default and JSON_TYPE not in accepted
