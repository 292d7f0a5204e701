"""Databases that Debian's kamailio wrote about four real calls (tests/data/kamailio-db)."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.storage import importer_dialog, importer_ims
from dlgmgmt.storage.importer import Found, Imported, source
from dlgmgmt.storage.url import parse_url

DATA = Path(__file__).parents[2] / "data" / "kamailio-db"
NOW = 1_795_682_100.0
NAMES = ("plain", "rich", "fork", "moved")
READERS = {"ims_dialog": importer_ims.read, "dialog": importer_dialog.read}

Make = Callable[..., Path]


def read(kind: str, path: Path) -> tuple[dict[str, Imported], Found]:
    """The calls by the first part of their Call-ID."""
    found = Found()
    with source(parse_url(f"sqlite:///{path}")) as connection:
        calls = list(READERS[kind](connection, NOW, found))
    return {call.record.callid.partition("@")[0]: call for call in calls}, found


def faults(kind: str, path: Path) -> list[str]:
    return [str(fault) for fault in read(kind, path)[1].faults]


def leg_of(record: DialogRecord) -> LegRecord:
    (leg,) = record.legs
    return leg


def maker(folder: Path) -> Make:
    """Makes a database of one of the kinds, changed by statements."""

    def made(kind: str, *statements: str) -> Path:
        path = folder / f"{kind}.sqlite"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript((DATA / f"{kind}.sql").read_text())
            for statement in statements:
                connection.execute(statement)
            connection.commit()
        return path

    return made
