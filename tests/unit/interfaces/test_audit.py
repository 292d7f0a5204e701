"""The audit log: what its lines hold, its files, and a disk that is full."""

from __future__ import annotations

import errno
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.commands.audit import AuditRecord
from dlgmgmt.interfaces.audit import AuditError, AuditLog

NOW = 1_795_410_900.25


def record(number: int = 1, **changes: Any) -> AuditRecord:
    fields: dict[str, Any] = {
        "time": NOW,
        "user": "alice",
        "role": "operator",
        "door": "http",
        "address": "127.0.0.1:4000",
        "command": "dlg.end_dlg",
        "target": {"h_entry": 7, "h_id": number},
        "arguments": {"h_entry": 7, "h_id": number},
        "reason": "",
        "code": 200,
        "text": "OK",
        "terminations": (number,),
    }
    return AuditRecord(**{**fields, **changes})


def lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="ascii")
    assert text == "" or text.endswith("\n")
    return [json.loads(line) for line in text.splitlines()]


def eventually(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


Start = Callable[..., AuditLog]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
def start(path: Path) -> Iterator[Start]:
    started: list[AuditLog] = []

    def begin(max_bytes: int = 1 << 20, files: int = 3, **more: Any) -> AuditLog:
        log = AuditLog(str(path), max_bytes, files, wall=lambda: NOW, retry=0.01, **more)
        started.append(log)
        return log

    yield begin
    for log in started:
        log.stop()


def test_a_line(path: Path, start: Start) -> None:
    log = start()
    log.record(record(reason="fraud"))
    log.stop()
    assert lines(path) == [
        {
            "time": "2026-11-23T05:15:00.250Z",
            "user": "alice",
            "role": "operator",
            "door": "http",
            "address": "127.0.0.1:4000",
            "command": "dlg.end_dlg",
            "target": {"h_entry": 7, "h_id": 1},
            "arguments": {"h_entry": 7, "h_id": 1},
            "reason": "fraud",
            "code": 200,
            "result": "OK",
            "terminations": [1],
        }
    ]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb\r\x00", "a\nb\r\x00"),
        ('"},{"code":200', '"},{"code":200'),
        ("\u202e\x1b[2J", "\u202e\x1b[2J"),
        ("x\udcff", "x\\xff"),
        ("\ud800", "\\ud800"),
    ],
    ids=ascii,
)
def test_hostile_text_stays_in_its_line(path: Path, start: Start, text: str, shown: str) -> None:
    log = start()
    log.record(record(reason=text, target={"callid": text}, arguments={text: text}))
    log.record(record(2))
    log.stop()
    raw = path.read_bytes()
    assert raw.count(b"\n") == 2
    assert all(0x20 <= byte < 0x7F or byte == 0x0A for byte in raw)
    first, _ = lines(path)
    assert first["reason"] == first["target"]["callid"] == first["arguments"][shown] == shown


def test_lines_are_appended_and_a_cut_one_is_left_alone(path: Path, start: Start) -> None:
    path.write_bytes(b'{"old":1}\n{"cut":')
    path.chmod(0o640)
    log = start()
    log.record(record())
    log.stop()
    old, cut, new = path.read_text().splitlines()
    assert (old, cut) == ('{"old":1}', '{"cut":')
    assert json.loads(new)["user"] == "alice"
    assert path.stat().st_mode & 0o777 == 0o640


def test_files_are_rotated_by_size_and_the_oldest_goes(path: Path, start: Start) -> None:
    log = start(max_bytes=1000, files=2)
    for number in range(40):
        log.record(record(number))
        eventually(lambda done=number + 1: log.written == done)  # type: ignore[misc]
    log.stop()
    names = sorted(found.name for found in path.parent.iterdir())
    assert names == ["audit.jsonl", "audit.jsonl.1", "audit.jsonl.2"]
    kept = [
        line["terminations"][0] for name in reversed(names) for line in lines(path.parent / name)
    ]
    assert kept == [*range(kept[0], 40)]
    assert all((path.parent / name).stat().st_size <= 1000 for name in names)


def test_a_file_that_was_moved_away_is_begun_anew(path: Path, start: Start) -> None:
    log = start()
    log.record(record(1))
    eventually(lambda: log.written == 1)
    path.rename(path.with_suffix(".old"))
    log.reopen()
    eventually(path.exists)
    log.record(record(2))
    log.stop()
    assert [line["terminations"] for line in lines(path)] == [[2]]
    assert [line["terminations"] for line in lines(path.with_suffix(".old"))] == [[1]]


class Disk:
    """A disk that is full after ``room`` more bytes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.room: int | None = None
        self._write = os.write
        monkeypatch.setattr("dlgmgmt.interfaces.audit.os.write", self.write)

    def write(self, fd: int, data: bytes | memoryview) -> int:
        if self.room is None:
            return self._write(fd, data)
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        done = self._write(fd, data[: self.room])
        self.room -= done
        return done


def test_a_full_disk_costs_nothing_as_long_as_there_is_room_to_wait(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(monkeypatch)
    log = start()
    disk.room = 20
    log.record(record(1))
    eventually(lambda: "cannot write" in caplog.text)
    log.record(record(2))
    assert path.read_bytes() == b""
    disk.room = None
    eventually(lambda: log.written == 2)
    assert [line["terminations"] for line in lines(path)] == [[1], [2]]
    assert log.counters() == [("lost", 0), ("waiting", 0), ("written", 2)]
    assert len([one for one in caplog.records if one.levelno >= logging.ERROR]) == 1
    eventually(lambda: "is written again" in caplog.text)


def test_what_cannot_wait_is_counted_and_told(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    disk = Disk(monkeypatch)
    log = start(max_waiting=3)
    disk.room = 0
    log.record(record(0))
    eventually(lambda: "cannot write" in caplog.text)
    for number in range(1, 10):
        log.record(record(number))
    assert dict(log.counters())["lost"] == 7
    disk.room = None
    eventually(lambda: log.written == 3)
    gap, *kept = lines(path)
    assert gap == {"time": "2026-11-23T05:15:00.250Z", "event": "lost", "records": 7}
    assert [line["terminations"][0] for line in kept] == [0, 1, 2]
    assert caplog.text.count("some are lost") == 1


def test_a_log_that_cannot_be_written_stops_the_start(path: Path, start: Start) -> None:
    path.mkdir()
    with pytest.raises(AuditError, match=r"cannot write the audit log .*: Is a directory"):
        start()
    path.rmdir()
    path.symlink_to(path.with_suffix(".elsewhere"))
    with pytest.raises(AuditError, match="cannot write the audit log"):
        start()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(AuditError, match="no regular file"):
        start()


def test_a_new_file_that_cannot_be_begun_leaves_the_old_one(
    path: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    (path.parent / "audit.jsonl.new").mkdir()
    log = start(max_bytes=1000)
    for number in range(20):
        log.record(record(number))
        eventually(lambda done=number + 1: log.written == done)  # type: ignore[misc]
    log.stop()
    assert len(lines(path)) == 20
    assert caplog.text.count("cannot begin a new") == 1


def test_a_rotation_that_breaks_off_again_and_again_loses_no_file(
    path: Path, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = start(max_bytes=1000, files=3)
    for number in range(12):
        log.record(record(number))
        eventually(lambda done=number + 1: log.written == done)  # type: ignore[misc]
    before = {each.name: each.read_bytes() for each in path.parent.glob("audit.jsonl.[0-9]")}
    assert len(before) == 3
    rename = os.replace

    def refuse(source: str, target: str) -> None:
        if source == str(path):
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("dlgmgmt.interfaces.audit._rename", refuse)
    for number in range(12, 24):
        log.record(record(number))
        eventually(lambda done=number + 1: log.written == done)  # type: ignore[misc]
    log.stop()
    left = {each.read_bytes() for each in path.parent.glob("audit.jsonl.[0-9]")}
    # The oldest made room once, for the file that then could not be moved.
    assert left == {before["audit.jsonl.1"], before["audit.jsonl.2"]}


def test_lines_are_forced_to_the_disk(start: Start) -> None:
    synced: list[int] = []
    log = start(sync=synced.append)
    log.record(record())
    log.stop()
    assert len(synced) == 1
