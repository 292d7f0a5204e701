from __future__ import annotations

import asyncio
import os
import stat
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from mi_fifo import (
    DaemonUnavailable,
    MiAnswer,
    MiParam,
    MiReply,
    MiRequest,
    ReplyBroken,
    ReplyTimeout,
    RequestUnsendable,
    call,
)
from tests.unit.mi_fifo.harness import Bench, serving


async def ask(bench: Bench, command: str, *params: MiParam | str, **options: Any) -> MiAnswer:
    answer = await asyncio.to_thread(
        partial(call, str(bench.fifo), str(bench.reply_dir), command, params, **options)
    )
    assert list(bench.reply_dir.iterdir()) == [], "the reply FIFO must be gone"
    return answer


async def test_answers(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        assert await ask(bench, "which") == MiAnswer(200, "OK", ("which", "dlg_list"))
        assert await ask(bench, "dlg_list") == MiAnswer(200, "OK", ())
        assert await ask(bench, "dlg_list", "x") == MiAnswer(404, "Nu such dialog", ())
        assert await ask(bench, "nope") == MiAnswer(500, "command 'nope' not available", ())
        answer = await ask(bench, "big", "3000")
        assert len(answer.lines) == 3000 * 13


async def test_hostile_values_arrive_exactly(tmp_path: Path) -> None:
    seen: list[tuple[MiParam, ...]] = []

    def handler(request: MiRequest) -> MiReply:
        seen.append(request.params)
        return MiReply(200, "OK")

    params = (
        MiParam(None, ":kill:r1"),
        MiParam("hdrs", 'X-A: "1"\r\nX-B: 2\r\n'),
        MiParam(None, "%s a::b \udcff"),
    )
    async with serving(tmp_path, handler) as bench:
        await ask(bench, "cmd", *params)
    assert seen == [params]


async def test_the_reply_fifo_is_closed_to_others(tmp_path: Path) -> None:
    modes: list[int] = []

    def handler(request: MiRequest) -> MiReply:
        path = tmp_path / "run" / "reply" / request.reply_name
        modes.append(stat.S_IMODE(path.stat().st_mode))
        return MiReply(200, "OK")

    async with serving(tmp_path, handler) as bench:
        await ask(bench, "cmd")
    assert modes == [0o620]


async def test_no_answer_is_a_timeout_and_leaves_nothing(tmp_path: Path) -> None:
    async with serving(tmp_path, max_replies=0) as bench:
        with pytest.raises(ReplyTimeout):
            await ask(bench, "which", timeout=0.05)
        assert list(bench.reply_dir.iterdir()) == []


async def test_a_full_command_fifo_is_a_timeout(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    fd = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    try:
        while True:
            os.write(fd, b"x" * 4096)
    except BlockingIOError:
        with pytest.raises(ReplyTimeout, match="full"):
            call(str(fifo), str(tmp_path), "which", timeout=0.05)
    finally:
        os.close(fd)


async def test_a_reply_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        with pytest.raises(ReplyBroken, match="more than 1000 bytes"):
            await ask(bench, "big", "1000", max_reply=1000)


@pytest.mark.parametrize("command", ["cut", "odd"])
async def test_a_reply_that_is_not_whole_is_told(command: str, tmp_path: Path) -> None:
    def handler(request: MiRequest) -> MiReply:
        if request.command == "cut":
            return MiReply(200, "OK", final_blank=False)
        return MiReply(7 if request.command == "odd" else 200, "OK", [], final_blank=True)

    async with serving(tmp_path, handler) as bench:
        with pytest.raises(ReplyBroken):
            await ask(bench, command)


def test_no_daemon(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnavailable, match="fifo"):
        call(str(tmp_path / "fifo"), str(tmp_path), "which")
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(DaemonUnavailable, match="nobody reads it"):
        call(str(tmp_path / "fifo"), str(tmp_path), "which")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DaemonUnavailable, match="not a FIFO"):
        call(str(tmp_path / "file"), str(tmp_path), "which")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fifo", "file"]
    assert (tmp_path / "file").read_bytes() == b""


async def test_no_reply_directory(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        with pytest.raises(DaemonUnavailable, match="nowhere"):
            call(str(bench.fifo), str(tmp_path / "nowhere"), "which")


def test_a_command_that_does_not_fit_one_atomic_write(tmp_path: Path) -> None:
    with pytest.raises(RequestUnsendable, match="4096"):
        call(str(tmp_path / "fifo"), str(tmp_path), "echo", ["x" * 5000])
