"""The captured corners of the FIFO framing, and the ways to break it: each request is followed by
a working command of another client."""

from __future__ import annotations

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.mi import Fifo

DATA = Path(__file__).parents[1] / "data" / "mi-4.4" / "fifo"
EMPTY = b"200 OK\n\n"
# A framing error: one line, and no empty line after it.
BROKEN = re.compile(rb"400 (bad command line: |parse error in command ')[^\n]+\n")
SILENCE = b""

# name -> (why it differs from the capture, the reply).
ALLOWED: dict[str, tuple[str, bytes | re.Pattern[bytes]]] = {
    "fifo_bad_emptycmd": ("broken framing is answered where a reply FIFO is named", BROKEN),
    "fifo_bad_leadspace": ("as above", BROKEN),
    "fifo_bad_nocolon": ("as above", BROKEN),
    "fifo_firstline_1100": ("as above", BROKEN),
    "fifo_crlf": ("as above", BROKEN),
    "fifo_noblankline": ("as above, when the deadline for the empty line is over", BROKEN),
    "fifo_nonewline": ("as above", BROKEN),
    "fifo_emptylines_before": ("an empty line before a command does not swallow it", EMPTY),
    "fifo_one_emptyline_before": ("an empty line before a command does not swallow it", EMPTY),
    "fifo_param_name_empty_value": (
        "an empty value is refused; it crashed the proxy",
        b"400 Bad parameter\n\n",
    ),
}
# No reply FIFO is named, or none that may be used.
NO_REPLY = {
    "fifo_bad_nosep",
    "fifo_bad_short",
    "fifo_name_dot",
    "fifo_name_long",
    "fifo_no_reply_name",
    "fifo_reply_hardlink",
    "fifo_reply_missing",
    "fifo_reply_noreader",
    "fifo_reply_regular",
    "fifo_reply_symlink",
}
PLAIN = sorted(
    path.stem
    for path in DATA.glob("*.req")
    if path.stem not in NO_REPLY | {"fifo_two_back_to_back"}
)


@pytest.fixture(scope="module")
def fifo_daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon()


@pytest.fixture
def fifo(fifo_daemon: Daemon) -> Iterator[Fifo]:
    yield fifo_daemon.fifo
    # Whatever the test did to the FIFO: the next client is served, and at once.
    started = time.monotonic()
    assert fifo_daemon.fifo.call("dlg_list") == EMPTY
    assert time.monotonic() - started < 5
    fifo_daemon.check_log()


def reply_name(request: bytes) -> str:
    """The reply FIFO that a captured request names, wherever it stands in it."""
    found = re.search(rb":(ref44_r1(?::x)?|n+)[ \t\r]*(?:\n|\Z)", request)
    assert found is not None
    return found[1].decode()


@pytest.mark.parametrize("name", PLAIN)
def test_captured(fifo: Fifo, name: str) -> None:
    request = (DATA / f"{name}.req").read_bytes()
    why, expected = ALLOWED.get(name, ("", (DATA / f"{name}.rep").read_bytes()))
    assert expected, f"{name} was not answered, and no reason is given to leave it so"
    with fifo.reply_fifo(reply_name(request)) as mine:
        fifo.write(request)
        reply = mine.read(10)
    if isinstance(expected, bytes):
        assert reply == expected, why
    else:
        assert expected.fullmatch(reply), f"{reply!r}: {why}"


def test_captured_two_back_to_back(fifo: Fifo) -> None:
    request = (DATA / "fifo_two_back_to_back.req").read_bytes()
    captured = (DATA / "fifo_two_back_to_back.rep").read_bytes()
    second = captured.partition(b"----second reply fifo----\n")[2]
    with fifo.reply_fifo("ref44_a") as one, fifo.reply_fifo("ref44_b") as two:
        fifo.write(request)
        # Another server, another version.
        assert re.fullmatch(rb"200 OK\nServer:: [^\n]+\nBuild:: [^\n]+\n\n", one.read(10))
        assert two.read(10) == second


@pytest.mark.parametrize("name", sorted(NO_REPLY))
def test_captured_without_a_reply(fifo: Fifo, fifo_daemon: Daemon, name: str) -> None:
    """Nobody can be told; nothing is created, nothing is written through a link."""
    request = (DATA / f"{name}.req").read_bytes()
    assert (DATA / f"{name}.rep").read_bytes() == SILENCE
    folder = fifo.reply_dir
    outside = fifo_daemon.folder / f"{name}.victim"
    with ExitStack() as clean_up:
        precious = name in ("fifo_reply_regular", "fifo_reply_symlink")
        target = folder / "ref44_regular" if name.endswith("regular") else outside
        if precious:
            target.write_text("precious")
            clean_up.callback(target.unlink)
        if name == "fifo_reply_symlink":
            (folder / "ref44_sym").symlink_to(outside)
            clean_up.callback((folder / "ref44_sym").unlink)
        handle = -1
        if name == "fifo_reply_hardlink":
            os.mkfifo(outside)
            clean_up.callback(outside.unlink)
            (folder / "ref44_hard").hardlink_to(outside)
            clean_up.callback((folder / "ref44_hard").unlink)
            handle = os.open(outside, os.O_RDONLY | os.O_NONBLOCK)
            clean_up.callback(os.close, handle)
        if name == "fifo_reply_noreader":
            os.mkfifo(folder / "ref44_noreader")
            clean_up.callback((folder / "ref44_noreader").unlink)
        before = sorted(folder.iterdir())
        fifo.write(request)
        # Two further commands: what the first one led to has been dealt with by then.
        assert fifo.call("dlg_list") == EMPTY
        assert fifo.status("which") == "200 OK"
        assert sorted(folder.iterdir()) == before
        if precious:
            assert target.read_text() == "precious"
        if handle >= 0:
            assert os.read(handle, 100) == b""


BREAKS = {
    "no-colon": b"dlg_list\n\n",
    "binary": bytes(range(256)) + b"\n\n",
    "binary-parameter": b":dlg_list:@NAME@\n\x00\x01\x02\xff\n\n",
    "only-newlines": b"\n" * 1000,
    "crlf": b":dlg_list:@NAME@\r\n\r\n",
    "over-long-line": b":" + b"x" * 100_000 + b":@NAME@\n\n",
    "over-long-parameters": b":dlg_list:@NAME@\n" + b"y" * 50_000 + b"\n\n",
    "many-parameters": b":dlg_list:@NAME@\n" + b"p\n" * 4000 + b"\n",
    "open-quote": b':dlg_list:@NAME@\n"abc\n\n',
    "no-end": b":dlg_list:@NAME@\nabc\n",
    "no-newline": b":dlg_list:@NAME@",
    "path-in-name": b":dlg_list:../../etc/passwd\n\n",
    "not-sip-text": ":dlg_list:@NAME@\n\x1b[31mred\u202e\n\n".encode(),
    "shell-text": b"rm -rf /\n$(reboot)\n`id`\n\n",
}


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_broken_then_working(fifo: Fifo, fifo_daemon: Daemon, name: str) -> None:
    """The client that broke the framing gets 400 where it can be told; the next one is served."""
    request = BREAKS[name]
    with fifo.reply_fifo() as mine, fifo.reply_fifo() as other:
        fifo.write(request.replace(b"@NAME@", mine.name.encode()))
        fifo.write(f":dlg_list:{other.name}\n\n".encode())
        # At once, not after the deadline of the broken one.
        assert other.read(10) == EMPTY
        if b"@NAME@" in request:
            assert mine.read(10).startswith(b"400 ")
    for line in fifo_daemon.stderr().splitlines():
        assert line.isprintable(), f"raw bytes of a client in the log: {line!r}"


def test_two_writers_interleaving(fifo: Fifo) -> None:
    """Lines of two commands mixed up: each is told 400 or served, none is left without a reply,
    and no command runs with the other one's parameters."""
    with fifo.reply_fifo() as one, fifo.reply_fifo() as two:
        first, second = one.name.encode(), two.name.encode()
        fifo.write(b":dlg_list:%b\n" % first)
        fifo.write(b":dlg_list:%b\n" % second)
        fifo.write(b"nobody@first\n")
        fifo.write(b"nobody@second\n\n\n")
        replies = one.read(10), two.read(10)
    assert replies[0].startswith(b"400 ")
    assert re.match(rb"(400|404) ", replies[1])


def test_a_reader_that_does_not_read(fifo: Fifo) -> None:
    """It has opened its reply FIFO and stalls: nobody else waits for it."""
    with ExitStack() as stack:
        for _ in range(20):
            stalled = stack.enter_context(fifo.reply_fifo())
            fifo.write(f":which:{stalled.name}\n\n".encode())
        started = time.monotonic()
        assert fifo.call("dlg_list") == EMPTY
        assert time.monotonic() - started < 2


def test_no_reader_at_all(fifo: Fifo) -> None:
    with ExitStack() as stack:
        for number in range(20):
            path = fifo.reply_dir / f"absent{number}"
            os.mkfifo(path)
            stack.callback(path.unlink)
            fifo.write(f":dlg_list:{path.name}\n\n".encode())
        started = time.monotonic()
        assert fifo.call("dlg_list") == EMPTY
        assert time.monotonic() - started < 2


def test_a_reader_that_comes_late(fifo: Fifo) -> None:
    """As a shell does it: the command is written first, the reply FIFO opened afterwards."""
    path = fifo.reply_dir / "late"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    try:
        fifo.write(b":dlg_list:late\n\n")
        assert fifo.call("dlg_list") == EMPTY
        reader.start()
        reader.join(10)
    finally:
        path.unlink()
    assert got == [EMPTY]


def test_the_fifo_comes_back(fifo: Fifo) -> None:
    old = fifo.command.stat().st_ino
    mode = fifo.command.stat().st_mode
    # Kept open, so that its inode number is not used again.
    handle = os.open(fifo.command, os.O_RDONLY | os.O_NONBLOCK)
    try:
        fifo.command.unlink()
        poll(fifo.command.exists, 10, lambda: "not recreated")
        assert fifo.command.stat().st_ino != old
    finally:
        os.close(handle)
    assert fifo.call("dlg_list") == EMPTY
    assert fifo.command.stat().st_mode == mode
    assert mode & 0o777 == 0o660


def test_every_capture_was_replayed() -> None:
    captured = {path.stem for path in DATA.glob("*.req")}
    assert len(captured) >= 45
    assert captured == {*PLAIN, *NO_REPLY, "fifo_two_back_to_back"}
    assert set(ALLOWED) <= captured
