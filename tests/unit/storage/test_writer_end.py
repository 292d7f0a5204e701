"""The writer ends: what waits is written, or goes to a file."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import LOADED, DialogRecord
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.changes import SLICE
from dlgmgmt.storage.errors import StorageError
from dlgmgmt.storage.jsonl import Ended, Reader
from tests.unit.storage.rig import DELAYED, SHUTDOWN, Rig

GONE = StorageError("connection refused")


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_in_shutdown_mode_all_is_written_at_the_end_alone(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=SHUTDOWN)
    for number in range(SLICE + 3):
        rig.call(f"c{number}")
    rig.core.invite("ringing")
    rig.hang_up("c2")
    rig.settle()
    assert rig.database.tries == 0

    rig.writer.start()
    assert rig.writer.stop(rig.core.now + 30) == 0

    assert rig.stored() == rig.living()
    assert len(rig.stored()) == SLICE + 2
    assert not rig.settings.rescue_dir.exists()


def test_in_shutdown_mode_what_was_loaded_leaves_the_database(tmp_path: Path) -> None:
    first = Rig(tmp_path)
    dialog = first.call()
    first.settle()
    first.close()
    rig = Rig(tmp_path, mode=SHUTDOWN)
    loaded = rig.call()
    assert (loaded.entry.index, loaded.h_id) == (dialog.entry.index, dialog.h_id)
    loaded.stored = LOADED
    rig.writer.unload()
    rig.settle()

    assert rig.stored() == {}
    rig.writer.start()
    assert rig.writer.stop(rig.core.now + 30) == 0
    assert rig.stored() == rig.living()


@pytest.mark.parametrize("mode", [1, 2])
def test_the_end_writes_what_waits(tmp_path: Path, mode: int) -> None:
    rig = Rig(tmp_path, mode=mode, update_period=1000.0)
    rig.writer.start()
    for number in range(100):
        rig.call(f"c{number}")
    rig.hang_up("c7")
    assert rig.writer.stop(rig.core.now + 30) == 0

    assert rig.stored() == rig.living()
    assert len(rig.stored()) == 99


def rescued(rig: Rig) -> tuple[list[DialogRecord], list[Ended]]:
    (path,) = rig.settings.rescue_dir.iterdir()
    assert path.name.startswith("rescue-2023")
    assert path.stat().st_mode & 0o777 == 0o600
    with path.open("rb") as file:
        items = list(Reader(file, str(path)))
    return (
        [item for item in items if isinstance(item, DialogRecord)],
        [item for item in items if isinstance(item, Ended)],
    )


@pytest.mark.parametrize("mode", [1, DELAYED])
def test_what_cannot_be_written_at_the_end_goes_to_a_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    rig = Rig(tmp_path, mode=mode)
    ended = rig.call("ended")
    kept = rig.call("kept")
    rig.writer.order_flush()
    rig.settle()
    rig.call("unchanged")
    rig.writer.order_flush()
    rig.settle()
    rig.database.fail(GONE)
    changed = rig.call("new")
    rig.core.table.set_var(kept, "a", "1")
    rig.hang_up("ended")
    rig.call("came and went")
    rig.hang_up("came and went")

    assert rig.writer.stop(rig.core.now) == 3

    records, ends = rescued(rig)
    living = rig.living()
    assert sorted(records) == sorted(living[d.entry.index, d.h_id] for d in (kept, changed))
    assert ends == [Ended("dlgmgmt", ended.entry.index, ended.h_id, "ended", "alice")]
    assert rig.writer.status().rescued == 3
    (line,) = logged(caplog)
    assert "3 dialogs" in line
    assert "dlgmgmt db restore " + str(next(rig.settings.rescue_dir.iterdir())) in line
    rig.close()


def test_a_server_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    stored = rig.call("ended")
    rig.settle()
    inside, release = threading.Event(), threading.Event()

    def hang(_batch: WriteBatch) -> None:
        inside.set()
        release.wait(30)
        raise GONE

    rig.database.before = hang
    under_way = rig.call("under way")
    rig.hang_up("ended")
    rig.core.now += 1
    rig.writer.start()
    try:
        assert inside.wait(10)
        later = rig.call("later")
        heard: list[bool] = []
        rig.writer.when_durable(later, heard.append)
        assert rig.writer.stop(rig.core.now + 0.05) == 3
        assert heard == [False]
    finally:
        release.set()
        for thread in rig.writer._threads:
            thread.join(10)
    records, ends = rescued(rig)
    assert sorted(record.callid for record in records) == ["later", "under way"]
    assert under_way.did in {record.did for record in records}
    assert [(end.h_entry, end.h_id) for end in ends] == [(stored.entry.index, stored.h_id)]


def test_a_file_that_cannot_be_written_is_told_loudly(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    rig = Rig(tmp_path, rescue_dir=tmp_path / "file")
    rig.database.fail(GONE)
    rig.call()
    assert rig.writer.stop(rig.core.now) == 0
    assert rig.writer.status().rescued == 0
    assert caplog.records[-1].levelno == logging.CRITICAL
    assert "1 dialogs" in caplog.records[-1].getMessage()
    rig.close()


def test_two_files_of_one_second_have_names_of_their_own(tmp_path: Path) -> None:
    for callid in ("c1", "c2"):
        rig = Rig(tmp_path)
        rig.database.fail(GONE)
        rig.call(callid)
        assert rig.writer.stop(rig.core.now) == 1
        rig.close()
    names = sorted(path.name for path in (tmp_path / "rescue").iterdir())
    assert names == ["rescue-20231114T221320Z-2.jsonl", "rescue-20231114T221320Z.jsonl"]


def test_flush_waits_until_its_deadline_and_says_what_still_waits(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    dialogs: list[Dialog] = [rig.call(f"c{number}") for number in range(5)]
    assert rig.writer.flush(rig.core.now) == 5
    rig.writer.start()
    assert rig.writer.flush(rig.core.now + 10) == 0
    assert len(rig.stored()) == len(dialogs)
    assert rig.writer.stop(rig.core.now + 10) == 0
