"""The daemon on a SQLite file: its start and its end in each mode, with calls that sipp makes."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.db.harness.stage import Stage, differences
from tests.sip.harness.daemon import ROOT, Daemon, poll
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.sipp import SIPP, Sipp

pytestmark = pytest.mark.skipif(SIPP is None, reason="sipp is not installed (sip-tester)")

HOLD = {"RING": "50", "TALK": "50"}
Listing = dict[str, dict[str, Any]]


class House:
    """A daemon on a file, and sipp's calls through it. All end with the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.url = f"sqlite://{folder}/calls.sqlite"
        self.stages: list[Stage] = []
        self._phones: list[Phones] = []

    def stage(self, mode: int, **more: Any) -> Stage:
        url = more.pop("url", self.url)
        stage = Stage(self.folder / f"daemon{len(self.stages)}", url, mode, **more)
        self.stages.append(stage)
        return stage

    def phones(self, callid: str) -> Phones:
        self._phones.append(Phones(self.folder, callid))
        return self._phones[-1]

    def call(self, stage: Stage) -> tuple[str, Sipp, Sipp]:
        """An answered call: its Call-ID, caller and callee; both wait for their BYE."""
        callid = f"sipp-{len(self._phones)}@modes"
        phones = self.phones(callid)
        callee = phones.sipp("uas_answer", fill=HOLD, limit=60)
        caller = phones.sipp(
            "uac_wait_bye",
            remote=stage.hostport,
            target=f"127.0.0.1:{callee.port}",
            callid=callid,
            fill=HOLD,
            limit=60,
        )
        stage.wait_state(callid, 4)
        return callid, caller, callee

    def close(self) -> None:
        for phones in self._phones:
            phones.hang_up()
        for stage in self.stages:
            stage.end()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path)
    yield house
    house.close()
    for stage in house.stages:
        for path in stage.folder.glob("stderr*"):
            assert "Traceback" not in path.read_text(errors="replace"), path.read_text()[-4000:]


def environment() -> dict[str, str]:
    """In which the program is found."""
    paths = [str(ROOT / "fifo"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}


def same(before: Listing, after: Listing) -> None:
    assert after.keys() == before.keys()
    assert [text for key in before for text in differences(before[key], after[key])] == []


def killed(stage: Stage, calls: list[tuple[str, Sipp, Sipp]]) -> None:
    """Each call is ended, and sipp is content: one BYE at each side, and nothing unexpected."""
    for callid, caller, callee in calls:
        assert stage.end_call(callid)
        for phone in (caller, callee):
            phone.wait()
            assert phone.got_one("BYE").cseq == 2
    assert not {callid for callid, _, _ in calls} & stage.listing().keys()


# -- ends and starts -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_sigterm_loses_nothing(house: House, mode: int) -> None:
    stage = house.stage(mode, ims={"db_update_period": 3600, "db_fetch_rows": 2}).start()
    calls = [house.call(stage) for _ in range(3)]
    before = stage.listing()
    assert len(before) == 3
    for _ in range(2):
        stage.stop()
        stage.start()
        same(before, stage.listing())
        assert stage.status()["loaded"] == 3
    killed(stage, calls)
    stage.stop()
    stage.start()
    assert stage.listing() == {}
    stage.stop()


def test_a_kill_in_mode_1(house: House) -> None:
    stage = house.stage(1).start()
    calls = [house.call(stage) for _ in range(2)]
    gone, caller, callee = house.call(stage)
    before = stage.listing()
    assert stage.end_call(gone)
    caller.wait()
    callee.wait()
    del before[gone]
    time.sleep(0.5)  # far more than db_commit_interval
    stage.kill_9()
    stage.start()
    same(before, stage.listing())
    numbers = stage.rpc.call("stats.fetchn", "database:")
    assert (numbers["database.loaded"], numbers["database.waiting"]) == (2, 0)
    killed(stage, calls)
    poll(lambda: stage.rows() == {}, 10, lambda: str(stage.rows()))
    stage.stop()


def test_a_kill_in_mode_2_keeps_what_was_flushed(house: House) -> None:
    stage = house.stage(2, ims={"db_update_period": 3600}).start()
    calls = [house.call(stage)]
    before = stage.listing()
    assert stage.status()["waiting"] == 1
    assert stage.rpc.call("dlg.db_flush") == {"done": True, "waiting": 0}
    later = house.call(stage)
    stage.kill_9()
    stage.start()
    same(before, stage.listing())
    killed(stage, calls)
    assert not stage.end_call(later[0])
    stage.stop()


@pytest.mark.parametrize("script", ["", None])
def test_a_2xx_that_the_caller_has_seen_is_durable(house: House, script: str | None) -> None:
    """With db_sync_confirm, in the very moment in which it comes."""
    database = {"db_sync_confirm": 1, "db_commit_interval": 0.2}
    more = {} if script is None else {"script": script}
    stage = house.stage(1, database=database, **more).start()
    phones = house.phones("held@modes")
    caller, callee = phones.caller(stage), phones.callee(stage)
    caller.invite(f"sip:bob@{callee.hostport}")
    callee.take()
    began = time.monotonic()
    callee.answer()
    answer = caller.expect(200, "INVITE")
    stage.kill_9()
    assert time.monotonic() - began > 0.03, "it has waited for a commit"
    stage.start()
    listed = stage.listing()["held@modes"]
    assert (listed["ims_state"], listed["legs"][0]["to_tag"]) == (5, answer.to_tag)
    caller.ack(answer)
    callee.expect("ACK")
    stage.wait_state("held@modes", 4)
    stage.stop()


def test_a_2xx_does_not_wait_for_a_database_that_is_away(house: House) -> None:
    database = {"db_sync_confirm": 1, "db_sync_timeout": 0.5}
    stage = house.stage(1, database=database).start()
    with closing(sqlite3.connect(house.folder / "calls.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        house.call(stage)
        assert stage.status()["unsynced"] == 1
        other.execute("ROLLBACK")
    poll(lambda: stage.rows().get("dialog_in") == 1, 20, lambda: str(stage.status()))
    stage.stop()


def test_mode_3_writes_at_the_end_alone(house: House) -> None:
    stage = house.stage(3).start()
    house.call(stage)
    with pytest.raises(Exception, match="db_mode 3 writes when the daemon ends"):
        stage.rpc.call("dlg.db_flush")
    assert stage.rows() == {}
    stage.kill_9()
    stage.start()
    assert stage.listing() == {}
    stage.stop()


def test_mode_0_has_no_database(house: House) -> None:
    stage = house.stage(0).start()
    house.call(stage)
    assert stage.status()["state"] == "off"
    assert stage.health()[0] == 200
    stage.stop()
    assert not (house.folder / "calls.sqlite").exists()
    stage.start()
    assert stage.listing() == {}
    stage.stop()


def test_what_cannot_be_written_at_the_end_is_rescued(house: House) -> None:
    stage = house.stage(1, database={"stop_timeout": 0.5}).start()
    calls = [house.call(stage)]
    gone, caller, callee = house.call(stage)
    poll(lambda: stage.rows().get("dialog_in") == 2, 10, lambda: str(stage.status()))
    with closing(sqlite3.connect(house.folder / "calls.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        calls.append(house.call(stage))
        assert stage.end_call(gone)
        caller.wait()
        callee.wait()
        before = stage.listing()
        assert len(before) == 2
        stage.process.send_signal(signal.SIGTERM)
        assert stage.refused_with(20) == 1
        other.execute("ROLLBACK")
    (path,) = stage.folder.glob("rescue-*.jsonl")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"dlgmgmt db restore {path}" in stage.stderr()
    config = str(stage.folder / "dlgmgmt.toml")
    command = [sys.executable, "-m", "dlgmgmt", "db", "restore", str(path), "--config", config]
    subprocess.run(command, check=True, capture_output=True, env=environment())
    stage.start()
    same(before, stage.listing())
    killed(stage, calls)
    stage.stop()


# -- what is said on stdout ------------------------------------------------------------------------


def lines_of(stage: Stage, count: int) -> list[str]:
    """The first lines on stdout of a daemon that was started until one that never comes."""
    out = stage.process.stdout
    assert out is not None
    return [out.readline().decode() for _ in range(count)]


@pytest.mark.parametrize("mode", [0, 1])
def test_the_line_that_scripts_wait_for(house: House, mode: int) -> None:
    stage = house.stage(mode)
    stage.start(until="loading" if mode else "ready")
    if mode:
        (ready,) = lines_of(stage, 1)
        assert ready.startswith(f"ready sip=udp:{stage.hostport} fifo=")
        assert f"http=http://127.0.0.1:{stage.http_port}/RPC" in ready
    stage.stop()


def test_sigterm_while_the_database_is_not_reached(house: House) -> None:
    """It is not waited for, and nothing is said of a failure."""
    url = f"mysql://me:secret@127.0.0.1:{free_port()}/calls"
    stage = house.stage(1, url=url, database={"connect_timeout": 60}).start(until="loading")
    assert stage.status()["state"] == "loading"
    assert stage.health() == (
        503,
        {
            "status": "degraded",
            "loading": True,
            "database": {"mode": 1, "state": "loading", "waiting": 0, "oldest_ms": 0},
        },
    )
    began = time.monotonic()
    stage.stop()
    assert time.monotonic() - began < 10
    assert "secret" not in stage.stderr()


def test_sigterm_while_dialogs_are_loaded(house: House) -> None:
    """Those that were not read yet stay where they are."""
    stage = house.stage(1).start()
    calls = [house.call(stage) for _ in range(2)]
    before = stage.listing()
    stage.stop()
    with closing(sqlite3.connect(house.folder / "calls.sqlite", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        stage.start(until="loading")
        time.sleep(0.3)
        stage.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        other.execute("ROLLBACK")
        assert stage.process.wait(20) == 0
    assert stage.process.stdout is not None
    stage.process.stdout.close()
    stage.start()
    same(before, stage.listing())
    killed(stage, calls)
    stage.stop()


# -- what stops the start --------------------------------------------------------------------------


def test_a_file_that_is_no_database(house: House) -> None:
    path = house.folder / "calls.sqlite"
    path.write_text("not a database\n" * 100)
    code, log = house.stage(1, database={"connect_timeout": 0.2}).refused()
    assert code == 1
    assert log.strip().splitlines()[-1].startswith(f"dlgmgmt: database sqlite:///{path}: ")
    assert path.read_text().startswith("not a database"), "it is left alone"


def test_two_of_one_name(house: House) -> None:
    first = house.stage(1).start()
    code, log = house.stage(1, database={"connect_timeout": 0.2}).refused()
    assert code == 1
    assert "dlgmgmt" in log.strip().splitlines()[-1]
    assert first.status()["state"] == "ok"
    other = house.stage(1, database={"owner": "other"}).start()
    other.stop()
    first.stop()


# -- SIGHUP ----------------------------------------------------------------------------------------


def test_a_shorter_period_holds_from_sighup_on(house: House) -> None:
    stage = house.stage(2, ims={"db_update_period": 3600}).start()
    config = stage.folder / "dlgmgmt.toml"
    house.call(stage)
    assert stage.status()["waiting"] == 1
    text = config.read_text().replace("db_update_period = 3600", "db_update_period = 1")
    config.write_text(text.replace("db_mode = 2", "db_mode = 1"))
    stage.process.send_signal(signal.SIGHUP)
    poll(lambda: ": reloaded, " in stage.stderr(), 10, stage.stderr)
    assert "changed ims_dialog.db_update_period: 3600 -> 1" in stage.stderr()
    assert "not changed before a restart: ims_dialog.db_mode: 2 -> 1" in stage.stderr()
    house.call(stage)
    poll(lambda: stage.status()["waiting"] == 0, 5, lambda: str(stage.status()))
    assert stage.status()["mode"] == 2
    stage.stop()


# -- the demo --------------------------------------------------------------------------------------


class DemoRun:
    """``dlgmgmt run`` on a file in a folder, with a FIFO and ports of its own."""

    def __init__(self, folder: Path) -> None:
        # Only for its ports and paths.
        self.daemon = Daemon(folder)
        daemon = self.daemon
        config = folder / "demo.toml"
        config.write_text(
            f'[sip]\nlisten = ["udp:{daemon.hostport}"]\n'
            f'[mi_fifo]\nfifo_name = "{daemon.fifo.command}"\n'
            f'reply_dir = "{daemon.fifo.reply_dir}"\n'
            f'[http]\nlisten = "127.0.0.1:{daemon.http_port}"\n'
            f'[mi_datagram]\nlisten = ["unix:{folder}/mi"]\n'
            f'[binrpc]\nlisten = ["unixs:{folder}/ctl"]\n'
            f'[jsonrpc_sock]\nlisten = ["unixs:{folder}/rpc"]\n'
            f'[jsonrpc_fifo]\nfifo_name = "{folder}/rpc.fifo"\n'
            f'reply_dir = "{daemon.fifo.reply_dir}"\n'
            f'[ims_dialog]\ndb_url = "sqlite://{folder}/demo.sqlite"\n'
            f'[database]\nrescue_dir = "{folder}"\n'
        )
        self.command = [sys.executable, "-m", "dlgmgmt", "run", "--config", str(config)]
        self.out = folder / "out"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> str:
        """What it says on stdout, up to its last line."""
        with self.out.open("wb") as out:
            self.process = subprocess.Popen(
                self.command, stdout=out, stderr=subprocess.DEVNULL, env=environment()
            )
        poll(lambda: "Ctrl-C ends" in self.out.read_text(), 30, self.out.read_text)
        return self.out.read_text()

    def end(self, number: int) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)

    def answered(self) -> set[str]:
        return {
            item["call-id"]
            for item in self.daemon.rpc.call("dlg.list")
            if item["ims_state"] in (4, 7)
        }


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Callable[[], DemoRun]]:
    runs: list[DemoRun] = []

    def make() -> DemoRun:
        runs.append(DemoRun(tmp_path / "demo"))
        return runs[-1]

    yield make
    for run in runs:
        if run.process is not None and run.process.poll() is None:
            run.process.kill()
            run.process.wait(10)


def test_a_demo_that_is_killed_and_one_that_ends(demo: Callable[[], DemoRun]) -> None:
    run = demo()
    said = run.start()
    assert "(db_mode 1)" in said
    assert "demo before" not in said
    poll(lambda: len(run.answered()) >= 2, 20, lambda: str(run.answered()))
    time.sleep(0.5)
    old = run.answered()
    run.end(signal.SIGKILL)
    said = run.start()
    found = re.search(
        r"^(\d+) calls of the demo before, which was killed, are there again", said, re.MULTILINE
    )
    assert found, said
    assert int(found[1]) >= 1
    again = run.answered()
    # One or the other may have ended in the moment of the kill.
    assert len(old & again) >= len(old) - 1
    # They are calls as any other, but that nobody answers.
    for callid in old & again:
        run.daemon.rpc.call("dlg.kill", callid)
    assert run.end(signal.SIGTERM) == 0
    assert "demo before" not in run.start(), "a demo that ends hangs up"
    assert run.end(signal.SIGTERM) == 0
