"""The database goes away for some seconds while calls are made; ``python -m tests.crash outage``
does the same for longer, with more faults and more calls."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.crash.faults import faults_of
from tests.crash.outage import Order, Outcome, outage
from tests.db.harness.calls import SCRIPT, Exchange
from tests.db.harness.servers import SERVERS, Server, SqliteFile
from tests.db.harness.stage import Stage, differences
from tests.sip.harness.daemon import ROOT

Start = Callable[..., Stage]
Place = Callable[[Stage], Exchange]

Running = Callable[[str], Server]

SHORT = Order(seconds=2.5, rate=20.0, sample=5)

ON_SQLITE = pytest.mark.parametrize("server", ["sqlite"], indirect=True)


def at_once(folder: Path, faults: dict[str, str], servers: dict[str, Server]) -> None:
    """An outage of each server, side by side: they mostly wait."""

    def run(name: str) -> Outcome:
        server = servers[name]
        url = server.new_database()
        return outage(folder / name, url, faults_of(server, url)[faults[name]], SHORT)

    with ThreadPoolExecutor(len(servers)) as pool:
        outcomes = list(pool.map(run, servers))
    for name, outcome in zip(servers, outcomes, strict=True):
        assert outcome.errors == [], f"{name}: {outcome}"
        assert outcome.compared > 5
        assert outcome.killed == SHORT.sample
        assert outcome.calls > 40


def test_the_server_is_silent(running: Running, tmp_path: Path) -> None:
    """SIGSTOP; for SQLite, another program that keeps its lock."""
    servers = {name: running(name) for name in SERVERS}
    at_once(tmp_path, dict.fromkeys(SERVERS, "paused"), servers)


def test_the_server_is_killed_or_stopped_for_a_while_or_full(
    running: Running, tmp_path: Path
) -> None:
    faults = {"postgresql": "killed", "mariadb": "stopped"}
    servers = {name: running(name) for name in faults}
    file = SqliteFile(tmp_path / "server", megabytes=32)
    try:
        if file.can_fill:  # only root may mount a disk of its own
            servers["sqlite"], faults["sqlite"] = file, "full"
        at_once(tmp_path, faults, servers)
    finally:
        file.close()


@ON_SQLITE
def test_what_cannot_be_written_at_the_end_is_in_a_file(
    server: Server, start: Start, exchange: Place
) -> None:
    """The log says which, and how to write it: afterwards nothing was lost."""
    stage = start(1, script=SCRIPT, forks=1, database={"stop_timeout": 0.5, "retry_max": 0.2})
    calls = exchange(stage)
    gone, stays = calls.place("plain", "gone@db"), calls.place("rich", "stays@db")
    assert stage.flush()["done"]
    server.pause()
    gone.legs[0].bye(gone.callees[0][0])
    stays.legs[0].transact("INVITE", stays.callees[0][0])
    new = calls.place("forked", "new@db")
    before = stage.listing()
    before.pop("gone@db", None)
    stage.stop(code=1)
    server.resume()
    told = re.search(r"dlgmgmt db restore (\S+)", stage.stderr())
    assert told, stage.stderr()
    command = [sys.executable, "-m", "dlgmgmt", "db", "restore", told[1], "--url", stage.url]
    done = subprocess.run(
        command, cwd=ROOT, env={"PYTHONPATH": f"{ROOT / 'fifo'}:{ROOT}"}, capture_output=True,
        text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    stage.start()
    stage.wait_loaded()
    after = stage.listing()
    assert after.keys() == before.keys() == {"stays@db", "new@db"}
    for callid, item in before.items():
        assert differences(item, after[callid]) == []
    stays.killed(stage)
    new.killed(stage)
