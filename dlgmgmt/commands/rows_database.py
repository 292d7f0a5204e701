"""Rows of the commands about the database that keeps the dialogs."""

from __future__ import annotations

from dlgmgmt.commands import handlers_database as database
from dlgmgmt.commands.errors import Failure
from dlgmgmt.commands.registry import Command, Example, Param

_WAIT = Param(
    "wait",
    "integer",
    f"seconds that the answer may take, {database.MAX_WAIT} at most; {database.DEFAULT_WAIT} "
    "without it. What takes longer goes on, and is seen in dlg.db_status",
    required=False,
    by_name=True,
)
_FAILURES = (Failure.NO_DATABASE, Failure.DATABASE)

STATUS_EXAMPLE: dict[str, object] = {
    "mode": 1,
    "state": "ok",
    "url": "mysql://dlgmgmt:***@db.example.com/dialogs",
    "owner": "proxy1",
    "waiting": 2,
    "oldest_ms": 7,
    "commits": 5120,
    "rows": 31877,
    "errors": 0,
    "reconnects": 0,
    "last_error": "",
    "loaded": 812,
    "early": 3,
    "expired": 0,
    "skipped": 0,
    "adopted": 0,
    "rescued": 0,
    "unsynced": 0,
    "refused": 0,
}

DATABASE = (
    Command(
        ("dlg_db_status",),
        ("dlg.db_status",),
        (),
        "view",
        "How the database is: its mode and state (off, loading, ok, late, down), what waits to be "
        "written and for how long, and what has been written and read since the start.",
        database.status,
        "DatabaseStatus",
        Example((), STATUS_EXAMPLE),
    ),
    Command(
        ("dlg_db_adopt",),
        ("dlg.db_adopt",),
        (
            Param(
                "owner",
                "string",
                "the name of the other daemon (owner in [database]); empty for dialogs without one",
            ),
            _WAIT,
        ),
        "admin",
        "Take over the dialogs of another daemon that uses the same database and runs no more: "
        "they are loaded, and written as this daemon's own. Over MI the answer does not wait.",
        database.adopt,
        "Adoption",
        Example(
            ("proxy2",),
            {
                "owner": "proxy2",
                "done": True,
                "loaded": 512,
                "early": 1,
                "expired": 0,
                "purged": 0,
                "skipped": 0,
            },
        ),
        failures=(*_FAILURES, Failure.OWNER_TAKEN, Failure.NO_ROOM),
    ),
    Command(
        ("dlg_db_flush",),
        ("dlg.db_flush",),
        (_WAIT,),
        "operate",
        "Write what waits, and answer when it is durable, or with how much still waits. Over MI "
        "the answer does not wait.",
        database.flush,
        "Flushed",
        Example((), {"done": True, "waiting": 0}),
        failures=_FAILURES,
    ),
)
