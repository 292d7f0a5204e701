"""Dashboards that list everything each second, while calls come and go and some are killed."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.process import Sipp
from tests.bench.report import Report
from tests.sip.harness.crowd import Crowd
from tests.sip.harness.daemon import ROOT, Daemon, Route, poll
from tests.sip.harness.ports import free_port

KINDS = ("http", "mi-fifo", "json-fifo", "unixs")
STAY = 20
UP = 10
"""Calls from among which one is killed."""
GROWTH = 3.0
"""Per cent that resident memory may grow by from the first minute to the last."""

_CALLEE = Path(__file__).with_name("scenarios") / "churn_uas.xml"
_CALL = 6.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """seconds: measured, after ``warm`` seconds in which caches fill. rate: calls a second.

    clients: of each of the four transports. t1: of the daemon.
    """

    seconds: int = 600
    warm: int = 60
    rate: int = 100
    clients: int = 5
    t1: float = 0.5


@dataclass
class Outcome:
    """told: of each transport's clients. resident: bytes, each second of the measured time."""

    told: list[dict[str, Any]] = field(default_factory=list)
    resident: list[int] = field(default_factory=list)
    cpu: float = 0.0
    calls: int = 0
    sipp: int = 0
    killed: int = 0
    errors: list[str] = field(default_factory=list)

    def growth(self) -> float:
        """Per cent, from the first minute to the last."""
        first, last = self.resident[:60], self.resident[-60:]
        return 100 * (statistics.mean(last) / statistics.mean(first) - 1)


def churn(folder: Path, load: Load) -> Outcome:
    """Everything at once; what was wrong stands in ``errors``."""
    outcome = Outcome()
    uas_port, uac_port = free_port(), free_port()
    daemon = _daemon(folder, uas_port, load)
    whole = load.warm + load.seconds
    outcome.calls = load.rate * whole
    try:
        with Crowd((free_port(), free_port()), daemon.address) as crowd:
            stay = [f"stay-{number}@crowd" for number in range(STAY)]
            crowd.place(stay)
            uas = Sipp(folder, "-sf", str(_CALLEE), "-p", str(uas_port), "-trace_err")
            uac = Sipp(
                folder, "-sn", "uac", daemon.hostport, "-s", "service", "-p", str(uac_port),
                "-r", str(load.rate), "-m", str(outcome.calls), "-l", str(load.rate * 20),
                "-d", str(int(_CALL * 1000)), "-trace_err",
            )  # fmt: skip
            pollers = [_pollers(kind, daemon, folder, load, stay) for kind in KINDS]
            killer = Killer(daemon, crowd, whole)
            killer.start()
            try:
                time.sleep(load.warm)
                began = _cpu(daemon)
                for _ in range(load.seconds):
                    outcome.resident.append(_resident(daemon))
                    time.sleep(1.0)
                outcome.cpu = (_cpu(daemon) - began) / load.seconds
                outcome.told = [json.loads(each.communicate(timeout=90)[0]) for each in pollers]
                outcome.sipp = uac.wait(90)
            finally:
                killer.join()
                for each in pollers:
                    each.kill()
                    each.wait()
                uac.stop()
                uas.stop()
            outcome.killed = len(killer.killed)
            outcome.errors += killer.errors
            outcome.errors += [error for told in outcome.told for error in told["errors"]]
            if outcome.sipp:
                outcome.errors.append(f"sipp ended with {outcome.sipp}: a call was lost")
            outcome.errors += crowd.failures
    finally:
        daemon.stop()
    return outcome


def _daemon(folder: Path, uas_port: int, load: Load) -> Daemon:
    own = folder / "daemon"
    (own / "json").mkdir(parents=True)
    tables: dict[str, dict[str, Any]] = {
        "jsonrpc_fifo": {"fifo_name": str(own / "json-fifo"), "reply_dir": str(own / "json")},
        "jsonrpc_sock": {"listen": [f"unixs:{own / 'json-unixs'}"]},
    }
    daemon = Daemon(
        own,
        sip={"t1": load.t1, "t4": 0.5},
        routes=[Route("service", (uas_port,))],
        tables=tables,
    )
    return daemon.start()


def _pollers(
    kind: str, daemon: Daemon, folder: Path, load: Load, stay: list[str]
) -> subprocess.Popen[str]:
    own = daemon.folder
    where, replies = {
        "http": (str(daemon.http_port), folder),
        "mi-fifo": (str(daemon.fifo.command), daemon.fifo.reply_dir),
        "json-fifo": (str(own / "json-fifo"), own / "json"),
        "unixs": (str(own / "json-unixs"), folder),
    }[kind]
    order = {
        "kind": kind,
        "where": where,
        "folder": str(replies),
        "clients": load.clients,
        "seconds": load.warm + load.seconds,
        "stay": stay,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.pollers"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'fifo'}"},
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(order))
    process.stdin.close()
    process.stdin = None
    return process


class Killer(threading.Thread):
    """Sets up calls and kills one of them by chance each half second, over one door or another."""

    def __init__(self, daemon: Daemon, crowd: Crowd, seconds: float) -> None:
        super().__init__()
        self.sip, self.crowd, self.seconds = daemon, crowd, seconds
        self.killed: list[str] = []
        self.errors: list[str] = []

    def run(self) -> None:
        try:
            self._kill()
        except Exception as error:  # noqa: BLE001 - told at the end
            self.errors.append(f"killer: {type(error).__name__}: {error}")

    def _kill(self) -> None:
        rng = random.Random(5)
        end = time.monotonic() + self.seconds
        up: list[str] = []
        number = 0
        while time.monotonic() < end:
            while len(up) < UP:
                number += 1
                up.append(f"victim-{number}@crowd")
                self.crowd.place(up[-1:])
            victim = up.pop(rng.randrange(len(up)))
            answer = self.sip.kill(rng.choice(("fifo", "http")), victim, *self.crowd.tags(victim))
            assert answer == (200, "OK"), f"{victim}: {answer}"
            self.killed.append(victim)
            time.sleep(0.5)
        for side in ("caller", "callee"):
            poll(
                lambda side=side: self.crowd.byes(side) == dict.fromkeys(self.killed, 1),  # type: ignore[misc]
                20,
                lambda side=side: f"{len(self.crowd.byes(side))} BYEs at the {side}",  # type: ignore[misc]
            )


def _cpu(daemon: Daemon) -> float:
    fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(daemon: Daemon) -> int:
    pages = int(Path(f"/proc/{daemon.process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def run(report: Report, folder: Path, *, seconds: int) -> None:
    """Measure and print."""
    outcome = churn(folder, Load(seconds=seconds, warm=60 if seconds >= 60 else 10))
    for told in outcome.told:
        listings = max(told["listings"], 1)
        report.note(
            f"churn: listings over {told['kind']}",
            f"{told['listings']} of {told['dialogs'] // listings} dialogs and "
            f"{told['bytes'] / listings / 1e6:.1f} MB; median {told['median'] * 1e3:.0f} ms, "
            f"slowest {told['slowest'] * 1e3:.0f} ms",
        )
    report.note("churn: calls, and killed ones", f"{outcome.calls}, {outcome.killed}")
    report.note("churn: daemon CPU", f"{100 * outcome.cpu:.0f} % of a core")
    report.note("churn: machine's load", f"{os.getloadavg()[2]:.1f} in the last 15 minutes")
    report.note(
        "churn: resident, first and last second",
        f"{outcome.resident[0] / 1e6:.1f}, {outcome.resident[-1] / 1e6:.1f} MB",
    )
    report.figure("churn: growth of resident memory", outcome.growth(), "%", GROWTH)
    report.figure("churn: replies that were not whole, lost calls", len(outcome.errors), "", 0)
    for error in outcome.errors[:10]:
        report.note("churn: wrong", error[:300])
