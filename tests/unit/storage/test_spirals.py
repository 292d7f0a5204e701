"""With detect_spirals = 0 a call that passes twice is two dialogs with one Call-ID and its tags."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.dialog.views import DialogView
from dlgmgmt.storage.errors import StorageError
from tests.unit.storage.daemon import OWNER, Daemon, placeless, record, rows, running, sql, store

Places = dict[tuple[int, int], DialogView]


@contextmanager
def spiralling(folder: Path, **changes: Any) -> Iterator[Daemon]:
    with running(folder, dialogs={"detect_spirals": False}, **changes) as daemon:
        yield daemon


def passes(daemon: Daemon) -> Places:
    return {
        (view.h_entry, view.h_id): view for batch in daemon.table.iter_views() for view in batch
    }


def two(daemon: Daemon) -> Places:
    """A call that has passed twice; what is said of each pass differs."""
    for name in ("first", "second"):
        daemon.table.set_var(daemon.call("a"), "pass", name)
    found = passes(daemon)
    assert len(found) == 2
    return found


def texts(found: Places) -> list[DialogView]:
    return sorted((placeless(view) for view in found.values()), key=lambda v: v.variables)


@pytest.mark.parametrize("fetch_rows", [0, 1])
def test_both_come_back_and_end_each_for_itself(tmp_path: Path, fetch_rows: int) -> None:
    with spiralling(tmp_path) as daemon:
        before = two(daemon)
    with spiralling(tmp_path, fetch_rows=fetch_rows) as daemon:
        assert passes(daemon) == before
        assert daemon.storage.status().skipped == 0
        first = daemon.table.dialog(*min(before))
        assert first is not None
        daemon.within(first, "BYE", 99)
        daemon.table.release(first)
    with spiralling(tmp_path) as daemon:
        del before[min(before)]
        assert passes(daemon) == before


def test_both_come_back_to_a_table_of_another_size(tmp_path: Path) -> None:
    with spiralling(tmp_path) as daemon:
        before = two(daemon)
    for size in (64, 2, 64):
        with spiralling(tmp_path, hash_size=size) as daemon:
            assert texts(passes(daemon)) == texts(before)
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 2}


@pytest.mark.parametrize("fetch_rows", [0, 1])
def test_both_are_adopted(tmp_path: Path, fetch_rows: int) -> None:
    with spiralling(tmp_path, owner="other") as other:
        before = two(other)
    with spiralling(tmp_path, fetch_rows=fetch_rows) as daemon:
        daemon.call("own")
        assert daemon.storage.adopt("other").loaded == 2
        found = {place: v for place, v in passes(daemon).items() if v.callid == "a"}
        assert texts(found) == texts(before)
    assert rows(tmp_path) == {OWNER: 3}


def test_what_was_taken_from_one_daemon_is_not_taken_from_another(tmp_path: Path) -> None:
    store(tmp_path, record(1), owner="b")
    store(tmp_path, record(1), record(2), owner="c")
    with running(tmp_path) as daemon:
        assert daemon.storage.adopt("b").loaded == 1
        report = daemon.storage.adopt("c")
        assert (report.loaded, report.skipped) == (1, 1)


def test_a_row_that_was_left_behind_is_no_second_pass(tmp_path: Path) -> None:
    """Of a dialog that has moved, with a crash at the worst moment."""
    daemon = Daemon(tmp_path)
    h_entry = daemon.table.hash_of("call-1")
    again = {"callid": "call-1", "from_tag": "from-1", "legs": record(1).legs}
    store(tmp_path, record(1, h_entry=(h_entry + 1) % 8), record(2, h_entry=h_entry, **again))
    with running(tmp_path) as daemon:
        assert len(passes(daemon)) == 1
        assert daemon.storage.status().skipped == 1


def test_a_row_that_was_copied_under_another_number_is_no_second_pass(tmp_path: Path) -> None:
    with running(tmp_path) as daemon:
        daemon.call("a")
    for table in ("dialog_in", "dialog_out"):
        names = [name for _, name, *_ in sql(tmp_path, f"PRAGMA table_info({table})")][1:]
        columns = ", ".join(names)
        values = columns.replace("hash_id", "hash_id + 1000")
        sql(tmp_path, f"INSERT INTO {table} ({columns}) SELECT {values} FROM {table}")
    with running(tmp_path) as daemon:
        assert len(passes(daemon)) == 1
        assert daemon.storage.status().skipped == 1
    with running(tmp_path, owner="b") as daemon:
        report = daemon.storage.adopt(OWNER)
        assert (report.loaded, report.skipped) == (1, 1)


def test_a_dump_has_both_and_restores_both(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with spiralling(tmp_path) as daemon:
        before = two(daemon)
    url, file = daemon.settings.url, tmp_path / "dump.jsonl"
    assert main(["db", "check", "--url", url]) == 0
    assert main(["db", "dump", "--url", url, "-o", str(file)]) == 0
    for there in (2, 1, 0):
        if not there:
            for table in ("dialog_in", "dialog_out", "dialog_vars"):
                sql(tmp_path, f"DELETE FROM {table}")
        elif there == 1:
            sql(tmp_path, "DELETE FROM dialog_in WHERE id = (SELECT MAX(id) FROM dialog_in)")
        assert main(["db", "restore", str(file), "--url", url]) == 0
        assert rows(tmp_path) == {OWNER: 2}
        with spiralling(tmp_path) as daemon:
            assert passes(daemon) == before
    assert "cannot be" not in capsys.readouterr().err


def test_a_rescue_file_with_one_pass_leaves_the_other_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon = Daemon(tmp_path, dialogs={"detect_spirals": False}, stop_timeout=0.1)
    daemon.start()
    daemon.call("a")
    daemon.written()

    def refuse(_batch: object) -> None:
        raise StorageError("connection refused")

    monkeypatch.setattr(daemon.storage._main, "write", refuse)
    daemon.call("a")
    before = passes(daemon)
    daemon.stop()
    (file,) = (tmp_path / "rescue").iterdir()
    assert main(["db", "restore", str(file), "--url", daemon.settings.url]) == 0
    with spiralling(tmp_path) as daemon:
        assert passes(daemon) == before
