"""The daemon's own connection to a database, for tests that need no daemon."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage.database import Database, WriteBatch
from dlgmgmt.storage.rows import in_row, out_rows, record_from, var_rows
from dlgmgmt.storage.settings import StorageSettings

from .servers import Server

OWNER = "dlgmgmt"
Make = Callable[..., Database]


@pytest.fixture
def make(server: Server, tmp_path: Path) -> Iterator[Make]:
    """Databases of the server, all of a test on the same one."""
    url = server.new_database()
    made: list[Database] = []

    def make(owner: str = OWNER, *, lock: bool = True, **more: Any) -> Database:
        plain = StorageSettings(
            url=url, mode=1, update_period=60.0, fetch_rows=100, rescue_dir=tmp_path, owner=owner,
            answer_timeout=2.0,
        )  # fmt: skip
        made.append(Database(replace(plain, **more), lock=lock))
        return made[-1]

    yield make
    for database in made:
        database.close()


@pytest.fixture
def database(make: Make) -> Database:
    database = make()
    database.open()
    return database


def batch(*dialogs: DialogRecord, owner: str = OWNER) -> WriteBatch:
    return WriteBatch(
        dialogs=[in_row(dialog, owner) for dialog in dialogs],
        legs=[row for dialog in dialogs for row in out_rows(dialog, owner)],
        vars_replaced=[(dialog.h_entry, dialog.h_id) for dialog in dialogs],
        vars=[row for dialog in dialogs for row in var_rows(dialog, owner)],
    )


def key(dialog: DialogRecord, owner: str | None = OWNER) -> tuple[str | None, int, int]:
    return owner, dialog.h_entry, dialog.h_id


def read(database: Database, owner: str | None = OWNER, rows: int = 100) -> list[DialogRecord]:
    return [record_from(dialog) for page in database.read(owner, rows) for dialog in page]


def columns(server: Server, url: str, sql: str) -> list[Any]:
    return [row[0] for row in server.query(url, sql)]
