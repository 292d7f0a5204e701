"""Changes of dialogs come into a real SQLite file: which, when, and in how many transactions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.dialog.record import LOADED
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.changes import SLICE
from tests.unit.storage.rig import DELAYED, Rig, rig_in


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    yield from rig_in(tmp_path)


# -- real time -----------------------------------------------------------------------------------


def test_an_answered_call_is_stored_as_it_is_within_the_interval(rig: Rig) -> None:
    dialog = rig.call()
    rig.core.table.set_var(dialog, "key", "värde \n")
    rig.core.table.set_flag(dialog, 3)

    assert rig.settle() <= rig.settings.commit_interval

    assert rig.stored() == rig.living()
    assert len(rig.stored()) == 1
    assert rig.writer.status()[:3] == (1, "ok", 0)


def test_nothing_is_written_of_a_call_that_rings_or_is_refused(rig: Rig) -> None:
    dialog = rig.core.invite()
    rig.core.reply(dialog, 180)
    rig.core.tracker.invite_failed(dialog, 486)
    rig.core.table.release(dialog)

    assert rig.settle() == 0
    assert rig.database.tries == 0


def test_a_call_that_lived_and_died_between_two_transactions_is_not_written(rig: Rig) -> None:
    rig.call()
    rig.hang_up()

    rig.settle()

    assert rig.database.tries == 0
    assert rig.writer.status().waiting == 0


def test_an_ended_call_leaves(rig: Rig) -> None:
    kept = rig.call("kept")
    rig.call("c1")
    rig.settle()
    rig.hang_up("c1")
    assert rig.settle() <= rig.settings.commit_interval

    assert list(rig.stored()) == [(kept.entry.index, kept.h_id)]


def test_calls_of_one_interval_share_a_transaction(rig: Rig) -> None:
    for number in range(20):
        rig.call(f"c{number}")
        rig.core.now += 0.0005
        assert rig.step() != 0
    rig.settle()

    assert len(rig.database.batches) == 1
    assert len(rig.stored()) == 20


def test_only_the_rows_that_differ_are_written(rig: Rig) -> None:
    dialog = rig.call()
    rig.core.table.set_var(dialog, "a", "1")
    rig.settle()

    rig.core.table.set_flag(dialog, 1)
    rig.settle()
    flags = rig.database.batches[-1]
    assert (len(flags.dialogs), flags.legs, flags.vars) == (1, [], [])
    assert (flags.vars_replaced, flags.legs_beyond) == ([], [])

    rig.core.table.set_var(dialog, "a", "2")
    rig.settle()
    variables = rig.database.batches[-1]
    assert (variables.dialogs, variables.legs, len(variables.vars)) == ([], [], 1)

    rig.core.now += 5
    rig.core.tracker.request(None, "c1", "bob", "alice", "INFO", 77)
    rig.settle()
    within = rig.database.batches[-1]
    assert (len(within.dialogs), len(within.legs), within.vars) == (1, 1, [])
    assert rig.stored() == rig.living()


def test_a_change_that_changes_nothing_costs_no_transaction(rig: Rig) -> None:
    dialog = rig.call()
    rig.core.table.set_flag(dialog, 1)
    rig.settle()
    commits = rig.writer.status().commits

    rig.core.table.set_flag(dialog, 1)
    rig.settle()

    assert rig.writer.status().commits == commits


def test_a_clock_that_is_read_a_moment_later_changes_no_row(rig: Rig) -> None:
    rig.call(acked=False)
    rig.settle()
    wall = rig.core.table.wall
    rig.writer._wall = lambda: wall() + 0.0004
    dialog = rig.core.table.dialog(*next(iter(rig.stored())))
    assert dialog is not None
    rig.core.table.set_flag(dialog, 1)
    rig.settle()

    assert rig.database.batches[-1].legs == []


def test_legs_that_are_hung_up_leave_and_variables_that_are_unset(rig: Rig) -> None:
    dialog = rig.core.invite()
    for tag, branch in (("bob", 0), ("carol", 1), ("dave", 2)):
        rig.core.answer(dialog, tag, branch=branch)
        rig.request("c1", "ACK", 10, tag)
    rig.core.table.set_var(dialog, "a", "1")
    rig.core.table.set_var(dialog, "b", "2")
    rig.settle()
    assert [len(row.legs) for row in rig.stored().values()] == [3]

    rig.hang_up(to_tag="bob")
    rig.core.table.set_var(dialog, "a", None)
    rig.settle()

    assert rig.stored() == rig.living()
    (record,) = rig.stored().values()
    assert [leg.to_tag for leg in record.legs] == ["carol", "dave"]
    assert record.variables == (("b", "2"),)


def test_a_loaded_dialog_is_written_whole_once_it_changes(rig: Rig) -> None:
    dialog = rig.core.invite()
    for tag in ("bob", "carol"):
        rig.core.answer(dialog, tag)
    rig.core.table.set_var(dialog, "old", "1")
    rig.settle()
    # What nobody remembers has changed since.
    rig.hang_up(to_tag="bob")
    rig.core.table.set_var(dialog, "old", None)
    dialog.stored = LOADED
    rig.settle()

    assert rig.stored() == rig.living()


def test_a_moved_dialog_is_written_and_its_old_rows_leave_in_one_transaction(
    rig: Rig, tmp_path: Path
) -> None:
    other = Rig(tmp_path, owner="other")
    other.call("c1")
    other.core.table.set_var(other.core.table.find_pairs("c1")[0][0], "a", "1")
    other.settle()
    other.close()
    (rows,) = rig.rows("other")

    dialog = rig.call("c1")
    dialog.stored = LOADED
    rig.writer.loaded(dialog, rows)
    new = rig.call("c2")
    rig.settle()

    first = rig.database.batches[0]
    assert sorted(first.row_ids) == ["dialog_in", "dialog_out", "dialog_vars"]
    assert len(first.dialogs) == 1
    assert rig.rows("other") == []
    assert rig.stored() == rig.living()
    assert (new.entry.index, new.h_id) in rig.stored()


def test_a_moved_dialog_that_ends_at_once_leaves_all_its_rows(rig: Rig, tmp_path: Path) -> None:
    other = Rig(tmp_path, owner="other")
    other.call("c1")
    other.settle()
    other.close()
    (rows,) = rig.rows("other")
    dialog = rig.call("c1")
    dialog.stored = LOADED
    rig.writer.loaded(dialog, rows)
    rig.hang_up()
    rig.settle()

    assert rig.rows("other") == rig.rows() == []


def test_a_new_call_takes_the_place_of_an_ended_one(rig: Rig) -> None:
    old = rig.call("c1")
    rig.settle()
    rig.hang_up("c1")
    old.entry.next_id = old.h_id
    new = rig.call("c1")
    assert (new.entry, new.h_id) == (old.entry, old.h_id)
    rig.settle()

    assert rig.stored() == rig.living()
    assert len(rig.stored()) == 1


def test_a_large_backlog_is_written_in_slices(rig: Rig) -> None:
    for number in range(2 * SLICE + 10):
        rig.call(f"c{number}")
    seen: list[int] = []
    rig.database.before = lambda batch: seen.append(len(batch.dialogs))

    assert rig.settle() < 0.1

    assert seen == [SLICE, SLICE, 10]
    assert rig.stored() == rig.living()


def test_the_signalling_thread_wakes_the_writer_once_for_many_changes(rig: Rig) -> None:
    dialog = rig.call()
    for number in range(32):
        rig.core.table.set_flag(dialog, number)
        rig.call(f"other {number}")

    assert rig.alarm.sets == 1


def test_what_changes_while_a_transaction_is_under_way_comes_with_the_next(rig: Rig) -> None:
    dialog = rig.call("c1")
    ended = rig.call("c2")

    def meanwhile(_batch: WriteBatch) -> None:
        rig.database.fail(None)
        rig.core.table.set_flag(dialog, 5)
        rig.hang_up("c2")

    rig.database.before = meanwhile
    rig.settle()

    assert rig.stored() == rig.living()
    assert (ended.entry.index, ended.h_id) not in rig.stored()


def test_collecting_leaves_room_for_the_commit_as_lately_measured(rig: Rig) -> None:
    done = 0.0

    def slow(_batch: WriteBatch) -> None:
        nonlocal done
        rig.core.now += 0.012
        done = rig.core.now

    rig.database.before = slow
    took = 0.0
    for number in range(3):
        rig.call(f"c{number}")
        begun = rig.core.now
        rig.settle()
        took = done - begun
    assert 0.012 <= took <= rig.settings.commit_interval + 1e-9


def test_steady_traffic_is_written_in_time_and_rings_for_nobody(rig: Rig) -> None:
    rig.call("c0")
    pause = 0.0
    while not rig.stored():
        rig.core.now += rig.settings.commit_interval / 10
        pause = rig.step() or 0.0
    rung = rig.alarm.sets
    for number in range(1, 10):
        assert 0 < pause <= rig.settings.commit_interval
        rig.call(f"c{number}")
        rig.core.now += pause
        pause = rig.step() or 0.0
        # One step was all: what came while it rested did not wake it.
        assert len(rig.stored()) == number + 1
    assert rig.alarm.sets == rung
    rig.core.now += pause
    assert rig.step() is None
    rig.call("later")
    assert rig.alarm.sets == rung + 1


# -- held answers --------------------------------------------------------------------------------


def test_who_waits_for_a_dialog_hears_when_it_is_stored(rig: Rig) -> None:
    heard: list[tuple[bool, int]] = []
    dialog = rig.call()
    rig.writer.when_durable(dialog, lambda done: heard.append((done, len(rig.stored()))))
    assert heard == []
    rig.settle()

    assert heard == [(True, 1)]
    # Nothing has changed since: it is durable already.
    rig.writer.when_durable(dialog, lambda done: heard.append((done, 0)))
    assert rig.alarm.is_set() or rig.step() is None
    rig.settle()
    assert heard[1:] == [(True, 0)]
    assert rig.writer.status().unsynced == 0


def test_a_held_answer_goes_before_a_backlog(rig: Rig) -> None:
    for number in range(3 * SLICE):
        rig.call(f"c{number}")
    heard: list[int] = []
    rig.writer.when_durable(rig.call("urgent"), lambda _done: heard.append(rig.database.tries))
    rig.settle()

    assert heard == [1]


def test_in_delayed_mode_a_held_answer_is_written_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=DELAYED)
    heard: list[bool] = []
    other = rig.call("other")
    dialog = rig.call("held")
    rig.writer.when_durable(dialog, heard.append)
    rig.settle()

    assert heard == [True]
    assert list(rig.stored()) == [(dialog.entry.index, dialog.h_id)]
    assert rig.writer._changes.waits(other)
    rig.close()


# -- delayed -------------------------------------------------------------------------------------


def test_in_mode_2_no_change_waits_longer_than_the_period(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=DELAYED, update_period=1.0)
    begun: dict[str, float] = {}
    waited: list[float] = []

    def call() -> None:
        rig.call(f"c{len(begun)}")
        begun[f"c{len(begun)}"] = rig.core.now

    def slow(_batch: WriteBatch) -> None:
        rig.core.now += 0.002
        call()
        rig.core.now += 0.013

    rig.database.before = slow
    due = math.inf
    for _ in range(600):
        rig.core.now += 0.007
        call()
        while rig.alarm.is_set() or rig.core.now >= due:
            pause = rig.step()
            due = math.inf if pause is None else rig.core.now + pause
            stored = len(rig.stored())
            waited += [rig.core.now - begun[callid] for callid in [*begun][len(waited) : stored]]
    assert len(waited) > 400
    # The clock of this test goes on by 7 ms at a time.
    assert max(waited) <= rig.settings.update_period + 0.007
    rig.close()


def test_delayed_changes_come_once_a_period_and_deletions_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=DELAYED, update_period=10.0)
    rig.call("c1")
    dialog = rig.call("c2")
    rig.settle(9)
    assert rig.stored() == {}
    assert rig.writer.status().state == "ok"

    rig.settle(20)
    assert rig.core.now == pytest.approx(10, abs=0.1)
    assert rig.stored() == rig.living()
    assert len(rig.stored()) == 2

    rig.core.table.set_flag(dialog, 1)
    rig.call("c3")
    rig.hang_up("c1")
    rig.hang_up("c3")
    rig.settle(1)
    last = rig.database.batches[-1]
    assert (len(last.deletes), last.dialogs) == (1, [])
    assert [record.sflags for record in rig.stored().values()] == [0]
    rig.settle(10)
    assert rig.stored() == rig.living()
    assert rig.writer.status().waiting == 0
    rig.close()


def test_after_a_long_silence_a_period_begins_with_the_first_change(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=DELAYED, update_period=10.0)
    rig.core.now += 1000
    rig.call()
    rig.settle(9.9)
    assert rig.database.tries == 0
    rig.settle(10)
    assert rig.stored() == rig.living()
    assert rig.core.now == pytest.approx(1010, abs=0.1)
    rig.close()


def test_a_flush_writes_delayed_changes_at_once(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=DELAYED, update_period=1000.0)
    for number in range(SLICE + 1):
        rig.call(f"c{number}")
    rig.settle()
    assert rig.writer.status().waiting == SLICE + 1
    order = rig.writer.order_flush()
    assert not rig.writer.is_flushed(order)
    rig.settle()

    assert rig.writer.is_flushed(order)
    assert rig.stored() == rig.living()
    rig.close()


def test_calls_that_came_and_went_within_a_period_take_no_memory(tmp_path: Path) -> None:
    rig = Rig(tmp_path, mode=DELAYED, update_period=100_000.0)
    for number in range(5500):
        rig.call(f"c{number}")
        rig.settle(0.1)
        rig.hang_up(f"c{number}")
    assert rig.writer.status().waiting < 5000
    assert rig.database.tries == 0
    rig.close()
