"""The writer beside threads of phones, while its server is killed, started again, and paused."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.db.harness.servers import Server
from tests.unit.dialog.harness import SETTINGS
from tests.unit.storage.phones import Live, Phones
from tests.unit.storage.rig import DELAYED, REAL_TIME, Rig

THREADS = 3
CALLS = 60


def run(rig: Rig, round_: int, calls: int = CALLS) -> list[Phones]:
    """Phones that call at the same time, until all are done."""
    board: list[tuple[int, int]] = []
    phones = [Phones(rig, 100 * round_ + n, board, calls) for n in range(THREADS)]
    threads = [threading.Thread(target=each.run, daemon=True) for each in phones]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    assert [error for each in phones for error in each.errors] == []
    return phones


@pytest.mark.parametrize("mode", [REAL_TIME, DELAYED])
def test_what_changes_while_a_server_is_away_is_in_it_once_it_is_back(
    tmp_path: Path, server: Server, database_url: Callable[[], str], mode: int
) -> None:
    rig = Rig(
        tmp_path,
        core=Live,
        dialogs=replace(SETTINGS, hash_size=64),
        url=database_url(),
        mode=mode,
        update_period=0.2,
        sync_confirm=True,
        sync_timeout=0.5,
        answer_timeout=1.0,
        retry_max=0.2,
    )
    rig.writer.start()
    phones = run(rig, 0)
    assert rig.writer.flush(time.monotonic() + 30) == 0
    assert rig.stored() == rig.living()

    server.kill()
    phones += run(rig, 1)
    server.start()
    assert rig.writer.flush(time.monotonic() + 30) == 0
    assert rig.stored() == rig.living()

    server.pause()
    phones += run(rig, 2)
    server.resume()
    assert rig.writer.flush(time.monotonic() + 30) == 0
    assert rig.stored() == rig.living()
    assert len(rig.stored()) > THREADS * CALLS // 3

    assert rig.writer.stop(time.monotonic() + 30) == 0
    assert not rig.settings.rescue_dir.exists()
    # Whoever waited has been told, some of them that it took too long.
    assert [len(each.heard) - each.asked for each in phones] == [0] * len(phones)
