# ruff: noqa: ASYNC240 - tiny local files; there is nothing else on this loop

from __future__ import annotations

import asyncio
import logging
import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mi_fifo import (
    FifoInUse,
    FifoServer,
    FifoSetupError,
    MiAnswer,
    MiNode,
    MiReply,
    MiRequest,
    NotAFifo,
    call,
)
from tests.unit.mi_fifo.harness import PATIENCE, make_settings, serving, stub_handler, until

BROKEN = {
    "no colon": b"dlg_list:r1\n\n",
    "no final empty line": b":dlg_list:r1\nabc\n",
    "CRLF": b":dlg_list:r1\r\nabc\r\n\r\n",
    "over-long line": b":" + b"x" * 3000 + b":r1\n\n",
    "over-long parameters": b":dlg_list:r1\n" + b"x" * 9000 + b"\n\n",
    "another writer in between": b":dlg_list:r1\nab:",
    "binary": b":dlg_list:r1\n\x00\x01\xff\xfe\n\n",
    "an open quote": b':dlg_list:r1\n"abc\n\n',
    "a quote in the middle": b':dlg_list:r1\na"b\n\n',
    "no newline": b":dlg_list:r1",
}


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.parametrize("what", BROKEN)
async def test_broken_framing_is_answered_400_logged_once_and_the_next_works(
    what: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        reply = await bench.ask(BROKEN[what], "r1")
        assert reply.startswith(b"400 ")
        assert reply.count(b"\n") == 1
        await bench.works()
        assert len(warnings(caplog)) == 1
        assert sum(bench.server.counters.bad.values()) == 1
        assert bench.server.counters.requests == 1
        assert bench.server.counters.replies == 2


@pytest.mark.parametrize("what", ["no final empty line", "an open quote", "no newline", "CRLF"])
async def test_the_next_client_need_not_wait_for_the_deadline(what: str, tmp_path: Path) -> None:
    async with serving(tmp_path, request_deadline=3600, quote_grace=3600) as bench:
        with bench.reader("r1") as reader:
            bench.write(BROKEN[what])
            await bench.works()
            assert (await reader.reply()).startswith(b"400 ")


async def test_garbage_that_names_nobody_is_logged_and_the_next_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        bench.write(b"\x00\xff\x1b[2J\n" + bytes(range(128, 256)) + b"\n\n")
        await bench.works()
        (line,) = warnings(caplog)
        assert line.isprintable()
        assert bench.server.counters.bad == {"no_colon": 1}


async def test_hostile_names_are_logged_without_their_control_characters(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        bench.write(b":a\x1b[2J:r1\n\n" + ":list:\u202er\n\n".encode())
        await bench.works()
        await bench.settled()
        assert all(line.isprintable() for line in warnings(caplog))
        assert len(warnings(caplog)) == 3


async def test_a_command_line_glued_to_another_ones_is_told_to_the_second(tmp_path: Path) -> None:
    ran: list[str] = []

    def handler(request: MiRequest) -> MiReply:
        ran.append(request.command)
        return stub_handler(request)

    async with serving(tmp_path, handler) as bench:
        assert (await bench.ask(b":dlg_li:which:r2\n\n", "r2")).startswith(b"400 bad command line")
        assert ran == []
        await bench.works()


async def test_a_failing_handler_is_a_500_without_its_text(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        assert await bench.ask(b":boom:r1\n\n", "r1") == b"500 command 'boom' failed\n"
        # A failure in the nodes that comes before anything is sent is as clean.
        assert await bench.ask(b":boom_later:r1\n\n", "r1") == b"500 command 'boom_later' failed\n"
        assert bench.server.counters.failed == 2
        await bench.works()
    assert sum(record.exc_info is not None for record in caplog.records) == 2


async def test_a_reply_that_fails_on_its_way_lacks_the_final_empty_line(tmp_path: Path) -> None:
    def handler(request: MiRequest) -> MiReply:
        return MiReply(200, "OK", (MiNode("n", 1 // (9999 - i)) for i in range(20_000)))

    async with serving(tmp_path, handler) as bench:
        reply = await bench.ask(b":x:r1\n\n", "r1")
        assert reply.startswith(b"200 OK\n")
        assert reply.endswith(b"\n")
        assert not reply.endswith(b"\n\n")


# --- reply FIFOs ---


async def test_a_stalled_and_an_absent_reader_delay_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path, write_deadline=3600, open_deadline=3600) as bench:
        os.mkfifo(bench.reply_dir / "absent")
        with bench.reader("stalled"):
            bench.write(b":big:stalled\n10000\n\n:which:absent\n\n")
            for _ in range(20):
                await bench.works()
            assert bench.server.replies_under_way == 2


async def test_a_stalled_reader_is_given_up_at_its_deadline(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path, write_deadline=0.05) as bench:
        with bench.reader("stalled"):
            bench.write(b":big:stalled\n10000\n\n")
            await bench.works()
            await bench.settled()
        assert bench.server.counters.dropped == {"stalled": 1}
        assert len(warnings(caplog)) == 1


async def test_a_whole_reply_has_a_deadline_too(tmp_path: Path) -> None:
    async with serving(tmp_path, write_deadline=3600, reply_deadline=0.05) as bench:
        with bench.reader("stalled"):
            bench.write(b":big:stalled\n10000\n\n")
            await bench.works()
            await bench.settled()
        assert bench.server.counters.dropped == {"stalled": 1}


async def test_a_reader_that_leaves_is_given_up_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path, write_deadline=3600) as bench:
        with bench.reader("leaving"):
            bench.write(b":big:leaving\n10000\n\n")
            await bench.works()
        await bench.settled()
        assert bench.server.counters.dropped == {"reader_gone": 1}


async def test_a_reader_that_comes_late_is_served(tmp_path: Path) -> None:
    async with serving(tmp_path, open_deadline=PATIENCE) as bench:
        path = bench.reply_dir / "late"
        os.mkfifo(path)
        bench.write(b":which:late\n\n")
        await bench.works()
        assert bench.server.replies_under_way == 1
        assert await asyncio.to_thread(path.read_bytes) == b"200 OK\nwhich\ndlg_list\n\n"


@pytest.mark.parametrize(
    "what", ["missing", "no_reader", "not_a_fifo", "symlink", "dangling", "hard_linked", "socket"]
)
async def test_what_is_no_fifo_with_a_reader_is_never_written_and_its_command_not_run(
    what: str, tmp_path: Path
) -> None:
    ran: list[str] = []

    def handler(request: MiRequest) -> MiReply:
        ran.append(request.command)
        return stub_handler(request)

    async with serving(tmp_path, handler) as bench:
        target, path = tmp_path / "target", bench.reply_dir / "trap"
        if what == "no_reader":
            os.mkfifo(path)
        elif what == "not_a_fifo":
            path.write_bytes(b"untouched")
        elif what == "symlink":
            os.mkfifo(target)
            path.symlink_to(target)
        elif what == "dangling":
            path.symlink_to(target)
        elif what == "hard_linked":
            os.mkfifo(target)
            path.hardlink_to(target)
        elif what == "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
        # A reader on the target: only the server's own distrust keeps the reply from it.
        reader = os.open(target, os.O_RDONLY | os.O_NONBLOCK) if target.exists() else -1
        bench.write(b":kill:trap\n\n")
        await bench.works()
        await bench.settled()
        if reader >= 0:
            assert os.read(reader, 100) == b""
            os.close(reader)
        assert ran == ["which"]
        cause = {"symlink": "not_a_fifo", "dangling": "not_a_fifo", "socket": "not_a_fifo"}
        assert bench.server.counters.dropped == {cause.get(what, what): 1}
        assert what != "not_a_fifo" or path.read_bytes() == b"untouched"
        assert what != "dangling" or not target.exists()
        assert what != "missing" or not path.exists()


async def test_the_command_fifo_is_no_reply_fifo(tmp_path: Path) -> None:
    async with serving(tmp_path, reply_dir=str(tmp_path / "run")) as bench:
        bench.write(f":echo:{bench.fifo.name}\n:a b:{bench.fifo.name}\n\n".encode())
        await bench.works()
        await bench.settled()
        assert bench.server.counters.dropped == {"own_fifo": 1}


async def test_replies_under_way_are_limited_and_the_limit_is_counted(tmp_path: Path) -> None:
    async with serving(tmp_path, max_replies=3, open_deadline=0.1) as bench:
        for number in range(5):
            os.mkfifo(bench.reply_dir / f"absent{number}")
        bench.write(b"".join(b":which:absent%d\n\n" % number for number in range(5)))
        await until(lambda: bench.server.counters.dropped["too_many"] == 2)
        await bench.settled()
        assert bench.server.counters.dropped == {"too_many": 2, "no_reader": 3}
        await bench.works()


async def test_a_long_listing_is_made_as_it_is_read_and_others_get_in_between(
    tmp_path: Path,
) -> None:
    made = 0

    def nodes() -> Iterator[MiNode]:
        nonlocal made
        for number in range(100_000):
            made += 1
            yield MiNode("dialog", number)

    def handler(request: MiRequest) -> MiReply:
        return MiReply(200, "OK", nodes()) if request.command == "list" else stub_handler(request)

    async with serving(tmp_path, handler, write_deadline=PATIENCE) as bench:
        with bench.reader("r1") as reader:
            bench.write(b":list:r1\n\n")
            await bench.works()
            # A pipe holds 64 KiB, some 4,000 nodes: the rest waits for the reader.
            assert 0 < made < 20_000
            reply = await reader.reply()
        assert reply == b"".join(
            [b"200 OK\n", *(b"dialog:: %d\n" % number for number in range(100_000)), b"\n"]
        )


async def test_a_hundred_clients_at_once_each_get_their_own_answer(tmp_path: Path) -> None:
    async with serving(tmp_path, open_deadline=PATIENCE) as bench:
        loop = asyncio.get_running_loop()

        def client(number: int) -> list[MiAnswer]:
            fifo, replies = str(bench.fifo), str(bench.reply_dir)
            return [
                call(fifo, replies, "echo", [f"client {number} call {i}"], timeout=PATIENCE)
                for i in range(5)
            ]

        with ThreadPoolExecutor(100) as pool:
            answers = await asyncio.gather(
                *(loop.run_in_executor(pool, client, number) for number in range(100))
            )
        for number, own in enumerate(answers):
            assert [answer.lines for answer in own] == [
                (f"value:: client {number} call {i}",) for i in range(5)
            ]
        assert bench.server.counters.requests == bench.server.counters.replies == 500
        assert not bench.server.counters.bad
        assert not bench.server.counters.dropped
        assert list(bench.reply_dir.iterdir()) == []


# --- the command FIFO ---


async def test_the_fifo_and_its_directories_have_their_rights_and_the_fifo_goes(
    tmp_path: Path,
) -> None:
    user, group = str(os.geteuid()), str(os.getegid())
    async with serving(tmp_path, fifo_mode=0o620, fifo_user=user, fifo_group=group) as bench:
        status = bench.fifo.stat()
        assert stat.S_ISFIFO(status.st_mode)
        assert stat.S_IMODE(status.st_mode) == 0o620
        assert stat.S_IMODE(bench.fifo.parent.stat().st_mode) == 0o750
        assert stat.S_IMODE(bench.reply_dir.stat().st_mode) == 0o3770
        path = bench.fifo
    assert not path.exists()


async def test_a_fifo_for_everybody_has_directories_for_everybody(tmp_path: Path) -> None:
    async with serving(tmp_path, fifo_mode=0o666) as bench:
        assert stat.S_IMODE(bench.fifo.stat().st_mode) == 0o666
        assert stat.S_IMODE(bench.fifo.parent.stat().st_mode) == 0o755
        assert stat.S_IMODE(bench.reply_dir.stat().st_mode) == 0o3777


async def test_an_open_reply_directory_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    open_dir = tmp_path / "open"
    open_dir.mkdir()
    open_dir.chmod(0o777)
    async with serving(tmp_path, reply_dir=str(open_dir)):
        (line,) = warnings(caplog)
        assert "sticky" in line


@pytest.mark.parametrize("kind", ["file", "directory", "symlink"])
async def test_what_is_not_a_fifo_is_left_alone(kind: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    path = Path(settings.fifo_name)
    path.parent.mkdir()
    if kind == "file":
        path.write_bytes(b"mine")
    elif kind == "directory":
        path.mkdir()
    else:
        os.mkfifo(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    before = path.lstat()
    with pytest.raises(NotAFifo, match=str(path)) as error:
        await FifoServer(settings, stub_handler).start()
    assert error.value.path == str(path)
    assert path.lstat() == before


async def test_a_fifo_that_somebody_reads_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        with pytest.raises(FifoInUse, match=str(bench.fifo)):
            await FifoServer(bench.server.settings, stub_handler).start()
        await bench.works()


async def test_a_fifo_left_by_a_dead_daemon_is_taken_over(tmp_path: Path) -> None:
    settings = make_settings(tmp_path)
    path = Path(settings.fifo_name)
    path.parent.mkdir()
    os.mkfifo(path, 0o600)
    # A client that blocks in opening it is served as soon as the daemon is there.
    writing = asyncio.create_task(asyncio.to_thread(path.write_bytes, b":which:early\n\n"))
    async with serving(tmp_path, open_deadline=PATIENCE) as bench:
        await writing
        await bench.works()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
    assert not path.exists()


@pytest.mark.parametrize(
    "changes", [{"fifo_user": "no-such-user"}, {"fifo_group": "no-such-group"}]
)
async def test_an_unknown_owner_is_refused_and_leaves_nothing(
    changes: dict[str, str], tmp_path: Path
) -> None:
    with pytest.raises(FifoSetupError, match="no-such"):
        await FifoServer(make_settings(tmp_path, **changes), stub_handler).start()
    assert list(tmp_path.iterdir()) == []


async def test_a_file_in_the_place_of_a_directory_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run").write_bytes(b"")
    with pytest.raises(FifoSetupError, match="run"):
        await FifoServer(make_settings(tmp_path), stub_handler).start()


async def test_a_fifo_that_vanishes_is_made_again(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        bench.fifo.unlink()
        await until(bench.fifo.exists)
        await bench.works()
        for path in (bench.reply_dir, bench.fifo):
            path.unlink() if path.is_fifo() else path.rmdir()
        bench.fifo.parent.rmdir()
        await until(bench.fifo.exists)
        await bench.works()
        assert bench.server.counters.reopened == 2


async def test_a_fifo_that_is_replaced_by_a_fifo_is_taken_over(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        bench.fifo.unlink()
        os.mkfifo(bench.fifo, 0o600)
        await until(lambda: stat.S_IMODE(bench.fifo.stat().st_mode) == 0o660)
        await bench.works()


async def test_a_fifo_that_is_replaced_by_a_file_is_complained_of_once_and_recovered(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as bench:
        bench.fifo.unlink()
        bench.fifo.write_bytes(b"mine")
        await until(lambda: any("not a FIFO" in line for line in warnings(caplog)))
        for _ in range(3):
            bench.server._look_after()
        assert sum("not a FIFO" in line for line in warnings(caplog)) == 1
        assert bench.fifo.read_bytes() == b"mine"
        bench.fifo.unlink()
        await until(bench.fifo.exists)
        await bench.works()


async def test_stopping_leaves_another_ones_fifo_and_ends_replies_under_way(
    tmp_path: Path,
) -> None:
    async with serving(
        tmp_path, watch_interval=3600, write_deadline=3600, stop_grace=0.01
    ) as bench:
        with bench.reader("stalled"):
            bench.write(b":big:stalled\n10000\n\n")
            await bench.works()
            bench.fifo.unlink()
            os.mkfifo(bench.fifo)
            await bench.server.stop()
            assert bench.server.replies_under_way == 0
            assert bench.server.counters.dropped == {"stopped": 1}
            assert bench.fifo.is_fifo()


async def test_a_server_starts_again_after_it_stopped(tmp_path: Path) -> None:
    async with serving(tmp_path) as bench:
        with pytest.raises(RuntimeError):
            await bench.server.start()
        await bench.server.stop()
        assert not bench.fifo.exists()
        await bench.server.start()
        await bench.works()
