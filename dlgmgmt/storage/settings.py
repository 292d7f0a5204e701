"""What can be set of the database."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

MAX_OWNER = 64
"""Characters of an owner's name; the column has no more."""


@dataclass(slots=True, frozen=True, kw_only=True)
class StorageSettings:
    """Where dialogs are stored, and when. Times in seconds.

    mode: 0 not at all, 1 at once, 2 every ``update_period``, 3 at the end. fetch_rows: dialogs of
    one SELECT, 0 for all. commit_interval: in mode 1 a change is durable within it. sync_confirm:
    a 2xx waits for that, ``sync_timeout`` at most. owner: whose rows these are, where several
    daemons share a database. on_expired: what becomes of calls whose time ran out while nothing
    ran; expired_rate: BYEs a second for them. connect_timeout: for how long the start tries to
    reach the database; stop_timeout: how long the end may take for the last changes. retry_max: the
    longest pause between two attempts. upgrade: the tables are made and extended at the start.
    rescue_dir: where changes go that could not be written at the end. synchronous: of SQLite;
    with "normal" a power failure takes the last commits. late_after: changes that wait for longer
    are a reason for alarm. answer_timeout: a server that is silent for so long is taken for dead.
    """

    url: str
    mode: int
    update_period: float
    fetch_rows: int
    rescue_dir: Path
    commit_interval: float = 0.02
    sync_confirm: bool = False
    sync_timeout: float = 1.0
    owner: str = "dlgmgmt"
    on_expired: Literal["bye", "purge"] = "bye"
    expired_rate: int = 100
    connect_timeout: float = 30.0
    stop_timeout: float = 30.0
    retry_max: float = 5.0
    upgrade: bool = True
    synchronous: Literal["full", "normal"] = "full"
    late_after: float = 5.0
    answer_timeout: float = 5.0
