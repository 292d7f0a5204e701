"""The database is away, slow, refuses, or hangs: calls go on, and nothing is lost."""

from __future__ import annotations

import gc
import itertools
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.errors import RowsRefused, StorageError
from tests.unit.storage.rig import Rig, rig_in

GONE = StorageError("connection refused")
GONE.undone = True


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    yield from rig_in(tmp_path)


def logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_one_failure_is_tried_again_at_once_and_alarms_nobody(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.call()

    def once(_batch: WriteBatch) -> None:
        rig.database.fail(None)
        raise GONE

    rig.database.before = once
    assert rig.settle() <= rig.settings.commit_interval

    assert rig.stored() == rig.living()
    status = rig.writer.status()
    assert (status.state, status.errors, status.reconnects) == ("ok", 1, 0)
    assert logged(caplog) == []


def test_an_outage_is_told_once_and_its_end_too(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    dialog = rig.call()
    rig.database.fail(GONE)
    for second in range(60):
        rig.settle(1.0)
        rig.core.now = second + 1.0
        rig.core.table.set_flag(dialog, second % 32)
    rig.settle(0.5)
    status = rig.writer.status()
    assert (status.state, status.waiting, status.last_error) == ("down", 1, "connection refused")
    assert status.oldest == pytest.approx(60, abs=1)
    assert logged(caplog) == ["database: connection refused; calls go on, and their changes wait"]

    rig.database.fail(None)
    rig.settle(10.0)

    assert rig.stored() == rig.living()
    assert len(rig.database.batches) == 1
    assert len(logged(caplog)) == 2
    assert logged(caplog)[1].startswith("database: it is back after 6")
    assert logged(caplog)[1].endswith(" s; the changes of 1 dialogs have waited")
    status = rig.writer.status()
    assert (status.state, status.waiting, status.reconnects) == ("ok", 0, 1)


def test_pauses_grow_to_the_longest_and_no_change_shortens_them(tmp_path: Path) -> None:
    rig = Rig(tmp_path, retry_max=4.0)
    dialog = rig.call()
    rig.database.fail(GONE)
    rig.settle(0.0)
    tries: list[float] = []
    steps = 0
    seen = rig.database.tries
    while rig.core.now < 60:
        rig.core.table.set_flag(dialog, steps % 32)
        delay = rig.step()
        steps += 1
        if rig.database.tries != seen:
            seen = rig.database.tries
            tries.append(rig.core.now)
        assert delay is not None
        rig.core.now += delay
    pauses = [after - before for before, after in itertools.pairwise(tries)]
    assert pauses[-1] == pytest.approx(4.0, abs=0.01)
    assert pauses == sorted(pauses)
    assert len(tries) < 25
    assert steps < 100
    assert rig.alarm.sets < 5
    rig.close()


def test_calls_that_come_and_go_in_an_outage_take_no_memory(rig: Rig) -> None:
    rig.database.fail(GONE)
    rig.call("first")
    rig.settle(0.2)
    for number in range(300):
        rig.call(f"c{number}")
        rig.hang_up(f"c{number}")
    rig.settle(2.0)
    rig.core.events.clear()
    gc.collect()

    assert rig.writer.status().waiting == 1
    kept = [each for each in gc.get_objects() if type(each) is Dialog]
    assert [d.callid for d in kept if d.entry.journal is rig.journal] == ["first"]


def test_calls_that_waited_to_be_written_and_ended_in_an_outage_are_forgotten(rig: Rig) -> None:
    rig.database.fail(GONE)
    rig.call("first")
    rig.settle(0.2)
    for number in range(300):
        rig.call(f"c{number}")
    rig.settle(2.0)
    assert rig.writer.status().waiting == 301
    for number in range(300):
        rig.hang_up(f"c{number}")
    rig.core.now += 1.0
    rig.settle(2.0)
    assert rig.writer.status().waiting == 1
    rig.database.fail(None)
    rig.settle(20.0)
    assert rig.stored() == rig.living()
    assert [batch.deletes for batch in rig.database.batches] == [[]]


def test_calls_that_end_while_a_try_hangs_that_fails_are_forgotten(rig: Rig) -> None:
    stays = rig.call("stays")
    rig.settle()
    rig.hang_up("stays")
    for number in range(100):
        rig.call(f"c{number}")

    def hang(_batch: WriteBatch) -> None:
        for number in range(100):
            if rig.database.tries == 1 + tries:
                rig.hang_up(f"c{number}")
        rig.core.now += 3.0
        rig.writer.watch(rig.core.now)
        waiting.append(rig.writer.status().waiting)
        raise GONE

    waiting: list[int] = []
    tries = rig.database.tries
    rig.database.before = hang
    rig.settle(0.5)
    rig.core.now += 5.0
    rig.settle(5.0)
    # Each of them counts once.
    assert waiting[0] == 101
    assert rig.writer.status().waiting == 1
    rig.database.fail(None)
    rig.settle(20.0)
    assert rig.stored() == {}
    assert [batch.deletes for batch in rig.database.batches] == [
        [],
        [("dlgmgmt", stays.entry.index, stays.h_id)],
    ]


def test_an_outage_ends_when_the_server_is_back_though_no_call_is_up(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    rig.database.fail(GONE)
    rig.call()
    rig.settle(1)
    rig.hang_up()
    tries = rig.database.tries
    for _ in range(30):
        rig.settle(1)
        rig.core.now += 1
    # Nothing waits any more: the call has come and gone.
    assert rig.writer.status()[1:3] == ("down", 0)
    assert len(logged(caplog)) == 1
    assert tries + 5 <= rig.database.tries <= tries + 20

    rig.database.fail(None)
    rig.settle(10)
    assert rig.writer.status()[1:3] == ("ok", 0)
    assert len(logged(caplog)) == 2
    assert rig.stored() == {}
    assert rig.step() is None


def test_what_ended_in_an_outage_leaves_when_it_is_over(rig: Rig) -> None:
    for number in range(10):
        rig.call(f"c{number}")
    rig.settle()
    rig.database.fail(GONE)
    for number in range(9):
        rig.hang_up(f"c{number}")
        rig.call(f"new {number}")
    rig.settle(30)
    assert len(rig.stored()) == 10
    rig.database.fail(None)
    rig.settle(10)

    assert rig.stored() == rig.living()
    assert len(rig.stored()) == 10


def test_a_commit_whose_outcome_is_unknown_is_made_up_for(rig: Rig) -> None:
    """The server did it, and its answer was lost: what is written next has to be whole."""
    dialog = rig.core.invite()
    rig.core.answer(dialog, "bob")
    rig.core.answer(dialog, "carol")
    gone = rig.call("c2")
    write = rig.database.write

    def lost(batch: WriteBatch) -> None:
        write(batch)
        rig.core.table.set_var(dialog, "a", "1")
        raise StorageError("connection lost")

    rig.database.write = lost  # type: ignore[method-assign]
    rig.step()
    rig.core.now += 1
    rig.step()
    assert len(rig.stored()) == 2
    rig.hang_up("c1", "bob")
    rig.hang_up("c2")
    rig.database.write = write  # type: ignore[method-assign]
    rig.settle(10)

    assert rig.stored() == rig.living()
    assert (gone.entry.index, gone.h_id) not in rig.stored()


def test_changes_that_wait_too_long_are_late(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, late_after=5.5)
    states: list[str] = []

    def hang(_batch: WriteBatch) -> None:
        for _ in range(8):
            rig.core.now += 1
            rig.writer.watch(rig.core.now)
            states.append(rig.writer.status().state)

    rig.database.before = hang
    rig.call()
    rig.settle()

    assert states == ["ok"] * 5 + ["late"] * 3
    assert rig.writer.status().state == "ok"
    rig.writer.watch(rig.core.now)
    rig.writer.watch(rig.core.now)
    assert logged(caplog) == [
        "database: the changes of 1 dialogs wait to be written, the first for 6.0 s",
        "database: changes are written in time again",
    ]
    rig.close()


def test_a_server_that_hangs_holds_up_no_answer_and_no_memory(rig: Rig) -> None:
    heard: list[tuple[bool, float]] = []
    waiting: list[int] = []

    def hang(_batch: WriteBatch) -> None:
        for second in range(10):
            for number in range(100):
                rig.call(f"{second} {number}")
                rig.hang_up(f"{second} {number}")
            rig.core.now += 1
            rig.writer.watch(rig.core.now)
            waiting.append(rig.writer.status().waiting)

    dialog = rig.call()
    rig.writer.when_durable(dialog, lambda done: heard.append((done, rig.core.now)))
    rig.database.before = hang
    rig.settle(20)

    ((durable, at),) = heard
    assert not durable
    assert at == pytest.approx(1, abs=0.1)
    assert max(waiting) <= 101
    assert rig.writer.status().unsynced == 1
    assert rig.stored() == rig.living()


def test_in_an_outage_no_answer_is_held(rig: Rig) -> None:
    heard: list[bool] = []
    rig.database.fail(GONE)
    rig.writer.when_durable(rig.call("c1"), heard.append)
    rig.settle(0.1)
    assert heard == [False]

    rig.writer.when_durable(rig.call("c2"), heard.append)
    # Not on the signalling thread, which asks.
    assert heard == [False]
    assert rig.writer._watch_alarm.is_set()
    rig.writer.watch(rig.core.now)
    assert heard == [False, False]
    assert rig.writer.status().unsynced == 2


def test_one_who_waits_and_fails_keeps_nobody_from_hearing(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[bool] = []

    def fail(_durable: bool) -> None:  # noqa: FBT001 - as it is called
        raise ZeroDivisionError

    dialog = rig.call()
    rig.writer.when_durable(dialog, fail)
    rig.writer.when_durable(dialog, heard.append)
    rig.settle()

    assert heard == [True]
    assert "callid='c1'" in caplog.text


def test_a_dialog_that_is_refused_keeps_no_other_out(
    rig: Rig, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(50):
        rig.call(f"c{number}")
    rig.hang_up("c0")
    bad = rig.core.table.find_pairs("c33")[0][0]
    table = rig.core.table
    table.set_var(bad, "bad", "poison")
    heard: list[bool] = []
    rig.writer.when_durable(bad, heard.append)

    def refuse(batch: WriteBatch) -> None:
        if any("poison" in row for row in batch.vars):
            raise RowsRefused("no such character:\n\x1b[2J")

    rig.database.before = refuse
    rig.settle()

    place = bad.entry.index, bad.h_id
    assert rig.stored() == {k: v for k, v in rig.living().items() if k != place}
    status = rig.writer.status()
    assert (status.state, status.refused, status.waiting) == ("ok", 1, 0)
    assert logged(caplog) == [r"database: callid='c33': no such character:\n\x1b[2J: is not stored"]
    assert heard == [False]

    table.set_var(bad, "bad", "cured")
    rig.settle()
    assert rig.stored() == rig.living()


def test_a_fault_of_the_program_loses_nothing(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.call()
    rig.database.fail(ZeroDivisionError("a fault"))
    rig.settle(3)
    assert rig.writer.status().last_error == "ZeroDivisionError: a fault"
    assert caplog.text.count("Traceback") == 1
    rig.database.fail(None)
    rig.settle(10)

    assert rig.stored() == rig.living()


def test_an_order_to_flush_tries_at_once_but_only_once(rig: Rig) -> None:
    rig.call()
    rig.database.fail(GONE)
    rig.settle(10)
    tries = rig.database.tries
    order = rig.writer.order_flush()
    rig.settle(0.0)
    rig.step()
    assert rig.database.tries == tries + 1
    assert not rig.writer.is_flushed(order)
    rig.database.fail(None)
    rig.settle(10)
    assert rig.writer.is_flushed(order)
