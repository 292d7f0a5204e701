"""What the JSON-RPC doors have in common: from a message to its answer, and the answer's bytes.

A listing is rendered while it is sent where the door is a stream, and made in memory, up to a
limit, where it has to be one piece: a datagram, msgpack, whose arrays tell their length first. What
is beyond the limit is answered by an error that says how to get it in parts.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, Callable

import msgspec

from dlgmgmt.commands.dispatcher import Caller
from dlgmgmt.commands.results import Listing
from dlgmgmt.interfaces.access import UNAUTHORIZED, UNAUTHORIZED_HINT, token_in
from dlgmgmt.interfaces.jsonrpc import (
    INTERNAL_ERROR,
    PARSE_ERROR,
    JsonRpc,
    Response,
    error_response,
    is_id,
)
from dlgmgmt.interfaces.listing import around, json_text, records
from dlgmgmt.interfaces.packed import unpack
from dlgmgmt.interfaces.rpc_framing import Encoding, Frame
from dlgmgmt.interfaces.rpc_pretty import Pretty
from dlgmgmt.interfaces.rpc_render import JSON, MSGPACK

_LOG = logging.getLogger(__name__)

Answer = Response | list[Response]

Who = Callable[[str | None], Caller | None]
"""Says who asks, given the token that he has shown; None: he may not."""

BUSY = (-32000, "Too many requests")
TOO_LARGE = (-32000, "Response too large")
MAX_MSGPACK = 16 * 1024 * 1024
"""Bytes of a msgpack answer that holds a listing, where the door itself has no lower limit."""

_CHUNK = 131_072
"""Bytes of a listing that are gathered before they are written."""
_PRETTY_CHUNK = 32_768
"""The same where they are laid out first, which takes longer than to make them."""


class NoMessage(ValueError):
    """A message cannot be decoded. detail: where the fault lies, in the decoder's words."""

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


def decode(frame: Frame) -> object:
    """The decoded message; raises NoMessage."""
    try:
        if frame.encoding is Encoding.MSGPACK:
            return unpack(frame.data)
        return msgspec.json.decode(frame.data)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        # The decoders' own texts hold nothing of this program.
        raise NoMessage("" if isinstance(error, UnicodeError) else str(error)) from None


async def answer(rpc: JsonRpc, frame: Frame, who: Who, label: str) -> Answer | None:
    """What a message is answered, None for notifications. label: of its sender, for the log."""
    try:
        decoded = decode(frame)
    except NoMessage as error:
        _LOG.info("rpc from %s: no valid message: %s", label, ascii(error.detail))
        return error_response(PARSE_ERROR, error.detail)
    return await answer_decoded(rpc, decoded, who)


async def answer_decoded(rpc: JsonRpc, decoded: object, who: Who) -> Answer | None:
    """As :func:`answer`, of a message that has been decoded."""
    caller = who(token_in(decoded))
    if caller is None:
        return error_response(UNAUTHORIZED, UNAUTHORIZED_HINT, _id_of(decoded))
    return await rpc.handle(decoded, caller)


def busy(frame: Frame) -> bytes:
    """The answer to a message that comes while too many others are being answered."""
    return _refused(frame, error_response(BUSY))


def too_large(frame: Frame, limit: int) -> bytes:
    """The answer to a message whose result turns out to be more than ``limit`` bytes."""
    return _refused(frame, _too_large(None, limit))


def _refused(frame: Frame, response: Response) -> bytes:
    """The encoded ``response``, with the id of the message if it has one."""
    with contextlib.suppress(NoMessage):
        response["id"] = _id_of(decode(frame))
    return _encoded(response, frame.encoding, pretty=False)


def _id_of(decoded: object) -> object:
    """The id of a request that is not looked at any further, None if there is none."""
    request_id = decoded.get("id") if isinstance(decoded, dict) else None
    return request_id if is_id(request_id) else None


def has_listing(reply: Answer) -> bool:
    """Whether anything of ``reply`` is rendered only while it is sent."""
    members = reply if isinstance(reply, list) else [reply]
    return any(isinstance(member.get("result"), Listing) for member in members)


async def chunks(
    reply: Answer, encoding: Encoding, *, pretty: bool = False, limit: int = MAX_MSGPACK
) -> AsyncGenerator[bytes, None]:
    """The bytes of ``reply``, some at a time; other tasks run between two of them.

    pretty: JSON as Kamailio lays it out. limit: bytes of a listing in msgpack. What is raised after
    the first chunk means that the rest will not come: the reader must not take it for all.
    """
    if encoding is Encoding.MSGPACK:
        yield await whole(reply, encoding, limit)
        return
    printer = Pretty() if pretty else None
    size = _PRETTY_CHUNK if pretty else _CHUNK
    async with contextlib.aclosing(json_chunks(reply, size)) as texts:
        async for text in texts:
            yield text if printer is None else printer.feed(text)


async def whole(reply: Answer, encoding: Encoding, limit: int, *, pretty: bool = False) -> bytes:
    """``reply`` in one piece of at most ``limit`` bytes.

    A member that does not fit becomes an error. In a batch of so many that even their errors do
    not fit, the whole does.
    """
    if not isinstance(reply, list):
        return await _fitting(reply, encoding, limit, limit, pretty=pretty)
    # Brackets, or the array's head.
    room = limit - 5
    members = []
    for member in reply:
        encoded = await _fitting(member, encoding, room, limit, pretty=pretty)
        room -= len(encoded) + 2
        members.append(encoded)
    if room < 0:
        return _encoded(_too_large(None, limit), encoding, pretty=pretty)
    if encoding is Encoding.MSGPACK:
        return b"".join((_array_header(len(members)), *members))
    return b"[" + b", ".join(members) + b"]"


async def _fitting(
    response: Response, encoding: Encoding, room: int, limit: int, *, pretty: bool
) -> bytes:
    made = None
    try:
        if encoding is Encoding.MSGPACK:
            made = await _packed(response, room)
        else:
            made = await _text(response, room, Pretty() if pretty else None)
    except Exception:  # noqa: BLE001 - its text is not for the client
        _LOG.exception("a listing failed")
        failed = error_response(INTERNAL_ERROR, "", response["id"])
        return _encoded(failed, encoding, pretty=pretty)
    if made is None:
        _LOG.info("rpc: a result of more than %d bytes refused", limit)
        return _encoded(_too_large(response["id"], limit), encoding, pretty=pretty)
    return made


def _too_large(request_id: object, limit: int) -> Response:
    hint = (
        f"the result is more than this door carries ({limit} bytes): "
        "ask for it in parts, with limit and cursor of dlg.query, or for one with dlg.dlg_list"
    )
    return error_response(TOO_LARGE, hint, request_id)


def _encoded(response: Response, encoding: Encoding, *, pretty: bool) -> bytes:
    if encoding is Encoding.MSGPACK:
        return MSGPACK.encode(response)
    text = JSON.encode(response)
    return Pretty().feed(text) if pretty else text


async def json_chunks(reply: Answer, least: int = _CHUNK) -> AsyncGenerator[bytes, None]:
    """The JSON text of ``reply``, compact; a listing of less than ``least`` bytes is one piece."""
    if isinstance(reply, list):
        opening = b"["
        for member in reply:
            async for chunk in _json_member(opening, member, least):
                yield chunk
            opening = b","
        yield b"]"
        return
    async for chunk in _json_member(b"", reply, least):
        yield chunk


async def _json_member(
    opening: bytes, response: Response, least: int
) -> AsyncGenerator[bytes, None]:
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
        _LOG.exception("a listing failed")
        yield opening + JSON.encode(error_response(INTERNAL_ERROR, "", response["id"]))
        return
    # Always one batch behind, so that a short listing is a single chunk.
    pending = [opening, b'{"jsonrpc":"2.0","result":', text.opening, first]
    size = len(first)
    for batch in text.batches:
        if size >= least:
            yield b"".join(pending)
            await asyncio.sleep(0)
            pending, size = [], 0
        pending += (b",", batch)
        size += len(batch)
    pending += (text.closing, end)
    yield b"".join(pending)


async def _text(response: Response, room: int, printer: Pretty | None) -> bytes | None:
    """A response as JSON, None if it is more than ``room`` bytes."""
    parts = []
    async with contextlib.aclosing(_json_member(b"", response, _PRETTY_CHUNK)) as texts:
        async for text in texts:
            parts.append(text if printer is None else printer.feed(text))
            room -= len(parts[-1])
            if room < 0:
                return None
    return b"".join(parts)


async def _packed(response: Response, room: int) -> bytes | None:
    """A response in msgpack, None if it is more than ``room`` bytes."""
    listing = response.get("result")
    if not isinstance(listing, Listing):
        encoded = MSGPACK.encode(response)
        return encoded if len(encoded) <= room else None
    # A map of the same three members as any response.
    head = b"\x83" + b"".join(
        MSGPACK.encode(part) for part in ("jsonrpc", "2.0", "id", response["id"], "result")
    )
    room -= len(head) + len(_packed_opening(listing, 0xFFFFFFFF))
    count = 0
    parts: list[bytes] = []
    for batch in records(listing):
        part = _strip_header(MSGPACK.encode(batch), len(batch))
        count += len(batch)
        room -= len(part)
        if room < 0:
            return None
        parts.append(part)
        await asyncio.sleep(0)
    return b"".join((head, _packed_opening(listing, count), *parts))


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
