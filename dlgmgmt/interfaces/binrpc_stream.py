"""Connections that carry BINRPC: unix stream sockets and TCP."""

from __future__ import annotations

import asyncio

from dlgmgmt.commands.system import ControlSocket
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.binrpc_answers import Answers
from dlgmgmt.interfaces.binrpc_codec import BadPacket, Framer
from dlgmgmt.interfaces.connections import Link
from dlgmgmt.interfaces.settings import BinrpcSettings

DOOR = "binrpc"
"""What callers by BINRPC are said to come through."""

_READ = 65_536
_LATE = "bad request: the rest of it did not come in time"
_CUT = "bad request: the rest of it is missing"


class BinrpcStreams:
    """Serves connections: the requests of each are answered one after another, in their order."""

    def __init__(self, settings: BinrpcSettings, answers: Answers, access: Access) -> None:
        self._settings = settings
        self._answers = answers
        self._access = access

    async def serve(self, link: Link) -> bool:
        """Answer until the client ends or is silent for long: True. False: bad requests."""
        settings, framer = self._settings, Framer(self._settings.max_request)
        loop = asyncio.get_running_loop()
        began = 0.0
        while True:
            try:
                async with asyncio.timeout_at(
                    began + settings.request_deadline
                    if framer.pending
                    else loop.time() + settings.idle_timeout
                ):
                    data = await link.reader.read(_READ)
            except TimeoutError:
                if framer.pending:
                    await self._bad(link, BadPacket(_LATE, framer.cookie))
                return not framer.pending
            if not data:
                if framer.pending:
                    await self._bad(link, BadPacket(_CUT, framer.cookie))
                return True
            if not framer.pending:
                began = loop.time()
            complete = 0
            try:
                for packet in framer.feed(data):
                    complete += 1
                    if not await self._answer(link, packet):
                        return False
            except BadPacket as error:
                await self._bad(link, error)
                return False
            if complete:
                began = loop.time()

    async def _answer(self, link: Link, packet: bytes) -> bool:
        # Asked each time: what is let in may change while the connection stands.
        caller = self._access.caller(DOOR, link.peer, user=link.user, label=link.label)
        reply, good = await self._answers.answer(packet, caller, self._settings.max_reply)
        await link.write(reply)
        # Others get their turn between the requests of one.
        await asyncio.sleep(0)
        return good

    async def _bad(self, link: Link, error: BadPacket) -> None:
        await link.write(self._answers.bad(error, link.label))


def client(link: Link) -> ControlSocket:
    """A connection, as ctl.who shows it."""
    own = link.writer.get_extra_info("sockname")
    peer = link.writer.get_extra_info("peername")
    if isinstance(own, str):
        return ControlSocket("unixs", own, "", 0, ("", 0))
    return ControlSocket("tcp", "", own[0], own[1], (peer[0], peer[1]) if peer else ("", 0))
