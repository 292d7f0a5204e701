"""States that an operator sets: nothing is sent, and the table says what is true."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.forced import force
from dlgmgmt.dialog.states import State
from tests.unit.dialog.harness import SETTINGS, Core, in_state


def test_a_forgotten_call_leaves_table_and_profiles() -> None:
    core = Core()
    core.table.profiles.declare([], ["inbound"])
    dialog, _ = core.call()
    core.table.profiles.insert(dialog, "inbound", None)
    assert force(core.table, dialog, State.DELETED)
    assert core.kinds()[-2:] == [EventType.TERMINATED, EventType.DESTROYED]
    assert core.events[-2].detail == "set_state"
    assert len(core.table) == 0
    assert core.table.profiles.size("inbound", None) == 0
    assert core.check_counts().failed == 0
    assert core.table.terminations() == []
    # What the phones send later is theirs alone, and no timer fires for it.
    assert core.down("BYE", 11) is None
    core.advance(SETTINGS.default_timeout + 100)
    assert core.expired == []


def test_one_that_a_transaction_holds_leaves_with_it() -> None:
    core = Core()
    dialog = in_state(core, State.CONFIRMED_NA)
    held = dialog.holds
    assert force(core.table, dialog, State.DELETED)
    assert dialog.state is State.DELETED
    for _ in range(held):
        core.table.release(dialog)
    assert len(core.table) == 0


def test_an_ack_that_went_another_way() -> None:
    core = Core()
    dialog, leg = core.call(acked=False)
    assert force(core.table, dialog, State.CONFIRMED)
    assert dialog.state is State.CONFIRMED
    assert leg.acked
    assert core.kinds()[-1] is EventType.CONFIRMED
    # The wait for the ACK is over, and the lifetime runs.
    core.advance(SETTINGS.noack_timeout + 1)
    assert core.expired == []
    core.advance(SETTINGS.default_timeout)
    assert core.expired == [dialog]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("wanted", State)
def test_what_can_be_set(state: State, wanted: State) -> None:
    core = Core()
    dialog = in_state(core, state)
    events = len(core.events)
    answered = state in (State.CONFIRMED, State.CONFIRMED_NA, State.CONCURRENT)
    possible = (
        state is wanted
        or (answered and wanted is State.DELETED)
        or (state is State.CONFIRMED_NA and wanted is State.CONFIRMED)
    )
    assert force(core.table, dialog, wanted) is possible
    assert dialog.state is (wanted if possible else state)
    assert (len(core.events) > events) is (possible and state is not wanted)
    core.check_counts()
