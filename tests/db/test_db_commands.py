"""dlgmgmt db on each of the servers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import MetaData, create_engine, select

from dlgmgmt.cli.main import main
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.url import parse_url
from tests.unit.cli.shelf import NOW, Shelf, dialog, leg

DATA = Path(__file__).parents[1] / "data" / "kamailio-db"


@pytest.fixture
def shelf(
    database_url: Callable[[], str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> Shelf:
    return Shelf(tmp_path, capsys, database_url())


def test_dump_and_restore(shelf: Shelf, database_url: Callable[[], str]) -> None:
    records = [
        dialog(1),
        dialog(2, state=7, legs=(leg("a"), leg("b", acked=False, confirmed_at=NOW - 1.5))),
        dialog(3, callid="\x00\ud800\u20ac", profiles=(), variables=(), history=()),
        dialog(4, callid="Call-ID"),
        dialog(5, callid="call-id"),
    ]
    shelf.put(*records)
    shelf.put(dialog(1), owner="other")
    out = shelf.folder / "d.jsonl"
    assert shelf.db("dump", "-o", out, "--owner", "dlgmgmt")[0] == 0
    other = Shelf(shelf.folder, shelf.capsys, database_url())
    code, _, said = other.db("restore", out)
    assert (code, said) == (0, [])
    assert other.there() == records
    # Again, over what is there.
    code, shown, _ = other.db("restore", out)
    assert (code, "0 dialogs added, 5 replaced" in shown) == (0, True)
    assert other.there() == records
    code, shown, said = shelf.db("check")
    assert (code, said) == (0, [])
    assert shown.splitlines()[1:] == [
        "dialogs of owner dlgmgmt: 5 good, 0 early, 0 faults",
        "dialogs of owner other: 1 good, 0 early, 0 faults",
    ]


def test_upgrade_says_what_it_did(shelf: Shelf) -> None:
    code, out, said = shelf.db("upgrade")
    assert (code, said) == (0, [])
    assert out.endswith(": tables made in version 0001\n")
    assert shelf.db("upgrade")[1].endswith(": the tables are of version 0001 already\n")


def test_a_running_daemon_is_left_alone(shelf: Shelf) -> None:
    shelf.put(dialog(1))
    out = shelf.folder / "d.jsonl"
    assert shelf.db("dump", "-o", out)[0] == 0
    running = Database(shelf.settings())
    running.open()
    try:
        assert shelf.db("dump", "-o", out, "--force")[0] == 0, "reading is no trouble to it"
        assert shelf.db("check")[0] == 0
        code, shown, said = shelf.db("restore", out)
    finally:
        running.close()
    assert (code, shown, len(said)) == (1, "", 1)
    assert "belong to a daemon that is running" in said[0]


@pytest.mark.parametrize("kind", ["ims_dialog", "dialog"])
def test_kamailios_tables_in_the_database_itself(shelf: Shelf, kind: str) -> None:
    _copy(kind, shelf)
    code, shown, said = shelf.db("import", "--from", shelf.url)
    assert (code, said) == (0, [])
    assert f"{kind}: 4 calls imported" in shown
    records = shelf.there()
    names = [record.callid.partition("@")[0] for record in records]
    assert names == ["plain", "rich", "fork", "moved"]
    assert [len(record.legs) for record in records] == [1, 1, 2 if kind == "ims_dialog" else 1, 1]
    assert sorted(records[1].variables) == [("more", "yes"), ("who", "alice & co")]
    assert records[1].toroute == "GONE"
    code, shown, said = shelf.db("check")
    assert (code, said) == (0, [])
    if kind == "ims_dialog":
        assert "without owner" not in shown


def _copy(kind: str, shelf: Shelf) -> None:
    """kamailio's tables, as they would be on that server."""
    path = shelf.folder / "kamailio.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((DATA / f"{kind}.sql").read_text())
    there = create_engine(f"sqlite:///{path}")
    here = create_engine(parse_url(shelf.url))
    metadata = MetaData()
    metadata.reflect(there)
    metadata.create_all(here)
    with there.connect() as old, here.begin() as new:
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in old.execute(select(table)).mappings()]
            for row in rows:
                # The server numbers them itself.
                row.pop("id", None)
            new.execute(table.insert(), rows)
    there.dispose()
    here.dispose()


def test_what_is_said_of_a_server_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    for scheme in ("postgres", "mysql"):
        assert main(["db", "check", "--url", f"{scheme}://u:sesame@127.0.0.1:1/calls"]) == 1
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert "sesame" not in said
