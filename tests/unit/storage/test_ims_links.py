"""Legs without a key to their dialog: dealt out by the order of the rows, where that is certain."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.storage.ims_links import DialogRow, LegRow, link


def linked(dialogs: str, legs: str) -> dict[int, list[int]]:
    """Rows as "1a 2b": an id and the party; the legs' ids as they are."""
    return link(
        [DialogRow(int(item[:-1]), f"sip:{item[-1]}@ims.example.com") for item in dialogs.split()],
        [LegRow(int(item[:-1]), f"sip:{item[-1]}@10.0.0.1:5060") for item in legs.split()],
    )


@pytest.mark.parametrize(
    ("dialogs", "legs", "found"),
    [
        ("", "", {}),
        ("1a 2b 3a", "1a 2b 3a", {1: [1], 2: [2], 3: [3]}),
        # Two phones rang.
        ("1a 2b 3c", "1a 2b 3b 4c", {1: [1], 2: [2, 3], 3: [4]}),
        # All to one party.
        ("1a 2a 3a", "4a 5a 6a", {1: [4], 2: [5], 3: [6]}),
        # Which of them rang twice?
        ("1a 2a 3b", "1a 2a 3a 4b", {3: [4]}),
        # A leg was lost: the gap in the ids tells whose.
        ("1a 2a 3a", "1a 3a", {1: [1], 3: [3]}),
        # ... unless they do not count alike.
        ("1a 2a 3a", "1a 7a", {}),
        # ... after a fork, they do again.
        ("1b 2a 3a 4a", "1b 2b 3a 5a", {1: [1, 2], 2: [3], 4: [5]}),
        # A dialog without legs, and legs without a dialog, among others.
        ("1a 2b 3c", "1a 3c", {1: [1], 3: [3]}),
        ("1a 3c", "1a 2b 3c", {1: [1], 3: [3]}),
        # Two workers wrote at the same time.
        ("1a 2b 3c 4d", "1a 2c 3b 4d", {1: [1], 2: [3], 3: [2], 4: [4]}),
        # Asked for by one name, called by another: in step.
        ("1a 2x 3c", "1a 2y 3c", {1: [1], 2: [2], 3: [3]}),
        ("1u 2v 3w", "1x 2y 3z", {1: [1], 2: [2], 3: [3]}),
        # ... and not.
        ("1u 2v 3w", "1x 2y", {}),
        ("1a 2x 3c", "1a 5y 6c", {1: [1], 3: [6]}),
    ],
)
def test_who_is_whose(dialogs: str, legs: str, found: dict[int, list[int]]) -> None:
    assert linked(dialogs, legs) == found


def test_numbers_are_one_party_with_and_without_prefix() -> None:
    dialogs = [DialogRow(1, "sip:0301234567@a"), DialogRow(2, "sip:bob@a")]
    legs = [LegRow(4, "tel:+49-30-1234567"), LegRow(5, "<sip:BOB@c;user=phone>")]
    assert link(dialogs, legs) == {1: [4], 2: [5]}


@given(st.integers(), st.integers(1, 200))
def test_with_a_party_for_each_call_every_leg_finds_its_dialog(seed: int, count: int) -> None:
    rng = random.Random(seed)
    dialogs, legs = [], []
    wanted: dict[int, list[int]] = {}
    next_leg = 1
    for number in range(1, count + 1):
        uri = f"sip:user{number}@example.com"
        dialogs.append(DialogRow(number, uri))
        for _ in range(rng.choice((0, 1, 1, 1, 1, 2, 3))):
            legs.append(LegRow(next_leg, uri))
            wanted.setdefault(number, []).append(next_leg)
            next_leg += 1
    assert link(dialogs, legs) == wanted


@given(st.lists(st.sampled_from("abc")), st.lists(st.sampled_from("abc")))
def test_no_leg_is_dealt_out_twice(callers: list[str], callees: list[str]) -> None:
    found = link(
        [DialogRow(number, f"sip:{user}@x") for number, user in enumerate(callers, 1)],
        [LegRow(number, f"sip:{user}@x") for number, user in enumerate(callees, 1)],
    )
    dealt = [leg for legs in found.values() for leg in legs]
    assert len(dealt) == len(set(dealt))
    assert set(dealt) <= set(range(1, len(callees) + 1))
    assert found.keys() <= set(range(1, len(callers) + 1))
    assert all(found.values())


def test_a_long_table_takes_no_time() -> None:
    rows = range(1, 20_001)
    dialogs = [DialogRow(number, f"sip:u{number % 7}@x") for number in rows]
    # The first leg is lost, so all are one off.
    legs = [LegRow(number, f"sip:u{number % 7}@x") for number in rows[1:]]
    assert link(dialogs, legs) == {number: [number] for number in rows[1:]}
