"""dlgmgmt db restore: dumps and rescue files back in the database, whole or not at all."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dlgmgmt.storage import jsonl
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.jsonl import Ended
from dlgmgmt.storage.rescue import rescue
from tests.unit.cli.shelf import NOW, Shelf, dialog, header


@pytest.fixture
def shelf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shelf:
    return Shelf(tmp_path, capsys)


def test_restore_replaces_calls_that_are_there_and_leaves_others(shelf: Shelf) -> None:
    shelf.put(dialog(1), dialog(2), dialog(3))
    file = shelf.file(
        header(),
        jsonl.dialog_line(dialog(1, sflags=99, variables=())),
        # It has moved since.
        jsonl.dialog_line(dialog(2, h_id=77)),
    )
    code, out, _ = shelf.db("restore", file)
    assert (code, out.partition(": ")[2]) == (
        0, "0 dialogs added, 2 replaced, 0 ended, 0 moved to another place\n"
    )  # fmt: skip
    there = {record.callid[:6]: record for record in shelf.there()}
    assert there.keys() == {"call-1", "call-2", "call-3"}
    assert (there["call-1"].sflags, there["call-1"].variables) == (99, ())
    assert there["call-2"].h_id == 77
    assert there["call-3"] == dialog(3)


def test_restore_with_replace_leaves_nothing_else(shelf: Shelf) -> None:
    shelf.put(dialog(1), dialog(2))
    shelf.put(dialog(5), owner="other")
    file = shelf.file(header(), jsonl.dialog_line(dialog(3)))
    assert shelf.db("restore", file, "--replace")[0] == 0
    assert shelf.there() == [dialog(3)]
    assert shelf.there("other") == [dialog(5)]
    part = shelf.file(header(whole=False), jsonl.dialog_line(dialog(3)))
    code, _, said = shelf.db("restore", part, "--replace")
    assert (code, len(said)) == (2, 1)


def test_a_rescue_file_brings_no_ended_call_back(shelf: Shelf) -> None:
    shelf.put(dialog(1), dialog(2), dialog(3))
    file = shelf.file(
        header(whole=False),
        jsonl.ended_line(Ended("dlgmgmt", 1, 1, "call-1@example.com", "from-1")),
        # Another call has its place by now.
        jsonl.ended_line(Ended("dlgmgmt", 2, 2, "older@example.com", "from-0")),
        jsonl.ended_line(Ended("dlgmgmt", 9, 9, "never-there@example.com", "from-9")),
        jsonl.dialog_line(dialog(4)),
        jsonl.dialog_line(dialog(5)),
        jsonl.ended_line(Ended("dlgmgmt", 5, 5, "call-5@example.com", "from-5")),
        jsonl.dialog_line(dialog(1, callid="newer@example.com")),
    )
    code, _, _ = shelf.db("restore", file)
    assert code == 0
    assert {(record.callid, record.h_id) for record in shelf.there()} == {
        ("call-2@example.com", 2),
        ("call-3@example.com", 3),
        ("call-4@example.com", 4),
        ("newer@example.com", 1),
    }
    with closing(sqlite3.connect(shelf.path)) as connection:
        (legs,) = connection.execute("SELECT count(*) FROM dialog_out").fetchone()
        (variables,) = connection.execute("SELECT count(*) FROM dialog_vars").fetchone()
    assert (legs, variables) == (4, 4)


def test_what_a_daemon_could_not_write_at_its_end(shelf: Shelf) -> None:
    shelf.put(dialog(1), dialog(2))
    ended = [Ended("dlgmgmt", 1, 1, "call-1@example.com", "from-1")]
    # The next call has its place already.
    records = [dialog(1, callid="next@example.com"), dialog(2, sflags=3), dialog(3)]
    rescue(shelf.folder, "dlgmgmt", NOW, records, ended)
    (file,) = shelf.folder.glob("rescue-*.jsonl")
    code, out, said = shelf.db("restore", file)
    assert (code, said) == (0, [])
    assert "2 dialogs added, 1 replaced, 1 ended, 0 moved" in out
    assert shelf.there() == records


def test_the_end_of_another_owners_call(shelf: Shelf) -> None:
    """It was taken over, and its old row was still there when the daemon could not write."""
    shelf.put(dialog(1), dialog(2), owner="other")
    file = shelf.file(
        header(whole=False),
        jsonl.ended_line(Ended("other", 1, 1, "call-1@example.com", "from-1")),
        jsonl.dialog_line(dialog(1)),
    )
    assert shelf.db("restore", file)[0] == 0
    assert shelf.there("other") == [dialog(2)]
    assert shelf.there() == [dialog(1)]


def test_a_place_that_another_call_has(shelf: Shelf) -> None:
    shelf.put(dialog(1))
    other = dialog(1, callid="other@example.com")
    code, out, _ = shelf.db("restore", shelf.file(header(), jsonl.dialog_line(other)))
    assert code == 0
    assert out.endswith("1 dialogs added, 0 replaced, 0 ended, 1 moved to another place\n")
    assert {record.callid: record.h_id for record in shelf.there()} == {
        "call-1@example.com": 1,
        "other@example.com": 2,
    }


def test_a_file_is_restored_whole_or_not_at_all(shelf: Shelf) -> None:
    shelf.put(dialog(9))
    good = jsonl.dialog_line(dialog(1))
    failed = "2 dialogs cannot be restored; nothing was changed"
    for bad, wanted in (
        (good.replace('"state":4', '"state":"4"'), ["line 3: state: not an integer"]),
        (good[:-30], ["line 3: is cut off"]),
        (
            good.replace('"state":4', '"state":2') + good,
            ["line 3: it is early: its transaction is gone", "line 4: same", failed],
        ),
    ):
        file = shelf.file(header(), good, bad)
        code, out, said = shelf.db("restore", file)
        assert (code, out) == (1, "")
        assert len(said) == len(wanted)
        for line, text in zip(said, wanted, strict=True):
            assert line.startswith(str(file))
            if text == "line 4: same":
                assert line.endswith(" is the same dialog")
            else:
                assert line.endswith(text)
        assert shelf.there() == [dialog(9)]


@pytest.mark.parametrize("content", ["", "SQLite format 3\x00", "[]\n"])
def test_a_file_of_something_else(shelf: Shelf, content: str) -> None:
    file = shelf.file(content)
    code, out, said = shelf.db("restore", file)
    assert (code, out, len(said)) == (1, "", 1)
    assert said[0].startswith(str(file))
    assert not shelf.path.exists()


def test_a_file_that_is_not_there(shelf: Shelf) -> None:
    code, _, said = shelf.db("restore", shelf.folder / "no.jsonl")
    assert (code, said) == (1, [f"{shelf.folder}/no.jsonl: No such file or directory"])


def test_nothing_is_restored_under_a_running_daemon(shelf: Shelf) -> None:
    shelf.put(dialog(1))
    running = Database(shelf.settings())
    running.open()
    try:
        code, out, said = shelf.db("restore", shelf.file(header(), jsonl.dialog_line(dialog(2))))
    finally:
        running.close()
    assert (code, out, len(said)) == (1, "", 1)
    assert "'dlgmgmt' belong to a daemon that is running" in said[0]
    assert shelf.there() == [dialog(1)]
