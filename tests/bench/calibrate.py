"""What this machine takes for work that every run can compare itself with."""

from __future__ import annotations

import os
import platform
import select
import socket
import subprocess
import sys
import time

from tests.bench.report import Report

_PACED = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
due, data = time.perf_counter(), b"x" * 500
for _ in range(int(sys.argv[2])):
    sock.sendto(data, ("127.0.0.1", int(sys.argv[1])))
    due += 1 / 1200
    while (left := due - time.perf_counter()) > 0:
        time.sleep(left)
"""
_MESSAGES = 3600


def run(report: Report) -> None:
    """Print the calibration."""
    report.note(
        "machine", f"{os.cpu_count()} cores, {platform.machine()}, {platform.python_version()}"
    )
    best = min(_loop() for _ in range(7))
    report.note("calibration: a loop of 1,000,000 additions", f"{best * 1e3:9.2f} ms")
    report.note(
        "calibration: UDP in and out at 1,200/s, epoll alone", f"{_echo() * 1e6:9.2f} us CPU"
    )


def _loop() -> float:
    start = time.perf_counter()
    total = 0
    for number in range(1_000_000):
        total += number
    return time.perf_counter() - start


def _echo() -> float:
    """CPU seconds for one datagram read and sent on, at the rate of 200 calls/s.

    This is what the system itself takes: a proxy's hop cannot cost less.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sink = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock, sink:
        sock.bind(("127.0.0.1", 0))
        sock.setblocking(False)
        sink.bind(("127.0.0.1", 0))
        poll = select.epoll()
        poll.register(sock.fileno(), select.EPOLLIN)
        args = [sys.executable, "-c", _PACED, str(sock.getsockname()[1]), str(_MESSAGES)]
        sender = subprocess.Popen(args)
        poll.poll(5)
        start, seen = time.process_time(), 0
        while seen < _MESSAGES and poll.poll(2):
            data = sock.recv(65_535)
            sock.sendto(data, sink.getsockname())
            seen += 1
        used = time.process_time() - start
        sender.wait(10)
        poll.close()
    return used / max(seen, 1)
