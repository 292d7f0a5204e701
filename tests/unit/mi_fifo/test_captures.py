"""Every captured framing request, replayed through a real server over real FIFOs.

What the real one answered is expected byte for byte, except where DIFFERENT says otherwise; behind
each request the next command works, which it often did not in the real one.
"""

# ruff: noqa: ASYNC240 - tiny local files; there is nothing else on this loop

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pytest

from mi_fifo import MiBadRequest, MiRequest, RequestParser
from tests.unit.mi_fifo.harness import DATA, Reader, serving


class Difference(NamedTuple):
    reply: bytes
    reason: str


PARSE_ERROR = b"400 parse error in command 'dlg_list'"
BROKEN = "broken framing is answered 400 where a reply name can be read"
ONE_BLANK = "empty lines before a command do no harm"

DIFFERENT = {
    "fifo_bad_emptycmd": Difference(b"400 bad command line: no command name\n", BROKEN),
    "fifo_bad_leadspace": Difference(b"400 bad command line: it does not start with ':'\n", BROKEN),
    "fifo_bad_nocolon": Difference(b"400 bad command line: it does not start with ':'\n", BROKEN),
    "fifo_crlf": Difference(PARSE_ERROR + b": its lines end in CRLF instead of LF\n", BROKEN),
    "fifo_firstline_1100": Difference(b"400 bad command line: of 1024 bytes or more\n", BROKEN),
    "fifo_noblankline": Difference(PARSE_ERROR + b": no empty line at its end\n", BROKEN),
    "fifo_nonewline": Difference(PARSE_ERROR + b": no empty line at its end\n", BROKEN),
    "fifo_one_emptyline_before": Difference(b"200 OK\n\n", ONE_BLANK),
    "fifo_emptylines_before": Difference(b"200 OK\n\n", ONE_BLANK),
    "fifo_param_name_empty_value": Difference(
        b"400 Too few or too many arguments\n\n", "the real one dies; it is a bad argument"
    ),
}
SECOND = b"----second reply fifo----\n"
CAPTURES = sorted((DATA / "fifo").glob("*.req"))


def test_every_difference_belongs_to_a_capture() -> None:
    stems = {path.stem for path in CAPTURES}
    assert len(stems) == 45
    assert set(DIFFERENT) < stems
    for stem, difference in DIFFERENT.items():
        captured = (DATA / "fifo" / f"{stem}.rep").read_bytes()
        assert captured == b"", "only what the real one left unanswered may differ"
        assert difference.reply


def reply_names(stem: str, data: bytes) -> list[str]:
    """The reply FIFOs that the client had made; for a name that is refused, one that tempts."""
    if stem in {"fifo_name_max", "fifo_name_long", "fifo_name_tripcolon", "fifo_name_dot"}:
        return [data.split(b"\n")[0].split(b":", 2)[2].decode()]
    if stem == "fifo_two_back_to_back":
        return ["ref44_a", "ref44_b"]
    return ["ref44_r1"]


def plant(stem: str, reply_dir: Path) -> None:
    """What lay in the reply directory when fifo_reply_* were captured."""
    target = reply_dir.parent / "target"
    if stem == "fifo_reply_hardlink":
        os.mkfifo(target)
        (reply_dir / "ref44_hard").hardlink_to(target)
    elif stem == "fifo_reply_regular":
        (reply_dir / "ref44_regular").write_bytes(b"untouched")
    elif stem == "fifo_reply_symlink":
        target.write_bytes(b"untouched")
        (reply_dir / "ref44_sym").symlink_to(target)
    elif stem == "fifo_reply_noreader":
        os.mkfifo(reply_dir / "ref44_noreader")


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
async def test_a_captured_request(path: Path, tmp_path: Path) -> None:
    stem = path.stem
    data = path.read_bytes()
    captured = path.with_suffix(".rep").read_bytes()
    expected = DIFFERENT[stem].reply if stem in DIFFERENT else captured
    async with serving(tmp_path) as bench:
        plant(stem, bench.reply_dir)
        with ExitStack() as stack:
            readers: list[Reader] = [
                stack.enter_context(bench.reader(name)) for name in reply_names(stem, data)
            ]
            bench.write(data)
            if expected:
                replies = [await reader.reply() for reader in readers]
                assert SECOND.join(replies) == expected
            await bench.works()
            await bench.settled()
            if not expected:
                assert [reader.rest() for reader in readers] == [b""] * len(readers)
        for name in ("ref44_regular", "ref44_sym"):
            planted = bench.reply_dir / name
            assert not planted.exists() or planted.read_bytes() == b"untouched"
        assert not (bench.reply_dir / "ref44_nosuch").exists()
        assert bench.server.counters.failed == 0


@pytest.mark.parametrize(
    "path", sorted((DATA / "ims_dialog").glob("*.req")), ids=lambda path: path.stem
)
def test_a_captured_command_is_one_request(path: Path) -> None:
    (event,) = RequestParser().feed(path.read_bytes(), 0.0)
    reply = path.with_suffix(".rep")
    replied = reply.read_bytes() if reply.exists() else b""  # the real one died over one of them
    if b"parse error" in replied:
        assert isinstance(event, MiBadRequest)
        assert f"400 {event.text}\n".encode() == replied
    else:
        assert isinstance(event, MiRequest)
        assert path.read_bytes().startswith(f":{event.command}:{event.reply_name}\n".encode())
