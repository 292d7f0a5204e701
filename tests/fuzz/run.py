"""The loop over inputs of bytes: make one, check it, keep what reaches new lines, save findings."""

from __future__ import annotations

import functools
import hashlib
import random
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Protocol

from tests.fuzz import binrpc, jsonrpc, mi, packed, parser, stream
from tests.fuzz.cover import Coverage
from tests.fuzz.mutate import Mutator, seeds

SLOW = 0.25
"""Seconds of processor time that an input may take; the longest takes a tenth of it."""

WATCHED = 16
"""One input of so many is watched for new lines, for that makes it slow."""

_MAX_CORPUS = 3000
_REPORT = 60.0


TARGETS = ("parser", "framing", "mi", "binrpc", "jsonrpc", "msgpack")
"""Those that take bytes."""


class Maker(Protocol):
    """Makes inputs."""

    def make(self) -> bytes:
        """Another input."""


_MAKERS: dict[str, Callable[[random.Random, list[bytes]], Maker]] = {
    "framing": stream.Streams,
    "mi": mi.Requests,
    "binrpc": binrpc.Requests,
    "jsonrpc": jsonrpc.Requests,
    "msgpack": packed.Packed,
}
_SEEDS: dict[str, Callable[[], list[bytes]]] = {
    "mi": mi.seeds,
    "binrpc": binrpc.seeds,
    "jsonrpc": jsonrpc.seeds,
    "msgpack": packed.seeds,
}


@dataclass(slots=True)
class Outcome:
    """What a run did. finding: the file in which the input that failed was saved."""

    executions: int = 0
    operations: int = 0
    seconds: float = 0.0
    corpus: int = 0
    reached: int = 0
    possible: int = 0
    finding: Path | None = None
    trace: str = field(default="", repr=False)

    def __str__(self) -> str:
        rate = self.executions / max(self.seconds, 1e-9)
        text = f"{self.executions} executions in {self.seconds:.0f} s ({rate:.0f}/s)"
        if self.operations:
            return f"{text}, {self.operations} operations"
        return f"{text}, {self.reached} of {self.possible} lines reached, {self.corpus} inputs kept"


def target(name: str) -> ModuleType:
    """The module of a target that takes bytes."""
    return {
        "parser": parser,
        "framing": stream,
        "mi": mi,
        "binrpc": binrpc,
        "jsonrpc": jsonrpc,
        "msgpack": packed,
    }[name]


def check(name: str, data: bytes) -> None:
    """Check one input; raises whatever is wrong with it."""
    work: Callable[[bytes], None] = target(name).check
    began = time.process_time()
    work(data)
    took = time.process_time() - began
    if took > SLOW:
        # Again, for the machine may have been at something else.
        began = time.process_time()
        work(data)
        took = min(took, time.process_time() - began)
        assert took <= SLOW, f"{took:.2f} s for {len(data)} bytes"


def fuzz(name: str, seconds: float, seed: int, folder: Path, *, quiet: bool = False) -> Outcome:
    """Run a target until the time is over or something is found."""
    rng = random.Random(seed)
    corpus = list(_SEEDS.get(name, seeds)())
    coverage = Coverage(*target(name).MODULES)
    for data in corpus:
        coverage.watch(functools.partial(check, name, data))
    maker: Maker = _MAKERS.get(name, Mutator)(rng, corpus)
    outcome = Outcome(possible=coverage.possible)
    began = told = time.monotonic()
    data = b""
    try:
        while (now := time.monotonic()) - began < seconds:
            data = b""
            data = maker.make()
            watched = functools.partial(target(name).check, data)
            outcome.executions += 1
            if outcome.executions % WATCHED:
                check(name, data)
            elif coverage.watch(watched) and len(corpus) < _MAX_CORPUS:
                corpus.append(data)
            if not quiet and now - told > _REPORT:
                told = now
                _fill(outcome, coverage, corpus, began)
                print(f"{name}: {outcome}", flush=True)
    except Exception:  # noqa: BLE001 - that is what is looked for
        outcome.trace = traceback.format_exc()
        outcome.finding = save(folder, name, data)
    _fill(outcome, coverage, corpus, began)
    return outcome


def _fill(outcome: Outcome, coverage: Coverage, corpus: list[bytes], began: float) -> None:
    outcome.seconds = time.monotonic() - began
    outcome.corpus = len(corpus)
    outcome.reached = coverage.reached


def save(folder: Path, name: str, data: bytes) -> Path:
    """Write an input to a file of its own."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}-{hashlib.sha256(data).hexdigest()[:12]}"
    path.write_bytes(data)
    return path


def replay(name: str, path: Path) -> int:
    """Check one saved input; 0 if nothing is wrong with it any more."""
    try:
        check(name, path.read_bytes())
    except Exception:  # noqa: BLE001 - shown
        traceback.print_exc(file=sys.stdout)
        return 1
    print("nothing is wrong with it")
    return 0
