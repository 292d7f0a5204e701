"""schemathesis, with all its checks, against the description that a real daemon serves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sip.harness.daemon import ROOT, Daemon

HERE = Path(__file__).parent


def schemathesis(daemon: Daemon, folder: Path, *options: str) -> str:
    """What it prints; fails if it finds anything."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(HERE / "schemathesis.toml")),
            *("run", f"http://127.0.0.1:{daemon.http_port}/openapi.json"),
            *("--checks", "all", "--seed", "1", "--request-timeout", "20", "--no-color"),
            *options,
        ],
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "fifo"))),
            "SCHEMATHESIS_HOOKS": str(HERE / "hooks.py"),
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    ims = {"db_mode": 1, "db_url": f"sqlite://{tmp_path}/calls.sqlite"}
    # A fast machine asks more often than one client may.
    return Daemon(tmp_path / "daemon", ims=ims, http={"rate": 0}).start()


def test_it_finds_nothing(daemon: Daemon, tmp_path: Path) -> None:
    try:
        said = schemathesis(daemon, tmp_path, "--max-examples", "40")
        assert "No issues found" in said
        assert daemon.rpc.call("core.version")
    finally:
        daemon.stop()
