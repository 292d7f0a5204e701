"""Rows that are no dialogs, each spoiled in its own way: a line for each, and the rest goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.db.harness.calls import SCRIPT, Exchange
from tests.db.harness.stage import Stage, differences

Start = Callable[..., Stage]
Place = Callable[[Stage], Exchange]

ON_SQLITE = pytest.mark.parametrize("server", ["sqlite"], indirect=True)

LONG = "x" * 300_000

# Of the call with this name: what is done to its rows, and what the line about it says.
INSIDE = {
    "bad-state": ("state = 99", "state"),
    "no-state": ("state = NULL", "state"),
    "no-callid": ("callid = NULL", "callid"),
    "no-from-tag": ("from_tag = NULL", "from_tag"),
    "long-uri": (f"from_uri = '{LONG}'", "from_uri"),
    "long-callid": (f"callid = '{LONG}'", "callid"),
    "bad-cseq": ("caller_original_cseq = 'seven'", "caller_original_cseq"),
    "bad-timeout": ("timeout = -5", "timeout"),
    "bad-start": ("start_time = 4611686018427387904", "start_time"),
    "bad-json": ("xdata = '{\"profiles\": 7'", "xdata"),
    "no-entry": ("hash_entry = NULL", "hash_entry"),
}
OUTSIDE = {
    "no-to-tag": ("to_tag = NULL", "to_tag"),
    "leg-cseq": ("caller_cseq = '-3'", "caller_cseq"),
    "leg-contact": (f"callee_contact = '{LONG}'", "callee_contact"),
    "leg-json": ("xdata = '[1'", "xdata"),
}
VARIABLES = {"no-key": ("dialog_key = NULL", "dialog_key")}


def of(item: dict[str, Any]) -> str:
    return f"WHERE hash_entry = {item['h_entry']} AND hash_id = {item['h_id']}"


def test_each_spoiled_row_is_skipped_with_one_line(start: Start, exchange: Place) -> None:
    stage = start(1, script=SCRIPT, forks=1)
    calls = exchange(stage)
    good = [calls.place(kind) for kind in ("plain", "rich", "forked")]
    spoiled = {"dialog_in": INSIDE, "dialog_out": OUTSIDE, "dialog_vars": VARIABLES}
    for name in (*INSIDE, *OUTSIDE, *VARIABLES, "no-legs", "ringing", "twice"):
        calls.place("rich" if name in VARIABLES else "plain", f"{name}@db")
    before = stage.listing()
    stage.stop()

    ids: dict[str, int] = {}
    statements = []
    for table, ways in spoiled.items():
        for name, (change, _) in ways.items():
            where = of(before[f"{name}@db"])
            (((ids[name],), *_),) = stage.sql(f"SELECT id FROM {table} {where}")
            statements.append(f"UPDATE {table} SET {change} {where}")
    statements += [
        f"DELETE FROM dialog_out {of(before['no-legs@db'])}",
        f"UPDATE dialog_in SET state = 2 {of(before['ringing@db'])}",
        *_twice(stage, before["twice@db"]),
    ]
    stage.sql(*statements)

    stage.start()
    status = stage.wait_loaded()
    lines = [line for line in stage.stderr().splitlines() if ": skipped" in line]
    for table, ways in spoiled.items():
        for name, (_, word) in ways.items():
            found = [line for line in lines if f"{table} {ids[name]}: " in line]
            assert len(found) == 1, (name, found, lines)
            assert word in found[0]
            assert len(found[0]) < 500
    # And the call without legs, and the second copy of the one that is there twice.
    assert len(lines) == len(ids) + 2
    assert status["skipped"] == len(ids) + 2
    assert status["early"] == 1
    whole = {call.callid for call in good} | {"twice@db"}
    after = stage.listing()
    assert after.keys() == whole
    for callid in whole:
        assert differences(before[callid], after[callid]) == []
    for call in good:
        call.killed(stage)
    calls.place("plain", "new@db").killed(stage)
    stage.stop()
    # What was not understood is still there for whoever understands it.
    assert stage.rows()["dialog_in"] >= len(ids)


def _twice(stage: Stage, item: dict[str, Any]) -> Iterator[str]:
    """Statements by which a call is there twice, the second time under another number."""
    for table in ("dialog_in", "dialog_out"):
        columns = [name for name in stage.columns(table) if name != "id"]
        names = ", ".join(columns)
        values = names.replace("hash_id", f"{item['h_id'] + 1000}")
        yield f"INSERT INTO {table} ({names}) SELECT {values} FROM {table} {of(item)}"


@ON_SQLITE
@pytest.mark.parametrize(
    ("table", "change", "back"),
    [
        ("dlgmgmt_schema", "version_num = '9999'", "version_num = '0001'"),
        ("version", "table_version = 33", "table_version = 7"),
    ],
)
def test_tables_of_another_version_are_not_touched(
    start: Start, exchange: Place, table: str, change: str, back: str
) -> None:
    stage = start(1)
    call = exchange(stage).place("plain")
    before = stage.listing()
    stage.stop()
    rows = stage.rows()
    stage.sql(f"UPDATE {table} SET {change}")
    code, log = stage.refused()
    assert code == 1
    last = log.strip().splitlines()[-1]
    assert last.startswith("dlgmgmt: database "), log
    assert change.split(" = ")[1].strip("'") in last
    assert "Traceback" not in log
    assert stage.rows() == rows
    stage.sql(f"UPDATE {table} SET {back}")
    stage.start()
    stage.wait_loaded()
    assert differences(before[call.callid], stage.listing()[call.callid]) == []
    call.killed(stage)
