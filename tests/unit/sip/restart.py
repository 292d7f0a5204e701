"""Another daemon in the place of the one before: it has the dialogs, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlgmgmt.dialog.record import DialogRecord, record_of
from dlgmgmt.dialog.restore import restore
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import UNIX, House, World, house


def records(world: World) -> list[DialogRecord]:
    """What is stored of the answered dialogs."""
    found = []
    for batch in world.table.iter_answered():
        for dialog in batch:
            with dialog.entry.lock:
                found.append(record_of(dialog, UNIX))
    return found


def before(**settings: Any) -> House:
    """A house whose proxy will be gone without a word."""
    return house(World(**settings))


def after(
    past: House,
    make: Make,
    *,
    change: Callable[[DialogRecord], DialogRecord] = lambda record: record,
    **settings: Any,
) -> House:
    """The same house with a new proxy, in which the dialogs of ``past`` have been loaded."""
    new = empty(past, make, **settings)
    load(past, new, change=change)
    return new


def empty(past: House, make: Make, **settings: Any) -> House:
    """As :func:`after`, before anything has been loaded."""
    past.world.locator.close()
    new = make(**settings)
    new.world.jump(past.world.now)
    new.world._branches = past.world._branches
    return new


def load(
    past: House,
    new: House,
    *,
    change: Callable[[DialogRecord], DialogRecord] = lambda record: record,
) -> None:
    for record in records(past.world):
        restore(new.world.table, change(record))
