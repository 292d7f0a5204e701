"""Connections that carry BINRPC: unix stream sockets and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections.abc import Coroutine
from typing import Any

from dlgmgmt.commands.system import ControlSocket
from dlgmgmt.interfaces.access import Access, account_of, address_text
from dlgmgmt.interfaces.binrpc_answers import Answers
from dlgmgmt.interfaces.binrpc_codec import BadPacket, Framer
from dlgmgmt.interfaces.datagrams import peer_text
from dlgmgmt.interfaces.settings import BinrpcSettings, SocketAddress
from dlgmgmt.interfaces.sockets import Bound

_LOG = logging.getLogger(__name__)

DOOR = "binrpc"
"""What callers by BINRPC are said to come through."""

_READ = 65_536
_LATE = "bad request: the rest of it did not come in time"
_CUT = "bad request: the rest of it is missing"
_CREDENTIALS = struct.Struct("3i")

# How long the rest of a refused request is read, so that its sender sees the answer.
_LINGER = 0.5
_LINGER_BYTES = 1_048_576
_MAX_REFUSALS = 64


class Connections:
    """The connections of all listeners together."""

    def __init__(self, settings: BinrpcSettings, answers: Answers, access: Access) -> None:
        self.settings = settings
        self.answers = answers
        self.access = access
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._refusals: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self.refused = 0
        self.slow_readers = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def clients(self) -> list[ControlSocket]:
        """Who is connected."""
        return [_client(writer) for writer in self._open.values()]

    async def listen(self, bound: Bound) -> None:
        """Accept connections on a socket."""

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._accepted(bound.address, reader, writer)

        start = asyncio.start_unix_server if bound.address.path else asyncio.start_server
        self._servers.append(await start(accepted, sock=bound.sock))

    async def stop(self) -> None:
        """Accept no more, and close every connection."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        tasks = {**self._open, **self._refusals}
        for task, writer in tasks.items():
            task.cancel()
            writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accepted(
        self, address: SocketAddress, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # drain() then waits until all has left.
        writer.transport.set_write_buffer_limits(0)
        if len(self._open) < self.settings.max_connections:
            label = f"BINRPC {address.kind} {_peer(writer)}"
            self._keep(self._open, _Connection(self, reader, writer, label).run(), writer)
            return
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # 1, 2, 4, ...: a flood must not fill the log
            _LOG.warning("BINRPC: %d connections refused so far", self.refused)
        if len(self._refusals) < _MAX_REFUSALS:
            self._keep(self._refusals, self._refuse(reader, writer), writer)
        else:
            writer.transport.abort()

    @staticmethod
    def _keep(
        tasks: dict[asyncio.Task[None], asyncio.StreamWriter],
        work: Coroutine[Any, Any, None],
        writer: asyncio.StreamWriter,
    ) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks[task] = writer
        task.add_done_callback(tasks.pop)

    async def _refuse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a first request that there are too many connections."""
        try:
            async with asyncio.timeout(_LINGER):
                data = await reader.read(_READ)
                writer.write(self.answers.busy(data))
                await writer.drain()
        except (TimeoutError, OSError):
            writer.transport.abort()
        else:
            await _linger(reader, writer)


class _Connection:
    """One connection: its requests are answered one after another, in their order."""

    def __init__(
        self,
        owner: Connections,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        label: str,
    ) -> None:
        self._owner = owner
        self._settings = owner.settings
        self._reader = reader
        self._writer = writer
        self._label = label
        self._address = address_text(writer.get_extra_info("peername"))
        self._user = "" if self._address else account_of(writer.get_extra_info("socket"))
        self._framer = Framer(owner.settings.max_request)

    async def run(self) -> None:
        """Serve it to its end."""
        try:
            if await self._serve():
                self._writer.close()
            else:
                await _linger(self._reader, self._writer)
        except _SlowReader:
            self._owner.slow_readers += 1
            _LOG.warning(
                "BINRPC: %s cut off: it did not read for %g s",
                self._label,
                self._settings.write_deadline,
            )
            self._writer.transport.abort()
        except OSError as error:
            _LOG.info("BINRPC: %s went away: %s", self._label, error.strerror)
            self._writer.transport.abort()
        except Exception:  # noqa: BLE001 - others go on
            _LOG.exception("BINRPC: the connection of %s failed", self._label)
            self._writer.transport.abort()

    async def _serve(self) -> bool:
        """Answer until the client ends, or sends nothing for long: True. False: bad requests."""
        loop = asyncio.get_running_loop()
        began = 0.0
        while True:
            try:
                async with asyncio.timeout_at(
                    began + self._settings.request_deadline
                    if self._framer.pending
                    else loop.time() + self._settings.idle_timeout
                ):
                    data = await self._reader.read(_READ)
            except TimeoutError:
                if self._framer.pending:
                    await self._bad(BadPacket(_LATE, self._framer.cookie))
                return not self._framer.pending
            if not data:
                if self._framer.pending:
                    await self._bad(BadPacket(_CUT, self._framer.cookie))
                return True
            if not self._framer.pending:
                began = loop.time()
            complete = 0
            try:
                for packet in self._framer.feed(data):
                    complete += 1
                    if not await self._answer(packet):
                        return False
            except BadPacket as error:
                await self._bad(error)
                return False
            if complete:
                began = loop.time()

    async def _answer(self, packet: bytes) -> bool:
        # Asked each time: what is let in may change while the connection stands.
        caller = self._owner.access.caller(DOOR, self._address, user=self._user, label=self._label)
        reply, good = await self._owner.answers.answer(packet, caller, self._settings.max_reply)
        await self._send(reply)
        # Others get their turn between the requests of one.
        await asyncio.sleep(0)
        return good

    async def _bad(self, error: BadPacket) -> None:
        await self._send(self._owner.answers.bad(error, self._label))

    async def _send(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._settings.write_deadline):
                self._writer.write(data)
                await self._writer.drain()
        except TimeoutError:
            raise _SlowReader from None


class _SlowReader(Exception):
    """A client has not read its reply in time."""


async def _linger(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close after the answer has been seen: with unread data it would be lost in a reset."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_LINGER):
            writer.write_eof()
            left = _LINGER_BYTES
            while left > 0 and (data := await reader.read(_READ)):
                left -= len(data)
    writer.close()


def _client(writer: asyncio.StreamWriter) -> ControlSocket:
    own, peer = writer.get_extra_info("sockname"), writer.get_extra_info("peername")
    if isinstance(own, str):
        return ControlSocket("unixs", own, "", 0, ("", 0))
    return ControlSocket("tcp", "", own[0], own[1], (peer[0], peer[1]) if peer else ("", 0))


def _peer(writer: asyncio.StreamWriter) -> str:
    """Who is at the other end: of a unix socket its process, which has no name there."""
    sock = writer.get_extra_info("socket")
    if sock.family != socket.AF_UNIX:
        return peer_text(writer.get_extra_info("peername"))
    pid, uid, _ = _CREDENTIALS.unpack(
        sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    return f"uid {uid} pid {pid}"
