"""Databases of a kamailio: opening them, telling which module wrote them, reading their values.

Nothing is written there. What the rows mean is known by ``importer_ims`` and ``importer_dialog``.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from urllib.parse import quote

from sqlalchemy import (
    URL,
    Connection,
    MetaData,
    Select,
    Table,
    create_engine,
    func,
    inspect,
    select,
)
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage.errors import RowFault, SchemaError, StorageError
from dlgmgmt.storage.url import MYSQL, POSTGRESQL, secrets_of, shown
from dlgmgmt.storage.values import Values

Kind = Literal["ims_dialog", "dialog"]

_TIMEOUT = 10
_PAGE = 1000


class Imported(NamedTuple):
    """A call. rows: what it was made of, ids by table."""

    record: DialogRecord
    rows: dict[str, list[int]]


@dataclass(slots=True)
class Found:
    """What was read, besides calls that go on. faults: rows that stand for none, each with why.

    calls: all of them. early: those that were not answered yet; ended: those that were over.
    Neither can be restored; ``gone`` are their rows, as in Imported.
    """

    calls: int = 0
    early: int = 0
    ended: int = 0
    gone: list[dict[str, list[int]]] = field(default_factory=list)
    faults: list[RowFault] = field(default_factory=list)


@contextlib.contextmanager
def source(url: URL) -> Iterator[Connection]:
    """A connection to a database that is only read. Raises StorageError."""
    try:
        engine = create_engine(url, poolclass=NullPool, **_options(url))
        with engine.connect() as connection:
            yield connection
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise StorageError(f"{shown(url)}: {_text(error, url)}") from None


def _options(url: URL) -> dict[str, Any]:
    backend = url.get_backend_name()
    if backend == POSTGRESQL:
        return {"connect_args": {"connect_timeout": _TIMEOUT}}
    if backend == MYSQL:
        return {
            "connect_args": {"connect_timeout": _TIMEOUT, "read_timeout": 60, "charset": "utf8mb4"}
        }

    def connect() -> sqlite3.Connection:
        # Not read-only: after a kill the last transaction may have to be taken back first.
        name = f"file:{quote(url.database or '')}?mode=rw"
        connection = sqlite3.connect(name, uri=True, timeout=_TIMEOUT, check_same_thread=False)
        # What a phone has sent need not be UTF-8.
        connection.text_factory = lambda data: data.decode(errors="surrogateescape")
        return connection

    return {"creator": connect}


def _text(error: BaseException, url: URL) -> str:
    """One line, without what is secret."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    text = " ".join(str(item) for item in cause.args) if cause.args else type(cause).__name__
    for secret in secrets_of(url):
        text = text.replace(secret, "***")
    return " ".join(text.split())[:300]


def kinds(connection: Connection) -> list[Kind]:
    """The modules whose tables are there; this program's own are not ims_dialog's."""
    names = set(inspect(connection).get_table_names())
    found: list[Kind] = []
    if {"dialog_in", "dialog_out"} <= names:
        table = Table("dialog_in", MetaData(), autoload_with=connection)
        if "owner" not in table.c or Source(connection).count(table):
            found.append("ims_dialog")
    if "dialog" in names:
        found.append("dialog")
    return found


class Source:
    """The tables of a kamailio, row by row. Only rows without an owner are kamailio's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._metadata = MetaData()

    def table(self, name: str, columns: frozenset[str]) -> Table:
        """A table that has at least these columns; SchemaError."""
        if not inspect(self._connection).has_table(name):
            raise SchemaError(f"there is no table {name}")
        table = Table(name, self._metadata, autoload_with=self._connection)
        lacking = columns - set(table.c.keys())
        if lacking:
            raise SchemaError(f"table {name} has no column {min(lacking)}: no table of kamailio 5")
        return table

    def count(self, table: Table) -> int:
        """Kamailio's rows of a table."""
        query = _foreign(table, select(func.count()).select_from(table))
        return int(self._connection.execute(query).scalar_one())

    def rows(self, table: Table) -> Iterator[Mapping[str, Any]]:
        """Kamailio's rows of a table, in the order in which they were written."""
        last: int | None = None
        while True:
            query = _foreign(table, select(table)).order_by(table.c.id).limit(_PAGE)
            if last is not None:
                query = query.where(table.c.id > last)
            page = self._connection.execute(query).mappings().all()
            for row in page:
                yield {str(name): value for name, value in row.items()}
            if len(page) < _PAGE:
                return
            last = page[-1]["id"]

    def variables(self, found: Found) -> dict[tuple[int, int], list[tuple[int, str, str]]]:
        """Variables by hash_entry and hash_id of their dialog: row, name and value."""
        if not inspect(self._connection).has_table("dialog_vars"):
            return {}
        table = self.table("dialog_vars", _VARIABLES)
        result: dict[tuple[int, int], list[tuple[int, str, str]]] = {}
        for row in self.rows(table):
            values = Values("dialog_vars", row)
            try:
                key = values.integer("hash_entry"), values.integer("hash_id")
                item = row["id"], values.text("dialog_key"), values.text("dialog_value")
            except RowFault as fault:
                found.faults.append(fault)
            else:
                result.setdefault(key, []).append(item)
        return result


_VARIABLES = frozenset({"id", "hash_entry", "hash_id", "dialog_key", "dialog_value"})


def _foreign(table: Table, query: Select[Any]) -> Select[Any]:
    return query.where(table.c.owner.is_(None)) if "owner" in table.c else query
