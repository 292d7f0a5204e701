"""The file that takes what the database did not, when the daemon stops."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage.jsonl import Ended, Header, dialog_line, ended_line, header_line

_MOST = 1000


def rescue(
    directory: Path,
    owner: str,
    written: float,
    records: Iterable[DialogRecord],
    ended: Iterable[Ended],
    *,
    whole: bool = False,
) -> Path:
    """Write a new file ``rescue-<time>.jsonl`` in ``directory``; returns its path.

    written: Unix time. whole: whether these are all dialogs of the owner. Only its owner may read
    it. The ends of calls come first, for a new call may have the place of an ended one. Raises
    OSError; no file is left behind then.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, fd = _create(directory, written)
    try:
        with os.fdopen(fd, "w", encoding="ascii", newline="\n") as file:
            file.write(header_line(Header(owner, int(written), whole)))
            file.writelines(map(ended_line, ended))
            file.writelines(map(dialog_line, records))
            file.flush()
            os.fsync(file.fileno())
        _sync(directory)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def _create(directory: Path, written: float) -> tuple[Path, int]:
    moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(written))
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
    for number in range(1, _MOST):
        path = directory / f"rescue-{moment}{f'-{number}' if number > 1 else ''}.jsonl"
        try:
            return path, os.open(path, flags, 0o600)
        except FileExistsError:
            continue
    raise FileExistsError(f"{directory}: {_MOST} rescue files of the same second")


def _sync(directory: Path) -> None:
    """Have the name of the new file survive a loss of power too."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
