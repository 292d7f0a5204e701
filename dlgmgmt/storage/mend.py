"""Making the indexes that a daemon writes by, where somebody has removed or changed them.

Without them an upsert is an error, or a second row. What is there twice by then stands in the way:
copies go, and what could be either of two calls loses its number, so that it is nobody's until
somebody looks at it.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from sqlalchemy import Connection, Index, and_, delete, func, inspect, select, update

from dlgmgmt.storage.drivers import Target, engine_of, is_drivers, told
from dlgmgmt.storage.tables import DIALOG_IN, DIALOG_OUT, DIALOG_VARS, INDEXES
from dlgmgmt.storage.twins import Verdict

_LOG = logging.getLogger(__name__)

_IDENTITY = INDEXES[0]

_BEYOND = 1_000_000
"""Numbers of legs that are there twice: they go when their dialog is written anew."""


class Indexes(NamedTuple):
    """lacking: those that are not there. wrong: those that are others than their names say."""

    lacking: list[Index]
    wrong: list[Index]

    @property
    def single(self) -> bool:
        """Whether no two dialogs can share an identity."""
        return _IDENTITY not in (*self.lacking, *self.wrong)


def indexes_of(target: Target) -> Indexes:
    """What there is. Raises StorageError."""
    try:
        with engine_of(target).connect() as connection:
            return _look(connection)
    except Exception as error:
        if not is_drivers(error):
            raise
        raise told(error, target.url) from None


def _look(connection: Connection) -> Indexes:
    known = {
        index["name"]: (index["column_names"], bool(index["unique"]))
        for table in (DIALOG_IN, DIALOG_OUT, DIALOG_VARS)
        for index in inspect(connection).get_indexes(table.name)
    }
    there = [index for index in INDEXES if index.name in known]
    wrong = [i for i in there if known[i.name] != (i.columns.keys(), i.unique)]
    return Indexes([index for index in INDEXES if index not in there], wrong)


def mend(target: Target, owner: str, twins: dict[int, Verdict], loaded: set[int]) -> None:
    """Make what is lacking. Raises StorageError.

    twins: rows of ``owner`` that shared their identity; loaded: those that stand for a dialog.
    """
    try:
        with engine_of(target).begin() as connection:
            found = _look(connection)
            if not any(found):
                return
            _part(connection, owner, twins, loaded)
            _number_legs(connection)
            for index in found.wrong:
                index.drop(connection)
            for index in (*found.lacking, *found.wrong):
                index.create(connection)
    except Exception as error:
        if not is_drivers(error):
            raise
        raise told(error, target.url) from None
    names = [str(index.name) for index in (*found.lacking, *found.wrong)]
    _LOG.warning("database: indexes made anew: %s", ", ".join(names))


def _part(connection: Connection, owner: str, twins: dict[int, Verdict], loaded: set[int]) -> None:
    """Leave each identity to nobody but the dialog that was loaded with it."""
    table = DIALOG_IN.c
    copies = [row for row, verdict in twins.items() if verdict.copy]
    if copies:
        connection.execute(delete(DIALOG_IN).where(table.id.in_(copies)))
    # Whose To URI the legs have that stay, None where no dialog was loaded.
    places: dict[tuple[int, int], str | None] = {}
    for row, verdict in twins.items():
        if verdict.copy or (row in loaded and not verdict.rivals):
            continue
        place = connection.execute(
            select(table.hash_entry, table.hash_id).where(
                table.id == row, table.hash_id.is_not(None)
            )
        ).first()
        if place is None:
            continue
        places.setdefault((place[0], place[1]), None)
        if row in loaded:
            places[place[0], place[1]] = verdict.to_uri
        else:
            connection.execute(update(DIALOG_IN).where(table.id == row).values(hash_id=None))
    for (h_entry, h_id), to_uri in places.items():
        for part in (DIALOG_OUT, DIALOG_VARS):
            away = update(part).where(
                part.c.owner == owner, part.c.hash_entry == h_entry, part.c.hash_id == h_id
            )
            if part is DIALOG_OUT and to_uri is not None:
                away = away.where(part.c.to_uri != to_uri)
            connection.execute(away.values(hash_id=None))


def _number_legs(connection: Connection) -> None:
    """Give legs that are there twice numbers of their own."""
    leg = DIALOG_OUT.c
    names = ("owner", "hash_entry", "hash_id", "leg_no")
    twice = (
        select(*(leg[name] for name in names), func.min(leg.id).label("first"))
        .where(*(leg[name].is_not(None) for name in names))
        .group_by(*(leg[name] for name in names))
        .having(func.count() > 1)
        .subquery()
    )
    same = [leg[name] == twice.c[name] for name in names]
    found = connection.execute(
        select(leg.id)
        .select_from(DIALOG_OUT.join(twice, and_(*same)))
        .where(leg.id != twice.c.first)
    ).scalars()
    for row in found.all():
        connection.execute(update(DIALOG_OUT).where(leg.id == row).values(leg_no=_BEYOND + row))
