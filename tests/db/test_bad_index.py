"""An index that MariaDB has damaged, as it has been seen to do when its disk was full."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlgmgmt.storage.database import Database
from dlgmgmt.storage.errors import StorageError
from dlgmgmt.storage.settings import StorageSettings
from tests.db.harness.databases import OWNER, batch, read
from tests.db.harness.servers import MariadbServer, Server
from tests.unit.storage.daemon import Daemon
from tests.unit.storage.records import record

PAGE = 16_384


def damage(server: MariadbServer, database: str, table: str, index: str) -> None:
    """Write junk over the root of an index while the server is down."""
    name = f"{database}/{table}"
    found = server.query(
        f"mysql://x/{database}",
        "SELECT PAGE_NO FROM information_schema.INNODB_SYS_INDEXES JOIN"
        " information_schema.INNODB_SYS_TABLES AS t USING (TABLE_ID)"
        f" WHERE t.NAME = '{name}' AND INNODB_SYS_INDEXES.NAME = '{index}'",
    )
    server.stop()
    path = server.data / f"{name}.ibd"
    data = bytearray(path.read_bytes())
    start = int(found[0][0]) * PAGE
    data[start + 200 : start + 9_000] = b"\xaa" * 8_800
    path.write_bytes(data)
    server.start()


@pytest.fixture
def server(running: Callable[[str], Server]) -> MariadbServer:
    server = running("mariadb")
    assert isinstance(server, MariadbServer)
    return server


@pytest.mark.parametrize("table", ["dialog_in", "dialog_out"])
def test_it_is_made_anew_and_no_row_is_lost(
    server: MariadbServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    table: str,
) -> None:
    url = server.new_database()
    settings = StorageSettings(
        url=url, mode=1, update_period=60.0, fetch_rows=100, rescue_dir=tmp_path, owner=OWNER
    )
    database = Database(settings)
    database.open()
    dialogs = [record(number) for number in range(2_000)]
    database.write(batch(*dialogs))
    damage(server, url.rpartition("/")[2], table, f"{table}_owned")
    changed = [record(number, toroute="changed") for number in range(1_990, 2_010)]
    # The connection is lost, for the server was down; then the index is found to be damaged.
    for expected in (r" \(20\d\d\)$", r"corrupt.* \(1034\)$"):
        with pytest.raises(StorageError, match=expected):
            database.write(batch(*changed))
    assert "damaged" not in caplog.text
    # Who only reads leaves it alone.
    reader = Database(settings, lock=False)
    for _ in range(2):
        with pytest.raises(StorageError, match="1034"):
            read(reader)
    reader.close()
    database.write(batch(*changed))
    assert sorted(read(database)) == sorted([*dialogs[:1_990], *changed])
    assert caplog.text.count("an index is damaged, all are made anew") == 1
    assert caplog.text.count("the indexes are made") == 1
    database.close()


@pytest.mark.parametrize("table", ["dialog_in", "dialog_out"])
def test_a_start_has_it_made_anew_and_loads_all(
    server: MariadbServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    table: str,
) -> None:
    url = server.new_database()
    daemon = Daemon(tmp_path, url=url, fetch_rows=100, connect_timeout=20.0)
    database = Database(daemon.settings)
    database.open()
    database.write(batch(*(record(number) for number in range(500))))
    database.close()
    damage(server, url.rpartition("/")[2], table, f"{table}_owned")
    report = daemon.start()
    assert (report.loaded, report.skipped) == (500, 0)
    assert caplog.text.count("the indexes are made") == 1
    daemon.call("new")
    daemon.written()
    daemon.stop()
