"""The database goes away under load and comes back: no call fails, and nothing is lost."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.db.harness.stage import Stage, differences
from tests.sip.harness.daemon import poll

from .call import Call
from .traffic import Traffic

LATE = 1.0
RETRY = 1.0
GROWTH = 48e6
"""Bytes that resident memory may grow by, all in all: the calls that come meanwhile included."""


@dataclass(frozen=True)
class Fault:
    """What befalls the database. notices: whether the daemon has to call it an outage."""

    name: str
    begin: Callable[[], None]
    end: Callable[[], None]
    notices: bool = True


@dataclass
class Outcome:
    """red, green: seconds until /health showed that it was away, and that it was back.

    waiting: most dialogs that waited to be written; known: most that could have to be.
    """

    name: str
    calls: int = 0
    red: float = 0.0
    green: float = 0.0
    waiting: int = 0
    known: int = 0
    growth: float = 0.0
    compared: int = 0
    killed: int = 0
    errors: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        text = (
            f"{self.name}: {self.calls} calls; red after {self.red:.1f} s, green {self.green:.1f} s"
            f" after its end; {self.waiting} of {self.known} waited at most; memory "
            f"{self.growth / 1e6:+.1f} MB; {self.compared} compared, {self.killed} killed"
        )
        return "\n".join([text, *(f"  WRONG {error}" for error in self.errors[:10])])


@dataclass(frozen=True)
class Order:
    """seconds: how long the database is away. rate: calls a second. sample: killed at the end."""

    mode: int = 1
    seconds: float = 20.0
    rate: float = 100.0
    seed: int = 1
    sample: int = 30
    settings: dict[str, Any] = field(default_factory=dict)


def outage(folder: Path, url: str, fault: Fault, order: Order) -> Outcome:
    """One outage; what was wrong stands in ``errors``."""
    outcome = Outcome(f"{fault.name}, mode {order.mode}")
    stage = Stage(
        folder,
        url,
        order.mode,
        ims={"db_update_period": 1},
        database={"late_after": LATE, "retry_max": RETRY, **order.settings},
    )
    stage.start()
    try:
        with Traffic(stage.address, seed=order.seed, rate=order.rate) as traffic:
            _away(outcome, stage, traffic, fault, order)
            _back(outcome, stage, traffic, order)
            outcome.errors += traffic.failures
            outcome.calls = traffic.placed
        stage.check_log()
    finally:
        fault.end()
        stage.end()
    return outcome


def _away(outcome: Outcome, stage: Stage, traffic: Traffic, fault: Fault, order: Order) -> None:
    traffic.flow(on=True)
    time.sleep(2.0)
    if stage.health()[0] != 200:
        outcome.errors.append(f"/health is {stage.health()} before anything has happened")
    resident = stage.resident()
    stored = len(stage.listing())
    began = time.monotonic()
    fault.begin()
    while time.monotonic() - began < order.seconds:
        code, _ = stage.health()
        if code == 503 and not outcome.red:
            outcome.red = time.monotonic() - began
        status = stage.status()
        outcome.waiting = max(outcome.waiting, status["waiting"])
        outcome.known = max(outcome.known, stored + len(stage.listing()))
        time.sleep(0.2)
    if fault.notices and not outcome.red:
        outcome.errors.append(f"/health has never been red: {stage.status()}")
    # Calls that came and went meanwhile are sorted out once a second.
    if outcome.waiting > outcome.known + 2 * order.rate:
        outcome.errors.append(f"{outcome.waiting} wait, of {outcome.known} that can")
    ended = time.monotonic()
    fault.end()
    poll(lambda: stage.health()[0] == 200, 30.0, lambda: f"still red: {stage.status()}")
    outcome.green = time.monotonic() - ended
    outcome.growth = stage.resident() - resident
    if outcome.growth > GROWTH:
        outcome.errors.append(f"memory has grown by {outcome.growth / 1e6:.0f} MB")


def _back(outcome: Outcome, stage: Stage, traffic: Traffic, order: Order) -> None:
    """The database has to know what the daemon lists: it is killed, and asked again."""
    time.sleep(1.0)
    traffic.flow(on=False)
    traffic.settle()
    traffic.freeze(quiet=0.2)
    poll(lambda: stage.status()["waiting"] == 0, 15.0, lambda: f"{stage.status()}")
    before = stage.listing()
    stage.kill_9()
    stage.start()
    stage.wait_loaded()
    after = stage.listing()
    outcome.errors += [f"{callid} is lost" for callid in before.keys() - after.keys()]
    outcome.errors += [f"{callid} is back" for callid in after.keys() - before.keys()]
    for callid in before.keys() & after.keys():
        outcome.errors += differences(before[callid], after[callid])
    with traffic.lock:
        calls = [call for call in traffic.calls.values() if call.phase == "up" and not call.busy]
        for call in calls:
            item = after.get(call.callid)
            outcome.errors += call.differs(item) if item else [f"{call.callid} is not listed"]
        outcome.compared = len(calls)
        some = random.Random(order.seed).sample(calls, min(order.sample, len(calls)))
        for call in some:
            call.killed = True
    traffic.thaw(restarted=True)
    outcome.errors += _kill(stage, some)
    outcome.killed = len(some)


def _kill(stage: Stage, calls: list[Call]) -> list[str]:
    errors = [f"{c.callid} cannot be killed" for c in calls if not stage.end_call(c.callid)]
    end = time.monotonic() + 10.0
    while any(call.wrong_byes() for call in calls) and time.monotonic() < end:
        time.sleep(0.05)
    return errors + [wrong for call in calls if (wrong := call.wrong_byes())]
