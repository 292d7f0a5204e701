"""A real DNS server on loopback, with the records that a test wants: Debian's dnsmasq."""

from __future__ import annotations

import shutil
from pathlib import Path

from .ports import free_port
from .programs import Program

BINARY = shutil.which("dnsmasq", path="/usr/sbin:/usr/bin")


class Dnsmasq:
    """records: options of dnsmasq that make records. ttl: seconds that all of them last.

    Every query is in its log.
    """

    def __init__(self, folder: Path, *records: str, ttl: int = 300) -> None:
        assert BINARY is not None, "dnsmasq is not installed (Debian: apt-get install dnsmasq-base)"
        self.port = free_port()
        self._program = Program(
            [
                BINARY,
                "--keep-in-foreground",
                "--conf-file=/dev/null",
                "--log-facility=-",
                "--log-queries",
                "--user=",
                "--group=",
                "--pid-file=",
                "--no-resolv",
                "--no-hosts",
                "--local=/example/",
                "--listen-address=127.0.0.1",
                "--bind-interfaces",
                f"--port={self.port}",
                f"--local-ttl={ttl}",
                *records,
            ],
            folder / f"dnsmasq-{self.port}.log",
            lambda log: "started" in log,
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def queries(self, name: str) -> int:
        """How often a name has been asked for, of whatever kind."""
        log = self._program.log().lower().splitlines()
        return sum(" query[" in line and f"] {name} from " in line for line in log)

    def stop(self) -> None:
        self._program.end()
