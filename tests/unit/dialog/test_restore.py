"""Dialogs that are made of their records: the same calls, on another table with other clocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.record import LOADED, DialogRecord
from dlgmgmt.dialog.restore import RestoreError, put_plain, restore
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.wheel import Timer
from tests.unit.dialog.harness import SETTINGS, UNIX, Core, in_state, make_init, state_of
from tests.unit.dialog.next_run import LATER, Next, record, view


def test_a_plain_call() -> None:
    core = Core()
    dialog, _ = core.call()
    core.now = 50.0
    then = Next(core)
    done = restore(then.table, record(dialog))
    assert (done.moved, done.expired) == (False, False)
    assert view(done.dialog) == view(dialog)
    assert done.dialog.stored is LOADED
    assert not done.dialog.dirty
    assert then.table.counts().confirmed == 1
    assert then.table.counts().processed == 0
    then.advance(549.0)
    assert then.expired == []
    then.advance(2.0)
    assert then.expired == [done.dialog]
    order = then.orders.expired(done.dialog)
    assert order is not None
    assert [side.method for side in order.sides] == ["BYE", "BYE"]
    assert order.reason == "dialog_timeout"


def test_it_has_every_field_that_a_dialog_has() -> None:
    core = Core()
    dialog, _ = core.call()
    done = restore(Next(core).table, record(dialog)).dialog
    # It is written out when it is first asked for.
    assert done.did == dialog.did
    assert [name for name in Dialog.__slots__ if not hasattr(done, name)] == []
    (leg,) = done.legs.values()
    assert [name for name in OutLeg.__slots__ if not hasattr(leg, name)] == []


def made(then: Next, it: DialogRecord) -> Dialog:
    """As it is made of its row."""
    dialog = restore(Next(Core()).table, it).dialog
    dialog.entry = then.table.entry_of(dialog.callid)
    dialog.h_id = it.h_id
    dialog.timer = None
    return dialog


def test_a_call_that_is_made_is_put_in_its_place() -> None:
    core = Core()
    it = record(core.call()[0])
    then = Next(core)
    heard: list[DialogEvent] = []
    then.table.add_listener(heard.append, EventType.LOADED)
    dialog = made(then, it)
    assert put_plain(then.table, [dialog], then.table.monotonic() - then.table.wall()) == 1
    assert then.table.dialog(it.h_entry, it.h_id) is dialog
    assert [event.dialog for event in heard] == [dialog]
    assert then.table.counts().confirmed == 1
    then.advance(599.0)
    assert then.expired == []
    then.advance(2.0)
    assert then.expired == [dialog]


@pytest.mark.parametrize("taken", ["Call-ID", "place"])
def test_calls_are_put_in_up_to_the_first_that_another_is_in_the_way_of(taken: str) -> None:
    core = Core()
    it = record(core.call()[0])
    then = Next(core)
    dialogs = [made(then, it._replace(callid=f"c{n}", h_id=n + 1)) for n in range(4)]
    if taken == "Call-ID":
        dialogs[2].callid, dialogs[2].entry = "c0", dialogs[0].entry
    else:
        dialogs[2].h_id, dialogs[2].entry = dialogs[0].h_id, dialogs[0].entry
    assert put_plain(then.table, dialogs, 0.0) == 2
    assert len(then.table) == then.table.counts().confirmed == 2
    assert [len(then.table.find(f"c{number}")) for number in range(4)] == [1, 1, 0, 0]
    assert dialogs[2].timer is dialogs[3].timer is None
    then.advance(601.0 + LATER + UNIX)
    assert then.expired == dialogs[:2]


def test_a_timeout_that_comes_while_the_call_is_put_in_is_not_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    core = Core()
    it = record(core.call()[0])
    then = Next(core)
    dialog = made(then, it)
    start = then.table.timers_of
    ended: list[bool] = []
    # As the signalling thread has it.
    then.table.on_expiry = lambda due: ended.append(then.orders.expired(due) is not None)

    def start_and_be_late(*args: Any) -> list[Timer]:
        timers = start(*args)
        then.advance(601.0)
        return timers

    monkeypatch.setattr(then.table, "timers_of", start_and_be_late)
    assert put_plain(then.table, [dialog], then.table.monotonic() - then.table.wall()) == 1
    assert state_of(dialog) is State.CONFIRMED
    then.advance(1.0)
    assert ended == [False, True]
    assert state_of(dialog) is State.DELETED


def test_it_is_found_and_hung_up_as_before() -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core, replace(SETTINGS, hash_size=4096))
    done = restore(then.table, record(dialog))
    # The phones' Route still names the old place.
    found = then.tracker.request(dialog.did, "c1", "alice", "bob", "BYE", 11)
    assert found is not None
    assert found.dialog is done.dialog
    assert done.dialog.state is State.DELETED
    then.table.release(done.dialog)
    assert len(then.table) == 0


def test_another_hash_size_moves_it() -> None:
    core = Core()
    dialogs = []
    for number in range(40):
        dialog = core.invite(f"c{number}")
        core.answer(dialog)
        dialogs.append(dialog)
    then = Next(core, replace(SETTINGS, hash_size=2))
    moved = 0
    for dialog in dialogs:
        done = restore(then.table, record(dialog))
        moved += done.moved
        expected = view(dialog)._replace(
            h_entry=done.dialog.entry.index, h_id=done.dialog.h_id, did=done.dialog.did
        )
        legs = tuple(leg._replace(h_entry=then.table.hash_of(leg.to_tag)) for leg in expected.legs)
        assert view(done.dialog) == expected._replace(legs=legs)
        assert then.table.dialog(done.dialog.entry.index, done.dialog.h_id) is done.dialog
    assert moved > 0
    assert len(then.table) == 40


def test_a_place_that_is_taken_is_not_taken_again() -> None:
    core = Core()
    first, second = core.invite("c1"), core.invite("c2", "carla")
    for dialog in (first, second):
        core.answer(dialog)
    wrong = record(second)._replace(h_entry=first.entry.index, h_id=first.h_id)
    then = Next(core, replace(SETTINGS, hash_size=1))
    one = restore(then.table, record(first)._replace(h_entry=0))
    two = restore(then.table, wrong._replace(h_entry=0))
    assert (one.moved, two.moved) == (False, True)
    assert one.dialog.h_id != two.dialog.h_id


def test_new_calls_do_not_take_the_place_of_restored_ones() -> None:
    core = Core(replace(SETTINGS, hash_size=1))
    dialog, _ = core.call()
    then = Next(core, replace(SETTINGS, hash_size=1))
    entry = then.table.entry_at(0)
    assert entry is not None
    entry.next_id = dialog.h_id
    restore(then.table, record(dialog))
    fresh, new = then.table.open(make_init("c9"))
    assert new
    assert fresh.h_id != dialog.h_id


def test_an_ack_that_is_awaited_goes_on_being_awaited() -> None:
    core = Core()
    dialog, _ = core.call(acked=False)
    core.now = 20.0
    then = Next(core, slept=10.0)
    done = restore(then.table, record(dialog))
    assert done.dialog.state is State.CONFIRMED_NA
    then.advance(29.0)
    assert then.expired == []
    then.advance(2.0)
    assert then.expired == [done.dialog]
    order = then.orders.expired(done.dialog)
    assert order is not None
    assert order.reason == "noack_timeout"


def test_the_ack_that_comes_after_the_restart_confirms() -> None:
    core = Core()
    dialog, _ = core.call(acked=False)
    then = Next(core)
    done = restore(then.table, record(dialog))
    then.tracker.request(None, "c1", "alice", "bob", "ACK", 10)
    assert view(done.dialog).state == State.CONFIRMED


def test_a_session_goes_on() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 200, session=90)
    core.down("ACK", 10)
    before = view(dialog)
    then = Next(core, slept=5.0)
    done = restore(then.table, record(dialog))
    assert view(done.dialog).timeout == before.timeout
    then.advance(90 + 30 - 6.0)
    assert then.expired == []
    then.advance(2.0)
    assert then.expired == [done.dialog]
    order = then.orders.expired(done.dialog)
    assert order is not None
    assert order.reason == "session_expired"


def test_legs_of_a_fork_go_on_by_themselves() -> None:
    core = Core()
    dialog = in_state(core, State.CONCURRENT)
    core.down("ACK", 10)
    then = Next(core)
    done = restore(then.table, record(dialog))
    assert view(done.dialog) == view(dialog)._replace(ref_count=view(done.dialog).ref_count)
    then.advance(61.0)
    assert then.due == [done.dialog]
    assert then.orders.legs_due(done.dialog) is not None
    assert [leg.to_tag for leg in done.dialog.confirmed_legs()] == ["bob"]


def test_time_that_has_run_out_ends_it_after_the_delay() -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core, slept=10_000.0)
    done = restore(then.table, record(dialog), delay=5.0)
    assert done.expired
    assert view(done.dialog).timeout == view(dialog).timeout
    then.advance(4.0)
    assert then.expired == []
    then.advance(1.5)
    assert then.expired == [done.dialog]


def test_a_session_that_has_run_out_ends_it_after_the_delay() -> None:
    core = Core(replace(SETTINGS, default_timeout=100_000))
    dialog = core.invite()
    dialog.lifetime = 100_000
    core.reply(dialog, 200, session=90)
    core.down("ACK", 10)
    then = Next(core, slept=10_000.0)
    done = restore(then.table, record(dialog), delay=5.0)
    assert done.expired
    then.advance(4.0)
    assert then.expired == []
    then.advance(1.5)
    assert then.expired == [done.dialog]


def test_profiles_variables_and_the_like() -> None:
    core = Core(replace(SETTINGS, profiles_with_value=("caller",), profiles_no_value=("calls",)))
    dialog, _ = core.call()
    for value in ("alice", "alice", "bob"):
        core.table.profiles.insert(dialog, "caller", value)
    core.table.profiles.insert(dialog, "calls", None)
    core.table.set_var(dialog, "who", "x\r\n\0\ud800")
    core.table.set_flag(dialog, 31)
    core.table.set_toroute(dialog, "late")
    core.table.set_timeout_bye(dialog, on=True)
    core.table.set_timeout_noreset(dialog, on=True)
    core.table.set_keepalive(dialog, True, True)
    core.tracker.branch_failed(dialog, 3, 486, "dave", "rejected")
    then = Next(core)
    # A profile that is configured no more is not forgotten.
    done = restore(then.table, record(dialog))
    assert view(done.dialog) == view(dialog)
    assert then.table.profiles.size("caller", "alice") == 2
    assert then.table.profiles.size("caller", None) == 3
    assert then.table.profiles.size("calls", None) == 1
    assert record(done.dialog)[20:24] == record(dialog)[20:24]
    force_end(then, done.dialog)
    assert then.table.profiles.sizes() == {"caller": 0, "calls": 0}


def force_end(then: Next, dialog: Dialog) -> None:
    then.tracker.request(None, "c1", "alice", "bob", "BYE", 99)
    then.table.release(dialog)


def test_listeners_are_told() -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core)
    told: list[EventType] = []
    then.table.add_listener(lambda event: told.append(event.type))
    restore(then.table, record(dialog))
    assert told == [EventType.LOADED]


REFUSED = {
    "it is early": {"state": 2},
    "it is deleted": {"state": 6},
    "9 is no state": {"state": 9},
    "it has no leg": {"legs": ()},
    "its Call-ID or a tag is empty": {"callid": ""},
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_is_no_dialog_is_refused(why: str) -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core)
    with pytest.raises(RestoreError, match=why):
        restore(then.table, record(dialog)._replace(**REFUSED[why]))  # type: ignore[arg-type]
    assert len(then.table) == 0
    assert then.table.counts().confirmed == 0


@pytest.mark.parametrize(
    "change",
    [
        {"lifetime": 0},
        {"lifetime": -1},
        {"lifetime": 10**400},
        {"timeout": -1},
        {"timeout": 10**400},
        {"session_ts": -5},
        {"keepalive": 4},
        {"first_req_cseq": 2**31},
    ],
    ids=str,
)
def test_numbers_that_cannot_be_are_refused(change: dict[str, int]) -> None:
    core = Core()
    dialog, _ = core.call()
    core.table.profiles.declare((), ("calls",))
    core.table.profiles.insert(dialog, "calls", None)
    refused(core, record(dialog)._replace(**change))  # type: ignore[arg-type] # all are numbers


@pytest.mark.parametrize(
    "change",
    [
        {"caller_cseq": -1},
        {"callee_cseq": 2**31},
        {"confirmed_at": float("nan")},
        {"confirmed_at": float("inf")},
        {"session_end": -1.0},
        {"session_end": float("inf")},
        {"referred": 4},
    ],
    ids=str,
)
def test_numbers_of_a_leg_that_cannot_be_are_refused(change: dict[str, float]) -> None:
    core = Core()
    dialog, _ = core.call()
    good = record(dialog)
    leg = good.legs[0]._replace(**change)  # type: ignore[arg-type] # all are numbers
    refused(core, good._replace(legs=(leg,)))


def refused(core: Core, bad: DialogRecord) -> None:
    """Nothing comes of it: no dialog, no timer, no member of a profile."""
    then = Next(core)
    with pytest.raises(RestoreError):
        restore(then.table, bad)
    assert len(then.table) == 0
    assert set(then.table.profiles.sizes().values()) <= {0}
    then.advance(100_000.0)
    assert then.expired == then.due == []


def test_legs_that_cannot_be_are_refused() -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core)
    good = record(dialog)
    leg = good.legs[0]
    with pytest.raises(RestoreError, match="the same To-tag"):
        restore(then.table, good._replace(legs=(leg, leg)))
    moves = leg._replace(shifts=((((5, 1), (3, 2)), 0, 0, -1), ((), 0, 0, -1)))
    with pytest.raises(RestoreError, match="moves of CSeq"):
        restore(then.table, good._replace(legs=(moves,)))
    with pytest.raises(RestoreError, match="more than 64 legs"):
        restore(
            then.table,
            good._replace(legs=tuple(leg._replace(to_tag=f"t{n}") for n in range(65))),
        )
    assert len(then.table) == 0


@pytest.mark.parametrize("number", [-1, 2**32])
def test_a_number_that_no_dialog_has_is_replaced(number: int) -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core)
    done = restore(then.table, record(dialog)._replace(h_id=number))
    assert done.moved
    assert then.table.match(done.dialog.entry, done.dialog.did, "c1", "alice", "bob") is not None


def test_what_is_not_due_is_not_put_off_by_the_delay() -> None:
    core = Core()
    dialog = in_state(core, State.CONCURRENT)
    core.now = 50.0
    then = Next(core)
    restore(then.table, record(dialog), delay=500.0)
    then.advance(11.0)
    assert then.due


def test_the_same_dialog_is_not_made_twice() -> None:
    core = Core()
    dialog, _ = core.call()
    then = Next(core)
    restore(then.table, record(dialog))
    with pytest.raises(RestoreError, match="is the same dialog"):
        restore(then.table, record(dialog))
    assert len(then.table) == 1
