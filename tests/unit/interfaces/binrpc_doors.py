"""A BINRPC server on real sockets over a real dialog table, and clients of all four kinds."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from dlgmgmt.interfaces.binrpc import BinrpcServer
from dlgmgmt.interfaces.binrpc_codec import REPLY, read_header
from dlgmgmt.interfaces.settings import BinrpcSettings, SocketAddress
from tests.binrpc import values_of
from tests.unit.commands.harness import House

KINDS = ("unixs", "unixd", "tcp", "udp")
STREAMS = ("unixs", "tcp")
DATAGRAMS = ("unixd", "udp")
VERSION = (REPLY, 1, ["dlgmgmt 0.1.0 (x86_64/linux)"])
"""What core.version with the cookie 1 is answered."""

Open = Callable[..., Any]
"""Opens the doors, for ``async with``: with so many calls, and with these settings."""


class Stream:
    """A connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def receive(self) -> tuple[int, int, list[object]]:
        head = await self.reader.readexactly(2)
        sizes = 2 + ((head[1] >> 2) & 3) + (head[1] & 3)
        head += await self.reader.readexactly(sizes)
        header = read_header(head)
        assert header is not None
        return values_of(head + await self.reader.readexactly(header.length))

    async def closed(self) -> None:
        """Until the server has closed it."""
        async with asyncio.timeout(10):
            assert await self.reader.read() == b""

    def close(self) -> None:
        self.writer.transport.abort()


class Datagrams:
    """A socket that sends to the server's."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    async def send(self, data: bytes) -> None:
        await asyncio.get_running_loop().sock_sendall(self.sock, data)

    async def receive(self) -> tuple[int, int, list[object]]:
        async with asyncio.timeout(10):
            return values_of(await asyncio.get_running_loop().sock_recv(self.sock, 200_000))

    def close(self) -> None:
        self.sock.close()


Client = Stream | Datagrams


class Doors:
    """A server with all its doors open, and its clients."""

    def __init__(self, server: BinrpcServer, house: House, folder: Path) -> None:
        self.server = server
        self.house = house
        self._folder = folder
        self._clients: list[Client] = []
        self.at = {address.kind: address for address in server.addresses}

    async def client(self, kind: str) -> Client:
        address = self.at[kind]  # type: ignore[index]
        where: Any = address.path or (address.host, address.port)
        client: Client
        if kind == "unixs":
            client = Stream(*await asyncio.open_unix_connection(where))
        elif kind == "tcp":
            client = Stream(*await asyncio.open_connection(*where))
        else:
            family = socket.AF_UNIX if kind == "unixd" else socket.AF_INET
            sock = socket.socket(family, socket.SOCK_DGRAM)
            sock.setblocking(False)
            if kind == "unixd":
                sock.bind(str(self._folder / f"client{len(self._clients)}"))
            sock.connect(where)
            client = Datagrams(sock)
        self._clients.append(client)
        return client

    async def stream(self, kind: str = "unixs") -> Stream:
        client = await self.client(kind)
        assert isinstance(client, Stream)
        return client

    def counter(self, name: str) -> int:
        return dict(self.server.counters())[name]

    def close(self) -> None:
        for client in self._clients:
            client.close()


def opener(tmp_path: Path) -> Open:
    @asynccontextmanager
    async def opened(calls: int = 0, **settings: Any) -> AsyncIterator[Doors]:
        listen = (
            SocketAddress("unixs", path=str(tmp_path / "ctl")),
            SocketAddress("unixd", path=str(tmp_path / "ctld")),
            SocketAddress("tcp", host="127.0.0.1"),
            SocketAddress("udp", host="127.0.0.1"),
        )
        house = House()
        for number in range(calls):
            house.invite(f"call-{number}@ref", f"uac-{number}")
        server = BinrpcServer(BinrpcSettings(listen=listen, **settings), house.dispatcher)
        await server.start()
        found = Doors(server, house, tmp_path)
        try:
            yield found
        finally:
            found.close()
            await server.stop()

    return opened


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - of counters, which tell nobody
            await asyncio.sleep(0.01)
