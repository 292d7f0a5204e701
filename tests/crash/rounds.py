"""The daemon is ended at a random moment under load, started again, and has to know every call."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.db.harness.stage import Stage, differences

from .call import Call
from .traffic import Traffic

SAMPLE = 15
"""Calls that are killed after each round; the rest are killed at the very end."""

INTERVAL = 0.02
PERIOD = 1
"""db_commit_interval and db_update_period of the daemons here."""


@dataclass(frozen=True)
class Order:
    """promise: seconds after which a change has to outlive the daemon, in mode 1."""

    url: str
    mode: int
    rounds: int
    seed: int
    rate: float = 100.0
    promise: float = INTERVAL
    settings: dict[str, Any] = field(default_factory=dict)

    def kept(self) -> float:
        """How old a new call, or a change of it, has to be."""
        return {1: self.promise, 2: PERIOD + self.promise, 3: math.inf}[self.mode]

    def ended(self) -> float:
        """How old an end has to be. Mode 2 writes ends at once, and 3 has no rows meanwhile."""
        return 0.0 if self.mode == 3 else self.promise


@dataclass
class Round:
    """What was found after one start. lost: how old the oldest change was that is not there."""

    number: int
    signal: str
    listed: int = 0
    restored: int = 0
    compared: int = 0
    young: int = 0
    lost: float = 0.0
    ghosts: int = 0
    ghost: float = 0.0
    killed: int = 0
    start: float = 0.0
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = (
            f"round {self.number:3} {self.signal}: {self.listed} listed, {self.restored} restored "
            f"in {self.start:.1f} s, {self.compared} compared; of the last moment {self.young} "
            f"lost (up to {1e3 * self.lost:.0f} ms old), {self.ghosts} ended but there (up to "
            f"{1e3 * self.ghost:.0f} ms); {self.killed} killed"
        )
        more = [f"and {len(self.errors) - 10} more"] if len(self.errors) > 10 else []
        return "\n".join([text, *(f"  WRONG {error}" for error in [*self.errors[:10], *more])])


@dataclass
class Moment:
    """One end of the daemon. asked: when the listing before it began; listed: what it said.

    kept, ended: changes and ends up to then must not be undone. at: when the daemon was ended.
    """

    asked: float
    listed: dict[str, dict[str, Any]]
    at: float
    kept: float
    ended: float


class Crash:
    """One daemon with its traffic, and a number of rounds. folder: for the daemon's files."""

    def __init__(self, folder: Path, order: Order) -> None:
        self.order = order
        self.rng = random.Random(order.seed)
        self.daemon = Stage(
            folder,
            order.url,
            order.mode,
            ims={"db_update_period": PERIOD},
            database={"db_commit_interval": INTERVAL, **order.settings},
        )

    def run(self) -> Iterator[Round]:
        """Each round as it ends, and one more, number 0, for the last phase."""
        self.daemon.start()
        try:
            with Traffic(
                self.daemon.address, seed=self.order.seed, rate=self.order.rate
            ) as traffic:
                for number in range(1, self.order.rounds + 1):
                    yield self._round(number, traffic)
                yield self._last(traffic)
        finally:
            self.daemon.end()

    def _round(self, number: int, traffic: Traffic) -> Round:
        gently = self.order.mode == 3 and number % 2 == 1
        outcome = Round(number, "SIGTERM" if gently else "kill -9")
        traffic.flow(on=True)
        time.sleep(self.rng.uniform(0.7, 3.0))
        moment = self._end(traffic, gently=gently)
        outcome.listed = len(moment.listed)
        began = time.monotonic()
        self.daemon.start()
        self.daemon.wait_loaded()
        outcome.start = time.monotonic() - began
        after = self.daemon.listing()
        outcome.restored = len(after)
        with traffic.lock:
            for callid, call in traffic.calls.items():
                _look_at(outcome, moment, call, after.get(callid))
            strangers = after.keys() - traffic.calls.keys()
            outcome.errors += [f"{callid} is nobody's call" for callid in strangers]
        traffic.thaw(restarted=True)
        self._kill_some(outcome, traffic, after)
        self._told(outcome, traffic)
        return outcome

    def _end(self, traffic: Traffic, *, gently: bool) -> Moment:
        order = self.order
        if gently:
            # What comes after the signal may still change a call: nothing comes.
            traffic.flow(on=False)
            traffic.freeze(quiet=0.5, drain=True)
        asked = time.monotonic()
        listed = self.daemon.listing()
        if gently:
            at = time.monotonic()
            self.daemon.stop()
            return Moment(asked, listed, at, at, at)
        time.sleep(self.rng.uniform(0.0, 0.12))
        at = time.monotonic()
        self.daemon.kill_9()
        traffic.flow(on=False)
        traffic.freeze()
        return Moment(asked, listed, at, at - order.kept(), at - order.ended())

    def _kill_some(
        self, outcome: Round, traffic: Traffic, there: dict[str, dict[str, Any]]
    ) -> None:
        with traffic.lock:
            quiet = [c for c in map(traffic.calls.__getitem__, there) if _can_be_killed(c)]
            # What the daemon knows of these is not what their phones know: they just go.
            odd = [c for c in map(traffic.calls.get, there) if c and _odd(c)]
            some = self.rng.sample(quiet, min(SAMPLE, len(quiet)))
            for call in some:
                call.killed = True
        outcome.errors += self._kill(some)
        outcome.killed += len(some)
        for call in odd:
            self.daemon.end_call(call.callid)

    def _kill(self, calls: list[Call]) -> list[str]:
        """Kill these, and wait for their BYEs; returns what was wrong.

        They are marked already, so that their phones begin nothing more: a request that crosses
        the BYE would have its number.
        """
        killed = [call for call in calls if self.daemon.end_call(call.callid)]
        errors = [f"{call.callid} cannot be killed" for call in calls if call not in killed]
        end = time.monotonic() + 10.0
        while any(call.wrong_byes() for call in killed) and time.monotonic() < end:
            time.sleep(0.05)
        return errors + [wrong for call in killed if (wrong := call.wrong_byes())]

    def _last(self, traffic: Traffic) -> Round:
        """All calls that the daemon knows are killed; nothing is left, not even in the database."""
        outcome = Round(0, "the end")
        traffic.flow(on=False)
        traffic.settle()
        outcome.listed = outcome.restored = len(self.daemon.listing())
        end = time.monotonic() + 120.0
        while there := self.daemon.listing():
            assert time.monotonic() < end, f"left: {there}"
            with traffic.lock:
                calls = [traffic.calls[callid] for callid in there if callid in traffic.calls]
                known = [call for call in calls if _can_be_killed(call)][:200]
                odd = [call for call in calls if _odd(call)]
                for call in known:
                    call.killed = True
            outcome.errors += self._kill(known)
            outcome.killed += len(known)
            for call in odd:
                self.daemon.end_call(call.callid)
            time.sleep(0.1)
        # Calls that the daemon has lost may still go on, and a daemon that stops answers 503.
        traffic.freeze(quiet=0.3, drain=True)
        self.daemon.stop()
        if rows := self.daemon.rows():
            outcome.errors.append(f"rows are left in the database: {rows}")
        outcome.errors += traffic.failures
        return outcome

    def _told(self, outcome: Round, traffic: Traffic) -> None:
        outcome.errors += traffic.failures
        traffic.failures.clear()
        self.daemon.check_log()
        traffic.forget(self.daemon.listing())


def _can_be_killed(call: Call) -> bool:
    return call.phase == "up" and call.known and not call.busy and not call.killed


def _odd(call: Call) -> bool:
    return call.phase in ("ended", "lost") or not call.known


def _look_at(outcome: Round, moment: Moment, call: Call, item: dict[str, Any] | None) -> None:
    """Compare what is there of a call after the start with what has to be."""
    if call.phase == "ended" or call.killed:
        if item is not None and call.ended_at:
            outcome.ghosts += 1
            outcome.ghost = max(outcome.ghost, moment.at - call.ended_at)
            if call.ended_at <= moment.ended:
                outcome.errors.append(f"{call.callid} has ended, and is back: {item}")
        return
    if call.phase != "up" or not call.known:
        return
    if call.busy or call.settled > moment.kept:
        wrong = call.differs(item) if item is not None else [f"{call.callid} is lost"]
        outcome.young += item is None
        if wrong and not call.busy and call.settled < moment.at:
            outcome.lost = max(outcome.lost, moment.at - call.settled)
        call.known = not wrong and not call.busy
        return
    if item is None:
        late = 1e3 * (moment.at - call.settled)
        outcome.errors.append(f"{call.callid} is lost, {late:.1f} ms after its last change")
        call.known = False
        return
    outcome.compared += 1
    outcome.errors += call.differs(item)
    if call.callid in moment.listed and max(call.began, call.settled) < moment.asked:
        outcome.errors += differences(moment.listed[call.callid], item)
