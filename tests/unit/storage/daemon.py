"""A daemon without SIP: its table and its storage on a real SQLite file, killed or stopped."""

from __future__ import annotations

import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.tracker import InviteReply, Tracker
from dlgmgmt.dialog.views import DialogView
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.loader import LoadReport
from dlgmgmt.storage.rows import in_row, out_rows, var_rows
from dlgmgmt.storage.settings import StorageSettings
from dlgmgmt.storage.store import Storage
from tests.unit.dialog.harness import make_init
from tests.unit.storage import records

OWNER = "dlgmgmt"
TABLES = ("dialog_in", "dialog_out", "dialog_vars")


def settings_in(folder: Path, **changes: Any) -> StorageSettings:
    plain: dict[str, Any] = {
        "url": f"sqlite:///{folder}/dialogs.sqlite",
        "mode": 1,
        "update_period": 60.0,
        "fetch_rows": 3,
        "rescue_dir": folder / "rescue",
        "synchronous": "normal",
        "connect_timeout": 0.2,
    }
    return StorageSettings(**{**plain, **changes})


class Daemon:
    """``ahead``: seconds by which its clock is."""

    def __init__(
        self,
        folder: Path,
        *,
        hash_size: int = 8,
        dialogs: dict[str, Any] | None = None,
        **changes: Any,
    ) -> None:
        self.ahead = 0.0
        self.settings = settings_in(folder, **changes)
        self.table = DialogTable(
            DialogSettings(hash_size=hash_size, default_timeout=600, **(dialogs or {})),
            wall=lambda: time.time() + self.ahead,
            monotonic=lambda: time.monotonic() + self.ahead,
            rng=random.Random(7),
        )
        self.expired: list[str] = []
        self.tracker = Tracker(self.table, lambda dialog: self.expired.append(dialog.callid))
        self.storage = Storage(
            self.settings, self.table, wall=self.table.wall, monotonic=self.table.monotonic
        )

    def start(self) -> LoadReport:
        self.storage.open()
        self.storage.start()
        return self.storage.load()

    def stop(self) -> None:
        self.storage.stop()

    def written(self) -> None:
        """All that has changed is in the database."""
        assert self.storage.flush(self.table.monotonic() + 10) == 0

    def call(self, callid: str, *to_tags: str, acked: bool = True) -> Dialog:
        """An answered call, by several phones if there are several tags."""
        dialog, new = self.table.open(make_init(callid, f"from-{callid}"))
        assert new
        for number, tag in enumerate(to_tags or ("bob",)):
            self.tracker.invite_reply(
                dialog,
                InviteReply(number, 200, tag, f"sip:{tag}@b", ("<sip:r;lr>",), True, "udp:b:5060"),
            )
            if acked:
                self.within(dialog, "ACK", 10, tag)
        self.tracker.invite_ended(dialog)
        self.table.release(dialog)
        return dialog

    def within(self, dialog: Dialog, method: str, cseq: int, tag: str = "bob") -> None:
        """A request of the caller."""
        self.tracker.request(dialog.did, dialog.callid, dialog.from_tag, tag, method, cseq)

    def hang_up(self, callid: str) -> None:
        dialog = self.dialog(callid)
        for leg in dialog.confirmed_legs():
            self.within(dialog, "BYE", 99, leg.to_tag)
        self.table.release(dialog)

    def dialog(self, callid: str) -> Dialog:
        (dialog,) = self.table.entry_of(callid).by_callid[callid]
        return dialog

    def has(self, callid: str) -> bool:
        return callid in self.table.entry_of(callid).by_callid

    def listing(self) -> dict[str, DialogView]:
        return {view.callid: view for batch in self.table.iter_views() for view in batch}

    def due(self) -> list[str]:
        """The Call-IDs whose timeout has come since the last time."""
        for fire in self.table.due():
            fire()
        found, self.expired = self.expired, []
        return found


@contextmanager
def running(folder: Path, **changes: Any) -> Iterator[Daemon]:
    """A daemon that is loaded and ends in order."""
    daemon = Daemon(folder, **changes)
    daemon.start()
    try:
        yield daemon
    finally:
        daemon.stop()


def placeless(view: DialogView) -> DialogView:
    """Without what a dialog that has moved is called."""
    legs = tuple(leg._replace(h_entry=0) for leg in view.legs)
    return view._replace(h_entry=0, h_id=0, did="", legs=legs)


def killed_after(pages: int, folder: Path, owner: str | None = None, **changes: Any) -> None:
    """A daemon that dies while it loads, or adopts the rows of ``owner``, after some pages."""
    pid = os.fork()
    if pid:
        _, status = os.waitpid(pid, 0)
        assert os.waitstatus_to_exitcode(status) == 9
        return
    left = pages

    def give_way() -> None:
        nonlocal left
        left -= 1
        if not left:
            os._exit(9)

    try:
        daemon = Daemon(folder, **changes)
        daemon.storage._give_way = give_way if owner is None else None
        daemon.start()
        daemon.storage._give_way = give_way
        daemon.storage.adopt(owner)
    finally:
        os._exit(1)


def record(number: int, **changes: Any) -> DialogRecord:
    """A plain call in entry 1 of 8, which its Call-ID hashes to only by chance."""
    now = int(time.time())
    leg = records.leg(number)
    plain = records.record(
        h_entry=1,
        h_id=number,
        did="",
        callid=f"call-{number}",
        from_tag=f"from-{number}",
        to_uri=leg.to_uri,
        req_uri=leg.to_uri,
        lifetime=600,
        init_ts=now - 11,
        start_ts=now - 10,
        timeout=now + 590,
        legs=(leg,),
    )
    return plain._replace(**changes)


def over(number: int) -> DialogRecord:
    """A call whose session has not been refreshed for long."""
    plain = record(number, session_ts=1_700_000_000)
    return plain._replace(legs=(plain.legs[0]._replace(session_end=1_700_000_000.0),))


def batch(*records: DialogRecord, owner: str = OWNER) -> WriteBatch:
    """Their rows, as a daemon writes them."""
    batch = WriteBatch()
    for one in records:
        batch.dialogs.append(in_row(one, owner))
        batch.legs += out_rows(one, owner)
        batch.vars += var_rows(one, owner)
    return batch


def store(folder: Path, *records: DialogRecord, owner: str = OWNER) -> None:
    """Write rows as a daemon does."""
    database = Database(settings_in(folder, owner=owner))
    database.open()
    database.write(batch(*records, owner=owner))
    database.close()


def sql(folder: Path, *statements: str) -> list[tuple[Any, ...]]:
    """Do something to the file; what the last statement has found."""
    found: list[tuple[Any, ...]] = []
    with closing(sqlite3.connect(folder / "dialogs.sqlite")) as connection:
        for statement in statements:
            found = connection.execute(statement).fetchall()
        connection.commit()
    return found


def rows(folder: Path, table: str = "dialog_in") -> dict[str | None, int]:
    """Rows by owner."""
    return dict(sql(folder, f"SELECT owner, COUNT(*) FROM {table} GROUP BY owner"))
