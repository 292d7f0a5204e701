"""Writing, reading and locking, on each of the servers in the same way."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import pytest

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage import locks, migrate
from dlgmgmt.storage.database import Database, WriteBatch
from dlgmgmt.storage.drivers import target_of
from dlgmgmt.storage.errors import OwnerTaken, RowsRefused, SchemaError
from dlgmgmt.storage.mend import indexes_of
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.rows import record_from
from dlgmgmt.storage.tables import IN_COLUMNS
from tests.db.harness.databases import OWNER, Make, batch, columns, key, read
from tests.db.harness.servers import Server
from tests.unit.storage.records import HOSTILE, leg, record, rich


def test_what_is_written_is_read(database: Database) -> None:
    dialogs = [record(1), rich(), record(5000, variables=(("a", "1"), ("b", "2")))]
    database.write(batch(*dialogs))
    assert read(database) == dialogs
    assert database.count(OWNER) == 3
    assert database.owners() == [(OWNER, 3)]


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_comes_back(database: Database, text: str) -> None:
    dialog = record(
        callid=text, from_tag=text, from_uri=text, req_uri=text, caller_contact=text,
        caller_route_set=(text,), profiles=((text, text),), variables=((text, text), ("a", "b")),
        legs=(leg(to_tag=text, callee_contact=text, callee_route_set=(text,)),),
    )  # fmt: skip
    database.write(batch(dialog, record(2)))
    assert read(database) == [dialog, record(2)]


def test_a_row_that_is_there_is_replaced(database: Database) -> None:
    before = rich()
    database.write(batch(before))
    after = before._replace(
        state=4, timeout=0, toroute="", profiles=(), variables=(("new", "1"),), legs=(leg(9),)
    )
    changed = batch(after)
    changed.legs_beyond = [(after.h_entry, after.h_id, 1)]
    database.write(changed)
    assert read(database) == [after]


def test_all_of_a_dialog_is_deleted_and_nothing_else(
    make: Make, database: Database, server: Server
) -> None:
    dialogs = [record(number, variables=(("a", "1"),)) for number in range(300)]
    other = make("other")
    other.open()
    other.write(batch(*dialogs, owner="other"))
    database.write(batch(*dialogs))
    gone = dialogs[:299]
    # One that is not there is no mistake: an attempt that seemed to fail may have deleted it.
    database.write(WriteBatch(deletes=[*map(key, gone), (OWNER, 4000, 77)]))
    assert read(database) == dialogs[299:]
    assert read(other, "other") == dialogs
    url = database.settings.url
    for table in ("dialog_out", "dialog_vars"):
        found = server.query(url, f"SELECT owner, COUNT(*) FROM {table} GROUP BY owner ORDER BY 1")
        assert [tuple(row) for row in found] == [(OWNER, 1), ("other", 300)]


def test_deleted_and_written_anew_in_one_transaction(database: Database) -> None:
    database.write(batch(rich()))
    again = record(2, callid="another call")
    changed = batch(again)
    changed.deletes = [key(rich())]
    database.write(changed)
    assert read(database) == [again]


def calls(*dialogs: DialogRecord) -> WriteBatch:
    """As the writer has new calls without variables: nothing of them is there."""
    made = batch(*dialogs)
    made.vars_replaced = []
    return made


@pytest.mark.parametrize("text", HOSTILE)
def test_calls_that_begin_and_change_and_end_in_one_transaction(
    database: Database, text: str
) -> None:
    first = [record(1), record(2), record(3)]
    database.write(calls(*first))
    changed = record(2, state=5, toroute=text)
    new = record(
        4, callid=text, from_uri=text, caller_route_set=(text,),
        legs=(leg(0, to_tag=text, confirmed_at=1234567890.123456), leg(1, session_end=1e10 / 3)),
    )  # fmt: skip
    transaction = calls(changed, new)
    transaction.deletes = [key(record(1)), key(record(77))]
    database.write(transaction)
    assert read(database) == [changed, record(3), new]


def test_another_call_in_the_place_of_one_that_ends(database: Database) -> None:
    database.write(calls(record(1), record(2)))
    transaction = calls(record(1, callid="another", legs=(leg(1),)))
    transaction.deletes = [key(record(1))]
    database.write(transaction)
    found = {dialog.h_entry: dialog for dialog in read(database)}
    assert found == {1: record(1, callid="another", legs=(leg(1),)), 2: record(2)}


def test_of_two_writings_of_a_call_the_last_one_stays(database: Database) -> None:
    transaction = calls(record(1), record(2), record(1, state=5, legs=(leg(0, acked=False),)))
    database.write(transaction)
    assert read(database) == [record(1, state=5, legs=(leg(0, acked=False),)), record(2)]


def test_a_transaction_that_no_message_holds(database: Database) -> None:
    # Quoted twice, this is more than the 16 MB that MariaDB takes at once.
    text = "\\'" * 20_000
    dialogs = [
        record(number, callid=f"{number}{text}", req_uri=text) if number < 128 else record(number)
        for number in range(1200)
    ]
    # Of two writings the last one stays, wherever a message ends.
    database.write(calls(dialogs[0]._replace(state=5), *dialogs[1:], dialogs[0]))
    assert sorted(read(database)) == sorted(dialogs)
    broken = calls(*(record(number) for number in range(1200)))
    broken.legs[-1] = (*broken.legs[-1][:1], 2**70, *broken.legs[-1][2:])
    with pytest.raises(RowsRefused):
        database.write(broken)
    assert sorted(read(database)) == sorted(dialogs)


@pytest.mark.parametrize("rows", [1, 7, 100, 0])
def test_pages(database: Database, rows: int) -> None:
    dialogs = [
        record(number, legs=tuple(leg(n) for n in range(1 + number % 3)), variables=variables)
        for number, variables in enumerate([(), (("a", "1"),), (("b", "2"), ("a", "1"))] * 8)
    ]
    database.write(batch(*dialogs))
    pages = list(database.read(OWNER, rows))
    assert [record_from(dialog) for page in pages for dialog in page] == dialogs
    assert {len(page) for page in pages[:-1]} <= {rows}
    third = pages[0][0].in_id + 2
    assert [len(p) for p in database.read(OWNER, 0, after=third)] == [len(dialogs) - 3]


@pytest.mark.parametrize(
    "kept", [[0, 1, 2, 3, 4, 100, 250, 299], [150, 151, 299], range(0, 300, 2)]
)
def test_pages_of_keys_with_gaps_between(database: Database, kept: Sequence[int]) -> None:
    dialogs = [record(number) for number in range(300)]
    database.write(batch(*dialogs))
    gone = WriteBatch()
    keys = [dialog.in_id for page in database.read(OWNER, 0) for dialog in page]
    gone.row_ids["dialog_in"] = [keys[number] for number in range(300) if number not in kept]
    database.write(gone)
    expected = [dialogs[number].callid for number in kept]
    for rows in (1, 4, 32, 0):
        pages = list(database.calls(OWNER, rows, after=0, last=database.last(OWNER)))
        assert [row[4] for page in pages for row in page] == expected
        assert all(0 < len(page) <= (rows or 300) for page in pages)
        whole = [callid(dialog) for page in database.read(OWNER, rows) for dialog in page]
        assert whole == expected


def test_its_own_indexes_are_as_they_should_be(database: Database) -> None:
    found = indexes_of(target_of(database.settings, database.url))
    assert (found.lacking, found.wrong, found.single) == ([], [], True)


@pytest.mark.parametrize("rows", [1, 3, 0])
@pytest.mark.parametrize("variables", [(), (("a", "1"), ("b", "2"))])
def test_ordinary_calls_are_told_from_others(
    database: Database, rows: int, variables: tuple[tuple[str, str], ...]
) -> None:
    others = [
        record(2, variables=variables, profiles=(("p", None),)),
        record(3, legs=(leg(0), leg(1))),
        record(4, legs=()),
        record(5, state=3),
        record(7, legs=(leg(acked=False, confirmed_at=1_700_000_004.0),)),
    ]
    with_variables = record(8, variables=variables)
    session = record(6, session_ts=1_700_001_800, legs=(leg(session_end=1_700_001_800.25),))
    dialogs = [record(1), *others, session, with_variables, record(9)]
    database.write(batch(*dialogs))
    pages = list(database.calls(OWNER, rows, after=0, last=database.last(OWNER)))
    found = [row for page in pages for row in page]
    # Of each leg a row, and one of a dialog without.
    names = [row[4] for row in found]
    assert names == [one.callid for one in dialogs for _ in one.legs or (None,)]
    ordinary = [row[4] for row in found if row[1] and names.count(row[4]) == 1]
    assert ordinary == [record(number).callid for number in (1, 2, 6, 8, 9)]
    assert {len({row[0] for row in page}) for page in pages[:-1]} <= {rows}
    keys = [row[0] for row in found]
    there = [(row[0], *row[2:]) for row in sorted(database.call_variables(OWNER, 0, keys[-1]))]
    owning = [keys[names.index(one.callid)] for one in (others[0], with_variables)]
    assert there == [(key, *variable) for key in owning for variable in variables]
    assert database.call_variables(OWNER, keys[-1], 2**40) == []
    assert [*map(callid, database.dialogs(OWNER, keys[::-1]))] == [one.callid for one in dialogs]
    (third,) = database.dialogs(OWNER, [keys[1]])
    assert record_from(third) == others[0]
    assert database.dialogs("other", keys) == database.dialogs(OWNER, []) == []


def test_many_dialogs_are_read_by_their_keys(database: Database) -> None:
    dialogs = [record(number, variables=(("a", str(number)),)) for number in range(600)]
    database.write(batch(*dialogs))
    (page,) = database.calls(OWNER, 0, after=0, last=database.last(OWNER))
    keys = [row[0] for row in page]
    assert [*map(record_from, database.dialogs(OWNER, keys))] == dialogs
    assert [*map(record_from, database.dialogs(OWNER, keys[7:300:9]))] == dialogs[7:300:9]


def callid(dialog: StoredDialog) -> object:
    return dialog.in_row[IN_COLUMNS.index("callid")]


def test_rows_that_come_while_it_is_read_are_left_out(database: Database) -> None:
    database.write(batch(*map(record, range(10))))
    pages = database.read(OWNER, 4)
    found = next(pages)
    database.write(batch(record(11)))
    found += [dialog for page in pages for dialog in page]
    assert [record_from(dialog) for dialog in found] == [record(number) for number in range(10)]


def test_ids_name_the_rows(database: Database, server: Server) -> None:
    database.write(batch(rich()))
    ((dialog,),) = database.read(OWNER, 0)
    url = database.settings.url
    assert columns(server, url, "SELECT id FROM dialog_in") == [dialog.in_id]
    assert sorted(columns(server, url, "SELECT id FROM dialog_out")) == dialog.out_ids
    assert sorted(columns(server, url, "SELECT id FROM dialog_vars")) == dialog.var_ids
    ids = {"dialog_in": [dialog.in_id], "dialog_out": dialog.out_ids, "dialog_vars": dialog.var_ids}
    database.write(WriteBatch(row_ids=ids))
    for table in ids:
        assert columns(server, url, f"SELECT id FROM {table}") == []


def test_nothing_is_written_of_a_batch_with_a_row_that_is_refused(database: Database) -> None:
    database.write(batch(record(1)))
    broken = batch(record(2), record(3))
    broken.dialogs[1] = (*broken.dialogs[1][:1], 2**70, *broken.dialogs[1][2:])
    with pytest.raises(RowsRefused) as refused:
        database.write(broken)
    # It is known that nothing of it is there.
    assert refused.value.undone
    assert read(database) == [record(1)]
    broken.vars_replaced = []
    with pytest.raises(RowsRefused) as refused:
        database.write(broken)
    assert refused.value.undone
    assert read(database) == [record(1)]
    database.write(calls(record(2)))
    assert read(database) == [record(1), record(2)]
    assert database.reconnects == 0


def test_one_daemon_for_each_owner(
    make: Make, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT", 0.2)
    again = make()
    with pytest.raises(OwnerTaken, match="rows of owner 'dlgmgmt' belong to a daemon that is run"):
        again.open()
    other = make("other")
    other.open()
    with pytest.raises(OwnerTaken), other.take_owner(OWNER):
        pass
    # The loader of the same daemon needs no lock.
    reader = make(lock=False)
    reader.open()
    database.write(batch(record(1)))
    assert read(reader) == [record(1)]
    database.close()
    with other.take_owner(OWNER), pytest.raises(OwnerTaken):
        again.open()
    again.open()


def test_two_daemons_make_the_tables_at_once(make: Make) -> None:
    errors: list[BaseException] = []

    def start(database: Database) -> None:
        try:
            database.open()
        except BaseException as error:  # noqa: BLE001 - shown below
            errors.append(error)

    databases = [make(f"owner{number}") for number in range(4)]
    threads = [threading.Thread(target=start, args=(database,)) for database in databases]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert [database.count(None) for database in databases] == [0] * 4


def test_a_newer_database_is_refused(database: Database, make: Make, server: Server) -> None:
    sql = f"UPDATE {migrate.VERSION_TABLE} SET version_num = '9999'"
    server.query(database.settings.url, sql)
    with pytest.raises(SchemaError, match="a newer dlgmgmt has been here"):
        make("other").open()
