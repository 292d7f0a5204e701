"""The SQL, made with SQLAlchemy Core and compiled once for each kind of database.

Rows are given to the driver as tuples: what Core does for each row would take longer than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Delete,
    Select,
    String,
    Table,
    Text,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal_column,
    select,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.sql import ClauseElement

from dlgmgmt.storage.page_statements import Pages, Sql, is_owner, number
from dlgmgmt.storage.tables import (
    DIALOG_IN,
    DIALOG_OUT,
    DIALOG_VARS,
    IN_COLUMNS,
    OUT_COLUMNS,
    VAR_COLUMNS,
)
from dlgmgmt.storage.url import MYSQL, POSTGRESQL, SQLITE

TABLES = (DIALOG_IN, DIALOG_OUT, DIALOG_VARS)
_KEY = ("hash_entry", "hash_id")


class Statements(Pages):
    """All that is said to one kind of database."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.transaction = self._transaction() if kind == POSTGRESQL else ""
        self._deletes: dict[tuple[str | int, ...], str] = {}
        self.put_in = self._upsert(DIALOG_IN, (*IN_COLUMNS[:3],), IN_COLUMNS)
        self.put_out = self._upsert(DIALOG_OUT, (*OUT_COLUMNS[:3], "leg_no"), OUT_COLUMNS)
        self.add_var = self._insert_var()
        # In the order of Key.
        self.delete_owned = [self._delete(table, owned=True) for table in TABLES]
        self.delete_unowned = [self._delete(table, owned=False) for table in TABLES]
        beyond = (*_keys(DIALOG_OUT, owned=True), DIALOG_OUT.c.leg_no >= number("leg_no"))
        self.delete_beyond = self.sql(delete(DIALOG_OUT).where(*beyond))
        self.delete_ids = {
            table.name: self.sql(delete(table).where(table.c.id == number("id")))
            for table in TABLES
        }

    def _upsert(self, table: Table, key: Sequence[str], columns: tuple[str, ...]) -> Sql:
        """With PostgreSQL, the one parameter is a text: JSON of a list of rows."""
        values = _parameters(columns)
        changed = [name for name in columns if name not in key]
        if self._kind == MYSQL:
            replace = mysql.insert(table).values(values)
            statement: ClauseElement = replace.on_duplicate_key_update(
                {name: replace.inserted[name] for name in changed}
            )
        elif self._kind == SQLITE:
            put = sqlite.insert(table).values(values)
            statement = put.on_conflict_do_update(
                index_elements=list(key), set_={name: put.excluded[name] for name in changed}
            )
        else:
            statement = self._listed_upsert(table, key, columns, "rows")
        sql = self.sql(statement)
        if sql.names != (columns if self._kind != POSTGRESQL else ("rows",)):
            raise AssertionError(f"{table.name}: {sql.names}")
        return sql

    def _insert_var(self) -> Sql:
        if self._kind != POSTGRESQL:
            return self.sql(insert(DIALOG_VARS).values(_parameters(VAR_COLUMNS)))
        rows = _listed_rows(DIALOG_VARS, VAR_COLUMNS, "rows")
        return self.sql(insert(DIALOG_VARS).from_select(VAR_COLUMNS, rows))

    def _delete(self, table: Table, *, owned: bool) -> Sql:
        return self.sql(delete(table).where(*_keys(table, owned=owned)))

    def delete_many(self, tables: Sequence[Table], size: int) -> str:
        """For MariaDB, whose driver would ask once for each: ``size`` keys as three values each.

        A server without statistics takes a list of keys for a reason to look at, and to lock, every
        row of every owner. It has to be told where to begin, which Core cannot say.
        """
        names = tuple([table.name for table in tables])
        found = self._deletes.get((size, *names))
        if found is None:
            keys = " UNION ALL ".join(["SELECT %s AS entry, %s AS id, %s AS owner"] * size)
            joins = [
                f"LEFT JOIN {name} FORCE INDEX ({name}_owned) ON {name}.hash_entry = place.entry"
                f" AND {name}.hash_id = place.id AND {name}.owner = place.owner"
                for name in names
            ]
            found = f"DELETE {', '.join(names)} FROM ({keys}) AS place {' '.join(joins)}"
            self._deletes[size, *names] = found
        return found

    def delete_listed(self, tables: Sequence[Table]) -> str:
        """For PostgreSQL, with one text: JSON of a list of keys."""
        names = tuple([table.name for table in tables])
        found = self._deletes.get(names)
        if found is None:
            *others, last = _listed_deletes(tables)
            sql = self.sql(last.add_cte(*_ctes(others)))
            found = self._deletes[names] = _checked(sql, "keys")
        return found

    def _transaction(self) -> str:
        """For PostgreSQL: keys to delete, dialogs and legs to put, each a text as above.

        None of the parts sees what another does: no place may be in two of them.
        """
        put_in = self._listed_upsert(DIALOG_IN, (*IN_COLUMNS[:3],), IN_COLUMNS, "dialogs")
        put_out = self._listed_upsert(DIALOG_OUT, (*OUT_COLUMNS[:3], "leg_no"), OUT_COLUMNS, "legs")
        parts = [*_ctes(_listed_deletes(TABLES)), put_in.cte("put_dialogs")]
        return _checked(self.sql(put_out.add_cte(*parts)), "keys", "dialogs", "legs")

    @staticmethod
    def _listed_upsert(
        table: Table, key: Sequence[str], columns: tuple[str, ...], rows: str
    ) -> postgresql.Insert:
        add = postgresql.insert(table).from_select(columns, _listed_rows(table, columns, rows))
        changed = {name: add.excluded[name] for name in columns if name not in key}
        return add.on_conflict_do_update(index_elements=list(key), set_=changed)


@cache
def statements_of(kind: str) -> Statements:
    """They are compiled once a process."""
    return Statements(kind)


def owned(table: Table, owner: str | None) -> ColumnElement[bool]:
    """The rows of an owner; None: those without one."""
    return table.c.owner.is_(None) if owner is None else table.c.owner == owner


def last_id(owner: str | None) -> Select[Any]:
    """Up to where an owner's dialogs are read."""
    return select(func.max(DIALOG_IN.c.id)).where(owned(DIALOG_IN, owner))


def any_variable(owner: str | None) -> Select[Any]:
    """A row, if an owner has variables."""
    return select(DIALOG_VARS.c.id).where(owned(DIALOG_VARS, owner)).limit(1)


def dialogs_of(owner: str | None) -> Select[Any]:
    """How many an owner has."""
    return select(func.count()).select_from(DIALOG_IN).where(owned(DIALOG_IN, owner))


def all_owners() -> Select[Any]:
    """Each owner and his number of dialogs."""
    owner = DIALOG_IN.c.owner
    return select(owner, func.count()).group_by(owner).order_by(owner)


def _parameters(columns: tuple[str, ...]) -> dict[str, Any]:
    return {name: bindparam(name) for name in columns}


def _listed(name: str) -> tuple[Any, Callable[[int], Any]]:
    """What the parameter ``name`` holds, a JSON list of lists; and a value of each by its place."""
    # By a short name: the driver keeps what it finds in a statement of up to 4096 characters.
    text = cast(bindparam(name, type_=Text), postgresql.JSONB)
    item: Any = func.jsonb_array_elements(text).column_valued(name[0])
    return item, lambda number: item.op("->>")(literal_column(str(number)))


def _listed_rows(table: Table, columns: tuple[str, ...], name: str) -> Select[Any]:
    """``name`` as rows of ``table``.

    Texts stay as they are: a cast would shorten them to what the column takes, and tell nobody.
    """
    _, value = _listed(name)
    kinds = [table.c[column].type for column in columns]
    return select(
        *(
            value(number) if isinstance(kind, String) else cast(value(number), kind)
            for number, kind in enumerate(kinds)
        )
    )


def _listed_deletes(tables: Sequence[Table]) -> list[Delete]:
    """All rows of ``keys``, each a Key.

    The owner is not the same value for all: the planner would take that for a way to few rows.
    """
    _, value = _listed("keys")
    place = select(
        value(0).label("owner"),
        cast(value(1), BigInteger).label("entry"),
        cast(value(2), BigInteger).label("id"),
    ).cte("place")
    return [
        delete(table).where(
            table.c.hash_entry == place.c.entry,
            table.c.hash_id == place.c.id,
            table.c.owner == place.c.owner,
        )
        for table in tables
    ]


def _ctes(deletes: Sequence[Delete]) -> list[CTE]:
    return [each.cte(f"delete_{number}") for number, each in enumerate(deletes)]


def _checked(sql: Sql, *names: str) -> str:
    if sql.names != names:
        raise AssertionError(sql.names)
    return sql.text


def _keys(table: Table, *, owned: bool) -> list[ColumnElement[bool]]:
    return [
        is_owner(table.c.owner, owned=owned),
        *(table.c[name] == bindparam(name) for name in _KEY),
    ]
