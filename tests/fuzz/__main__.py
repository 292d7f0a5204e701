"""Runs a fuzz target for some minutes; see --help."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from tests.fuzz import run, sequence


def main() -> int:
    """0 unless something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", choices=(*run.TARGETS, "sequence"))
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, help="the same seed tries the same inputs")
    parser.add_argument("--replay", type=Path, metavar="FILE", help="check a saved input")
    parser.add_argument(
        "--findings", type=Path, default=Path("fuzz-findings"), help="where inputs are saved"
    )
    options = parser.parse_args()
    name: str = options.target
    if options.replay is not None:
        return (
            sequence.replay(options.replay)
            if name == "sequence"
            else run.replay(name, options.replay)
        )
    seed: int = random.SystemRandom().getrandbits(32) if options.seed is None else options.seed
    print(f"{name}: seed {seed}, {options.minutes:g} minutes", flush=True)
    fuzz = sequence.fuzz if name == "sequence" else lambda *args: run.fuzz(name, *args)
    outcome = fuzz(options.minutes * 60, seed, options.findings)
    print(f"{name}: {outcome}")
    if outcome.finding is not None:
        print(outcome.trace)
        print(f"{name}: FOUND, saved in {outcome.finding}; see it again with:")
        print(f"  python -m tests.fuzz {name} --replay {outcome.finding}")
        return 1
    print(f"{name}: nothing found")
    return 0


if __name__ == "__main__":
    sys.exit(main())
