"""What the daemon knows of itself: its threads, its sockets, its parameters' names."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MODULES = (
    "ims_dialog",
    "dialog",
    "tm",
    "rr",
    "siptrace",
    "corex",
    "kex",
    "counters",
    "cfg_rpc",
    "ctl",
    "jsonrpcs",
    "xhttp",
    "mi_fifo",
    "mi_datagram",
)
"""Kamailio's names for what this program does without modules."""

_MAIN = "management: commands and their interfaces"
# The beginnings of the threads' names, and what they do.
_WORK = (
    ("dlgmgmt-sip", "signalling: SIP transactions, dialogs and timers"),
    ("dlgmgmt-audit", "audit log"),
    ("dlgmgmt-load", "loading dialogs from the database"),
    ("dlgmgmt-adopt", "adopting another daemon's dialogs"),
    ("dlgmgmt-db-writer", "writing dialogs into the database"),
    ("dlgmgmt-db-watch", "watching over what waits for the database"),
    ("dlgmgmt-reload", "reading the configuration again"),
    ("script-watchdog", "time limit of the routing script"),
    ("script-load", "loading the routing script"),
    ("script-", "routing script worker"),
    ("sweep-", "ending the dialogs of one order"),
    ("pacer", "ending many dialogs at a steady rate"),
)
_SIGNALLING, _OTHER = 1, -1


class Thread(NamedTuple):
    """number: as the system shows it (``ps -L``, LWP). rank: 0 main, 1 signalling, else -1."""

    number: int
    description: str
    rank: int


class SipSocket(NamedTuple):
    """A listener. transport: udp, tcp, tls, ws or wss."""

    transport: str
    host: str
    port: int


class ControlSocket(NamedTuple):
    """A socket of BINRPC. kind: unixs, unixd, tcp or udp. path: of a unix socket.

    peer: host and port of who is connected, ("", 0) over a unix socket; None for a listener.
    """

    kind: str
    path: str
    host: str
    port: int
    peer: tuple[str, int] | None = None


def _nothing() -> tuple[()]:
    return ()


@dataclass(slots=True)
class System:
    """Where the handlers ask. parameters: table and name of everything that can be configured."""

    sip_sockets: Callable[[], Sequence[SipSocket]] = _nothing
    control_sockets: Callable[[], Sequence[ControlSocket]] = _nothing
    control_clients: Callable[[], Sequence[ControlSocket]] = _nothing
    parameters: Sequence[tuple[str, str]] = ()


def threads() -> list[Thread]:
    """The threads of the daemon, the main one first.

    Kamailio has processes here: this program is one, and what its parts are doing is seen by the
    numbers of the threads.
    """
    found = [_thread(each) for each in threading.enumerate() if each.native_id is not None]
    return sorted(found, key=lambda each: (each.rank != 0, each.number))


def _thread(thread: threading.Thread) -> Thread:
    number = thread.native_id or 0
    if thread is threading.main_thread():
        return Thread(number, _MAIN, 0)
    for start, work in _WORK:
        if thread.name.startswith(start):
            last = thread.name.removeprefix(start)
            rank = _SIGNALLING if start == "dlgmgmt-sip" else _OTHER
            return Thread(number, f"{work} {last}" if last.isdigit() else work, rank)
    return Thread(number, thread.name, _OTHER)


def command_line() -> tuple[str, ...]:
    """How the daemon was started."""
    return tuple(sys.argv)


def directory() -> str:
    """Where it works; "" if that is gone."""
    try:
        return os.getcwd()  # noqa: PTH109 - a text is wanted
    except OSError:
        return ""
