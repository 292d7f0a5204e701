"""One connection to the database: it writes batches, and reads dialogs page by page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Select

from dlgmgmt.storage.batch import Key, Row, WriteBatch
from dlgmgmt.storage.rows import StoredDialog
from dlgmgmt.storage.settings import StorageSettings

__all__ = ["Database", "Key", "Row", "StoredDialog", "WriteBatch"]


class Database:
    """For one thread at a time; each thread that reads or writes makes its own.

    lock: the owner's lock is taken when it connects, and again after a lost connection. Of the
    connections of one daemon exactly one has it: the writer's. A Database without lock does not
    look at the schema either.
    """

    def __init__(self, settings: StorageSettings, *, lock: bool = True) -> None:
        self.settings = settings
        self.lock = lock

    def open(self) -> None:
        """Connect; tables are made or brought up to date, the owner is locked.

        Raises StorageError, OwnerTaken, SchemaError.
        """
        raise NotImplementedError

    def write(self, batch: WriteBatch) -> None:
        """All of the batch in one transaction, or nothing and a StorageError.

        The connection is dropped then; the next call makes a new one.
        """
        raise NotImplementedError

    def read(
        self, owner: str | None, fetch_rows: int, *, after: int = 0
    ) -> Iterator[list[StoredDialog]]:
        """The dialogs of an owner in the order of their ``id``, page by page; ``after`` an id.

        fetch_rows: dialogs of a page, 0 for all in one. Rows that are added meanwhile are left out.
        """
        raise NotImplementedError

    def query(self, statement: Select[Any]) -> list[tuple[Any, ...]]:
        """What a SELECT finds, as plain tuples. Raises StorageError."""
        raise NotImplementedError

    def count(self, owner: str | None) -> int:
        """The dialogs of an owner; None: those without one, which Kamailio has written."""
        raise NotImplementedError

    def owners(self) -> list[tuple[str | None, int]]:
        """Who has dialogs here, and how many."""
        raise NotImplementedError

    def clear(self, owner: str | None) -> int:
        """Delete all rows of an owner; the number of dialogs."""
        raise NotImplementedError

    def take_owner(self, owner: str | None) -> AbstractContextManager[None]:
        """Hold another owner's lock meanwhile; OwnerTaken if its daemon runs."""
        raise NotImplementedError

    def close(self) -> None:
        """Give up the connection and its locks."""
        raise NotImplementedError
