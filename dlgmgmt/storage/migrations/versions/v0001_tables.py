"""The tables of ims_dialog, made or taken over, and with own columns."""

from __future__ import annotations

from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Double,
    Inspector,
    Integer,
    SmallInteger,
    String,
    Text,
    insert,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy.dialects import mysql
from sqlalchemy.types import TypeEngine

from dlgmgmt.storage.errors import SchemaError

revision = "0001"
down_revision = None

_LONG = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
_KEY = BigInteger().with_variant(Integer(), "sqlite")
_NUMBER = BigInteger()
_SHORT = String(20)
_SMALL = SmallInteger()
_MOMENT: TypeEngine[Any] = Double()
_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}

_OWNED: dict[str, TypeEngine[Any]] = {
    "owner": String(64),
    "hash_entry": _NUMBER,
    "hash_id": _NUMBER,
}
_TABLES: dict[str, dict[str, TypeEngine[Any]]] = {
    "dialog_in": {
        **_OWNED,
        "did": _LONG,
        "callid": _LONG,
        "from_tag": _LONG,
        "from_uri": _LONG,
        "to_uri": _LONG,
        "req_uri": _LONG,
        "caller_original_cseq": _SHORT,
        "caller_contact": _LONG,
        "caller_route_set": _LONG,
        "caller_sock": _LONG,
        "toroute_name": _LONG,
        "state": _NUMBER,
        "lifetime": _NUMBER,
        "init_ts": _NUMBER,
        "start_time": _NUMBER,
        "timeout": _NUMBER,
        "session_ts": _NUMBER,
        "sflags": _NUMBER,
        "dflags": _NUMBER,
        "switches": _NUMBER,
        "xdata": _LONG,
        "toroute_index": Integer(),
    },
    "dialog_out": {
        **_OWNED,
        "did": _LONG,
        "to_uri": _LONG,
        "to_tag": _LONG,
        "caller_cseq": _SHORT,
        "callee_cseq": _SHORT,
        "callee_contact": _LONG,
        "callee_route_set": _LONG,
        "callee_sock": _LONG,
        "leg_no": _NUMBER,
        "branch": _NUMBER,
        "acked": _SMALL,
        "callee_cseq_seen": _SMALL,
        "dflags": _NUMBER,
        "confirmed_at": _MOMENT,
        "session_end": _MOMENT,
        "xdata": _LONG,
    },
    "dialog_vars": {**_OWNED, "dialog_key": _LONG, "dialog_value": _LONG},
}
_PLACE = ["hash_entry", "hash_id", "owner"]
_INDEXES = {
    "dialog_in": ("dialog_in_owned", _PLACE, True),
    "dialog_out": ("dialog_out_owned", [*_PLACE, "leg_no"], True),
    "dialog_vars": ("dialog_vars_owned", _PLACE, False),
}
_KAMAILIO_VERSION = 7


def upgrade() -> None:
    """Make what is missing; what is there keeps its rows."""
    connection = op.get_bind()
    inspector = inspect(connection)
    for name, columns in _TABLES.items():
        index, indexed, unique = _INDEXES[name]
        if not inspector.has_table(name):
            key = Column("id", _KEY, primary_key=True, autoincrement=True)
            op.create_table(name, key, *(Column(n, t) for n, t in columns.items()), **_OPTIONS)
        elif _take_over(connection, inspector, name, columns):
            continue
        op.create_index(index, name, indexed, unique=unique)
    _kamailio_versions(connection, inspector)


def _take_over(
    connection: Connection, inspector: Inspector, name: str, columns: dict[str, TypeEngine[Any]]
) -> bool:
    """Whether the index is there too (an earlier attempt on MariaDB)."""
    there = {column["name"]: column["type"] for column in inspector.get_columns(name)}
    if "id" not in there:
        raise SchemaError(f"the table {name} has no column id: it is not one of Kamailio's")
    added = {n: t for n, t in columns.items() if n not in there}
    if connection.dialect.name == "sqlite":
        # Its types bind nobody: whatever length they name, all of a text is kept.
        for column, kind in added.items():
            op.add_column(name, Column(column, kind))
    else:
        _alter(connection, inspector, name, added, {n: t for n, t in columns.items() if n in there})
    return any(found["name"] == _INDEXES[name][0] for found in inspector.get_indexes(name))


def _alter(
    connection: Connection,
    inspector: Inspector,
    name: str,
    added: dict[str, TypeEngine[Any]],
    kept: dict[str, TypeEngine[Any]],
) -> None:
    """One statement: the server goes through the table once, and does all of it or nothing."""
    quote = connection.dialect.identifier_preparer.quote
    on_mysql = connection.dialect.name in {"mysql", "mariadb"}

    def written(kind: TypeEngine[Any]) -> str:
        found = kind.dialect_impl(connection.dialect).compile(connection.dialect)
        is_text = on_mysql and isinstance(kind, String)
        return f"{found} CHARACTER SET utf8mb4 COLLATE utf8mb4_bin" if is_text else found

    # A text in an index of somebody's own must keep its length.
    indexes = inspector.get_indexes(name)
    bound = {column for index in indexes for column in index["column_names"]}
    wider = {n: t for n, t in kept.items() if not (n in bound and isinstance(t, String))}
    clauses = [f"ADD COLUMN {quote(n)} {written(t)}" for n, t in added.items()]
    if on_mysql:
        clauses.append("MODIFY COLUMN id BIGINT NOT NULL AUTO_INCREMENT")
        clauses += [f"MODIFY COLUMN {quote(n)} {written(t)} NULL" for n, t in wider.items()]
    else:
        clauses.append("ALTER COLUMN id TYPE BIGINT")
        clauses += [f"ALTER COLUMN {quote(n)} TYPE {written(t)}" for n, t in wider.items()]
        clauses += [f"ALTER COLUMN {quote(n)} DROP NOT NULL" for n in wider]
    op.execute(text(f"ALTER TABLE {quote(name)} {', '.join(clauses)}"))
    if not on_mysql:
        sequence = connection.execute(
            text("SELECT pg_get_serial_sequence(:name, 'id')"), {"name": name}
        ).scalar()
        if sequence:
            op.execute(text(f"ALTER SEQUENCE {sequence} AS BIGINT"))


def _kamailio_versions(connection: Connection, inspector: Inspector) -> None:
    """What Kamailio asks for at its start; with numbers that are there it has started before."""
    if not inspector.has_table("version"):
        op.create_table(
            "version",
            Column("table_name", String(32), primary_key=True),
            Column("table_version", Integer, nullable=False, server_default="0"),
            **_OPTIONS,
        )
    version = table("version", Column("table_name", String), Column("table_version", Integer))
    there = set(connection.execute(select(version.c.table_name)).scalars())
    for name in _TABLES:
        if name not in there:
            connection.execute(
                insert(version).values(table_name=name, table_version=_KAMAILIO_VERSION)
            )
