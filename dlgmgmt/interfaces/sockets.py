"""Listening sockets of the doors, made without a moment in which they are open to others."""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import socket
import stat

from dlgmgmt.interfaces.settings import FileRights, Kind, SocketAddress

_BACKLOG = 128
_PROBE_TIME = 1.0


class Bound:
    """A bound socket, listening if it takes connections; never blocks.

    address: as asked for, with the port that was taken.
    """

    def __init__(self, address: SocketAddress, rights: FileRights) -> None:
        self._file: tuple[int, int] | None = None
        self.sock = _bind_unix(address, rights) if address.path else _bind_inet(address)
        self.address = address
        if address.path:
            found = os.lstat(address.path)
            self._file = (found.st_dev, found.st_ino)
        else:
            port = int(self.sock.getsockname()[1])
            self.address = SocketAddress(address.kind, host=address.host, port=port)

    def close(self) -> None:
        """Close it; its file goes too, unless another has taken its place."""
        self.sock.close()
        if self._file is None:
            return
        with contextlib.suppress(FileNotFoundError):
            found = os.lstat(self.address.path)
            if (found.st_dev, found.st_ino) == self._file:
                os.unlink(self.address.path)  # noqa: PTH108 - beside lstat of the same path


def bind(address: SocketAddress, rights: FileRights) -> Bound:
    """Bind ``address``; raises OSError, with a text that names it.

    The file of a unix socket on which nobody listens any more is replaced.
    """
    try:
        return Bound(address, rights)
    except (OSError, KeyError) as error:
        why = error.strerror or error if isinstance(error, OSError) else f"no account {error}"
        number = error.errno if isinstance(error, OSError) else errno.EINVAL
        raise OSError(number or errno.EINVAL, f"cannot listen on {address}: {why}") from error


def _type(kind: Kind) -> socket.SocketKind:
    return socket.SOCK_STREAM if kind in ("unixs", "tcp") else socket.SOCK_DGRAM


def _bind_inet(address: SocketAddress) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    sock = socket.socket(family, _type(address.kind))
    try:
        sock.setblocking(False)
        if address.is_stream:
            # Else a restart waits for connections that the last one has closed.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address.host, address.port))
        if address.is_stream:
            sock.listen(_BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _bind_unix(address: SocketAddress, rights: FileRights) -> socket.socket:
    path = address.path
    user = -1 if rights.user is None else _account(rights.user, group=False)
    group = -1 if rights.group is None else _account(rights.group, group=True)
    _remove_stale(path, address.kind)
    sock = socket.socket(socket.AF_UNIX, _type(address.kind))
    try:
        sock.setblocking(False)
        # The file is made with the socket's mode: nobody else gets in before it is set below.
        os.fchmod(sock.fileno(), 0o600)
        sock.bind(path)
        try:
            if user != -1 or group != -1:
                os.chown(path, user, group)
            os.chmod(path, rights.mode)  # noqa: PTH101 - beside chown of the same path
            if address.is_stream:
                sock.listen(_BACKLOG)
        except BaseException:
            os.unlink(path)  # noqa: PTH108 - as above
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def _remove_stale(path: str, kind: Kind) -> None:
    """Remove the file of a socket that nobody listens on; OSError for any other file."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise OSError(errno.EEXIST, "the file that is there is no socket")
    with socket.socket(socket.AF_UNIX, _type(kind)) as probe:
        probe.settimeout(_PROBE_TIME)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)  # noqa: PTH108 - beside lstat of the same path
            return
        except OSError as error:
            if error.errno not in (errno.EPROTOTYPE, errno.EAGAIN):
                raise
            # Of another type, or too busy to answer: somebody listens.
    raise OSError(errno.EADDRINUSE, "another process listens there")


def _account(name: str, *, group: bool) -> int:
    if name.isdecimal():
        return int(name)
    return grp.getgrnam(name).gr_gid if group else pwd.getpwnam(name).pw_uid
