"""What the runner bounds: blocked threads, waiting runs, and its own end."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.routing.runner import Outcome, ScriptRunner
from tests.unit.routing.runner_harness import LIMIT, PATIENCE, Bench, Gate, errors, keys, script_of


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


# -- limits --------------------------------------------------------------------------------------


def block(bench: Bench, runner: ScriptRunner, count: int) -> list[Gate]:
    """Abandon that many threads."""
    gates = []
    for number in range(count):
        gate = bench.gate()
        assert runner.submit("k", gate, bench.desk.done(f"blocked {number}"), "")
        gate.reached()
        bench.clock.now += 2 * LIMIT
        assert bench.desk.one().timed_out
        gates.append(gate)
    return gates


def test_only_so_many_abandoned_threads_may_live(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    runner = bench.runner()
    gates = block(bench, runner, 4)
    bench.clock.ticks(2)
    assert runner.abandoned == 4
    caplog.clear()
    for _ in range(3):
        assert runner.submit("k", lambda: "never", bench.desk.done("refused"), "INVITE c9")
    for _, outcome in bench.desk.take(3):
        assert outcome.value is None
        assert "too many blocked script runs" in str(outcome.error)
    assert errors(caplog) == ["INVITE c9: too many blocked script runs"]
    bench.clock.now += 1
    runner.submit("k", lambda: "never", bench.desk.done("refused"), "INVITE c10")
    bench.desk.one()
    assert len(errors(caplog)) == 2
    assert (runner.runs, runner.errors) == (4, 4)

    gates[0].left()
    runner.submit("k", lambda: "again", bench.desk.done(""), "")
    assert bench.desk.one() == Outcome("again")


def test_behind_a_worker_that_cannot_be_replaced_nothing_waits_for_ever(bench: Bench) -> None:
    runner = bench.runner()
    gates = [bench.gate() for _ in range(5)]
    for gate in gates:
        runner.submit("k", gate, bench.desk.done("blocked"), "")
    runner.submit("k", lambda: "never", bench.desk.done("behind"), "")
    for gate in gates:
        gate.reached()
        bench.clock.now += 1.5 * LIMIT
        assert bench.desk.one().timed_out
    bench.clock.ticks(2)
    assert (runner.abandoned, runner.waiting) == (4, 1)
    bench.clock.now += 10 * LIMIT
    [(name, outcome)] = bench.desk.take()
    assert name == "behind"
    assert "waited too long" in str(outcome.error)
    assert (runner.waiting, runner.errors, runner.timeouts, runner.runs) == (0, 1, 5, 5)

    # Room again: the fifth thread is replaced, or free once more.
    for gate in gates:
        gate.opened.set()
    for gate in gates[:4]:
        gate.left()
    runner.submit("k", lambda: "again", bench.desk.done(""), "")
    assert bench.desk.one() == Outcome("again")


def test_a_run_that_waited_too_long_fails(bench: Bench) -> None:
    runner = bench.runner()
    gate = bench.gate()
    runner.submit("k", gate, bench.desk.done("blocked"), "")
    gate.reached()
    ran: list[int] = []
    runner.submit("k", lambda: ran.append(1), bench.desk.done("behind"), "")
    bench.clock.now += 11 * LIMIT
    (_, first), (_, behind) = bench.desk.take(2)
    assert first.timed_out
    assert not behind.timed_out
    assert "waited too long" in str(behind.error)
    assert ran == []
    assert (runner.runs, runner.errors) == (1, 1)


def test_no_more_than_max_queue_wait(bench: Bench) -> None:
    runner = bench.runner(max_queue=2)
    gate = bench.gate()
    runner.submit("k", gate, bench.desk.done("running"), "")
    gate.reached()
    taken = [runner.submit("k", lambda: 1, bench.desk.done(str(n)), "") for n in range(3)]
    assert taken == [True, True, False]
    assert (runner.waiting, runner.refused) == (2, 1)
    gate.opened.set()
    assert [name for name, _ in bench.desk.take(3)] == ["running", "0", "1"]
    assert bench.desk.posted.empty()
    assert (runner.waiting, runner.runs) == (0, 3)


# -- the end -------------------------------------------------------------------------------------


def threads_of_runners() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("script-")}


def test_stop_ends_all_idle_threads(bench: Bench) -> None:
    before = threads_of_runners()
    runner = bench.runner(workers=3)
    ours = threads_of_runners() - before
    assert len(ours) == 4
    assert all(thread.daemon for thread in ours)
    runner.stop()
    assert not any(thread.is_alive() for thread in ours)
    assert not runner.submit("k", lambda: 1, bench.desk.done(""), "")
    assert runner.refused == 1
    runner.stop()
    assert bench.desk.posted.empty()


def test_stop_with_everything_blocked_delivers_all_once(bench: Bench) -> None:
    runner = bench.runner(workers=2, limit=60.0)
    gates = [bench.gate(), bench.gate()]
    for key, gate in zip(keys(2), gates, strict=True):
        runner.submit(key, gate, bench.desk.done(f"running {key}"), "")
        gate.reached()
        runner.submit(key, lambda: "never", bench.desk.done(f"waiting {key}"), "")
    runner.stop()
    outcomes = dict(bench.desk.take(4))
    assert len(outcomes) == 4
    assert all("stopped" in str(outcome.error) for outcome in outcomes.values())
    assert all(outcome.stopped for outcome in outcomes.values())
    assert (runner.waiting, runner.refused, runner.errors) == (0, 2, 2)
    for gate in gates:
        gate.left()
    assert bench.desk.posted.empty()


def test_stop_breaks_a_loop(bench: Bench, tmp_path: Path) -> None:
    script = script_of(
        tmp_path, "def request_route(msg, dlg):\n    msg()\n    while True:\n        pass\n"
    )
    threads: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    runner = bench.runner(limit=60.0)
    runner.path = script.path

    def work() -> None:
        script.request_route(lambda: threads.put(threading.current_thread()), None)

    runner.submit("k", work, bench.desk.done(""), "")
    thread = threads.get(timeout=PATIENCE)
    runner.stop()
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert "stopped" in str(bench.desk.one().error)
