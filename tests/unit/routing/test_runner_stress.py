"""Many runs from several threads, and runs that end just as they are given up."""

from __future__ import annotations

import functools
import queue
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlgmgmt.routing.runner import Outcome, ScriptRunner
from dlgmgmt.routing.script import load

PATIENCE = 60.0
THREADS = 4
RUNS = 500


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def test_two_thousand_runs_of_several_threads_are_counted_exactly() -> None:
    posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    runner = ScriptRunner(4, 60.0, THREADS * RUNS, posted.put)
    began: dict[str, list[int]] = {f"{t}-{k}": [] for t in range(THREADS) for k in range(5)}
    outcomes: dict[tuple[str, int], list[Outcome[int]]] = {}

    def work(key: str, number: int) -> int:
        began[key].append(number)
        if number % 10 == 0:
            raise LookupError(number)
        return number

    def done(key: str, number: int, outcome: Outcome[int]) -> None:
        outcomes.setdefault((key, number), []).append(outcome)

    def submitter(thread: int) -> None:
        for number in range(RUNS):
            key = f"{thread}-{number % 5}"
            run = functools.partial(work, key, number)
            assert runner.submit(key, run, functools.partial(done, key, number), key)

    threads = [threading.Thread(target=submitter, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for _ in range(THREADS * RUNS):
        posted.get(timeout=PATIENCE)()
    for thread in threads:
        thread.join()
    runner.stop()
    assert posted.empty()
    assert len(outcomes) == THREADS * RUNS
    for (_, number), [outcome] in outcomes.items():
        assert (outcome.value is None) == (number % 10 == 0) == (outcome.error is not None)
    assert all(numbers == sorted(numbers) and len(numbers) == 100 for numbers in began.values())
    counts = (runner.runs, runner.errors, runner.timeouts, runner.refused, runner.waiting)
    assert counts == (THREADS * RUNS, THREADS * RUNS // 10, 0, 0, 0)


def test_runs_that_end_just_as_they_are_given_up_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "script.py"
    path.write_text(
        "import time\n"
        "def request_route(msg, dlg):\n"
        "    until = time.monotonic() + msg\n"
        "    while time.monotonic() < until:\n"
        "        pass\n"
        "    return msg\n"
    )
    script = load(path)
    limit = 0.01
    posted: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
    runner = ScriptRunner(2, limit, 1000, posted.put)
    runner.path = script.path
    delivered: Counter[int] = Counter()
    timeouts = errors = 0
    total = 150
    for number in range(total):
        # From well below the limit to well above, and some that never end.
        length = 60.0 if number % 25 == 0 else limit * (0.2 + number % 20 / 10)

        def done(outcome: Outcome[float], number: int = number) -> None:
            nonlocal timeouts, errors
            delivered[number] += 1
            timeouts += outcome.timed_out
            errors += outcome.error is not None and not outcome.timed_out

        work = functools.partial(script.request_route, length, None)
        assert runner.submit(str(number), work, done, "")
        if number % 2:
            posted.get(timeout=PATIENCE)()
            posted.get(timeout=PATIENCE)()
    assert posted.empty()
    assert delivered == Counter(range(total))
    assert (runner.timeouts, runner.errors) == (timeouts, errors)
    assert timeouts >= total // 25
    # No thread of a broken loop is left, and every worker is there still.
    deadline = time.monotonic() + PATIENCE
    while runner.abandoned and time.monotonic() < deadline:
        threading.Event().wait(limit)
    assert runner.abandoned == 0
    runner.time_limit = PATIENCE
    meeting = threading.Barrier(2, timeout=PATIENCE)
    met: list[Outcome[int]] = []
    for key in ("0", "4"):  # one for each worker
        runner.submit(key, meeting.wait, met.append, "")
    for _ in range(2):
        posted.get(timeout=PATIENCE)()
    assert sorted(outcome.value or 0 for outcome in met) == [0, 1]
    runner.stop()
