"""Writing JSON-RPC responses over HTTP, listings batch by batch, and not waiting for ever."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator

from aiohttp import web

from dlgmgmt.commands.results import Listing
from dlgmgmt.interfaces.jsonrpc import INTERNAL_ERROR, Response, error_response
from dlgmgmt.interfaces.listing import around, json_text, records
from dlgmgmt.interfaces.rpc_render import JSON, MSGPACK

_LOG = logging.getLogger(__name__)

JSON_TYPE = "application/json"
MSGPACK_TYPE = "application/msgpack"

TOO_LARGE = (-32000, "Response too large")
_TOO_LARGE_HINT = (
    "a listing in msgpack is limited to {limit} bytes: "
    "ask for it in JSON, or for single dialogs with dlg.dlg_list"
)

# A listing up to this many bytes goes out in one piece, with its length.
_WHOLE = 65_536


_CHUNK = 131_072
"""Bytes of a listing that are gathered before they are written."""


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
            return await self.send_body(request, await self._msgpack(answer), MSGPACK_TYPE)
        members = answer if isinstance(answer, list) else [answer]
        if not any(isinstance(member.get("result"), Listing) for member in members):
            return await self.send_body(request, JSON.encode(answer), JSON_TYPE)
        async with contextlib.aclosing(_json_chunks(answer)) as chunks:
            start = bytearray()
            try:
                async for chunk in chunks:
                    start += chunk
                    if len(start) > _WHOLE:
                        return await self._stream(request, bytes(start), chunks)
                body = bytes(start)
            except Exception:  # noqa: BLE001 - its text is not for the client
                _LOG.exception("HTTP: a listing failed")
                request_id = None if isinstance(answer, list) else answer["id"]
                body = JSON.encode(error_response(INTERNAL_ERROR, "", request_id))
        return await self.send_body(request, body, JSON_TYPE)

    async def send_body(
        self, request: web.Request, body: bytes, content_type: str, status: int = 200
    ) -> web.StreamResponse:
        """Send a whole body."""
        response = web.Response(body=body, content_type=content_type, status=status)
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

    async def _msgpack(self, answer: Response | list[Response]) -> bytes:
        if isinstance(answer, list):
            room = self._max_msgpack
            members = []
            for member in answer:
                encoded = await self._msgpack_one(member, room)
                room -= len(encoded)
                members.append(encoded)
            return b"".join((_array_header(len(members)), *members))
        return await self._msgpack_one(answer, self._max_msgpack)

    async def _msgpack_one(self, response: Response, room: int) -> bytes:
        listing = response.get("result")
        if not isinstance(listing, Listing):
            return MSGPACK.encode(response)
        size = count = 0
        parts: list[bytes] = []
        try:
            for batch in records(listing):
                part = _strip_header(MSGPACK.encode(batch), len(batch))
                count += len(batch)
                size += len(part)
                if size > room:
                    _LOG.info("HTTP: a msgpack listing of more than %d bytes refused", room)
                    hint = _TOO_LARGE_HINT.format(limit=self._max_msgpack)
                    return MSGPACK.encode(error_response(TOO_LARGE, hint, response["id"]))
                parts.append(part)
                await asyncio.sleep(0)
        except Exception:  # noqa: BLE001 - its text is not for the client
            _LOG.exception("HTTP: a listing failed")
            return MSGPACK.encode(error_response(INTERNAL_ERROR, "", response["id"]))
        # A map of the same three members as any response.
        return b"".join(
            (
                b"\x83",
                MSGPACK.encode("jsonrpc"),
                MSGPACK.encode("2.0"),
                MSGPACK.encode("id"),
                MSGPACK.encode(response["id"]),
                MSGPACK.encode("result"),
                _packed_opening(listing, count),
                *parts,
            )
        )


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


async def _json_chunks(answer: Response | list[Response]) -> AsyncGenerator[bytes, None]:
    """The JSON text of ``answer``; other tasks run between two chunks."""
    if isinstance(answer, list):
        opening = b"["
        for member in answer:
            async for chunk in _json_member(opening, member):
                yield chunk
            opening = b","
        yield b"]"
        return
    async for chunk in _json_member(b"", answer):
        yield chunk


async def _json_member(opening: bytes, response: Response) -> AsyncGenerator[bytes, None]:
    listing = response.get("result")
    if not isinstance(listing, Listing):
        yield opening + JSON.encode(response)
        return
    end = b',"id":' + JSON.encode(response["id"]) + b"}"
    try:
        # Before anything is sent: a listing that cannot begin is answered as an error.
        text = json_text(listing)
        first = next(text.batches, b"")
    except Exception:  # noqa: BLE001 - its text is not for the client
        _LOG.exception("HTTP: a listing failed")
        yield opening + JSON.encode(error_response(INTERNAL_ERROR, "", response["id"]))
        return
    # Always one batch behind, so that a short listing is a single chunk.
    pending = [opening, b'{"jsonrpc":"2.0","result":', text.opening, first]
    size = len(first)
    for batch in text.batches:
        if size >= _CHUNK:
            yield b"".join(pending)
            await asyncio.sleep(0)
            pending, size = [], 0
        pending += (b",", batch)
        size += len(batch)
    pending += (text.closing, end)
    yield b"".join(pending)


def _packed_opening(listing: Listing, count: int) -> bytes:
    """What stands before the ``count`` records of a listing in msgpack."""
    wrapping = around(listing)
    if wrapping is None:
        return _array_header(count)
    members, name = wrapping
    # A map of fewer than 15 members and the array.
    pairs = b"".join(MSGPACK.encode(part) for pair in members.items() for part in pair)
    head = bytes((0x80 | (len(members) + 1),))
    return b"".join((head, pairs, MSGPACK.encode(name), _array_header(count)))


def _array_header(count: int) -> bytes:
    """The head of a msgpack array."""
    if count < 16:
        return bytes((0x90 | count,))
    if count < 0x10000:
        return b"\xdc" + count.to_bytes(2, "big")
    return b"\xdd" + count.to_bytes(4, "big")


def _strip_header(encoded: bytes, count: int) -> bytes:
    """The items of an encoded array of ``count``, without the array's head."""
    return encoded[len(_array_header(count)) :]
