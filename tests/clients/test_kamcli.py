"""Debian's kamcli, unmodified, over its unix datagram socket."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.clients.calls import SippCall, talk
from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.phones import Phones

KAMCLI = shutil.which("kamcli")
_RECORDED = Path(__file__).parent.parent / "data" / "rpc-5.6" / "dialog" / "live" / "kamcli2"

pytestmark = pytest.mark.skipif(
    KAMCLI is None, reason="kamcli is not installed (Debian: apt-get install kamcli)"
)


class Kamcli:
    """kamcli with a configuration for one daemon; it prints JSON."""

    def __init__(self, folder: Path, socket: Path) -> None:
        self._config = folder / "kamcli.ini"
        self._config.write_text(
            "[main]\ndomain=example.com\n[ctl]\ntype=jsonrpc\n[jsonrpc]\ntransport=socket\n"
            f"srvaddr={socket}\nrcvaddr={folder}/kamcli.sock\noutformat=json\n"
        )

    def run(self, *arguments: str) -> str:
        """What it prints; AssertionError unless it says that all went well."""
        assert KAMCLI is not None
        done = subprocess.run(
            [KAMCLI, "-c", str(self._config), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done
        # "kamcli rpc" says what it runs.
        assert all(line.startswith("(log): Running") for line in done.stderr.splitlines()), done
        return done.stdout

    def answer(self, *arguments: str) -> Any:
        return json.loads(self.run(*arguments))

    def result(self, *arguments: str) -> Any:
        return self.answer(*arguments)["result"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kamcli")


@pytest.fixture(scope="module")
def daemon(folder: Path) -> Iterator[Daemon]:
    sock = {"listen": [f"unixd:{folder}/rpc.sock"]}
    ims = {"profiles_with_value": "caller", "profiles_no_value": "inbound"}
    sip = {"t1": 0.1, "t4": 0.5}
    daemon = Daemon(folder, sip=sip, ims=ims, tables={"jsonrpc_sock": sock}).start()
    try:
        yield daemon
        daemon.wait_empty(20)
    finally:
        daemon.stop()


@pytest.fixture
def kamcli(folder: Path, daemon: Daemon) -> Kamcli:
    return Kamcli(folder, folder / "rpc.sock")


@pytest.fixture
def call(daemon: Daemon, phones: Phones) -> SippCall:
    return talk(daemon, phones)


def test_a_call_is_listed_looked_up_and_terminated(
    daemon: Daemon, kamcli: Kamcli, call: SippCall
) -> None:
    (found,) = [x for x in kamcli.result("dialog", "list") if x["call-id"] == call.callid]
    assert (found["state"], found["from_uri"]) == (4, "sip:alice@ims.example.com")
    assert kamcli.result("rpc", "dlg.dlg_list", call.callid)["call-id"] == call.callid
    active = kamcli.result("dialog", "stats_active")
    assert [*active] == ["starting", "connecting", "answering", "ongoing", "all"]
    assert active["ongoing"] >= 1
    ended = kamcli.answer("dialog", "terminate", call.callid, call.from_tag, call.to_tag)
    assert "result" in ended
    call.check_ended()
    daemon.wait_ended(call.callid)
    again = kamcli.answer("dialog", "terminate", call.callid, call.from_tag, call.to_tag)
    assert again["error"] == {"code": 500, "message": "Couldnt find callid in dialog"}


def test_a_call_is_killed_by_its_ids(kamcli: Kamcli, call: SippCall) -> None:
    found = kamcli.result("rpc", "dlg.dlg_list", call.callid)
    kamcli.result("rpc", "dlg.end_dlg", f"i:{found['h_entry']}", f"i:{found['h_id']}")
    call.check_ended()


def test_profiles(kamcli: Kamcli) -> None:
    assert kamcli.result("dialog", "profile_list", "caller") == []
    assert kamcli.result("rpc", "dlg.profile_list", "caller", "alice") == []
    unknown = kamcli.answer("dialog", "profile_list", "nope")["error"]
    assert (unknown["code"], unknown["message"]) == (404, "Profile not found: nope")


def test_processes_statistics_and_the_server(daemon: Daemon, kamcli: Kamcli) -> None:
    lines = kamcli.run("ps").splitlines()
    shown = [re.match(rf" *\d+ +{daemon.process.pid} ", line) for line in lines]
    assert any(shown), lines
    names = [line.partition(" = ")[0] for line in kamcli.result("stats", "dialog:")]
    recorded = json.loads((_RECORDED / "stats_dialog.rep").read_text())["result"]
    assert names == [line.partition(" = ")[0] for line in recorded]
    assert any(line.startswith("core:rcv_requests = ") for line in kamcli.result("stats"))
    assert any("rcv_requests" in name for name in kamcli.result("stats", "-s", "rcv_requests"))
    assert 0 <= kamcli.result("uptime")["uptime"] < 3600
    assert "dlg.list" in kamcli.result("rpcmethods")
    assert kamcli.result("srv", "version").startswith("dlgmgmt ")
    assert {"version", "id", "compiler", "compiled", "flags"} <= {*kamcli.result("srv", "info")}
    assert kamcli.result("srv", "modules")
    (socket,) = kamcli.result("srv", "sockets")
    assert socket["PORT"] == str(daemon.port)


def test_more_than_it_reads_is_an_error_that_says_what_to_do(
    daemon: Daemon, kamcli: Kamcli, phones: Phones
) -> None:
    """kamcli reads 84,000 bytes of a datagram, and would not notice that there is more."""
    callee = phones.sipp("uas_answer", calls=100)
    caller = phones.sipp(
        "uac_wait_bye",
        remote=daemon.hostport,
        target=f"127.0.0.1:{callee.port}",
        calls=100,
        extra=("-r", "200", "-l", "100"),
    )
    poll(
        lambda: bool(kamcli.result("dialog", "stats_active")["ongoing"] == 100),
        20,
        lambda: "not all calls are answered",
    )
    error = kamcli.answer("dialog", "list")["error"]
    assert "limit and cursor of dlg.query" in error["data"]
    for dialog in daemon.rpc.call("dlg.list"):
        daemon.rpc.call("dlg.end_dlg", dialog["h_entry"], dialog["h_id"])
    caller.wait()
    callee.wait()


def test_many_at_once_each_get_their_own_answer(kamcli: Kamcli) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda n: kamcli.result("rpc", "core.echo", f"n{n}"), range(12)))
    assert found == [[f"n{number}"] for number in range(12)]
