"""A runner's surroundings: a clock of the test's, a signalling thread, runs that block.

A run overstays when the test says so, never because the machine is slow.
"""

from __future__ import annotations

import itertools
import logging
import queue
import threading
import zlib
from collections.abc import Callable
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
        self.opened.wait()  # the bench opens it at the latest
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
