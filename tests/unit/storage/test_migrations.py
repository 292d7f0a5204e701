"""The schema on SQLite; tests/db has the same on servers."""

from __future__ import annotations

import ast
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import inspect

from dlgmgmt.storage import locks, migrate, migrations
from dlgmgmt.storage.database import Database, WriteBatch
from dlgmgmt.storage.drivers import Target, engine_of
from dlgmgmt.storage.errors import OwnerTaken, SchemaError, StorageError
from dlgmgmt.storage.rows import in_row, out_rows
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.tables import IN_COLUMNS, METADATA, OUT_COLUMNS, VAR_COLUMNS
from dlgmgmt.storage.url import parse_url
from tests.unit.storage.records import record


def settings_of(path: Path, *, upgrade: bool = True, owner: str = "dlgmgmt") -> StorageSettings:
    return StorageSettings(
        url=f"sqlite:///{path}",
        mode=1,
        update_period=60.0,
        fetch_rows=100,
        rescue_dir=path.parent,
        upgrade=upgrade,
        owner=owner,
    )


def target(path: Path) -> Target:
    return Target(parse_url(f"sqlite:///{path}"))


def test_the_list_of_versions_is_that_of_the_files() -> None:
    found = []
    for path in sorted((Path(migrations.__file__).parent / "versions").glob("v*.py")):
        values = {
            node.targets[0].id: ast.literal_eval(node.value)
            for node in ast.parse(path.read_text()).body
            if isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Name)
            and node.targets[0].id in {"revision", "down_revision"}
        }
        found.append(values)
    assert [each["revision"] for each in found] == list(migrate.VERSIONS)
    assert [each["down_revision"] for each in found] == [None, *list(migrate.VERSIONS)[:-1]]


def test_migrations_make_what_the_program_uses(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    assert migrate.current(target(path)) is None
    assert migrate.upgrade(target(path)) == migrate.Change(None, migrate.NEWEST)
    assert migrate.current(target(path)) == migrate.NEWEST
    assert migrate.upgrade(target(path)) == migrate.Change(migrate.NEWEST, migrate.NEWEST)
    made = inspect(engine_of(target(path)))
    for table in METADATA.sorted_tables:
        columns = {column["name"] for column in made.get_columns(table.name)}
        assert columns == set(table.columns.keys())
        indexes = {
            (index["name"], tuple(index["column_names"]), bool(index["unique"]))
            for index in made.get_indexes(table.name)
        }
        assert indexes == {
            (str(index.name), tuple(index.columns.keys()), bool(index.unique))
            for index in table.indexes
        }


def test_kamailio_finds_its_versions(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    migrate.upgrade(target(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = connection.execute("SELECT * FROM version ORDER BY table_name").fetchall()
    assert rows == [("dialog_in", 7), ("dialog_out", 7), ("dialog_vars", 7)]


def test_a_database_of_kamailios_dialog_module_keeps_its_versions(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE version (table_name VARCHAR(32), table_version INTEGER)")
        connection.execute("INSERT INTO version VALUES ('dialog_vars', 1), ('dialog', 7)")
    migrate.upgrade(target(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        rows = set(connection.execute("SELECT * FROM version"))
    assert rows == {("dialog_vars", 1), ("dialog", 7), ("dialog_in", 7), ("dialog_out", 7)}


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    migrate.upgrade(target(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'")
    for work in (Database(settings_of(path)).open, lambda: migrate.upgrade(target(path))):
        with pytest.raises(SchemaError, match=r"version '9999'.*a newer dlgmgmt has been here"):
            work()


def test_without_upgrade_nothing_is_made(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    with pytest.raises(SchemaError, match=r"there are no tables.*dlgmgmt db upgrade"):
        Database(settings_of(path, upgrade=False)).open()
    migrate.upgrade(target(path))
    database = Database(settings_of(path, upgrade=False))
    database.open()
    assert database.count("dlgmgmt") == 0
    database.close()


def test_more_than_an_addition_is_left_to_the_operator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrate, "VERSIONS", {"0001": False})
    with pytest.raises(SchemaError, match=r"make a backup, stop all daemons"):
        migrate.ensure(target(tmp_path / "d.sqlite"), automatic=True)


def test_a_table_that_is_none_of_kamailios(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE dialog_out (something TEXT)")
    with pytest.raises(SchemaError, match="dialog_out has no column id"):
        migrate.upgrade(target(path))
    with closing(sqlite3.connect(path)) as connection, connection:
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
    assert tables == [("dialog_out",)], "all of a migration or nothing"


def test_the_columns_of_rows_are_those_of_the_tables() -> None:
    assert (
        IN_COLUMNS[:3] == OUT_COLUMNS[:3] == VAR_COLUMNS[:3] == ("owner", "hash_entry", "hash_id")
    )
    assert "id" not in {*IN_COLUMNS, *OUT_COLUMNS, *VAR_COLUMNS}


def test_the_file_is_for_the_daemon_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "dialogs.sqlite"
    old = os.umask(0)
    try:
        database = Database(settings_of(path))
        database.open()
        dialog = record()
        rows = out_rows(dialog, "dlgmgmt")
        database.write(WriteBatch(dialogs=[in_row(dialog, "dlgmgmt")], legs=rows))
    finally:
        os.umask(old)
    for found in path.parent.iterdir():
        assert stat.S_IMODE(found.stat().st_mode) == 0o600, found
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    with closing(sqlite3.connect(path)) as connection, connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    database.close()


@pytest.mark.parametrize(("setting", "number"), [("full", 2), ("normal", 1)])
def test_how_much_sqlite_syncs(tmp_path: Path, setting: str, number: int) -> None:
    engine = engine_of(target(tmp_path / "d.sqlite")._replace(synchronous=setting))
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == number


def test_what_is_no_database_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "d.sqlite"
    path.write_text("this is a letter, and has been one for longer than a hundred bytes" * 20)
    with pytest.raises(StorageError, match=r"^sqlite.*d.sqlite: file is not a database$"):
        Database(settings_of(path)).open()
    with pytest.raises(StorageError, match=r"Not a directory|not a directory|File exists"):
        Database(settings_of(path / "below.sqlite")).open()


def test_owners_with_any_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "WAIT", 0.1)
    path = tmp_path / "d.sqlite"
    owner = "../a b/\N{SNOWMAN}"
    database = Database(settings_of(path, owner=owner))
    database.open()
    with pytest.raises(OwnerTaken, match="belong to a daemon that is running"):
        Database(settings_of(path, owner=owner)).open()
    database.close()
    assert {p.name for p in tmp_path.iterdir()} == {
        "d.sqlite",
        "d.sqlite...%2Fa%20b%2F%E2%98%83.lock",
    }
