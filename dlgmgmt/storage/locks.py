"""Who may write the rows of an owner: one daemon at a time.

PostgreSQL and MariaDB let go of the lock with the connection, the kernel with the process: a daemon
that was killed leaves none behind.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import quote

from sqlalchemy.engine.interfaces import DBAPIConnection

from dlgmgmt.storage.drivers import Target
from dlgmgmt.storage.errors import OwnerTaken
from dlgmgmt.storage.url import MYSQL, POSTGRESQL

WAIT = 3.0
"""Seconds: a server may take a moment to notice that the last daemon is gone."""

_STEP = 0.05


class OwnerLocks:
    """The locks of one connection; with SQLite, of one Database.

    patience: seconds that somebody else's lock is waited for, None for WAIT.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._files: dict[str, int] = {}
        self.patience: float | None = None

    def take(self, connection: DBAPIConnection, owner: str) -> None:
        """Lock an owner; OwnerTaken if somebody else has it."""
        patience = WAIT if self.patience is None else self.patience
        deadline = time.monotonic() + patience
        while not self._try(connection, owner):
            if time.monotonic() >= deadline:
                raise OwnerTaken(f"the rows of owner {owner!r} belong to a daemon that is running")
            time.sleep(_STEP)

    def release(self, connection: DBAPIConnection, owner: str) -> None:
        """Give it up before the connection ends."""
        kind = self._target.kind
        if kind == POSTGRESQL:
            _ask(connection, "SELECT pg_advisory_unlock(%s)", _number(owner))
        elif kind == MYSQL:
            _ask(connection, "SELECT RELEASE_LOCK(%s)", self._name(owner))
        else:
            os.close(self._files.pop(owner))

    def close(self) -> None:
        """Give up those that no connection holds."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _try(self, connection: DBAPIConnection, owner: str) -> bool:
        kind = self._target.kind
        if kind == POSTGRESQL:
            return bool(_ask(connection, "SELECT pg_try_advisory_lock(%s)", _number(owner)))
        if kind == MYSQL:
            return bool(_ask(connection, "SELECT GET_LOCK(%s, 0)", self._name(owner)) == 1)
        return owner in self._files or self._try_file(owner)

    def _try_file(self, owner: str) -> bool:
        # It stays when the daemon ends: to remove it could remove another's.
        path = lock_path(self._target.path, owner)
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except BaseException:
            os.close(descriptor)
            raise
        self._files[owner] = descriptor
        return True

    def _name(self, owner: str) -> str:
        # These locks are the whole server's, and names of more than 64 characters are refused.
        return f"dlgmgmt.{_digest(f'{self._target.url.database}/{owner}').hex()[:40]}"


def lock_path(database: Path, owner: str) -> Path:
    """The file that is locked for an owner of an SQLite database."""
    return database.with_name(f"{database.name}.{quote(owner, safe='')}.lock")


def _digest(text: str) -> bytes:
    return hashlib.sha256(f"dlgmgmt/{text}".encode("utf-8", "surrogatepass")).digest()


def _number(owner: str) -> int:
    return int.from_bytes(_digest(owner)[:8], "big", signed=True)


def _ask(connection: DBAPIConnection, sql: str, value: object) -> Any:
    cursor = connection.cursor()
    try:
        cursor.execute(sql, (value,))
        row = cursor.fetchone()
        return row[0] if row else None
    finally:
        cursor.close()
        connection.commit()
