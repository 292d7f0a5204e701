"""The SQL that reads dialogs: whole ones, page by page or by their keys, and ordinary calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Dialect,
    Select,
    and_,
    bindparam,
    case,
    literal_column,
    null,
    select,
)
from sqlalchemy.sql import ClauseElement
from sqlalchemy.sql.base import ReadOnlyColumnCollection
from sqlalchemy.sql.expression import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from dlgmgmt.dialog.states import State
from dlgmgmt.storage.drivers import dialect_of
from dlgmgmt.storage.tables import (
    CALL_LEG_COPIES,
    CALL_LEG_NUMBERS,
    CALL_LEG_TEXTS,
    CALL_NUMBERS,
    CALL_TEXTS,
    DIALOG_IN,
    DIALOG_OUT,
    DIALOG_VARS,
    IN_COLUMNS,
    OUT_COLUMNS,
    SHARED,
    VAR_COLUMNS,
)
from dlgmgmt.storage.url import MYSQL, SQLITE

_KEY = ("hash_entry", "hash_id")
_FORCED = "FORCE INDEX ({})"
_OF_LEGS = OUT_COLUMNS[len(SHARED) :]
_Columns: TypeAlias = ReadOnlyColumnCollection[str, Any]
_Chosen: TypeAlias = Callable[[_Columns, _Columns], list[ColumnElement[Any]]]


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


class Pages:
    """What is asked of one kind of database."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._dialect: Dialect = dialect_of(kind)
        self._these: dict[int, Sql] = {}
        self._page_vars: dict[bool, Sql] = {}
        self._call_vars: Sql | None = None

    def sql(self, statement: ClauseElement) -> Sql:
        """Compile it."""
        compiled: Any = statement.compile(
            dialect=self._dialect, compile_kwargs={"render_postcompile": True}
        )
        return Sql(str(compiled), tuple(compiled.positiontup or ()), compiled.params)

    def page(self, *, owned: bool) -> Sql:
        """Dialogs with their legs, less what these have in common: owner, after, last, count."""
        return self.sql(self._page(_whole, owned=owned))

    def calls(self) -> Sql:
        """As page(), of an owner, but only what an ordinary call is made of.

        After the key stands 1 if it may be one: confirmed and acknowledged, one leg, nothing else
        to be told of it but variables and ``xdata``. NULL may stand for what need not be read: the
        copy of another text, and that there is no session timer.
        """

        def columns(row: _Columns, leg: _Columns) -> list[ColumnElement[Any]]:
            plain = [
                row.state == int(State.CONFIRMED),
                row.session_ts >= 0,
                leg.acked == 1,
                *(leg[name] == 0 for name in ("leg_no", "confirmed_at")),
                leg.session_end >= 0,
                leg.xdata.is_(None),
                *(leg[name].is_not(None) for name in CALL_LEG_COPIES),
            ]
            return [
                row.id,
                # SQLite stops at the first condition that does not hold only if it has to choose.
                case((and_(*plain), 1), else_=null()).label("plain"),
                row.hash_entry,
                row.hash_id,
                *(row[name] for name in CALL_TEXTS),
                *(leg[name].label(f"leg_{name}") for name in CALL_LEG_TEXTS),
                *(
                    self._unless(leg[name], row[of]).label(f"leg_{name}")
                    for name, of in CALL_LEG_COPIES.items()
                ),
                *(row[name] for name in CALL_NUMBERS),
                *(leg[name].label(f"leg_{name}") for name in CALL_LEG_NUMBERS),
                self._unless(row.session_ts, literal_column("0")).label("session_ts"),
                self._unless(leg.session_end, literal_column("0")).label("leg_session_end"),
                row.xdata,
            ]

        return self.sql(self._page(columns, owned=True))

    def _unless(self, copy: ColumnElement[Any], text: ColumnElement[Any]) -> ColumnElement[Any]:
        """NULL where both are the same. Others than SQLite may overlook blanks at the end."""
        return case((copy == text, null()), else_=copy) if self._kind == SQLITE else copy

    def these(self, size: int) -> Sql:
        """As page(), of the dialogs with ``size`` ids: owner, id_0 and so on."""
        found = self._these.get(size)
        if found is None:
            row, leg = DIALOG_IN.c, DIALOG_OUT.c
            ids = [number(f"id_{place}") for place in range(size)]
            statement = (
                select(*_whole(row, leg))
                .select_from(DIALOG_IN.outerjoin(DIALOG_OUT, _belongs(leg, row, owned=True)))
                .with_hint(DIALOG_OUT, _FORCED.format("dialog_out_owned"), MYSQL)
                .where(is_owner(row.owner, owned=True), row.id.in_(ids))
                .order_by(row.id)
            )
            found = self._these[size] = self.sql(statement)
        return found

    def _page(self, columns: _Chosen, *, owned: bool) -> Select[Any]:
        """The join keeps the order of the page: to ask for it would mean to sort it once more."""
        if self._kind == SQLITE:
            return self._range(columns, owned=owned)
        row = DIALOG_IN.c
        some = (
            select(row.id, *(row[name] for name in IN_COLUMNS))
            .where(is_owner(row.owner, owned=owned), row.id > number("after"))
            .where(row.id <= number("last"))
            .order_by(row.id)
            .limit(number("count"))
            .subquery("page")
        )
        leg = DIALOG_OUT.c
        return (
            select(*columns(some.c, leg))
            .select_from(some.outerjoin(DIALOG_OUT, _belongs(leg, some.c, owned=owned)))
            .with_hint(DIALOG_OUT, _FORCED.format("dialog_out_owned"), MYSQL)
        )

    @staticmethod
    def _range(columns: _Chosen, *, owned: bool) -> Select[Any]:
        """As _page, but all up to ``last``: SQLite would make a page first, value by value."""
        row, leg = DIALOG_IN.c, DIALOG_OUT.c
        return (
            select(*columns(row, leg))
            .select_from(DIALOG_IN.outerjoin(DIALOG_OUT, _belongs(leg, row, owned=owned)))
            .where(is_owner(_unsorted(row.owner), owned=owned))
            .where(row.id > number("after"), row.id <= number("last"))
            .order_by(row.id)
        )

    def page_end(self, *, owned: bool) -> Sql:
        """The id that ends a page, for _range: owner, after, last, and ``count`` to pass over."""
        row = DIALOG_IN.c
        return self.sql(
            select(row.id)
            .where(is_owner(_unsorted(row.owner), owned=owned))
            .where(row.id > number("after"), row.id <= number("last"))
            .order_by(row.id)
            .limit(1)
            .offset(number("count"))
        )

    def page_vars(self, *, owned: bool) -> Sql:
        """Variables of the dialogs with ids from ``first`` to ``last``."""
        found = self._page_vars.get(owned)
        if found is None:
            found = self._page_vars[owned] = self.sql(self._vars(owned=owned))
        return found

    def call_vars(self) -> Sql:
        """As page_vars(), of an owner, in no order: keys of dialog and variable, name, value."""
        if self._call_vars is None:
            row, var = DIALOG_IN.c, DIALOG_VARS.c
            columns = row.id, var.id.label("var_id"), var.dialog_key, var.dialog_value
            self._call_vars = self.sql(self._of_page(*columns, owned=True))
        return self._call_vars

    def _vars(self, *, owned: bool) -> Select[Any]:
        var = DIALOG_VARS.c
        # Or SQLite would go through all variables there are, which are in this order.
        order = _unsorted(var.id) if self._kind == SQLITE else var.id
        columns = var.id, *(var[name] for name in VAR_COLUMNS)
        return self._of_page(*columns, owned=owned).order_by(order)

    @staticmethod
    def _of_page(*columns: ColumnElement[Any], owned: bool) -> Select[Any]:
        row, var = DIALOG_IN.c, DIALOG_VARS.c
        same = [var[name] == row[name] for name in _KEY]
        whose = var.owner == row.owner if owned else var.owner.is_(None)
        return (
            select(*columns)
            .prefix_with("STRAIGHT_JOIN", dialect=MYSQL)
            .select_from(DIALOG_IN.join(DIALOG_VARS, and_(whose, *same)))
            .with_hint(DIALOG_IN, _FORCED.format("PRIMARY"), MYSQL)
            .with_hint(DIALOG_VARS, _FORCED.format("dialog_vars_owned"), MYSQL)
            .where(
                is_owner(row.owner, owned=owned),
                row.id >= number("first"),
                row.id <= number("last"),
            )
        )


def _whole(row: _Columns, leg: _Columns) -> list[ColumnElement[Any]]:
    """All of a dialog and of one of its legs."""
    return [
        row.id,
        *(row[name] for name in IN_COLUMNS),
        leg.id.label("leg_id"),
        *(leg[name].label(f"leg_{name}") for name in _OF_LEGS),
    ]


def _belongs(leg: _Columns, row: _Columns, *, owned: bool) -> ColumnElement[bool]:
    whose = leg.owner == row.owner if owned else leg.owner.is_(None)
    return and_(whose, *(leg[name] == row[name] for name in _KEY))


def _unsorted(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """For SQLite: not by the index of owners, or each page would sort all of the owner's rows."""
    return UnaryExpression(column, operator=custom_op("+"), type_=column.type)


def is_owner(column: ColumnElement[Any], *, owned: bool) -> ColumnElement[bool]:
    """Whether a row is the owner's; those that only Kamailio has written have none."""
    return column == bindparam("owner") if owned else column.is_(None)


def number(name: str) -> Any:
    """A parameter that is one."""
    return bindparam(name, type_=BigInteger())
