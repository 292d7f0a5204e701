"""Whether a transaction that failed may have been written all the same."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import StorageError
from tests.unit.storage.daemon import settings_in

SOMETHING = WriteBatch(row_ids={"dialog_in": [-1]})


class Lost:
    """A connection that breaks while it commits."""

    def __init__(self, connection: Any, code: int) -> None:
        self._connection = connection
        self._error = sqlite3.OperationalError("it does not work")
        self._error.sqlite_errorcode = code

    def commit(self) -> None:
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    found = Database(settings_in(tmp_path))
    found.open()
    return found


def failure(database: Database) -> StorageError:
    with pytest.raises(StorageError) as caught:
        database.write(SOMETHING)
    database.close()
    return caught.value


def test_what_was_not_committed_was_not_written(database: Database) -> None:
    with sqlite3.connect(database.settings.url.removeprefix("sqlite:///")) as other:
        other.execute("DROP TABLE dialog_in")
    other.close()
    assert failure(database).undone


def test_what_cannot_be_reached_was_not_written(database: Database, tmp_path: Path) -> None:
    database.close()
    path = tmp_path / "dialogs.sqlite"
    path.unlink()
    path.mkdir()
    assert failure(database).undone


@pytest.mark.parametrize(
    ("code", "undone"), [(sqlite3.SQLITE_IOERR, False), (sqlite3.SQLITE_FULL, True)]
)
def test_of_most_commits_that_fail_nobody_knows(
    database: Database,
    code: int,
    undone: bool,  # noqa: FBT001 - a case
) -> None:
    assert database._connection is not None
    database._connection = Lost(database._connection, code)
    assert failure(database).undone is undone
