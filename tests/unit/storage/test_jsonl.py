"""Dialogs as JSON lines: what is written is what is read, and what is wrong is named."""

from __future__ import annotations

import json
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.dialog.record import DialogRecord, LegRecord
from dlgmgmt.dialog.views import EndedLeg
from dlgmgmt.storage import jsonl
from dlgmgmt.storage.jsonl import Ended, Header, LinesError, Reader

HEADER = Header("dlgmgmt", 1_700_000_000, whole=True)

LEG = LegRecord(
    to_tag="uas-1",
    to_uri="sip:bob@example.com",
    branch=1,
    caller_cseq=2,
    callee_cseq=102,
    callee_cseq_seen=True,
    callee_contact="sip:bob@192.0.2.7:5060;ob",
    callee_route_set=("<sip:192.0.2.9;lr>", "<sip:192.0.2.10;lr>"),
    callee_bind_addr="udp:192.0.2.1:5060",
    acked=False,
    confirmed_at=1_700_000_001.25,
    session_end=1_700_001_800.5,
    dflags=4,
    moved_by=(2, 102),
    referred=3,
    shifts=((((2, 1), (7, 2)), 0, 9, -1), ((), 0, 0, -1)),
)
DIALOG = DialogRecord(
    h_entry=3884,
    h_id=12015,
    did="c2f.fee2",
    state=7,
    callid="a\x1b[2J\u202e\ud800@example.com",
    from_tag='t"1',
    from_uri="sip:alice@example.com",
    to_uri="sip:bob@example.com",
    req_uri="sip:bob@192.0.2.1",
    first_req_cseq=1,
    caller_contact="sip:alice@192.0.2.5",
    caller_route_set=("<sip:192.0.2.8;lr>",),
    caller_bind_addr="udp:192.0.2.1:5060",
    lifetime=43_200,
    init_ts=1_700_000_000,
    start_ts=1_700_000_001,
    timeout=1_700_043_201,
    session_ts=1_700_001_832,
    sflags=17,
    dflags=1,
    timeout_bye=True,
    timeout_noreset=False,
    keepalive=3,
    fix_contact=True,
    toroute="gone",
    profiles=(("caller", "alice"), ("inbound", None)),
    variables=(("who", "al\nice"), ("", "")),
    history=(EndedLeg(2, "uas-0", 486, "rejected"),),
    legs=(LEG, LEG._replace(to_tag="uas-2", shifts=None)),
)
ENDED = Ended("dlgmgmt", 3884, 12016, "b@example.com", "t2")


def lines(*items: str) -> list[bytes]:
    return [item.encode() for item in items]


def read(data: Iterable[bytes]) -> list[DialogRecord | Ended]:
    return list(Reader(data, "x.jsonl"))


def fault(*items: str) -> str:
    with pytest.raises(LinesError) as caught:
        read(lines(*items))
    return str(caught.value)


def changed(**fields: object) -> str:
    """The line of DIALOG with other values."""
    return json.dumps({**json.loads(jsonl.dialog_line(DIALOG)), **fields}) + "\n"


def changed_leg(**fields: object) -> str:
    value = json.loads(jsonl.dialog_line(DIALOG))
    value["legs"][1].update(fields)
    return json.dumps(value) + "\n"


def test_what_is_written_is_read() -> None:
    written = lines(jsonl.header_line(HEADER), jsonl.dialog_line(DIALOG), jsonl.ended_line(ENDED))
    reader = Reader(written, "x.jsonl")
    assert reader.header == HEADER
    assert list(reader) == [DIALOG, ENDED]
    assert reader.line == 3


def test_types_are_those_of_the_record() -> None:
    (dialog,) = read(lines(jsonl.header_line(HEADER), jsonl.dialog_line(DIALOG)))
    assert isinstance(dialog, DialogRecord)
    assert isinstance(dialog.legs[0], LegRecord)
    assert isinstance(dialog.history[0], EndedLeg)
    assert hash(dialog) == hash(DIALOG)


def test_every_field_of_the_records_is_written() -> None:
    value = json.loads(jsonl.dialog_line(DIALOG))
    assert list(value) == list(DialogRecord._fields)
    assert list(value["legs"][0]) == list(LegRecord._fields)


def test_rows_without_an_owner() -> None:
    header = HEADER._replace(owner=None)
    ended = ENDED._replace(owner=None)
    reader = Reader(lines(jsonl.header_line(header), jsonl.ended_line(ended)), "x")
    assert (reader.header, list(reader)) == (header, [ended])


@given(st.text(), st.text())
def test_a_line_is_one_line_of_plain_ascii(callid: str, value: str) -> None:
    record = DIALOG._replace(callid=callid, variables=(("k", value),))
    line = jsonl.dialog_line(record)
    assert line.isascii()
    assert line.removesuffix("\n").isprintable()
    assert read(lines(jsonl.header_line(HEADER), line)) == [record]


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ("", "x.jsonl: no file of dialogs: its first line is no header"),
        ("\n", "x.jsonl: no file of dialogs: its first line is no header"),
        ("{}\n", "x.jsonl: no file of dialogs: its first line is no header"),
        ("[1]\n", "x.jsonl line 1: not an object"),
        ("SQLite format 3\n", "x.jsonl line 1: no JSON: Expecting value at column 1"),
        (
            '{"format":"dlgmgmt-dialogs","version":2}\n',
            "x.jsonl: version 2 of the format, this program reads 1",
        ),
        (
            '{"format":"dlgmgmt-dialogs","version":1,"owner":"a","written":1}\n',
            "x.jsonl line 1: whole: is missing",
        ),
    ],
)
def test_a_wrong_header(first: str, said: str) -> None:
    assert fault(first, jsonl.dialog_line(DIALOG)) == said


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (changed(state="4"), "x.jsonl line 2: state: not an integer"),
        (changed(h_id=True), "x.jsonl line 2: h_id: not an integer"),
        (changed(h_id=2**63), "x.jsonl line 2: h_id: too large"),
        (changed(callid=None), "x.jsonl line 2: callid: not a text"),
        (changed(timeout_bye=1), "x.jsonl line 2: timeout_bye: not true or false"),
        (changed(caller_route_set=["a", 1]), "x.jsonl line 2: caller_route_set[1]: not a text"),
        (changed(caller_route_set="a"), "x.jsonl line 2: caller_route_set: not a list"),
        (changed(profiles=[["a"]]), "x.jsonl line 2: profiles[0]: not a pair"),
        (changed(profiles=[["a", None]] * 65), "x.jsonl line 2: profiles: more than 64"),
        (changed(variables=[["a", None]]), "x.jsonl line 2: variables[0]: not a text"),
        (changed(legs=[[]]), "x.jsonl line 2: legs[0]: not an object"),
        (changed(history=[{}]), "x.jsonl line 2: history[0].branch: is missing"),
        (changed(to_who="x"), "x.jsonl line 2: unknown field 'to_who'"),
        (changed_leg(to_tag=7), "x.jsonl line 2: legs[1].to_tag: not a text"),
        (changed_leg(confirmed_at="x"), "x.jsonl line 2: legs[1].confirmed_at: not a number"),
        (changed_leg(shifts=[[["x"]]]), "x.jsonl line 2: legs[1].shifts: not an integer"),
        (changed_leg(shifts=[[[[[[[[]]]]]]]]), "x.jsonl line 2: legs[1].shifts: nested too deeply"),
        ('{"ended":{"owner":"a"}}\n', "x.jsonl line 2: ended.h_entry: is missing"),
        ('{"ended":1}\n', "x.jsonl line 2: ended: not an object"),
        ("\n", "x.jsonl line 2: no JSON: Expecting value at column 1"),
        ('{"a":1,"a":2}\n', "x.jsonl line 2: a name stands there twice"),
        ('{"a":NaN}\n', "x.jsonl line 2: NaN is no number"),
        ('{"a":' + "[" * 100_000 + "\n", "x.jsonl line 2: no JSON that can be read"),
        ('{"a":' + "1" * 10_000 + "}\n", "x.jsonl line 2: no JSON that can be read"),
        ("{}\n", "x.jsonl line 2: h_entry: is missing"),
    ],
)
def test_a_wrong_line(line: str, said: str) -> None:
    assert fault(jsonl.header_line(HEADER), line) == said


def test_a_file_that_was_cut_off_is_not_taken_for_a_whole_one() -> None:
    whole = jsonl.dialog_line(DIALOG)
    assert fault(jsonl.header_line(HEADER), whole, whole[:-1]) == "x.jsonl line 3: is cut off"


def test_bytes_that_are_no_text() -> None:
    with pytest.raises(LinesError, match=r"^x\.jsonl line 2: not UTF-8$"):
        read([jsonl.header_line(HEADER).encode(), b'"\xff"\n'])
