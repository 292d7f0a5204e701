"""A flood of INVITEs from one source beside good calls from another, with the default limits."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

from tests.bench.process import Daemon, Sipp, free_ports, settle
from tests.bench.report import Report

FLOOD = 2000
GOOD = 20
WARM = 20
CEILING = 300.0
"""MB: 500 calls a second are admitted, and each lives for 64 seconds, with its INVITE and 408."""
STAYS = 5.0
"""Per cent of the blocks of memory in use before, that may be in use in addition in the end."""

_FLOODER = Path(__file__).parents[1] / "sip" / "harness" / "flooder.py"
_LIFE = 70.0


def run(report: Report, folder: Path, *, seconds: int) -> None:
    """Measure and print. What the flood calls never answers, so that its calls stay longest."""
    uas_port, uac_port = free_ports(2)
    uas = Sipp(folder, "-sn", "uas", "-p", str(uas_port))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        daemon = Daemon(folder / "flood", uas_port, {"9": int(silent.getsockname()[1])})
        try:
            # The caches and the ring of messages are as full as after an hour of work.
            _flood(daemon, WARM).wait()
            _gone(daemon)
            before, cpu = _statistics(daemon, "memory"), daemon.cpu()
            watch = _Peak(daemon)
            flood = _flood(daemon, seconds)
            code = _good(folder, daemon, uac_port, seconds)
            out, _ = flood.communicate(timeout=30)
            used = daemon.cpu() - cpu
            core = _statistics(daemon, "core")
            _gone(daemon)
            after, highest = _statistics(daemon, "memory"), watch.stop()
        finally:
            daemon.stop()
            uas.stop()
    report.note("flood: sent and answered, by status", str(json.loads(out)))
    names = ("flood_refused", "flood_dropped")
    report.note("flood: counted", str({name: core.get(name) for name in names}))
    report.note("flood: good calls, sipp's exit code", f"{GOOD * seconds}, {code}")
    report.note("flood: daemon CPU", f"{100 * used / seconds:.0f} % of a core")
    sizes = before["resident"], highest, after["resident"]
    report.note(
        "flood: resident before, highest, after",
        ", ".join(f"{size / 1e6:.0f}" for size in sizes) + " MB",
    )
    report.figure("flood: resident at its highest", highest / 1e6, "MB", CEILING)
    # Resident memory does not tell: the interpreter keeps for the next calls what it has once had.
    stays = 100 * (after["blocks"] / before["blocks"] - 1)
    report.figure("flood: memory in use, growth that stays", stays, "%", STAYS)


def _flood(daemon: Daemon, seconds: int) -> subprocess.Popen[bytes]:
    where = ["127.0.0.3", "127.0.0.1", str(daemon.port), str(FLOOD), str(seconds)]
    return subprocess.Popen([sys.executable, str(_FLOODER), *where], stdout=subprocess.PIPE)


def _good(folder: Path, daemon: Daemon, port: int, seconds: int) -> int:
    uac = Sipp(
        folder, "-sn", "uac", f"127.0.0.1:{daemon.port}", "-s", "2000", "-p", str(port),
        "-r", str(GOOD), "-m", str(GOOD * seconds), "-trace_err", host="127.0.0.2",
    )  # fmt: skip
    try:
        return uac.wait(seconds + 60)
    finally:
        uac.stop()


def _statistics(daemon: Daemon, group: str) -> dict[str, int]:
    body = f'{{"jsonrpc":"2.0","id":1,"method":"stats.get_statistics","params":["{group}:"]}}'
    lines = json.loads(daemon.rpc(body.encode()))["result"]
    pairs = (line.removeprefix(f"{group}:").split(" = ") for line in lines)
    return {name: int(value) for name, value in pairs}


def _gone(daemon: Daemon) -> None:
    """Wait until the last transaction has ended."""
    end = time.monotonic() + 2 * _LIFE
    while _statistics(daemon, "core")["transactions"] and time.monotonic() < end:
        time.sleep(1)
    settle(daemon)


class _Peak:
    """The highest resident memory of a daemon."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon, self._peak, self._done = daemon, 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.is_set():
            self._peak = max(self._peak, self._daemon.resident())
            self._done.wait(0.1)

    def stop(self) -> int:
        """End the watch; bytes."""
        self._done.set()
        self._thread.join()
        return self._peak
