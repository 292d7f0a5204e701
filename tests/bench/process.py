"""The daemon and sipp as processes, and what the system says they used."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    """UDP ports that are free now."""
    socks = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(count)]
    try:
        for sock in socks:
            sock.bind(("127.0.0.1", 0))
        return [int(sock.getsockname()[1]) for sock in socks]
    finally:
        for sock in socks:
            sock.close()


class Daemon:
    """``dlgmgmt serve`` with one route for everything to ``target`` (a port).

    prefixes: ports that users which begin so go to. more: further tables of its configuration.
    """

    def __init__(
        self,
        folder: Path,
        target: int,
        prefixes: dict[str, int] | None = None,
        *,
        more: str = "",
    ) -> None:
        (self.port,) = free_ports(1)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            http = int(probe.getsockname()[1])
        self.url = f"http://127.0.0.1:{http}/RPC"
        folder.mkdir(exist_ok=True)
        config = folder / "dlgmgmt.toml"
        config.write_text(
            f'[sip]\nlisten = ["udp:127.0.0.1:{self.port}"]\n'
            + "".join(
                f'[[sip.route]]\nuser_prefix = "{prefix}"\ntargets = ["sip:127.0.0.1:{port}"]\n'
                for prefix, port in (prefixes or {}).items()
            )
            + f'[[sip.route]]\ntargets = ["sip:127.0.0.1:{target}"]\n'
            f'[mi_fifo]\nfifo_name = "{folder}/fifo"\nreply_dir = "{folder}/reply"\n'
            f'[http]\nlisten = "127.0.0.1:{http}"\n' + more
        )
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "dlgmgmt", "serve", "--config", str(config)],
                stdout=subprocess.PIPE,
                stderr=log,
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": f"{ROOT / 'fifo'}:{ROOT}"},
            )
        assert self.process.stdout is not None
        # With a database it says before that it is loading.
        if not any(line.startswith(b"ready") for line in self.process.stdout):
            raise RuntimeError("the daemon did not start: " + (folder / "log").read_text())

    def cpu(self) -> float:
        """CPU seconds used so far, user and system."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident(self) -> int:
        """Resident memory in bytes."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def rpc(self, body: bytes) -> bytes:
        """POST a JSON-RPC request; the whole reply."""
        request = urllib.request.Request(  # noqa: S310 - the daemon's own address
            self.url, body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=120) as reply:  # noqa: S310
            return bytes(reply.read())

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()


class Sipp:
    """One sipp. host: its address."""

    def __init__(self, folder: Path, *args: str, host: str = "127.0.0.1") -> None:
        self.log = folder / f"sipp-{args[1].replace('/', '_')}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen(
                ["sipp", *args, "-i", host, "-nostdin"],
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                cwd=folder,
            )

    def wait(self, seconds: float) -> int:
        """Its exit code: 0 when every call succeeded."""
        return self.process.wait(seconds)

    def stop(self) -> None:
        """End it if it still runs."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(10)


def settle(daemon: Daemon, seconds: float = 1.0) -> None:
    """Let the daemon come to rest."""
    before = daemon.cpu()
    for _ in range(20):
        time.sleep(seconds)
        now = daemon.cpu()
        if now - before < 0.05 * seconds:
            return
        before = now
