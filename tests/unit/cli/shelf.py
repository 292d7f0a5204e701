"""A database of dialogs, and ``dlgmgmt db`` at work on it."""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.cli.main import main
from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.dialog.views import EndedLeg
from dlgmgmt.storage import jsonl
from dlgmgmt.storage.batch import WriteBatch
from dlgmgmt.storage.database import Database
from dlgmgmt.storage.jsonl import Header
from dlgmgmt.storage.rows import in_row, out_rows, record_from, var_rows
from dlgmgmt.storage.settings import StorageSettings
from tests.unit.storage import records

NOW = int(time.time())


def leg(tag: str, **changes: Any) -> LegRecord:
    """With all that a leg may have."""
    full = records.leg(
        to_tag=tag,
        caller_cseq=2,
        callee_cseq=102,
        callee_cseq_seen=True,
        moved_by=(2, 102),
        referred=1,
        shifts=((((2, 1),), 0, 3, -1), ((), 0, 0, -1)),
    )
    return full._replace(**changes)


def dialog(number: int, **changes: Any) -> DialogRecord:
    """With all that a dialog may have, and an hour to go."""
    full = records.record(
        number,
        h_entry=number % 4096,
        h_id=number,
        did=encode_did(number % 4096, number),
        callid=f"call-{number}@example.com",
        caller_route_set=("<sip:192.0.2.8;lr>",),
        init_ts=NOW - 60,
        start_ts=NOW - 50,
        timeout=NOW + 3600,
        sflags=17,
        dflags=1,
        timeout_bye=True,
        keepalive=3,
        fix_contact=True,
        toroute="gone",
        profiles=(("caller", "alice"), ("inbound", None)),
        variables=(("who", "al\nice"),),
        history=(EndedLeg(2, "busy", 486, "rejected"),),
        legs=(leg(f"to-{number}"),),
    )
    return full._replace(**changes)


class Shelf:
    """A database, the program that works on it, and a way past it; without ``url``, of SQLite."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str], url: str = "") -> None:
        self.folder = folder
        self.path = folder / "dialogs.sqlite"
        self.url = url or f"sqlite:///{self.path}"
        self.capsys = capsys

    def db(self, *arguments: object, url: str = "") -> tuple[int, str, list[str]]:
        """Exit code, stdout, and the lines of stderr without the program's name."""
        code = main(["db", *map(str, arguments), "--url", url or self.url])
        said = self.capsys.readouterr()
        assert "Traceback" not in said.err
        return code, said.out, [line.removeprefix("dlgmgmt: ") for line in said.err.splitlines()]

    def settings(self, owner: str = "dlgmgmt") -> StorageSettings:
        return StorageSettings(
            url=self.url,
            mode=1,
            update_period=60,
            fetch_rows=100,
            rescue_dir=self.folder,
            owner=owner,
        )

    def put(self, *records: DialogRecord, owner: str = "dlgmgmt") -> None:
        batch = WriteBatch()
        for record in records:
            batch.dialogs.append(in_row(record, owner))
            batch.legs += out_rows(record, owner)
            batch.vars += var_rows(record, owner)
        database = Database(self.settings(owner))
        database.open()
        database.write(batch)
        database.close()

    def there(self, owner: str = "dlgmgmt") -> list[DialogRecord]:
        database = Database(self.settings(owner), lock=False)
        database.open()
        found = [record_from(one) for page in database.read(owner, 0) for one in page]
        database.close()
        return found

    def sql(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()

    def file(self, *lines: str, name: str = "x.jsonl") -> Path:
        path = self.folder / name
        path.write_text("".join(lines))
        return path


def header(owner: str | None = "dlgmgmt", *, whole: bool = True) -> str:
    return jsonl.header_line(Header(owner, NOW, whole))
