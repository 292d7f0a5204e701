"""Whole transactions and dialogs in any order: a state machine of hypothesis around a Driver."""

from __future__ import annotations

import json
import logging
import sys
import time
import traceback
from pathlib import Path
from typing import Any

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.fuzz import driver
from tests.fuzz.run import Outcome, save

EXAMPLES = 50
"""Sequences of one batch, each of up to STEPS operations."""
STEPS = 60

_REPORT = 60.0
_SMALL = st.integers(0, 15)
_LARGE = st.integers(0, 2**16)


class Calls(RuleBasedStateMachine):
    """Does what hypothesis wants, and remembers it. last: of the sequence that ran last."""

    last: list[list[Any]] = []  # noqa: RUF012 - one run at a time
    sequences = 0
    operations = 0

    def __init__(self) -> None:
        super().__init__()
        self.driver = driver.Driver()
        Calls.last = []
        Calls.sequences += 1

    def _do(self, name: str, *args: int) -> None:
        Calls.last.append([name, *args])
        Calls.operations += 1
        self.driver.do(name, *args)

    @rule(user=_SMALL, how=_SMALL)
    def call(self, user: int, how: int) -> None:
        self._do("call", user, how)

    @rule(who=_SMALL, user=_SMALL, extra=_SMALL, kind=_SMALL)
    def invite(self, who: int, user: int, extra: int, kind: int) -> None:
        self._do("invite", who, user, extra, kind)

    @rule(which=_SMALL, times=_SMALL)
    def resend(self, which: int, times: int) -> None:
        self._do("resend", which, times)

    @rule(which=_SMALL, status=st.integers(0, 16), tag=_SMALL, extra=_SMALL)
    def reply(self, which: int, status: int, tag: int, extra: int) -> None:
        self._do("reply", which, status, tag, extra)

    @rule(which=_SMALL, status=st.integers(0, 16), tag=_SMALL)
    def plain_reply(self, which: int, status: int, tag: int) -> None:
        self._do("reply", which, status, tag, 0)

    @rule(which=_SMALL, status=st.integers(0, 16), how=_SMALL)
    def wrong_reply(self, which: int, status: int, how: int) -> None:
        self._do("wrong_reply", which, status, how)

    @rule(which=_SMALL, extra=_SMALL)
    def cancel(self, which: int, extra: int) -> None:
        self._do("cancel", which, extra)

    @rule(which=_SMALL)
    def ack(self, which: int) -> None:
        self._do("ack", which)

    @rule(which=_SMALL, method=_SMALL, number=_SMALL, extra=_SMALL)
    def within(self, which: int, method: int, number: int, extra: int) -> None:
        self._do("within", which, method, number, extra)

    @rule(which=_SMALL, method=_SMALL, status=st.integers(0, 16), extra=_SMALL)
    def talk(self, which: int, method: int, status: int, extra: int) -> None:
        self._do("talk", which, method, status, extra)

    @rule(which=_SMALL, method=_SMALL, extra=st.integers(0, 4))
    def agree(self, which: int, method: int, extra: int) -> None:
        self._do("talk", which, method, 4, extra)

    @rule(which=_SMALL, how=_SMALL)
    def kill(self, which: int, how: int) -> None:
        self._do("kill", which, how)

    @rule(wait=_SMALL)
    def orders(self, wait: int) -> None:
        self._do("orders", wait)

    @rule(how_long=_SMALL)
    def wait(self, how_long: int) -> None:
        self._do("wait", how_long)

    @rule(which=_SMALL, seed=_LARGE)
    def garbage(self, which: int, seed: int) -> None:
        self._do("garbage", which, seed)

    @rule(which=_SMALL, seed=_LARGE)
    def stream(self, which: int, seed: int) -> None:
        self._do("stream", which, seed)

    @rule(which=_SMALL, how=_SMALL)
    def network(self, which: int, how: int) -> None:
        self._do("break", which, how)

    @rule(which=_SMALL, found=_SMALL)
    def resolve(self, which: int, found: int) -> None:
        self._do("resolve", which, found)

    def teardown(self) -> None:
        if sys.exception() is None:
            self.driver.settle()


def batch(seed: int, examples: int = EXAMPLES, steps: int = STEPS) -> None:
    """Run some sequences; the same ones for the same seed."""
    machine = type("Calls", (Calls,), {})
    hypothesis.seed(seed)(machine)
    run_state_machine_as_test(
        machine,
        settings=hypothesis.settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            database=None,
            print_blob=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        ),
    )


def fuzz(
    seconds: float,
    seed: int,
    folder: Path,
    *,
    quiet: bool = False,
    examples: int = EXAMPLES,
    steps: int = STEPS,
) -> Outcome:
    """Run batches until the time is over or something is found."""
    logging.getLogger("dlgmgmt").setLevel(logging.CRITICAL + 1)
    outcome = Outcome()
    Calls.sequences = Calls.operations = 0
    began = told = time.monotonic()
    try:
        while (now := time.monotonic()) - began < seconds:
            batch(seed, examples, steps)
            seed += 1
            if not quiet and now - told > _REPORT:
                told = now
                print(f"sequence: {_fill(outcome, began)}", flush=True)
    except Exception:  # noqa: BLE001 - that is what is looked for
        outcome.trace = traceback.format_exc()
        text = json.dumps(Calls.last)
        outcome.finding = save(folder, "sequence", text.encode())
        outcome.trace += f"\nin the batch of seed {seed}: {text}"
    _fill(outcome, began)
    return outcome


def _fill(outcome: Outcome, began: float) -> Outcome:
    outcome.seconds = time.monotonic() - began
    outcome.executions = Calls.sequences
    outcome.operations = Calls.operations
    return outcome


def replay(path: Path) -> int:
    """Do a saved sequence; 0 if nothing is wrong with it any more."""
    try:
        driver.replay(json.loads(path.read_text()))
    except Exception:  # noqa: BLE001 - shown
        traceback.print_exc(file=sys.stdout)
        return 1
    print("nothing is wrong with it")
    return 0
