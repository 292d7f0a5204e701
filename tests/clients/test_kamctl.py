"""Debian's kamctl, unmodified, over the JSON FIFO."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.clients.calls import SippCall, talk
from tests.sip.harness.daemon import Daemon
from tests.sip.harness.phones import Phones

KAMCTL = shutil.which("kamctl", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
_RECORDED = Path(__file__).parent.parent / "data" / "rpc-5.6" / "dialog" / "live" / "kamctl"

pytestmark = pytest.mark.skipif(
    KAMCTL is None, reason="kamctl is not installed (Debian: apt-get install kamailio)"
)


class Kamctl:
    """kamctl for one daemon. environment: what an operator has in his kamctlrc."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = {**os.environ, **environment}

    def run(self, *arguments: str) -> str:
        """What it prints; AssertionError unless it says that all went well."""
        assert KAMCTL is not None
        done = subprocess.run(
            [KAMCTL, *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
            env=self._environment,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def answer(self, *arguments: str) -> Any:
        """The JSON that it prints, after a heading for some commands."""
        printed = self.run(*arguments)
        return json.loads(printed[printed.index("{") :])

    def result(self, *arguments: str) -> Any:
        return self.answer(*arguments)["result"]

    def rpc(self, *arguments: str) -> Any:
        return self.answer("rpc", *arguments)


@pytest.fixture(scope="module", params=["chroot", "tmp"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The daemon's directory, and where kamctl makes its reply FIFOs."""
    folder = tmp_path_factory.mktemp("kamctl")
    return folder, (folder / "tmp" if request.param == "chroot" else Path("/tmp"))


@pytest.fixture(scope="module")
def daemon(place: tuple[Path, Path]) -> Iterator[Daemon]:
    folder, replies = place
    fifo = {"fifo_name": str(folder / "rpc.fifo"), "reply_dir": str(replies)}
    sip = {"t1": 0.1, "t4": 0.5}
    daemon = Daemon(folder, sip=sip, tables={"jsonrpc_fifo": fifo}).start()
    try:
        yield daemon
        daemon.wait_empty(20)
    finally:
        daemon.stop()


@pytest.fixture
def kamctl(place: tuple[Path, Path], daemon: Daemon) -> Kamctl:
    folder, replies = place
    environment = {"RPCFIFOPATH": str(folder / "rpc.fifo"), "HOME": str(folder)}
    if replies.is_relative_to(folder):
        environment["CHROOT_DIR"] = str(folder)
    return Kamctl(environment)


@pytest.fixture
def call(daemon: Daemon, phones: Phones) -> SippCall:
    return talk(daemon, phones)


def test_a_call_is_listed_looked_up_and_killed(
    daemon: Daemon, kamctl: Kamctl, call: SippCall
) -> None:
    for listed in (kamctl.result("dialog", "show"), kamctl.result("rpc", "dlg.list")):
        (found,) = [each for each in listed if each["call-id"] == call.callid]
        assert (found["state"], found["from_uri"]) == (4, "sip:alice@ims.example.com")
    found = kamctl.rpc("dlg.dlg_list", call.callid)["result"]
    assert found["call-id"] == call.callid
    kamctl.rpc("dlg.end_dlg", str(found["h_entry"]), str(found["h_id"]))
    call.check_ended()
    daemon.wait_ended(call.callid)
    again = kamctl.rpc("dlg.end_dlg", str(found["h_entry"]), str(found["h_id"]))
    assert again["error"]["code"] == 404


def test_a_call_is_killed_by_its_tags(kamctl: Kamctl, call: SippCall) -> None:
    assert "result" in kamctl.rpc("dlg.terminate_dlg", call.callid, call.from_tag, call.to_tag)
    call.check_ended()


def test_statistics_and_uptime(kamctl: Kamctl) -> None:
    statistics = kamctl.result("stats")
    assert all(re.fullmatch(r"[\w-]+:[\w-]+ = -?\d+", line) for line in statistics)
    assert any(line.startswith("core:rcv_requests = ") for line in statistics)
    names = [line.partition(" = ")[0] for line in kamctl.result("stats", "dialog")]
    recorded = json.loads(_printed("stats_dialog"))["result"]
    assert names == [line.partition(" = ")[0] for line in recorded]
    uptime = kamctl.result("uptime")
    assert [*uptime] == ["now", "up_since", "uptime"]
    assert 0 <= uptime["uptime"] < 3600


def test_processes_sockets_and_what_else_it_shows(daemon: Daemon, kamctl: Kamctl) -> None:
    processes = kamctl.result("ps")
    assert {"IDX", "PID", "DSC"} <= {*processes[0]}
    assert daemon.process.pid in [each["PID"] for each in processes]
    assert {"index", "pid", "status", "rank", "description"} <= {*kamctl.result("psa")[0]}
    (socket,) = kamctl.result("srv", "sockets")
    recorded = json.loads(_printed("srv_sockets"))["result"][0]
    assert [*socket] == [*recorded]
    assert (socket["PROTO"], socket["PORT"]) == ("udp", str(daemon.port))
    assert {"dlg.list", "dlg.end_dlg", "core.uptime"} <= {*kamctl.result("srv", "rpclist")}
    assert kamctl.result("srv", "version").startswith("dlgmgmt ")
    assert kamctl.result("srv", "modules")


def test_numbers_and_text_as_kamctl_writes_them(kamctl: Kamctl) -> None:
    assert kamctl.rpc("core.echo", "5", "s:5", "i:7", "abc")["result"] == ["5", "5", "7", "abc"]


def test_what_is_wrong_is_printed(kamctl: Kamctl) -> None:
    assert kamctl.rpc("dlg.nope")["error"] == {"code": -32601, "message": "Method not found"}
    assert kamctl.rpc("dlg.end_dlg", "1", "2")["error"]["message"] == "Dialog not found"


def test_many_at_once_each_get_their_own_answer(kamctl: Kamctl) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda number: kamctl.rpc("core.echo", f"n{number}"), range(24)))
    assert [each["result"] for each in found] == [[f"n{number}"] for number in range(24)]


def test_a_request_that_ends_early_does_not_stop_the_next(
    place: tuple[Path, Path], kamctl: Kamctl
) -> None:
    """The real server answers nobody any more."""
    (place[0] / "rpc.fifo").write_text('{"jsonrpc": "2.0", "method": "dlg.list"')
    assert "all" in kamctl.result("rpc", "dlg.stats_active")


def test_the_layout_is_the_recorded_one(kamctl: Kamctl, call: SippCall) -> None:
    """kamctl's filter goes by lines: the fields that both have stand where they stood."""
    shape = re.compile(r'^( +)"([\w-]+)":', re.MULTILINE)
    ours = shape.findall(kamctl.run("rpc", "dlg.dlg_list", call.callid))
    theirs = shape.findall(_printed("rpc_dlg_list"))
    # Profiles and variables are what the recorded script has set.
    before = next(i for i, (_, name) in enumerate(theirs) if name == "profiles")
    assert ours[:before] == theirs[:before]
    kamctl.rpc("dlg.terminate_dlg", call.callid, call.from_tag, call.to_tag)
    call.check_ended()


def _printed(case: str) -> str:
    text = (_RECORDED / f"{case}.txt").read_text()
    text = text.partition("[stdout]\n")[2].partition("[stderr]")[0]
    return text[text.index("{") :]
