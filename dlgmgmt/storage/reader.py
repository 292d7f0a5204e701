"""Reading dialogs: page by page, or those with some keys."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Select

from dlgmgmt.storage import statements as sql
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.page import whole_dialogs
from dlgmgmt.storage.page_statements import Sql
from dlgmgmt.storage.url import SQLITE

_ALL: Final = 2**62
_TOGETHER: Final = 256
"""Dialogs that are asked for by their keys in one statement."""


class Reader(ABC):
    """Whoever can run a SELECT. Everything here raises what that raises."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._statements = sql.statements_of(kind)

    @abstractmethod
    def _select(self, text: str, values: Sequence[object]) -> list[Row]:
        """The rows of a statement that only reads."""

    def read(
        self, owner: str | None, fetch_rows: int, *, after: int = 0, last: int | None = None
    ) -> Iterator[list[StoredDialog]]:
        """The dialogs of an owner in the order of their ``id``, page by page; ``after`` an id.

        last: the last id; None: that which is the last now.
        fetch_rows: dialogs of a page, 0 for all in one. Rows that are added meanwhile are left out.
        Between two pages the connection is free for other calls.
        """
        last = self.last(owner) if last is None else last
        has_variables = bool(self.query(sql.any_variable(owner)))
        page = self._statements.page(owned=owner is not None)
        for rows in self._pages(page, owner, fetch_rows, after, last):
            ids = [row[0] for row in rows]
            var_rows = self._variables(owner, min(ids), max(ids)) if has_variables else []
            yield whole_dialogs(rows, var_rows)

    def calls(self, owner: str, fetch_rows: int, *, after: int, last: int) -> Iterator[list[Row]]:
        """As read(), of each dialog its key and what plain_call() takes."""
        return self._pages(self._statements.calls(), owner, fetch_rows, after, last)

    def call_variables(self, owner: str, first: int, last: int) -> list[Row]:
        """Of the dialogs with these keys and between: their keys and what plain_variables() takes.

        In no order.
        """
        some = self._statements.call_vars()
        return self._select(some.text, some.values(owner=owner, first=first, last=last))

    def dialogs(self, owner: str, ids: list[int]) -> list[StoredDialog]:
        """Those of an owner with these keys, in the order of the keys."""
        rows: list[Row] = []
        var_rows: list[Row] = []
        ids = sorted(set(ids))
        for start in range(0, len(ids), _TOGETHER):
            some = ids[start : start + _TOGETHER]
            # Few sizes: each is a statement of its own.
            size = 1 << (len(some) - 1).bit_length()
            padded = some + some[-1:] * (size - len(some))
            values = {f"id_{number}": row_id for number, row_id in enumerate(padded)}
            these = self._statements.these(size)
            rows += self._select(these.text, these.values(owner=owner, **values))
            var_rows += self._variables(owner, some[0], some[-1])
        return whole_dialogs(rows, var_rows)

    def _pages(
        self, page: Sql, owner: str | None, fetch_rows: int, after: int, last: int
    ) -> Iterator[list[Row]]:
        """Rows that begin with the key of their dialog."""
        count = fetch_rows or _ALL
        ends = self._statements.page_end(owned=owner is not None)
        cut = self._kind == SQLITE and fetch_rows > 0
        # With hardly a gap between the keys, the end of a page need not be looked for.
        dense = True
        while after < last:
            end = last
            if cut and dense:
                end = min(after + count, last)
            elif cut:
                values = ends.values(owner=owner, after=after, last=last, count=count - 1)
                end = next(iter(self._select(ends.text, values)), (last,))[0]
            values = page.values(owner=owner, after=after, last=end, count=count)
            rows = self._select(page.text, values)
            ids = {row[0] for row in rows}
            dense = 2 * len(ids) > end - after
            after = end
            if rows:
                yield rows
                if len(ids) == count:
                    after = max(ids)

    def _variables(self, owner: str | None, first: int, last: int) -> list[Row]:
        """Of the dialogs with keys from ``first`` to ``last``."""
        page_vars = self._statements.page_vars(owned=owner is not None)
        values = page_vars.values(owner=owner, first=first, last=last)
        return self._select(page_vars.text, values)

    def last(self, owner: str | None) -> int:
        """The last id of an owner's dialogs, 0 without any."""
        return self.query(sql.last_id(owner))[0][0] or 0

    def query(self, statement: Select[Any]) -> list[Row]:
        """The rows of a SELECT."""
        made = self._statements.sql(statement)
        return self._select(made.text, made.values())
