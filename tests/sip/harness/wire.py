"""A capture of what goes over loopback, and tshark's opinion of what the daemons sent."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .programs import Program

DUMPCAP = shutil.which("dumpcap", path="/usr/bin:/usr/sbin")
TSHARK = shutil.which("tshark", path="/usr/bin:/usr/sbin")

# The ring: what a whole run writes is a fraction of it.
_FILES, _FILE_KB = 32, 16_384
# tshark says nothing of a message that lacks a header which every message has (RFC 3261 8.1.1). A
# 400 can only repeat what there was in the request.
_LACKS = " || ".join(f"!sip.{name}" for name in ("Via", "From", "To", "Call-ID", "CSeq.method"))
_BAD = (
    '(_ws.malformed || _ws.expert.group == "Malformed" || _ws.expert.severity == "Error"'
    f" || ((sip.Request-Line || sip.Status-Line) && !(sip.Status-Code == 400) && ({_LACKS})))"
)
_FIELDS = (
    "frame.time", "udp.srcport", "udp.dstport", "tcp.srcport", "tcp.dstport",
    "_ws.expert.message", "udp.payload", "tcp.payload",
)  # fmt: skip


def missing() -> str:
    """What there must be for a capture and is not, "" if nothing."""
    if DUMPCAP is None or TSHARK is None:
        return "tshark is not installed (Debian: apt-get install tshark)"
    return ""


class Wire:
    """Captures from now on. low, high: the ports of interest. AssertionError if it may not."""

    def __init__(self, folder: Path, low: int, high: int) -> None:
        assert DUMPCAP is not None
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        command = [DUMPCAP, "-i", "lo", "-f", f"(tcp or udp) and portrange {low}-{high}"]
        command += ["-B", "64", "-b", f"files:{_FILES}", "-b", f"filesize:{_FILE_KB}"]
        command += ["-w", str(folder / "wire.pcapng")]
        self._program = Program(command, folder / "dumpcap.log", lambda log: "File: " in log)

    def has(self, data: bytes, timeout: float = 5.0) -> bool:
        """Whether ``data`` has been captured."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if any(data in path.read_bytes() for path in self._files()):
                return True
            time.sleep(0.1)
        return False

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("wire*.pcapng"))

    def end(self) -> list[Path]:
        """Stop; returns the files, oldest first."""
        # What was sent just before is still on its way through the kernel's buffer.
        time.sleep(0.3)
        self._program.end()
        return self._files()

    def lost(self) -> float:
        """The share of the packets that dumpcap was too slow for."""
        found = re.search(r"dropped on interface '[^']*': (\d+)/(\d+)", self._program.log())
        return int(found[2]) / max(int(found[1]), 1) if found else 0.0


def findings(files: Iterable[Path], ports: Mapping[str, set[int]], limit: int = 10) -> list[str]:
    """What tshark finds wrong with the messages from some ports.

    ports: by transport, "udp", "tcp" and "ws"; "phone": those that are connected to, over TCP.
    """
    decode, senders = [], []
    for kind, field, dissector in (
        ("udp", "udp.srcport", "sip"),
        ("tcp", "tcp.srcport", "sip"),
        ("phone", "tcp.dstport", "sip"),
        ("ws", "tcp.srcport", "http"),
    ):
        some = ports.get(kind)
        if some:
            decode += [f"{field[:3]}.port=={port},{dissector}" for port in sorted(some)]
            # Whatever of a datagram is not taken for SIP at all is wrong too.
            wrong = f"!icmp && !icmpv6 && ({_BAD} || !sip)" if kind == "udp" else _BAD
            senders.append(f"({field} in {_set(some)} && {wrong})")
    if not senders:
        return []
    rules = [argument for rule in decode for argument in ("-d", rule)]

    def judged(path: Path) -> list[str]:
        # To print nothing but numbers is several times faster than to have all fields at hand.
        lines = _tshark(path, " || ".join(senders), rules).splitlines()
        numbers = sorted({int(line.split()[0]) for line in lines})
        if not numbers:
            return []
        fields = [argument for name in _FIELDS for argument in ("-e", name)]
        some = f"frame.number in {_set(set(numbers[: limit + 1]))}"
        shown = _tshark(path, some, [*rules, "-T", "fields", *fields])
        return [_readable(line) for line in shown.splitlines()]

    with ThreadPoolExecutor(2) as pool:
        found = [line for lines in pool.map(judged, files) for line in lines]
    return found if len(found) <= limit else [*found[:limit], "and more"]


def _tshark(path: Path, display: str, more: list[str]) -> str:
    assert TSHARK is not None
    run = subprocess.run(
        [TSHARK, "-n", "-r", str(path), "-Y", display, *more],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert run.returncode == 0, f"tshark ended with {run.returncode}: {run.stderr[-2000:]}"
    return run.stdout


def _set(ports: set[int]) -> str:
    return "{" + ",".join(map(str, sorted(ports))) + "}"


def _readable(line: str) -> str:
    fields = line.split("\t")
    when, ports, expert, payload = fields[0], fields[1:5], fields[5], "".join(fields[6:8])
    text = bytes.fromhex(payload).decode(errors="backslashreplace").replace("\r\n", "\n")
    way = " > ".join(filter(None, ports))
    return f"{when} {way}: {expert or 'no SIP, or a header is missing'}\n{text}"
