"""The SQL, made with SQLAlchemy Core and compiled once for each kind of database.

Rows are given to the driver as tuples: what Core does for each row would take longer than the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import (
    CTE,
    BigInteger,
    ColumnElement,
    Delete,
    Dialect,
    Select,
    String,
    Table,
    Text,
    and_,
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
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from dlgmgmt.storage.drivers import dialect_of
from dlgmgmt.storage.tables import (
    DIALOG_IN,
    DIALOG_OUT,
    DIALOG_VARS,
    IN_COLUMNS,
    OUT_COLUMNS,
    SHARED,
    VAR_COLUMNS,
)
from dlgmgmt.storage.url import MYSQL, POSTGRESQL, SQLITE

TABLES = (DIALOG_IN, DIALOG_OUT, DIALOG_VARS)
_KEY = ("hash_entry", "hash_id")
_FORCED = "FORCE INDEX ({})"
_OF_LEGS = OUT_COLUMNS[len(SHARED) :]


class Sql(NamedTuple):
    """Text for the driver, and the names of its parameters in the order of their places.

    constants: the values of those that are the statement's own.
    """

    text: str
    names: tuple[str, ...]
    constants: dict[str, object]

    def values(self, **values: object) -> tuple[object, ...]:
        """The parameters of one execution."""
        known = self.constants | values
        return tuple([known[name] for name in self.names])


class Statements:
    """All that is said to one kind of database."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._dialect: Dialect = dialect_of(kind)
        self.transaction = self._transaction() if kind == POSTGRESQL else ""
        self._deletes: dict[tuple[str | int, ...], str] = {}
        self.put_in = self._upsert(DIALOG_IN, (*IN_COLUMNS[:3],), IN_COLUMNS)
        self.put_out = self._upsert(DIALOG_OUT, (*OUT_COLUMNS[:3], "leg_no"), OUT_COLUMNS)
        self.add_var = self._insert_var()
        # In the order of Key.
        self.delete_owned = [self._delete(table, owned=True) for table in TABLES]
        self.delete_unowned = [self._delete(table, owned=False) for table in TABLES]
        beyond = (*_keys(DIALOG_OUT, owned=True), DIALOG_OUT.c.leg_no >= _number("leg_no"))
        self.delete_beyond = self.sql(delete(DIALOG_OUT).where(*beyond))
        self.delete_ids = {
            table.name: self.sql(delete(table).where(table.c.id == _number("id")))
            for table in TABLES
        }

    def sql(self, statement: ClauseElement) -> Sql:
        """Compile it."""
        compiled: Any = statement.compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        return Sql(str(compiled), tuple(compiled.positiontup or ()), compiled.params)

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

    def page(self, *, owned: bool) -> Sql:
        """Dialogs with their legs, less what these have in common: owner, after, last, count.

        The join keeps the order of the page, which to ask for would mean to sort it once more.
        """
        if self._kind == SQLITE:
            return self._range(owned=owned)
        row = DIALOG_IN.c
        some = (
            select(row.id, *(row[name] for name in IN_COLUMNS))
            .where(_is_owner(row.owner, owned=owned), row.id > _number("after"))
            .where(row.id <= _number("last"))
            .order_by(row.id)
            .limit(_number("count"))
            .subquery("page")
        )
        leg = DIALOG_OUT.c
        same = [leg[name] == some.c[name] for name in _KEY]
        whose = leg.owner == some.c.owner if owned else leg.owner.is_(None)
        joined = some.outerjoin(DIALOG_OUT, and_(whose, *same))
        return self.sql(
            select(*some.c, leg.id.label("leg_id"), *(leg[n].label(f"leg_{n}") for n in _OF_LEGS))
            .select_from(joined)
            .with_hint(DIALOG_OUT, _FORCED.format("dialog_out_owned"), MYSQL)
        )

    def _range(self, *, owned: bool) -> Sql:
        """As page, but all up to ``last``: SQLite would make a page first, value by value."""
        row, leg = DIALOG_IN.c, DIALOG_OUT.c
        same = [leg[name] == row[name] for name in _KEY]
        whose = leg.owner == row.owner if owned else leg.owner.is_(None)
        return self.sql(
            select(
                row.id,
                *(row[name] for name in IN_COLUMNS),
                leg.id.label("leg_id"),
                *(leg[n].label(f"leg_{n}") for n in _OF_LEGS),
            )
            .select_from(DIALOG_IN.outerjoin(DIALOG_OUT, and_(whose, *same)))
            .where(_is_owner(_unsorted(row.owner), owned=owned))
            .where(row.id > _number("after"), row.id <= _number("last"))
            .order_by(row.id)
        )

    def page_end(self, *, owned: bool) -> Sql:
        """The id that ends a page, for _range: owner, after, last, and ``count`` to pass over."""
        row = DIALOG_IN.c
        return self.sql(
            select(row.id)
            .where(_is_owner(_unsorted(row.owner), owned=owned))
            .where(row.id > _number("after"), row.id <= _number("last"))
            .order_by(row.id)
            .limit(1)
            .offset(_number("count"))
        )

    def page_vars(self, *, owned: bool) -> Sql:
        """Variables of the dialogs with ids from ``first`` to ``last``."""
        row, var = DIALOG_IN.c, DIALOG_VARS.c
        same = [var[name] == row[name] for name in _KEY]
        whose = var.owner == row.owner if owned else var.owner.is_(None)
        joined = DIALOG_IN.join(DIALOG_VARS, and_(whose, *same))
        return self.sql(
            select(var.id, *(var[name] for name in VAR_COLUMNS))
            .prefix_with("STRAIGHT_JOIN", dialect=MYSQL)
            .select_from(joined)
            .with_hint(DIALOG_IN, _FORCED.format("PRIMARY"), MYSQL)
            .with_hint(DIALOG_VARS, _FORCED.format("dialog_vars_owned"), MYSQL)
            .where(
                _is_owner(row.owner, owned=owned),
                row.id >= _number("first"),
                row.id <= _number("last"),
            )
            .order_by(var.id)
        )


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


def _unsorted(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """For SQLite: not by the index of owners, or each page would sort all of the owner's rows."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def _number(name: str) -> Any:
    return bindparam(name, type_=BigInteger())


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


def _is_owner(column: ColumnElement[Any], *, owned: bool) -> ColumnElement[bool]:
    return column == bindparam("owner") if owned else column.is_(None)


def _keys(table: Table, *, owned: bool) -> list[ColumnElement[bool]]:
    return [
        _is_owner(table.c.owner, owned=owned),
        *(table.c[name] == bindparam(name) for name in _KEY),
    ]
