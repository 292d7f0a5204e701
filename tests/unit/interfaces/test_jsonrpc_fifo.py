"""JSON-RPC over real FIFOs."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces import jsonrpc_fifo
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.jsonrpc_fifo import FifoParser, JsonFifo
from dlgmgmt.interfaces.settings import JsonFifoSettings
from tests.unit.commands.harness import ME, House
from tests.unit.mi_fifo.harness import PATIENCE, Reader, until


def request(method: str, reply_name: object = "r1", *params: object, **more: object) -> bytes:
    members: dict[str, object] = {"jsonrpc": "2.0", "method": method}
    if params:
        members["params"] = [*params]
    if reply_name is not None:
        members["reply_name"] = reply_name
    return json.dumps({**members, "id": 7, **more}).encode()


class Bench:
    def __init__(self, server: JsonFifo, folder: Path) -> None:
        self.server = server
        self.fifo = folder / "run" / "rpc.fifo"
        self.replies = folder / "run" / "reply"

    def write(self, data: bytes) -> None:
        fd = os.open(self.fifo, os.O_WRONLY | os.O_NONBLOCK)
        try:
            assert os.write(fd, data) == len(data)
        finally:
            os.close(fd)

    def reader(self, name: str) -> Reader:
        return Reader(self.replies / name)

    async def ask(self, data: bytes, name: str = "r1") -> bytes:
        reader = self.reader(name)
        try:
            self.write(data)
            return await reader.reply()
        finally:
            reader.close()

    async def rpc(self, data: bytes, name: str = "r1") -> Any:
        return json.loads(await self.ask(data, name))

    async def works(self) -> None:
        answer = await self.rpc(request("dlg.stats_active", "after"), "after")
        assert "all" in answer["result"]


@asynccontextmanager
async def serving(folder: Path, house: House | None = None, **changes: Any) -> AsyncIterator[Bench]:
    given: dict[str, Any] = {
        "fifo_name": str(folder / "run" / "rpc.fifo"),
        "reply_dir": str(folder / "run" / "reply"),
        "request_deadline": 0.3,
        "open_deadline": 0.2,
        "write_deadline": 0.3,
    }
    dispatcher = Dispatcher(build_registry(), (house or House()).context)
    rpc = JsonRpc(dispatcher, max_batch=100, max_depth=32)
    server = JsonFifo(JsonFifoSettings(**(given | changes)), rpc, lambda _token: ME)
    await server.start()
    try:
        yield Bench(server, folder)
    finally:
        await server.stop()


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.fixture
def house() -> House:
    return House()


async def test_a_call_is_listed_looked_up_and_ended(tmp_path: Path, house: House) -> None:
    dialog = house.call("a@x", "one")
    async with serving(tmp_path, house) as bench:
        [item] = (await bench.rpc(request("dlg.list")))["result"]
        assert item["call-id"] == "a@x"
        assert (await bench.rpc(request("dlg.dlg_list", "r1", "a@x")))["result"] == item
        ended = await bench.rpc(request("dlg.end_dlg", "r1", dialog.entry.index, dialog.h_id))
        assert ended["id"] == 7
        assert len(house.terminator.ordered) == 1


async def test_the_layout_is_by_lines_as_kamctl_expects_it(tmp_path: Path, house: House) -> None:
    house.call("a@x")
    async with serving(tmp_path, house) as bench:
        text = await bench.ask(request("dlg.list"))
    assert text.startswith(b'{\n\t"jsonrpc":\t"2.0",\n\t"result":\t[{\n\t\t\t"h_entry":\t')
    assert text.endswith(b'\n\t"id":\t7\n}\n')


async def test_several_requests_in_one_write_each_get_their_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        readers = [bench.reader(f"r{number}") for number in range(5)]
        bench.write(b"".join(request("core.uptime", f"r{n}") + b"\n" * (n % 2) for n in range(5)))
        for reader in readers:
            assert "uptime" in json.loads(await reader.reply())["result"]
            reader.close()


async def test_requests_over_several_lines_and_in_pieces(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        text = json.dumps(json.loads(request("core.uptime")), indent=2).encode()
        reader = bench.reader("r1")
        for start in range(0, len(text), 10):
            bench.write(text[start : start + 10])
            await asyncio.sleep(0)
        assert "uptime" in json.loads(await reader.reply())["result"]
        reader.close()


async def test_a_batch_names_its_fifo_in_any_member(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        batch = [json.loads(request("core.uptime", None)), json.loads(request("dlg.stats_active"))]
        first, second = await bench.rpc(json.dumps(batch).encode())
        assert "uptime" in first["result"]
        assert "all" in second["result"]


async def test_msgpack_there_and_back(tmp_path: Path, house: House) -> None:
    house.call("a@x")
    async with serving(tmp_path, house) as bench:
        asked = json.loads(request("dlg.list"))
        answer = msgpack.unpackb(await bench.ask(msgpack.packb(asked)))
        assert answer["result"][0]["call-id"] == "a@x"
        await bench.works()


async def test_a_notification_is_carried_out_with_and_without_a_fifo(
    tmp_path: Path, house: House
) -> None:
    first, second = house.call("a@x"), house.call("b@x")
    async with serving(tmp_path, house) as bench:
        for dialog, name in ((first, "r1"), (second, None)):
            asked = json.loads(request("dlg.end_dlg", name, dialog.entry.index, dialog.h_id))
            del asked["id"]
            if name is not None:
                # Its reader sees the end at once: there is nothing to be read.
                assert await bench.ask(json.dumps(asked).encode()) == b""
            else:
                bench.write(json.dumps(asked).encode())
        await until(lambda: len(house.terminator.ordered) == 2)


# -- broken requests ----------------------------------------------------------------------------

UNFINISHED = [
    b'{"jsonrpc": "2.0", "method": "dlg.list", "reply_name": "r1"',
    b'{"jsonrpc": "2.0", "method": "dlg.list", "reply_name": "r1", "x": "unterminated\n',
    b'{"jsonrpc": "2.0", "reply_name": "r1", "params": [1, [2, {"a": 3}]\n',
    b'{"jsonrpc": "2.0", "reply_name": "r1", "params": [1}}',
    b'{"jsonrpc": "2.0", "reply_name": "r1",\n',
]


@pytest.mark.parametrize("broken", UNFINISHED)
async def test_an_unfinished_request_is_answered_and_the_next_need_not_wait(
    broken: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, request_deadline=60.0) as bench:
        reader = bench.reader("r1")
        bench.write(broken)
        await bench.works()
        answer = json.loads(await reader.reply())
        assert answer["error"]["code"] == -32700
        assert answer["id"] is None
        reader.close()
        assert len(complaints(caplog)) == 1


@pytest.mark.parametrize(
    "broken",
    [
        *UNFINISHED,
        b'{"reply_name": "r1", "params": [1,',
        b'[1, "reply_name", "x", [{}, ["reply_name": "r1"\n',
    ],
)
async def test_an_unfinished_request_is_answered_at_its_deadline(
    broken: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        answer = await bench.rpc(broken)
        assert answer["error"]["code"] == -32700
        await bench.works()
        assert len(complaints(caplog)) == 1


async def test_a_request_that_looks_like_the_rest_of_a_broken_one_is_answered_late_but_answered(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as bench:
        bench.write(b'{"jsonrpc": "2.0", "method": "x", "params": [1, ')
        await bench.works()


@pytest.mark.parametrize(
    "noise",
    [b"hello\n", b":dlg_list:r1\n\n", b"]]}}", b"\xff\x00\xfe", b'"x"', b"[" * 600 + b"\n", b"17"],
)
async def test_noise_is_one_line_in_the_log_and_the_next_works(
    noise: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        bench.write(noise)
        await bench.works()
        (line,) = complaints(caplog)
        assert line.isprintable()
        assert ("bad", 1) in bench.server.statistics()


async def test_unfinished_msgpack_swallows_no_request_that_is_written_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, request_deadline=60.0) as bench:
        for noise in (b"\x9f\x01\x02", msgpack.packb(json.loads(request("dlg.list")))[:-9]):
            bench.write(noise)
            await until(lambda: bench.server._parser.deadline is not None)
            await bench.works()
        assert len(complaints(caplog)) == 2


async def test_msgpack_that_stays_unfinished_is_given_up(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        bench.write(b"\x9f\x01\x02")
        await until(lambda: bench.server.counters.bad["broken"] == 1)
        await bench.works()


async def test_a_request_that_is_too_long_is_answered(tmp_path: Path) -> None:
    async with serving(tmp_path, max_request=2000) as bench:
        answer = await bench.rpc(request("dlg.dlg_list", "r1", "x" * 3000))
        assert "more than 2000 bytes" in answer["error"]["data"]
        await bench.works()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/tmp/x", "../r1", "a/b", "x\0y", "x" * 256, 5, None, ["r1"], {}, True]
)
async def test_a_reply_name_that_is_no_name_is_refused_and_nothing_is_done(
    name: object, tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    dialog = house.call("a@x")
    async with serving(tmp_path, house) as bench:
        asked = json.loads(request("dlg.end_dlg", None, dialog.entry.index, dialog.h_id))
        bench.write(json.dumps({**asked, "reply_name": name}).encode())
        await bench.works()
        assert house.terminator.ordered == []
        assert len(complaints(caplog)) == 1


async def test_a_request_without_a_reply_name_is_not_run(
    tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture
) -> None:
    dialog = house.call("a@x")
    async with serving(tmp_path, house) as bench:
        bench.write(request("dlg.end_dlg", None, dialog.entry.index, dialog.h_id))
        await bench.works()
        assert house.terminator.ordered == []
        assert "without reply_name" in complaints(caplog)[0]


# -- reply FIFOs --------------------------------------------------------------------------------


def a_file(path: Path) -> None:
    path.write_text("precious")


def a_link(path: Path) -> None:
    os.mkfifo(path.parent / "other")
    path.symlink_to("other")


def a_hard_link(path: Path) -> None:
    os.mkfifo(path.parent / "other")
    path.hardlink_to(path.parent / "other")


def a_directory(path: Path) -> None:
    path.mkdir()


def nothing(_path: Path) -> None:
    """No reply FIFO at all."""


@pytest.mark.parametrize("make", [a_file, a_link, a_hard_link, a_directory, nothing])
async def test_what_is_no_fifo_of_its_own_is_never_written_and_the_command_not_run(
    make: Callable[[Path], None],
    tmp_path: Path,
    house: House,
    caplog: pytest.LogCaptureFixture,
) -> None:
    dialog = house.call("a@x")
    async with serving(tmp_path, house) as bench:
        make(bench.replies / "r1")
        bench.write(request("dlg.end_dlg", "r1", dialog.entry.index, dialog.h_id))
        await bench.works()
        assert house.terminator.ordered == []
        (line,) = complaints(caplog)
        assert "no reply to r1" in line
        assert "the command was not run" in line
        if make is a_file:
            assert (bench.replies / "r1").read_text() == "precious"


async def test_a_fifo_of_a_user_who_may_not_write_here_is_not_answered(
    tmp_path: Path, house: House, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialog = house.call("a@x")
    async with serving(tmp_path, house) as bench:
        reader = bench.reader("r1")
        with monkeypatch.context() as patched:
            # The FIFO that is there is this user's.
            patched.setattr(bench.server, "_owner_allowed", lambda user: user == 4242)
            bench.write(request("dlg.end_dlg", "r1", dialog.entry.index, dialog.h_id))
            await until(lambda: bool(bench.server.counters.dropped))
        assert bench.server.counters.dropped == {"foreign": 1}
        assert house.terminator.ordered == []
        assert "belongs to another user" in complaints(caplog)[0]
        assert reader.rest() == b""
        reader.close()


@pytest.mark.parametrize(
    ("mode", "expected"), [(0o600, False), (0o660, False), (0o622, True), (0o620, False)]
)
def test_who_may_write_to_the_fifo_may_be_answered(
    tmp_path: Path,
    mode: int,
    expected: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    path.chmod(mode)
    allowed = jsonrpc_fifo.owners(str(path))
    assert allowed(0)
    assert allowed(os.geteuid())
    # nobody, who is in no other group than his own.
    assert allowed(65534) is expected
    # No account at all.
    assert allowed(54321) is expected
    path.unlink()
    assert not jsonrpc_fifo.owners(str(path))(65534)


async def test_a_reader_that_does_not_read_is_cut_off_and_nobody_waits_for_it(
    tmp_path: Path, house: House
) -> None:
    for number in range(200):
        house.call(f"{number}@x")
    async with serving(tmp_path, house) as bench:
        reader = bench.reader("r1")
        bench.write(request("dlg.list"))
        await bench.works()
        await until(lambda: bench.server.counters.dropped["stalled"] == 1)
        # What it got is no whole value, and cannot be taken for one.
        with pytest.raises(json.JSONDecodeError):
            json.loads(reader.rest())
        reader.close()


async def test_a_long_listing_comes_whole(tmp_path: Path, house: House) -> None:
    for number in range(2000):
        house.call(f"{number}@x")
    async with serving(tmp_path, house, write_deadline=PATIENCE) as bench:
        answer = await bench.rpc(request("dlg.list"))
        assert {item["call-id"] for item in answer["result"]} == {f"{n}@x" for n in range(2000)}


async def test_too_many_replies_at_once_are_dropped_and_said_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, max_replies=2) as bench:
        bench.write(b"".join(request("core.uptime", f"none{n}") for n in range(3)))
        await until(lambda: bench.server.counters.dropped.total() == 3)
        assert bench.server.counters.dropped == {"too_many": 1, "missing": 2}
    assert len(complaints(caplog)) == 3


async def test_the_fifo_is_made_again_when_it_has_gone_and_removed_in_the_end(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as bench:
        bench.fifo.unlink()
        await until(bench.fifo.exists)
        await bench.works()
    assert not bench.fifo.exists()


def test_the_parser_waits_for_the_rest_from_the_first_byte_on() -> None:
    parser = FifoParser(1000, 2.0)
    deadlines = []
    for data, now in ((b"  \n", 1.0), (b'{"a"', 2.0), (b": 1", 3.0)):
        assert parser.feed(data, now) == []
        deadlines.append(parser.deadline)
    assert deadlines == [None, 4.0, 4.0]
    (message,) = parser.feed(b'}{"b', 3.5)
    assert message.decoded == {"a": 1}
    deadlines = [parser.deadline]
    (bad,) = parser.expire(5.5)
    assert bad.fault == "a message whose end has not come"
    assert [*deadlines, parser.deadline] == [5.5, None]
