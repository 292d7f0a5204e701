"""A daemon whose script takes its time: signals as it starts, calls that wait when it stops."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.phones import Phones

SLOW_START = """
import pathlib, time

def mod_init(api):
    begun = pathlib.Path(__file__).with_name("begun")
    begun.write_text(begun.read_text() + "x" if begun.exists() else "x")
    end = time.monotonic() + 20
    while not begun.with_name("go").exists() and time.monotonic() < end:
        time.sleep(0.02)

def request_route(msg, dlg):
    msg.t_relay()
"""

BLOCKS = """
import threading

def request_route(msg, dlg):
    dlg.dlg_manage()
    threading.Event().wait(60)
"""


def test_a_hangup_while_the_script_is_loaded_reloads_after_the_start(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "own", script=SLOW_START)
    begun = daemon.folder / "begun"
    start = threading.Thread(target=daemon.start)
    start.start()
    try:
        poll(begun.exists, 20, daemon.stderr)
        daemon.process.send_signal(signal.SIGHUP)
    finally:
        (daemon.folder / "go").touch()
        start.join(30)
    try:
        poll(lambda: ": reloaded, " in daemon.stderr(), 20, daemon.stderr)
        assert begun.read_text() == "xx"
    finally:
        daemon.stop()


def test_a_hangup_before_anything_is_loaded_is_not_lost(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "own")
    start = threading.Thread(target=daemon.start)
    start.start()
    try:
        poll(lambda: _catches_hangups(daemon), 20, lambda: "SIGHUP is not caught")
        daemon.process.send_signal(signal.SIGHUP)
    finally:
        start.join(30)
    try:
        poll(lambda: ": reloaded, " in daemon.stderr(), 20, daemon.stderr)
    finally:
        daemon.stop()


def _catches_hangups(daemon: Daemon) -> bool:
    """As the kernel sees it: the process has just begun."""
    try:
        status = Path(f"/proc/{daemon.process.pid}/status").read_text()
    except AssertionError:
        return False  # not even begun
    (caught,) = (line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(caught.split()[1], 16) & 1)


def test_a_start_that_takes_too_long_is_refused(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "own", script=SLOW_START, routing={"load_limit": 0.3})
    with pytest.raises(AssertionError) as refused:
        daemon.start()
    text = str(refused.value)
    assert "script.py:9: not loaded within 0.3 s" in text or "script.py:8: not" in text
    assert "Traceback" not in text


def test_a_call_that_waits_for_the_script_is_answered_when_the_daemon_stops(
    tmp_path: Path, phones: Phones
) -> None:
    daemon = Daemon(
        tmp_path / "own", script=BLOCKS, routing={"time_limit": 60.0, "workers": 1}
    ).start()
    runs, waits = (phones.caller(daemon, callid=f"{n}-{phones.callid}") for n in range(2))
    for caller in (runs, waits):
        caller.invite("sip:bob@127.0.0.1:9")
        caller.expect(100, "INVITE")
    daemon.wait_state(runs.callid, 1)
    daemon.stop()
    for caller in (runs, waits):
        assert caller.expect(503, "INVITE").get("Retry-After") == "5"
