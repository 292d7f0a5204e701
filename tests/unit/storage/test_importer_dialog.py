"""What kamailio's dialog module alone writes: flags, profiles, CSeq numbers, its own states."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.storage.kamailio import Make, faults, leg_of, maker, read


@pytest.fixture
def make(tmp_path: Path) -> Make:
    return maker(tmp_path)


def test_profiles_in_the_order_of_their_insertion(make: Make) -> None:
    record = read("dialog", make("dialog"))[0]["rich"].record
    assert record.profiles == (("caller", "alice"), ("inbound", None), ("caller", 'b, "c"'))


def test_what_the_modules_flags_mean(make: Make) -> None:
    record = read("dialog", make("dialog"))[0]["rich"].record
    assert (record.timeout_bye, record.timeout_noreset, record.keepalive) == (True, True, 1)
    assert record.sflags == 1 << 31 | 1 << 3


@pytest.mark.parametrize(
    ("iflags", "said"),
    [
        (0, (False, False, 0)),
        (1, (True, False, 0)),
        (2, (False, False, 1)),
        (4, (False, False, 2)),
        (8, (False, True, 0)),
    ],
)
def test_each_of_the_modules_flags(make: Make, iflags: int, said: tuple[bool, bool, int]) -> None:
    path = make("dialog", f"UPDATE dialog SET iflags = {iflags} WHERE id = 1")
    record = read("dialog", path)[0]["plain"].record
    assert (record.timeout_bye, record.timeout_noreset, record.keepalive) == said


def test_a_forked_call_has_the_phone_that_answered(make: Make) -> None:
    record = read("dialog", make("dialog"))[0]["fork"].record
    assert (record.state, leg_of(record).to_tag) == (4, "uas19814-1")


def test_numbers_that_the_callee_has_used(make: Make) -> None:
    leg = leg_of(read("dialog", make("dialog"))[0]["moved"].record)
    assert (leg.callee_cseq, leg.callee_cseq_seen, leg.shifts) == (2, True, None)


def test_states_of_that_module(make: Make) -> None:
    path = make(
        "dialog",
        "UPDATE dialog SET state = 1 WHERE id = 1",
        "UPDATE dialog SET state = 5 WHERE id = 2",
        "UPDATE dialog SET state = 3 WHERE id = 3",
    )
    calls, found = read("dialog", path)
    assert (found.early, found.ended) == (1, 1)
    assert found.gone == [
        {"dialog": [1], "dialog_vars": []},
        {"dialog": [2], "dialog_vars": [1, 2]},
    ]
    record = calls["fork"].record
    assert (record.state, leg_of(record).acked) == (5, False)


@pytest.mark.parametrize(
    ("xdata", "said"),
    [
        ('{"profiles":[{"na', "xdata is no JSON"),
        ("[" * 20_000, "xdata is no JSON"),
        ("[]", "xdata has no list of profiles"),
        ('{"profiles":{}}', "xdata has no list of profiles"),
        (
            '{"profiles":[{"value":"x"}]}',
            "xdata has a profile without a name, or with a value of no text",
        ),
        (
            '{"profiles":[{"name":"x","value":7}]}',
            "xdata has a profile without a name, or with a value of no text",
        ),
        (
            '{"profiles":[' + ",".join(['{"name":"x"}'] * 65) + "]}",
            "xdata has more than 64 profiles",
        ),
    ],
)
def test_profiles_that_cannot_be_read(make: Make, xdata: str, said: str) -> None:
    path = make("dialog", f"UPDATE dialog SET xdata = '{xdata}' WHERE id = 1")
    assert faults("dialog", path) == [f"dialog 1: {said}"]


def test_an_xdata_without_profiles(make: Make) -> None:
    path = make("dialog", "UPDATE dialog SET xdata = '{}' WHERE id = 1")
    assert read("dialog", path)[0]["plain"].record.profiles == ()


@pytest.mark.parametrize(
    "value", ["'x'", "''", "'-1'", "'2147483648'", "'99999999999'", "'\u0661'"]
)
def test_a_cseq_that_is_none(make: Make, value: str) -> None:
    path = make("dialog", f"UPDATE dialog SET callee_cseq = {value} WHERE id = 1")
    (fault,) = faults("dialog", path)
    assert fault.startswith("dialog 1: callee_cseq is ")
    assert fault.endswith(", which is no CSeq")
