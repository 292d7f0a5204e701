"""Servers that stand still, are away, refuse, or have no room: one clear error, then as before."""

from __future__ import annotations

import time

import pytest

from dlgmgmt.storage.database import Database, WriteBatch
from dlgmgmt.storage.errors import StorageError
from tests.db.harness.databases import OWNER, Make, batch, read
from tests.db.harness.servers import Server
from tests.unit.storage.records import record


def test_a_server_that_stands_still_is_noticed_and_used_again(
    database: Database, server: Server
) -> None:
    database.write(batch(record(1)))
    server.pause()
    try:
        began = time.monotonic()
        with pytest.raises(StorageError, match=r"^[^\n]+$") as error:
            database.write(batch(record(2)))
        assert time.monotonic() - began < 6.0
    finally:
        server.resume()
    assert "never shown" not in str(error.value)
    write_again(database, batch(record(2)))
    assert read(database) == [record(1), record(2)]


def write_again(database: Database, changes: WriteBatch) -> None:
    """As the writer does: until it is done. The old connection may have its lock for a moment."""
    deadline = time.monotonic() + 10.0
    while True:
        try:
            database.write(changes)
        except StorageError:
            assert time.monotonic() < deadline
        else:
            return


@pytest.mark.parametrize("way", ["stop", "kill"])
def test_a_server_that_is_away_is_used_again(database: Database, server: Server, way: str) -> None:
    if server.name == "sqlite":
        database.close()  # of a file there is only this to lose
        database.open()
        database.write(batch(record(1)))
        assert read(database) == [record(1)]
        return
    database.write(batch(record(1)))
    getattr(server, way)()
    for _ in range(2):
        with pytest.raises(StorageError, match=r"^[^\n]+$") as error:
            database.write(batch(record(2)))
        assert "never shown" not in str(error.value)
        assert "***@127.0.0.1:" in str(error.value)
    server.start()
    write_again(database, batch(record(2)))
    assert read(database) == [record(1), record(2)]
    assert database.reconnects == 1


def test_a_password_is_never_shown(make: Make, server: Server) -> None:
    if server.name == "sqlite":
        wrong = make(url="sqlite:///proc/version/never shown")
    else:
        wrong = make(url=make().settings.url.replace("never", "Never%20shown%20"))
    with pytest.raises(StorageError, match=r"^[^\n]+$") as error:
        wrong.open()
    assert "never shown @" not in str(error.value).casefold()
    assert "***" in str(error.value) or server.name == "sqlite"


def test_a_full_disk(server: Server, database: Database) -> None:
    if not server.can_fill:
        pytest.skip("NO DISK WAS FULL: only root may mount one of its own")
    database.write(batch(record(1)))
    server.fill()
    written = 0
    refused = ""
    try:
        for number in range(2, 2000):
            more = [record(n, req_uri="x" * 5000) for n in range(number * 20, number * 20 + 20)]
            try:
                database.write(batch(*more))
            except StorageError as error:
                refused = str(error)
                break
            written += len(more)
    finally:
        server.free()
    assert refused
    assert "\n" not in refused
    write_again(database, batch(record(2)))
    assert database.count(OWNER) in {written + 2, written + 22}
    assert record(1) in read(database)
