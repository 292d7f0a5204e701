"""What has to be known of an owner's rows before they are read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, exists, func, select

from dlgmgmt.storage.statements import owned
from dlgmgmt.storage.tables import DIALOG_IN, DIALOG_OUT, DIALOG_VARS
from dlgmgmt.storage.twins import Claim, Verdict, judge

Query = Callable[[Select[Any]], list[tuple[Any, ...]]]
"""Runs a SELECT (Database.query)."""

HIGHEST = 2**31
"""Ids from here on are left out: a table does not come so far by counting."""


class Survey(NamedTuple):
    """Of one owner.

    dialogs, legs, variables: rows of each table. twins: dialogs that share their identity, by row.
    """

    dialogs: int
    legs: int
    variables: int
    twins: dict[int, Verdict]


def survey(
    query: Query, owner: str | None, hash_of: Callable[[str], int], *, single: bool = False
) -> Survey:
    """Look at an owner's rows. hash_of: the entry that a Call-ID belongs to.

    single: no two dialogs share their identity, for there is an index that sees to it.
    """
    dialogs, legs, variables = (
        query(select(func.count()).select_from(table).where(owned(table, owner)))[0][0]
        for table in (DIALOG_IN, DIALOG_OUT, DIALOG_VARS)
    )
    claims = [] if single else _claims(query, owner)
    return Survey(dialogs, legs, variables, judge(claims, hash_of))


def _claims(query: Query, owner: str | None) -> list[Claim]:
    """The rows of dialog_in that are not alone with their identity."""
    row = DIALOG_IN.c
    twice = (
        select(row.hash_entry, row.hash_id)
        .where(owned(DIALOG_IN, owner), row.hash_entry.is_not(None), row.hash_id.is_not(None))
        .group_by(row.hash_entry, row.hash_id)
        .having(func.count() > 1)
        .subquery()
    )
    same = and_(row.hash_entry == twice.c.hash_entry, row.hash_id == twice.c.hash_id)
    found = query(
        select(row.id, row.hash_entry, row.hash_id, row.callid, row.from_tag, row.to_uri)
        .select_from(DIALOG_IN.join(twice, same))
        .where(owned(DIALOG_IN, owner))
        .order_by(row.id)
    )
    # SQLite keeps values of any type in any column.
    return [Claim(*row[:3], *(v if isinstance(v, str) else None for v in row[3:])) for row in found]


def highest(query: Query, owner: str) -> dict[int, int]:
    """The largest hash_id of each entry in the rows of an owner, those of no dialog included."""
    top: dict[int, int] = {}
    for table in (DIALOG_IN, DIALOG_OUT, DIALOG_VARS):
        found = query(
            select(table.c.hash_entry, func.max(table.c.hash_id))
            .where(owned(table, owner), table.c.hash_id < HIGHEST)
            .group_by(table.c.hash_entry)
        )
        for h_entry, h_id in found:
            if isinstance(h_entry, int) and isinstance(h_id, int):
                top[h_entry] = max(top.get(h_entry, 0), h_id)
    return top


def strays(query: Query, owner: str | None) -> tuple[int, int]:
    """How many legs and variables belong to no dialog."""
    legs, variables = (
        query(
            select(func.count())
            .select_from(table)
            .where(
                owned(table, owner),
                ~exists().where(
                    owned(DIALOG_IN, owner),
                    DIALOG_IN.c.hash_entry == table.c.hash_entry,
                    DIALOG_IN.c.hash_id == table.c.hash_id,
                ),
            )
        )[0][0]
        for table in (DIALOG_OUT, DIALOG_VARS)
    )
    return legs, variables
