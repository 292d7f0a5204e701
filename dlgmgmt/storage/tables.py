"""The tables: those of ims_dialog, with what a full restore needs besides.

Kamailio's columns keep their names and what they mean, so that what reads its tables reads these.
Its texts have no length here: a row that a server cuts or refuses would be a lost call. Own columns
are NULL in rows that Kamailio has written. Numbers have 64 bits everywhere, the keys too: each
upsert takes one from the sequence, and 32 bits of them last for weeks.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Double,
    Index,
    Integer,
    MetaData,
    SmallInteger,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects import mysql

from dlgmgmt.storage.settings import MAX_OWNER

TABLE_VERSION = 7
"""What Kamailio expects of its three tables in the table ``version``."""

METADATA = MetaData()

# A Text of MariaDB ends at 65,535 bytes, and hostile bytes are longer once they are written out.
LONG = Text().with_variant(mysql.MEDIUMTEXT(), "mysql", "mariadb")
NUMBER = BigInteger()
# SQLite numbers rows by itself only where the type is INTEGER by name.
KEY = BigInteger().with_variant(Integer(), "sqlite")
# Names are compared byte by byte; SQLite and PostgreSQL do so anyway.
OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_bin",
}


def _key() -> Column[int]:
    return Column("id", KEY, primary_key=True, autoincrement=True)


def _owned() -> tuple[Column[str], Column[int], Column[int]]:
    """Whose row it is, and of which dialog."""
    return (
        Column("owner", String(MAX_OWNER)),
        Column("hash_entry", NUMBER),
        Column("hash_id", NUMBER),
    )


DIALOG_IN = Table(
    "dialog_in",
    METADATA,
    _key(),
    *_owned(),
    Column("did", LONG),
    Column("callid", LONG),
    Column("from_tag", LONG),
    Column("from_uri", LONG),
    Column("to_uri", LONG),
    Column("req_uri", LONG),
    Column("caller_original_cseq", String(20)),
    Column("caller_contact", LONG),
    Column("caller_route_set", LONG),
    Column("caller_sock", LONG),
    Column("toroute_name", LONG),
    Column("state", NUMBER),
    Column("lifetime", NUMBER),
    Column("init_ts", NUMBER),
    Column("start_time", NUMBER),
    Column("timeout", NUMBER),
    Column("session_ts", NUMBER),
    Column("sflags", NUMBER),
    Column("dflags", NUMBER),
    Column("switches", NUMBER),
    Column("xdata", LONG),
    # Only Kamailio writes it.
    Column("toroute_index", Integer),
    **OPTIONS,
)

DIALOG_OUT = Table(
    "dialog_out",
    METADATA,
    _key(),
    *_owned(),
    Column("did", LONG),
    Column("to_uri", LONG),
    Column("to_tag", LONG),
    Column("caller_cseq", String(20)),
    Column("callee_cseq", String(20)),
    Column("callee_contact", LONG),
    Column("callee_route_set", LONG),
    Column("callee_sock", LONG),
    Column("leg_no", NUMBER),
    Column("branch", NUMBER),
    Column("acked", SmallInteger),
    Column("callee_cseq_seen", SmallInteger),
    Column("dflags", NUMBER),
    Column("confirmed_at", Double),
    Column("session_end", Double),
    Column("xdata", LONG),
    **OPTIONS,
)

DIALOG_VARS = Table(
    "dialog_vars",
    METADATA,
    _key(),
    *_owned(),
    Column("dialog_key", LONG),
    Column("dialog_value", LONG),
    **OPTIONS,
)

VERSION = Table(
    "version",
    METADATA,
    Column("table_name", String(32), primary_key=True),
    Column("table_version", Integer, nullable=False, default=0),
    **OPTIONS,
)

_PLACE = ("hash_entry", "hash_id", "owner")
INDEXES = (
    Index("dialog_in_owned", *(DIALOG_IN.c[n] for n in _PLACE), unique=True),
    Index("dialog_out_owned", *(DIALOG_OUT.c[n] for n in (*_PLACE, "leg_no")), unique=True),
    Index("dialog_vars_owned", *(DIALOG_VARS.c[n] for n in _PLACE)),
)
"""Kamailio's rows have no owner, and are as many of a key as Kamailio likes.

The owner comes last: a server that knows nothing of the rows yet would take an index that begins
with it for a good way to all of his rows, for each of them.
"""


def _names(table: Table, *but: str) -> tuple[str, ...]:
    return tuple(column.name for column in table.columns if column.name not in ("id", *but))


IN_COLUMNS = _names(DIALOG_IN, "toroute_index")
"""The order of an ``in_row``."""

OUT_COLUMNS = _names(DIALOG_OUT)
VAR_COLUMNS = _names(DIALOG_VARS)
CALL_TEXTS = (
    "callid",
    "from_tag",
    "from_uri",
    "to_uri",
    "req_uri",
    "caller_original_cseq",
    "caller_contact",
    "caller_route_set",
    "caller_sock",
    "toroute_name",
)
CALL_LEG_TEXTS = ("to_tag", "callee_contact", "callee_route_set")
CALL_LEG_COPIES = {
    "to_uri": "to_uri",
    "caller_cseq": "caller_original_cseq",
    "callee_cseq": "caller_original_cseq",
    "callee_sock": "caller_sock",
}
"""Texts of a leg, and those of its dialog that they mostly are copies of."""

CALL_NUMBERS = (
    "lifetime",
    "init_ts",
    "start_time",
    "timeout",
    "sflags",
    "dflags",
    "switches",
)
CALL_LEG_NUMBERS = ("branch", "callee_cseq_seen", "dflags")
"""With what these five name, the row of a dialog and that of its only leg are read if it is an
ordinary call, besides its session timer and xdata: each column that need not be read makes a start
shorter."""

SHARED = ("owner", "hash_entry", "hash_id", "did")
"""What IN_COLUMNS and OUT_COLUMNS begin with: of a dialog and its legs the same."""
