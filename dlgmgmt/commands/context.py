"""What a handler may touch: the dialogs, the terminator, the clock, the counters."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dlgmgmt.commands.baselines import Baselines
from dlgmgmt.commands.pace import Pacer
from dlgmgmt.commands.results_database import Adoption, DatabaseStatus, Flushed
from dlgmgmt.commands.sweeps import Sweeps
from dlgmgmt.commands.system import System
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.query import Source
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView, Snapshot, TableCounts, TerminationView
from dlgmgmt.sip.bridges import BridgeView
from dlgmgmt.sip.trace import Traced

StatisticsProvider = Callable[[], Sequence[tuple[str, int]]]
"""Names and values of one group, in the order in which they are shown."""


class Dialogs(Source, Protocol):
    """What commands read of the dialog table; see dlgmgmt.dialog.table.DialogTable."""

    @property
    def settings(self) -> DialogSettings:
        """The parameters in force."""

    def iter_views(self) -> Iterator[list[DialogView]]:
        """Copies of all dialogs, batch by batch."""

    def iter_snapshots(self) -> Iterator[list[Snapshot]]:
        """The kept copies of all dialogs, batch by batch."""

    def iter_pairs(self) -> Iterator[list[tuple[Dialog, DialogView]]]:
        """All dialogs with their copies, batch by batch."""

    def find_pairs(
        self, callid: str, from_tag: str | None = None
    ) -> list[tuple[Dialog, DialogView]]:
        """The dialogs with this Call-ID (and From tag), with their copies."""

    def lookup(self, callid: str, from_tag: str, to_tag: str) -> Dialog | None:
        """The dialog that is alive and has these tags, in either order."""

    def find(self, callid: str, from_tag: str | None = None) -> list[DialogView]:
        """Copies of the dialogs with this Call-ID (and From tag)."""

    def dialog(self, h_entry: int, h_id: int) -> Dialog | None:
        """The dialog with these numbers."""

    def set_var(self, dialog: Dialog, key: str, value: str | None) -> None:
        """Set a variable, or remove it; ValueError."""

    def vars(self, dialog: Dialog) -> dict[str, str]:
        """All variables."""

    def set_flag(self, dialog: Dialog, number: int) -> None:
        """Set a flag; ValueError."""

    def reset_flag(self, dialog: Dialog, number: int) -> None:
        """Clear a flag; ValueError."""

    def is_flag_set(self, dialog: Dialog, number: int) -> bool:
        """Whether a flag is set; ValueError."""

    def set_lifetime(self, dialog: Dialog, seconds: int) -> None:
        """The dialog timeout in seconds; one that runs begins again. ValueError."""

    def counts(self) -> TableCounts:
        """Dialogs per state, totals since the start."""

    def termination(self, number: int, /) -> TerminationView | None:
        """A remembered termination, None if unknown."""


class Terminator(Protocol):
    """Ends dialogs: marks them deleted, leaves the sending to the signalling thread.

    Both raise NoSuchDialog and BadExtraHeaders (dlgmgmt.dialog.errors).
    """

    def by_tags(
        self, callid: str, from_tag: str, to_tag: str, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        """End the dialog with exactly these tags."""

    def by_id(
        self, h_entry: int, h_id: int, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        """End the dialog ``h_entry:h_id``."""


class BridgeViews(Protocol):
    """What became of bridges; see dlgmgmt.sip.bridges.Bridges."""

    def views(self) -> list[BridgeView]:
        """What is known, oldest first."""


class Bridging(Protocol):
    """Makes calls; see dlgmgmt.sip.calls.Calls."""

    @property
    def bridges(self) -> BridgeViews:
        """What became of them."""

    def bridge(self, from_uri: str, to_uri: str, op: str = "") -> int:
        """Call ``from_uri`` and refer it to ``to_uri``; 0 if too many bridges exist. ValueError."""


class Tracing(Protocol):
    """Copies of the messages; see dlgmgmt.sip.trace.Tracer."""

    @property
    def sending(self) -> bool:
        """Whether copies are sent to a collector."""

    def find(self, callid: str, after: int = 0) -> list[Traced] | None:
        """The messages of a call, some at a time; None if there is not one."""

    def switch(self, *, on: bool, collector: tuple[str, int] | None = None) -> None:
        """Begin or cease to send copies; raises NoCollector."""


class Database(Protocol):
    """The database that keeps the dialogs; see dlgmgmt.storing.Storing.

    Each function that begins something returns one that looks how it goes: what has come of it,
    and whether that is all. It raises Refused if nothing has.
    """

    def status(self) -> DatabaseStatus:
        """What is known of it, without asking it."""

    def adopt(self, owner: str | None) -> Callable[[], tuple[Adoption, bool]]:
        """Begin to take over the dialogs of a daemon, or those without owner. Raises Refused."""

    def flush(self) -> Callable[[], tuple[Flushed, bool]]:
        """Begin to write what waits. Raises Refused."""


def _no_context(_dialog: Dialog) -> tuple[str, ...]:
    return ()


def _no_force(_dialog: Dialog, _wanted: State) -> bool:
    return False


def _platform() -> str:
    return f"{platform.machine() or 'unknown'}/{sys.platform}"


@dataclass(slots=True, frozen=True)
class CommandContext:
    """What every handler gets.

    clock: Unix time in seconds. start_time: when the daemon started, Unix seconds. version: of
    the daemon. statistics: groups of counters besides those of the dialog table, by group name.
    tracing: None where no messages pass. describe: the lines of a dialog's context. force: moves a
    dialog to a state, False if it cannot go there. bridging: None where no calls are made. pacer:
    for what is done to very many dialogs. sweeps: the same, at a rate that was asked for. system:
    sockets and parameters. baselines: what counters stood at when they were reset. database: None
    where dialogs are kept in memory alone.
    """

    table: Dialogs
    terminator: Terminator
    clock: Callable[[], float]
    start_time: float
    version: str
    program: str = "dlgmgmt"
    platform: str = field(default_factory=_platform)
    runtime: str = field(default_factory=lambda: f"Python {platform.python_version()}")
    statistics: Mapping[str, StatisticsProvider] = field(default_factory=dict)
    tracing: Tracing | None = None
    describe: Callable[[Dialog], tuple[str, ...]] = _no_context
    force: Callable[[Dialog, State], bool] = _no_force
    bridging: Bridging | None = None
    pacer: Pacer = field(default_factory=Pacer)
    sweeps: Sweeps = field(default_factory=Sweeps)
    system: System = field(default_factory=System)
    baselines: Baselines = field(default_factory=Baselines)
    database: Database | None = None
