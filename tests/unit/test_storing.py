"""The database as the daemon and its commands use it: real SQLite files, no signalling."""

from __future__ import annotations

import asyncio
import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pytest

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.errors import StartError
from dlgmgmt.sip.loading import LoadGate
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storing import Storing
from tests.unit.commands.harness import House

_Answer = TypeVar("_Answer")


class Beside:
    """A table on the file of a folder, and what stands for the signalling."""

    def __init__(self, folder: Path, **changes: Any) -> None:
        settings = StorageSettings(
            url=f"sqlite://{folder}/calls.sqlite",
            mode=changes.pop("mode", 1),
            update_period=60.0,
            fetch_rows=10,
            rescue_dir=folder,
            connect_timeout=changes.pop("connect_timeout", 0.0),
            **changes,
        )
        house = House()
        self.house = house
        house.table = DialogTable(
            DialogSettings(), wall=time.time, monotonic=time.monotonic, rng=random.Random(1)
        )
        house.tracker = Tracker(house.table, lambda _dialog: None)
        beside = SimpleNamespace(
            loading=LoadGate(house.tracker), give_way=lambda: None, hold_answers=None
        )
        self.engine = cast("Any", beside)
        self.storing = Storing(settings, house.table, self.engine, policy="forward", retry_after=7)

    async def start(self) -> int:
        report = await self.storing.load(asyncio.Event())
        assert report is not None
        return report.loaded

    async def end(self, look: Callable[[], tuple[_Answer, bool]]) -> _Answer:
        """What has come of an order."""
        async with asyncio.timeout(20):
            while True:
                answer, done = look()
                if done:
                    return answer
                await asyncio.sleep(0.01)


Make = Callable[..., Beside]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    made: list[Beside] = []

    def make(**changes: Any) -> Beside:
        made.append(Beside(tmp_path, **changes))
        return made[-1]

    yield make
    for each in made:
        each.storing.stop()


async def test_the_gate_opens_when_all_is_loaded(make: Make) -> None:
    first = make()
    gate = first.engine.loading
    assert (gate.active, gate.policy, gate.retry_after) == (True, "forward", 7)
    assert first.storing.status().state == "loading"
    assert await first.start() == 0
    assert not gate.active
    assert first.storing.status().state == "ok"
    assert first.storing.status().url.startswith("sqlite:////")
    first.house.call("a@x")
    first.storing.stop()
    again = make()
    assert await again.start() == 1
    assert again.storing.status().loaded == 1


async def test_a_flush(make: Make) -> None:
    beside = make(mode=2)
    await beside.start()
    beside.house.call("a@x")
    look = beside.storing.flush()
    done = await beside.end(look)
    assert (done.done, done.waiting) == (True, 0)
    assert dict(beside.storing.statistics())["waiting"] == 0


async def test_nothing_is_flushed_where_nothing_is_written(make: Make) -> None:
    beside = make(mode=3)
    await beside.start()
    with pytest.raises(Refused, match="db_mode 3 writes when the daemon ends"):
        beside.storing.flush()


async def test_calls_of_another_daemon(make: Make) -> None:
    one, two = make(owner="one"), make(owner="two")
    await one.start()
    await two.start()
    one.house.call("a@x")
    with pytest.raises(Refused) as caught:
        await two.end(two.storing.adopt("one"))
    assert caught.value.failure is Failure.OWNER_TAKEN
    assert "'one'" in str(caught.value)
    one.storing.stop()
    look = two.storing.adopt("one")
    answer = await two.end(look)
    assert (answer.owner, answer.done, answer.loaded) == ("one", True, 1)
    assert two.storing.status().adopted == 1
    assert [view.callid for batch in two.house.table.iter_views() for view in batch] == ["a@x"]


async def test_one_adoption_at_a_time(make: Make) -> None:
    one, two = make(owner="one"), make(owner="two")
    await one.start()
    await two.start()
    first = two.storing.adopt("one")  # waits for a moment: "one" runs
    with pytest.raises(Refused) as caught:
        two.storing.adopt("one")
    assert caught.value.failure is Failure.NO_ROOM
    with pytest.raises(Refused):
        await two.end(first)


async def test_answers_are_held_in_mode_1_if_that_is_wanted(make: Make) -> None:
    beside = make(sync_confirm=True)
    await beside.start()
    assert beside.engine.hold_answers == beside.storing._storage.writer.when_durable


async def test_a_start_without_the_database(make: Make, tmp_path: Path) -> None:
    (tmp_path / "calls.sqlite").write_text("no database\n" * 100)
    beside = make()
    with pytest.raises(StartError) as caught:
        await beside.start()
    assert str(caught.value).startswith(f"database sqlite:///{tmp_path}/calls.sqlite: ")
    assert "\n" not in str(caught.value)
    assert beside.engine.loading.active


async def test_an_end_that_comes_first(make: Make, tmp_path: Path) -> None:
    (tmp_path / "calls.sqlite").write_text("no database\n" * 100)
    beside = make(connect_timeout=60.0)
    stopping = asyncio.Event()
    stopping.set()
    async with asyncio.timeout(5):
        assert await beside.storing.load(stopping) is None
    beside.storing.stop()


async def test_settings_that_change(make: Make) -> None:
    beside = make(mode=2)
    await beside.start()
    beside.house.call("a@x")
    settings = beside.storing.settings
    beside.storing.reload(dataclasses.replace(settings, update_period=0.05))
    await beside.end(lambda: (None, not beside.storing.status().waiting))
