"""Records: one that is older than its dialog is known to be, and all of a dialog is in them."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.model import Dialog, Direction
from dlgmgmt.dialog.record import LOADED, DialogRecord, record_of
from dlgmgmt.dialog.restore import RestoreError, restore
from dlgmgmt.dialog.states import ANSWERED, State
from dlgmgmt.dialog.table import DialogTable
from tests.unit.dialog.harness import UNIX, Core
from tests.unit.dialog.next_run import LATER, Next, near, numbers, record, view
from tests.unit.dialog.script import (
    LIVELY,
    METHOD_NAMES,
    SCRIPTS,
    STEPS,
    TAG_NAMES,
    WITH_PROFILES,
    Script,
    play,
)

ANSWER = ("answer", "bob", "INVITE", 0)
ACK = ("down", "bob", "ACK", 10)
BEGINNINGS = st.sampled_from([[], [ANSWER], [ANSWER, ACK]])


class Shelf:
    """Stores dialogs as a database does: what the journal has, whenever it is asked to."""

    def __init__(self, core: Core) -> None:
        self.journal = Journal()
        self.kept: dict[Dialog, DialogRecord] = {}
        core.table.use_journal(self.journal)

    def take(self) -> None:
        for dialog in self.journal.take():
            with dialog.entry.lock:
                dialog.dirty = False
                if dialog.state is State.DELETED:
                    dialog.stored = None
                    self.kept.pop(dialog, None)
                else:
                    dialog.stored = LOADED
                    self.kept[dialog] = record_of(dialog, UNIX)

    def check(self, dialog: Dialog) -> None:
        """What is kept is what is true, or it is known that it is not."""
        with dialog.entry.lock:
            answered = dialog.state in ANSWERED
            true = record_of(dialog, UNIX) if answered else None
        assert dialog.dirty or self.kept.get(dialog) == true
        assert len(self.journal) == dialog.dirty


@settings(max_examples=200, deadline=None)
@given(
    script=st.one_of(LIVELY, SCRIPTS),
    takes=st.lists(st.booleans(), min_size=5, max_size=5),
    beginning=BEGINNINGS,
)
def test_whatever_happens_the_journal_has_it(
    script: Script, takes: list[bool], beginning: Script
) -> None:
    core = Core(WITH_PROFILES)
    shelf = Shelf(core)
    step = iter(range(1000))

    def seen(dialog: Dialog) -> None:
        shelf.check(dialog)
        if takes[next(step) % len(takes)]:
            shelf.take()
            shelf.check(dialog)

    dialog = play(core, beginning + script, seen)
    event(dialog.state.name)
    shelf.take()
    assert shelf.kept == ({dialog: record(dialog)} if dialog.state in ANSWERED else {})


BEFORE = {
    "no ACK yet": [ANSWER],
    "confirmed": [ANSWER, ACK],
    "two answers": [ANSWER, ACK, ("answer", "carol", "INVITE", 1)],
    "marked": [
        ANSWER,
        ACK,
        ("enter", "bob", "INFO", 0),
        ("set variable", "bob", "INFO", 1),
        ("set flag", "bob", "INFO", 12),
        ("down", "bob", "REFER", 12),
    ],
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("before", BEFORE)
def test_each_step_alone_is_in_the_journal(before: str, step: str) -> None:
    for tag, method, number in itertools.product(TAG_NAMES, METHOD_NAMES, (0, 12, 13, 50)):
        core = Core(WITH_PROFILES)
        shelf = Shelf(core)

        def seen(dialog: Dialog, shelf: Shelf = shelf) -> None:
            shelf.check(dialog)
            shelf.take()

        dialog = play(core, [*BEFORE[before], (step, tag, method, number)], seen)
        assert shelf.kept == ({dialog: record(dialog)} if dialog.state in ANSWERED else {})


def found(table: DialogTable, did: str | None, one: str, other: str) -> object:
    entry = table.entry_of("c1")
    with entry.lock:
        match = table.match(entry, did, "c1", one, other)
    if match is None:
        return None
    _, leg, direction = match
    return leg.to_tag if leg is not None else None, direction


def ends(core: Core | Next, dialog: Dialog) -> dict[str, int]:
    """When each leg goes, in whole seconds from now, if nothing comes any more."""
    core.table.on_legs_due = core.orders.legs_due  # type: ignore[assignment] # nobody sends
    gone: dict[str, int] = {}
    tags = {leg.to_tag for leg in dialog.confirmed_legs()}
    for second in range(1, 700):
        core.advance(1.0)
        for due in core.expired:
            core.orders.expired(due)
        core.expired.clear()
        left = (
            set()
            if dialog.state is State.DELETED
            else {leg.to_tag for leg in dialog.confirmed_legs()}
        )
        gone |= dict.fromkeys(tags - left - gone.keys(), second)
        if not left:
            break
    return gone


@settings(max_examples=200, deadline=None)
@given(st.one_of(LIVELY, LIVELY, SCRIPTS), BEGINNINGS, st.sampled_from([1, 8, 64]))
@example([("answer", "carol", "INVITE", 1), ("refreshed", "bob", "INVITE", 3)], [ANSWER], 8)
@example([("own request", "bob", "INVITE", 0), ("up", "bob", "INFO", 40)], [ANSWER, ACK], 8)
def test_whatever_has_happened_is_there_after_a_restart(
    script: Script, beginning: Script, hash_size: int
) -> None:
    core = Core(WITH_PROFILES)
    dialog = play(core, beginning + script, lambda _: None)
    then = Next(core, replace(WITH_PROFILES, hash_size=hash_size))
    first = record(dialog)
    event(dialog.state.name)
    if dialog.state not in ANSWERED:
        with pytest.raises(RestoreError):
            restore(then.table, first)
        assert len(then.table) == 0
        return
    done = restore(then.table, first)
    again = done.dialog
    assert done.moved == (hash_size != 8 and again.did != dialog.did)
    assert not again.dirty
    place: dict[str, Any] = {
        "h_entry": again.entry.index,
        "h_id": again.h_id,
        "did": again.did,
    }

    # What is shown, what would be stored, and the numbers of its profiles and states.
    legs = tuple(leg._replace(h_entry=then.table.hash_of(leg.to_tag)) for leg in view(dialog).legs)
    assert view(again) == view(dialog)._replace(**place, legs=legs)
    clocks = tuple(
        leg._replace(confirmed_at=near(leg.confirmed_at), session_end=near(leg.session_end))
        for leg in first.legs
    )
    assert record(again, UNIX - LATER) == first._replace(**place, legs=clocks)
    assert then.table.profiles.sizes() == core.table.profiles.sizes()
    counts = core.table.counts()
    zero = dict.fromkeys(("processed", "expired", "failed", "illegal_events", "rejected"), 0)
    assert then.table.counts() == counts._replace(**zero)

    # Who belongs to it, and which numbers the requests in it get.
    for tag in ("bob", "carol", "stranger"):
        for did in (dialog.did, None):
            for pair in (("alice", tag), (tag, "alice")):
                assert found(then.table, did, *pair) == found(core.table, did, *pair)
    for leg in dialog.confirmed_legs():
        twin = again.legs[leg.to_tag]
        assert numbers(twin) == numbers(leg)
        for to_caller in (True, False, True):
            assert twin.take_cseq(to_caller=to_caller) == leg.take_cseq(to_caller=to_caller)
        assert numbers(twin) == numbers(leg)

    # When it ends.
    before, after = ends(core, dialog), ends(then, again)
    assert before.keys() == after.keys()
    assert all(abs(before[tag] - after[tag]) <= 1 for tag in before), (before, after)


def test_a_refer_is_remembered_of_each_side() -> None:
    core = Core()
    dialog, leg = core.call()
    assert record(dialog).legs[0].referred == 0
    core.down("REFER", 11)
    assert record(dialog).legs[0].referred == 1
    core.up("REFER", 5)
    assert record(dialog).legs[0].referred == 3
    then = Next(core)
    again = restore(then.table, record(dialog)).dialog.legs["bob"]
    assert set(again.referred) == set(leg.referred) == set(Direction)


def test_legs_that_ring_are_in_no_record() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180, "carol", branch=1)
    core.answer(dialog)
    kept = record(dialog)
    assert [leg.to_tag for leg in kept.legs] == ["bob"]
    assert [past.to_tag for past in kept.history] == ["carol"]


def test_moments_are_in_unix_time() -> None:
    core = Core()
    core.now = 40.0
    dialog = core.invite()
    core.reply(dialog, 200, session=90)
    (leg,) = record(dialog).legs
    assert (leg.confirmed_at, leg.session_end) == (UNIX + 40.0, UNIX + 40.0 + 90.0 + 30.0)
    core.down("ACK", 10)
    assert record(dialog).legs[0].confirmed_at == 0.0
