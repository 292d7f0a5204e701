"""Programs that are more than one process, stopped and killed as one."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path


def family(pid: int) -> list[int]:
    """A process and all that it has started, and what these have: PostgreSQL's have own groups."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            children.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found = [pid]
    for parent in found:
        found += children.get(parent, [])
    return found


def pause(pid: int) -> None:
    """Stop all of them: the first at first, so that it starts no others meanwhile."""
    seen: set[int] = set()
    while new := [each for each in family(pid) if each not in seen]:
        for each in new:
            _send(each, signal.SIGSTOP)
        seen.update(new)


def resume(pid: int) -> None:
    """Let all of them go on."""
    for each in family(pid):
        _send(each, signal.SIGCONT)


def kill(pid: int) -> None:
    """End all of them at once, as a loss of power would."""
    pause(pid)
    members = family(pid)
    for each in members:
        _send(each, signal.SIGKILL)
    deadline = time.monotonic() + 10
    for each in members[1:]:
        while _runs(each):
            assert time.monotonic() < deadline, f"process {each} outlives SIGKILL"
            time.sleep(0.005)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
