"""The database goes away for some seconds while calls are made; ``python -m tests.crash outage``
does the same for longer, with more faults and more calls."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.faults import faults_of
from tests.crash.outage import Order, outage
from tests.db.harness.calls import SCRIPT, Exchange
from tests.db.harness.servers import Server, SqliteFile
from tests.db.harness.stage import Stage, differences
from tests.sip.harness.daemon import ROOT

Start = Callable[..., Stage]
Place = Callable[[Stage], Exchange]

SHORT = Order(seconds=2.5, rate=40.0, sample=5)


def check(folder: Path, server: Server, fault: str) -> None:
    url = server.new_database()
    outcome = outage(folder, url, faults_of(server, url)[fault], SHORT)
    assert outcome.errors == [], str(outcome)
    assert outcome.compared > 5
    assert outcome.killed == SHORT.sample
    assert outcome.calls > 100


def test_the_server_is_silent(server: Server, tmp_path: Path) -> None:
    """SIGSTOP; for SQLite, another program that keeps its lock."""
    check(tmp_path, server, "paused")


@pytest.mark.parametrize("server", ["postgresql", "mariadb"], indirect=True)
def test_the_server_is_killed_and_started_again(server: Server, tmp_path: Path) -> None:
    check(tmp_path, server, "killed")


@pytest.mark.parametrize("server", ["mariadb"], indirect=True)
def test_the_server_is_stopped_for_a_while(server: Server, tmp_path: Path) -> None:
    check(tmp_path, server, "stopped")


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_the_server_lets_nobody_write(server: Server, tmp_path: Path) -> None:
    """As one that has become a replica."""
    check(tmp_path, server, "read-only")


def test_the_disk_is_full(tmp_path: Path) -> None:
    server = SqliteFile(tmp_path / "server", megabytes=32)
    try:
        if not server.can_fill:
            pytest.skip("NO DISK WAS FULL: only root may mount one of its own")
        check(tmp_path / "daemon", server, "full")
    finally:
        server.close()


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
