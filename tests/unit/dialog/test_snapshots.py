"""A kept copy is what a fresh one would be, whatever has happened to the dialog since."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import example, given

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.views import Snapshot
from tests.unit.dialog.harness import Core
from tests.unit.dialog.script import SCRIPTS, WITH_PROFILES, Script, play


def listed(core: Core) -> list[Snapshot]:
    return [snapshot for batch in core.table.iter_snapshots() for snapshot in batch]


@given(SCRIPTS)
@example([("answer", "bob", "ACK", 0), ("answer", "carol", "ACK", 1), ("wait", "bob", "ACK", 1)])
@example([("enter", "bob", "ACK", 0), ("ring", "bob", "ACK", 0), ("wait", "bob", "ACK", 10)])
def test_a_snapshot_never_outlives_a_change(script: Script) -> None:
    core = Core(WITH_PROFILES)

    def compare(_dialog: Dialog) -> None:
        fresh = [view for batch in core.table.iter_views() for view in batch]
        assert [snapshot.view for snapshot in listed(core)] == fresh

    play(core, script, compare)


CHANGES: dict[str, Callable[[Core, Dialog], object]] = {
    "enters a profile": lambda core, d: core.table.profiles.insert(d, "inbound", None),
    "enters it again": lambda core, d: core.table.profiles.insert(d, "caller", "alice"),
    "leaves a profile": lambda core, d: core.table.profiles.remove(d, "caller", "alice"),
    "sets a variable": lambda core, d: core.table.set_var(d, "fresh", "1"),
    "changes a variable": lambda core, d: core.table.set_var(d, "known", "2"),
    "removes a variable": lambda core, d: core.table.set_var(d, "known", None),
    "sets a flag": lambda core, d: core.table.set_flag(d, 3),
    "resets a flag": lambda core, d: core.table.reset_flag(d, 7),
    "has another lifetime": lambda core, d: core.table.set_lifetime(d, 77),
    "has a timeout route": lambda core, d: core.table.set_toroute(d, "too_long"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_a_script_changes_is_in_the_next_listing(name: str) -> None:
    core = Core(WITH_PROFILES)
    dialog, _ = core.call()
    core.table.profiles.insert(dialog, "caller", "alice")
    core.table.set_var(dialog, "known", "1")
    core.table.set_flag(dialog, 7)
    (before,) = listed(core)
    CHANGES[name](core, dialog)
    (after,) = listed(core)
    assert after.view != before.view
    assert after.view == core.table.get(dialog.entry.index, dialog.h_id)


def test_an_unchanged_dialog_keeps_its_snapshot() -> None:
    core = Core()
    core.call()
    assert listed(core)[0] is listed(core)[0]


def test_a_snapshot_is_found_by_its_id() -> None:
    core = Core()
    dialog, _ = core.call()
    assert core.table.snapshot(dialog.entry.index, dialog.h_id) is listed(core)[0]
    assert core.table.snapshot(dialog.entry.index, dialog.h_id + 1) is None
    assert core.table.snapshot(-1, dialog.h_id) is None
