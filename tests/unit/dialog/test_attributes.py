"""Variables, flags, and what else a script attaches to a dialog; finding one by its tags."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.attributes import MAX_KEY, MAX_VALUE, MAX_VARIABLES
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.views import DialogView
from tests.unit.dialog.harness import UNIX, Core, with_settings


def view(core: Core, dialog: Dialog) -> DialogView:
    found = core.table.get(dialog.entry.index, dialog.h_id)
    assert found is not None
    return found


# -- variables -------------------------------------------------------------------------------------


def test_variables_are_set_replaced_and_removed() -> None:
    core = Core()
    dialog, other = core.invite("c1"), core.invite("c2")
    table = core.table
    table.set_var(dialog, "account", "4711")
    table.set_var(dialog, "tariff", "")
    table.set_var(dialog, "account", "4712")
    assert table.vars(dialog) == {"account": "4712", "tariff": ""}
    assert view(core, dialog).variables == (("account", "4712"), ("tariff", ""))
    assert table.get_var(other, "account") is None
    table.set_var(dialog, "account", None)
    table.set_var(dialog, "unknown", None)
    assert table.get_var(dialog, "account") is None
    assert table.vars(dialog) == {"tariff": ""}


def test_variables_can_be_read_until_the_dialog_has_left() -> None:
    core = Core()
    dialog, _ = core.call()
    core.table.set_var(dialog, "account", "4711")
    core.up("BYE", 1)
    assert view(core, dialog).variables == (("account", "4711"),)


@pytest.mark.parametrize(
    ("key", "value"),
    [("", "x"), ("k" * (MAX_KEY + 1), "x"), ("", None), ("k", "v" * (MAX_VALUE + 1))],
)
def test_a_name_or_value_beyond_the_limits(key: str, value: str | None) -> None:
    core = Core()
    dialog = core.invite()
    with pytest.raises(ValueError, match="variable"):
        core.table.set_var(dialog, key, value)
    assert core.table.vars(dialog) == {}


def test_so_many_variables_and_no_more() -> None:
    core = Core()
    dialog = core.invite()
    for i in range(MAX_VARIABLES):
        core.table.set_var(dialog, f"k{i}", "v" * MAX_VALUE)
    with pytest.raises(ValueError, match=f"{MAX_VARIABLES}"):
        core.table.set_var(dialog, "one more", "x")
    core.table.set_var(dialog, "k0", "replaced")
    core.table.set_var(dialog, "k1", None)
    core.table.set_var(dialog, "one more", "x")
    assert len(core.table.vars(dialog)) == MAX_VARIABLES


# -- flags -----------------------------------------------------------------------------------------


def test_each_flag_stands_for_itself() -> None:
    core = Core()
    dialog = core.invite()
    for n in (0, 4, 31):
        core.table.set_flag(dialog, n)
        core.table.set_flag(dialog, n)
    core.table.reset_flag(dialog, 4)
    core.table.reset_flag(dialog, 5)
    assert [n for n in range(32) if core.table.is_flag_set(dialog, n)] == [0, 31]
    assert view(core, dialog).sflags == 1 | 1 << 31


@pytest.mark.parametrize("number", [-1, 32, 10**9])
def test_there_are_32_flags(number: int) -> None:
    core = Core()
    dialog = core.invite()
    for method in (core.table.set_flag, core.table.reset_flag, core.table.is_flag_set):
        with pytest.raises(ValueError, match="0 to 31"):
            method(dialog, number)
    assert view(core, dialog).sflags == 0


# -- what else -------------------------------------------------------------------------------------


def test_the_timeout_route_is_shown() -> None:
    core = Core()
    dialog = core.invite()
    core.table.set_toroute(dialog, "too_long")
    assert view(core, dialog).toroute == "too_long"
    with pytest.raises(ValueError, match="route"):
        core.table.set_toroute(dialog, "x" * 1000)
    assert view(core, dialog).toroute == "too_long"


def test_keepalive_marks_add_up() -> None:
    core = Core()
    dialog = core.invite()
    core.table.set_keepalive(dialog, True, False)
    core.table.set_keepalive(dialog, False, True)
    assert dialog.keepalive == 3


@pytest.mark.parametrize("seconds", [0, -1, 2**31])
def test_a_lifetime_is_a_positive_number(seconds: int) -> None:
    core = Core()
    dialog, _ = core.call()
    with pytest.raises(ValueError, match="seconds"):
        core.table.set_lifetime(dialog, seconds)
    assert view(core, dialog).lifetime == 600


def test_a_lifetime_set_before_the_answer_begins_with_the_ack() -> None:
    core = Core()
    dialog = core.invite()
    core.table.set_lifetime(dialog, 100)
    core.reply(dialog, 180)
    core.now = 50.0
    core.answer(dialog)
    core.now = 55.0
    core.down("ACK", 10)
    assert (view(core, dialog).lifetime, view(core, dialog).timeout) == (100, int(UNIX) + 155)


def test_a_lifetime_set_during_a_call_begins_at_once() -> None:
    core = Core()
    dialog, _ = core.call()
    core.advance(500.0)
    core.table.set_lifetime(dialog, 30)
    assert view(core, dialog).timeout == int(UNIX) + 530
    core.advance(29.0)
    assert core.expired == []
    core.advance(2.0)
    assert core.expired == [dialog]


def reasons(core: Core, seconds: float) -> list[str]:
    """Let time pass; why the dialogs whose timeout came are ended."""
    core.advance(seconds)
    due, core.expired[:] = core.expired[:], []
    return [order.reason for order in map(core.orders.expired, due) if order is not None]


@pytest.mark.parametrize(
    ("before", "after", "moment", "reason"),
    [
        # The wait for the ACK (60 s) stands, however much longer the call may last now.
        (600, 900, 60.0, "noack_timeout"),
        (20, 600, 60.0, "noack_timeout"),
        # A shorter lifetime runs from where it was set, 10 s after the answer.
        (600, 20, 30.0, "dialog_timeout"),
        (20, 30, 40.0, "dialog_timeout"),
        (600, 50, 60.0, "noack_timeout"),
    ],
)
def test_a_lifetime_set_while_the_ack_is_awaited(
    before: int, after: int, moment: float, reason: str
) -> None:
    core = Core()
    dialog = core.invite()
    core.table.set_lifetime(dialog, before)
    core.answer(dialog)
    core.advance(10.0)
    core.table.set_lifetime(dialog, after)
    assert view(core, dialog).timeout == int(UNIX + moment)
    assert reasons(core, moment - 10.5) == []
    assert reasons(core, 0.8) == [reason]


def test_a_lifetime_set_while_the_ack_is_awaited_holds_from_the_ack() -> None:
    core = Core()
    dialog = core.invite()
    core.answer(dialog)
    core.table.set_lifetime(dialog, 900)
    core.advance(10.0)
    core.down("ACK", 10)
    assert view(core, dialog).timeout == int(UNIX) + 910


def test_a_lifetime_set_among_several_answers() -> None:
    core = Core()
    dialog = core.invite()
    core.answer(dialog, "bob")
    core.answer(dialog, "carol", branch=1)
    core.advance(10.0)
    core.table.set_lifetime(dialog, 100)
    for tag in ("bob", "carol"):
        core.down("ACK", 10, tag)
    assert view(core, dialog).timeout == int(UNIX) + 110


def test_a_lifetime_for_a_dialog_that_has_ended_is_too_late() -> None:
    core = Core()
    dialog, _ = core.call()
    core.up("BYE", 1)
    core.table.set_lifetime(dialog, 30)
    assert (view(core, dialog).lifetime, view(core, dialog).timeout) == (600, 0)


def test_marks_for_the_timeout_can_be_taken_back() -> None:
    core = with_settings(send_bye=False)
    told, reset = [], []
    for number, (bye, noreset) in enumerate([(True, True), (True, False), (False, True)]):
        dialog, _ = core.call()
        for mark in (bye, noreset):
            core.table.set_timeout_bye(dialog, mark)
            core.table.set_timeout_noreset(dialog, mark)
        core.advance(100.0)
        core.down("INFO", 11 + number)
        reset.append(view(core, dialog).timeout == int(UNIX + core.now) + 600)
        told.append(reasons(core, 601.0))
        core.advance(400.0)
    assert reset == [False, True, False]
    assert told == [["dialog_timeout"], [], ["dialog_timeout"]]


# -- finding ---------------------------------------------------------------------------------------


def test_a_dialog_is_found_by_its_tags_in_either_order() -> None:
    core = Core()
    dialog, _ = core.call()
    for tags in (("alice", "bob"), ("bob", "alice"), ("alice", "")):
        assert core.table.lookup("c1", *tags) is dialog
    for callid, first, second in (
        ("c1", "alice", "carol"),
        ("c1", "bob", ""),
        ("c1", "", ""),
        ("c1", "", "alice"),
        ("c1", "bob", "bob"),
        ("c2", "alice", "bob"),
    ):
        assert core.table.lookup(callid, first, second) is None


def test_every_leg_of_a_fork_names_its_dialog() -> None:
    core = Core()
    dialog = core.invite()
    core.reply(dialog, 180, "bob")
    core.reply(dialog, 180, "carol", branch=1)
    assert core.table.lookup("c1", "alice", "carol") is dialog
    assert core.table.lookup("c1", "bob", "alice") is dialog


def test_a_dialog_that_has_ended_is_not_found() -> None:
    core = Core()
    core.call()
    core.up("BYE", 1)
    assert core.table.lookup("c1", "alice", "bob") is None
    again = core.invite(cseq=20)
    assert core.table.lookup("c1", "alice", "") is again


def test_a_dialog_by_its_numbers() -> None:
    core = Core()
    dialog = core.invite()
    index = dialog.entry.index
    assert core.table.dialog(index, dialog.h_id) is dialog
    assert core.table.dialog(index, dialog.h_id + 1) is None
    assert core.table.dialog(99, dialog.h_id) is None
