"""Real database servers, started here from Debian's packages; and a file of SQLite as one of them.

A server lies in a folder of its own, listens on loopback with a password, syncs to its disk as it
does everywhere, and is small. As root it runs as the user that its package has made.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import psycopg
import pymysql

from . import processes
from .disk import Disk

USER = "dlgmgmt"
PASSWORD = "never shown @/:% %41"  # noqa: S105 - of servers that live for seconds
"""Of the kind that a URL has to quote."""

_START_TIMEOUT = 60.0
_numbers = itertools.count(1)


class Server(ABC):
    """A database server, made when it is started first.

    disk: where it lies; ``close`` removes it. url: a database that is made once.
    """

    name = ""

    def __init__(self, folder: Path | None = None, *, megabytes: int = 512) -> None:
        # Paths of sockets are short, those of pytest's folders are not.
        self.folder = folder or Path(tempfile.mkdtemp(prefix="dlgmgmt-db-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o755)
        self.disk = Disk(self.folder / "disk", megabytes)
        self._url = ""

    @property
    def url(self) -> str:
        if not self._url:
            self._url = self.new_database()
        return self._url

    @abstractmethod
    def start(self) -> None:
        """Start it, and wait until it answers."""

    @abstractmethod
    def stop(self) -> None:
        """End it as an administrator does."""

    @abstractmethod
    def kill(self) -> None:
        """SIGKILL to all of its processes."""

    @abstractmethod
    def pause(self) -> None:
        """SIGSTOP to all of its processes: connections stay, and nobody answers on them."""

    @abstractmethod
    def resume(self) -> None:
        """SIGCONT."""

    @abstractmethod
    def new_database(self) -> str:
        """An empty database; its URL."""

    def drop_databases(self) -> int:
        """Make room, where databases take much of it: all go but that of ``url``; how many."""
        return 0

    @abstractmethod
    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        """What a client of the server itself sees in a database, or does to it."""

    @property
    def can_fill(self) -> bool:
        """Whether its disk can be made full here."""
        return self.disk.can_fill

    def fill(self) -> None:
        """Make its disk full."""
        self.disk.fill()

    def free(self) -> None:
        """Make room, and start it again if it has given up."""
        self.disk.free()

    def close(self) -> None:
        """Remove it with all its data."""
        self.kill()
        self.disk.close()
        shutil.rmtree(self.folder)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SqliteFile(Server):
    """No server: there is nothing to start, and who pauses it holds its lock."""

    name = "sqlite"

    def __init__(self, folder: Path | None = None, *, megabytes: int = 512) -> None:
        super().__init__(folder, megabytes=megabytes)
        self._held: list[sqlite3.Connection] = []

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass

    def kill(self) -> None:
        self.resume()

    def pause(self) -> None:
        for path in self.disk.folder.glob("*.sqlite"):
            connection = sqlite3.connect(path, isolation_level=None, timeout=10.0)
            self._held.append(connection)
            connection.execute("BEGIN IMMEDIATE")

    def resume(self) -> None:
        while self._held:
            self._held.pop().close()

    def new_database(self) -> str:
        return f"sqlite:///{self.disk.folder}/dialogs{next(_numbers)}.sqlite"

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(url.removeprefix("sqlite://"), timeout=10.0)
        try:
            rows = connection.execute(sql).fetchall()
            connection.commit()
            return rows
        finally:
            connection.close()


class _Program(Server):
    """A server that is a program. user: whom it runs as if the tests are root's."""

    user = ""

    def __init__(self, folder: Path | None = None, *, megabytes: int = 512) -> None:
        super().__init__(folder, megabytes=megabytes)
        self.data = self.disk.folder / "data"
        self.log = self.folder / "log"
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        if os.geteuid() == 0:
            account = pwd.getpwnam(self.user)
            for path in (self.folder, self.disk.folder):
                os.chown(path, account.pw_uid, account.pw_gid)

    def start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if not self.data.exists():
            self._make()
        self._process = self._popen(self._command())
        deadline = time.monotonic() + _START_TIMEOUT
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.name} does not start:\n{self.log.read_text()[-3000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        self._end(self._stop_signal)

    def kill(self) -> None:
        if self._process is not None and self._process.poll() is None:
            processes.kill(self._process.pid)
        if self._process is not None:
            self._process.wait(30)

    def pause(self) -> None:
        assert self._process is not None
        processes.pause(self._process.pid)

    def resume(self) -> None:
        assert self._process is not None
        processes.resume(self._process.pid)

    def free(self) -> None:
        super().free()
        end = time.monotonic() + _START_TIMEOUT
        # MariaDB has been seen to abort on a full disk, and to take its time for it.
        while self._process is not None and not self._answers():
            assert time.monotonic() < end, f"no answer:\n{self.log.read_text()[-3000:]}"
            self.start()
            time.sleep(0.02)

    _stop_signal = signal.SIGTERM

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(_START_TIMEOUT)

    def _popen(self, command: Sequence[str]) -> subprocess.Popen[bytes]:
        root = os.geteuid() == 0
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self.user if root else None,
                group=pwd.getpwnam(self.user).pw_gid if root else None,
                extra_groups=[] if root else None,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
            )

    def _run(self, command: Sequence[str]) -> None:
        code = self._popen(command).wait(120)
        assert code == 0, f"{command[0]}:\n{self.log.read_text()[-3000:]}"

    @abstractmethod
    def _make(self) -> None:
        """Make the files of an empty server."""

    @abstractmethod
    def _command(self) -> list[str]:
        """What starts it."""

    @abstractmethod
    def _answers(self) -> bool:
        """Whether it takes connections."""


class PostgresServer(_Program):
    """PostgreSQL."""

    name = "postgresql"
    user = "postgres"
    # Without waiting for the clients.
    _stop_signal = signal.SIGINT

    def __init__(self, folder: Path | None = None, *, megabytes: int = 512) -> None:
        super().__init__(folder, megabytes=megabytes)
        self._databases: list[str] = []

    def _binary(self, name: str) -> str:
        found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
        return str(found[-1]) if found else name

    @classmethod
    def is_installed(cls) -> bool:
        return any(Path("/usr/lib/postgresql").glob("*/bin/postgres"))

    def _make(self) -> None:
        self._run(
            [
                self._binary("initdb"),
                "--pgdata",
                str(self.data),
                "--username",
                "postgres",
                "--encoding",
                "UTF8",
                "--locale",
                "C.UTF-8",
                "--auth-local",
                "trust",
                "--auth-host",
                "scram-sha-256",
                "--wal-segsize",
                "1",
                "--no-sync",
            ]
        )

    def _command(self) -> list[str]:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.folder),
            "shared_buffers": "32MB",
            "max_wal_size": "64MB",
            "max_connections": "40",
            "autovacuum_naptime": "5s",
        }
        options = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
        return [self._binary("postgres"), "-D", str(self.data), *options]

    def _admin(self, database: str = "postgres") -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(
            host=str(self.folder),
            port=self.port,
            user="postgres",
            dbname=database,
            autocommit=True,
            connect_timeout=10,
        )

    def _answers(self) -> bool:
        try:
            with self._admin() as connection:
                if not connection.execute(
                    "SELECT 1 FROM pg_roles WHERE rolname = %s", (USER,)
                ).fetchone():
                    connection.execute(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        except psycopg.OperationalError:
            return False
        return True

    def drop_databases(self) -> int:
        # Each has 7 MB, and the disk is a small one.
        kept = self._url.rpartition("/")[2]
        gone = [name for name in self._databases if name != kept]
        with self._admin() as connection:
            for name in gone:
                connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        self._databases = [name for name in self._databases if name == kept]
        return len(gone)

    def new_database(self) -> str:
        name = f"dialogs{next(_numbers)}"
        with self._admin() as connection:
            connection.execute(f"CREATE DATABASE {name} OWNER {USER}")
        self._databases.append(name)
        return f"postgres://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        with self._admin(url.rpartition("/")[2]) as connection:
            connection.execute(f"SET ROLE {USER}")
            cursor = connection.execute(sql.encode())
            return cursor.fetchall() if cursor.description else []


class MariadbServer(_Program):
    """MariaDB."""

    name = "mariadb"
    user = "mysql"

    @classmethod
    def is_installed(cls) -> bool:
        return Path("/usr/sbin/mariadbd").exists()

    def _make(self) -> None:
        self._run(
            [
                "/usr/bin/mariadb-install-db",
                "--no-defaults",
                f"--datadir={self.data}",
                "--auth-root-authentication-method=normal",
                "--skip-name-resolve",
                "--skip-test-db",
                "--innodb-log-file-size=16M",
            ]
        )

    def _command(self) -> list[str]:
        return [
            "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={self.data}",
            f"--socket={self._socket}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--pid-file={self.folder / 'pid'}",
            "--innodb-log-file-size=16M",
            "--innodb-buffer-pool-size=64M",
            "--innodb-flush-log-at-trx-commit=1",
            "--performance-schema=OFF",
            "--skip-name-resolve",
            "--skip-log-bin",
            f"--tmpdir={self.disk.folder}",
        ]

    @property
    def _socket(self) -> Path:
        return self.folder / "socket"

    def _admin(self, database: str | None = None) -> pymysql.Connection[Any]:
        return pymysql.connect(
            unix_socket=str(self._socket),
            user="root",
            database=database,
            autocommit=True,
            charset="utf8mb4",
            connect_timeout=10,
            read_timeout=30,
        )

    def _answers(self) -> bool:
        # PyMySQL leaves its socket open where nobody listens.
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self._socket)):
                return False
        try:
            connection = self._admin()
        except pymysql.OperationalError:
            return False
        with connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE USER IF NOT EXISTS {USER}@'%%' IDENTIFIED BY %s", (PASSWORD,))
        return True

    def new_database(self) -> str:
        name = f"dialogs{next(_numbers)}"
        with self._admin() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
            cursor.execute(f"GRANT ALL ON {name}.* TO {USER}@'%'")
        return f"mysql://{USER}:{quote(PASSWORD, safe='')}@127.0.0.1:{self.port}/{name}"

    def query(self, url: str, sql: str) -> list[tuple[Any, ...]]:
        with self._admin(url.rpartition("/")[2]) as connection, connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())


SERVERS: dict[str, Callable[..., Server]] = {
    "sqlite": SqliteFile,
    "postgresql": PostgresServer,
    "mariadb": MariadbServer,
}


def missing(name: str) -> str:
    """Why a server cannot be started here; empty if it can."""
    if name == "postgresql" and not PostgresServer.is_installed():
        return "PostgreSQL is not installed (Debian: apt-get install postgresql)"
    if name == "mariadb" and not MariadbServer.is_installed():
        return "MariaDB is not installed (Debian: apt-get install mariadb-server)"
    return ""


def servers_at_hand(folder: Path | None = None) -> list[Server]:
    """One of each kind that is installed, not started; each in a folder of its own."""
    return [
        kind(folder / name if folder else None)
        for name, kind in SERVERS.items()
        if not missing(name)
    ]


def _listens(path: Path) -> bool:
    """Asked before the driver is, which leaves its socket open when nobody does."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
