"""Free loopback ports, never handed out twice.

They lie below the range from which the kernel takes the ports of unbound sockets, so nothing can
slip in between the moment a port is found free and the moment a program binds it.
"""

from __future__ import annotations

import itertools
import os
import socket
from collections.abc import Iterator

LOW, HIGH = 10_240, 32_000
# Two test runs at the same time start far apart.
_START = LOW + (os.getpid() * 613) % (HIGH - LOW)
_candidates: Iterator[int] = itertools.chain(range(_START, HIGH), range(LOW, _START))

_senders: dict[str, set[int]] = {kind: set() for kind in ("udp", "tcp", "ws", "phone")}


def sends_from(kind: str, port: int) -> None:
    """Note a port that a daemon sends from, or, as "phone", may connect to over TCP."""
    if kind in _senders:
        _senders[kind].add(port)


def senders() -> dict[str, set[int]]:
    """What ``sends_from`` was told; what TLS carries cannot be read and is not in it."""
    return _senders


def _is_free(port: int) -> bool:
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def free_port() -> int:
    """A port on which nothing listens, over UDP or TCP; RuntimeError when all are used up."""
    for port in _candidates:
        if _is_free(port):
            return port
    raise RuntimeError("no free port left")


def free_ports(count: int) -> int:
    """The first of ``count`` free ports in a row."""
    row: list[int] = []
    while len(row) < count:
        port = free_port()
        row = [*row, port] if row and port == row[-1] + 1 else [port]
    return row[0]


def has_ipv6_loopback() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True
