"""JSON schemas of what the commands about the database answer, and of /health; see schemas.py."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]


def _number(doc: str) -> Schema:
    return {"type": "integer", "description": doc}


def _text(doc: str) -> Schema:
    return {"type": "string", "description": doc}


def _record(doc: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": doc,
        "required": [*properties],
        "properties": properties,
    }


_STATE: Schema = {
    "type": "string",
    "enum": ["off", "loading", "ok", "late", "down"],
    "description": "late: changes have waited for longer than late_after; down: it does not answer",
}
_MODE: Schema = {"type": "integer", "minimum": 0, "maximum": 3, "description": "db_mode"}
_WAITING = _number("dialogs with changes that are not in it")
_OLDEST = _number("milliseconds for which the first of them has waited")
_READ_EARLY = _number("dialogs that were ringing, whose transactions are gone")
_READ_EXPIRED = _number("dialogs whose timeout had passed")
_READ_SKIPPED = _number("dialogs that could not be read")

DATABASE: dict[str, Schema] = {
    "DatabaseStatus": _record(
        "The database, and what waits to be written. Counters are those since the start.",
        mode=_MODE,
        state=_STATE,
        url=_text("where it is, without a password; empty without one"),
        owner=_text("the name under which the dialogs of this daemon stand in it"),
        waiting=_WAITING,
        oldest_ms=_OLDEST,
        commits=_number("transactions that were written"),
        rows=_number("rows that they wrote or removed"),
        errors=_number("transactions that failed"),
        reconnects=_number("lost connections that were made anew"),
        last_error=_text("what failed last; empty for nothing"),
        loaded=_number("dialogs that were read"),
        early=_READ_EARLY,
        expired=_READ_EXPIRED,
        skipped=_READ_SKIPPED,
        adopted=_number("dialogs that were another daemon's"),
        rescued=_number("dialogs in rescue files"),
        unsynced=_number("answers that went out before their dialog was durable"),
        refused=_number("dialogs that the database does not take"),
    ),
    "Adoption": _record(
        "The dialogs of another daemon, which are taken over.",
        owner=_text("its name; empty for dialogs without one"),
        done={"type": "boolean", "description": "false while it goes on"},
        loaded=_number("dialogs that are this daemon's now"),
        early=_READ_EARLY,
        expired=_READ_EXPIRED,
        purged=_number("expired dialogs that were removed (on_expired)"),
        skipped=_READ_SKIPPED,
    ),
    "Flushed": _record(
        "What waited is written.",
        done={"type": "boolean", "description": "false while it goes on"},
        waiting=_WAITING,
    ),
}

HEALTH: Schema = _record(
    "Whether the daemon does all that it should.",
    status={
        "type": "string",
        "enum": ["ok", "degraded"],
        "description": "ok under status 200, degraded under 503",
    },
    loading={"type": "boolean", "description": "whether dialogs are still read from the database"},
    database=_record("the database", mode=_MODE, state=_STATE, waiting=_WAITING, oldest_ms=_OLDEST),
)
