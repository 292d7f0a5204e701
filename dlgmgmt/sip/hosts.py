"""Files of the system that say where hosts are, read again when they change."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

from dlgmgmt.sip.selection import is_numeric

_LOG = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds between two looks at a file."""
MAX_BYTES = 1_048_576
"""What is read of a file: it is read on the signalling thread."""

HOSTS = "/etc/hosts"
RESOLV_CONF = "/etc/resolv.conf"

_LOCALHOST = {"localhost": ("127.0.0.1", "::1")}


class Watched:
    """Whether a file has changed since one last asked. monotonic: clock in seconds."""

    __slots__ = ("_looked", "_monotonic", "_seen", "path")

    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self.path = path
        self._monotonic = monotonic
        self._looked = float("-inf")
        self._seen: tuple[int, ...] | None = ()

    def changed(self) -> bool:
        """True the first time, and whenever the file is another one than at the last look."""
        now = self._monotonic()
        if now - self._looked < LOOK:
            return False
        self._looked = now
        try:
            stat = os.stat(self.path)  # noqa: PTH116 - a text is all that is needed
        except OSError:
            seen = None
        else:
            seen = stat.st_ino, stat.st_size, stat.st_mtime_ns
        if seen == self._seen:
            return False
        self._seen = seen
        return True


class Hosts:
    """``/etc/hosts``: names that are looked up nowhere else."""

    __slots__ = ("_file", "_names")

    def __init__(self, path: str, monotonic: Callable[[], float]) -> None:
        self._file = Watched(path, monotonic)
        self._names: dict[str, tuple[str, ...]] = {}

    def addresses(self, name: str) -> tuple[str, ...] | None:
        """The addresses of a name in lower case, None if the file does not know it."""
        if self._file.changed():
            self._names = read_hosts(self._file.path)
        return self._names.get(name)


def read_hosts(path: str) -> dict[str, tuple[str, ...]]:
    """Names in lower case and their addresses, in the order of the file; localhost in any case."""
    names: dict[str, list[str]] = {}
    try:
        with open(path, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - as above
            text = file.read(MAX_BYTES)
    except OSError as error:
        _LOG.info("%s is not read: %s", path, error.strerror)
        text = ""
    if len(text) == MAX_BYTES:
        _LOG.warning("%s is too long: what follows %d characters is not read", path, MAX_BYTES)
    for line in text.splitlines():
        fields = line.partition("#")[0].split()
        if len(fields) < 2 or not is_numeric(fields[0]):
            continue
        for name in fields[1:]:
            addresses = names.setdefault(name.lower().rstrip("."), [])
            if fields[0] not in addresses:
                addresses.append(fields[0])
    # RFC 6761 6.3: localhost is this machine, whatever a file or a server says not.
    return _LOCALHOST | {name: tuple(addresses) for name, addresses in names.items()}
