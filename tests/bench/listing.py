"""Listing many dialogs over HTTP: daemon CPU and memory."""

from __future__ import annotations

import json
import statistics
import threading
from pathlib import Path

from tests.bench.process import Daemon, Sipp, free_ports, settle
from tests.bench.report import Report

RUNS = 7
_SCENARIOS = Path(__file__).with_name("scenarios")
_LIST = b'{"jsonrpc":"2.0","id":1,"method":"dlg.list"}'


def run(report: Report, folder: Path, *, dialogs: int) -> None:
    """Measure and print."""
    uas_port, uac_port = free_ports(2)
    uas = Sipp(folder, "-sf", str(_SCENARIOS / "hold_uas.xml"), "-p", str(uas_port))
    daemon = Daemon(folder / "listing", uas_port)
    uac = Sipp(
        folder, "-sf", str(_SCENARIOS / "hold_uac.xml"), f"127.0.0.1:{daemon.port}", "-s", "2000",
        "-p", str(uac_port), "-r", "150", "-m", str(dialogs), "-l", str(dialogs + 100),
    )  # fmt: skip
    try:
        uac.process.wait(dialogs / 150 + 120)
        settle(daemon)
        listed = len(json.loads(daemon.rpc(_LIST))["result"])
        report.note("listing: dialogs listed over HTTP", str(listed))
        costs, growth = [], []
        for _ in range(RUNS):
            cost, grown = _one(daemon)
            costs.append(cost)
            growth.append(grown)
    finally:
        uac.stop()
        uas.stop()
        daemon.stop()
    report.figure("listing: daemon CPU, median", statistics.median(costs) * 1e3, "ms", 60)
    report.figure("listing: growth of resident memory, largest", max(growth) / 1e6, "MB", 2)


def _one(daemon: Daemon) -> tuple[float, int]:
    """CPU seconds and growth of resident memory of ten listings, per listing."""
    before, peak, done = daemon.resident(), 0, threading.Event()

    def watch() -> None:
        nonlocal peak
        while not done.is_set():
            peak = max(peak, daemon.resident())
            done.wait(0.002)

    watcher = threading.Thread(target=watch)
    watcher.start()
    cpu = daemon.cpu()
    # The system counts CPU in hundredths of a second: ten listings make the count fine enough.
    for _ in range(10):
        daemon.rpc(_LIST)
    used = (daemon.cpu() - cpu) / 10
    done.set()
    watcher.join()
    return used, max(peak - before, 0)
