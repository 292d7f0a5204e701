"""Numbers that the daemon takes in a party's name, and how the party's own ones give way."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.dialog.cseq import MAX_STEPS, Shift
from dlgmgmt.dialog.model import OutLeg


def test_without_requests_of_the_daemon_nothing_moves() -> None:
    shift = Shift()
    assert (shift.total, shift.sent(7), shift.own(7)) == (0, 7, 7)


def test_numbers_before_stay_and_numbers_after_move_up() -> None:
    shift = Shift()
    assert shift.take(10, seen=True) == 11
    assert [shift.sent(n) for n in (9, 10, 11, 12)] == [9, 10, 12, 13]
    assert [shift.own(n) for n in (10, 11, 12, 13)] == [10, None, 11, 12]


def test_several_in_a_row() -> None:
    shift = Shift()
    assert [shift.take(10, seen=True) for _ in range(3)] == [11, 12, 13]
    assert shift.sent(10) == 10
    assert shift.sent(11) == 14
    assert [shift.own(n) for n in (10, 11, 12, 13, 14)] == [10, None, None, None, 11]


def test_a_callee_that_starts_below_what_was_used_in_its_name() -> None:
    shift = Shift()
    assert [shift.take(50, seen=False) for _ in range(2)] == [51, 52]
    shift.first(1)
    assert (shift.sent(1), shift.sent(2)) == (53, 54)
    assert [shift.own(n) for n in (51, 52, 53, 54)] == [None, None, 1, 2]


def test_a_callee_that_starts_above_what_was_used_in_its_name() -> None:
    shift = Shift()
    assert shift.take(1, seen=False) == 2
    shift.first(700)
    assert (shift.sent(700), shift.own(2), shift.own(701)) == (701, None, 700)


def test_old_steps_are_forgotten_but_the_newest_are_right() -> None:
    shift = Shift()
    for own in range(1, 100):
        assert shift.take(own, seen=True) == 2 * own
        assert shift.sent(own + 1) == 2 * own + 1
    assert len(shift._steps) == MAX_STEPS
    assert [shift.sent(own) for own in (97, 98, 99)] == [193, 195, 197]
    assert [shift.own(sent) for sent in (193, 194, 195, 196)] == [97, None, 98, None]


@given(st.lists(st.booleans(), max_size=40), st.integers(0, 1000))
def test_no_number_is_used_twice_and_all_rise(steps: list[bool], start: int) -> None:
    """True: the party sends a request; False: the daemon sends one in its name."""
    shift, own, used = Shift(), start, [start]
    for party in steps:
        if party:
            own += 1
            used.append(shift.sent(own))
            assert shift.own(used[-1]) == own
        else:
            used.append(shift.take(own, seen=True))
            assert shift.own(used[-1]) is None
    assert used == list(range(start, start + len(used)))


def test_a_bye_takes_the_next_number_and_moves_nothing() -> None:
    leg = OutLeg(0, 0, "sip:b@b", "bob", 5)
    assert (leg.next_cseq(to_caller=True), leg.next_cseq(to_caller=False)) == (6, 6)
    assert leg.shifts is None
    assert leg.take_cseq(to_caller=False) == 6
    assert leg.next_cseq(to_caller=False) == 7
    assert leg.next_cseq(to_caller=True) == 6
