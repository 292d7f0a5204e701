"""What is in the journal of changes: each answered dialog that changed, once, until it is taken."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from dlgmgmt.dialog.attributes import MAX_LIFETIME
from dlgmgmt.dialog.forced import force
from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import LOADED, record_of
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.tracker import Match
from tests.unit.dialog.harness import Core, with_settings

OFFSET = 0.0


def journalled(core: Core) -> Journal:
    journal = Journal()
    core.table.use_journal(journal)
    return journal


def taken(journal: Journal) -> list[Dialog]:
    """As whoever stores dialogs takes them."""
    dialogs = journal.take()
    for dialog in dialogs:
        with dialog.entry.lock:
            dialog.dirty = False
            dialog.stored = None if dialog.state is State.DELETED else LOADED
    return dialogs


def test_what_rings_is_not_in_it() -> None:
    core = Core()
    journal = journalled(core)
    dialog = core.invite()
    core.reply(dialog, 180)
    core.table.set_var(dialog, "who", "alice")
    assert len(journal) == 0
    core.answer(dialog)
    assert taken(journal) == [dialog]


def test_a_call_that_was_refused_was_never_in_it() -> None:
    core = Core()
    journal = journalled(core)
    dialog = core.invite()
    core.reply(dialog, 180)
    core.tracker.invite_failed(dialog, 486)
    core.table.release(dialog)
    assert journal.take() == []


def test_many_changes_are_one_place() -> None:
    core = Core()
    journal = journalled(core)
    dialog, _ = core.call()
    for number in range(20):
        core.table.set_var(dialog, "n", str(number))
    assert len(journal) == 1
    assert taken(journal) == [dialog]
    assert taken(journal) == []
    core.table.set_flag(dialog, 3)
    assert taken(journal) == [dialog]


def test_the_end_of_a_stored_dialog_is_in_it() -> None:
    core = Core()
    journal = journalled(core)
    dialog, _ = core.call()
    taken(journal)
    core.down("BYE", 11)
    core.table.release(dialog)
    assert dialog.removed
    assert journal.take() == [dialog]


def test_an_end_that_is_known_to_be_stored_comes_once() -> None:
    core = Core()
    journal = journalled(core)
    dialog, _ = core.call()
    taken(journal)
    core.down("BYE", 11)
    assert taken(journal) == [dialog]
    core.table.release(dialog)
    assert journal.take() == []


def test_a_call_that_ended_before_it_was_taken_has_nothing_to_be_stored_or_deleted() -> None:
    core = Core()
    journal = journalled(core)
    dialog, _ = core.call()
    core.down("BYE", 11)
    core.table.release(dialog)
    assert taken(journal) == [dialog]
    assert dialog.stored is None
    core.table.set_var(dialog, "late", "1")
    assert journal.take() == []


def test_who_takes_them_is_woken_once() -> None:
    core = Core()
    woken: list[int] = []
    journal = Journal(lambda: woken.append(1))
    core.table.use_journal(journal)
    first, _ = core.call()
    core.answer(core.invite("c2"), "carol")
    assert len(woken) == 1
    assert len(taken(journal)) == 2
    core.table.set_flag(first, 1)
    assert len(woken) == 2


def test_without_a_journal_nothing_is_marked() -> None:
    core = Core()
    dialog, _ = core.call()
    assert not dialog.dirty
    journalled(core)
    core.table.use_journal(None)
    core.table.set_flag(dialog, 1)
    assert not dialog.dirty


def _within(core: Core, dialog: Dialog, method: str) -> None:
    match = core.down(method, 12)
    assert isinstance(match, Match)
    core.tracker.response(
        match, method, 200, "sip:new@192.0.2.77", "sip:other@192.0.2.78", cseq=12, session=900
    )


CHANGES: dict[str, Callable[[Core, Dialog], object]] = {
    "answer of another phone": lambda core, dialog: core.answer(dialog, "carol", branch=1),
    "ACK": lambda core, _: core.down("ACK", 10),
    "re-INVITE": lambda core, _: core.down("INVITE", 11),
    "its 2xx, with a session timer": lambda core, dialog: _within(core, dialog, "INVITE"),
    "INFO of the callee": lambda core, _: core.up("INFO", 77),
    "REFER": lambda core, _: core.down("REFER", 13),
    "variable": lambda core, dialog: core.table.set_var(dialog, "a", "b"),
    "flag": lambda core, dialog: core.table.set_flag(dialog, 4),
    "timeout": lambda core, dialog: core.table.set_lifetime(dialog, 99),
    "longest timeout": lambda core, dialog: core.table.set_lifetime(dialog, MAX_LIFETIME),
    "route of the timeout": lambda core, dialog: core.table.set_toroute(dialog, "late"),
    "BYE at the timeout": lambda core, dialog: core.table.set_timeout_bye(dialog, on=True),
    "no reset": lambda core, dialog: core.table.set_timeout_noreset(dialog, on=True),
    "keep-alive": lambda core, dialog: core.table.set_keepalive(dialog, True, False),
    "profile": lambda core, dialog: core.table.profiles.insert(dialog, "calls", None),
    "branch that failed": lambda core, dialog: core.tracker.branch_failed(
        dialog, 3, 486, "dave", "rejected"
    ),
    "state set by an operator": lambda core, dialog: force(core.table, dialog, State.CONFIRMED),
    "BYE": lambda core, _: core.down("BYE", 14),
    "kill": lambda core, _: core.orders.by_tags("c1", "alice", "bob", reason="x"),
}


@pytest.mark.parametrize("acked", [True, False], ids=["confirmed", "no ACK yet"])
@pytest.mark.parametrize("change", CHANGES)
def test_whatever_is_stored_of_a_dialog_is_noted_when_it_changes(
    change: str, *, acked: bool
) -> None:
    core = Core()
    core.table.profiles.declare((), ("calls",))
    journal = journalled(core)
    dialog, _ = core.call(acked=acked)
    taken(journal)
    core.now = 7.0
    with dialog.entry.lock:
        before = record_of(dialog, OFFSET)
    CHANGES[change](core, dialog)
    with dialog.entry.lock:
        after = record_of(dialog, OFFSET)
    # Nothing is stored of an ACK that comes once more.
    repeated = acked and change in ("ACK", "state set by an operator")
    assert (after == before) == repeated
    if not repeated:
        assert journal.take() == [dialog]


def test_the_end_of_a_leg_among_several_is_noted() -> None:
    core = with_settings(noack_timeout=10)
    journal = journalled(core)
    dialog, _ = core.call()
    core.answer(dialog, "carol", branch=1)
    taken(journal)
    core.advance(30.0)
    core.orders.legs_due(dialog)
    assert [leg.to_tag for leg in dialog.confirmed_legs()] == ["bob"]
    assert journal.take() == [dialog]


def test_nothing_is_lost_between_two_threads() -> None:
    core = Core()
    journal = journalled(core)
    dialogs = []
    for number in range(4):
        dialog = core.invite(f"c{number}")
        core.answer(dialog)
        dialogs.append(dialog)
    seen: dict[str, int] = {}
    done = threading.Event()

    def store() -> None:
        over = False
        while not over:
            # Asked first: what came before the end is then still taken.
            over = done.is_set()
            for dialog in journal.take():
                with dialog.entry.lock:
                    dialog.dirty = False
                    dialog.stored = LOADED
                    seen[dialog.callid] = int(dict(dialog.variables).get("n", "-1"))

    thread = threading.Thread(target=store)
    thread.start()
    for number in range(3000):
        core.table.set_var(dialogs[number % 4], "n", str(number))
    done.set()
    thread.join(30)
    assert not thread.is_alive()
    assert sorted(seen.values()) == [2996, 2997, 2998, 2999]
