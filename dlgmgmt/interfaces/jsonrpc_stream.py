"""JSON-RPC over a connection: of unix stream sockets and TCP.

Requests follow one another as they are, with or without blanks between them, and so do the answers,
in the same order, those in JSON with a line end each. A stream that is no JSON-RPC is answered once
and closed: nobody knows where its next message begins, and the body of a browser's HTTP request
must not become commands.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from dlgmgmt.commands.dispatcher import Caller
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.connections import Link
from dlgmgmt.interfaces.jsonrpc import PARSE_ERROR, JsonRpc, error_response
from dlgmgmt.interfaces.rpc_door import Answer, answer, chunks
from dlgmgmt.interfaces.rpc_framing import Encoding, Frame, FramingError, RpcFramer, encoding_of
from dlgmgmt.interfaces.settings import JsonSockSettings

_LOG = logging.getLogger(__name__)

DOOR = "jsonrpc_sock"

_READ = 65_536


class JsonStreams:
    """Serves connections. requests, broken: answered messages, and streams that were closed."""

    def __init__(self, settings: JsonSockSettings, rpc: JsonRpc, access: Access) -> None:
        self._settings = settings
        self._rpc = rpc
        self._access = access
        self.requests = 0
        self.broken = 0

    async def serve(self, link: Link) -> bool:
        """Answer until the client ends or is silent for long: True. False: what came is nothing."""
        framer = RpcFramer(self._settings.max_request)
        fault = await self._serve(link, framer)
        if not fault:
            return True
        self.broken += 1
        _LOG.info("%s: closed: %s", link.label, fault)
        await _send(link, error_response(PARSE_ERROR, fault), encoding_of(framer.pending))
        return False

    async def _serve(self, link: Link, framer: RpcFramer) -> str:
        """What is wrong with the stream in the end, "" if nothing is."""
        loop = asyncio.get_running_loop()
        began = 0.0
        while True:
            waiting = framer.waiting
            try:
                async with asyncio.timeout_at(
                    began + self._settings.request_deadline
                    if waiting
                    else loop.time() + self._settings.idle_timeout
                ):
                    data = await link.reader.read(_READ)
            except TimeoutError:
                return "the rest of a message did not come in time" if waiting else ""
            if not data:
                return "the rest of a message is missing" if waiting else ""
            if not waiting:
                began = loop.time()
            try:
                for frame in framer.feed(data):
                    await self._answer(link, frame)
                    began = loop.time()
            except FramingError as error:
                return str(error)

    async def _answer(self, link: Link, frame: Frame) -> None:
        def who(token: str | None) -> Caller | None:
            return self._access.caller(DOOR, link.peer, token, user=link.user)

        self.requests += 1
        reply = await answer(self._rpc, frame, who, link.label)
        if reply is not None:
            await _send(link, reply, frame.encoding)
        # Others get their turn between the requests of one.
        await asyncio.sleep(0)


async def _send(link: Link, reply: Answer, encoding: Encoding) -> None:
    async with contextlib.aclosing(chunks(reply, encoding)) as texts:
        async for text in texts:
            await link.write(text)
    if encoding is Encoding.JSON:
        await link.write(b"\n")
