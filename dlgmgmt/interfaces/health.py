"""GET /health: whether the daemon does all that it should, for those who watch over it.

It needs no token, so it says nothing of calls.
"""

from __future__ import annotations

import msgspec

from dlgmgmt.commands.context import Database
from dlgmgmt.commands.results_database import DatabaseStatus

_GOOD = frozenset({"off", "ok"})


def health(database: Database | None) -> tuple[int, bytes]:
    """HTTP status and body: 200, or 503 while something is amiss."""
    found = DatabaseStatus() if database is None else database.status()
    good = found.state in _GOOD
    body = {
        "status": "ok" if good else "degraded",
        "loading": found.state == "loading",
        "database": {
            "mode": found.mode,
            "state": found.state,
            "waiting": found.waiting,
            "oldest_ms": found.oldest_ms,
        },
    }
    return 200 if good else 503, msgspec.json.encode(body)
