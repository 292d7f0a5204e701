"""Counters that an operator has set back to 0.

What is counted goes on where it is counted, for others rely on it; what a counter stood at when it
was reset is taken off here, where it is shown.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from dlgmgmt.commands.results_system import Statistic

GAUGES = frozenset(
    {
        "abandoned",
        "active",
        "active_dialogs",
        "blocked",
        "blocks",
        "bridges",
        "cached",
        "connections",
        "down",
        "early",
        "early_dialogs",
        "flood_sources",
        "known",
        "oldest_ms",
        "queued",
        "refers",
        "resident",
        "ring_bytes",
        "ring_messages",
        "tcp_connections",
        "transactions",
        "under_way",
        "waiting",
        "websockets",
    }
)
"""Statistics that say how much there is at the moment: these cannot be reset."""


class Baselines:
    """What counters stood at when they were reset. Any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bases: dict[tuple[str, str], int] = {}

    def shown(self, row: Statistic) -> Statistic:
        """A counter, from its last reset on."""
        base = self._bases.get((row.group, row.name), 0)
        # One that is smaller has itself begun anew, as a door's does that was opened again.
        return row if base > row.value else row._replace(value=row.value - base)

    def reset(self, rows: Iterable[Statistic]) -> None:
        """Begin at 0 again, from these values on, which are what is counted and not what is shown.

        There is one base for each counter of the registry: no client can make them more.
        """
        with self._lock:
            self._bases |= {(row.group, row.name): row.value for row in rows}
