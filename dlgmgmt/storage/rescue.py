"""The file that takes what the database did not, when the daemon stops."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage.changes import Cut
from dlgmgmt.storage.jsonl import Ended, Header, dialog_line, ended_line, header_line

_LOG = logging.getLogger(__name__)

_MOST = 1000


def ended_of(left: Cut, owner: str) -> tuple[list[Ended], int]:
    """Whose rows are to go, and how many of these dialogs have ended themselves."""
    ended = [Ended(owner, *place, *names) for place, names in left.gone.items()]
    count = len(ended)
    # Of a dialog that has moved, its rows elsewhere go whether it lives or not.
    for dialog, old in left.old.items():
        if all(isinstance(number, int) for number in old.place):
            ended.append(Ended(old.owner, *old.place, dialog.callid, dialog.from_tag))
    return ended, count


def rescue(
    directory: Path,
    owner: str,
    written: float,
    records: Sequence[DialogRecord],
    ended: Sequence[Ended],
    count: int | None = None,
) -> int:
    """Write a new file in ``directory``, and tell the log; how many dialogs are in it.

    written: Unix time. count: how many dialogs that is, if some have also ended elsewhere.
    """
    count = len(records) + len(ended) if count is None else count
    if not records and not ended:
        return 0
    try:
        path = write(directory, Header(owner, int(written), whole=False), records, ended)
    except OSError as error:
        _LOG.critical(
            "database: the changes of %d dialogs could be written neither to it nor into %s: %s",
            count,
            directory,
            error.strerror,
        )
        return 0
    _LOG.error(
        "database: the changes of %d dialogs could not be written and are in %s;"
        " write them with: dlgmgmt db restore %s",
        count,
        path,
        path,
    )
    return count


def write(
    directory: Path, header: Header, records: Iterable[DialogRecord], ended: Iterable[Ended]
) -> Path:
    """Write a new file ``rescue-<time>.jsonl``; its path. Only its owner may read it.

    The ends of calls come first, for a new call may have the place of an ended one. Raises OSError;
    no file is left behind then.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    path, fd = _create(directory, header.written)
    try:
        with os.fdopen(fd, "w", encoding="ascii", newline="\n") as file:
            file.write(header_line(header))
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
