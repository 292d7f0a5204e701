"""What a handler may touch: the dialogs, the terminator, the clock, the counters."""

from __future__ import annotations

import platform
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.views import DialogView, Snapshot, TableCounts, TerminationView
from dlgmgmt.sip.trace import Traced

StatisticsProvider = Callable[[], Sequence[tuple[str, int]]]
"""Names and values of one group, in the order in which they are shown."""


class Dialogs(Protocol):
    """What commands read of the dialog table; see dlgmgmt.dialog.table.DialogTable."""

    @property
    def settings(self) -> DialogSettings:
        """The parameters in force."""

    def iter_views(self) -> Iterator[list[DialogView]]:
        """Copies of all dialogs, batch by batch."""

    def iter_snapshots(self) -> Iterator[list[Snapshot]]:
        """The kept copies of all dialogs, batch by batch."""

    def find(self, callid: str, from_tag: str | None = None) -> list[DialogView]:
        """Copies of the dialogs with this Call-ID (and From tag)."""

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


class Tracing(Protocol):
    """Copies of the messages; see dlgmgmt.sip.trace.Tracer."""

    @property
    def sending(self) -> bool:
        """Whether copies are sent to a collector."""

    def find(self, callid: str, after: int = 0) -> list[Traced] | None:
        """The messages of a call, some at a time; None if there is not one."""

    def switch(self, *, on: bool, collector: tuple[str, int] | None = None) -> None:
        """Begin or cease to send copies; raises NoCollector."""


def _platform() -> str:
    return f"{platform.machine() or 'unknown'}/{sys.platform}"


@dataclass(slots=True, frozen=True)
class CommandContext:
    """What every handler gets.

    clock: Unix time in seconds. start_time: when the daemon started, Unix seconds. version: of
    the daemon. statistics: groups of counters besides those of the dialog table, by group name.
    tracing: None where no messages pass.
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
