"""The state directory: where the database lies unless the configuration says else."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from dlgmgmt.config.rundir import RunDirectoryError, private_directory


def state_directory(env: Mapping[str, str]) -> Path:
    """$STATE_DIRECTORY, which systemd sets; else /var/lib/dlgmgmt for root.

    For others $XDG_STATE_HOME/dlgmgmt, or ~/.local/state/dlgmgmt.
    """
    # Several directories of a unit have colons between them.
    given = env.get("STATE_DIRECTORY", "").partition(":")[0]
    if given.startswith("/"):
        return Path(given)
    if os.geteuid() == 0:
        return Path("/var/lib/dlgmgmt")
    state = env.get("XDG_STATE_HOME", "")
    if state.startswith("/"):
        return Path(state) / "dlgmgmt"
    home = env.get("HOME", "")
    if not home.startswith("/"):
        home = _home()
    return Path(home) / ".local/state/dlgmgmt"


def _home() -> str:
    """Of the account, for a process that was started without an environment."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_dir
    except KeyError:
        return "/"


def make_state_directory(path: Path) -> None:
    """Make ``path`` for this user alone, with what is missing above it; raises RunDirectoryError.

    One that is there must be this user's: calls are read from it.
    """
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise RunDirectoryError(f"cannot make directory {path.parent}: {error.strerror}") from error
    private_directory(path)
