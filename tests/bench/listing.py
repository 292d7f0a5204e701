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
        # The very first listing is counted too: what it keeps for the next ones is memory.
        first, kept = _one(daemon, 1)
        listed = len(json.loads(daemon.rpc(_LIST))["result"])
        report.note("listing: dialogs listed over HTTP", str(listed))
        report.note("listing: the first one", f"{first * 1e3:.0f} ms, {kept / 1e6:.2f} MB")
        costs, growth = [], [kept]
        for _ in range(RUNS):
            cost, grown = _one(daemon, 10)
            costs.append(cost)
            growth.append(grown)
    finally:
        uac.stop()
        uas.stop()
        daemon.stop()
    report.figure("listing: daemon CPU, median", statistics.median(costs) * 1e3, "ms", 60)
    report.figure("listing: growth of resident memory, largest", max(growth) / 1e6, "MB", 2)


def _one(daemon: Daemon, times: int) -> tuple[float, int]:
    """CPU seconds for a listing and growth of resident memory during ``times`` of them."""
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
    for _ in range(times):
        daemon.rpc(_LIST)
    used = (daemon.cpu() - cpu) / times
    done.set()
    watcher.join()
    return used, max(peak - before, 0)
