"""The short way from rows to dialogs, and where it leads to the same as the long one."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.restore import put_plain, restore
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.plain import plain_call
from dlgmgmt.storage.rows import record_from
from dlgmgmt.storage.tables import (
    CALL_LEG_COPIES,
    CALL_LEG_TEXTS,
    CALL_TEXTS,
    IN_COLUMNS,
    OUT_COLUMNS,
    SHARED,
)
from tests.unit.storage.daemon import OWNER, batch, settings_in
from tests.unit.storage.records import leg, record, records, rich

EXAMPLES = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
BEFORE = 1_700_000_100.0
"""Unix seconds: the timeouts of record() are to come."""

MONOTONIC = 5_000.0
PLACE = ("entry", "timer", "limit", "legs", "_did")
SESSION: dict[str, Any] = {
    "session_ts": 1_700_001_800,
    "legs": (leg(session_end=1_700_001_800.25),),
}


def table(*, session_timers: bool = True) -> DialogTable:
    return DialogTable(
        DialogSettings(hash_size=4096, session_timers=session_timers),
        wall=lambda: BEFORE,
        monotonic=lambda: MONOTONIC,
        rng=random.Random(3),
    )


def placed(dialog: DialogRecord) -> DialogRecord:
    """In the entry that its Call-ID belongs to."""
    h_entry = table().hash_of(dialog.callid)
    return dialog._replace(h_entry=h_entry, did=encode_did(h_entry, dialog.h_id))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(settings_in(tmp_path))
    database.open()
    yield database
    database.close()


def calls(database: Database, rows: int = 0) -> list[list[Row]]:
    return list(database.calls(OWNER, rows, after=0, last=database.last(OWNER)))


def stored(database: Database, *dialogs: DialogRecord) -> list[Row]:
    """What is read of these, and of no others."""
    database.clear(OWNER)
    database.write(batch(*dialogs))
    return [row for page in calls(database) for row in page]


def spoilt(database: Database, table: str, column: str, value: object) -> Row:
    """What is read of an ordinary call with another value in a column."""
    stored(database, placed(record()))
    path = database.settings.url.removeprefix("sqlite:///")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = ?", (value,))
    (row,) = [row for page in calls(database) for row in page]
    return row


def short(row: Row) -> Dialog | None:
    return plain_call(row, table(), BEFORE, MONOTONIC)


def fields(thing: Dialog | OutLeg) -> dict[str, Any]:
    return {name: getattr(thing, name) for name in type(thing).__slots__ if name not in PLACE}


def assert_same(database: Database, row: Row, *, session_timers: bool = True) -> Dialog:
    """The short way leads to what the long one leads to."""
    by_short, by_long = (table(session_timers=session_timers) for _ in range(2))
    one = plain_call(row, by_short, BEFORE, MONOTONIC)
    assert one is not None
    assert put_plain(by_short, [one], MONOTONIC - BEFORE) == 1
    (whole,) = database.dialogs(OWNER, [row[0]])
    other = restore(by_long, record_from(whole)).dialog
    assert fields(one) == fields(other)
    assert one.did == other.did
    assert [*map(fields, one.legs.values())] == [*map(fields, other.legs.values())]
    assert one.entry.index == other.entry.index
    assert by_short.dialog(one.entry.index, one.h_id) is one
    assert by_short.counts() == by_long.counts()
    with one.entry.lock, other.entry.lock:
        assert one.view() == other.view()
    assert one.timer is not None
    assert other.timer is not None
    assert one.timer.tick == other.timer.tick
    assert by_short.profiles.sizes() == by_long.profiles.sizes()
    assert (one.limit and one.limit.tick) == (other.limit and other.limit.tick)
    return one


@EXAMPLES
@given(dialog=records)
def test_it_leads_to_the_same_place_or_nowhere(database: Database, dialog: DialogRecord) -> None:
    rows = stored(database, placed(dialog))
    if len(rows) == 1 and short(rows[0]) is not None:
        assert_same(database, rows[0])
    else:
        # More than one row is no ordinary call.
        assert len(rows) > 1 or short(rows[0]) is None


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"timeout_bye": True, "keepalive": 2},
        {"timeout_noreset": True, "fix_contact": True, "keepalive": 3, "sflags": 0xFFFFFFFF},
        {"caller_route_set": ("<sip:192.0.2.8;lr>", "<sip:192.0.2.9;lr>"), "toroute": "gone"},
        {"legs": (leg(callee_cseq=7, callee_cseq_seen=True, to_uri="sip:c@d", dflags=3),)},
        {"callid": "ünïcode"},
        SESSION,
        {"profiles": (("caller", "älice"), ("inbound", None), ("caller", "älice"))},
        {**SESSION, "profiles": (("caller", "\0"),)},
    ],
)
def test_an_ordinary_call_goes_the_short_way(database: Database, changes: dict[str, Any]) -> None:
    (row,) = stored(database, placed(record(**changes)))
    assert_same(database, row)


@pytest.mark.parametrize("session_timers", [True, False])
def test_its_session_timer_runs_if_it_may(database: Database, *, session_timers: bool) -> None:
    (row,) = stored(database, placed(record(**SESSION)))
    dialog = assert_same(database, row, session_timers=session_timers)
    assert (dialog.limit is not None) is session_timers
    assert dialog.session_ts == (1_700_001_800 if session_timers else 0)


@pytest.mark.parametrize(
    "dialog",
    [
        rich()._replace(legs=rich().legs[:1]),
        record(state=5),
        record(timeout=0),
        record(timeout=1_700_000_100),
        record(session_ts=1_700_001_800),
        record(lifetime=0),
        record(callid="x" * 9_000),
        record(profiles=(("p", None),), from_uri="\0"),
        record(profiles=(("p", "x" * 9_000),)),
        record(legs=(leg(acked=False, confirmed_at=1_700_000_009.5),)),
        record(legs=(leg(session_end=1_700_001_800.25),)),
        record(session_ts=1_700_000_100, legs=(leg(session_end=1_700_000_101.25),)),
        record(session_ts=1_700_000_101, legs=(leg(session_end=1_700_000_100.0),)),
        record(legs=(leg(moved_by=(3, 0)),)),
        record(legs=(leg(caller_cseq=4_294_967_295),)),
        record(legs=()),
    ],
)
def test_any_other_call_does_not(database: Database, dialog: DialogRecord) -> None:
    (row,) = stored(database, placed(dialog))
    assert short(row) is None


def test_nor_does_one_whose_entry_is_another_now(database: Database) -> None:
    dialog = placed(record())
    (row,) = stored(database, dialog._replace(h_entry=dialog.h_entry ^ 1))
    assert short(row) is None


TEXTS = {*CALL_TEXTS, *CALL_LEG_TEXTS, *CALL_LEG_COPIES}
NUMBERS = (None, b"\xff", "seven", -1)
BROKEN = [
    (table, column, value)
    for table, columns in (
        ("dialog_in", IN_COLUMNS[4:-1]),
        ("dialog_in", ("hash_entry", "hash_id")),
        ("dialog_out", OUT_COLUMNS[len(SHARED) : -1]),
    )
    for column in columns
    for value in ((None, b"\xff") if column in TEXTS else NUMBERS)
]


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        *BROKEN,
        *(("dialog_in", name, "") for name in ("callid", "from_tag", "caller_original_cseq")),
        *(("dialog_out", name, "") for name in ("to_tag", "caller_cseq", "callee_cseq")),
        *(("dialog_out", "callee_cseq", text) for text in ("-1", "1 ", "0x1", "9" * 5_000)),
        *(("dialog_in", "xdata", text) for text in (b"\xff", "", "{}", "[]", "7", "{")),
        ("dialog_in", "xdata", '{"profiles": [], "more": 1}'),
        ("dialog_in", "xdata", '{"profiles": [["p"]]}'),
        ("dialog_out", "xdata", "{"),
        ("dialog_in", "session_ts", ""),
        ("dialog_out", "session_end", ""),
        ("dialog_in", "switches", 32),
        ("dialog_in", "hash_id", 0),
        ("dialog_in", "hash_id", 2**32),
        ("dialog_in", "timeout", 2**53),
        ("dialog_out", "leg_no", 1),
    ],
)
def test_no_broken_value_does(database: Database, table: str, column: str, value: Any) -> None:
    assert short(spoilt(database, table, column, value)) is None


def test_a_leg_of_another_place_is_no_leg_of_it(database: Database) -> None:
    assert short(spoilt(database, "dialog_out", "hash_id", 99)) is None
