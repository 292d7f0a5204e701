"""Rows that are no dialogs: each skipped with a line, left where it is, and the rest loaded."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from dlgmgmt.storage.faults import MAX_LINES
from tests.unit.storage.daemon import OWNER, Daemon, record, rows, running, sql, store

_KINDS = {
    "unknown state": ("dialog_in", "state = 99", "state"),
    "deleted state": ("dialog_in", "state = 6", "state"),
    "no state": ("dialog_in", "state = NULL", "state"),
    "no Call-ID": ("dialog_in", "callid = NULL", "callid"),
    "no entry": ("dialog_in", "hash_entry = NULL", "hash_entry"),
    "long text": ("dialog_in", f"from_uri = '{'x' * 300_000}'", "from_uri"),
    "negative time": ("dialog_in", "timeout = -5", "timeout"),
    "a time beyond all": ("dialog_in", "start_time = 4611686018427387904", "start_time"),
    "no CSeq": ("dialog_in", "caller_original_cseq = 'seven'", "caller_original_cseq"),
    "no JSON": ("dialog_in", "xdata = '{\"profiles\": 7'", "xdata"),
    "bytes for a number": ("dialog_in", "lifetime = x'ff00'", "lifetime"),
    "no To-tag": ("dialog_out", "to_tag = NULL", "to_tag"),
    "a leg's CSeq": ("dialog_out", "caller_cseq = '-3'", "caller_cseq"),
    "a leg's JSON": ("dialog_out", "xdata = '[1'", "xdata"),
    "a variable's name": ("dialog_vars", "dialog_key = NULL", "dialog_key"),
}


def _said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [line.getMessage() for line in caplog.records if line.levelno >= logging.WARNING]


@pytest.mark.parametrize("kind", _KINDS)
def test_a_corrupt_row_is_skipped_with_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    table, change, word = _KINDS[kind]
    store(tmp_path, *(record(number, variables=(("k", "v"),)) for number in range(1, 8)))
    ((row,),) = sql(tmp_path, f"SELECT id FROM {table} WHERE hash_id = 4")
    sql(tmp_path, f"UPDATE {table} SET {change} WHERE id = {row}")
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.loaded, report.skipped) == (6, 1)
    assert daemon.listing().keys() == {f"call-{number}" for number in (1, 2, 3, 5, 6, 7)}
    said = [line for line in _said(caplog) if line.endswith(": skipped")]
    assert len(said) == 1
    assert f"{table} {row}: " in said[0]
    assert word in said[0]
    assert len(said[0]) < 400
    for number in (1, 2, 3, 5, 6, 7):
        daemon.hang_up(f"call-{number}")
    daemon.stop()
    # What was not understood is still there for whoever understands it.
    assert rows(tmp_path) == {OWNER: 1}


def test_hostile_text_comes_to_the_log_in_one_harmless_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, record(1), record(2))
    bad = "'a' || char(27) || '[2J' || char(13, 10) || 'WARNING all is lost'"
    sql(tmp_path, f"UPDATE dialog_in SET timeout = {bad} WHERE hash_id = 1")
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"call-2"}
    (said,) = (line for line in _said(caplog) if "skipped" in line)
    assert said.isprintable()


def test_bytes_that_are_no_text_keep_no_other_row_out(tmp_path: Path) -> None:
    store(tmp_path, *map(record, range(1, 8)))
    sql(
        tmp_path,
        "UPDATE dialog_in SET from_uri = CAST(x'736970fffe' AS TEXT) WHERE hash_id = 3",
        "UPDATE dialog_out SET to_uri = CAST(x'ff' AS TEXT) WHERE hash_id = 4",
    )
    with running(tmp_path) as daemon:
        assert len(daemon.listing()) >= 5


def test_a_hundred_rows_are_named_and_the_others_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store(tmp_path, *map(record, range(1, MAX_LINES + 60)))
    sql(tmp_path, "UPDATE dialog_in SET state = 3 WHERE hash_id > 9")
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.loaded, report.skipped) == (9, MAX_LINES + 50)
    said = _said(caplog)
    assert len([line for line in said if line.endswith(": skipped")]) == MAX_LINES
    assert "50 more rows were skipped" in said
    assert daemon.storage.status().skipped == MAX_LINES + 50
    daemon.stop()


def test_legs_and_variables_without_a_dialog_are_counted_and_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pair = (("a", "1"), ("b", "2"))
    store(tmp_path, *(record(number, variables=pair) for number in range(1, 8)))
    sql(tmp_path, "DELETE FROM dialog_in WHERE hash_id IN (3, 4)")
    with running(tmp_path) as daemon:
        assert len(daemon.listing()) == 5
    said = [line for line in _said(caplog) if "no dialog" in line]
    assert said == ["database: 2 legs and 4 variables belong to no dialog"]
    assert rows(tmp_path, "dialog_out") == {OWNER: 7}


def test_a_dialog_without_legs_is_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path, record(1), record(2))
    sql(tmp_path, "DELETE FROM dialog_out WHERE hash_id = 1")
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"call-2"}
    assert sum("skipped" in line for line in _said(caplog)) == 1


def test_a_new_call_does_not_take_the_place_of_rows_that_were_skipped(tmp_path: Path) -> None:
    store(tmp_path, *(record(n, variables=(("k", "v"),)) for n in range(20_000, 20_004)))
    sql(
        tmp_path,
        "UPDATE dialog_in SET state = 3 WHERE hash_id = 20000",
        "DELETE FROM dialog_in WHERE hash_id = 20003",
    )
    with running(tmp_path, hash_size=2) as daemon:
        for number in range(20):
            dialog = daemon.call(f"new-{number}")
            assert dialog.entry.index != 1 or dialog.h_id > 20_003
    with running(tmp_path, hash_size=2) as daemon:
        for number in range(20):
            view = daemon.listing()[f"new-{number}"]
            assert len(view.legs) == 1
            assert view.variables == ()


def _double(folder: Path, where: str, **changes: str) -> int:
    """Copy a row of dialog_in, as a database without its index would let it happen."""
    columns = [name for _, name, *_ in sql(folder, "PRAGMA table_info(dialog_in)") if name != "id"]
    names = ", ".join(columns)
    values = ", ".join(changes.get(name, name) for name in columns)
    sql(
        folder,
        "DROP INDEX IF EXISTS dialog_in_owned",
        "DROP INDEX IF EXISTS dialog_out_owned",
        f"INSERT INTO dialog_in ({names}) SELECT {values} FROM dialog_in WHERE {where}",
    )
    ((row,),) = sql(folder, "SELECT MAX(id) FROM dialog_in")
    return int(row)


@pytest.mark.parametrize(
    "instead",
    [
        (),
        ("CREATE INDEX dialog_in_owned ON dialog_in (hash_entry, hash_id, owner)",),
        ("CREATE UNIQUE INDEX dialog_in_owned ON dialog_in (hash_entry, hash_id, owner, id)",),
    ],
)
def test_of_one_call_that_is_there_twice_the_first_counts(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, instead: tuple[str, ...]
) -> None:
    store(tmp_path, *map(record, range(1, 6)))
    copy = _double(tmp_path, "hash_id = 3", start_time="7")
    sql(tmp_path, *instead)
    daemon = Daemon(tmp_path)
    report = daemon.start()
    assert (report.loaded, report.skipped) == (5, 1)
    assert daemon.listing()["call-3"].start_ts != 7
    (said,) = (line for line in _said(caplog) if "skipped" in line)
    assert f"dialog_in {copy}: the same call as row 3" in said
    # It is written like any other, and does not come back.
    daemon.table.set_var(daemon.dialog("call-3"), "k", "v")
    daemon.written()
    daemon.hang_up("call-3")
    daemon.stop()
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"call-1", "call-2", "call-4", "call-5"}


def _two_calls_in_one_place(folder: Path, to_uri: str) -> tuple[str, str]:
    """One that belongs there and one that does not; both Call-IDs."""
    daemon = Daemon(folder)
    names = [f"call-{n}" for n in range(50)]
    here = next(name for name in names if daemon.table.hash_of(name) == 1)
    there = next(name for name in names if daemon.table.hash_of(name) != 1)
    store(folder, record(1, callid=here))
    _double(folder, "hash_id = 1", callid=f"'{there}'", from_tag="'other'", to_uri=f"'{to_uri}'")
    sql(
        folder,
        "INSERT INTO dialog_out (owner, hash_entry, hash_id, to_uri, to_tag, caller_cseq,"
        f" callee_cseq, callee_contact, leg_no) VALUES ('{OWNER}', 1, 1, '{to_uri}', 'x', '1',"
        " '1', 'sip:x', 0)",
    )
    return here, there


def test_of_two_calls_in_one_place_the_one_that_belongs_there_is_kept(tmp_path: Path) -> None:
    here, _ = _two_calls_in_one_place(tmp_path, "sip:other@b")
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {here}
        assert [leg.to_tag for leg in daemon.listing()[here].legs] == ["to-1"]
        assert daemon.storage.status().skipped == 1
        daemon.table.set_var(daemon.dialog(here), "k", "v")
    with running(tmp_path) as daemon:
        assert [leg.to_tag for leg in daemon.listing()[here].legs] == ["to-1"]
        assert daemon.listing()[here].variables == (("k", "v"),)
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 2}


def test_two_calls_whose_legs_cannot_be_told_apart_are_both_skipped(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _two_calls_in_one_place(tmp_path, record(1).to_uri)
    with running(tmp_path) as daemon:
        assert daemon.listing() == {}
        assert daemon.storage.status().skipped == 2
        daemon.call("new")
    assert rows(tmp_path) == rows(tmp_path, "dialog_out") == {OWNER: 3}
    assert sum(": skipped" in line for line in _said(caplog)) == 2
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"new"}


def test_a_call_that_is_stored_in_two_places_is_loaded_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    again = record(2, h_entry=3, callid="call-1", from_tag="from-1", legs=record(1).legs)
    store(tmp_path, record(1), again)
    with running(tmp_path) as daemon:
        assert daemon.listing().keys() == {"call-1"}
        assert daemon.storage.status().skipped == 1
    (said,) = (line for line in _said(caplog) if ": skipped" in line)
    assert "dialog_in 2: " in said
