"""The client's side: one command, one reply, nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import select
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mi_fifo.errors import (
    AccessDenied,
    DaemonUnavailable,
    MiClientError,
    ReplyBroken,
    ReplyTimeout,
    RequestUnsendable,
)
from mi_fifo.grammar import Limits, encode_request
from mi_fifo.params import MiParam

_READ_SIZE = 65_536


class MiAnswer(NamedTuple):
    """A reply. lines: its tree, without line ends and without the final empty line."""

    code: int
    text: str
    lines: tuple[str, ...]


def call(
    fifo_name: str,
    reply_dir: str,
    command: str,
    params: Iterable[MiParam | str] = (),
    *,
    timeout: float = 5.0,
    max_reply: int = 512 * 1024 * 1024,
    limits: Limits | None = None,
) -> MiAnswer:
    """Sends ``command`` and returns the answer, whatever its code.

    params: bare values or MiParam; quoted as needed. timeout: seconds of silence, counted anew
    with each part of the reply. max_reply: bytes accepted at most. Raises MiClientError:
    DaemonUnavailable, AccessDenied, RequestUnsendable, ReplyTimeout, ReplyBroken.
    """
    values = [p if isinstance(p, MiParam) else MiParam(None, p) for p in params]
    reply_name = f"mi_{os.getpid()}_{secrets.token_hex(8)}"
    request = encode_request(command, values, reply_name, limits)
    if len(request) > select.PIPE_BUF:
        # A longer write may be torn apart by another client's.
        raise RequestUnsendable(
            f"the command has {len(request)} bytes; {select.PIPE_BUF} can be written in one piece"
        )
    with _command_fifo(fifo_name) as fifo, _reply_fifo(reply_dir, reply_name) as reply:
        _send(fifo, fifo_name, request, timeout)
        return _parse(_receive(reply, timeout, max_reply))


@contextlib.contextmanager
def _command_fifo(path: str) -> Iterator[int]:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise AccessDenied(f"{path}: {error.strerror}") from error
        why = "nobody reads it" if error.errno == errno.ENXIO else error.strerror
        raise DaemonUnavailable(f"{path}: {why}; is the daemon running?") from error
    try:
        if not stat.S_ISFIFO(os.fstat(fd).st_mode):
            raise DaemonUnavailable(f"{path}: is not a FIFO")
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _reply_fifo(directory: str, name: str) -> Iterator[int]:
    """Makes the reply FIFO, opens it for reading, and removes it in the end."""
    path = Path(directory, name)
    fd = -1
    try:
        # 0600 until its rights are set: nobody else gets hold of it before.
        os.mkfifo(path, 0o600)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.fchmod(fd, _reply_mode(directory, fd))
        yield fd
    except MiClientError:
        raise
    except OSError as error:
        if error.errno in {errno.EACCES, errno.EPERM}:
            raise AccessDenied(f"{directory}: {error.strerror}") from error
        raise DaemonUnavailable(f"{directory}: no reply FIFO: {error.strerror}") from error
    finally:
        if fd >= 0:
            os.close(fd)
        with contextlib.suppress(OSError):
            path.unlink()


def _reply_mode(directory: str, fd: int) -> int:
    """Rights that let the daemon write, through the reply directory's group where possible."""
    status = Path(directory).stat()
    if status.st_mode & stat.S_IWOTH:
        return 0o622  # a directory for everybody says nothing about the daemon's group
    try:
        if os.fstat(fd).st_gid != status.st_gid:
            os.fchown(fd, -1, status.st_gid)
    except PermissionError:
        return 0o622  # closed to others all the same, by the directory's rights
    return 0o620


def _send(fd: int, path: str, request: bytes, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    poll = select.poll()
    poll.register(fd, select.POLLOUT)
    while True:
        try:
            # At most PIPE_BUF: all of it or nothing (POSIX write()).
            os.write(fd, request)
        except BlockingIOError:
            remaining = deadline - time.monotonic()
            if remaining <= 0 or not poll.poll(remaining * 1000):
                raise ReplyTimeout(
                    f"{path}: full for {timeout:g} s, the command was not sent"
                ) from None
        except BrokenPipeError:
            raise DaemonUnavailable(f"{path}: the daemon has gone") from None
        else:
            return


def _receive(fd: int, timeout: float, max_reply: int) -> bytes:
    reply = bytearray()
    poll = select.poll()
    # Without a writer yet there is no event at all; POLLHUP comes when one has closed.
    poll.register(fd, select.POLLIN)
    while poll.poll(timeout * 1000):
        data = os.read(fd, _READ_SIZE)
        if not data:
            return bytes(reply)
        reply += data
        if len(reply) > max_reply:
            raise ReplyBroken(f"the reply has more than {max_reply} bytes")
    part = f" after {len(reply)} bytes" if reply else ""
    raise ReplyTimeout(f"no answer for {timeout:g} s{part}")


def _parse(data: bytes) -> MiAnswer:
    if not data:
        raise ReplyBroken("an empty reply")
    lines = data.decode("utf-8", "backslashreplace").split("\n")
    code, _, text = lines[0].partition(" ")
    if not (len(code) == 3 and code.isascii() and code.isdecimal()):
        raise ReplyBroken(f"no status line: {lines[0][:80]!r}")
    # Errors of the framing are one line; everything else ends with an empty line.
    if lines[-1] or (len(lines) > 2 and lines[-2]) or (code == "200" and len(lines) == 2):
        raise ReplyBroken("the reply ends before its end")
    return MiAnswer(int(code), text, tuple(lines[1:-2]))
