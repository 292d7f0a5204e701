"""A kept copy is what a fresh one would be, whatever has happened to the dialog since."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import IllegalEvent
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.views import Snapshot
from tests.unit.dialog.harness import Core

TAGS = st.sampled_from(["bob", "carol"])
METHODS = st.sampled_from(["ACK", "INVITE", "INFO", "BYE"])


def steps(core: Core, dialog: Dialog) -> dict[str, Callable[[str, str, int], object]]:
    orders = Terminations(core.table)

    def release(_tag: str, _method: str, _number: int) -> None:
        if dialog.holds:
            core.table.release(dialog)

    def moved(tag: str, method: str, number: int) -> None:
        match = core.down(method, number, tag)
        if match is not None:
            core.tracker.response(match, method, 200, f"sip:a@{number}", f"sip:b@{number}")

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
        "hold": lambda _tag, _, _number: core.table.hold(dialog),
        "release": release,
        "kill": lambda tag, _, _number: orders.by_tags("c1", "alice", tag, reason="x"),
        "wait": lambda _tag, _, number: core.advance(number * 100.0),
    }


def listed(core: Core) -> list[Snapshot]:
    return [snapshot for batch in core.table.iter_snapshots() for snapshot in batch]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(steps(Core(), Core().invite()))),
            TAGS,
            METHODS,
            st.integers(0, 50),
        ),
        max_size=25,
    )
)
def test_a_snapshot_never_outlives_a_change(script: list[tuple[str, str, str, int]]) -> None:
    core = Core()
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
                "failed",
                "invite ended",
                "answer",
                "ring",
                "kill",
            )
        fresh = [view for batch in core.table.iter_views() for view in batch]
        assert [snapshot.view for snapshot in listed(core)] == fresh


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
