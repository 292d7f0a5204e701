"""Crashes and outages under load, many times; see --help."""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
from pathlib import Path

from tests.db.harness.servers import SERVERS, missing

from . import outage
from .faults import FAULTS, faults_of
from .rounds import INTERVAL, Crash, Order

_NAMES = {"postgres": "postgresql"}


def main() -> int:
    """0 unless something was lost, came back, or failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=("kills", "outage"),
        default="kills",
        help="kill -9 of the daemon again and again (the default), or the database away for a time",
    )
    parser.add_argument("--server", choices=("sqlite", "postgres", "mariadb"), default="sqlite")
    parser.add_argument("--mode", type=int, choices=(1, 2, 3), default=1, help="db_mode")
    parser.add_argument("--seed", type=int, help="the same seed makes the same calls and pauses")
    parser.add_argument("--rate", type=float, default=100.0, help="calls a second")
    kills = parser.add_argument_group("kills")
    kills.add_argument("--rounds", type=int, default=10)
    kills.add_argument(
        "--promise",
        type=float,
        default=1e3 * INTERVAL,
        help="ms after which a change has to outlive the daemon (db_commit_interval is 20)",
    )
    away = parser.add_argument_group("outage")
    away.add_argument(
        "--fault", choices=FAULTS, action="append", help="all, one by one, by default"
    )
    away.add_argument("--seconds", type=float, default=20.0, help="how long it lasts")
    options = parser.parse_args()
    if options.seed is None:
        options.seed = random.SystemRandom().getrandbits(32)
    name = _NAMES.get(options.server, options.server)
    if why := missing(name):
        print(why, file=sys.stderr)
        return 2
    print(f"{options.what}: {options.server}, mode {options.mode}, seed {options.seed}", flush=True)
    run = _kills if options.what == "kills" else _outages
    with tempfile.TemporaryDirectory(prefix="dlgmgmt-crash-") as folder:
        wrong = run(name, Path(folder), options)
    print(f"{options.what}: {'nothing was lost' if not wrong else f'{wrong} WRONG'}")
    return 1 if wrong else 0


def _kills(name: str, folder: Path, options: argparse.Namespace) -> int:
    """What was wrong, counted."""
    rounds = []
    # On the disk of this machine: what it costs to write there is part of the promise.
    with SERVERS[name](megabytes=0) as server:
        order = Order(
            server.url,
            options.mode,
            options.rounds,
            options.seed,
            rate=options.rate,
            promise=options.promise / 1e3,
        )
        for found in Crash(folder / "daemon", order).run():
            print(found, flush=True)
            rounds.append(found)
    print(
        f"{options.rounds} rounds: {sum(each.compared for each in rounds)} dialogs compared, "
        f"{sum(each.killed for each in rounds)} killed on the wire; the oldest change that was "
        f"lost was {1e3 * max(each.lost for each in rounds):.0f} ms old, the oldest end "
        f"{1e3 * max(each.ghost for each in rounds):.0f} ms"
    )
    return sum(len(each.errors) for each in rounds)


def _outages(name: str, folder: Path, options: argparse.Namespace) -> int:
    """What was wrong, counted."""
    wrong = 0
    for fault in options.fault or FAULTS:
        # What is on a disk of its own can be filled, but not made read-only.
        with SERVERS[name](megabytes=0 if fault == "read-only" else 160) as server:
            url = server.new_database()
            known = faults_of(server, url)
            if fault not in known:
                if options.fault:
                    print(f"{fault}: not on this server, or not without root's rights")
                    wrong += 1
                continue
            order = outage.Order(
                mode=options.mode,
                seconds=options.seconds,
                rate=options.rate,
                seed=options.seed,
            )
            found = outage.outage(folder / fault, url, known[fault], order)
            print(found, flush=True)
            wrong += len(found.errors)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
