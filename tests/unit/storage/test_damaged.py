"""A file that SQLite cannot read any more: an end with one clear line, and nothing waits."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.errors import StartError
from dlgmgmt.sip.loading import LoadGate
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import Damaged, StorageError
from dlgmgmt.storing import Storing
from tests.unit.storage.daemon import Daemon, record, settings_in, store

PAGE = 4096


def damage(folder: Path, count: int = 2000) -> Path:
    """A file of calls whose middle somebody has overwritten."""
    store(folder, *map(record, range(1, count)))
    path = folder / "dialogs.sqlite"
    assert not path.with_name("dialogs.sqlite-wal").exists()
    pages = path.stat().st_size // PAGE
    with path.open("r+b") as file:
        for page in range(pages // 3, 2 * pages // 3):
            os.pwrite(file.fileno(), b"\xa5" * PAGE, page * PAGE)
    return path


@pytest.mark.parametrize("fetch_rows", [0, 10])
@pytest.mark.parametrize("hash_size", [8, 64])
def test_a_start_on_a_damaged_file_ends_at_once(
    tmp_path: Path, fetch_rows: int, hash_size: int
) -> None:
    path = damage(tmp_path)
    daemon = Daemon(tmp_path, hash_size=hash_size, fetch_rows=fetch_rows, connect_timeout=30.0)
    begun = time.monotonic()
    with pytest.raises(Damaged) as error:
        daemon.start()
    daemon.stop()
    assert time.monotonic() - begun < 5
    assert str(path) in str(error.value)
    assert "malformed" in str(error.value)


def test_the_daemon_says_so_in_one_line_and_gives_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = damage(tmp_path)
    table = DialogTable(
        DialogSettings(), wall=time.time, monotonic=time.monotonic, rng=random.Random(1)
    )
    gate = LoadGate(Tracker(table, lambda _dialog: None))
    engine = SimpleNamespace(loading=gate, give_way=lambda: None, hold_answers=None)
    storing = Storing(
        settings_in(tmp_path, connect_timeout=30.0),
        table,
        cast("Any", engine),
        policy="refuse",
        retry_after=7,
    )
    with pytest.raises(StartError, match=r"malformed.*dlgmgmt db check") as error:
        asyncio.run(storing.load(asyncio.Event()))
    assert str(path) in str(error.value)
    storing.stop()
    assert [r for r in caplog.records if r.levelno >= logging.ERROR and r.exc_info] == []


def test_a_file_that_is_no_database_is_not_tried_for_long(tmp_path: Path) -> None:
    (tmp_path / "dialogs.sqlite").write_bytes(b"something else " * 1000)
    daemon = Daemon(tmp_path, connect_timeout=30.0)
    with pytest.raises(Damaged, match="is not a database"):
        daemon.start()
    daemon.stop()


def test_what_fails_for_long_though_the_database_answers_ends_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server's page that is broken, say."""
    store(tmp_path, *map(record, range(1, 9)))

    def broken(*_: object, **__: object) -> object:
        raise StorageError("invalid page in block 7")

    monkeypatch.setattr(Database, "calls", broken)
    daemon = Daemon(tmp_path, connect_timeout=0.3)
    begun = time.monotonic()
    with pytest.raises(Damaged, match="invalid page in block 7: it answers"):
        daemon.start()
    daemon.stop()
    assert 0.3 < time.monotonic() - begun < 5


def test_check_says_where_the_file_is_damaged_and_how_to_save_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = damage(tmp_path)
    assert main(["db", "check", "--url", f"sqlite:///{path}"]) == 1
    said = capsys.readouterr()
    assert "malformed" in said.err
    assert f"sqlite3 {path} .recover" in said.err
    assert "\nPage " in said.out
    assert "Traceback" not in said.err
