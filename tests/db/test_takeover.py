"""Tables that Kamailio has made, and rows that it has written."""

from __future__ import annotations

from dlgmgmt.storage import migrate
from dlgmgmt.storage.database import Database, WriteBatch
from dlgmgmt.storage.drivers import Target
from dlgmgmt.storage.url import parse_url
from tests.db.harness.databases import OWNER, Make, batch, columns, read
from tests.db.harness.servers import Server
from tests.unit.storage.records import record, rich


def kamailio_tables(server: Server, url: str) -> None:
    """Tables as narrow as Kamailio's, with a call in them."""
    key = {
        "sqlite": "id INTEGER PRIMARY KEY NOT NULL",
        "postgresql": "id SERIAL PRIMARY KEY NOT NULL",
        "mariadb": "id INT(10) UNSIGNED AUTO_INCREMENT PRIMARY KEY NOT NULL",
    }[server.name]
    number = "INTEGER NOT NULL"
    for sql in (
        "CREATE TABLE version (table_name VARCHAR(32) NOT NULL, table_version INTEGER NOT NULL)",
        "INSERT INTO version VALUES ('dialog_in', 7), ('dialog_out', 7), ('dialog_vars', 7)",
        (
            f"CREATE TABLE dialog_in ({key}, hash_entry {number}, hash_id {number},"
            " did VARCHAR(45), callid VARCHAR(255) NOT NULL, from_uri VARCHAR(128) NOT NULL, "
            " from_tag VARCHAR(64) NOT NULL, caller_original_cseq VARCHAR(20) NOT NULL,"
            " req_uri VARCHAR(128) NOT NULL,"
            " caller_route_set VARCHAR(512), caller_contact VARCHAR(128) NOT NULL, caller_sock"
            f" VARCHAR(64) NOT NULL, state {number}, start_time {number}, timeout {number},"
            f" sflags {number} DEFAULT 0, toroute_name VARCHAR(32), toroute_index INTEGER)"
        ),
        "CREATE INDEX hash_idx ON dialog_in (hash_entry, hash_id)",
        (
            f"CREATE TABLE dialog_out ({key}, hash_entry {number}, hash_id {number},"
            " did VARCHAR(45), to_uri VARCHAR(128) NOT NULL, to_tag VARCHAR(64) NOT NULL,"
            " caller_cseq VARCHAR(20) NOT NULL, callee_cseq VARCHAR(20) NOT NULL,"
            " callee_contact VARCHAR(128) NOT NULL,"
            " callee_route_set VARCHAR(512), callee_sock VARCHAR(64) NOT NULL)"
        ),
        (
            f"CREATE TABLE dialog_vars ({key}, hash_entry {number}, hash_id {number},"
            " dialog_key VARCHAR(128) NOT NULL, dialog_value VARCHAR(512) NOT NULL)"
        ),
    ):
        server.query(url, sql)


KAMAILIOS = (
    (
        "INSERT INTO dialog_in (hash_entry, hash_id, did, callid, from_uri, from_tag,"
        " caller_original_cseq, req_uri, caller_contact, caller_sock, state, start_time, timeout)"
        " VALUES (5, 6, NULL, '{}', 'sip:a', 'f', '1', 'sip:b', 'sip:a@h', 'udp:1', 4,"
        " 1700000000, 0)"
    ),
    (
        "INSERT INTO dialog_out (hash_entry, hash_id, did, to_uri, to_tag, caller_cseq,"
        " callee_cseq, callee_contact, callee_route_set, callee_sock)"
        " VALUES (5, 6, NULL, 'sip:b', 't', '1', '1', 'sip:b@h', '<sip:p;lr>,<sip:q;lr>', 'udp:1')"
    ),
)


def test_tables_of_kamailio_are_taken_over_in_place(make: Make, server: Server) -> None:
    database = make()
    url = database.settings.url
    kamailio_tables(server, url)
    for sql in KAMAILIOS:
        server.query(url, sql.format("before"))
    database.open()
    (dialog,) = read(database, None)
    assert (dialog.callid, dialog.to_uri) == ("before", "sip:b")
    assert dialog.legs[0].callee_route_set == ("<sip:p;lr>", "<sip:q;lr>")
    # Wider than Kamailio's columns, and with characters of four bytes.
    wide = rich()._replace(h_id=4_294_967_295, callid="\N{GRINNING FACE}" * 5000, timeout=2**40)
    database.write(batch(wide, record(3)))
    assert read(database) == [wide, record(3)]
    # Kamailio goes on writing as before.
    server.query(url, KAMAILIOS[0].format("after"))
    assert [dialog.callid for dialog in read(database, None)] == ["before", "after"]
    versions = server.query(url, "SELECT table_name, table_version FROM version")
    assert sorted(map(tuple, versions)) == [
        (n, 7) for n in ("dialog_in", "dialog_out", "dialog_vars")
    ]
    assert migrate.upgrade(Target(parse_url(url))).old == migrate.NEWEST


def test_rows_of_kamailio_are_read_and_left(database: Database, server: Server) -> None:
    url = database.settings.url
    for call in ("a", "b"):  # with the same ids: it happens there
        server.query(
            url,
            "INSERT INTO dialog_in (hash_entry, hash_id, callid, from_tag, from_uri, req_uri,"
            " caller_original_cseq, caller_contact, state, start_time, timeout) VALUES"
            f" (5, 6, '{call}', 'f', 'sip:a', 'sip:b', '1', 'sip:a@h', 4, 1700000000, 1700043200)",
        )
    server.query(
        url,
        "INSERT INTO dialog_out (hash_entry, hash_id, to_uri, to_tag, caller_cseq, callee_cseq,"
        " callee_contact) VALUES (5, 6, 'sip:b', 't', '1', '1', 'sip:b@h')",
    )
    server.query(
        url,
        "INSERT INTO dialog_vars (hash_entry, hash_id, dialog_key, dialog_value)"
        " VALUES (5, 6, 'k', 'v')",
    )
    database.write(batch(record(5)))
    dialogs = read(database, None)
    assert [dialog.callid for dialog in dialogs] == ["a", "b"]
    assert [dialog.variables for dialog in dialogs] == [(("k", "v"),)] * 2
    assert [each.to_tag for dialog in dialogs for each in dialog.legs] == ["t", "t"]
    assert database.count(None) == 2
    assert set(database.owners()) == {(None, 2), (OWNER, 1)}
    assert database.clear(OWNER) == 1
    assert database.count(None) == 2
    database.write(WriteBatch(deletes=[(None, 5, 6)]))
    assert database.owners() == []
    assert columns(server, url, "SELECT id FROM dialog_vars") == []
