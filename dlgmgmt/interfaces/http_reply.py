"""Writing JSON-RPC responses over HTTP, listings batch by batch, and not waiting for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from aiohttp import web

from dlgmgmt.interfaces.jsonrpc import INTERNAL_ERROR, Response, error_response
from dlgmgmt.interfaces.rpc_door import has_listing, json_chunks, whole
from dlgmgmt.interfaces.rpc_framing import Encoding
from dlgmgmt.interfaces.rpc_render import JSON

_LOG = logging.getLogger(__name__)

JSON_TYPE = "application/json"
MSGPACK_TYPE = "application/msgpack"

NO_HEADERS: Mapping[str, str] = MappingProxyType({})

# A listing up to this many bytes goes out in one piece, with its length.
_WHOLE = 65_536


class ReplyWriter:
    """Writes responses. write_timeout: seconds without progress before a client is cut off.

    max_msgpack: bytes of a msgpack reply that holds a listing. msgpack needs the number of items
    before the first one, so such a reply is made in memory.
    """

    def __init__(self, *, write_timeout: float, max_msgpack: int) -> None:
        self._write_timeout = write_timeout
        self._max_msgpack = max_msgpack
        self.slow_readers = 0

    async def send(
        self, request: web.Request, answer: Response | list[Response], *, msgpack: bool
    ) -> web.StreamResponse:
        """Send ``answer``; the response that was sent."""
        if msgpack:
            body = await whole(answer, Encoding.MSGPACK, self._max_msgpack)
            return await self.send_body(request, body, MSGPACK_TYPE)
        if not has_listing(answer):
            return await self.send_body(request, JSON.encode(answer), JSON_TYPE)
        async with contextlib.aclosing(json_chunks(answer)) as chunks:
            start = bytearray()
            try:
                async for chunk in chunks:
                    start += chunk
                    if len(start) > _WHOLE:
                        return await self._stream(request, bytes(start), chunks)
                body = bytes(start)
            except Exception:  # noqa: BLE001 - its text is not for the client
                _LOG.exception("a listing failed")
                request_id = None if isinstance(answer, list) else answer["id"]
                body = JSON.encode(error_response(INTERNAL_ERROR, "", request_id))
        return await self.send_body(request, body, JSON_TYPE)

    async def send_body(
        self,
        request: web.Request,
        body: bytes,
        content_type: str,
        status: int = 200,
        headers: Mapping[str, str] = NO_HEADERS,
    ) -> web.StreamResponse:
        """Send a whole body. content_type: the value of the header; headers: further ones."""
        response = web.Response(
            body=body, status=status, headers={**headers, "Content-Type": content_type}
        )
        try:
            async with asyncio.timeout(self._write_timeout):
                await response.prepare(request)
                await response.write_eof()
        except TimeoutError:
            self._cut_off(request)
        except ConnectionError:
            _LOG.info("HTTP: %s went away before its answer", request.remote)
        return response

    async def _stream(
        self, request: web.Request, start: bytes, chunks: AsyncIterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": JSON_TYPE})
        try:
            async with asyncio.timeout(self._write_timeout):
                await response.prepare(request)
                await response.write(start)
            async for chunk in chunks:
                async with asyncio.timeout(self._write_timeout):
                    await response.write(chunk)
            async with asyncio.timeout(self._write_timeout):
                await response.write_eof()
        except TimeoutError:
            self._cut_off(request)
        except ConnectionError:
            _LOG.info("HTTP: %s went away during a listing", request.remote)
        except Exception:  # noqa: BLE001 - whatever it is, the client must not take this for all
            _LOG.exception("HTTP: a listing for %s broke off", request.remote)
            _abort(request)
        return response

    def _cut_off(self, request: web.Request) -> None:
        self.slow_readers += 1
        _LOG.warning(
            "HTTP: %s cut off: it did not read for %g s", request.remote, self._write_timeout
        )
        _abort(request)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
