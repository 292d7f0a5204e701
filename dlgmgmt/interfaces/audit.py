"""The audit log: a line of JSON for each command that may change something.

A thread of its own writes. While the disk is full records wait, up to a limit; those beyond it are
counted, and the log itself tells how many they were when it can be written again. Commands go on
meanwhile: an operator who cannot end calls because a disk is full is worse off than one whose log
has a gap that it tells of, and the daemon's own log has the same commands.

Lines are on the disk (fdatasync) within a moment, but the answer to a command does not wait for it:
a machine that loses its power may lose the last of them.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import itertools
import json
import logging
import os
import stat
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

from dlgmgmt.commands.audit import AuditRecord

_LOG = logging.getLogger(__name__)

MAX_WAITING = 4096
"""Records that wait for the thread."""

_BATCH = 200
_STOP_GRACE = 5.0
_RETRY = 1.0
_NEW_MODE = 0o600


class AuditError(Exception):
    """The log cannot be written."""


class AuditLog:
    """Writes records to ``path``; see AccessSettings for the others.

    wall: Unix time in seconds. retry: seconds between two tries on a full disk. sync: as
    os.fdatasync. Raises AuditError when it cannot be opened.
    """

    def __init__(
        self,
        path: str,
        max_bytes: int,
        files: int,
        *,
        wall: Callable[[], float] = time.time,
        max_waiting: int = MAX_WAITING,
        retry: float = _RETRY,
        sync: Callable[[int], None] = os.fdatasync,
    ) -> None:
        self.written = 0
        self.lost = 0
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._wall = wall
        self._max_waiting = max_waiting
        self._retry = retry
        self._sync = sync
        self._waiting: deque[AuditRecord] = deque()
        # Under one condition: the queue, lost, and the orders to the thread.
        self._changed = threading.Condition()
        self._reopen = False
        self._stopping = False
        self._told = 0  # of lost, those that the log tells of
        self._failing = self._unsafe = self._too_long = False
        try:
            self._fd = _open(path)
        except OSError as error:
            raise AuditError(f"cannot write the audit log {path}: {error.strerror}") from error
        self._thread = threading.Thread(target=self._work, name="dlgmgmt-audit", daemon=True)
        self._thread.start()

    def record(self, entry: AuditRecord) -> None:
        """Take a record, from any thread; returns at once."""
        with self._changed:
            full = self._stopping or len(self._waiting) >= self._max_waiting
            first = False
            if full:
                first = self.lost == self._told
                self.lost += 1
            else:
                self._waiting.append(entry)
                self._changed.notify()
        if first:
            _LOG.error("audit: more records than can be written: some are lost")

    def reopen(self) -> None:
        """Go on in a new file if the present one was moved away, as logrotate does."""
        with self._changed:
            self._reopen = True
            self._changed.notify()

    def counters(self) -> list[tuple[str, int]]:
        """For the statistics group "audit"."""
        return [("lost", self.lost), ("waiting", len(self._waiting)), ("written", self.written)]

    def stop(self) -> None:
        """Write what waits, for some seconds at most, and close."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(_STOP_GRACE)
        if self._waiting:
            _LOG.error("audit: %d records were not written", len(self._waiting))

    # -- the thread ----------------------------------------------------------------------------

    def _work(self) -> None:
        while True:
            with self._changed:
                if self._failing and not self._stopping:
                    self._changed.wait_for(lambda: self._stopping, self._retry)
                else:
                    self._changed.wait_for(lambda: self._waiting or self._reopen or self._stopping)
                reopen, self._reopen = self._reopen, False
                batch = [*itertools.islice(self._waiting, _BATCH)]
                stopping = self._stopping
            try:
                if reopen:
                    self._replace(_open(self._path))
                if batch:
                    self._write(batch)
            except OSError as error:
                if reopen:
                    with self._changed:
                        self._reopen = True
                self._failed(error)
                if stopping:
                    break
            except Exception:  # noqa: BLE001 - the thread must go on with the others
                _LOG.exception("audit: %d records could not be written", len(batch))
                self._drop(batch)
            else:
                self._succeeded(len(batch))
                if stopping and not batch:
                    break
        with contextlib.suppress(OSError):
            os.close(self._fd)

    def _failed(self, error: OSError) -> None:
        if not self._failing:
            self._failing = True
            _LOG.error("audit: cannot write %s: %s", self._path, error.strerror)

    def _drop(self, batch: list[AuditRecord]) -> None:
        with self._changed:
            self.lost += len(batch)
            for _ in batch:
                self._waiting.popleft()

    def _succeeded(self, count: int) -> None:
        with self._changed:
            for _ in range(count):
                self._waiting.popleft()
        self.written += count
        if self._failing:
            self._failing = False
            _LOG.warning("audit: %s is written again; records lost: %d", self._path, self.lost)

    def _write(self, batch: list[AuditRecord]) -> None:
        """Append the lines; OSError if not one of them stands there."""
        lines = [_line(record) for record in batch]
        missing = self.lost - self._told
        if missing:
            gap = {"time": _rfc3339(self._wall()), "event": "lost", "records": missing}
            lines.insert(0, _json(gap))
        data = b"".join(lines)
        size = os.fstat(self._fd).st_size
        if size and size + len(data) > self._max_bytes:
            self._rotate()
            size = os.fstat(self._fd).st_size
        _append(self._fd, data, size)
        self._told += missing
        try:
            self._sync(self._fd)
        except OSError as error:
            # The lines stand in the file; how safely, nobody can tell.
            if not self._unsafe:
                self._unsafe = True
                _LOG.error("audit: %s may not be on the disk: %s", self._path, error.strerror)

    def _rotate(self) -> None:
        """The present file becomes PATH.1, that PATH.2, and so on; the oldest goes."""
        mode = stat.S_IMODE(os.fstat(self._fd).st_mode)
        path, coming = self._path, f"{self._path}.new"
        try:
            # Made first: if there is no room for it, nothing has moved.
            fresh = _open(coming)
            try:
                os.fchmod(fresh, mode)
                for number in range(self._first_gap() - 1, 0, -1):
                    _rename(f"{path}.{number}", f"{path}.{number + 1}")
                _rename(path, f"{path}.1")
                _rename(coming, path)
            except OSError:
                os.close(fresh)
                raise
        except OSError as error:
            # A log that is too long is better than none.
            if not self._too_long:
                self._too_long = True
                _LOG.warning("audit: cannot begin a new %s: %s", path, error.strerror)
            return
        self._too_long = False
        self._replace(fresh)

    def _first_gap(self) -> int:
        """The first number that has no file, or the last one.

        Files beyond a gap stay: a rotation that broke off, and is tried again with every record,
        would push them out one by one.
        """
        for number in range(1, self._files):
            if not os.path.lexists(f"{self._path}.{number}"):
                return number
        return self._files

    def _replace(self, fd: int) -> None:
        old, self._fd = self._fd, fd
        os.close(old)


_rename = os.replace


def _open(path: str) -> int:
    """Open for appending, on a line of its own."""
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(path, flags, _NEW_MODE)
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")  # noqa: TRY301 - closed below
        if found.st_size and os.pread(fd, 1, found.st_size - 1) != b"\n":
            # The line that a crash has cut: it is left as it is, but alone.
            os.write(fd, b"\n")
    except BaseException:
        os.close(fd)
        raise
    return fd


def _append(fd: int, data: bytes, size: int) -> None:
    """Append all of ``data`` to the ``size`` bytes there are, or nothing of it."""
    view = memoryview(data)
    try:
        while view:
            view = view[os.write(fd, view) :]
    except OSError:
        # Half a line would spoil the next one.
        with contextlib.suppress(OSError):
            os.ftruncate(fd, size)
        raise


def _line(record: AuditRecord) -> bytes:
    return _json(
        {
            "time": _rfc3339(record.time),
            "user": record.user,
            "role": record.role,
            "door": record.door,
            "address": record.address,
            "command": record.command,
            "target": record.target,
            "arguments": record.arguments,
            "reason": record.reason,
            "code": record.code,
            "result": record.text,
            "terminations": list(record.terminations),
        }
    )


def _json(record: Mapping[str, object]) -> bytes:
    """A line of ASCII, whatever the texts hold."""
    return json.dumps(_clean(record), separators=(",", ":")).encode("ascii") + b"\n"


def _clean(value: object) -> object:
    """``value`` without the lone surrogates that stand for bytes that are no UTF-8.

    JSON could write them, but many readers refuse them.
    """
    if isinstance(value, str):
        raw = value.encode("utf-8", "surrogateescape" if _escaped(value) else "backslashreplace")
        return raw.decode("utf-8", "backslashreplace")
    if isinstance(value, Mapping):
        return {str(_clean(name)): _clean(each) for name, each in value.items()}
    return value


def _escaped(text: str) -> bool:
    """Whether every surrogate in ``text`` stands for a byte."""
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _rfc3339(unix: float) -> str:
    moment = dt.datetime.fromtimestamp(unix, dt.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
