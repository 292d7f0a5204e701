"""Dialogs in a database: loading them, writing all at the end, and what writing each call costs."""

from __future__ import annotations

import math
import os
import sqlite3
import statistics
import time
from contextlib import closing
from pathlib import Path

from tests.bench import rival
from tests.bench.process import Daemon, Sipp, free_ports
from tests.bench.report import Report
from tests.crash.call import Plan
from tests.crash.traffic import Traffic
from tests.db.harness.servers import SERVERS, Server, missing
from tests.db.harness.stage import Stage
from tests.sip.harness.daemon import poll

HASH_SIZE = 4096
RATE = 200
PAIRS = 9
STARTS = 7
TARGET = 1.25
TALK = 1000
"""ms: a call that ends sooner than a commit interval would never be written."""

ADD_VARIABLES = """
INSERT INTO dialog_vars (owner, hash_entry, hash_id, dialog_key, dialog_value)
SELECT owner, hash_entry, hash_id, 'account', '4711' FROM dialog_in
"""
ADD_PROFILES = """
UPDATE dialog_in SET xdata = '{"profiles":[["caller","alice-' || id || '"],["inbound",null]]}'
"""
OTHERS = {
    "session timers": (
        "UPDATE dialog_in SET session_ts = timeout - 1000",
        "UPDATE dialog_out SET session_end = CAST(strftime('%s', 'now') AS INTEGER) + 40000",
    ),
    "session timers and a variable": (ADD_VARIABLES,),
    "session timers, a variable and two profiles": (ADD_PROFILES,),
}
"""What other calls are made of the ordinary ones by, each on top of the one before."""

_TICKS = os.sysconf("SC_CLK_TCK")


def run(report: Report, folder: Path, *, quick: bool) -> None:
    """Measure and print."""
    many, some = (20_000, 2000) if quick else (100_000, 10_000)
    _load(report, folder / "load", many)
    _dump(report, folder / "dump", some)
    calls = 400 if quick else 1000
    for name, kind in SERVERS.items():
        if why := missing(name):
            report.note(f"storage: {name}", why)
            continue
        with kind(megabytes=0) as server:
            _real_time(report, folder / f"real-{server.name}", server, calls)


def _plain(folder: Path, path: Path, mode: int) -> Stage:
    return Stage(folder, f"sqlite:///{path}", mode, ims={"hash_size": HASH_SIZE}, script="")


def _cpu(stage: Stage) -> float:
    fields = Path(f"/proc/{stage.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _load(report: Report, folder: Path, count: int) -> None:
    """CPU of a start with so many dialogs, less that of a start with one, in pairs.

    With one and not without any: what is made once, and on the first use, is there in both.
    """
    folder.mkdir(parents=True)
    stages = [_plain(folder / name, folder / f"{name}.sqlite", 1) for name in ("one", "many")]
    for stage in stages:
        stage.start()
        _one_call(stage)
        stage.stop()
    stages[1].multiply(count - 1, HASH_SIZE)
    costs: list[list[float]] = [[], []]
    for turn in range(STARTS):
        both = list(zip(stages, (1, count), costs, strict=True))
        for stage, dialogs, found in both if turn % 2 else reversed(both):
            found.append(_cpu_of_start(stage))
            loaded = int(stage.wait_loaded()["loaded"])
            stage.stop()
            if loaded != dialogs:
                report.note("storage: WRONG", f"{loaded} of {dialogs} dialogs loaded")
    report.note("storage: daemon CPU of a start with one", f"{statistics.median(costs[0]):.2f} s")
    loads = sorted(many - one for one, many in zip(*costs, strict=True))
    report.note(
        f"storage: daemon CPU to load {count} dialogs, all {STARTS} pairs",
        ", ".join(f"{load:.2f}" for load in loads),
    )
    cost = statistics.median(loads)
    report.figure(f"storage: daemon CPU to load {count} dialogs", cost, "s", 3 * count / 1e5)
    for what, statements in OTHERS.items():
        with closing(sqlite3.connect(folder / "many.sqlite")) as connection, connection:
            for statement in statements:
                connection.execute(statement)
        found = []
        for _ in range(3):
            found.append(_cpu_of_start(stages[1]) - statistics.median(costs[0]))
            stages[1].wait_loaded()
            stages[1].stop()
        report.note(
            f"storage: daemon CPU to load {count} dialogs with {what}, 3 starts",
            ", ".join(f"{load:.2f}" for load in sorted(found)),
        )
    if why := rival.missing():
        report.note("storage: kamailio", why)
        return
    # What the machine makes of that today: its speed varies by a factor of two.
    theirs = [rival.cost(folder / f"kamailio{turn}", count // 10) for turn in range(3)]
    report.note(
        f"storage: kamailio's dialog module, CPU to load {count // 10}",
        f"{statistics.median(theirs):.2f} s",
    )


def _cpu_of_start(stage: Stage) -> float:
    stage.start()
    # To ask it again and again would be on its account.
    poll(lambda: " dialogs loaded in " in stage.stderr(), 120, stage.stderr)
    return _cpu(stage)


def _dump(report: Report, folder: Path, count: int) -> None:
    """SIGTERM in mode 3 with so many dialogs, until the process is gone."""
    path = folder / "dialogs.sqlite"
    stage = _plain(folder, path, 3)
    stage.start()
    _one_call(stage)
    stage.stop()
    stage.multiply(count - 1, HASH_SIZE)
    took = []
    for _ in range(3):
        stage.start()
        stage.wait_loaded()
        began = time.monotonic()
        stage.stop()
        took.append(time.monotonic() - began)
        rows = stage.rows()["dialog_in"]
        if rows != count:
            report.note("storage: WRONG", f"{rows} rows after the dump of {count} dialogs")
    report.figure(
        f"storage: shutdown that dumps {count} dialogs", max(took), "s", 2 * count / 10_000
    )


def _one_call(stage: Stage) -> None:
    """A call that stays, so that the database has the rows of one."""
    with Traffic(stage.address) as phones:
        call = phones.place(Plan(stay=math.inf))
        poll(lambda: call.phase == "up", 10, lambda: f"{phones.failures}")
        phones.settle()


def _real_time(report: Report, folder: Path, server: Server, calls: int) -> None:
    """The same load on a daemon without and one with a database, in pairs, each first in turn.

    Many short ones: the machine's speed may change by a half from one minute to the next.
    """
    folder.mkdir(parents=True)
    uas_port, uac_port = free_ports(2)
    uas = Sipp(folder, "-sn", "uas", "-p", str(uas_port))
    daemons = [
        Daemon(
            folder / f"mode{mode}",
            uas_port,
            more=f'[ims_dialog]\ndb_mode = {mode}\ndb_url = "{server.url}"\n',
        )
        for mode in (0, 1)
    ]
    sqlite = server.name == "sqlite"
    costs: list[list[float]] = [[], []]
    failed = 0
    try:
        # The one that has a target has more; the first one warms up.
        for turn in range(1 + (2 * PAIRS if sqlite else PAIRS)):
            both = list(zip(daemons, costs, strict=True))
            for daemon, found in both if turn % 2 else reversed(both):
                before = daemon.cpu()
                failed += _calls(folder, daemon, uac_port, 400 if turn == 0 else calls) != 0
                # What is written after the last call belongs to it.
                time.sleep(0.5)
                if turn:
                    found.append((daemon.cpu() - before) / calls)
    finally:
        for daemon in daemons:
            daemon.stop()
        uas.stop()
    without, real = (statistics.median(found) for found in costs)
    report.note(
        f"storage: CPU per call without, with {server.name}",
        f"{without * 1e6:.0f}, {real * 1e6:.0f} us"
        + (f"; {failed} runs of sipp FAILED" if failed else ""),
    )
    name = f"storage: CPU of mode 1 over mode 0, {server.name}"
    ratios = [real / without for without, real in zip(*costs, strict=True)]
    spread = ", ".join(f"{ratio:.2f}" for ratio in statistics.quantiles(ratios, n=4))
    report.note(f"{name}, quarters of {len(ratios)} pairs", spread)
    if sqlite:
        report.figure(name, statistics.median(ratios), "", TARGET)
    else:
        report.note(name, f"{statistics.median(ratios):9.2f}")


def _calls(folder: Path, daemon: Daemon, port: int, calls: int) -> int:
    uac = Sipp(
        folder, "-sn", "uac", f"127.0.0.1:{daemon.port}", "-s", "2000", "-p", str(port),
        "-r", str(RATE), "-m", str(calls), "-d", str(TALK),
    )  # fmt: skip
    try:
        return uac.wait(calls / RATE + 60)
    finally:
        uac.stop()
