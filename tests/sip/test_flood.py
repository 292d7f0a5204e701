"""Ten seconds of a flood of INVITEs from one source beside good calls from another."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sip.harness import flooder
from tests.sip.harness.daemon import Daemon, Route, poll
from tests.sip.harness.ports import free_port
from tests.sip.harness.sipp import Sipp

SECONDS = 10
FLOOD = 2000
GOOD = 20
# 64*T1, after which nothing is left of a call that nobody answers and nobody acknowledges.
T1 = 0.05
CEILING = 60_000_000
"""Bytes that the flood may add: some 500 calls a second, alive for six seconds and a half."""


def statistics(daemon: Daemon, group: str) -> dict[str, int]:
    lines = daemon.rpc.call("stats.get_statistics", f"{group}:")
    pairs = (line.removeprefix(f"{group}:").split(" = ") for line in lines)
    return {name: int(value) for name, value in pairs}


def flood(daemon: Daemon, seconds: float) -> subprocess.Popen[bytes]:
    where = ["127.0.0.3", "127.0.0.1", str(daemon.port), str(FLOOD), str(seconds)]
    command = [sys.executable, str(Path(flooder.__file__)), *where]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def rest(daemon: Daemon) -> int:
    """Wait until the last transaction has ended; the blocks of memory in use then."""
    poll(
        lambda: statistics(daemon, "core")["transactions"] == 0,
        40 * 64 * T1,
        lambda: str(statistics(daemon, "core")),
    )
    daemon.wait_empty(20)
    return statistics(daemon, "memory")["blocks"]


class Answerer:
    """A callee that answers every INVITE and BYE with 200, each copy of it alike."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", free_port()))
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def _run(self) -> None:
        while data := self._socket.recvfrom(65_535):
            text, source = data[0].decode(), data[1]
            if not text:
                return
            if text.startswith("ACK"):
                continue
            kept = ("via:", "record-route:", "from:", "call-id:", "cseq:")
            lines = [line for line in text.split("\r\n") if line.lower().startswith(kept)]
            (to,) = (line for line in text.split("\r\n") if line.lower().startswith("to:"))
            reply = [
                "SIP/2.0 200 OK",
                *lines,
                to if ";tag=" in to else f"{to};tag=good",
                f"Contact: <sip:bob@127.0.0.1:{self.port}>",
                "Content-Length: 0",
            ]
            self._socket.sendto("\r\n".join([*reply, "", ""]).encode(), source)

    def stop(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


class Peak:
    """The highest resident memory while it is watched."""

    def __init__(self, daemon: Daemon) -> None:
        self._status = Path(f"/proc/{daemon.process.pid}/statm")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.bytes = 0
        self._thread.start()

    def _watch(self) -> None:
        while not self._done.wait(0.05):
            try:
                pages = int(self._status.read_text().split()[1])
            except OSError:
                # The test has failed, and the daemon has ended before the watch.
                return
            self.bytes = max(self.bytes, 4096 * pages)

    def stop(self) -> int:
        self._done.set()
        self._thread.join()
        return self.bytes


@pytest.fixture
def answerer() -> Iterator[Answerer]:
    callee = Answerer()
    yield callee
    callee.stop()


@pytest.fixture
def silent() -> Iterator[int]:
    """The port of a callee that never answers: calls to it stay longest."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", free_port()))
        yield int(sock.getsockname()[1])


def test_good_calls_complete_beside_a_flood_and_the_memory_comes_back(
    start_daemon: Callable[..., Daemon], tmp_path: Path, answerer: Answerer, silent: int
) -> None:
    daemon = start_daemon(
        sip={"t1": T1, "t2": 0.2, "t4": 0.2},
        tables={"trace": {"ring_messages": 0}},
        routes=[Route("9", (silent,)), Route("bob", (answerer.port,))],
    )
    before = statistics(daemon, "memory")
    uac = Sipp(
        tmp_path,
        "uac",
        port=free_port(),
        remote=daemon.hostport,
        calls=GOOD * SECONDS,
        limit=60,
        extra=("-i", "127.0.0.2", "-r", str(GOOD)),
    )
    with flood(daemon, SECONDS) as storm:
        peak = Peak(daemon)
        try:
            out, _ = storm.communicate(timeout=60)
            during = statistics(daemon, "memory")
            uac.wait()
            after = rest(daemon)
        finally:
            uac.stop()
            highest = peak.stop()
    sent = json.loads(out)["sent"]
    assert sent >= 0.8 * FLOOD * SECONDS
    core = statistics(daemon, "core")
    # Most of the flood was dropped, a little of it was told to wait.
    assert core["flood_dropped"] > sent / 2
    assert 0 < core["flood_refused"] < core["flood_dropped"] / 10
    assert core["overload"] == 0
    assert highest - before["resident"] < CEILING
    # What stays is in the caches of URIs, which have a size.
    assert after - before["blocks"] < (during["blocks"] - before["blocks"]) / 2
    # The log says nothing of each of them.
    assert len(daemon.stderr().splitlines()) < 100
