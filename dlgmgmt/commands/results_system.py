"""What the commands about the daemon itself answer, as typed records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from dlgmgmt.commands.system import ControlSocket, SipSocket, Thread


class Statistic(NamedTuple):
    """One counter."""

    group: str
    name: str
    value: int


@dataclass(slots=True, frozen=True)
class Statistics:
    """The counters that were asked for, in the order of the request."""

    rows: tuple[Statistic, ...]


@dataclass(slots=True, frozen=True)
class StatisticValues:
    """As Statistics, as an object. numeric: with numbers in it, and not their digits."""

    rows: tuple[Statistic, ...]
    numeric: bool


@dataclass(slots=True, frozen=True)
class StatisticsReset:
    """Counters begin at 0 again. rows: what they were. shown: the client wants to see that."""

    rows: tuple[Statistic, ...]
    shown: bool


@dataclass(slots=True, frozen=True)
class CommandNames:
    """The commands of the protocol that asked."""

    names: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Words:
    """Words or lines, one after another."""

    words: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class Directory:
    """Where the daemon works."""

    path: str


@dataclass(slots=True, frozen=True)
class Uptime:
    """Both in Unix seconds."""

    now: int
    up_since: int


@dataclass(slots=True, frozen=True)
class Version:
    """program and version name the daemon; platform is like "x86_64/linux"."""

    program: str
    version: str
    platform: str
    runtime: str


@dataclass(slots=True, frozen=True)
class Build:
    """What the daemon was made of; the fields are those of Version."""

    program: str
    version: str
    platform: str
    runtime: str


@dataclass(slots=True, frozen=True)
class Threads:
    """What runs. form: of which of the real server's three lists of processes it takes the place.

    pairs: numbers and texts in turn; indexed: IDX, PID, DSC; full: with status and rank.
    """

    threads: tuple[Thread, ...]
    form: Literal["pairs", "indexed", "full"]


@dataclass(slots=True, frozen=True)
class SipSockets:
    """Where SIP is listened for."""

    sockets: tuple[SipSocket, ...]


@dataclass(slots=True, frozen=True)
class ControlSockets:
    """Where BINRPC is listened for, or who is connected; peers are None for the former."""

    sockets: tuple[ControlSocket, ...]


@dataclass(slots=True, frozen=True)
class MethodHelp:
    """What a command does, in words."""

    text: str


@dataclass(slots=True, frozen=True)
class Signatures:
    """Types of a command's answer and of its parameters, for each number of them."""

    signatures: tuple[tuple[str, ...], ...]


@dataclass(slots=True, frozen=True)
class Document:
    """A description of the interface."""

    document: Mapping[str, object]


SystemResult = (
    Statistics
    | StatisticValues
    | StatisticsReset
    | CommandNames
    | Words
    | Directory
    | Uptime
    | Version
    | Build
    | Threads
    | SipSockets
    | ControlSockets
    | MethodHelp
    | Signatures
    | Document
)
