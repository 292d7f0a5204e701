"""The run directory: where the FIFO and the reply FIFOs lie unless the configuration says else."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path


class RunDirectoryError(Exception):
    """The run directory cannot be made, or is not safe to use."""


def run_directory(env: Mapping[str, str]) -> Path:
    """/run/dlgmgmt for root, $XDG_RUNTIME_DIR/dlgmgmt for others, else one under $TMPDIR."""
    if os.geteuid() == 0:
        return Path("/run/dlgmgmt")
    runtime = env.get("XDG_RUNTIME_DIR", "")
    if runtime.startswith("/"):
        return Path(runtime) / "dlgmgmt"
    temp = env.get("TMPDIR", "")
    # In a directory for everybody, hence private_directory().
    return Path(temp if temp.startswith("/") else "/tmp") / f"dlgmgmt-{os.geteuid()}"  # noqa: S108


def fifo_path(run_dir: Path) -> Path:
    """The MI FIFO of a run directory."""
    return run_dir / "dlgmgmt_fifo"


def reply_path(run_dir: Path) -> Path:
    """The directory of the reply FIFOs of a run directory."""
    return run_dir / "reply"


def private_directory(path: Path) -> None:
    """Make ``path`` for this user alone (0700), or check that the one there is this user's.

    Another user could have put it there first, to read what is written into it. Raises
    RunDirectoryError, naming the path.
    """
    try:
        path.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise RunDirectoryError(f"cannot make directory {path}: {error.strerror}") from error
    try:
        found = path.lstat()
    except OSError as error:
        raise RunDirectoryError(f"cannot use {path}: {error.strerror}") from error
    if not stat.S_ISDIR(found.st_mode):
        raise RunDirectoryError(f"{path} is not a directory")
    if found.st_uid != os.geteuid():
        raise RunDirectoryError(f"directory {path} belongs to another user (uid {found.st_uid})")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise RunDirectoryError(f"directory {path} can be written by other users")
