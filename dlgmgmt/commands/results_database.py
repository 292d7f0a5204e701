"""What the commands about the database answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class DatabaseStatus(NamedTuple):
    """The database, and what is still to be written into it.

    mode: db_mode. state: "off", "loading", "ok", "late" (changes have waited too long) or "down".
    url: where it is, without a password. owner: whose rows are written. waiting: dialogs with
    changes that are not in it. oldest_ms: for how long the first of them has waited. commits, rows:
    transactions and what they wrote. errors: those that failed. reconnects: lost connections that
    were made anew. last_error: what failed last, "" for nothing. loaded: dialogs that were read
    since the start; early, expired, skipped: what was read and is not one of them. adopted: of
    those loaded, how many were another daemon's. rescued: dialogs in rescue files. unsynced:
    answers that went to a caller before their dialog was durable. refused: dialogs that the
    database does not take.
    """

    mode: int = 0
    state: str = "off"
    url: str = ""
    owner: str = ""
    waiting: int = 0
    oldest_ms: int = 0
    commits: int = 0
    rows: int = 0
    errors: int = 0
    reconnects: int = 0
    last_error: str = ""
    loaded: int = 0
    early: int = 0
    expired: int = 0
    skipped: int = 0
    adopted: int = 0
    rescued: int = 0
    unsynced: int = 0
    refused: int = 0


@dataclass(slots=True, frozen=True)
class Adoption:
    """The dialogs of another daemon, which are taken over. done: False while that goes on.

    loaded: those that are this daemon's now. early, expired, purged, skipped: of its further ones,
    those that were ringing, had passed their timeout, were removed for that, or could not be read.
    """

    owner: str
    done: bool
    loaded: int = 0
    early: int = 0
    expired: int = 0
    purged: int = 0
    skipped: int = 0


@dataclass(slots=True, frozen=True)
class Flushed:
    """What waited has been written. done: False while that goes on. waiting: what still does."""

    done: bool
    waiting: int


DatabaseResult = DatabaseStatus | Adoption | Flushed
