"""The FIFOs in the file system: the command FIFO's life, and reply FIFOs opened with distrust."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import grp
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

from mi_fifo.errors import FifoError, FifoInUse, FifoSetupError, NoReader, NotAFifo, ReplyRefused
from mi_fifo.settings import FifoSettings


def _user_id(name: str | None, path: str) -> int:
    if name is None:
        return -1
    try:
        return int(name) if name.isdecimal() else pwd.getpwnam(name).pw_uid
    except KeyError:
        raise FifoSetupError(path, f"there is no user {name!r} (fifo_user)") from None


def _group_id(name: str | None, path: str) -> int:
    if name is None:
        return -1
    try:
        return int(name) if name.isdecimal() else grp.getgrnam(name).gr_gid
    except KeyError:
        raise FifoSetupError(path, f"there is no group {name!r} (fifo_group)") from None


def make_directories(settings: FifoSettings) -> None:
    """Makes the directories of the command FIFO and of the replies where they are missing.

    What exists keeps its rights. A command FIFO for everybody gets directories for everybody. The
    reply directory is sticky, so that nobody can replace another one's reply FIFO, and setgid, so
    that a reply FIFO made there belongs to the group which the daemon is in. Raises FifoSetupError.
    """
    public = bool(settings.fifo_mode & stat.S_IWOTH)
    run_dir = str(Path(settings.fifo_name).parent)
    _make_directory(run_dir, 0o755 if public else 0o750, settings)
    _make_directory(settings.reply_dir, 0o3777 if public else 0o3770, settings)


def _make_directory(path: str, mode: int, settings: FifoSettings) -> None:
    user = _user_id(settings.fifo_user, path)
    group = _group_id(settings.fifo_group, path)
    if Path(path).is_dir():
        return
    try:
        for missing in reversed([p for p in Path(path).parents if not p.exists()]):
            missing.mkdir(mode=0o755 if mode & 0o005 else 0o750)
            os.chown(missing, user, group)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)  # noqa: PTH102 - beside chown and chmod of the same path
            try:
                os.chown(path, user, group)
                os.chmod(path, mode)  # noqa: PTH101 - as above; last, for chown clears setgid
            except OSError:
                os.rmdir(path)  # noqa: PTH106 - as above
                raise
        if not Path(path).is_dir():
            raise FifoSetupError(path, "is not a directory")
    except OSError as error:
        raise FifoSetupError(path, f"cannot make the directory: {error.strerror}") from error


def lax_directory(path: str) -> bool:
    """Whether everybody may replace what others put into ``path``."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116 - a mode word, not a Path, is wanted
    except OSError:
        return False
    return bool(mode & stat.S_IWOTH) and not mode & stat.S_ISVTX


class CommandFifo:
    """The command FIFO: made or taken over, locked, and removed if it is still ours.

    fd: opened for reading and writing, so that a writer's leaving is no end of file. identity:
    device and inode.
    """

    def __init__(self, settings: FifoSettings) -> None:
        """Opens it. Raises NotAFifo, FifoInUse or FifoSetupError, and then leaves no trace."""
        path = self.path = settings.fifo_name
        user = _user_id(settings.fifo_user, path)
        group = _group_id(settings.fifo_group, path)
        made = False
        try:
            made = self._make()
            self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if made:
                self._unlink()
            raise FifoSetupError(path, f"cannot make the FIFO: {error.strerror}") from error
        try:
            self._check_and_lock()
            if user == -1 and os.fstat(self.fd).st_uid != os.geteuid():
                user = os.geteuid()  # taken over from somebody who must not keep rights over it
            if user != -1 or group != -1:
                os.fchown(self.fd, user, group)
            os.fchmod(self.fd, settings.fifo_mode)
            status = os.fstat(self.fd)
        except (OSError, FifoError) as error:
            os.close(self.fd)
            if made:
                self._unlink()
            if isinstance(error, FifoError):
                raise
            raise FifoSetupError(path, f"cannot set owner and mode: {error.strerror}") from error
        self.identity = (status.st_dev, status.st_ino)

    def _make(self) -> bool:
        """Whether the FIFO had to be made; otherwise one is there which nobody reads."""
        try:
            os.mkfifo(self.path, 0o600)
        except FileExistsError:
            if not stat.S_ISFIFO(os.lstat(self.path).st_mode):
                raise NotAFifo(self.path, "exists and is not a FIFO") from None
        else:
            return True
        # One left by a dead daemon is taken over: a client blocked in opening it gets served.
        try:
            probe = os.open(self.path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        os.close(probe)
        raise FifoInUse(self.path, "another process reads this FIFO")

    def _check_and_lock(self) -> None:
        if not stat.S_ISFIFO(os.fstat(self.fd).st_mode):
            raise NotAFifo(self.path, "exists and is not a FIFO")
        try:
            # Two daemons that start in the same instant both find no reader: the lock decides.
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FifoInUse(self.path, "another process serves this FIFO") from None

    def _unlink(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)  # noqa: PTH108 - beside lstat and mkfifo

    def is_ours(self) -> bool:
        """Whether the path still leads to the FIFO that ``fd`` reads."""
        try:
            status = os.lstat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.identity

    def close(self) -> None:
        """Removes the FIFO if it is still ours, then closes it."""
        try:
            if self.is_ours():
                self._unlink()
        finally:
            os.close(self.fd)


def open_reply(
    reply_dir: str,
    name: str,
    own: tuple[int, int] | None = None,
    owner_allowed: Callable[[int], bool] | None = None,
) -> int:
    """A non-blocking descriptor to write the reply FIFO ``name`` in ``reply_dir``.

    own: identity of the command FIFO, which is refused: a daemon that answers itself has no end.
    owner_allowed: whether a FIFO of the user with this number may be written; None: any.
    Nothing is created and no link is followed. Raises ReplyRefused with cause "missing",
    "not_a_fifo" (a link, a file, a device), "hard_linked", "own_fifo", "foreign" or "open_failed",
    and NoReader, cause "no_reader".
    """
    try:
        directory = os.open(reply_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise ReplyRefused("open_failed", f"reply directory: {error.strerror}") from error
    try:
        # Looked at before it is opened: opening a device or a socket can have effects.
        _check_reply(os.stat(name, dir_fd=directory, follow_symlinks=False), own, owner_allowed)
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_NOCTTY | os.O_CLOEXEC
        fd = os.open(name, flags, dir_fd=directory)
    except FileNotFoundError:
        raise ReplyRefused("missing", "there is no such FIFO") from None
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NoReader("no_reader", "nobody reads the FIFO") from None
        if error.errno == errno.ELOOP:
            raise ReplyRefused("not_a_fifo", "it is a symbolic link") from None
        raise ReplyRefused("open_failed", error.strerror or str(error)) from error
    finally:
        os.close(directory)
    try:
        _check_reply(os.fstat(fd), own, owner_allowed)
    except ReplyRefused:
        os.close(fd)
        raise
    return fd


def _check_reply(
    status: os.stat_result,
    own: tuple[int, int] | None,
    owner_allowed: Callable[[int], bool] | None,
) -> None:
    if not stat.S_ISFIFO(status.st_mode):
        kind = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "not a FIFO"
        raise ReplyRefused("not_a_fifo", f"it is {kind}")
    if status.st_nlink != 1:
        raise ReplyRefused("hard_linked", "it has another name (hard link)")
    if (status.st_dev, status.st_ino) == own:
        raise ReplyRefused("own_fifo", "it is the command FIFO itself")
    if owner_allowed is not None and not owner_allowed(status.st_uid):
        raise ReplyRefused("foreign", f"it belongs to another user (uid {status.st_uid})")
