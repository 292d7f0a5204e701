"""Calls move from one database to another, by dlgmgmt db dump and restore."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.db.harness.calls import KINDS, SCRIPT, Exchange
from tests.db.harness.stage import Stage, differences
from tests.sip.harness.daemon import ROOT

Start = Callable[..., Stage]
Place = Callable[[Stage], Exchange]


def db(*arguments: str) -> str:
    """dlgmgmt db, which has nothing to complain of; its stdout."""
    done = subprocess.run(
        [sys.executable, "-m", "dlgmgmt", "db", *arguments],
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT / 'fifo'}:{ROOT}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("server", ["postgresql"], indirect=True)
def test_calls_move_from_a_file_to_a_server(
    start: Start, exchange: Place, database_url: Callable[[], str], tmp_path: Path
) -> None:
    """The dump is made while the daemon runs; the daemon then goes on with another database."""
    stage = start(1, url=f"sqlite:///{tmp_path}/old.sqlite", script=SCRIPT, forks=1)
    calls = exchange(stage)
    held = [calls.place(kind) for kind in KINDS]
    before = stage.listing()
    stage.flush()
    dump = tmp_path / "calls.jsonl"
    db("dump", "--url", stage.url, "-o", str(dump))
    stage.stop()
    url = database_url()
    assert f" {len(before)} dialogs added" in db("restore", str(dump), "--url", url)
    stage.url = url
    stage.ims["db_url"] = url
    stage.start()
    assert stage.wait_loaded()["loaded"] == len(before)
    after = stage.listing()
    assert after.keys() == before.keys()
    found = [text for callid in before for text in differences(before[callid], after[callid])]
    assert not found, "\n".join(found)
    for call in held:
        call.killed(stage)
    stage.stop()
    assert stage.rows() == {}
    assert f"{len(before)} good" in db("check", "--url", f"sqlite:///{tmp_path}/old.sqlite")
