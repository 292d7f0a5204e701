"""Rows of dialog_in that share their identity: which may be believed."""

from __future__ import annotations

from dlgmgmt.storage.faults import MAX_TEXT, printable
from dlgmgmt.storage.twins import Claim, judge

_HASHES = {"a": 1, "b": 2, "c": 1}


def _claim(number: int, callid: str, to_uri: str | None = None, from_tag: str = "f") -> Claim:
    return Claim(number, 1, 7, callid, from_tag, to_uri)


def test_the_first_of_one_call_counts_and_takes_its_copies_along() -> None:
    verdicts = judge([_claim(9, "a"), _claim(4, "a"), _claim(12, "a")], _HASHES.__getitem__)
    assert not verdicts[4].fault
    assert verdicts[4].copies == (9, 12)
    assert not verdicts[4].rivals
    assert verdicts[9].fault == verdicts[12].fault == "the same call as row 4"


def test_of_two_calls_the_one_whose_callid_hashes_there_is_kept() -> None:
    verdicts = judge([_claim(1, "b", "sip:b"), _claim(2, "a", "sip:a")], _HASHES.__getitem__)
    assert verdicts[1].fault == "its hash_entry:hash_id 1:7 is also that of row 2, another call"
    assert not verdicts[2].fault
    assert verdicts[2].is_own("sip:a") is True
    assert verdicts[2].is_own("sip:b") is False
    assert verdicts[2].is_own("sip:x") is None
    assert verdicts[2].is_own(None) is None


def test_legs_are_not_told_apart_by_a_to_uri_that_both_have_or_one_has_not() -> None:
    same = judge([_claim(1, "b", "sip:x"), _claim(2, "a", "sip:x")], _HASHES.__getitem__)
    assert same[2].is_own("sip:x") is None
    none = judge([_claim(1, "b", None), _claim(2, "a", "sip:a")], _HASHES.__getitem__)
    assert none[2].is_own("sip:a") is None


def test_two_calls_that_both_hash_there_or_neither_are_both_skipped() -> None:
    both = judge([_claim(1, "a", "sip:a"), _claim(2, "c", "sip:c")], _HASHES.__getitem__)
    assert both[1].fault
    assert both[2].fault
    neither = judge(
        [_claim(1, "b", "sip:a"), _claim(2, "x", "sip:c")], {"b": 2, "x": 3}.__getitem__
    )
    assert neither[1].fault
    assert neither[2].fault


def test_one_callid_with_two_from_tags_is_two_calls() -> None:
    verdicts = judge([_claim(1, "a", from_tag="f"), _claim(2, "a", from_tag="g")], lambda _: 1)
    assert verdicts[1].fault
    assert verdicts[2].fault


def test_what_strangers_wrote_is_printed_in_one_line_of_bounded_length() -> None:
    assert printable("a\r\n\x1b[2J\x00\udc80") == "a\\r\\n\\x1b[2J\\x00\\udc80"
    assert len(printable("\x00" * 5000)) == MAX_TEXT
    assert printable("ü" * MAX_TEXT) == "ü" * MAX_TEXT
