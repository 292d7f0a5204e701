"""dlgmgmt db import: the calls of a kamailio, from its database into the daemon's."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dlgmgmt.storage.database import Database
from tests.unit.cli.shelf import Shelf, dialog

DATA = Path(__file__).parents[2] / "data" / "kamailio-db"
CALLS = [f"{name}@kamailio.example.com" for name in ("plain", "rich", "fork", "moved")]


@pytest.fixture
def shelf(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Shelf:
    return Shelf(tmp_path, capsys)


def kamailio(folder: Path, *kinds: str, name: str = "kamailio.sqlite") -> str:
    """A database that kamailio wrote; its URL."""
    path = folder / name
    with closing(sqlite3.connect(path)) as connection:
        for kind in kinds:
            connection.executescript((DATA / f"{kind}.sql").read_text())
    return f"sqlite:///{path}"


@pytest.mark.parametrize("kind", ["ims_dialog", "dialog"])
def test_the_calls_are_in_the_database_afterwards(shelf: Shelf, kind: str) -> None:
    source = kamailio(shelf.folder, kind)
    code, out, said = shelf.db("import", "--from", source, "--owner", "sip1")
    assert (code, said) == (0, [])
    assert out.partition(".sqlite: ")[2] == (
        f"{kind}: 4 calls imported; left out: 0 early, 0 ended, 0 that are there already,"
        " 0 faults\n"
    )
    records = shelf.there("sip1")
    assert [record.callid for record in records] == CALLS
    assert sorted(records[1].variables) == [("more", "yes"), ("who", "alice & co")]
    profiles = (("caller", "alice"), ("inbound", None), ("caller", 'b, "c"'))
    assert records[1].profiles == (profiles if kind == "dialog" else ())
    assert shelf.db("check")[0] == 0


@pytest.mark.parametrize("kind", ["ims_dialog", "dialog"])
def test_a_dry_run_writes_nothing(shelf: Shelf, kind: str) -> None:
    source = kamailio(shelf.folder, kind)
    before = (shelf.folder / "kamailio.sqlite").read_bytes()
    code, out, said = shelf.db("import", "--from", source, "--dry-run")
    assert (code, said) == (0, [])
    assert f"{kind}: 4 calls would be imported" in out
    assert [path.name for path in shelf.folder.iterdir()] == ["kamailio.sqlite"]
    assert (shelf.folder / "kamailio.sqlite").read_bytes() == before


def test_a_call_that_is_there_stays_as_it_is(shelf: Shelf) -> None:
    source = kamailio(shelf.folder, "dialog")
    shelf.db("import", "--from", source)
    shelf.sql("UPDATE dialog_in SET sflags = 99")
    shelf.sql("DELETE FROM dialog_in WHERE callid LIKE 'plain%'")
    code, out, said = shelf.db("import", "--from", source)
    assert (code, len(said)) == (0, 3)
    assert said[0] == "the call rich@kamailio.example.com is there already"
    assert "1 calls imported; left out: 0 early, 0 ended, 3 that are there already" in out
    assert [record.sflags for record in shelf.there()].count(99) == 3


def test_a_place_that_another_call_has(shelf: Shelf) -> None:
    shelf.put(dialog(1, h_entry=6, h_id=11017))
    code, _, _ = shelf.db("import", "--from", kamailio(shelf.folder, "dialog"))
    assert code == 0
    places = {record.callid: (record.h_entry, record.h_id) for record in shelf.there()}
    assert places["call-1@example.com"] == (6, 11017)
    assert places["plain@kamailio.example.com"] == (6, 11018)


def test_in_kamailios_own_database_its_rows_give_way(shelf: Shelf) -> None:
    source = kamailio(shelf.folder, "ims_dialog", name=shelf.path.name)
    shelf.sql("UPDATE dialog_in SET state = 6 WHERE id = 4")
    assert shelf.db("upgrade")[0] == 0
    assert shelf.db("check")[1].splitlines()[1:] == [
        "dialogs without owner, which kamailio wrote: 3 good, 0 early, 0 faults"
    ]
    code, out, said = shelf.db("import", "--from", source)
    assert (code, said) == (0, [])
    assert "3 calls imported; left out: 0 early, 1 ended" in out
    with closing(sqlite3.connect(shelf.path)) as connection:
        for table, count in (("dialog_in", 3), ("dialog_out", 4), ("dialog_vars", 2)):
            owners = connection.execute(f"SELECT owner FROM {table}").fetchall()
            assert owners == [("dlgmgmt",)] * count
    assert [record.callid for record in shelf.there()] == CALLS[:3]


def test_in_the_database_of_the_dialog_module_its_table_stays(shelf: Shelf) -> None:
    source = kamailio(shelf.folder, "dialog", name=shelf.path.name)
    assert shelf.db("import", "--from", source)[0] == 0
    with closing(sqlite3.connect(shelf.path)) as connection:
        assert connection.execute("SELECT count(*) FROM dialog").fetchone() == (4,)
        owners = connection.execute("SELECT owner FROM dialog_vars").fetchall()
    assert owners == [("dlgmgmt",)] * 2
    code, out, said = shelf.db("import", "--from", source)
    assert (code, len(said)) == (0, 4)
    assert "0 calls imported" in out


def test_rows_that_cannot_be_used_are_named_and_the_others_imported(shelf: Shelf) -> None:
    source = kamailio(shelf.folder, "dialog")
    with closing(sqlite3.connect(shelf.folder / "kamailio.sqlite")) as connection:
        connection.execute("UPDATE dialog SET state = 9 WHERE id = 1")
        connection.execute("UPDATE dialog SET state = 2 WHERE id = 3")
        connection.execute("UPDATE dialog SET callid = 'moved@kamailio.example.com',"
                           " to_tag = 'uas19832-1' WHERE id = 2")  # fmt: skip
        connection.commit()
    code, out, said = shelf.db("import", "--from", source)
    assert code == 3
    assert said[0] == "dialog 1: state is 9, which is none of that module"
    assert said[1].startswith("dialog 4: ")
    assert said[1].endswith("is the same dialog")
    assert "1 calls imported; left out: 1 early, 0 ended, 0 that are there already, 2 faults" in out


def test_tables_of_both_modules(shelf: Shelf) -> None:
    source = kamailio(shelf.folder, "dialog")
    with closing(sqlite3.connect(shelf.folder / "kamailio.sqlite")) as connection:
        connection.execute("CREATE TABLE dialog_in (id INTEGER)")
        connection.execute("CREATE TABLE dialog_out (id INTEGER)")
    code, out, said = shelf.db("import", "--from", source)
    assert (code, out, len(said)) == (2, "", 1)
    assert said[0].endswith("there are tables of both modules: say --kind")
    code, out, _ = shelf.db("import", "--from", source, "--kind", "dialog")
    assert code == 0
    assert "dialog: 4 calls imported" in out


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (
            "sqlite:////nowhere/k.sqlite",
            "sqlite+pysqlite:////nowhere/k.sqlite: there is no such file",
        ),
        ("postgres://k:sesame@127.0.0.1:1/k", "postgresql+psycopg://k:***@127.0.0.1:1/k: "),
        ("mysql://k:sesame@127.0.0.1:1/k", "mysql+pymysql://k:***@127.0.0.1:1/k: "),
    ],
)
def test_a_database_that_cannot_be_read(shelf: Shelf, source: str, said: str) -> None:
    code, out, lines = shelf.db("import", "--from", source)
    assert (code, out, len(lines)) == (1, "", 1)
    assert lines[0].startswith(said)
    assert "sesame" not in lines[0]


def test_a_database_without_such_tables(shelf: Shelf) -> None:
    path = shelf.folder / "k.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE location (id INTEGER)")
    code, _, said = shelf.db("import", "--from", f"sqlite:///{path}")
    assert (code, len(said)) == (1, 1)
    assert said[0].endswith("there are no tables of kamailio's dialogs")
    code, _, said = shelf.db("import", "--from", f"sqlite:///{path}", "--kind", "dialog")
    assert (code, said) == (1, ["there is no table dialog"])


def test_nothing_is_imported_under_a_running_daemon(shelf: Shelf) -> None:
    running = Database(shelf.settings())
    running.open()
    try:
        code, out, said = shelf.db("import", "--from", kamailio(shelf.folder, "dialog"))
    finally:
        running.close()
    assert (code, out, len(said)) == (1, "", 1)
    assert "belong to a daemon that is running" in said[0]
    assert shelf.there() == []
