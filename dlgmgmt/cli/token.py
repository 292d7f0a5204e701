"""dlgmgmt token new: a token for somebody, and the line by which the daemon knows it."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import tomllib
from pathlib import Path

from dlgmgmt.cli.text import complain
from dlgmgmt.interfaces.tokens import Role, line_for, new_token


def new(name: str, role: Role, config: Path | None, file: Path | None) -> int:
    """Print a token, and append its line to ``file`` or to the one that ``config`` names.

    Without either the line is printed too, on stderr, for DLGMGMT_TOKENS. Returns the exit code.
    """
    token = new_token()
    try:
        line = line_for(name, role, token)
        target = file if config is None or file is not None else _named_by(config)
    except ValueError as error:
        complain("dlgmgmt", str(error))
        return 2
    if target is None:
        print(line, end="", file=sys.stderr)
    else:
        try:
            _append(target, line)
        except OSError as error:
            complain("dlgmgmt", f"cannot write {target}: {error.strerror}")
            return 1
    # Last: a token whose line could not be written would be of no use.
    print(token)
    return 0


def _named_by(config: Path) -> Path:
    """The tokens file of a configuration, which need not be complete yet; ValueError."""
    try:
        data = tomllib.loads(config.read_text())
    except OSError as error:
        raise ValueError(f"cannot read {config}: {error.strerror}") from error
    except ValueError as error:
        raise ValueError(f"{config}: {error}") from error
    access = data.get("access")
    name = access.get("tokens_file") if isinstance(access, dict) else None
    if not isinstance(name, str) or not name:
        raise ValueError(f"{config} names no access.tokens_file")
    return config.parent / name


def _append(path: Path, line: str) -> None:
    """Append a line of its own, whoever else does so; a new file is this user's alone."""
    fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            line = "\n" + line
        data = line.encode()
        if os.write(fd, data) != len(data):
            os.ftruncate(fd, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
