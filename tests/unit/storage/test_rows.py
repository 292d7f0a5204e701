from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.dialog.views import EndedLeg
from dlgmgmt.storage.batch import Row
from dlgmgmt.storage.errors import RowFault
from dlgmgmt.storage.extras import split_routes
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.rows import in_row, out_rows, record_from, var_rows
from dlgmgmt.storage.tables import IN_COLUMNS, OUT_COLUMNS, VAR_COLUMNS
from tests.unit.storage.records import HOSTILE, leg, record, records, rich

OWNER = "dlgmgmt"
EXAMPLES = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def stored(dialog: DialogRecord) -> StoredDialog:
    legs = out_rows(dialog, OWNER)
    variables = var_rows(dialog, OWNER)
    return StoredDialog(
        in_row(dialog, OWNER),
        legs,
        variables,
        17,
        [100 + number for number in range(len(legs))],
        [200 + number for number in range(len(variables))],
    )


def changed(dialog: StoredDialog, **columns: Any) -> StoredDialog:
    """With other values in dialog_in."""
    row = dict(zip(IN_COLUMNS, dialog.in_row, strict=True)) | columns
    return dialog._replace(in_row=tuple(row.values()))


def changed_leg(dialog: StoredDialog, number: int = 0, **columns: Any) -> StoredDialog:
    rows = list(dialog.out_rows)
    rows[number] = tuple((dict(zip(OUT_COLUMNS, rows[number], strict=True)) | columns).values())
    return dialog._replace(out_rows=rows)


def column(row: Row, name: str) -> Any:
    return row[IN_COLUMNS.index(name)]


@EXAMPLES
@given(records)
def test_a_dialog_comes_back_as_it_was(dialog: DialogRecord) -> None:
    assert record_from(stored(dialog)) == dialog


@EXAMPLES
@given(records)
def test_every_database_can_hold_the_rows(dialog: DialogRecord) -> None:
    rows = stored(dialog)
    assert len(rows.in_row) == len(IN_COLUMNS)
    assert all(len(row) == len(OUT_COLUMNS) for row in rows.out_rows)
    assert all(len(row) == len(VAR_COLUMNS) for row in rows.var_rows)
    for value in (*rows.in_row, *(v for r in (*rows.out_rows, *rows.var_rows) for v in r)):
        if isinstance(value, str):
            value.encode()
            assert "\0" not in value
        elif value is not None:
            assert type(value) in {int, float}
            assert abs(value) < 2**63


@pytest.mark.parametrize("dialog", [record(), rich()])
def test_plain_and_rich(dialog: DialogRecord) -> None:
    assert record_from(stored(dialog)) == dialog


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_in_every_place(text: str) -> None:
    dialog = record(
        callid=text, from_tag=text, from_uri=text, to_uri=text, req_uri=text, caller_contact=text,
        caller_route_set=(text, text), caller_bind_addr=text, toroute=text,
        profiles=((text, text),), variables=((text, text), ("plain", "1")),
        history=(EndedLeg(0, text, 486, text),),
        legs=(
            leg(to_tag=text, to_uri=text, callee_contact=text, callee_route_set=(text,),
                callee_bind_addr=text),
        ),
    )  # fmt: skip
    assert record_from(stored(dialog)) == dialog


def test_the_columns_that_kamailio_has_tell_what_they_tell_there() -> None:
    row = in_row(rich(), OWNER)
    assert column(row, "did") == rich().did
    assert column(row, "caller_original_cseq") == "1"
    assert column(row, "caller_route_set") == "<sip:198.51.100.1;lr>"
    assert column(row, "caller_sock") == "udp:127.0.0.1:5060"
    assert column(row, "start_time") == 1_700_000_004
    assert column(row, "timeout") == 1_700_043_204
    assert column(row, "toroute_name") == "after"
    first, second = out_rows(rich(), OWNER)
    assert first[OUT_COLUMNS.index("callee_route_set")] == (
        "<sip:192.0.2.7;lr>, <sip:192.0.2.8;lr;did=1.2>"
    )
    assert second[OUT_COLUMNS.index("callee_cseq")] == "4294967295"
    assert [row[3:] for row in var_rows(rich(), OWNER)] == list(rich().variables)


def test_text_that_no_column_takes_has_a_likeness_in_it() -> None:
    row = in_row(record(callid="a\0b\udce9"), OWNER)
    assert column(row, "callid") == "a\\x00b\\udce9"


def test_a_plain_dialog_needs_no_json() -> None:
    assert column(in_row(record(), OWNER), "xdata") is None
    assert out_rows(record(), OWNER)[0][-1] is None


@pytest.mark.parametrize(
    ("text", "routes"),
    [
        ("", ()),
        ("<sip:a;lr>", ("<sip:a;lr>",)),
        ("<sip:a;lr>,<sip:b;lr>", ("<sip:a;lr>", "<sip:b;lr>")),
        ("<sip:a;lr>, <sip:b;lr>;x=1", ("<sip:a;lr>", "<sip:b;lr>;x=1")),
        ('"A, \\"B\\", C" <sip:a>, <sip:b,c>', ('"A, \\"B\\", C" <sip:a>', "<sip:b,c>")),
        ("<sip:a, <sip:b>", ("<sip:a, <sip:b>",)),
        ('"never ends, <sip:b>', ('"never ends, <sip:b>',)),
    ],
)
def test_route_sets_as_anybody_writes_them(text: str, routes: tuple[str, ...]) -> None:
    assert split_routes(text) == routes


def kamailio() -> StoredDialog:
    """What ims_dialog 5.6 writes: no did, and nothing in columns that it does not have."""
    own_in: dict[str, Any] = dict.fromkeys(
        (
            "owner",
            "did",
            "to_uri",
            "lifetime",
            "init_ts",
            "session_ts",
            "dflags",
            "switches",
            "xdata",
        )
    )
    own_out: dict[str, Any] = dict.fromkeys(
        ("owner", "did", "leg_no", "branch", "acked", "callee_cseq_seen", "dflags", "confirmed_at")
    )
    return changed_leg(changed(stored(record()), **own_in), 0, **own_out, session_end=None)


def test_rows_of_kamailio() -> None:
    dialog = record_from(kamailio(), now=1_700_000_204.0)
    assert dialog.did == record().did
    assert dialog.to_uri == "sip:bob0@example.net"
    assert dialog.lifetime == 43_000
    assert dialog.init_ts == dialog.start_ts == 1_700_000_004
    assert dialog.legs == (leg(),)
    assert record_from(kamailio(), now=1.8e9, lifetime=60).lifetime == 60


def test_a_leg_of_kamailio_without_ack() -> None:
    (found,) = record_from(changed(kamailio(), state=5)).legs
    assert not found.acked
    assert found.confirmed_at == 1_700_000_004.0


def test_a_callee_of_kamailio_that_has_sent_a_request() -> None:
    (found,) = record_from(changed_leg(kamailio(), callee_cseq="7")).legs
    assert (found.callee_cseq, found.callee_cseq_seen) == (7, True)
    (found,) = record_from(changed_leg(kamailio(), callee_cseq="")).legs
    assert (found.callee_cseq, found.callee_cseq_seen) == (1, False)


@pytest.mark.parametrize("state", [1, 2])
def test_an_early_dialog_is_told_as_such_whatever_its_legs_are(state: int) -> None:
    early = changed(kamailio(), state=state)._replace(out_rows=[], out_ids=[])
    assert record_from(early).state == state


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"state": 3}, "state: 3: there is none such"),
        ({"state": 6}, "state: 6: deleted"),
        ({"state": None}, "state: is NULL"),
        ({"state": "confirmed"}, "state: is no integer: 'confirmed'"),
        ({"state": -4}, "state: -4 is not within"),
        ({"callid": None}, "callid: is NULL"),
        ({"callid": ""}, "callid: is empty"),
        ({"callid": "x" * 1_000_000}, "callid: has 1000000 characters, at most 65535 can be right"),
        ({"callid": 1.5}, "callid: is no text"),
        ({"from_tag": None}, "from_tag: is NULL"),
        ({"from_uri": None}, "from_uri: is NULL"),
        ({"caller_contact": None}, "caller_contact: is NULL"),
        ({"caller_original_cseq": "one"}, "caller_original_cseq: is no CSeq number: 'one'"),
        ({"caller_original_cseq": "-1"}, "caller_original_cseq: is no CSeq number: '-1'"),
        ({"caller_original_cseq": "9" * 5000}, "caller_original_cseq: is no CSeq number"),
        ({"hash_id": 0}, "hash_id: 0 is not within 1 to 4294967295"),
        ({"hash_id": 2**32}, "hash_id: 4294967296 is not within"),
        ({"hash_entry": -1}, "hash_entry: -1 is not within"),
        ({"timeout": -5}, "timeout: -5 is not within"),
        ({"start_time": 2**60}, "start_time: 1152921504606846976 is not within"),
        ({"sflags": 2**40}, "sflags: 1099511627776 is not within"),
        ({"switches": 99}, "switches: 99 is not within"),
        ({"timeout": 1.5}, "timeout: is no integer: 1.5"),
        ({"timeout": float("nan")}, "timeout: is no integer: nan"),
        ({"xdata": "{"}, "xdata: no JSON"),
        ({"xdata": "[" * 100_000}, "xdata: no JSON"),
        ({"xdata": "[]"}, "xdata: no JSON object"),
        ({"xdata": '{"profiles": [["a"]]}'}, "xdata: profiles has an item that is no list of 2"),
        ({"xdata": '{"profiles": [[1, 2]]}'}, "xdata: something else than a text"),
        ({"xdata": '{"profiles": {}}'}, "xdata: profiles is no list"),
        ({"xdata": '{"history": [[1, "a", -1, "bye"]]}'}, "xdata: something else than a number"),
        ({"xdata": '{"texts": {"callid": {"hex": "zz"}}}'}, "xdata: hex that is no text"),
        (
            {"xdata": '{"variables": [' + '["a","b"],' * 1000 + '["a","b"]]}'},
            "xdata: variables has more than 1000 items",
        ),
    ],
)
def test_what_is_wrong_with_a_row_is_said(columns: dict[str, Any], why: str) -> None:
    with pytest.raises(RowFault) as error:
        record_from(changed(stored(record()), **columns))
    assert (error.value.table, error.value.id) == ("dialog_in", 17)
    assert str(error.value).startswith(f"dialog_in 17: {why.split(':', maxsplit=1)[0]}")
    assert why in str(error.value)


@pytest.mark.parametrize(
    ("columns", "why"),
    [
        ({"to_tag": None}, "to_tag: is NULL"),
        ({"to_tag": ""}, "to_tag: is empty"),
        ({"callee_contact": None}, "callee_contact: is NULL"),
        ({"callee_contact": "x" * 70_000}, "callee_contact: has 70000 characters"),
        ({"caller_cseq": "x"}, "caller_cseq: is no CSeq number: 'x'"),
        ({"callee_cseq": "1 2"}, "callee_cseq: is no CSeq number: '1 2'"),
        ({"branch": -1}, "branch: -1 is not within"),
        ({"confirmed_at": float("nan")}, "confirmed_at: nan is not within"),
        ({"session_end": -1.0}, "session_end: -1.0 is not within"),
        ({"session_end": "soon"}, "session_end: is no number: 'soon'"),
        ({"xdata": '{"shifts": 1}'}, "xdata: shifts is no list"),
        ({"xdata": '{"shifts": [["a"]]}'}, "xdata: shifts has something else than numbers"),
        ({"xdata": '{"referred": 4}'}, "xdata: referred is no number from 0 to 3"),
        ({"xdata": '{"moved_by": [1]}'}, "xdata: moved_by has an item"),
    ],
)
def test_what_is_wrong_with_a_leg_is_said(columns: dict[str, Any], why: str) -> None:
    with pytest.raises(RowFault) as error:
        record_from(changed_leg(stored(record()), **columns))
    assert (error.value.table, error.value.id) == ("dialog_out", 100)
    assert why in str(error.value)


def test_what_is_wrong_with_the_legs_together_is_said() -> None:
    two = stored(record(legs=(leg(1), leg(2))))
    with pytest.raises(RowFault, match="dialog_out 101: to_tag: another leg of the dialog has it"):
        record_from(changed_leg(two, 1, to_tag="to-1"))
    with pytest.raises(RowFault, match="dialog_in 17: there is no row of a leg for it"):
        record_from(two._replace(out_rows=[], out_ids=[]))
    many = two._replace(out_rows=two.out_rows * 50, out_ids=list(range(100)))
    with pytest.raises(RowFault, match="dialog_in 17: more than 64 legs"):
        record_from(many)


def test_what_is_wrong_with_a_variable_is_said() -> None:
    dialog = stored(record(variables=(("a", "1"),)))
    for name, why in ((None, "is NULL"), ("", "is empty"), ("x" * 70_000, "has 70000 characters")):
        row = (*dialog.var_rows[0][:3], name, "1")
        with pytest.raises(RowFault, match=f"dialog_vars 200: dialog_key: {why}"):
            record_from(dialog._replace(var_rows=[row]))


def test_values_of_other_types_that_sqlite_lets_in_are_read() -> None:
    odd = changed(stored(record()), state="4", callid=b"call", timeout="1700043204", from_tag=17)
    dialog = record_from(odd)
    assert (dialog.state, dialog.callid, dialog.from_tag) == (4, "call", "17")
    assert dialog.timeout == 1_700_043_204
