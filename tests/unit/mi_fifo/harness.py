"""A server over real FIFOs, readers of reply FIFOs, and a handler with a few plain commands."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from mi_fifo import (
    FifoServer,
    FifoSettings,
    MiNode,
    MiReply,
    MiRequest,
    MiText,
    command_not_available,
)

DATA = Path(__file__).parents[2] / "data" / "mi-4.4"
TRANSCRIPTS = Path(__file__).parents[3] / "fifo" / "transcripts"
PATIENCE = 10.0


def stub_handler(request: MiRequest) -> MiReply:
    """Commands that answer the same to the same, with the texts of the real ones."""
    values = [param.value for param in request.params]
    match request.command:
        case "which":
            return MiReply(200, "OK", [MiText("which"), MiText("dlg_list")])
        case "dlg_list" if not values:
            return MiReply(200, "OK")
        case "dlg_list" if len(values) > 2 or "" in values:
            return MiReply(400, "Too few or too many arguments")
        case "dlg_list":
            return MiReply(404, "Nu such dialog")
        case "version":
            lines = (DATA / "fifo" / "fifo_two_back_to_back.rep").read_text().split("\n")
            return MiReply(200, "OK", [MiText(line) for line in lines[1:7]])
        case "echo":
            return MiReply(200, "OK", [MiNode(p.name or "value", p.value) for p in request.params])
        case "tree":
            leg = MiNode("leg", attrs=[("hash", "1:2")], children=[MiNode("to_tag", "b")])
            return MiReply(200, "OK", [MiNode("call", 7, [("n", 1)], [MiNode("did"), leg])])
        case "big":
            count = int(values[0])
            return MiReply(200, "OK", (MiNode("node", i, (), NODE_CHILDREN) for i in range(count)))
        case "boom":
            raise ValueError("secret of the handler")
        case "boom_later":
            return MiReply(200, "OK", (MiNode("n", 100 // (50 - i)) for i in range(100)))
        case _:
            return command_not_available(request.command)


NODE_CHILDREN = tuple(MiNode(f"field_{i}", "v" * 40) for i in range(12))


class Reader:
    """A reply FIFO with its reader open, as a client has it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        os.mkfifo(path)
        self.fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)

    async def reply(self) -> bytes:
        """Everything up to the moment when the writer closes."""
        loop = asyncio.get_running_loop()
        data = bytearray()
        done: asyncio.Future[bytes] = loop.create_future()

        def read() -> None:
            part = os.read(self.fd, 65536)
            data.extend(part)
            if not part and not done.done():
                done.set_result(bytes(data))

        loop.add_reader(self.fd, read)
        try:
            async with asyncio.timeout(PATIENCE):
                return await done
        finally:
            loop.remove_reader(self.fd)

    def rest(self) -> bytes:
        """What lies in the FIFO now, b"" if nothing."""
        try:
            return os.read(self.fd, 65536)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        os.close(self.fd)
        self.path.unlink(missing_ok=True)


class Bench:
    """A running server and what a client of it does."""

    def __init__(self, server: FifoServer) -> None:
        self.server = server
        self.fifo = Path(server.settings.fifo_name)
        self.reply_dir = Path(server.settings.reply_dir)

    def write(self, data: bytes) -> None:
        """Writes to the command FIFO in one piece."""
        fd = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            assert os.write(fd, data) == len(data)
        finally:
            os.close(fd)

    @contextmanager
    def reader(self, name: str) -> Iterator[Reader]:
        reader = Reader(self.reply_dir / name)
        try:
            yield reader
        finally:
            reader.close()

    async def ask(self, data: bytes, name: str) -> bytes:
        """Writes ``data`` and returns what comes out of the reply FIFO ``name``."""
        with self.reader(name) as reader:
            self.write(data)
            return await reader.reply()

    async def works(self) -> None:
        """Asserts that the next command is answered."""
        assert await self.ask(b":which:after\n\n", "after") == b"200 OK\nwhich\ndlg_list\n\n"

    async def settled(self) -> None:
        """Waits until no reply is under way."""
        async with asyncio.timeout(PATIENCE):
            while self.server._tasks:
                await asyncio.wait(self.server._tasks)


async def until(condition: Callable[[], bool]) -> None:
    """Waits for something that shows itself in no other way, such as a file."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a file system has no events to wait for
            await asyncio.sleep(0.002)


def make_settings(directory: Path, **changes: Any) -> FifoSettings:
    settings = FifoSettings(
        fifo_name=str(directory / "run" / "mi_fifo"),
        reply_dir=str(directory / "run" / "reply"),
        request_deadline=0.3,
        quote_grace=0.1,
        open_deadline=0.2,
        write_deadline=0.3,
        watch_interval=0.02,
        stop_grace=0.2,
    )
    return replace(settings, **changes)


@asynccontextmanager
async def serving(
    directory: Path, handler: Any = stub_handler, **changes: Any
) -> AsyncIterator[Bench]:
    settings = make_settings(directory, **changes)
    server = FifoServer(settings, handler, logger=logging.getLogger("test.mi_fifo"))
    await server.start()
    try:
        yield Bench(server)
    finally:
        await server.stop()
