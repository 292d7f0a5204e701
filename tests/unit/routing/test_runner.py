"""The runner under well-behaved, raising, looping and blocking scripts."""

from __future__ import annotations

import functools
import logging
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlgmgmt.routing.runner import Outcome, ScriptRunner
from tests.unit.routing.runner_harness import LIMIT, PATIENCE, Bench, errors, keys, script_of


@pytest.fixture
def bench() -> Iterator[Bench]:
    bench = Bench()
    yield bench
    bench.close()


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

    runner.submit("k", lambda: "next", bench.desk.done(""), "")
    assert bench.desk.one() == Outcome("next")
    assert (runner.runs, runner.timeouts, runner.errors) == (2, 1, 0)
    runner.stop()  # the watchdog writes its lines last
    assert errors(caplog) == [f"INVITE c1: {outcome.error}"]


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


def test_a_script_that_blocks_in_a_handler_of_the_log_is_replaced(bench: Bench) -> None:
    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "block":
                gate()

    gate = bench.gate()
    handler = Handler()
    logger = logging.getLogger("dlgmgmt")
    logger.addHandler(handler)
    try:
        runner = bench.runner()
        log = logging.getLogger("dlgmgmt.script")
        runner.submit("k", lambda: log.error("block"), bench.desk.done("blocked"), "")
        gate.reached()
        runner.submit("k", lambda: "next", bench.desk.done("next"), "")
        bench.clock.now += 2 * LIMIT
        (_, first), after = bench.desk.take(2)
        assert first.timed_out
        assert after == ("next", Outcome("next"))
    finally:
        gate.opened.set()
        gate.thread.join(PATIENCE)
        logger.removeHandler(handler)


def test_an_error_that_comes_again_and_again_is_logged_once_a_second(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = script_of(
        tmp_path,
        "def request_route(msg, dlg):\n    int(msg)\n\ndef event_route(msg, dlg):\n    int(msg)\n",
    )
    runner = bench.runner(limit=60.0)
    runner.path = script.path
    for text in "abc":
        work = functools.partial(script.request_route, text, 0)
        runner.submit("k", work, bench.desk.done(""), text)
    runner.submit("k", lambda: script.event_route("x", 0), bench.desk.done(""), "other")
    assert all(outcome.error for _, outcome in bench.desk.take(4))
    bench.clock.now += 1
    runner.submit("k", lambda: script.request_route("d", 0), bench.desk.done(""), "d")
    bench.desk.one()
    said = "ValueError: invalid literal for int() with base 10:"
    assert errors(caplog) == [
        f"a: {script.path}:2: {said} 'a'",
        f"other: {script.path}:5: {said} 'x'",
        f"d: {script.path}:2: {said} 'd' (and 2 more before)",
    ]
    assert runner.errors == 5


def test_a_run_on_the_callers_own_thread(
    bench: Bench, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = script_of(tmp_path, "def request_route(msg, dlg):\n    return 10 // msg\n")
    runner = bench.runner()
    # However the configuration writes it.
    runner.path = f"{tmp_path}/.//script.py"
    assert runner.run_inline(threading.current_thread, "").value is threading.current_thread()
    assert runner.run_inline(lambda: script.request_route(5, None), "") == Outcome(2)
    failed = runner.run_inline(lambda: script.request_route(0, None), "INVITE c1")
    assert str(failed.error).startswith(f"{script.path}:2: ZeroDivisionError")
    assert errors(caplog) == [f"INVITE c1: {failed.error}"]
    assert (runner.runs, runner.errors) == (3, 1)
    assert bench.desk.posted.empty()
