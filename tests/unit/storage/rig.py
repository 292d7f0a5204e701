"""A dialog table, a writer and a real SQLite file, on a clock that a test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import DialogRecord, record_of
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.bell import Bell
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.rows import record_from
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.writer import Writer
from tests.unit.dialog.harness import SETTINGS, Core

Place = tuple[int, int]

REAL_TIME, DELAYED, SHUTDOWN = 1, 2, 3


class Watched(Database):
    """A database that keeps what it has written, and does before each write what a test wants."""

    def __init__(self, settings: StorageSettings) -> None:
        super().__init__(settings)
        self.batches: list[WriteBatch] = []
        self.tries = 0
        self.before: Callable[[WriteBatch], None] = lambda _batch: None

    def write(self, batch: WriteBatch) -> None:
        self.tries += 1
        self.before(batch)
        super().write(batch)
        self.batches.append(batch)

    def fail(self, error: Exception | None) -> None:
        """From now on each write fails, or none."""

        def refuse(_batch: WriteBatch) -> None:
            if error is not None:
                raise error

        self.before = refuse


class Alarm(Bell):
    """What the writer's thread waits on, counting how often it is set."""

    def __init__(self) -> None:
        super().__init__()
        self.sets = 0

    def set(self) -> None:
        self.sets += 1
        super().set()


def settings_in(folder: Path, **changes: Any) -> StorageSettings:
    plain = StorageSettings(
        url=f"sqlite:///{folder}/dialogs.sqlite",
        mode=REAL_TIME,
        update_period=60.0,
        fetch_rows=0,
        rescue_dir=folder / "rescue",
        synchronous="normal",
    )
    return replace(plain, **changes)


class Rig:
    """One daemon's share: ``core`` (with the clock ``core.now``), ``writer``, ``database``."""

    def __init__(
        self,
        folder: Path,
        *,
        dialogs: DialogSettings = SETTINGS,
        core: type[Core] = Core,
        **changes: Any,
    ) -> None:
        self.settings = settings_in(folder, **changes)
        self.core = core(dialogs)
        self.core.events.clear()
        self.database = Watched(self.settings)
        self.database.open()
        self.journal = Journal()
        if self.settings.mode != SHUTDOWN:
            self.core.table.use_journal(self.journal)
        self.alarm = Alarm()
        self.writer = Writer(
            self.journal,
            self.database,
            self.settings,
            wall=self.core.table.wall,
            monotonic=self.core.table.monotonic,
            answered=self.core.table.iter_answered,
            alarm=self.alarm,
        )

    def step(self) -> float | None:
        self.alarm.wait(0)
        return self.writer.step(self.core.now)

    def settle(self, limit: float = 1.0) -> float:
        """Step, and let time pass between, until nothing is to be done within ``limit`` seconds.

        Returns after how much time the last transaction was tried.
        """
        begun = last = self.core.now
        tries = self.database.tries
        for _ in range(10_000):
            delay = self.step()
            if self.database.tries != tries:
                tries, last = self.database.tries, self.core.now
            if delay is None or self.core.now + delay > begun + limit:
                return last - begun
            self.core.now += delay
        raise AssertionError("the writer finds no end")

    def call(self, callid: str = "c1", *, acked: bool = True) -> Dialog:
        """An answered call whose INVITE transaction is over."""
        dialog = self.core.invite(callid)
        self.core.answer(dialog)
        if acked:
            self.request(callid, "ACK", 10)
        self.core.table.release(dialog)
        return dialog

    def request(self, callid: str, method: str, cseq: int, to_tag: str = "bob") -> None:
        """From the caller; what a BYE has held is let go."""
        match = self.core.tracker.request(None, callid, "alice", to_tag, method, cseq)
        assert match is not None
        if match.held:
            self.core.table.release(match.dialog)

    def hang_up(self, callid: str = "c1", to_tag: str = "bob") -> None:
        self.request(callid, "BYE", 20, to_tag)

    def living(self) -> dict[Place, DialogRecord]:
        """What is to be stored."""
        found = {}
        offset = self.writer._offset
        for dialogs in self.core.table.iter_answered():
            for dialog in dialogs:
                with dialog.entry.lock:
                    found[dialog.entry.index, dialog.h_id] = record_of(dialog, offset)
        return found

    def rows(self, owner: str | None = "dlgmgmt") -> list[StoredDialog]:
        reader = Database(self.settings, lock=False)
        reader.open()
        try:
            return [stored for page in reader.read(owner, 0) for stored in page]
        finally:
            reader.close()

    def stored(self, owner: str | None = "dlgmgmt") -> dict[Place, DialogRecord]:
        """What is stored."""
        return by_place(record_from(stored) for stored in self.rows(owner))

    def close(self) -> None:
        self.database.close()


def by_place(records: Iterable[DialogRecord]) -> dict[Place, DialogRecord]:
    found: dict[Place, DialogRecord] = {}
    for record in records:
        place = record.h_entry, record.h_id
        assert place not in found
        found[place] = record
    return found


def rig_in(folder: Path, **changes: Any) -> Iterator[Rig]:
    """For a fixture."""
    rig = Rig(folder, **changes)
    yield rig
    rig.close()
