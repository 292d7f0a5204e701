"""JSON-RPC 2.0 over HTTP: POST /RPC (and /jsonrpc), JSON or msgpack; and GET /health.

The HTTP status says whether the message was understood as HTTP; what a command answered stands in
the JSON-RPC response alone, under status 200 (204 where nothing is to be answered).
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.interfaces import docs
from dlgmgmt.interfaces.access import Access, address_text
from dlgmgmt.interfaces.health import health
from dlgmgmt.interfaces.http_guard import lower_names, refusal
from dlgmgmt.interfaces.http_limits import RequestLimits
from dlgmgmt.interfaces.http_listener import HttpListener
from dlgmgmt.interfaces.http_reply import JSON_TYPE, MSGPACK_TYPE, ReplyWriter
from dlgmgmt.interfaces.http_tls import TlsError, server_context
from dlgmgmt.interfaces.jsonrpc import PARSE_ERROR, JsonRpc, error_response
from dlgmgmt.interfaces.jsonrpc_ws import WebSockets, is_upgrade
from dlgmgmt.interfaces.packed import unpack
from dlgmgmt.interfaces.rpc_door import MAX_MSGPACK, Who
from dlgmgmt.interfaces.settings import HttpSettings

_LOG = logging.getLogger(__name__)

DOOR = "http"
"""What callers by HTTP are said to come through."""

_STOP_GRACE = 2.0
# How long the rest of a refused request is read, so that its sender sees the answer.
_LINGER = 0.5
_JSON_TYPES = frozenset({"", JSON_TYPE, "application/json-rpc", "application/jsonrequest"})
_MSGPACK_TYPES = frozenset({MSGPACK_TYPE, "application/x-msgpack", "application/vnd.msgpack"})


class HttpServer:
    """The HTTP interface.

    settings: see HttpSettings. access: says who asks; without it everybody on this machine may
    do everything. Start and stop it on the management loop.
    """

    def __init__(
        self,
        settings: HttpSettings,
        dispatcher: Dispatcher,
        *,
        access: Access | None = None,
        max_msgpack: int = MAX_MSGPACK,
    ) -> None:
        self.settings = settings
        self._access = access or Access()
        self._limits = RequestLimits(settings.rate, settings.burst, settings.max_requests)
        self._rpc = JsonRpc(dispatcher, max_batch=settings.max_batch, max_depth=settings.max_depth)
        self._names = lower_names((settings.host, *settings.host_names))
        self._writer = ReplyWriter(write_timeout=settings.write_timeout, max_msgpack=max_msgpack)
        self._context = dispatcher.context
        document = openapi_document(dispatcher.registry)
        self._openapi = json.dumps(document).encode()
        self._docs = docs.page(dispatcher.registry).encode()
        self._sockets = WebSockets(self._rpc, settings, self._limits)
        self._runner: web.AppRunner | None = None
        self._listener: HttpListener | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that the server listens on; RuntimeError unless it is started."""
        if self._listener is None:
            raise RuntimeError("the HTTP server is not started")
        return self._listener.address

    def counters(self) -> list[tuple[str, int]]:
        """Refused connections and requests, and cut-off readers: the statistics group "http"."""
        refused = self._listener.refused if self._listener is not None else 0
        return [
            ("refused_connections", refused),
            ("refused_requests", self._limits.refused),
            ("slow_readers", self._writer.slow_readers + self._sockets.slow_readers),
            ("websockets", len(self._sockets)),
        ]

    def reload_certificates(self) -> None:
        """Read the files again, for the connections to come; what is wrong is logged."""
        if self._listener is None:
            return
        try:
            self._listener.tls = server_context(self.settings)
        except TlsError as error:
            _LOG.error("HTTP: certificates not read again: %s", error)

    async def start(self) -> None:
        """Listen; raises OSError if the address cannot be had, TlsError for bad certificates."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            self._guard(request)
            if is_upgrade(request):
                # Each of its messages is a request under way, and not the connection.
                return await handler(request)
            with self._limits.under_way(request.remote or ""):
                return await handler(request)

        context = server_context(self.settings)

        app = web.Application(client_max_size=self.settings.max_body, middlewares=[guard])
        app.on_response_prepare.append(_own_headers)
        app.router.add_route("*", "/RPC", self._call)
        app.router.add_route("*", "/jsonrpc", self._call)
        app.router.add_get("/openapi.json", self._describe)
        app.router.add_get("/docs", self._document)
        app.router.add_get("/health", self._health)
        arguments: dict[str, Any] = {
            "access_log": None,
            "keepalive_timeout": self.settings.keepalive_timeout,
            "lingering_time": _LINGER,
            "auto_decompress": False,
        }
        runner = web.AppRunner(app, shutdown_timeout=_STOP_GRACE, **arguments)
        await runner.setup()
        server = runner.server
        if server is None:
            raise RuntimeError("aiohttp made no server")
        listener = HttpListener(
            server,
            limit=self.settings.max_connections,
            per_client=self.settings.max_client_connections,
            first_request=self.settings.read_timeout,
            handshake=self.settings.read_timeout,
            arguments=arguments,
        )
        listener.tls = context
        try:
            listener.start(self.settings.host, self.settings.port)
        except OSError:
            await runner.cleanup()
            raise
        self._runner, self._listener = runner, listener

    async def stop(self) -> None:
        """Stop listening, give running replies a moment, close every connection."""
        if self._listener is not None:
            await self._sockets.stop()
            await self._listener.stop()
            self._listener = None
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def _guard(self, request: web.Request) -> None:
        if self._listener is not None:
            self._listener.arrived(request.protocol)
        seconds = self._limits.wait(request.remote or "")
        if seconds:
            raise web.HTTPTooManyRequests(
                text="too many requests\n", headers={"Retry-After": str(seconds)}
            )
        reason = refusal(request, self._names)
        if reason is not None:
            _LOG.warning("HTTP: %s refused: %s", request.remote, reason)
            raise web.HTTPForbidden(text=reason + "\n")

    async def _describe(self, request: web.Request) -> web.StreamResponse:
        return await self._writer.send_body(request, self._openapi, JSON_TYPE)

    async def _document(self, request: web.Request) -> web.StreamResponse:
        return await self._writer.send_body(request, self._docs, docs.TYPE, headers=docs.HEADERS)

    async def _health(self, request: web.Request) -> web.StreamResponse:
        status, body = health(self._context.database)
        return await self._writer.send_body(
            request, body, JSON_TYPE, status=status, headers={"Cache-Control": "no-store"}
        )

    async def _call(self, request: web.Request) -> web.StreamResponse:
        """A POST; a GET only to become a WebSocket, so Allow does not name it."""
        if request.method == "POST":
            return await self._serve(request)
        if request.method == "GET" and is_upgrade(request):
            return await self._upgrade(request)
        raise web.HTTPMethodNotAllowed(request.method, ["POST"])

    async def _upgrade(self, request: web.Request) -> web.StreamResponse:
        """A WebSocket; a browser's cannot show a token before its first message."""
        if "Authorization" in request.headers:
            self._caller(request)
        return await self._sockets.serve(request, self._who(request))

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        caller = self._caller(request)
        msgpack_body = _is_msgpack(request)
        body = await self._read(request)
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
        replies = await self._rpc.handle(decoded, caller)
        if replies is None:
            return web.Response(status=204)
        return await self._writer.send(request, replies, msgpack=msgpack_reply)

    def _who(self, request: web.Request) -> Who:
        """Says who asks, by the token in a message or else by what came with ``request``."""
        transport = request.transport
        peer = certificate = None
        if transport is not None:
            peer = transport.get_extra_info("peername")
            certificate = transport.get_extra_info("peercert")
        given = request.headers.getall("Authorization", [])
        token = None if not given else _bearer(given)

        def who(shown: str | None) -> Caller | None:
            return self._access.caller(
                DOOR,
                address_text(peer),
                token if shown is None else shown,
                certificate=certificate,
            )

        return who

    def _caller(self, request: web.Request) -> Caller:
        """Who asks; raises HTTPUnauthorized."""
        caller = self._who(request)(None)
        if caller is None:
            given = "Authorization" in request.headers
            fault = ', error="invalid_token"' if given else ""
            raise web.HTTPUnauthorized(
                text="a valid token is needed\n",
                headers={"WWW-Authenticate": f'Bearer realm="dlgmgmt"{fault}'},
            )
        return caller

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


def _bearer(given: list[str]) -> str:
    """The token of an Authorization header; "", which is nobody's, for anything else."""
    scheme, _, token = given[0].strip().partition(" ")
    return token.strip() if len(given) == 1 and scheme.lower() == "bearer" else ""


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
