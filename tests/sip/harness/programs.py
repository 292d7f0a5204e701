"""Other people's programs that run beside the daemon: started, awaited, and ended by their pid."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path


class Program:
    """One process that writes a log. ready: what must be in the log before the test goes on."""

    def __init__(self, command: list[str], log: Path, ready: Callable[[str], bool]) -> None:
        self.log_path = log
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=log.parent,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"},
                # Its children are ended with it.
                start_new_session=True,
            )
        end = time.monotonic() + 15.0
        while not ready(self.log()):
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise AssertionError(f"{command[0]} did not start:\n{self.log()[-4000:]}")
            time.sleep(0.01)

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")

    def end(self, timeout: float = 10.0) -> int:
        """SIGTERM, and the exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        finally:
            self.kill()

    def kill(self) -> None:
        """Whatever of it is left, with its children."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


def accepts(host: str, port: int) -> bool:
    """Whether something listens there."""
    try:
        with socket.create_connection((host, port), 1.0):
            return True
    except OSError:
        return False
