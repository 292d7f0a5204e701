"""JSON-RPC over real sockets: unix datagram and stream, UDP and TCP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import socket
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.views import DialogView, Snapshot
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.jsonrpc_sock import JsonSockets
from dlgmgmt.interfaces.settings import JsonSockSettings, SocketAddress
from tests.unit.commands.harness import House

PATIENCE = 10.0


def request(method: str, *params: object, request_id: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": [*params], "id": request_id}


def encoded(value: object) -> bytes:
    return json.dumps(value).encode()


class Stream:
    """A connection; JSON answers are read a line each."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, value: object) -> None:
        self.writer.write(value if isinstance(value, bytes) else encoded(value))

    async def answer(self) -> Any:
        async with asyncio.timeout(PATIENCE):
            line = await self.reader.readline()
        return json.loads(line)

    async def rest(self) -> bytes:
        async with asyncio.timeout(PATIENCE):
            return await self.reader.read()

    async def ask(self, value: object) -> Any:
        self.send(value)
        return await self.answer()


class Doors:
    def __init__(self, server: JsonSockets, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self._open: list[Stream] = []
        self._numbers = iter(range(1000))

    def _address(self, kind: str) -> SocketAddress:
        return next(each for each in self.server.addresses if each.kind == kind)

    async def connect(self, kind: str = "unixs", **more: Any) -> Stream:
        address = self._address(kind)
        if kind == "unixs":
            stream = Stream(*await asyncio.open_unix_connection(address.path, **more))
        else:
            stream = Stream(*await asyncio.open_connection(address.host, address.port, **more))
        self._open.append(stream)
        return stream

    @contextlib.contextmanager
    def datagrams(self, kind: str = "unixd") -> Iterator[socket.socket]:
        """A client's datagram socket, connected."""
        address = self._address(kind)
        family = socket.AF_UNIX if kind == "unixd" else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            if kind == "unixd":
                sock.bind(str(self.folder / f"client{next(self._numbers)}"))
                sock.connect(address.path)
            else:
                sock.connect((address.host, address.port))
            yield sock

    async def datagram(self, value: object, kind: str = "unixd") -> bytes:
        """The answer to a datagram."""
        loop = asyncio.get_running_loop()
        with self.datagrams(kind) as sock:
            sock.send(value if isinstance(value, bytes) else encoded(value))
            async with asyncio.timeout(PATIENCE):
                return await loop.sock_recv(sock, 1 << 20)

    def counter(self, name: str) -> int:
        return dict(self.server.counters())[name]

    def close(self) -> None:
        for stream in self._open:
            stream.writer.transport.abort()


@asynccontextmanager
async def serving(
    folder: Path,
    house: House | None = None,
    *,
    context: CommandContext | None = None,
    access: Access | None = None,
    **changes: Any,
) -> AsyncIterator[Doors]:
    listen = (
        SocketAddress("unixd", path=str(folder / "d")),
        SocketAddress("unixs", path=str(folder / "s")),
        SocketAddress("udp", host="127.0.0.1"),
        SocketAddress("tcp", host="127.0.0.1"),
    )
    dispatcher = Dispatcher(build_registry(), context or (house or House()).context)
    rpc = JsonRpc(dispatcher, max_batch=100, max_depth=32)
    server = JsonSockets(JsonSockSettings(listen=listen, **changes), rpc, access or Access())
    await server.start()
    doors = Doors(server, folder)
    try:
        yield doors
    finally:
        doors.close()
        await server.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - a counter of the server has no event
            await asyncio.sleep(0.005)


@pytest.fixture
def house() -> House:
    return House()


STREAMS = pytest.mark.parametrize("kind", ["unixs", "tcp"])
DATAGRAMS = pytest.mark.parametrize("kind", ["unixd", "udp"])


# -- streams ------------------------------------------------------------------------------------


@STREAMS
async def test_a_call_is_listed_looked_up_and_ended(
    kind: str, tmp_path: Path, house: House
) -> None:
    dialog = house.call("a@x", "one")
    async with serving(tmp_path, house) as doors:
        stream = await doors.connect(kind)
        [item] = (await stream.ask(request("dlg.list")))["result"]
        assert (await stream.ask(request("dlg.dlg_list", "a@x")))["result"] == item
        ended = await stream.ask(request("dlg.end_dlg", dialog.entry.index, dialog.h_id))
        assert "result" in ended
        assert len(house.terminator.ordered) == 1


@STREAMS
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_requests_that_follow_one_another_are_answered_in_their_order(
    kind: str, size: int, tmp_path: Path
) -> None:
    async with serving(tmp_path) as doors:
        stream = await doors.connect(kind)
        requests = [encoded(request("dlg.stats_active", request_id=n)) for n in range(20)]
        requests[7] = encoded([request("core.uptime", request_id=7), request("nope", request_id=8)])
        requests[9] = encoded({"jsonrpc": "2.0", "method": "core.uptime"})
        data = b"".join(text + b"\r\n" * (n % 2) for n, text in enumerate(requests))
        for start in range(0, len(data), size):
            stream.send(data[start : start + size])
            if size < 100:
                await asyncio.sleep(0)
        found = [await stream.answer() for _ in range(19)]
        assert [each["id"] for each in found[7]] == [7, 8]
        ids = [each["id"] for each in found if isinstance(each, dict)]
        assert ids == [0, 1, 2, 3, 4, 5, 6, 8, *range(10, 20)]


async def test_msgpack_and_json_on_one_connection(tmp_path: Path, house: House) -> None:
    house.call("a@x")
    async with serving(tmp_path, house) as doors:
        stream = await doors.connect()
        packed = msgpack.packb(request("dlg.list", request_id=1))
        stream.send(packed + encoded(request("core.uptime", request_id=2)) + packed)
        stream.writer.write_eof()
        data = await stream.rest()
        unpacker = msgpack.Unpacker()
        unpacker.feed(data)
        first = unpacker.unpack()
        assert first["result"][0]["call-id"] == "a@x"
        line, _, last = data[unpacker.tell() :].partition(b"\n")
        assert json.loads(line)["id"] == 2
        assert msgpack.unpackb(last) == first


async def test_an_end_after_the_last_request_is_no_fault(tmp_path: Path) -> None:
    async with serving(tmp_path) as doors:
        stream = await doors.connect("tcp")
        stream.send(encoded(request("core.uptime")) + b"\n")
        stream.writer.write_eof()
        assert json.loads(await stream.rest())["id"] == 1
        assert doors.counter("broken_streams") == 0


@STREAMS
@pytest.mark.parametrize(
    "data",
    [
        b'POST /RPC HTTP/1.1\r\nHost: x\r\n\r\n{"jsonrpc": "2.0", "method": "dlg.list", "id": 1}',
        b'"text"',
        b'{"a": [1}{"jsonrpc": "2.0", "method": "dlg.list", "id": 1}',
        b"\x00",
    ],
)
async def test_a_stream_that_is_no_json_rpc_is_answered_once_and_closed(
    kind: str, data: bytes, tmp_path: Path
) -> None:
    async with serving(tmp_path) as doors:
        stream = await doors.connect(kind)
        stream.send(data)
        (line,) = (await stream.rest()).splitlines()
        assert json.loads(line)["error"]["code"] == -32700
        assert doors.counter("broken_streams") == 1
        assert doors.counter("requests") == 0


async def test_what_is_whole_but_no_json_is_answered_and_the_stream_goes_on(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as doors:
        stream = await doors.connect()
        assert (await stream.ask(b"{bad}"))["error"]["code"] == -32700
        assert (await stream.ask(b'{"a": 1}'))["error"]["code"] == -32600
        assert (await stream.ask(b"[]"))["error"]["code"] == -32600
        assert (await stream.ask(b"[" * 40 + b"]" * 40))["error"]["code"] == -32600
        assert (await stream.ask(request("core.uptime")))["id"] == 1


async def test_a_broken_msgpack_stream_is_answered_in_msgpack(tmp_path: Path) -> None:
    async with serving(tmp_path) as doors:
        stream = await doors.connect()
        stream.send(b"\x81\xa1x\xc1")
        assert msgpack.unpackb(await stream.rest())["error"]["code"] == -32700


async def test_requests_have_a_size(tmp_path: Path) -> None:
    async with serving(tmp_path, max_request=1024) as doors:
        stream = await doors.connect()
        stream.send(encoded(request("dlg.dlg_list", "x" * 2000)))
        answer = json.loads(await stream.rest())
        assert answer["error"]["data"] == "a message of more than 1024 bytes"


@pytest.mark.parametrize(
    ("data", "expected"),
    [(b"", b""), (b'{"a"', b"the rest of a message did not come in time"), (b"[] \n", b"Invalid")],
)
async def test_a_client_that_sends_nothing_or_half_is_let_go(
    data: bytes, expected: bytes, tmp_path: Path
) -> None:
    async with serving(tmp_path, request_deadline=0.1, idle_timeout=0.1) as doors:
        stream = await doors.connect()
        stream.send(data)
        assert expected in await stream.rest()
        await eventually(lambda: doors.counter("connections") == 0)


async def test_half_a_request_and_the_end_is_a_fault(tmp_path: Path) -> None:
    async with serving(tmp_path) as doors:
        stream = await doors.connect()
        stream.send(b'{"a"')
        stream.writer.write_eof()
        assert b"the rest of a message is missing" in await stream.rest()


@STREAMS
async def test_a_long_listing_is_streamed_whole(kind: str, tmp_path: Path, house: House) -> None:
    for number in range(3000):
        house.call(f"{number}@x")
    async with serving(tmp_path, house) as doors:
        stream = await doors.connect(kind, limit=1 << 24)
        stream.send(encoded(request("dlg.list")) + encoded(request("core.uptime", request_id=2)))
        listed = (await stream.answer())["result"]
        assert {item["call-id"] for item in listed} == {f"{n}@x" for n in range(3000)}
        assert (await stream.answer())["id"] == 2


async def test_a_reader_that_stops_is_cut_off_and_nobody_waits_for_it(
    tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(8000):
        house.call(f"{number}@x")
    async with serving(tmp_path, house, write_deadline=0.2) as doors:
        slow = await doors.connect("tcp", limit=1024)
        slow.send(request("dlg.list"))
        other = await doors.connect("tcp")
        assert (await other.ask(request("dlg.stats_active")))["result"]["all"] == 8000
        await eventually(lambda: doors.counter("slow_readers") == 1)
    assert "cut off: it did not read for 0.2 s" in caplog.text


async def test_a_listing_that_breaks_off_is_never_taken_for_whole(
    tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(3000):
        house.call(f"{number}@x")

    class Breaking:
        settings = house.table.settings
        iter_views = house.table.iter_views

        def iter_snapshots(self) -> Iterator[list[Snapshot]]:
            for count, batch in enumerate(house.table.iter_snapshots()):
                if count == 20:
                    raise RuntimeError("secret")
                yield batch

        def find(self, callid: str, from_tag: str | None = None) -> list[DialogView]:
            return house.table.find(callid, from_tag)

    from dataclasses import replace  # noqa: PLC0415 - for this test alone

    broken: Any = replace(house.context, table=Breaking())  # type: ignore[arg-type]
    async with serving(tmp_path, house, context=broken) as doors:
        stream = await doors.connect("tcp", limit=1 << 24)
        stream.send(request("dlg.list"))
        data = b""
        with contextlib.suppress(ConnectionError):
            while part := await stream.reader.read(1 << 16):
                data += part
        with pytest.raises(json.JSONDecodeError):
            json.loads(data)
        assert b"secret" not in data
    assert "the connection of" in caplog.text


async def test_connections_have_a_limit_in_all_and_for_each_peer(tmp_path: Path) -> None:
    async with serving(tmp_path, max_connections=3, max_connections_per_peer=2) as doors:
        open_ones = [await doors.connect("tcp") for _ in range(2)]
        for stream in open_ones:
            await stream.ask(request("core.uptime"))
        refused = await doors.connect("tcp")
        assert json.loads(await refused.rest())["error"]["message"] == "Too many connections"
        local = await doors.connect("unixs")
        assert (await local.ask(request("core.uptime")))["id"] == 1
        refused = await doors.connect("unixs")
        assert json.loads(await refused.rest())["error"]["message"] == "Too many connections"
        assert doors.counter("refused") == 2
        open_ones[0].writer.close()
        await eventually(lambda: doors.counter("connections") == 2)
        again = await doors.connect("tcp")
        assert (await again.ask(request("core.uptime")))["id"] == 1


async def test_many_clients_at_once_each_get_their_own_answers(
    tmp_path: Path, house: House
) -> None:
    for number in range(50):
        house.call(f"{number}@x")
    async with serving(tmp_path, house) as doors:

        async def one(number: int) -> None:
            stream = await doors.connect(("unixs", "tcp")[number % 2])
            for n in range(20):
                stream.send(request("dlg.dlg_list", f"{number}@x", request_id=n))
            for n in range(20):
                answer = await stream.answer()
                assert (answer["id"], answer["result"]["call-id"]) == (n, f"{number}@x")

        await asyncio.gather(*(one(number) for number in range(50)))


# -- datagrams ----------------------------------------------------------------------------------


@DATAGRAMS
async def test_a_datagram_is_answered_by_one(kind: str, tmp_path: Path, house: House) -> None:
    house.call("a@x")
    async with serving(tmp_path, house) as doors:
        [item] = json.loads(await doors.datagram(request("dlg.list"), kind))["result"]
        assert item["call-id"] == "a@x"
        packed = await doors.datagram(msgpack.packb(request("dlg.list")), kind)
        assert msgpack.unpackb(packed)["result"] == [item]
        batch = [request("core.uptime", request_id=1), request("nope", request_id=2)]
        assert [each["id"] for each in json.loads(await doors.datagram(batch, kind))] == [1, 2]


@DATAGRAMS
@pytest.mark.parametrize("data", [b"", b"hello", b'{"a"', b'{"jsonrpc": "2.0"}{}'])
async def test_noise_is_answered_and_the_next_works(kind: str, data: bytes, tmp_path: Path) -> None:
    async with serving(tmp_path) as doors:
        assert json.loads(await doors.datagram(data, kind))["error"]["code"] == -32700
        assert json.loads(await doors.datagram(request("core.uptime"), kind))["id"] == 1


async def test_a_result_that_does_not_fit_is_an_error_that_says_what_to_do(
    tmp_path: Path, house: House
) -> None:
    for number in range(200):
        house.call(f"{number}@x")
    async with serving(tmp_path, house) as doors:
        for kind, limit in (("unixd", 84_000), ("udp", 65_507)):
            error = json.loads(await doors.datagram(request("dlg.list", request_id="x"), kind))
            assert (error["id"], error["error"]["code"]) == ("x", -32000)
            assert f"({limit} bytes)" in error["error"]["data"]
            assert "limit and cursor of dlg.query" in error["error"]["data"]
            packed = await doors.datagram(msgpack.packb(request("dlg.list", request_id=7)), kind)
            assert msgpack.unpackb(packed)["error"]["code"] == -32000
        batch = [request("dlg.list", request_id=1), request("dlg.stats_active", request_id=2)]
        large, small = json.loads(await doors.datagram(batch))
        assert large["error"]["code"] == -32000
        assert small["result"]["all"] == 200


@pytest.mark.parametrize("count", [1, 20, 60, 70, 75, 80, 100, 150])
async def test_no_answer_is_larger_than_a_client_reads(
    count: int, tmp_path: Path, house: House
) -> None:
    for number in range(count):
        house.call(f"{number}@x")
    async with serving(tmp_path, house) as doors:
        data = await doors.datagram(request("dlg.list"))
        assert len(data) <= 84_000
        answer = json.loads(data)
        assert "error" in answer or len(answer["result"]) == count


async def test_a_large_datagram_can_be_configured(tmp_path: Path, house: House) -> None:
    for number in range(150):
        house.call(f"{number}@x")
    async with serving(tmp_path, house, max_datagram=400_000) as doors:
        data = await doors.datagram(request("dlg.list"))
        assert len(data) > 100_000
        assert len(json.loads(data)["result"]) == 150


@DATAGRAMS
async def test_a_request_that_is_too_long_is_answered(kind: str, tmp_path: Path) -> None:
    async with serving(tmp_path, max_request=1024) as doors:
        answer = json.loads(await doors.datagram(request("dlg.dlg_list", "x" * 2000), kind))
        assert answer["error"]["data"] == "a request of more than 1024 bytes"


@DATAGRAMS
async def test_a_notification_gets_no_datagram(kind: str, tmp_path: Path, house: House) -> None:
    dialog = house.call("a@x")
    async with serving(tmp_path, house) as doors:
        asked = request("dlg.end_dlg", dialog.entry.index, dialog.h_id)
        del asked["id"]
        with doors.datagrams(kind) as sock:
            sock.send(encoded(asked))
            await eventually(lambda: len(house.terminator.ordered) == 1)
            with pytest.raises(BlockingIOError):
                sock.recv(100)


async def test_a_socket_without_a_name_cannot_be_answered_and_nothing_is_done(
    tmp_path: Path, house: House
) -> None:
    dialog = house.call("a@x")
    async with serving(tmp_path, house) as doors:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            asked = request("dlg.end_dlg", dialog.entry.index, dialog.h_id)
            sock.sendto(encoded(asked), str(tmp_path / "d"))
        assert json.loads(await doors.datagram(request("core.uptime")))["id"] == 1
        assert house.terminator.ordered == []


async def test_a_client_that_has_gone_or_does_not_read_stops_nobody(
    tmp_path: Path, house: House
) -> None:
    for number in range(30):
        house.call(f"{number}@x")
    async with serving(tmp_path, house, write_deadline=0.2) as doors:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            # Not connected, as kamcli's: only then the system bounds what waits for it.
            sock.bind(str(tmp_path / "slow"))
            for _ in range(40):
                sock.sendto(encoded(request("dlg.list")), str(tmp_path / "d"))
                await asyncio.sleep(0)
            assert json.loads(await doors.datagram(request("core.uptime")))["id"] == 1
            await eventually(lambda: doors.counter("slow_readers") > 0)
        with doors.datagrams() as sock:
            sock.send(encoded(request("dlg.list")))
        assert json.loads(await doors.datagram(request("core.uptime")))["id"] == 1


# -- both ---------------------------------------------------------------------------------------


async def test_who_needs_a_token_shows_it_in_the_request(tmp_path: Path, house: House) -> None:
    house.call("a@x")
    async with serving(tmp_path, house, access=Access(None, "none")) as doors:
        stream = await doors.connect("tcp")
        refused = await stream.ask({**request("dlg.list"), "token": "wrong"})
        assert (refused["error"]["code"], refused["id"]) == (401, 1)
        assert (await stream.ask(request("dlg.list")))["error"]["code"] == 401
        refused = json.loads(await doors.datagram(request("dlg.list"), "udp"))
        assert refused["error"]["code"] == 401
        # A file's mode and owner have decided who gets to these.
        local = await doors.connect("unixs")
        assert "result" in await local.ask(request("dlg.list"))
        assert "result" in json.loads(await doors.datagram(request("dlg.list")))


async def test_the_files_have_their_mode_and_go_in_the_end(tmp_path: Path) -> None:
    async with serving(tmp_path, socket_mode=0o600):
        for name in ("d", "s"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    assert not (tmp_path / "d").exists()
    assert not (tmp_path / "s").exists()


async def test_a_socket_that_another_one_serves_is_an_error_that_names_it(tmp_path: Path) -> None:
    async with serving(tmp_path):
        with pytest.raises(OSError, match=r"cannot listen on unixd:.*another process"):
            async with serving(tmp_path):
                pass


async def test_stopping_closes_what_is_open(tmp_path: Path, caplog: Any) -> None:
    caplog.set_level(logging.ERROR)
    async with serving(tmp_path) as doors:
        stream = await doors.connect()
        await stream.ask(request("core.uptime"))
        await doors.server.stop()
        with contextlib.suppress(ConnectionError):
            assert await stream.rest() == b""
    assert caplog.records == []
