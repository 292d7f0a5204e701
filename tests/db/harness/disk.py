"""A disk of its own for a server, which can be made full."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import subprocess
from pathlib import Path


class Disk:
    """A folder; for root a small file system (tmpfs), which ``fill`` makes full.

    megabytes: of that; 0 for a folder on the disk of the machine. can_fill: whether that works
    here. Without it the folder is on the disk of the machine.
    """

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        folder.chmod(0o755)
        command = [
            "mount",
            "-t",
            "tmpfs",
            "-o",
            f"size={megabytes}m,mode=755",
            "tmpfs",
            str(folder),
        ]
        self.can_fill = (
            megabytes > 0
            and os.geteuid() == 0
            and subprocess.run(command, capture_output=True, check=False).returncode == 0
        )
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Nothing more fits, not a byte."""
        assert self.can_fill, "only root may mount a disk of its own"
        for size in (1 << 24, 1 << 16, 1 << 12):
            with self._filler.open("ab", buffering=0) as file, contextlib.suppress(_Full):
                while True:
                    _write(file.fileno(), size)

    def free(self) -> None:
        """There is room again."""
        self._filler.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove it with all that is on it."""
        if self.can_fill:
            subprocess.run(["umount", "-l", str(self.folder)], check=True)
        shutil.rmtree(self.folder)


class _Full(Exception):
    pass


def _write(descriptor: int, size: int) -> None:
    try:
        if os.write(descriptor, bytes(size)) < size:
            raise _Full
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise _Full from None
