"""A kept copy is what a fresh one would be, whatever has happened to the dialog since."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import IllegalEvent
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.views import Snapshot
from tests.unit.dialog.harness import SETTINGS, Core

TAGS = st.sampled_from(["bob", "carol"])
METHODS = st.sampled_from(["ACK", "INVITE", "INFO", "BYE"])
WITH_PROFILES = replace(
    SETTINGS,
    early_timeout=900,
    profiles_with_value=("caller",),
    profiles_no_value=("inbound",),
)


def steps(core: Core, dialog: Dialog) -> dict[str, Callable[[str, str, int], object]]:
    orders = Terminations(core.table)
    table, profiles = core.table, core.table.profiles

    def release(_tag: str, _method: str, _number: int) -> None:
        if dialog.holds:
            core.table.release(dialog)

    def moved(tag: str, method: str, number: int) -> None:
        match = core.down(method, number, tag)
        if match is not None:
            core.tracker.response(match, method, 200, f"sip:a@{number}", f"sip:b@{number}")

    def refreshed(tag: str, method: str, number: int) -> None:
        match = core.down(method, number, tag)
        if match is not None:
            core.tracker.response(match, method, 200, "", "", cseq=number, session=number * 40)

    def wait(_tag: str, _method: str, number: int) -> None:
        core.advance(number * 100.0)
        due, core.expired[:] = core.expired[:], []
        for expired in due:
            orders.expired(expired)

    def enter(tag: str, _method: str, number: int) -> None:
        profiles.insert(dialog, ("caller", "inbound")[number % 2], tag)

    def leave(tag: str, _method: str, number: int) -> None:
        profiles.remove(dialog, ("caller", "inbound")[number % 2], tag)

    return {
        "ring": lambda tag, _, number: core.reply(dialog, 180, tag, contact=f"sip:{number}"),
        "answer": lambda tag, _, number: core.reply(dialog, 200, tag, branch=number % 3),
        "branch failed": lambda tag, _, number: core.tracker.branch_failed(
            dialog, number % 3, 486, tag, "rejected"
        ),
        "failed": lambda _tag, _, _number: core.tracker.invite_failed(dialog, 486),
        "invite ended": lambda _tag, _, _number: core.tracker.invite_ended(dialog),
        "down": lambda tag, method, number: core.down(method, number, tag),
        "up": lambda tag, method, number: core.up(method, number, tag),
        "moved": moved,
        "refreshed": refreshed,
        "early ended": lambda tag, _, _number: core.reply(dialog, 199, tag),
        "hold": lambda _tag, _, _number: core.table.hold(dialog),
        "release": release,
        "kill": lambda tag, _, _number: orders.by_tags("c1", "alice", tag, reason="x"),
        "kill by id": lambda _tag, _, _number: orders.by_id(
            dialog.entry.index, dialog.h_id, reason="x", only="callee"
        ),
        "wait": wait,
        "unacked": lambda _tag, _, _number: orders.legs_due(dialog),
        "enter": enter,
        "leave": leave,
        "set variable": lambda tag, method, number: table.set_var(dialog, tag, f"{method}{number}"),
        "unset variable": lambda tag, _, _number: table.set_var(dialog, tag, None),
        "set flag": lambda _tag, _, number: table.set_flag(dialog, number % 32),
        "reset flag": lambda _tag, _, number: table.reset_flag(dialog, number % 32),
        "lifetime": lambda _tag, _, number: table.set_lifetime(dialog, 1 + number),
        "timeout route": lambda tag, _, _number: table.set_toroute(dialog, tag),
        "timeout bye": lambda _tag, _, number: table.set_timeout_bye(dialog, number % 2 == 0),
        "timeout noreset": lambda _tag, _, number: table.set_timeout_noreset(
            dialog, number % 2 == 0
        ),
        "keepalive": lambda _tag, _, number: table.set_keepalive(
            dialog, number % 2 == 0, number % 3 == 0
        ),
    }


STEPS = sorted(steps(Core(), Core().invite()))


def void(function: Callable[[Dialog], object]) -> Callable[[Dialog], None]:
    def call(dialog: Dialog) -> None:
        function(dialog)

    return call


def listed(core: Core) -> list[Snapshot]:
    return [snapshot for batch in core.table.iter_snapshots() for snapshot in batch]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(STEPS),
            TAGS,
            METHODS,
            st.integers(0, 50),
        ),
        max_size=25,
    )
)
@example([("answer", "bob", "ACK", 0), ("answer", "carol", "ACK", 1), ("wait", "bob", "ACK", 1)])
@example([("enter", "bob", "ACK", 0), ("ring", "bob", "ACK", 0), ("wait", "bob", "ACK", 10)])
def test_a_snapshot_never_outlives_a_change(script: list[tuple[str, str, str, int]]) -> None:
    core = Core(WITH_PROFILES)
    core.table.on_legs_due = void(core.orders.legs_due)
    known = steps(core, core.invite())
    for name, tag, method, number in script:
        try:
            known[name](tag, method, number)
        except (IllegalEvent, NoSuchDialog):
            # Refused: the copy must still be the right one.
            assert name in (
                "up",
                "down",
                "moved",
                "refreshed",
                "failed",
                "invite ended",
                "answer",
                "ring",
                "kill",
                "kill by id",
            )
        fresh = [view for batch in core.table.iter_views() for view in batch]
        assert [snapshot.view for snapshot in listed(core)] == fresh


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
