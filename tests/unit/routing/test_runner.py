"""The runner under well-behaved, raising, looping and blocking scripts.

The clock is the test's: a run overstays when the test says so, never because the machine is slow.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.routing.runner import Outcome, ScriptRunner
from dlgmgmt.routing.script import Script, load

LIMIT = 0.02
PATIENCE = 20.0


class Clock:
    """Stands still until it is moved. The watchdog reads it once per tick."""

    def __init__(self) -> None:
        self.now = 100.0
        self._reads = 0
        self._read = threading.Condition()

    def __call__(self) -> float:
        with self._read:
            self._reads += 1
            self._read.notify_all()
        return self.now

    def ticks(self, count: int) -> None:
        """Return when the clock has been read that many times more."""
        with self._read:
            until = self._reads + count
            assert self._read.wait_for(lambda: self._reads >= until, PATIENCE)


class Desk:
    """The signalling thread: the test's own, when it looks."""

    def __init__(self) -> None:
        self.posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self.outcomes: list[tuple[str, Outcome[Any]]] = []

    def done(self, name: str) -> Callable[[Outcome[Any]], None]:
        return lambda outcome: self.outcomes.append((name, outcome))

    def take(self, count: int = 1) -> list[tuple[str, Outcome[Any]]]:
        """Those that are delivered next, in their order."""
        before = len(self.outcomes)
        for _ in range(count):
            self.posted.get(timeout=PATIENCE)()
        return self.outcomes[before:]

    def one(self) -> Outcome[Any]:
        return self.take()[0][1]


class Gate:
    """A run that blocks until it is opened."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.opened = threading.Event()
        self.thread = threading.current_thread()

    def __call__(self) -> str:
        self.thread = threading.current_thread()
        self.entered.set()
        self.opened.wait(PATIENCE)
        return "late"

    def reached(self) -> None:
        assert self.entered.wait(PATIENCE)

    def left(self) -> None:
        """Open it and see its thread off."""
        self.opened.set()
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()


class Bench:
    """Runners of one test, with a clock and a desk."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.desk = Desk()
        self.runners: list[ScriptRunner] = []
        self.gates: list[Gate] = []

    def runner(self, workers: int = 1, limit: float = LIMIT, max_queue: int = 1000) -> ScriptRunner:
        runner = ScriptRunner(workers, limit, max_queue, self.desk.posted.put, self.clock)
        self.runners.append(runner)
        return runner

    def gate(self) -> Gate:
        self.gates.append(Gate())
        return self.gates[-1]

    def close(self) -> None:
        for gate in self.gates:
            gate.opened.set()
        for runner in self.runners:
            runner.stop()


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


def script_of(tmp_path: Path, text: str) -> Script:
    path = tmp_path / "script.py"
    path.write_text(text)
    return load(path)


def keys(workers: int) -> list[str]:
    """One key for each worker."""
    found: dict[int, str] = {}
    for number in itertools.count():
        found.setdefault(zlib.crc32(str(number).encode()) % workers, str(number))
        if len(found) == workers:
            return [found[slot] for slot in range(workers)]
    raise AssertionError


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.ERROR]


# -- runs that end -------------------------------------------------------------------------------


def test_runs_with_one_key_keep_their_order(bench: Bench) -> None:
    runner = bench.runner(workers=4)
    began: dict[str, list[int]] = {name: [] for name in "abcdefgh"}
    for number in range(50):
        for name, seen in began.items():
            work = lambda seen=seen, number=number: seen.append(number)  # noqa: E731
            assert runner.submit(name, work, bench.desk.done(f"{name}{number}"), "")
    delivered = [name for name, _ in bench.desk.take(400)]
    for name, seen in began.items():
        assert seen == list(range(50))
        assert [d for d in delivered if d[0] == name] == [f"{name}{n}" for n in range(50)]


def test_workers_run_at_the_same_time(bench: Bench) -> None:
    runner = bench.runner(workers=2)
    meeting = threading.Barrier(2, timeout=PATIENCE)
    for key in keys(2):
        runner.submit(key, meeting.wait, bench.desk.done(key), "")
    assert {outcome.value for _, outcome in bench.desk.take(2)} == {0, 1}


def test_a_call_id_of_any_characters_is_a_key(bench: Bench) -> None:
    runner = bench.runner(workers=3)
    assert runner.submit("\udcff\ud800\0", lambda: 7, bench.desk.done(""), "")
    assert bench.desk.one() == Outcome(7)


def test_a_raising_script_is_logged_with_its_innermost_line(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = script_of(
        tmp_path,
        "def request_route(msg, dlg):\n"
        "    inner(msg)\n"
        "\n"
        "def inner(msg):\n"
        "    msg('of\\nthe proxy')\n",
    )

    def fail(text: str) -> None:
        raise ValueError(text)

    runner = bench.runner()
    runner.path = script.path
    runner.submit("k", lambda: script.request_route(fail, None), bench.desk.done(""), "INVITE c1")
    runner.submit("k", lambda: "next", bench.desk.done(""), "INVITE c2")
    (_, failed), (_, after) = bench.desk.take(2)
    said = f"{script.path}:5: ValueError: of the proxy"
    assert failed == Outcome(error=said)
    assert after == Outcome("next")
    assert errors(caplog) == [f"INVITE c1: {said}"]
    assert (runner.runs, runner.errors) == (2, 1)


def test_a_script_that_exits_ends_its_run_alone(bench: Bench) -> None:
    def leave() -> None:
        raise SystemExit(1)

    runner = bench.runner()
    runner.submit("k", leave, bench.desk.done(""), "")
    runner.submit("k", threading.current_thread, bench.desk.done(""), "")
    assert "SystemExit: 1" in str(bench.desk.one().error)
    assert bench.desk.one().error is None


def test_a_desk_that_is_closed_does_not_end_the_worker(caplog: pytest.LogCaptureFixture) -> None:
    ran: queue.SimpleQueue[int] = queue.SimpleQueue()

    def closed(call: Callable[[], None]) -> None:
        raise RuntimeError("Event loop is closed")

    runner = ScriptRunner(1, 5.0, 10, closed)
    for number in range(3):
        runner.submit("k", lambda number=number: ran.put(number), lambda _: None, "")  # type: ignore[misc]
    assert [ran.get(timeout=PATIENCE) for _ in range(3)] == [0, 1, 2]
    runner.stop()
    assert "nowhere to go" in errors(caplog)[0]


# -- runs that do not ----------------------------------------------------------------------------

LOOPS = {
    "plain": "    while True:\n        pass\n",
    "catching": (
        "    while True:\n"
        "        try:\n"
        "            int('x')\n"
        "        except Exception:\n"
        "            pass\n"
    ),
    "calling": "    while True:\n        [n for n in map(str, range(9))]\n",
}


@pytest.mark.parametrize("loop", LOOPS)
def test_an_endless_loop_is_broken_and_its_thread_ends(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture, loop: str
) -> None:
    script = script_of(tmp_path, "def request_route(msg, dlg):\n    msg()\n" + LOOPS[loop])
    threads: queue.SimpleQueue[threading.Thread] = queue.SimpleQueue()
    runner = bench.runner()
    runner.path = script.path

    def work() -> None:
        script.request_route(lambda: threads.put(threading.current_thread()), None)

    runner.submit("k", work, bench.desk.done("loop"), "INVITE c1")
    thread = threads.get(timeout=PATIENCE)
    bench.clock.now += 1
    outcome = bench.desk.one()
    assert outcome.timed_out
    assert outcome.value is None
    file, _, rest = str(outcome.error).partition(":")
    assert file == script.path
    assert int(rest.partition(":")[0]) in range(2, 8)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert runner.abandoned == 0
    assert errors(caplog) == [f"INVITE c1: {outcome.error}"]

    runner.submit("k", lambda: "next", bench.desk.done(""), "")
    assert bench.desk.one() == Outcome("next")
    assert (runner.runs, runner.timeouts, runner.errors) == (2, 1, 0)


def test_what_the_script_has_called_is_not_broken_halfway(bench: Bench, tmp_path: Path) -> None:
    script = script_of(
        tmp_path, "def request_route(msg, dlg):\n    msg()\n    while True:\n        pass\n"
    )
    entered, opened, finished = threading.Event(), threading.Event(), threading.Event()
    threads: list[threading.Thread] = []

    def of_the_daemon() -> None:
        threads.append(threading.current_thread())
        entered.set()
        while not opened.is_set():
            pass
        finished.set()

    runner = bench.runner()
    runner.path = script.path
    runner.submit("k", lambda: script.request_route(of_the_daemon, None), bench.desk.done(""), "")
    assert entered.wait(PATIENCE)
    bench.clock.now += 1
    assert str(bench.desk.one().error).startswith(f"{script.path}:2: ")
    bench.clock.ticks(5)
    opened.set()
    threads[0].join(PATIENCE)
    assert not threads[0].is_alive()
    assert finished.is_set()


def test_a_blocked_run_is_given_up_and_its_queue_goes_on(bench: Bench) -> None:
    runner = bench.runner()
    gate = bench.gate()
    runner.submit("k", gate, bench.desk.done("blocked"), "")
    gate.reached()
    runner.submit("k", threading.current_thread, bench.desk.done("behind"), "")
    bench.clock.now += 2 * LIMIT
    (first, given_up), (second, behind) = bench.desk.take(2)
    assert (first, second) == ("blocked", "behind")
    assert given_up.timed_out
    assert behind.value is not None
    assert behind.value is not gate.thread
    assert (runner.abandoned, runner.timeouts, runner.runs) == (1, 1, 2)


def test_a_late_result_is_thrown_away(bench: Bench) -> None:
    runner = bench.runner()
    gate = bench.gate()
    runner.submit("k", gate, bench.desk.done("blocked"), "")
    gate.reached()
    bench.clock.now += 1
    assert bench.desk.one().timed_out
    bench.clock.ticks(2)
    gate.left()
    assert runner.abandoned == 0
    runner.submit("k", lambda: "next", bench.desk.done("next"), "")
    assert bench.desk.take() == [("next", Outcome("next"))]
    assert bench.desk.posted.empty()


def test_the_limit_may_change_while_something_runs(bench: Bench) -> None:
    runner = bench.runner(limit=0.08)
    gate = bench.gate()
    runner.submit("k", gate, bench.desk.done(""), "")
    gate.reached()
    bench.clock.now += 0.05
    bench.clock.ticks(3)
    assert bench.desk.posted.empty()
    runner.time_limit = 0.04
    assert bench.desk.one().timed_out


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
