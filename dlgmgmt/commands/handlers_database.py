"""Handlers of the commands about the database. None of them asks it: other threads do."""

from __future__ import annotations

import re

from dlgmgmt.commands.binding import quoted
from dlgmgmt.commands.context import Database
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.filters import bounded_number
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import Working
from dlgmgmt.commands.results_database import Adoption, DatabaseStatus, Flushed

DEFAULT_WAIT = 30
MAX_WAIT = 50
"""Seconds: less than the JSON FIFO gives a whole reply."""

# As the configuration takes them; none for dialogs without an owner.
_OWNER = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]{0,64}")


def status(call: Call) -> DatabaseStatus:
    """How the database is; without one, that it is off."""
    database = call.context.database
    return DatabaseStatus() if database is None else database.status()


def adopt(call: Call) -> Working:
    """Take over the dialogs of another daemon; Refused as _database, and for a bad owner."""
    database = _database(call)
    owner = call.text("owner")
    if not _OWNER.fullmatch(owner):
        raise Refused(
            Failure.BAD_VALUE, "owner is an RFC 3261 token of at most 64 characters, or empty"
        )
    if owner == database.status().owner:
        raise Refused(Failure.BAD_VALUE, f"{quoted(owner)} is this daemon's own name")
    wait = bounded_number(call, "wait", DEFAULT_WAIT, 0, MAX_WAIT)
    look = database.adopt(owner or None)
    return Working(Adoption(owner, done=False), look, float(wait))


def flush(call: Call) -> Working:
    """Write what waits; Refused as _database."""
    database = _database(call)
    wait = bounded_number(call, "wait", DEFAULT_WAIT, 0, MAX_WAIT)
    look = database.flush()
    return Working(Flushed(done=False, waiting=database.status().waiting), look, float(wait))


def _database(call: Call) -> Database:
    """The database; Refused where there is none, or where dialogs are still read from it."""
    database = call.context.database
    if database is None:
        raise Refused(Failure.NO_DATABASE)
    if database.status().state == "loading":
        raise Refused(Failure.DATABASE, "dialogs are still being loaded")
    return database
