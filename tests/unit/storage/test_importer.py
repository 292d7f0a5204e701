"""What kamailio wrote about four real calls, with ims_dialog and the dialog module, is read."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dlgmgmt.dialog.cseq import Shift
from dlgmgmt.storage.errors import SchemaError, StorageError
from dlgmgmt.storage.importer import kinds, source
from dlgmgmt.storage.url import parse_url
from dlgmgmt.storage.values import DEFAULT_LIFETIME
from tests.unit.storage.kamailio import (
    NAMES,
    NOW,
    READERS,
    Make,
    faults,
    leg_of,
    maker,
    read,
)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


# -- both modules ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", READERS)
def test_each_call_is_there_with_both_sides(make: Make, kind: str) -> None:
    calls, found = read(kind, make(kind))
    assert tuple(calls) == NAMES
    assert (found.calls, found.early, found.ended, found.faults) == (4, 0, 0, [])
    record = calls["plain"].record
    assert record.callid == "plain@kamailio.example.com"
    assert (record.from_tag, record.from_uri) == ("uac-1", "sip:alice@ims.example.com")
    assert record.to_uri.startswith("sip:plain-")
    assert record.req_uri.startswith("sip:plain-")
    assert record.caller_contact.startswith("sip:alice@127.0.0.1:")
    assert record.caller_bind_addr.startswith("udp:127.0.0.1:")
    assert (record.state, record.first_req_cseq, record.lifetime) == (4, 1, 7200)
    assert record.timeout == record.start_ts + 7200
    assert 1_795_682_000 < record.start_ts < 1_795_682_010
    leg = leg_of(record)
    assert leg.to_tag.startswith("uas")
    assert leg.callee_contact.startswith("sip:uas@127.0.0.1:")
    assert (leg.acked, leg.confirmed_at) == (True, 0.0)
    assert (leg.caller_cseq, leg.callee_cseq, leg.callee_cseq_seen) == (1, 1, False)
    assert (record.profiles, record.variables, record.sflags, record.toroute) == ((), (), 0, "")


@pytest.mark.parametrize("kind", READERS)
def test_variables_flags_and_timeout_route(make: Make, kind: str) -> None:
    record = read(kind, make(kind))[0]["rich"].record
    assert sorted(record.variables) == [("more", "yes"), ("who", "alice & co")]
    assert record.sflags & 8
    assert record.toroute == "GONE"


@pytest.mark.parametrize("kind", READERS)
def test_which_module_has_written_is_told_by_the_tables(make: Make, kind: str) -> None:
    with source(parse_url(f"sqlite:///{make(kind)}")) as connection:
        assert kinds(connection) == [kind]


@pytest.mark.parametrize("kind", READERS)
def test_a_route_set_is_split(make: Make, kind: str) -> None:
    table = "dialog" if kind == "dialog" else "dialog_in"
    route = '<sip:a;lr>, "x, y" <sip:b;lr>'
    path = make(kind, f"UPDATE {table} SET caller_route_set = '{route}' WHERE id = 1")
    record = read(kind, path)[0]["plain"].record
    assert record.caller_route_set == ("<sip:a;lr>", '"x, y" <sip:b;lr>')


@pytest.mark.parametrize("kind", READERS)
def test_bytes_that_are_no_utf_8_come_as_they_are(make: Make, kind: str) -> None:
    table = "dialog" if kind == "dialog" else "dialog_in"
    path = make(kind, f"UPDATE {table} SET from_uri = CAST(x'7369703aff' AS TEXT) WHERE id = 1")
    assert read(kind, path)[0]["plain"].record.from_uri == "sip:\udcff"


@pytest.mark.parametrize("kind", READERS)
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("state = 9", "state is 9, which is none of that module"),
        ("state = NULL", "state is None, which is no number that can stand there"),
        ("callid = ''", "callid is empty"),
        ("from_tag = ''", "from_tag is empty"),
        ("hash_id = 'x'", "hash_id is 'x', which is no number that can stand there"),
        ("start_time = -1", "start_time is -1, which is no number that can stand there"),
        ("sflags = 5000000000", "sflags is 5000000000, which is no set of flags"),
        (
            "from_uri = CAST(zeroblob(70000) AS TEXT)",
            "from_uri has more than 65535 characters",
        ),
    ],
)
def test_a_row_that_is_wrong_is_named_and_the_others_are_read(
    make: Make, kind: str, change: str, said: str
) -> None:
    table = "dialog" if kind == "dialog" else "dialog_in"
    relaxed = f"CREATE TABLE t AS SELECT * FROM {table}"
    path = make(
        kind,
        relaxed,
        f"DROP TABLE {table}",
        f"ALTER TABLE t RENAME TO {table}",
        f"UPDATE {table} SET {change} WHERE id = 4",
    )
    calls, found = read(kind, path)
    assert tuple(calls) == ("plain", "rich", "fork")
    assert str(found.faults[0]) == f"{table} 4: {said}"


@pytest.mark.parametrize("kind", READERS)
def test_variables_of_no_dialog_are_named(make: Make, kind: str) -> None:
    path = make(kind, "INSERT INTO dialog_vars VALUES (7, 1, 2, 'k', 'v')")
    assert faults(kind, path) == ["dialog_vars 7: belongs to no dialog"]


@pytest.mark.parametrize("kind", READERS)
def test_a_call_without_a_timer_gets_the_default(make: Make, kind: str) -> None:
    table = "dialog" if kind == "dialog" else "dialog_in"
    path = make(kind, f"UPDATE {table} SET timeout = 4711 WHERE id = 1")
    record = read(kind, path)[0]["plain"].record
    assert record.timeout == NOW + DEFAULT_LIFETIME
    assert record.lifetime == DEFAULT_LIFETIME


@pytest.mark.parametrize("kind", READERS)
def test_a_table_of_something_else(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE dialog (id INTEGER, text TEXT)")
        connection.execute("CREATE TABLE dialog_in (id INTEGER, text TEXT)")
    with pytest.raises(SchemaError, match=r"^table dialog(_in)? has no column "):
        read(kind, path)


@pytest.mark.parametrize(
    "url",
    [
        "postgres://kamailio:sesame@127.0.0.1:1/kamailio",
        "mysql://kamailio:sesame@127.0.0.1:1/kamailio",
        "sqlite:////nowhere/kamailio.sqlite",
    ],
)
def test_a_database_that_is_not_there(url: str) -> None:
    with pytest.raises(StorageError) as caught, source(parse_url(url)):
        pass
    assert "sesame" not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "kamailio" in str(caught.value)


# -- ims_dialog ------------------------------------------------------------------------------


def test_a_forked_call_has_the_legs_of_both_phones(make: Make) -> None:
    call = read("ims_dialog", make("ims_dialog"))[0]["fork"]
    assert [leg.to_tag for leg in call.record.legs] == ["uas20732-1", "uas20738-1"]
    assert call.record.state == 7, "which of them answered nobody knows"
    assert call.rows == {"dialog_in": [3], "dialog_out": [3, 4], "dialog_vars": []}


def test_legs_are_told_by_the_order_of_the_rows(make: Make) -> None:
    calls, _ = read("ims_dialog", make("ims_dialog"))
    for name, call in calls.items():
        assert all(leg.to_uri.startswith(f"sip:{name}-") for leg in call.record.legs)
    assert calls["rich"].rows == {"dialog_in": [2], "dialog_out": [2], "dialog_vars": [1, 2]}


def test_own_numbers_begin_above_whatever_the_phones_have_sent(make: Make) -> None:
    leg = leg_of(read("ims_dialog", make("ims_dialog"))[0]["moved"].record)
    assert leg.shifts is not None
    caller, callee = (Shift.restored(state) for state in leg.shifts)
    # The callee's INVITE and UPDATE had 1 and 2; a BYE in its name has:
    assert leg.callee_cseq + callee.total + 1 == 1002
    assert leg.caller_cseq + caller.total + 1 == 1002
    # A late ACK still belongs to its INVITE; what comes now is above the daemon's number.
    assert caller.sent(1) == 1
    assert caller.take(leg.caller_cseq, seen=True) < caller.sent(2)
    assert callee.take(leg.callee_cseq, seen=False) < callee.sent(3)


def test_a_phone_that_has_not_said_where_it_is_has_not_answered(make: Make) -> None:
    path = make("ims_dialog", "UPDATE dialog_out SET callee_contact = '' WHERE id = 3")
    record = read("ims_dialog", path)[0]["fork"].record
    assert (record.state, leg_of(record).to_tag) == (4, "uas20738-1")


def test_early_and_ended_calls_are_counted(make: Make) -> None:
    path = make(
        "ims_dialog",
        "UPDATE dialog_in SET state = 2 WHERE id = 1",
        "UPDATE dialog_in SET state = 6, timeout = 17104022 WHERE id = 2",
    )
    calls, found = read("ims_dialog", path)
    assert tuple(calls) == ("fork", "moved")
    assert (found.calls, found.early, found.ended, found.faults) == (4, 1, 1, [])
    assert found.gone == [
        {"dialog_in": [1], "dialog_out": [1], "dialog_vars": []},
        {"dialog_in": [2], "dialog_out": [2], "dialog_vars": [1, 2]},
    ]


def test_a_call_without_ack(make: Make) -> None:
    path = make("ims_dialog", "UPDATE dialog_in SET state = 5 WHERE id = 1")
    record = read("ims_dialog", path)[0]["plain"].record
    assert record.state == 5
    assert (leg_of(record).acked, leg_of(record).confirmed_at) == (False, record.start_ts)


def test_a_call_without_legs_and_legs_without_a_call(make: Make) -> None:
    path = make("ims_dialog", "DELETE FROM dialog_out WHERE id = 2")
    assert faults("ims_dialog", path) == [
        "dialog_in 2: it has no row in dialog_out, and without a To-tag it is no call"
    ]
    path.unlink()
    path = make("ims_dialog", "DELETE FROM dialog_in WHERE id = 2")
    assert faults("ims_dialog", path) == [
        "dialog_out 2: of which dialog it is is not certain",
        "dialog_vars 1: belongs to no dialog",
        "dialog_vars 2: belongs to no dialog",
    ]


def test_legs_that_could_be_those_of_several_calls_are_nobodys(make: Make) -> None:
    path = make(
        "ims_dialog",
        "UPDATE dialog_in SET req_uri = 'sip:100@pbx'",
        "UPDATE dialog_out SET to_uri = 'sip:100@pbx'",
    )
    calls, found = read("ims_dialog", path)
    assert not calls
    texts = [str(fault) for fault in found.faults]
    assert texts[0] == "dialog_in 1: which rows of dialog_out are its legs is not certain"
    assert texts[-1] == "dialog_out 5: of which dialog it is is not certain"
    assert len(texts) == 9


def test_a_did_links_where_it_is_written(make: Make) -> None:
    path = make(
        "ims_dialog",
        "UPDATE dialog_in SET did = 'd1' WHERE id = 1",
        "UPDATE dialog_out SET did = 'd1' WHERE id = 5",
        "DELETE FROM dialog_out WHERE id = 1",
        "DELETE FROM dialog_in WHERE id = 4",
    )
    calls, found = read("ims_dialog", path)
    assert calls["plain"].rows["dialog_out"] == [5]
    assert (tuple(calls), found.faults) == (("plain", "rich", "fork"), [])


def test_legs_that_have_their_dialogs_numbers_are_its_own(make: Make) -> None:
    path = make(
        "ims_dialog",
        "UPDATE dialog_out SET (hash_entry, hash_id) ="
        " (SELECT hash_entry, hash_id FROM dialog_in WHERE id = 1) WHERE id = 5",
        "DELETE FROM dialog_out WHERE id = 1",
        "DELETE FROM dialog_in WHERE id = 4",
    )
    calls, found = read("ims_dialog", path)
    assert calls["plain"].rows["dialog_out"] == [5]
    assert (tuple(calls), found.faults) == (("plain", "rich", "fork"), [])


def test_rows_with_an_owner_are_not_kamailios(make: Make) -> None:
    path = make(
        "ims_dialog",
        *(f"ALTER TABLE dialog_{name} ADD COLUMN owner TEXT" for name in ("in", "out", "vars")),
        "UPDATE dialog_in SET owner = 'dlgmgmt' WHERE id = 2",
        "UPDATE dialog_out SET owner = 'dlgmgmt' WHERE id = 2",
        "UPDATE dialog_vars SET owner = 'dlgmgmt'",
    )
    calls, found = read("ims_dialog", path)
    assert (tuple(calls), found.calls, found.faults) == (("plain", "fork", "moved"), 3, [])
