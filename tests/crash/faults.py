"""What can befall a database: its server gone or silent, its disk full, nobody allowed to write."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import tempfile
from pathlib import Path

from tests.db.harness.servers import MariadbServer, PostgresServer, Server, SqliteFile

from .outage import Fault

FAULTS = ("stopped", "paused", "killed", "full", "read-only")
"""SQLite has no server: there "paused" is another program that keeps its lock."""


def faults_of(server: Server, url: str) -> dict[str, Fault]:
    """Those that can be made here, by their names."""
    found = [Fault("paused", server.pause, server.resume)]
    if isinstance(server, SqliteFile):
        path = Path(url.removeprefix("sqlite://"))
        if server.can_fill:
            found.append(_full_disk(server, path))
        if _can_fix(path.parent):
            found.append(Fault("read-only", lambda: _fix(path, "+i"), lambda: _fix(path, "-i")))
    else:
        found.append(Fault("stopped", server.stop, server.start))
        found.append(Fault("killed", server.kill, server.start))
        if server.can_fill:
            found.append(Fault("full", server.fill, server.free, notices=False))
    if isinstance(server, PostgresServer):
        found.append(
            Fault(
                "read-only",
                lambda: _forbid(server, "on"),
                lambda: _forbid(server, "off"),
            )
        )
    elif isinstance(server, MariadbServer):
        found.append(
            Fault(
                "read-only",
                lambda: _order(server, "SET GLOBAL read_only = 1"),
                lambda: _order(server, "SET GLOBAL read_only = 0"),
            )
        )
    return {fault.name: fault for fault in found}


def _full_disk(server: SqliteFile, path: Path) -> Fault:
    """A reader that stays keeps SQLite from using the room in its log again."""
    held: list[sqlite3.Connection] = []

    def begin() -> None:
        held.append(sqlite3.connect(path, isolation_level=None))
        held[0].execute("BEGIN")
        held[0].execute("SELECT COUNT(*) FROM dialog_in").fetchone()
        server.fill()

    def end() -> None:
        server.free()
        while held:
            held.pop().close()

    return Fault("full", begin, end)


def _can_fix(folder: Path) -> bool:
    """Whether files there can be made such that nobody writes to them, not who has them open."""
    if shutil.which("chattr") is None:
        return False
    refused = False
    with tempfile.NamedTemporaryFile(dir=folder, buffering=0) as probe:
        for flag in ("+i", "-i"):
            done = subprocess.run(["chattr", flag, probe.name], check=False, capture_output=True)
            try:
                probe.write(b"x")
            except PermissionError:
                # A file system in memory only looks when a file is opened.
                refused = done.returncode == 0
    return refused


def _fix(path: Path, flag: str) -> None:
    """The file and its log; what SQLite shares in memory between programs goes on."""
    subprocess.run(["chattr", flag, path, f"{path}-wal"], check=True, timeout=10)


def _forbid(server: PostgresServer, value: str) -> None:
    """Transactions of all sessions, those that are open too, may only read."""
    with server._admin() as connection:
        connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}".encode())
        connection.execute("SELECT pg_reload_conf()")


def _order(server: MariadbServer, sql: str) -> None:
    with server._admin() as connection, connection.cursor() as cursor:
        cursor.execute(sql)
