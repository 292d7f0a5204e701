"""The daemon's next run, on other clocks, for tests of dialogs that it has from the one before."""

from __future__ import annotations

import random
from typing import Any

import pytest

from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.record import DialogRecord, record_of
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.dialog.views import DialogView
from tests.unit.dialog.harness import SETTINGS, UNIX, Core

LATER = 3600.0
"""How far the monotonic clock of the next run is from that of the first."""


class Next:
    """The daemon's next run: the same moment of Unix time, another monotonic clock."""

    def __init__(
        self, core: Core, config: DialogSettings = SETTINGS, *, slept: float = 0.0
    ) -> None:
        self.now = core.now + LATER + slept
        self.table = DialogTable(
            config,
            wall=lambda: UNIX + self.now - LATER,
            monotonic=lambda: self.now,
            rng=random.Random(9),
        )
        self.expired: list[Dialog] = []
        self.tracker = Tracker(self.table, self.expired.append)
        self.orders = Terminations(self.table)
        self.due: list[Dialog] = []
        self.table.on_legs_due = self.due.append

    def advance(self, seconds: float) -> None:
        self.now += seconds
        for fire in self.table.due():
            fire()


def record(dialog: Dialog, offset: float = UNIX) -> DialogRecord:
    with dialog.entry.lock:
        return record_of(dialog, offset)


def view(dialog: Dialog) -> DialogView:
    with dialog.entry.lock:
        return dialog.view()


def near(moment: float) -> Any:
    """The same moment, on another clock."""
    return pytest.approx(moment, abs=1e-3)


def numbers(leg: OutLeg) -> list[object]:
    """What the daemon would send to both sides, and what becomes of the parties' own numbers."""
    shifts = leg.shifts
    moved = (
        []
        if shifts is None
        else [
            [shift.sent(own) for own in range(0, 600, 7)]
            for shift in (shifts.caller, shifts.callee)
        ]
    )
    return [leg.next_cseq(to_caller=True), leg.next_cseq(to_caller=False), *moved]
