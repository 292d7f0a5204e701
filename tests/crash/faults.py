"""What can befall a SQLite file: another program's lock, a full disk."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .outage import Fault


@contextmanager
def small_disk(folder: Path, megabytes: int = 24) -> Iterator[bool]:
    """A file system of its own at ``folder``; False where none can be mounted."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(folder)], check=True)


def locked(path: Path) -> Fault:
    """Another program has begun to write, and does not come to an end."""
    held: list[sqlite3.Connection] = []

    def begin() -> None:
        held.append(sqlite3.connect(path, isolation_level=None, timeout=10.0))
        held[0].execute("BEGIN IMMEDIATE")

    def end() -> None:
        while held:
            connection = held.pop()
            connection.rollback()
            connection.close()

    return Fault("locked by another program", begin, end)


def full_disk(path: Path) -> Fault:
    """Nothing more fits on its disk. A reader that stays keeps SQLite from using its log anew."""
    held: list[sqlite3.Connection] = []
    filler = path.with_name("filler")

    def begin() -> None:
        held.append(sqlite3.connect(path, isolation_level=None))
        held[0].execute("BEGIN")
        held[0].execute("SELECT COUNT(*) FROM dialog_in").fetchone()
        for size in (1 << 20, 1 << 12):
            with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while file.write(bytes(size)) == size:
                    pass

    def end() -> None:
        filler.unlink(missing_ok=True)
        while held:
            held.pop().close()

    return Fault("its disk full", begin, end)
