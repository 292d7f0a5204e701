"""CPU per forwarded message: sipp's built-in scenarios at 200 calls/s through one daemon."""

from __future__ import annotations

from pathlib import Path

from tests.bench.process import Daemon, Sipp, free_ports
from tests.bench.report import Report

RATE = 200
FORWARDED = 6  # INVITE, 180, 200, ACK, BYE, 200


def run(report: Report, folder: Path, *, calls: int) -> None:
    """Measure and print."""
    uas_port, uac_port = free_ports(2)
    uas = Sipp(folder, "-sn", "uas", "-p", str(uas_port))
    daemon = Daemon(folder / "hop", uas_port)
    try:
        # Warm: imports, caches and the interpreter's own specializing are not the hop's cost.
        _calls(folder, daemon, uac_port, 400)
        before = daemon.cpu()
        code = _calls(folder, daemon, uac_port, calls)
        used = daemon.cpu() - before
    finally:
        daemon.stop()
        uas.stop()
    report.note("hop: calls, sipp's exit code (0: all succeeded)", f"{calls}, {code}")
    cost = used / (calls * FORWARDED) * 1e6
    report.figure("hop: daemon CPU per forwarded message", cost, "us", 140)


def _calls(folder: Path, daemon: Daemon, port: int, calls: int) -> int:
    uac = Sipp(
        folder, "-sn", "uac", f"127.0.0.1:{daemon.port}", "-s", "2000", "-p", str(port),
        "-r", str(RATE), "-m", str(calls),
    )  # fmt: skip
    try:
        return uac.wait(calls / RATE + 60)
    finally:
        uac.stop()
