"""One connection to the database: it writes batches, and reads dialogs page by page."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from operator import itemgetter
from typing import Any, Final, TypeVar

from sqlalchemy import Table, delete
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

from dlgmgmt.storage import repair
from dlgmgmt.storage import statements as sql
from dlgmgmt.storage.batch import Key, Row, WriteBatch
from dlgmgmt.storage.drivers import connect, is_drivers, rows_of, target_of, told
from dlgmgmt.storage.errors import RowsRefused, StorageError
from dlgmgmt.storage.locks import OwnerLocks
from dlgmgmt.storage.migrate import ensure
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.reader import Reader
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.tables import DIALOG_VARS, OUT_COLUMNS
from dlgmgmt.storage.together import Together
from dlgmgmt.storage.url import MYSQL, POSTGRESQL, SQLITE, parse_url

__all__ = ["Database", "Key", "Row", "StoredDialog", "WriteBatch"]

_IDLE: Final = 20.0
"""Seconds after which a connection is tried before it is used: something may have cut it."""

_NOBODY: Final = ""
"""What is locked for rows without an owner; no daemon is called so."""

_MAPPED: Final = 2**32
"""Bytes of a file that a reader has before it, instead of asking for each page."""

_SIZES: Final = (1, 4, 16, 128)
"""Keys of one DELETE on MariaDB."""

_LISTED: Final = 1000
"""Rows of one statement on PostgreSQL, which takes 256 MB of JSON."""

_PLACE_OF: Final = itemgetter(0, 1, 2)
_LEG_OF: Final = itemgetter(0, 1, 2, OUT_COLUMNS.index("leg_no"))
_BEGIN: Final = {SQLITE: "BEGIN IMMEDIATE", POSTGRESQL: "BEGIN"}
_Result = TypeVar("_Result")


class Database(Reader):
    """For one thread at a time; each thread that reads or writes makes its own.

    lock: the owner's lock is taken when it connects, and again after a lost connection. Of the
    connections of one daemon exactly one has it: the writer's. A Database without lock does not
    look at the schema either. repairs: it has indexes made anew that the server says are damaged,
    with the next try; None: if it has the lock.
    """

    def __init__(
        self, settings: StorageSettings, *, lock: bool = True, repairs: bool | None = None
    ) -> None:
        self.settings = settings
        self.lock = lock
        self._repairs = lock if repairs is None else repairs
        self.url = parse_url(settings.url)
        self.reconnects = 0
        self._target = target_of(settings, self.url)
        super().__init__(self._target.kind)
        self._locks = OwnerLocks(self._target)
        self._connection: DBAPIConnection | None = None
        self._connected = False
        self._used_at = 0.0
        self._bad_index = False
        self._rebuild_at = 0.0

    def open(self, *, patience: float | None = None) -> None:
        """Connect; tables are made or brought up to date, the owner is locked.

        patience: seconds that another daemon of this owner is waited for. Raises StorageError,
        OwnerTaken, SchemaError.
        """
        if self.lock:
            ensure(self._target, automatic=self.settings.upgrade)
        self._locks.patience = patience
        try:
            self._run(lambda _: None)
        finally:
            self._locks.patience = None

    def close(self) -> None:
        """Give up the connection and its locks."""
        self._drop()
        self._locks.close()

    def write(self, batch: WriteBatch) -> None:
        """All of the batch in one transaction, or nothing and a StorageError.

        After RowsRefused the connection is still good; after any other it is dropped, and the next
        call makes a new one.
        """
        if self._target.kind == POSTGRESQL and _is_simple(batch):
            lists = [_json(rows) for rows in (batch.deletes, batch.dialogs, batch.legs)]
            self._run(lambda cursor: cursor.execute(self._statements.transaction, lists), once=True)
        elif self._target.kind == MYSQL:
            self._write_together(batch)
        else:
            self._run(lambda cursor: self._write(cursor, batch))

    def _write_together(self, batch: WriteBatch) -> None:
        together: Together | None = None

        def work(cursor: DBAPICursor) -> None:
            nonlocal together
            together = Together(cursor)
            self._write(together, batch)
            together.run()

        try:
            self._run(work, once=True)
        except StorageError as error:
            error.undone |= together is None or not together.committing
            raise

    def count(self, owner: str | None) -> int:
        """The dialogs of an owner; None: those without one, which Kamailio has written."""
        count: int = self.query(sql.dialogs_of(owner))[0][0]
        return count

    def owners(self) -> list[tuple[str | None, int]]:
        """Who has dialogs here, and how many."""
        return [(owner, count) for owner, count in self.query(sql.all_owners())]

    def clear(self, owner: str | None) -> int:
        """Delete all rows of an owner; the number of dialogs."""
        count = self.count(owner)

        def delete_all(cursor: DBAPICursor) -> None:
            for table in sql.TABLES:
                statement = self._statements.sql(delete(table).where(sql.owned(table, owner)))
                cursor.execute(statement.text, statement.values())

        self._run(delete_all)
        return count

    @contextmanager
    def take_owner(self, owner: str | None) -> Iterator[None]:
        """Hold another owner's lock meanwhile; OwnerTaken if its daemon runs.

        If the connection is lost meanwhile, so is the lock: the next call fails then.
        """
        if self.lock and owner == self.settings.owner:
            yield
            return
        # Two daemons that start at once both find the rows that have no owner.
        name = owner if owner is not None else _NOBODY
        connection = self._ready()
        self._guarded(lambda: self._locks.take(connection, name))
        try:
            yield
        finally:
            if connection is self._connection:
                with suppress(StorageError):
                    self._guarded(lambda: self._locks.release(connection, name))

    def _write(self, cursor: DBAPICursor | Together, batch: WriteBatch) -> None:
        known = self._statements
        owner = self.settings.owner
        for table, ids in batch.row_ids.items():
            if ids:
                cursor.executemany(known.delete_ids[table].text, [(row_id,) for row_id in ids])
        if batch.deletes:
            self._delete_keys(cursor, batch.deletes, sql.TABLES)
        if batch.dialogs:
            self._put(cursor, known.put_in.text, batch.dialogs, _PLACE_OF)
        if batch.legs_beyond:
            cursor.executemany(
                known.delete_beyond.text, [(owner, *beyond) for beyond in batch.legs_beyond]
            )
        if batch.legs:
            self._put(cursor, known.put_out.text, batch.legs, _LEG_OF)
        if batch.vars_replaced:
            keys: list[Key] = [(owner, *key) for key in batch.vars_replaced]
            self._delete_keys(cursor, keys, (DIALOG_VARS,))
        if batch.vars:
            self._put(cursor, known.add_var.text, batch.vars)

    def _put(
        self,
        cursor: DBAPICursor | Together,
        text: str,
        rows: list[Row],
        key: Callable[[Row], object] | None = None,
    ) -> None:
        """Write rows; of those with the same key the last one stays."""
        if self._target.kind != POSTGRESQL:
            cursor.executemany(text, rows)
            return
        if key is not None:
            # What one statement puts in it cannot replace.
            rows = list({key(row): row for row in rows}.values())
        for done in range(0, len(rows), _LISTED):
            # A statement for each row would cost the driver more than the row.
            cursor.execute(text, (_json(rows[done : done + _LISTED]),))

    def _delete_keys(
        self, cursor: DBAPICursor | Together, keys: Sequence[Key], tables: Sequence[Table]
    ) -> None:
        known = self._statements
        owned = [key for key in keys if key[0] is not None]
        unowned = [key[1:] for key in keys if key[0] is None]
        for table in tables if unowned else ():
            number = sql.TABLES.index(table)
            cursor.executemany(known.delete_unowned[number].text, unowned)
        if not owned:
            return
        if self._target.kind == SQLITE:
            for table in tables:
                cursor.executemany(known.delete_owned[sql.TABLES.index(table)].text, owned)
        elif self._target.kind == POSTGRESQL:
            for done in range(0, len(owned), _LISTED):
                part = _json(owned[done : done + _LISTED])
                cursor.execute(known.delete_listed(tables), (part,))
        else:
            places = [(h_entry, h_id, owner) for owner, h_entry, h_id in owned]
            while places:
                some = places[: _SIZES[-1]]
                places = places[_SIZES[-1] :]
                size = next(size for size in _SIZES if size >= len(some))
                # A statement for each number of keys would be many: the last one is said again.
                some += some[-1:] * (size - len(some))
                cursor.execute(known.delete_many(tables, size), tuple(chain.from_iterable(some)))

    def _select(self, text: str, values: Sequence[object]) -> list[Row]:
        return self._run(lambda cursor: rows_of(cursor, text, values), begin=False)

    def _run(
        self, work: Callable[[DBAPICursor], _Result], *, begin: bool = True, once: bool = False
    ) -> _Result:
        """``work`` in a transaction of its own.

        Without ``begin``, it only reads; ``once``: it commits itself.
        """
        committing = False

        def transaction() -> _Result:
            nonlocal committing
            committing = once
            cursor = connection.cursor()
            if begin and not once and self._target.kind in _BEGIN:
                cursor.execute(_BEGIN[self._target.kind])
            result = work(cursor)
            cursor.close()
            committing = True
            if not once:
                connection.commit()
            return result

        try:
            connection = self._ready()
            result = self._guarded(transaction)
        except StorageError as error:
            error.undone |= not committing
            self._bad_index |= error.bad_index and self._repairs
            raise
        self._used_at = time.monotonic()
        return result

    def _ready(self) -> DBAPIConnection:
        """The connection, made if there is none, and tried if it has been idle."""
        if self._connection is not None and time.monotonic() - self._used_at > _IDLE:
            try:
                cursor = self._connection.cursor()
                cursor.execute("SELECT 1")
                cursor.fetchall()
                self._connection.commit()
            except Exception as error:
                self._drop()
                if not is_drivers(error):
                    raise
        if self._connection is None:
            self._guarded(self._connect)
        assert self._connection is not None  # noqa: S101 - for the type checker
        if self._bad_index and time.monotonic() >= self._rebuild_at:
            self._rebuild_at = time.monotonic() + repair.AGAIN
            # If it fails, or takes too long, the next try says whether it is still needed.
            self._bad_index = False
            self._guarded(lambda: repair.rebuild(self._target))
        return self._connection

    def _connect(self) -> None:
        connection: Any = connect(self._target)
        try:
            if self._target.kind == POSTGRESQL:
                # A transaction that is one statement takes one question then, and not three.
                connection.autocommit = True
            if self.lock:
                self._locks.take(connection, self.settings.owner)
            elif self._target.kind == SQLITE:
                # It reads all there is, and for a short time.
                connection.cursor().execute(f"PRAGMA mmap_size = {_MAPPED}")
        except BaseException:
            with suppress(Exception):
                connection.close()
            raise
        self.reconnects += self._connected
        self._connected = True
        self._connection = connection
        self._used_at = time.monotonic()

    def _guarded(self, work: Callable[[], _Result]) -> _Result:
        """What a driver raises becomes a StorageError."""
        try:
            return work()
        except StorageError:
            raise
        except Exception as error:
            if not is_drivers(error):
                self._drop()
                raise
            reason = told(error, self.url)
            if not (isinstance(reason, RowsRefused) and self._undone()):
                self._drop()
            raise reason from None

    def _undone(self) -> bool:
        """Whether the transaction was taken back."""
        if self._connection is None:
            return False
        try:
            self._connection.rollback()
        except Exception as error:
            if not is_drivers(error):
                raise
            return False
        return True

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # It may be broken in any way, and nobody is interested.
            with suppress(Exception):
                connection.close()


def _is_simple(batch: WriteBatch) -> bool:
    """Whether it may be one statement on PostgreSQL: whose parts see nothing of each other."""
    if batch.legs_beyond or batch.vars_replaced or batch.vars or batch.row_ids:
        return False
    deletes, dialogs, legs = set(batch.deletes), batch.dialogs, batch.legs
    return (
        max(len(deletes), len(dialogs), len(legs)) <= _LISTED
        and deletes.isdisjoint(map(_PLACE_OF, dialogs))
        and deletes.isdisjoint(map(_PLACE_OF, legs))
        and len(set(map(_PLACE_OF, dialogs))) == len(dialogs)
        and len(set(map(_LEG_OF, legs))) == len(legs)
        and not any(owner is None for owner, *_ in deletes)
    )


def _json(rows: Sequence[Row]) -> str:
    return json.dumps(rows, ensure_ascii=False)
