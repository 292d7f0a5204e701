"""What can go wrong with a database. Each text is one line, without a password."""

from __future__ import annotations


class StorageError(Exception):
    """The database cannot be used, now or at all.

    undone: nothing of the transaction was written, for certain. A commit whose answer was lost may
    have been one. bad_index: the server has damaged an index of its own.
    """

    undone = False
    bad_index = False


class SchemaError(StorageError):
    """Its tables are not those that this version reads and writes."""


class OwnerTaken(StorageError):
    """A daemon that runs already writes the rows of this owner."""


class Damaged(StorageError):
    """The database answers, and cannot read its own pages: no waiting helps."""

    HINT = "see what can be read of it with: dlgmgmt db check"


class RowsRefused(StorageError):
    """The database is there and refuses a row of this batch; nothing of it was written.

    A text that its encoding does not have, a number or text that its column does not take: what a
    stranger has sent, which keeps nobody else's dialog out.
    """


class RowFault(ValueError):
    """A row that is no part of a dialog. table, id: of the row; text: what is wrong with it."""

    def __init__(self, table: str, row_id: int, text: str) -> None:
        super().__init__(f"{table} {row_id}: {text}")
        self.table = table
        self.id = row_id
        self.text = text
