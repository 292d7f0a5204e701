"""Connections to the three kinds of databases, and what their drivers say when something fails."""

from __future__ import annotations

import os
import select
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import URL, Dialect, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.pool import NullPool

from dlgmgmt.storage.errors import Damaged, RowsRefused, StorageError
from dlgmgmt.storage.faults import printable
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.url import MYSQL, POSTGRESQL, SQLITE, secrets_of, shown

_SQLITE_CACHE = 16_384  # KiB
_FAULTS = 20
_SQLITE_WAL_LIMIT = 67_108_864
_AGAIN = 0.02  # seconds
_TOGETHER = 1 << 16  # several statements in one message: CLIENT_MULTI_STATEMENTS
_BAD_INDEX = ((1034,), (1712,))
"""MariaDB's ER_NOT_KEYFILE and ER_INDEX_CORRUPT."""

_LOST = ("08", "57", "XX")
"""Classes of PostgreSQL's codes for a connection, or a server, that ends."""

# A server whose client has vanished without a word lets go of the owner's lock after that time.
_POSTGRESQL_SESSION: Final = (
    "-c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 -c tcp_keepalives_count=3"
    # A table that has just been filled has no statistics, and the plans made without are scans.
    " -c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off -c enable_bitmapscan=off"
    " -c enable_material=off -c jit=off -c lock_timeout=5000"
)
_MYSQL_SESSION: Final = (
    "SET SESSION sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'",
    "SET SESSION innodb_lock_wait_timeout=5, wait_timeout=31536000",
    # Without the locks between rows, in which two daemons would meet.
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
)


class Target(NamedTuple):
    """Where a connection leads, and how it behaves. answer_timeout: seconds of silence."""

    url: URL
    synchronous: str = "full"
    answer_timeout: float = 5.0

    @property
    def kind(self) -> str:
        """One of SQLITE, POSTGRESQL, MYSQL."""
        return self.url.get_backend_name()

    @property
    def path(self) -> Path:
        """Of the file, with SQLite."""
        return Path(self.url.database or "")


def target_of(settings: StorageSettings, url: URL) -> Target:
    """As the settings say."""
    return Target(url, settings.synchronous, settings.answer_timeout)


def dialect_of(kind: str) -> Dialect:
    """What SQL is compiled with: parameters are given by their places."""
    if kind == SQLITE:
        from sqlalchemy.dialects.sqlite import pysqlite  # noqa: PLC0415

        return pysqlite.dialect()
    if kind == POSTGRESQL:
        from sqlalchemy.dialects.postgresql import psycopg  # noqa: PLC0415

        make: Any = psycopg.dialect
        dialect: Dialect = make(paramstyle="format")
        return dialect
    from sqlalchemy.dialects.mysql import pymysql  # noqa: PLC0415

    return pymysql.dialect()


def connect(target: Target) -> DBAPIConnection:
    """A connection of the driver; raises what the driver raises, or OSError."""
    connection: DBAPIConnection = _CONNECT[target.kind](target)
    return connection


def engine_of(target: Target) -> Engine:
    """For what is no matter of speed: migrations, checks, imports."""
    engine = create_engine(target.url, creator=lambda: connect(target), poolclass=NullPool)
    if target.kind == SQLITE:

        @event.listens_for(engine, "begin")
        def _begin(connection: Any) -> None:
            # The driver begins nothing itself, so that a change of tables is part of it.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _sqlite(target: Target) -> Any:
    path = target.path
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # What is beside it (-wal, -shm) gets the same mode from SQLite.
        os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    # The writer's thread is not the one that has opened it.
    connection = sqlite3.connect(
        path, timeout=target.answer_timeout, isolation_level=None, check_same_thread=False
    )
    try:
        _use_wal(connection, target.answer_timeout)
        connection.execute(f"PRAGMA synchronous = {target.synchronous}")
        connection.execute(f"PRAGMA journal_size_limit = {_SQLITE_WAL_LIMIT}")
        connection.execute(f"PRAGMA cache_size = -{_SQLITE_CACHE}")
    except BaseException:
        connection.close()
        raise
    return connection


def _use_wal(connection: sqlite3.Connection, patience: float) -> None:
    """Set the mode, which is one of the file; SQLite itself does not wait where others do the same.

    patience: seconds.
    """
    end = time.monotonic() + patience
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            busy = error.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
            if not busy or time.monotonic() >= end:
                raise
            time.sleep(_AGAIN)
        else:
            return


def _postgresql(target: Target) -> Any:
    import psycopg  # noqa: PLC0415 - takes time that SQLite need not spend
    from psycopg.types.numeric import Int8Dumper  # noqa: PLC0415

    url = target.url
    options = dict(url.query)
    session = f"{_POSTGRESQL_SESSION} {options.pop('options', '')}"
    connection = _watched().connect(
        host=options.pop("host", None) or url.host,
        port=url.port,
        user=url.username,
        password=url.password,
        dbname=url.database,
        connect_timeout=max(2, int(target.answer_timeout)),
        client_encoding="UTF8",
        application_name=options.pop("application_name", "dlgmgmt"),
        options=session.strip(),
        **options,
    )
    connection.silence = target.answer_timeout
    # Each size of a number would be a statement of its own to be prepared.
    connection.adapters.register_dumper(int, Int8Dumper)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        connection.close()
        raise psycopg.NotSupportedError(f"the database has encoding {encoding}, UTF8 is needed")
    return connection


_watched_class: Any = None


def _watched() -> Any:
    """The driver's connection, which does not wait for ever: libpq has no time limit for answers.

    ``tcp_user_timeout`` would not do: the kernel of a server that stands still still acknowledges.
    """
    global _watched_class  # noqa: PLW0603 - made once, with the driver
    if _watched_class is not None:
        return _watched_class
    import psycopg  # noqa: PLC0415
    from psycopg.waiting import Ready  # noqa: PLC0415

    class Watched(psycopg.Connection[Any]):
        """silence: seconds after which a server that says nothing is taken for dead."""

        silence = 5.0

        def wait(self, gen: Any, interval: float = 0.0, timeout: float | None = None) -> Any:  # noqa: ARG002
            """Run what the driver does step by step, each when the socket is ready for it."""
            poll = select.poll()
            fileno = self.pgconn.socket
            try:
                wanted = next(gen)
                while True:
                    poll.register(fileno, _POLLED[int(wanted)])
                    ready = poll.poll(self.silence * 1000)
                    if not ready:
                        waited, self.silence = self.silence, 0.0
                        # What the driver does to end a pipeline is not waited for again.
                        raise psycopg.OperationalError(
                            f"the server has not answered for {waited:g} seconds"
                        )
                    events = ready[0][1]
                    state = 0
                    if events & ~select.POLLOUT:
                        state |= Ready.R
                    if events & ~select.POLLIN:
                        state |= Ready.W
                    wanted = gen.send(Ready(state & int(wanted) or int(wanted)))
            except StopIteration as end:
                return end.value

    _watched_class = Watched
    return Watched


_POLLED = (0, select.POLLIN, select.POLLOUT, select.POLLIN | select.POLLOUT)


def _mysql(target: Target) -> Any:
    import pymysql  # noqa: PLC0415

    _, found = dialect_of(MYSQL).create_connect_args(target.url)
    options = dict(found)
    options.setdefault("charset", "utf8mb4")
    options["client_flag"] = int(options.get("client_flag", 0)) | _TOGETHER
    timeout = target.answer_timeout
    options |= {"connect_timeout": timeout, "read_timeout": timeout, "write_timeout": timeout}
    connection = pymysql.connect(**options)
    try:
        with connection.cursor() as cursor:
            for statement in _MYSQL_SESSION:
                cursor.execute(statement)
    except BaseException:
        connection.close()
        raise
    return connection


_CONNECT: Final[dict[str, Callable[[Target], Any]]] = {
    SQLITE: _sqlite,
    POSTGRESQL: _postgresql,
    MYSQL: _mysql,
}


def rows_of(cursor: DBAPICursor, text: str, values: Sequence[object]) -> list[Any]:
    """All rows of a SELECT. Bytes that are no text, which SQLite takes too, keep no row out."""
    try:
        cursor.execute(text, values)
        return list(cursor.fetchall())
    except sqlite3.OperationalError as error:
        if "decode" not in str(error):
            raise
    # Not always: each text would be a call.
    connection: Any = cursor.connection
    connection.text_factory = _decode
    try:
        cursor.execute(text, values)
        return list(cursor.fetchall())
    finally:
        connection.text_factory = str


def _decode(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def is_drivers(error: BaseException) -> bool:
    """Whether it comes from a driver or the system, and is no mistake of this program."""
    if isinstance(error, OSError | sqlite3.Error | UnicodeEncodeError | OverflowError):
        return True
    return any(
        base.__module__.startswith(("psycopg", "pymysql", "sqlalchemy"))
        for base in type(error).__mro__
    )


def refuses_row(error: BaseException) -> bool:
    """Whether what it says concerns a value, so that without the row all would be well."""
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return True
    names = {base.__name__ for base in type(error).__mro__}
    if isinstance(error, sqlite3.Error):
        # A value that cannot be bound; which class says so differs between the versions of Python.
        return bool(names & {"DataError", "IntegrityError"}) or "binding parameter" in str(error)
    return bool(names & {"DataError", "IntegrityError", "ProgramLimitExceeded"})


def integrity(target: Target) -> list[str]:
    """What SQLite finds wrong with a file, as far as it can look."""
    found: list[str] = []
    try:
        connection = sqlite3.connect(target.path, timeout=target.answer_timeout)
        try:
            for (text,) in connection.execute(f"PRAGMA integrity_check({_FAULTS})"):
                found += [printable(line) for line in str(text).splitlines()]
        finally:
            connection.close()
    except sqlite3.Error as error:
        found.append(printable(str(error)))
    return [] if found == ["ok"] else found[:_FAULTS]


def _damaged(error: BaseException) -> bool:
    """Whether a file is no database, or not any more."""
    code = getattr(error, "sqlite_errorcode", 0) or 0
    # Beyond the lowest byte it says what kind of page it was.
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def told(error: BaseException, url: URL) -> StorageError:
    """The error as one line that names the database and shows no password."""
    original = getattr(error, "orig", None) or error
    arguments: tuple[Any, ...] = getattr(original, "args", ())
    if len(arguments) > 1 and isinstance(arguments[0], int) and not isinstance(original, OSError):
        text = f"{arguments[1]} ({arguments[0]})"
    else:
        text = str(original) or type(original).__name__
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = lines[0] if lines else type(original).__name__
    for secret in secrets_of(url):
        line = line.replace(secret, "***")
    kind = RowsRefused if refuses_row(original) else StorageError
    if _damaged(original):
        kind = Damaged
    found = kind(printable(f"{shown(url)}: {line}"))
    # A commit that finds no room, or another writer, has not been one.
    code = getattr(original, "sqlite_errorcode", 0) or 0
    found.undone = code & 0xFF in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY)
    found.bad_index = url.get_backend_name() == MYSQL and arguments[:1] in _BAD_INDEX
    # What PostgreSQL answers with an error it has not done; what else has a code has lost it.
    state = getattr(original, "sqlstate", None) or "XX"
    found.undone |= state[:2] not in _LOST
    return found
