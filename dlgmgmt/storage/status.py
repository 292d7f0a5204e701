"""How the database and what is to be written to it are, at one moment."""

from __future__ import annotations

from typing import Literal, NamedTuple

StorageState = Literal["loading", "ok", "late", "down", "off"]


class StorageStatus(NamedTuple):
    """What operators see of the database.

    state: "late" when changes have waited longer than ``late_after`` beyond what the mode allows,
    "down" when the server cannot be written to, "off" without a database. waiting: dialogs whose
    changes are not in the database yet. oldest: seconds since the first of these changes.
    commits, rows, errors: transactions, rows written or deleted, failed tries since the start.
    reconnects: outages that are over. last_error: the latest failure, "" if there was none.
    loaded, skipped, early, expired, adopted: dialogs, of what the start and adoptions found.
    rescued: changes that went to a file at the end. unsynced: 2xx that were not held until their
    dialog was durable, for it took too long. refused: dialogs that the database does not take.
    """

    mode: int
    state: StorageState
    waiting: int = 0
    oldest: float = 0.0
    commits: int = 0
    rows: int = 0
    errors: int = 0
    reconnects: int = 0
    last_error: str = ""
    loaded: int = 0
    skipped: int = 0
    early: int = 0
    expired: int = 0
    adopted: int = 0
    rescued: int = 0
    unsynced: int = 0
    refused: int = 0
