"""Worker threads that run a script under a time limit.

A run that overstays is given up: its worker is replaced at once, what it still returns is thrown
away, and a loop of the script is broken by an exception. A run that blocks outside Python cannot
be ended at all, so only so many of these are let live.
"""

from __future__ import annotations

import functools
import logging
import math
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from dlgmgmt.routing.breaking import ScriptTimeout, break_loop, stack_of
from dlgmgmt.routing.script import describe, place, stack_place

_LOG = logging.getLogger(__name__)

T = TypeVar("T")

_ABANDONED_PER_WORKER = 4
_LONGEST_WAIT = 10  # in time limits
_SHORTEST_TICK = 0.005
_LONGEST_TICK = 1.0  # a shorter limit is soon obeyed
_STOP_WAIT = 1.0
_COMPLAINTS = 256  # things that errors are counted for
_TOO_LONG = "waited too long for a script worker"


@dataclass(slots=True, frozen=True)
class Outcome(Generic[T]):
    """What came of a run: its value, or the error with "file:line"; stopped: the runner was."""

    value: T | None = None
    error: str | None = None
    timed_out: bool = False
    stopped: bool = False


@dataclass(slots=True, eq=False)
class _Job:
    """One run. settled: its outcome has been chosen, whatever else comes of it is thrown away."""

    work: Callable[[], Any]
    done: Callable[[Outcome[Any]], None]
    what: str
    path: str
    queued: float
    started: float = 0.0
    settled: bool = False


class _Worker:
    """One thread; given_up: it leaves when its run ends, another one has its place."""

    __slots__ = ("given_up", "job", "slot", "thread")

    def __init__(self, slot: _Slot) -> None:
        self.slot = slot
        self.job: _Job | None = None
        self.given_up = False
        self.thread: threading.Thread | None = None


class _Slot:
    """A queue and the worker that serves it."""

    __slots__ = ("number", "queue", "ready", "worker")

    def __init__(self, number: int, lock: threading.Lock) -> None:
        self.number = number
        self.queue: deque[_Job] = deque()
        self.ready = threading.Condition(lock)
        self.worker = _Worker(self)


class ScriptRunner:
    """Runs callables on worker threads; runs with one key keep their order.

    time_limit: seconds for a run; can be changed at any time. max_queue: runs that may wait. post:
    hands a callable to the signalling thread, on which ``done`` is called. clock: seconds.

    For statistics: runs that have begun; errors: that raised, waited too long, met too many blocked
    ones or had not ended at stop(); timeouts; refused by submit(), or waiting at stop().
    """

    def __init__(
        self,
        workers: int,
        time_limit: float,
        max_queue: int,
        post: Callable[[Callable[[], None]], object],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.time_limit = time_limit
        self._path = ""
        self.runs = 0
        self.errors = 0
        self.timeouts = 0
        self.refused = 0
        self.waiting = 0
        self._max_queue = max_queue
        self._post = post
        self._clock = clock
        # Guards everything below and the counters. Nothing is called, logged or posted under it.
        self._lock = threading.Lock()
        self._slots = [_Slot(number, self._lock) for number in range(workers)]
        self._abandoned: list[_Worker] = []
        self._ceiling = _ABANDONED_PER_WORKER * workers
        self._complained: dict[str, tuple[float, int]] = {}
        self._stopped = False
        self._asleep = False
        self._wake = threading.Condition(self._lock)
        self._watchdog = threading.Thread(target=self._watch, name="script-watchdog", daemon=True)
        for slot in self._slots:
            self._start(slot.worker)
        self._watchdog.start()

    @property
    def path(self) -> str:
        """The script's file, for the lines in logs and errors; only its loops are broken."""
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        # As load() writes it into the code.
        self._path = str(Path(path)) if path else ""

    @property
    def abandoned(self) -> int:
        """Threads that have been given up and still live."""
        return len(self._abandoned)

    def submit(
        self, key: str, work: Callable[[], T], done: Callable[[Outcome[T]], None], what: str
    ) -> bool:
        """Run ``work`` after what has been submitted with its key; ``done`` is called once.

        False, and ``done`` never called, when too many wait or after stop(). what: for the log.
        """
        job = _Job(work, done, what, self.path, self._clock())
        slot = self._slots[zlib.crc32(key.encode("utf-8", "surrogatepass")) % len(self._slots)]
        with self._lock:
            if self._stopped or self.waiting >= self._max_queue:
                self.refused += 1
                return False
            crowded = len(self._abandoned) >= self._ceiling
            if crowded:
                self.errors += 1
                job.settled = True
            else:
                slot.queue.append(job)
                self.waiting += 1
                slot.ready.notify()
                if self._asleep:
                    self._asleep = False
                    self._wake.notify()
        if crowded:
            self._fail(job, "too many blocked script runs")
        return True

    def run_inline(self, work: Callable[[], T], what: str) -> Outcome[T]:
        """Run ``work`` here and now, without a limit: for a script of the daemon's own."""
        with self._lock:
            self.runs += 1
        outcome, spot = _attempt(work, self._path)
        if outcome.error is not None:
            with self._lock:
                self.errors += 1
            self._complain(spot, f"{what}: {outcome.error}")
        return outcome

    def stop(self) -> None:
        """End the threads, waiting a second at most; what waits or still runs has failed."""
        with self._lock:
            if self._stopped:
                return
            self._stopped = True
            late = [job for slot in self._slots for job in slot.queue]
            for slot in self._slots:
                slot.queue.clear()
                slot.ready.notify_all()
            for job in late:
                job.settled = True
            self.refused += len(late)
            self.waiting = 0
            self._wake.notify_all()
        deadline = time.monotonic() + _STOP_WAIT
        for thread in (self._watchdog, *(slot.worker.thread for slot in self._slots)):
            if thread is not None and thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))
        with self._lock:
            for slot in self._slots:
                running = slot.worker.job
                if running is not None and not running.settled:
                    running.settled = True
                    self.errors += 1
                    late.append(running)
            self._break_loops()
        for job in late:
            text = f"{job.path}: stopped before the run's end"
            self._deliver(job, Outcome(error=text, stopped=True))

    # -- workers ---------------------------------------------------------------------------------

    def _start(self, worker: _Worker) -> None:
        name = f"script-{worker.slot.number}"
        worker.thread = threading.Thread(target=self._work, args=(worker,), name=name, daemon=True)
        worker.thread.start()

    def _work(self, worker: _Worker) -> None:
        while True:
            try:
                job = self._take(worker)
                if job is None:
                    return
                if job.settled:
                    self._fail(job, _TOO_LONG)
                else:
                    self._run(worker, job)
                del job  # and with it the message, which may be the last for long
            except ScriptTimeout:
                # It came as the run ended. The run has been settled; this thread goes on, or
                # leaves in _take.
                continue

    def _take(self, worker: _Worker) -> _Job | None:
        """Wait for the next run, a settled one if it waited too long; None: this thread ends."""
        slot = worker.slot
        with self._lock:
            worker.job = None
            while not slot.queue and not self._stopped and not worker.given_up:
                slot.ready.wait()
            if worker.given_up:
                if worker in self._abandoned:
                    self._abandoned.remove(worker)
                return None
            if self._stopped:
                return None
            job = slot.queue.popleft()
            self.waiting -= 1
            job.started = self._clock()
            if job.started - job.queued <= _LONGEST_WAIT * self.time_limit:
                self.runs += 1
                worker.job = job
            else:
                self.errors += 1
                job.settled = True
        return job

    def _run(self, worker: _Worker, job: _Job) -> None:
        outcome, spot = _attempt(job.work, job.path)
        with self._lock:
            worker.job = None
            if job.settled:
                return
            job.settled = True
            if outcome.error is not None:
                self.errors += 1
        if outcome.error is not None:
            self._complain(spot, f"{job.what}: {outcome.error}")
        self._deliver(job, outcome)

    def _deliver(self, job: _Job, outcome: Outcome[Any]) -> None:
        try:
            self._post(functools.partial(job.done, outcome))
        except Exception:  # noqa: BLE001 - a closed loop or anything else: the worker lives on
            level = logging.DEBUG if self._stopped else logging.ERROR
            _LOG.log(level, "%s: the outcome has nowhere to go", job.what, exc_info=True)

    def _fail(self, job: _Job, text: str) -> None:
        """Deliver an error that overload causes."""
        self._complain(text, f"{job.what}: {text}")
        self._deliver(job, Outcome(error=f"{job.path}: {text}"))

    def _complain(self, about: str, text: str) -> None:
        """Log an error; those about one thing once a second, with how many were left out."""
        now = self._clock()
        with self._lock:
            last, more = self._complained.get(about, (-math.inf, 0))
            say = now - last >= 1.0
            if len(self._complained) >= _COMPLAINTS:
                self._complained.clear()
            self._complained[about] = (now, 0) if say else (last, more + 1)
        if say:
            _LOG.error("%s%s", text, f" (and {more} more before)" if more else "")

    # -- the watchdog ----------------------------------------------------------------------------

    def _watch(self) -> None:
        while self._tick():
            lines = self._settle()
            self._replace()
            for line in lines:
                _LOG.error("%s", line)

    def _tick(self) -> bool:
        """Sleep while there is nothing to watch, then for one tick. False: the runner stops."""
        with self._lock:
            while not self._stopped and not self._busy():
                self._asleep = True
                self._wake.wait()
            if not self._stopped:
                self._wake.wait(min(max(self.time_limit / 4, _SHORTEST_TICK), _LONGEST_TICK))
            return not self._stopped

    def _busy(self) -> bool:
        return bool(
            self.waiting
            or self._abandoned
            or any(slot.worker.job is not None for slot in self._slots)
        )

    def _settle(self) -> list[str]:
        """Deliver the timeouts, and fail what waits behind a worker that cannot be replaced.

        What is to be logged comes back: a script that blocks in a handler of the log would hold
        up its own replacement.
        """
        over: list[tuple[_Job, str]] = []
        stale: list[_Job] = []
        with self._lock:
            now = self._clock()
            for slot in self._slots:
                job = slot.worker.job
                if job is None or now - job.started <= self.time_limit:
                    continue
                if not job.settled:
                    job.settled = True
                    self.timeouts += 1
                    over.append((job, stack_place(stack_of(slot.worker.thread), job.path)))
                    continue
                longest = _LONGEST_WAIT * self.time_limit
                while slot.queue and now - slot.queue[0].queued > longest:
                    late = slot.queue.popleft()
                    late.settled = True
                    stale.append(late)
            self.waiting -= len(stale)
            self.errors += len(stale)
        texts = [f"{line}: given up after {self.time_limit:g} s" for _, line in over]
        for (job, _), text in zip(over, texts, strict=True):
            self._deliver(job, Outcome(error=text, timed_out=True))
        for job in stale:
            self._fail(job, _TOO_LONG)
        return [f"{job.what}: {text}" for (job, _), text in zip(over, texts, strict=True)]

    def _replace(self) -> None:
        """Give the queues of overrun workers to new threads.

        After the timeouts are delivered: what the queue's next run says comes later.
        """
        failed: RuntimeError | None = None
        with self._lock:
            self._abandoned = [w for w in self._abandoned if w.thread and w.thread.is_alive()]
            for slot in self._slots:
                worker = slot.worker
                if worker.job is None or not worker.job.settled or self._stopped:
                    continue
                if len(self._abandoned) >= self._ceiling:
                    break
                fresh = _Worker(slot)
                try:
                    self._start(fresh)
                except RuntimeError as error:
                    failed = error  # the system has no more threads; the next tick tries again
                    break
                slot.worker = fresh
                worker.given_up = True
                self._abandoned.append(worker)
            self._break_loops()
        if failed is not None:
            _LOG.error("a blocked script worker cannot be replaced: %s", failed)

    def _break_loops(self) -> None:
        """Raise ScriptTimeout in overrun runs.

        With the lock held: a run that has a job cannot end, so nothing that comes after it is hit.
        """
        for worker in (*self._abandoned, *(slot.worker for slot in self._slots)):
            job = worker.job
            if job is not None and job.settled:
                break_loop(worker.thread, job.path)


def _attempt(work: Callable[[], T], path: str) -> tuple[Outcome[T], str]:
    """What comes of ``work``, and where in the script it raised."""
    try:
        return Outcome(work()), ""
    except BaseException as exc:  # noqa: BLE001 - SystemExit of a script ends nothing but its run
        spot = place(exc, path)
        return Outcome(error=f"{spot}: {describe(exc)}"), spot
