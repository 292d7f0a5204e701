"""The storage as the daemon uses it: opened, asked how it is, stopped."""

from __future__ import annotations

import logging
import threading
import time
from pathlib import Path

import pytest

from dlgmgmt.storage.errors import OwnerTaken, SchemaError, StorageError
from tests.unit.storage.daemon import OWNER, Daemon, record, rows, running, sql, store


def test_one_owner_is_one_daemon(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.call("a")
        second = Daemon(tmp_path, connect_timeout=0.3)
        began = time.monotonic()
        with pytest.raises(OwnerTaken):
            second.storage.open()
        assert time.monotonic() - began >= 0.3
        second.stop()
    third = Daemon(tmp_path)
    assert third.start().loaded == 1
    third.stop()


def test_a_daemon_waits_for_the_one_before_it_to_end(tmp_path: Path) -> None:
    first = Daemon(tmp_path)
    first.start()
    first.call("a")
    second = Daemon(tmp_path, connect_timeout=10)
    ending = threading.Timer(0.15, first.stop)
    ending.start()
    report = second.start()
    ending.join()
    assert report.loaded == 1
    second.stop()


def test_a_place_that_cannot_be_opened_is_an_error_after_the_time(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    daemon = Daemon(tmp_path, url=f"sqlite:///{tmp_path}/file/d.sqlite", connect_timeout=0.2)
    with pytest.raises(StorageError) as caught:
        daemon.storage.open()
    assert "\n" not in str(caught.value)
    daemon.stop()


def test_a_wrong_version_is_refused_at_once(tmp_path: Path) -> None:
    store(tmp_path, record(1))
    sql(tmp_path, "UPDATE version SET table_version = 99 WHERE table_name = 'dialog_in'")
    daemon = Daemon(tmp_path, connect_timeout=30)
    began = time.monotonic()
    with pytest.raises(SchemaError, match="99"):
        daemon.storage.open()
    assert time.monotonic() - began < 10
    daemon.stop()
    assert rows(tmp_path) == {OWNER: 1}


def test_opening_is_given_up_when_the_daemon_ends(tmp_path: Path) -> None:
    with running(tmp_path):
        second = Daemon(tmp_path, connect_timeout=30)
        threading.Timer(0.2, second.stop).start()
        with pytest.raises(OwnerTaken):
            second.storage.open()


def test_loading_is_given_up_when_the_daemon_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, *map(record, range(1, 30)))
    daemon = Daemon(tmp_path)
    daemon.storage._give_way = daemon.storage._stopping.set
    report = daemon.start()
    assert 0 < report.loaded < 29
    daemon.hang_up("call-1")
    daemon.stop()
    assert rows(tmp_path) == {OWNER: 28}
    assert any("before all dialogs were loaded" in r.getMessage() for r in caplog.records)


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_what_is_there_at_the_end_is_stored(tmp_path: Path, mode: int) -> None:
    daemon = Daemon(tmp_path, mode=mode)
    daemon.start()
    for number in range(20):
        daemon.call(f"call-{number}")
    daemon.hang_up("call-3")
    before = daemon.listing()
    daemon.stop()
    assert rows(tmp_path) == {OWNER: 19}
    with running(tmp_path, mode=mode) as again:
        assert again.listing() == before


def test_status_and_statistics_say_what_was_found(tmp_path: Path) -> None:
    store(tmp_path, record(1), record(2, state=1), record(3, timeout=1_700_000_000), record(4))
    sql(tmp_path, "UPDATE dialog_in SET state = 3 WHERE hash_id = 4")
    daemon = Daemon(tmp_path)
    daemon.storage.open()
    daemon.storage.start()
    assert daemon.storage.status().state == "loading"
    daemon.storage.load()
    daemon.call("new")
    daemon.written()
    status = daemon.storage.status()
    assert status[:3] == (1, "ok", 0)
    assert (status.loaded, status.early, status.expired, status.skipped) == (2, 1, 1, 1)
    figures = dict(daemon.storage.statistics())
    assert list(figures) == sorted(figures)
    assert (figures["loaded"], figures["waiting"], figures["down"]) == (2, 0, 0)
    assert figures["commits"] >= 1
    daemon.stop()


def test_the_start_says_in_one_line_what_it_has_found(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, record(1), record(2, state=1), record(3, timeout=1_700_000_000), record(4))
    sql(tmp_path, "UPDATE dialog_in SET state = 3 WHERE hash_id = 4")
    with caplog.at_level(logging.INFO), running(tmp_path):
        pass
    (said,) = (r.getMessage() for r in caplog.records if "dialogs loaded" in r.getMessage())
    assert said.startswith("database: 2 dialogs loaded in ")
    assert "1 expired, 1 early and dropped, 1 skipped" in said


def test_a_daemon_that_still_runs_is_named_at_once_and_waited_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old = Daemon(tmp_path)
    old.start()
    new = Daemon(tmp_path, connect_timeout=20.0)
    starting = threading.Thread(target=new.start)
    starting.start()
    begun = time.monotonic()
    while not caplog.records and time.monotonic() - begun < 10:
        time.sleep(0.01)
    assert time.monotonic() - begun < 1
    time.sleep(0.3)
    old.stop()
    starting.join(10)
    assert new.storage.status().state == "ok"
    new.stop()
    (said,) = (r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING)
    assert said == (
        "database: the rows of owner 'dlgmgmt' belong to a daemon that is running; its end is"
        " waited for, 20 s at most"
    )


def test_a_daemon_that_goes_on_running_is_no_longer_waited_for_than_was_said(
    tmp_path: Path,
) -> None:
    with running(tmp_path):
        new = Daemon(tmp_path, connect_timeout=0.5)
        begun = time.monotonic()
        with pytest.raises(OwnerTaken):
            new.start()
        new.stop()
        assert 0.4 < time.monotonic() - begun < 2
