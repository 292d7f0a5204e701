"""The writer beside threads that change dialogs, and a process that is killed while it writes."""

from __future__ import annotations

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.errors import StorageError
from tests.unit.dialog.harness import SETTINGS
from tests.unit.storage.phones import Live, Phones
from tests.unit.storage.rig import DELAYED, REAL_TIME, Rig

THREADS = 4
CALLS = 300


@pytest.fixture
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


@pytest.mark.parametrize("mode", [REAL_TIME, DELAYED])
@pytest.mark.usefixtures("frequent_switches")
def test_the_database_equals_the_table_when_all_threads_are_done(tmp_path: Path, mode: int) -> None:
    rig = Rig(
        tmp_path,
        mode=mode,
        update_period=0.05,
        core=Live,
        dialogs=replace(SETTINGS, hash_size=16),
        commit_interval=0.002,
        sync_timeout=30,
        retry_max=0.01,
    )
    rng = random.Random(1)

    def now_and_then(_batch: WriteBatch) -> None:
        if rng.random() < 0.1:
            raise StorageError("now and then")

    rig.database.before = now_and_then
    board: list[tuple[int, int]] = []
    phones = [Phones(rig, number, board, CALLS) for number in range(THREADS)]
    threads = [threading.Thread(target=each.run, daemon=True) for each in phones]
    rig.writer.start()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    assert [error for each in phones for error in each.errors] == []
    assert rig.writer.flush(time.monotonic() + 30) == 0

    assert rig.stored() == rig.living()
    assert len(rig.stored()) > THREADS * CALLS // 10
    assert rig.writer.status().errors > 0
    assert rig.writer.stop(time.monotonic() + 30) == 0
    assert rig.stored() == rig.living()
    for each in phones:
        assert len(each.heard) == each.asked > 0
    assert not rig.settings.rescue_dir.exists()


def test_a_change_is_durable_within_the_interval_on_a_real_clock(tmp_path: Path) -> None:
    rig = Rig(tmp_path, core=Live, commit_interval=0.2)
    rig.writer.start()
    durable = threading.Event()
    began = time.monotonic()
    rig.writer.when_durable(rig.call(), lambda done: durable.set() if done else None)
    assert durable.wait(30)
    # Nothing but a machine that stands still makes it longer.
    assert time.monotonic() - began < 2.0
    assert rig.stored() == rig.living()
    assert rig.writer.stop(time.monotonic() + 30) == 0


_KILLED = """
import sys
from pathlib import Path
from tests.unit.storage.phones import Live, Phones
from tests.unit.storage.rig import Rig

rig = Rig(Path(sys.argv[1]))
table = rig.core.table
dialogs = []
for number in range(1_000_000):
    dialog = rig.core.invite(f"c{number}")
    rig.core.answer(dialog, "bob")
    rig.core.answer(dialog, "carol")
    dialogs.append(dialog)
    for each in dialogs:
        table.set_var(each, "a", str(number))
        table.set_var(each, "b", str(number))
        table.set_lifetime(each, number + 1)
        for tag in ("bob", "carol"):
            rig.request(each.callid, "INFO", number + 11, tag)
    if len(dialogs) > 20:
        ended = dialogs.pop(0)
        for tag in ("bob", "carol"):
            rig.hang_up(ended.callid, tag)
    rig.settle()
    print(number, flush=True)
"""


def test_a_kill_at_any_moment_leaves_no_half_dialog(tmp_path: Path) -> None:
    seen = -1
    for attempt, lines in enumerate((3, 17, 45)):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        command = [sys.executable, "-c", _KILLED, str(folder)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                seen = int(line)
                if seen >= lines:
                    break
            # It goes on with the next transaction meanwhile.
            process.kill()
        rig = Rig(folder)
        stored = rig.stored()
        assert len(stored) >= min(seen, 20)
        for record in stored.values():
            number = record.lifetime - 1
            assert number >= seen
            assert record.variables == (("a", str(number)), ("b", str(number)))
            assert [leg.caller_cseq for leg in record.legs] == [number + 11] * 2
        assert len({record.lifetime for record in stored.values()}) == 1
        rig.close()


def test_a_fault_of_the_program_ends_no_thread_and_is_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(tmp_path, core=Live, sync_confirm=True, sync_timeout=0.04)
    failed = threading.Event()
    times = 0

    def fail(*_: object, **__: object) -> None:
        nonlocal times
        times += 1
        if times > 5:
            failed.set()
        raise ZeroDivisionError("a fault")

    monkeypatch.setattr(rig.writer._waiters, "expire", fail)
    monkeypatch.setattr(rig.writer._waiters, "now", fail)
    rig.writer.start()
    rig.writer.when_durable(rig.call("first"), lambda _: None)
    assert failed.wait(10)
    monkeypatch.undo()
    heard: list[bool] = []
    rig.writer.when_durable(rig.call(), heard.append)
    assert rig.writer.stop(rig.core.now + 10) == 0
    assert heard == [True]
    assert caplog.text.count("Traceback") == 1
