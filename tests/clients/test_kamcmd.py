"""Debian's kamcmd, unmodified, over each kind of socket that it knows."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import select
import shlex
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dlgmgmt.interfaces.binrpc_codec import Framer, decode_request
from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.sipp import Sipp

KAMCMD = shutil.which("kamcmd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
KINDS = ("unixs", "unixd", "tcp", "udp")
DOORS = pytest.mark.parametrize("door", KINDS)
PAGING = "use dlg.query with limit and cursor"
_RECORDED = Path(__file__).parent.parent / "data" / "rpc-5.6"

pytestmark = pytest.mark.skipif(
    KAMCMD is None, reason="kamcmd is not installed (Debian: apt-get install kamailio)"
)


class Kamcmd:
    """kamcmd, for one daemon."""

    def __init__(self, doors: dict[str, str]) -> None:
        self.doors = doors

    def command(self, door: str, *arguments: str) -> list[str]:
        assert KAMCMD is not None
        return [KAMCMD, "-s", self.doors[door], *arguments]

    def run(self, door: str, *arguments: str, stdin: str = "") -> str:
        """What it prints; AssertionError unless it says that all went well."""
        done = subprocess.run(
            self.command(door, *arguments),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, ""), done
        return done.stdout

    def dialogs(self, door: str, *arguments: str) -> list[dict[str, str]]:
        """The dialogs of a listing, without what is nested within them."""
        found: list[dict[str, str]] = []
        for line in self.run(door, *arguments).splitlines():
            if line == "{":
                found.append({})
            elif match := re.fullmatch(r"\t([\w-]+): ([^{]*)", line):
                found[-1][match[1]] = match[2]
        return found


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    folder = tmp_path_factory.mktemp("kamcmd")
    tcp, udp = free_port(), free_port()
    doors = [f"unixs:{folder}/ctl", f"unixd:{folder}/ctld"]
    doors += [f"tcp:127.0.0.1:{tcp}", f"udp:127.0.0.1:{udp}"]
    daemon = Daemon(folder, sip={"t1": 0.1, "t4": 0.5}, tables={"binrpc": {"listen": doors}})
    daemon.start()
    try:
        yield daemon
        daemon.wait_empty(20)
    finally:
        daemon.stop()


@pytest.fixture
def kamcmd(daemon: Daemon) -> Kamcmd:
    return Kamcmd(dict(zip(KINDS, daemon.tables["binrpc"]["listen"], strict=True)))


@pytest.fixture
def call(daemon: Daemon, phones: Phones) -> tuple[Sipp, Sipp]:
    """An answered call of two sipps, that wait for the other side to hang up."""
    uas = phones.sipp("uas_answer")
    uac = phones.sipp(
        "uac_wait_bye",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        callid=phones.callid,
    )
    daemon.wait_state(phones.callid, 4, legs=1)
    return uac, uas


def _ended(call: tuple[Sipp, Sipp]) -> None:
    for sipp in call:
        sipp.wait()
        assert sipp.got_one("BYE").get("Reason").startswith("SIP;cause=")


def _keys(printed: str) -> list[str]:
    """The names in a printed structure, with their depth."""
    return re.findall(r"^(\t+[\w-]+):", printed, re.MULTILINE)


@DOORS
def test_a_call_is_listed_looked_up_and_killed(
    daemon: Daemon, kamcmd: Kamcmd, phones: Phones, call: tuple[Sipp, Sipp], door: str
) -> None:
    listed = [one for one in kamcmd.dialogs(door, "dlg.list") if one["call-id"] == phones.callid]
    (found,) = kamcmd.dialogs(door, "dlg.dlg_list", phones.callid)
    assert [one | {"duration": "", "timeout_left": ""} for one in listed] == [
        found | {"duration": "", "timeout_left": ""}
    ]
    assert (found["state"], found["from_uri"]) == ("4", "sip:alice@ims.example.com")
    kamcmd.run(door, "dlg.end_dlg", found["h_entry"], found["h_id"])
    _ended(call)
    daemon.wait_ended(phones.callid)
    again = kamcmd.run(door, "dlg.end_dlg", found["h_entry"], found["h_id"])
    assert again == "error: 404 - Dialog not found\n"


@DOORS
def test_a_call_is_killed_by_its_tags(
    kamcmd: Kamcmd, phones: Phones, call: tuple[Sipp, Sipp], door: str
) -> None:
    kamcmd.run(door, "dlg.terminate_dlg", phones.callid, "uac-1", f"uas{call[1].port}-1")
    _ended(call)


def test_a_dialog_is_printed_as_the_real_server_has_it_printed(
    kamcmd: Kamcmd, phones: Phones, call: tuple[Sipp, Sipp]
) -> None:
    printed = kamcmd.run("unixs", "dlg.dlg_list", phones.callid)
    recorded = (_RECORDED / "dialog/live/kamcmd/list.stdout").read_text()
    first = recorded[: recorded.index("\n}\n")]
    # Profiles and variables are what the recorded script has set, and this one has not.
    keys = [key for key in _keys(first) if len(key) - len(key.lstrip("\t")) < 3]
    assert _keys(printed)[: len(keys)] == keys
    assert printed.startswith("{\n\th_entry: ")
    assert "\n\tprofiles: {\n\t}\n\tvariables: {\n\t}\n" in printed
    kamcmd.run("unixs", "dlg.terminate_dlg", phones.callid, "uac-1", f"uas{call[1].port}-1")
    _ended(call)


SAME = {
    "dialog/empty": "list list_ctx list_match_none stats_active",
    "dialog/live": (
        "bridge_few bridge_none core_echo jsonrpc_echo help_nope_nope dlg_list_badftag "
        "dlg_list_early dlg_list_num dlg_list_unknown "
        "end_dlg_bigentry end_dlg_noparams end_dlg_unknown is_alive_early is_alive_few "
        "is_alive_unknown list_match_2params list_match_badkey list_match_badop list_match_badop3 "
        "list_match_badre list_match_callid_gt list_match_none list_match_noparams "
        "list_match_start_lt list_match_tsop profile_list_unknown profile_size_unknown "
        "set_state_bad set_state_few set_state_unknown terminate_few terminate_unknown "
        "unknown_method"
    ),
    "ims/empty": "list",
    "ims/live": "end_dlg_bigentry end_dlg_noparams end_dlg_unknown unknown_method",
}
CASES = [f"{folder}/kamcmd/{name}" for folder, names in SAME.items() for name in names.split()]


@pytest.mark.parametrize("case", CASES)
def test_what_was_recorded_is_printed_again(daemon: Daemon, kamcmd: Kamcmd, case: str) -> None:
    daemon.wait_empty(20)
    line = (_RECORDED / f"{case}.txt").read_text().partition("\n")[0]
    _, name, _, _, *arguments = shlex.split(line)
    assert name == "kamcmd"
    recorded = (_RECORDED / f"{case}.stdout").read_text()
    assert kamcmd.run("unixs", *arguments) == recorded


@DOORS
def test_what_is_wrong_is_printed_and_the_exit_code_is_kamcmds_own(
    kamcmd: Kamcmd, door: str
) -> None:
    """It exits with 0 whenever there was an answer: scripts look at what is printed."""
    assert kamcmd.run(door, "dlg.nope") == "error: 500 - command dlg.nope not found\n"
    assert kamcmd.run(door, "dlg.end_dlg", "x") == "error: 500 - Invalid parameters\n"
    missing = kamcmd.run(door, "dlg.dlg_list")
    assert missing == "error: 400 - Invalid params: parameter callid is missing\n"


@DOORS
def test_aliases_and_formats(daemon: Daemon, kamcmd: Kamcmd, door: str) -> None:
    assert kamcmd.run(door, "ver").startswith("dlgmgmt ")
    assert kamcmd.run(door, "-f", "%v calls\\n", "dlg.profile_get_size") == (
        "error: 400 - Invalid params: parameter profile is missing\n"
    )
    methods = kamcmd.run(door, "ls").split()
    assert {"dlg.list", "dlg.end_dlg", "core.version", "system.listMethods"} <= {*methods}


@DOORS
def test_interactive(kamcmd: Kamcmd, door: str) -> None:
    """It learns the commands at its start, then runs what it reads until the end."""
    printed = kamcmd.run(door, stdin="core.version\ndlg.nope\ndlg.stats_active\nhelp\nquit\n")
    answers = printed.split("kamcmd> ")[1:]
    assert re.fullmatch(r"core.version\ndlgmgmt \S+ \(\S+\)\n", answers[0])
    assert answers[1] == "dlg.nope\nerror: 500 - command dlg.nope not found\n"
    assert answers[2].startswith("dlg.stats_active\n{\n\tstarting: ")
    assert {"dlg.list", "dlg.end_dlg", "system.listMethods"} <= {*answers[3].split()}


class Relay:
    """Passes a unix stream socket on to another, and keeps what clients ask."""

    def __init__(self, path: Path, target: str) -> None:
        self.methods: list[str] = []
        self._target = target
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        framer = Framer(65_536)
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as target:
            target.connect(self._target)
            client, _ = self._server.accept()
            with client:
                while True:
                    ready, _, _ = select.select([client, target], [], [], 20)
                    for each in ready:
                        data = each.recv(200_000)
                        if not data:
                            return
                        if each is client:
                            self.methods += [
                                decode_request(one).method for one in framer.feed(data)
                            ]
                        (target if each is client else client).sendall(data)

    def close(self) -> None:
        self._thread.join(20)
        self._server.close()


def test_what_the_interactive_start_asks(kamcmd: Kamcmd, tmp_path: Path) -> None:
    """And gets: kamcmd reports no error, and asks for the counters of each group."""
    groups = kamcmd.run("unixs", "cnt.grps_list").split()
    relay = Relay(tmp_path / "relay", kamcmd.doors["unixs"].removeprefix("unixs:"))
    beside = Kamcmd({"unixs": f"unixs:{tmp_path}/relay"})
    assert "error" not in beside.run("unixs", stdin="core.version\nquit\n").lower()
    relay.close()
    start, end = relay.methods[:3], relay.methods[3:]
    assert start == ["system.listMethods", "cfg.list", "cnt.grps_list"]
    assert end == ["cnt.var_list"] * len(groups) + ["core.version"]


class Terminal:
    """kamcmd on a terminal, where it completes what is typed."""

    def __init__(self, command: list[str]) -> None:
        self._fd, other = pty.openpty()
        environment = {**os.environ, "TERM": "dumb", "INPUTRC": "/dev/null"}
        self.process = subprocess.Popen(
            command, stdin=other, stdout=other, stderr=other, env=environment
        )
        os.close(other)
        self._text = ""

    def until(self, pattern: str) -> str:
        """What has been printed once the pattern is in it."""
        end = time.monotonic() + 20
        while re.search(pattern, self._text) is None:
            ready, _, _ = select.select([self._fd], [], [], max(0.0, end - time.monotonic()))
            assert ready, f"no {pattern!r} in {self._text!r}"
            self._text += os.read(self._fd, 4096).decode()
        text, self._text = self._text, ""
        return text

    def type(self, text: str) -> None:
        os.write(self._fd, text.encode())

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait(10)
        os.close(self._fd)


@pytest.fixture
def terminal(kamcmd: Kamcmd) -> Iterator[Callable[[str], Terminal]]:
    opened: list[Terminal] = []

    def start(door: str) -> Terminal:
        opened.append(Terminal(kamcmd.command(door)))
        return opened[-1]

    yield start
    for each in opened:
        each.close()


@DOORS
def test_completion_on_a_terminal(terminal: Callable[[str], Terminal], door: str) -> None:
    screen = terminal(door)
    screen.until("kamcmd> ")
    screen.type("system.listM\t\n")
    assert "dlg.terminate_dlg" in screen.until(r"dlg\.terminate_dlg[^$]*kamcmd> ")
    screen.type("dlg.end_d\t 1 2\n")
    screen.until("error: 404 - Dialog not found")
    screen.type("quit\n")
    assert screen.process.wait(10) == 0


def test_a_listing_too_large_for_kamcmd(daemon: Daemon, kamcmd: Kamcmd, phones: Phones) -> None:
    """Refused with the way to get it; a larger one would make kamcmd say "reply too big"."""
    many = 200
    uas = phones.sipp("uas_answer", calls=many, limit=60)
    uac = phones.sipp(
        "uac_wait_bye",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        calls=many,
        limit=60,
        extra=["-r", "100", "-l", str(many)],
    )
    poll(
        lambda: daemon.rpc.call("dlg.stats_active")["ongoing"] == many,
        30,
        lambda: str(daemon.rpc.call("dlg.stats_active")),
    )
    for door in KINDS:
        limit = 65_507 if door == "udp" else 131_072
        assert kamcmd.run(door, "dlg.list") == (
            f"error: 500 - the result is more than the {limit} bytes that this door carries: "
            f"{PAGING}\n"
        )
        # Single calls, and shorter lists, are had all the same.
        brief = kamcmd.dialogs(door, "dlg.briefing", "c")
        assert len({one["call-id"] for one in brief}) == many
        callid = brief[0]["call-id"]
        assert len(kamcmd.dialogs(door, "dlg.dlg_list", callid)) == 1
    assert f"ordered: {many}" in kamcmd.run("unixs", "dlg2.end_all_active_dlg")
    uac.wait()
    uas.wait()
