"""Dialogs that were stored elsewhere: whatever fails, each call is in the database once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import LOADED
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.errors import RowsRefused, StorageError
from tests.unit.storage.daemon import Daemon, record, running, sql, store
from tests.unit.storage.rig import Rig, rig_in

NAMES = [f"c{number}" for number in range(8)]
GONE = StorageError("connection refused")


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    yield from rig_in(tmp_path)


def taken_over(rig: Rig, folder: Path) -> dict[str, Dialog]:
    """Calls in the table whose rows are another owner's."""
    other = Rig(folder, owner="other")
    for name in NAMES:
        other.call(name)
    other.settle()
    other.close()
    dialogs = {}
    rows = {stored.in_row[4]: stored for stored in rig.rows("other")}
    for name in NAMES:
        dialog = dialogs[name] = rig.call(name)
        dialog.stored = LOADED
        rig.writer.loaded(dialog, rows[name])
    return dialogs


def calls(rig: Rig) -> list[str]:
    """What is stored, under whatever owner."""
    return sorted(row.in_row[4] for owner in ("other", "dlgmgmt") for row in rig.rows(owner))


def poisoned(batch: WriteBatch) -> None:
    if any("poison" in row for row in batch.vars):
        raise RowsRefused("no such character")


def refuse(_batch: WriteBatch) -> None:
    raise GONE


@pytest.mark.parametrize("bad", NAMES)
def test_old_rows_leave_with_the_new_ones_however_a_refused_transaction_is_halved(
    rig: Rig, tmp_path: Path, bad: str
) -> None:
    dialogs = taken_over(rig, tmp_path)
    rig.core.table.set_var(dialogs[bad], "a", "poison")
    seen: list[list[str]] = []

    def look(batch: WriteBatch) -> None:
        # A crash could come between any two transactions.
        seen.append(calls(rig))
        poisoned(batch)

    rig.database.before = look
    rig.settle()
    seen.append(calls(rig))

    assert len(seen) > 4
    assert all(found == NAMES for found in seen)
    assert [row.in_row[4] for row in rig.rows("other")] == [bad]


def test_a_refused_dialog_has_its_old_rows_until_it_is_stored(rig: Rig, tmp_path: Path) -> None:
    bad = taken_over(rig, tmp_path)["c3"]
    rig.core.table.set_var(bad, "a", "poison")
    rig.database.before = poisoned
    rig.settle()
    assert rig.step() is None
    rig.core.table.set_var(bad, "a", "cured")
    rig.settle()

    assert rig.rows("other") == []
    assert rig.stored() == rig.living()
    assert rig.writer.status().waiting == 0


def test_a_refused_dialog_that_ends_leaves_its_old_rows_too(rig: Rig, tmp_path: Path) -> None:
    bad = taken_over(rig, tmp_path)["c3"]
    rig.core.table.set_var(bad, "a", "poison")
    rig.database.before = poisoned
    rig.settle()
    rig.hang_up("c3")
    rig.settle()

    assert rig.rows("other") == []
    assert rig.stored() == rig.living()


def test_what_was_written_of_a_transaction_in_parts_is_not_done_again(
    rig: Rig, tmp_path: Path
) -> None:
    """The keys of rows that went, and places of calls that ended, are those of new rows then."""
    ended = rig.call("ended")
    rig.settle()
    dialogs = taken_over(rig, tmp_path)
    rig.hang_up("ended")
    ended.entry.next_id = ended.h_id
    new = rig.call("ended")
    assert new.h_id == ended.h_id
    rig.writer.loaded(new, rig.rows("other")[0]._replace(in_id=999, out_ids=[], var_ids=[]))
    rig.core.table.set_var(dialogs["c7"], "a", "poison")
    parts = 0

    def once(batch: WriteBatch) -> None:
        nonlocal parts
        poisoned(batch)
        parts += 1
        if parts == 2:
            raise GONE

    rig.database.before = once
    rig.settle()
    rig.core.table.set_var(dialogs["c7"], "a", "cured")
    rig.settle()

    assert parts > 2
    assert rig.rows("other") == []
    assert rig.stored() == rig.living()
    assert len(rig.stored()) == 9


def test_a_rescue_file_knows_where_dialogs_were_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path, *map(record, range(1, 7)))
    daemon = Daemon(tmp_path, hash_size=64, stop_timeout=0.2)
    monkeypatch.setattr(daemon.storage._main, "write", refuse)
    assert daemon.start().moved >= 4
    before = daemon.listing()
    for name in ("call-1", "call-2", "call-3"):
        daemon.hang_up(name)
    daemon.stop()
    (file,) = (tmp_path / "rescue").iterdir()
    assert daemon.storage.status().rescued == 6
    assert main(["db", "restore", str(file), "--url", daemon.settings.url]) == 0

    assert sorted(sql(tmp_path, "SELECT callid FROM dialog_in")) == [
        (f"call-{number}",) for number in (4, 5, 6)
    ]
    assert len(sql(tmp_path, "SELECT * FROM dialog_out")) == 3
    with running(tmp_path, hash_size=64) as daemon:
        assert daemon.listing() == {f"call-{n}": before[f"call-{n}"] for n in (4, 5, 6)}
