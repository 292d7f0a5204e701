"""Connections of a door that is a stream: how many there may be, and clients that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

from dlgmgmt.interfaces.access import account_of, address_text
from dlgmgmt.interfaces.http_limits import client_of
from dlgmgmt.interfaces.settings import SocketAddress
from dlgmgmt.interfaces.sockets import Bound

_LOG = logging.getLogger(__name__)

_UCRED = struct.Struct("3i")

# How long the rest of a refused request is read, so that its sender sees the answer.
_LINGER = 0.5
_LINGER_BYTES = 1_048_576
_READ = 65_536
_MAX_REFUSALS = 64


class SlowReader(Exception):
    """A client has not read its answer in time."""


class Link:
    """A connection.

    label: for the log. peer: host and port, "" of a unix socket. user: the account at the other
    end of a unix socket, "" of others.
    """

    def __init__(
        self,
        door: str,
        address: SocketAddress,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        write_deadline: float,
    ) -> None:
        # drain() then waits until all has left.
        writer.transport.set_write_buffer_limits(0)
        self.peer = address_text(writer.get_extra_info("peername"))
        self.user = "" if self.peer else account_of(writer.get_extra_info("socket"))
        self.label = f"{door} {address.kind} {self.peer or self.user}"
        self.reader = reader
        self.writer = writer
        self.write_deadline = write_deadline

    @property
    def source(self) -> str:
        """Whose connections are counted together: an address, or a process of this machine."""
        if self.peer:
            return client_of(self.peer.rpartition(":")[0].strip("[]"))
        sock: socket.socket = self.writer.get_extra_info("socket")
        try:
            data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
        except OSError:
            return ""
        return f"pid {_UCRED.unpack(data)[0]}"

    async def write(self, data: bytes) -> None:
        """Send ``data``; raises SlowReader unless all of it leaves in time."""
        try:
            async with asyncio.timeout(self.write_deadline):
                self.writer.write(data)
                await self.writer.drain()
        except TimeoutError:
            raise SlowReader from None

    async def linger(self) -> None:
        """Close after the answer has been seen: with unread data it would be lost in a reset."""
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(_LINGER):
                self.writer.write_eof()
                left = _LINGER_BYTES
                while left > 0 and (data := await self.reader.read(_READ)):
                    left -= len(data)
        self.writer.close()


Serve = Callable[[Link], Coroutine[Any, Any, bool]]
"""Serves a connection to its end. True: the client has ended; False: its rest is not read."""


class Connections:
    """The connections of all listeners of a door.

    too_many: what is sent to one that is refused, or what makes it of the first that came from
    there. most, most_of_one: open at once, in all and of one source.
    """

    def __init__(
        self,
        door: str,
        serve: Serve,
        too_many: bytes | Callable[[bytes], bytes],
        *,
        most: int,
        most_of_one: int,
        write_deadline: float,
    ) -> None:
        self._door = door
        self._serve = serve
        self._too_many = too_many
        self._most = most
        self._most_of_one = most_of_one
        self._write_deadline = write_deadline
        self._servers: list[asyncio.Server] = []
        self._open: dict[asyncio.Task[None], Link] = {}
        self._refusals: dict[asyncio.Task[None], Link] = {}
        self._sources: Counter[str] = Counter()
        self.refused = 0
        self.slow_readers = 0

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def links(self) -> list[Link]:
        """Those that are open."""
        return list(self._open.values())

    async def listen(self, bound: Bound) -> None:
        """Accept connections on a socket."""

        def accepted(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self._accepted(Link(self._door, bound.address, reader, writer, self._write_deadline))

        start = asyncio.start_unix_server if bound.address.path else asyncio.start_server
        self._servers.append(await start(accepted, sock=bound.sock))

    async def stop(self) -> None:
        """Accept no more, and close every connection."""
        for server in self._servers:
            server.close()
        self._servers.clear()
        tasks = {**self._open, **self._refusals}
        for task, link in tasks.items():
            task.cancel()
            link.writer.transport.abort()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accepted(self, link: Link) -> None:
        source = link.source
        if len(self._open) < self._most and self._sources[source] < self._most_of_one:
            self._sources[source] += 1
            self._keep(self._open, self._run(link, source), link)
            return
        self.refused += 1
        if self.refused & (self.refused - 1) == 0:  # 1, 2, 4, ...: a flood must not fill the log
            _LOG.warning("%s: %d connections refused so far", self._door, self.refused)
        if len(self._refusals) < _MAX_REFUSALS:
            self._keep(self._refusals, self._refuse(link), link)
        else:
            link.writer.transport.abort()

    @staticmethod
    def _keep(
        tasks: dict[asyncio.Task[None], Link], work: Coroutine[Any, Any, None], link: Link
    ) -> None:
        task = asyncio.get_running_loop().create_task(work)
        tasks[task] = link
        task.add_done_callback(tasks.pop)

    async def _refuse(self, link: Link) -> None:
        try:
            if isinstance(self._too_many, bytes):
                text = self._too_many
            else:
                async with asyncio.timeout(_LINGER):
                    text = self._too_many(await link.reader.read(_READ))
            await link.write(text)
        except (SlowReader, TimeoutError, OSError):
            link.writer.transport.abort()
        else:
            await link.linger()

    async def _run(self, link: Link, source: str) -> None:
        try:
            if await self._serve(link):
                link.writer.close()
            else:
                await link.linger()
        except SlowReader:
            self.slow_readers += 1
            _LOG.warning("%s cut off: it did not read for %g s", link.label, self._write_deadline)
            link.writer.transport.abort()
        except OSError as error:
            _LOG.info("%s went away: %s", link.label, error.strerror)
            link.writer.transport.abort()
        except Exception:  # noqa: BLE001 - others go on; this client must not take it for all
            _LOG.exception("the connection of %s failed", link.label)
            link.writer.transport.abort()
        finally:
            self._sources[source] -= 1
            if not self._sources[source]:
                del self._sources[source]
