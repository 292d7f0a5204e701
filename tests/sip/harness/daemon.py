"""The real daemon as a subprocess, on ports and in a run directory of its own."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from . import ports
from .mi import Dialog, Fifo, quoted
from .ports import free_port
from .rpc import Rpc, RpcError

ROOT = Path(__file__).parents[3]

# T1 of the daemon that most tests share: with it a transaction absorbs retransmissions for at most
# 6.4 s after its end (64*T1), and LINGER is when a deleted dialog must be gone on a slow machine.
T1 = 0.1
LINGER = 64 * T1 + 8


@dataclass(frozen=True)
class Route:
    """One ``[[sip.route]]``. ports: of phones over UDP; targets: URIs, if it leads elsewhere."""

    user_prefix: str
    ports: tuple[int, ...]
    fork: str = "parallel"
    targets: tuple[str, ...] = ()
    fix_contact: bool = False

    def toml(self) -> str:
        targets = [*self.targets, *(f"sip:127.0.0.1:{port}" for port in self.ports)]
        return (
            "[[sip.route]]\n"
            f"user_prefix = {json.dumps(self.user_prefix)}\n"
            f"targets = {json.dumps(targets)}\n"
            f"fork = {json.dumps(self.fork)}\n"
            f"fix_contact = {json.dumps(self.fix_contact)}\n"
        )


def _table(name: str, values: dict[str, Any]) -> str:
    return f"[{name}]\n" + "".join(f"{key} = {json.dumps(val)}\n" for key, val in values.items())


@dataclass
class Daemon:
    """folder: its run directory. sip, ims, routing, http: further parameters of those tables;
    tables: further tables by their names. kinds: the listeners, all on one port but TLS and WSS,
    which have ports of their own; a 6 at the end means ::1. ipv6: the same as "udp6" among them.
    forks: how many pairs of phones to set aside for each kind of fork. script: text of a routing
    script.
    """

    folder: Path
    sip: dict[str, Any] = field(default_factory=dict)
    ims: dict[str, Any] = field(default_factory=dict)
    routing: dict[str, Any] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    http: dict[str, Any] = field(default_factory=dict)
    kinds: tuple[str, ...] = ("udp",)
    ipv6: bool = False
    forks: int = 0
    script: str = ""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.http_port = free_port()
        self.host = "127.0.0.1"
        if self.ipv6:
            self.kinds += ("udp6",)
        self._ports = {kind: self._port_of(kind) for kind in self.kinds}
        reply_dir = self.folder / "reply"
        reply_dir.mkdir(mode=0o770)
        self.fifo = Fifo(self.folder / "dlgmgmt_fifo", reply_dir)
        self.rpc = Rpc(self.http_port)
        self._spare: dict[str, list[Route]] = {}
        for kind in ("parallel", "serial"):
            self._spare[kind] = [
                Route(f"{kind}{number:02}", (free_port(), free_port()), kind)
                for number in range(self.forks)
            ]
        self.script_path = self.folder / "script.py"
        self.stdout_path = self.folder / "stdout"
        self.stderr_path = self.folder / "stderr"
        self._process: subprocess.Popen[bytes] | None = None

    def _port_of(self, kind: str) -> int:
        """Listeners that carry the same bytes on the same transport need different ports."""
        port = self.port if kind.rstrip("6") in ("udp", "tcp") else free_port()
        ports.sends_from(kind.rstrip("6"), port)
        return port

    # -- life ----------------------------------------------------------------------------------

    def start(self) -> Daemon:
        listen = [f"{kind.rstrip('6')}:{self.at(kind)}" for kind in self.kinds]
        routes = [*self.routes, *(route for spare in self._spare.values() for route in spare)]
        routing = dict(self.routing)
        if self.script:
            self.script_path.write_text(self.script)
            routing["script"] = str(self.script_path)
        config = self.folder / "dlgmgmt.toml"
        config.write_text(
            _table("sip", {"listen": listen, **self.sip})
            + "".join(route.toml() for route in routes)
            + _table(
                "mi_fifo",
                {
                    "fifo_name": str(self.fifo.command),
                    "fifo_mode": "0660",
                    "reply_dir": str(self.fifo.reply_dir),
                },
            )
            + _table("http", {"listen": f"127.0.0.1:{self.http_port}", **self.http})
            + "".join(_table(name, values) for name, values in self.tables.items())
            + _table("ims_dialog", self.ims)
            + (_table("routing", routing) if routing else "")
        )
        paths = [str(ROOT / "fifo"), str(ROOT), os.environ.get("PYTHONPATH", "")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        with self.stderr_path.open("wb") as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "dlgmgmt", "serve", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=self.folder,
                env=environment,
            )
        self._await_ready(30.0)
        return self

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the daemon was not started"
        return self._process

    def _await_ready(self, timeout: float) -> None:
        out = self.process.stdout
        assert out is not None
        end = time.monotonic() + timeout
        while True:
            ready, _, _ = select.select([out], [], [], max(0.0, end - time.monotonic()))
            line = out.readline() if ready else b""
            if line.startswith(b"ready"):
                return
            if not line:
                self.process.kill()
                self.process.wait(10)
                out.close()
                raise AssertionError(f"the daemon did not get ready:\n{self.stderr()[-4000:]}")

    def stop(self) -> None:
        """SIGTERM; fails unless the daemon then ends with 0 and has logged no traceback."""
        process = self.process
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
            raise AssertionError(f"SIGTERM does not end it:\n{self.stderr()[-4000:]}") from None
        finally:
            if process.stdout is not None:
                process.stdout.close()
        self.check_log()
        assert code == 0, f"ended with {code}:\n{self.stderr()[-4000:]}"

    def stderr(self) -> str:
        return self.stderr_path.read_text(errors="replace")

    def check_log(self) -> None:
        """Fail on a traceback in the log, or if the daemon is gone."""
        text = self.stderr()
        at = text.find("Traceback")
        assert at < 0, f"traceback in the daemon's log:\n{text[max(0, at - 500) : at + 4000]}"
        assert self.process.poll() in (None, 0), f"the daemon died:\n{text[-4000:]}"

    # -- SIP -----------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self.port

    @property
    def hostport(self) -> str:
        return f"127.0.0.1:{self.port}"

    def at(self, kind: str) -> str:
        """Host and port of a listener, as a URI writes them."""
        return f"{'[::1]' if kind.endswith('6') else '127.0.0.1'}:{self._ports[kind]}"

    def where(self, kind: str) -> tuple[str, int]:
        """The address of a listener."""
        return "::1" if kind.endswith("6") else "127.0.0.1", self._ports[kind]

    def uri(self, kind: str) -> str:
        """The URI of a listener."""
        name = kind.rstrip("6")
        return f"sip:{self.at(kind)}{'' if name == 'udp' else f';transport={name}'}"

    def fork_route(self, kind: str = "parallel") -> Route:
        """A route to two phones that no other test uses."""
        return self._spare[kind].pop()

    # -- the table -----------------------------------------------------------------------------

    def dialog(self, callid: str) -> Dialog | None:
        """What dlg_list says of a call, None once it is gone."""
        found = self.fifo.list(callid)
        assert len(found) <= 1, f"{len(found)} dialogs of {callid}"
        return found[0] if found else None

    def alive(self, callid: str) -> Dialog | None:
        """As ``dialog``, but a deleted one that only awaits its transactions counts as gone."""
        found = self.dialog(callid)
        return found if found is not None and found.state != 6 else None

    def wait_for(
        self, callid: str, condition: Callable[[Dialog], bool], timeout: float = 10.0
    ) -> Dialog:
        """Poll dlg_list until the call's entry fulfils ``condition``."""
        end = time.monotonic() + timeout
        while True:
            found = self.dialog(callid)
            if found is not None and condition(found):
                return found
            assert time.monotonic() < end, f"still {found}"
            time.sleep(0.02)

    def wait_state(self, callid: str, state: int, legs: int | None = None) -> Dialog:
        return self.wait_for(
            callid, lambda d: d.state == state and (legs is None or len(d.legs) == legs)
        )

    def wait_ended(self, callid: str, timeout: float = 10.0) -> None:
        """Poll until the call is gone, or deleted and waiting for its transactions."""
        poll(lambda: self.alive(callid) is None, timeout, lambda: f"still {self.dialog(callid)}")

    def wait_gone(self, callid: str, timeout: float) -> None:
        """Poll until dlg_list does not know the call any more."""
        poll(lambda: self.dialog(callid) is None, timeout, lambda: f"still {self.dialog(callid)}")

    def wait_empty(self, timeout: float) -> None:
        """Poll until not one dialog is left in the table."""
        poll(
            lambda: self.fifo.call("dlg_list") == b"200 OK\n\n",
            timeout,
            lambda: f"left: {self.fifo.list()[:5]}",
        )

    def order_kill(self, callid: str) -> int:
        """Order the end of a call with one leg; returns the number of the order."""
        found = self.rpc.call("dlg.dlg_list", callid)
        return int(self.rpc.call("dlg.end_dlg", found["h_entry"], found["h_id"])["id"])

    def wait_outcomes(self, order: int, expected: dict[str, str], timeout: float = 10.0) -> None:
        """Poll until an order's record says so of each side of a call with one leg."""

        def outcomes() -> dict[str, str]:
            legs = self.rpc.call("dlg.termination", order)["legs"]
            return {leg["side"]: leg["outcome"] for leg in legs}

        poll(lambda: outcomes() == expected, timeout, lambda: f"{outcomes()}, not {expected}")

    def kill(
        self, by: str, callid: str, from_tag: str, to_tag: str, headers: str = ""
    ) -> tuple[int, str]:
        """Order a call's end. by: "fifo" or "http"; returns code and text of the reply."""
        extra = [headers] if headers else []
        if by == "fifo":
            lines = [quoted(text) if "\n" in text else text for text in extra]
            code, _, text = self.fifo.status(
                "dlg_terminate_dlg", callid, from_tag, to_tag, *lines
            ).partition(" ")
            return int(code), text
        try:
            self.rpc.call("dlg.terminate_dlg", callid, from_tag, to_tag, *extra)
        except RpcError as error:
            return error.code, error.message
        return 200, "OK"

    def watch(self, callid: str) -> Watch:
        return Watch(self, callid)


def poll(condition: Callable[[], bool], timeout: float, problem: Callable[[], str]) -> None:
    """Try ``condition`` until it holds; AssertionError with ``problem()`` after ``timeout``."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, problem()
        time.sleep(0.05)


class Watch:
    """Polls dlg_list for one call in the background, and keeps what changed."""

    def __init__(self, daemon: Daemon, callid: str) -> None:
        self._daemon, self._callid = daemon, callid
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: BaseException | None = None
        self.seen: list[Dialog] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(20)
        assert not self._thread.is_alive(), "dlg_list hangs"
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                found = self._daemon.dialog(self._callid)
                if found is not None and (not self.seen or found != self.seen[-1]):
                    self.seen.append(found)
                self._stop.wait(0.01)
        except BaseException as error:  # noqa: BLE001 - handed to the test's own thread
            self._error = error

    @property
    def states(self) -> list[int]:
        """The states in order, each repeated only when it came back."""
        result: list[int] = []
        for dialog in self.seen:
            if not result or result[-1] != dialog.state:
                result.append(dialog.state)
        return result

    def in_state(self, state: int) -> list[Dialog]:
        found = [dialog for dialog in self.seen if dialog.state == state]
        assert found, f"never in state {state}: {self.states}"
        return found
