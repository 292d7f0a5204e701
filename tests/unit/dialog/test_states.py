"""The state machine against a table written from the facts about ims_dialog, not from the code."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.states import STATE_NAMES, TRANSITIONS, Event, IllegalEvent, State, next_state
from tests.unit.dialog.harness import Core, in_state

# One row per event, one column per state; "." is refused. Digits are ims_dialog's numbers.
COLUMNS = "1 2 4 5 6 7"
EXPECTED = {
    Event.PROVISIONAL: "2 2 . . . .",
    Event.ANSWER: "5 5 . . . .",
    Event.ANSWER_OTHER_LEG: ". . 7 7 . 7",
    Event.ACK: ". . 4 4 . 7",
    Event.FAILURE: "6 6 . . . .",
    Event.BYE_LAST_LEG: ". . 6 6 . 6",
    Event.BYE_ONE_OF_MANY: ". . . . . 7",
    Event.BYE_LEAVES_ACKED_LEG: ". . . . . 4",
    Event.BYE_LEAVES_UNACKED_LEG: ". . . . . 5",
    Event.REQUEST_WITHIN: ". 2 4 5 . 7",
    Event.TIMEOUT: "6 6 6 6 . 6",
    Event.TERMINATE: "6 6 6 6 . 6",
}
CELLS = [
    pytest.param(State(int(column)), event, cell, id=f"{column}-{event.name}")
    for event, row in EXPECTED.items()
    for column, cell in zip(COLUMNS.split(), row.split(), strict=True)
]


def test_every_state_and_event_has_its_cell() -> None:
    assert len(CELLS) == len(State) * len(Event)
    assert set(EXPECTED) == set(Event)
    assert len(TRANSITIONS) == sum(cell.values[2] != "." for cell in CELLS)


@pytest.mark.parametrize(("state", "event", "cell"), CELLS)
def test_transition(state: State, event: Event, cell: str) -> None:
    if cell == ".":
        with pytest.raises(IllegalEvent) as refused:
            next_state(state, event)
        assert refused.value.state is state
        assert refused.value.event is event
        assert str(int(state)) in str(refused.value)
        assert STATE_NAMES[state] in str(refused.value)
    else:
        assert next_state(state, event) is State(int(cell))


@pytest.mark.parametrize(("state", "event", "cell"), CELLS)
def test_a_refused_event_is_counted_and_changes_nothing(
    state: State, event: Event, cell: str
) -> None:
    core = Core()
    dialog = in_state(core, state)
    before = core.table.get(dialog.entry.index, dialog.h_id)
    with dialog.entry.lock:
        if cell != ".":
            assert core.table.change(dialog, event) is State(int(cell))
        else:
            with pytest.raises(IllegalEvent):
                core.table.change(dialog, event)
    counts = core.check_counts()
    assert counts.illegal_events == (cell == ".")
    if cell == ".":
        assert core.table.get(dialog.entry.index, dialog.h_id) == before


def test_the_numbers_and_names_that_interfaces_show() -> None:
    assert {int(state): name for state, name in STATE_NAMES.items()} == {
        1: "unconfirmed",
        2: "early",
        4: "confirmed",
        5: "confirmed, ACK not seen",
        6: "deleted",
        7: "concurrently confirmed",
    }


def test_deleted_is_the_end() -> None:
    assert not [key for key in TRANSITIONS if key[0] is State.DELETED]
