"""The schema: whether it is this version's, and how it becomes that."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

from sqlalchemy import Connection, column, inspect, select, table, text

from dlgmgmt.storage.drivers import Target, engine_of, is_drivers, told
from dlgmgmt.storage.errors import SchemaError, StorageError
from dlgmgmt.storage.tables import DIALOG_IN, DIALOG_OUT, DIALOG_VARS, TABLE_VERSION, VERSION
from dlgmgmt.storage.url import MYSQL, POSTGRESQL, shown

_LOG = logging.getLogger(__name__)

VERSION_TABLE: Final = "dlgmgmt_schema"

VERSIONS: Final = {"0001": True}
"""All that there are, oldest first, and whether each only adds: then it is run at the start."""

NEWEST: Final = next(reversed(VERSIONS))

_Result = TypeVar("_Result")

_LOCK: Final = 0x646C676D
_LOCK_NAME: Final = "dlgmgmt.schema"
_LOCK_WAIT: Final = 60
_ANSWER_TIMEOUT: Final = 600.0
"""A server changes a large table in silence."""


class Change(NamedTuple):
    """What an upgrade did; old: None where there were no tables of this program's."""

    old: str | None
    new: str


def ensure(target: Target, *, automatic: bool) -> Change:
    """Bring the tables up to date if they are not, or raise SchemaError.

    automatic: as far as migrations only add; without it, tables that are older are an error.
    """
    version = current(target)
    if version == NEWEST:
        return Change(version, version)
    where = "there are no tables" if version is None else f"the tables are of version {version}"
    if not automatic:
        raise SchemaError(
            f"{shown(target.url)}: {where}, version {NEWEST} is needed: run dlgmgmt db upgrade"
        )
    if not all(_pending(version).values()):
        raise SchemaError(
            f"{shown(target.url)}: {where}, and version {NEWEST} is more than an addition to them:"
            " make a backup, stop all daemons that use it and run dlgmgmt db upgrade"
        )
    return upgrade(target)


def current(target: Target) -> str | None:
    """The version of the tables; None where this program has never been. SchemaError if newer."""
    return _guarded(target, _read_version)


def upgrade(target: Target) -> Change:
    """Run all migrations that have not run, in one transaction where the database has such."""
    change = _guarded(target._replace(answer_timeout=_ANSWER_TIMEOUT), _upgrade)
    if change.old != change.new:
        _LOG.info(
            "%s: tables %s version %s",
            shown(target.url),
            "made in" if change.old is None else f"changed from version {change.old} to",
            change.new,
        )
    return change


def _pending(version: str | None) -> dict[str, bool]:
    names = list(VERSIONS)
    first = 0 if version is None else names.index(version) + 1
    return {name: VERSIONS[name] for name in names[first:]}


def _guarded(target: Target, work: Callable[[Connection, Target], _Result]) -> _Result:
    try:
        engine = engine_of(target)
        with engine.begin() as connection:
            return work(connection, target)
    except StorageError:
        raise
    except Exception as error:
        if not is_drivers(error):
            raise
        raise told(error, target.url) from None


def _read_version(connection: Connection, target: Target) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    versions = table(VERSION_TABLE, column("version_num"))
    found = connection.execute(select(versions.c.version_num)).scalars().all()
    if not found:
        return None
    version = str(found[0])
    if len(found) > 1 or version not in VERSIONS:
        raise SchemaError(
            f"{shown(target.url)}: the tables are of version {', '.join(map(str, found))[:40]!r},"
            f" this program knows them up to {NEWEST}: a newer dlgmgmt has been here"
        )
    _check_rows(connection, target)
    return version


def _check_rows(connection: Connection, target: Target) -> None:
    """Kamailio keeps a version of each table's rows, and changes it with what they mean."""
    if not inspect(connection).has_table(VERSION.name):
        return
    names = [item.name for item in (DIALOG_IN, DIALOG_OUT, DIALOG_VARS)]
    known = VERSION.c
    versions = connection.execute(
        select(known.table_name, known.table_version)
        .where(known.table_name.in_(names), known.table_version != TABLE_VERSION)
        .order_by(known.table_name)
    ).all()
    # The dialog module counts its table of variables otherwise; the rows are the same.
    found = next((item for item in versions if tuple(item) != (DIALOG_VARS.name, 1)), None)
    if found is not None:
        raise SchemaError(
            f"{shown(target.url)}: the rows of {found[0]} are of version {found[1]}, this program"
            f" reads {TABLE_VERSION}"
        )


def _upgrade(connection: Connection, target: Target) -> Change:
    from alembic import command  # noqa: PLC0415 - takes a while, and is needed once
    from alembic.config import Config  # noqa: PLC0415

    _lock(connection, target)
    try:
        old = _read_version(connection, target)
        config = Config()
        config.set_main_option(
            "script_location", str(Path(__file__).parent / "migrations").replace("%", "%%")
        )
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        return Change(old, NEWEST)
    finally:
        if target.kind == MYSQL:
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), {"name": _LOCK_NAME})


def _lock(connection: Connection, target: Target) -> None:
    """Two daemons that start on a new database at once: the second finds all done."""
    if target.kind == POSTGRESQL:
        connection.execute(text("SET LOCAL lock_timeout = 0"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:number)"), {"number": _LOCK})
    elif target.kind == MYSQL:
        got = connection.execute(
            text("SELECT GET_LOCK(:name, :wait)"), {"name": _LOCK_NAME, "wait": _LOCK_WAIT}
        ).scalar()
        if got != 1:
            raise SchemaError(f"{shown(target.url)}: somebody else has been changing the tables")
