"""dlgctl db over HTTP and the FIFO: the daemon's own doors beside a database that obeys."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.cli.dlgctl import main
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.http import HttpServer
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.interfaces.settings import HttpSettings
from mi_fifo import FifoServer, FifoSettings
from tests.unit.commands.harness import House
from tests.unit.commands.test_database import STATUS, Base


class Doors:
    """HTTP and the FIFO on a thread."""

    def __init__(self, folder: Path, base: Base | None) -> None:
        context = dataclasses.replace(House().context, database=base)
        dispatcher = Dispatcher(build_registry(), context)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._http = HttpServer(HttpSettings(port=0), dispatcher)
        self.fifo = str(folder / "fifo")
        reply_dir = str(folder / "reply")
        self._fifo = FifoServer(FifoSettings(self.fifo, reply_dir), MiBinding(dispatcher))
        for start in (self._http.start(), self._fifo.start()):
            asyncio.run_coroutine_threadsafe(start, self._loop).result(10)
        host, port = self._http.address
        self.url = f"http://{host}:{port}/RPC"

    def close(self) -> None:
        for stop in (self._http.stop(), self._fifo.stop()):
            asyncio.run_coroutine_threadsafe(stop, self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture
def base() -> Base:
    base = Base()
    base.over = True
    return base


@pytest.fixture
def doors(tmp_path: Path, base: Base) -> Iterator[Doors]:
    doors = Doors(tmp_path, base)
    yield doors
    doors.close()


def run(
    capsys: pytest.CaptureFixture[str], doors: Doors, *args: str, by: str = "http"
) -> tuple[int, str, str]:
    where = ["--http", doors.url] if by == "http" else ["--fifo", doors.fifo]
    code = main([*where, "db", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize("by", ["http", "fifo"])
def test_how_it_is(doors: Doors, capsys: pytest.CaptureFixture[str], by: str) -> None:
    code, out, err = run(capsys, doors, by=by)
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert [line[0] for line in lines] == [*STATUS._fields]
    assert lines[:3] == [["mode", "1"], ["state", "ok"], ["url", "sqlite:////srv/calls"]]
    code, out, _ = run(capsys, doors, "status", "--json", by=by)
    assert (code, json.loads(out)) == (0, STATUS._asdict())


def test_calls_of_another_daemon(
    doors: Doors, base: Base, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(capsys, doors, "adopt", "two")
    assert said == (0, "5 calls of two taken over; 1 early, 2 expired, 3 skipped\n", "")
    code, out, _ = run(capsys, doors, "adopt", "", "--json")
    assert (code, json.loads(out)["loaded"]) == (0, 5)
    assert base.orders == ["two", None]
    base.fault = Refused(Failure.OWNER_TAKEN, "a daemon that is called two runs")
    code, out, err = run(capsys, doors, "adopt", "two")
    assert (code, out) == (1, "")
    assert err == "dlgctl: nothing was taken over: a daemon that is called two runs\n"


@pytest.mark.parametrize("by", ["http", "fifo"])
def test_what_takes_longer_is_not_done(
    doors: Doors, base: Base, capsys: pytest.CaptureFixture[str], by: str
) -> None:
    base.over = False
    code, out, err = run(capsys, doors, "adopt", "two", "--wait", "0", by=by)
    assert (code, out, err.startswith("dlgctl: it goes on")) == (1, "", True)
    code, out, err = run(capsys, doors, "flush", "--wait", "0", by=by)
    assert (code, out) == (1, "")
    assert err == "dlgctl: not written yet: the changes of 3 calls\n"


def test_all_is_written(doors: Doors, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, doors, "flush") == (0, "all is written\n", "")


@pytest.mark.parametrize("args", [["adopt"], ["flush", "two"], ["two"], ["flush", "--wait", "-1"]])
def test_wrong_usage(
    doors: Doors, base: Base, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(capsys, doors, *args)
    assert caught.value.code == 2
    assert base.orders == []


@pytest.mark.parametrize("by", ["http", "fifo"])
def test_without_a_database(tmp_path: Path, capsys: pytest.CaptureFixture[str], by: str) -> None:
    doors = Doors(tmp_path, None)
    try:
        code, out, _ = run(capsys, doors, by=by)
        assert (code, out.splitlines()[1].split()) == (0, ["state", "off"])
        code, _, err = run(capsys, doors, "flush", by=by)
        assert code == 1
        assert "400 No database (db_mode 0)" in err
    finally:
        doors.close()
