"""Membership in profiles, and sizes that are right whatever ends a dialog."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.profiles import (
    BATCH,
    MAX_INSERTIONS,
    MAX_VALUE,
    NoSuchProfile,
    ProfileLimit,
    Profiles,
)
from dlgmgmt.dialog.settings import DialogSettings
from tests.unit.dialog.harness import Core

SETTINGS = DialogSettings(
    hash_size=8,
    default_timeout=600,
    profiles_with_value=("caller", "gateway"),
    profiles_no_value=("inbound",),
)


@pytest.fixture
def core() -> Core:
    return Core(SETTINGS)


@pytest.fixture
def profiles(core: Core) -> Profiles:
    return core.table.profiles


def shown(core: Core, callid: str = "c1") -> tuple[tuple[str, str | None], ...]:
    (view,) = core.table.find(callid)
    return view.profiles


def test_the_declared_profiles_and_their_kinds(profiles: Profiles) -> None:
    assert sorted(profiles.names()) == ["caller", "gateway", "inbound"]
    assert [profiles.has_value(name) for name in ("caller", "inbound")] == [True, False]
    assert profiles.sizes() == {"caller": 0, "gateway": 0, "inbound": 0}


def test_a_dialog_in_several_profiles(core: Core, profiles: Profiles) -> None:
    dialog = core.invite()
    profiles.insert(dialog, "caller", "alice")
    profiles.insert(dialog, "gateway", "gw1")
    profiles.insert(dialog, "inbound", None)
    assert shown(core) == (("caller", "alice"), ("gateway", "gw1"), ("inbound", None))
    assert profiles.sizes() == {"caller": 1, "gateway": 1, "inbound": 1}
    assert profiles.contains(dialog, "caller", "alice")
    assert profiles.contains(dialog, "caller", None)
    assert not profiles.contains(dialog, "caller", "bob")
    assert profiles.contains(dialog, "inbound", None)


def test_sizes_by_value_and_of_the_whole_profile(core: Core, profiles: Profiles) -> None:
    for i, value in enumerate(["alice", "alice", "bob"]):
        profiles.insert(core.invite(f"c{i}"), "caller", value)
    sizes = [profiles.size("caller", value) for value in ("alice", "bob", "nobody", None)]
    assert sizes == [2, 1, 0, 3]


def test_each_insertion_counts_once_and_is_taken_back_once(core: Core, profiles: Profiles) -> None:
    dialog = core.invite()
    for _ in range(2):
        profiles.insert(dialog, "caller", "alice")
    assert profiles.size("caller", "alice") == 2
    assert shown(core) == (("caller", "alice"), ("caller", "alice"))
    assert [profiles.remove(dialog, "caller", "alice") for _ in range(3)] == [True, True, False]
    assert profiles.size("caller", "alice") == profiles.size("caller", None) == 0
    assert not profiles.contains(dialog, "caller", None)


def test_taking_back_what_is_not_there_changes_nothing(core: Core, profiles: Profiles) -> None:
    dialog, other = core.invite("c1"), core.invite("c2")
    profiles.insert(dialog, "caller", "alice")
    assert not profiles.remove(other, "caller", "alice")
    assert not profiles.remove(dialog, "caller", "bob")
    assert not profiles.remove(dialog, "caller", None)
    assert profiles.sizes() == {"caller": 1, "gateway": 0, "inbound": 0}


def test_a_value_for_a_profile_without_values_is_discarded(core: Core, profiles: Profiles) -> None:
    dialog = core.invite()
    profiles.insert(dialog, "inbound", "whatever")
    assert shown(core) == (("inbound", None),)
    assert profiles.size("inbound", "other") == 1
    assert profiles.contains(dialog, "inbound", "third")
    assert profiles.remove(dialog, "inbound", "fourth")


def test_a_value_is_needed_where_there_are_values(core: Core, profiles: Profiles) -> None:
    with pytest.raises(ValueError, match="caller needs a value"):
        profiles.insert(core.invite(), "caller", None)
    assert profiles.size("caller", None) == 0


@pytest.mark.parametrize(
    "call",
    [
        lambda p, d: p.insert(d, "callers", "x"),
        lambda p, d: p.remove(d, "callers", "x"),
        lambda p, d: p.contains(d, "callers", None),
        lambda p, _: p.size("callers", None),
        lambda p, _: p.views("callers", None),
        lambda p, _: p.has_value("callers"),
    ],
)
def test_a_name_that_is_not_declared(
    core: Core, profiles: Profiles, call: Callable[[Profiles, Dialog], object]
) -> None:
    with pytest.raises(NoSuchProfile, match="callers") as refused:
        call(profiles, core.invite())
    assert refused.value.name == "callers"


def test_limits(core: Core, profiles: Profiles) -> None:
    dialog = core.invite()
    with pytest.raises(ProfileLimit):
        profiles.insert(dialog, "caller", "x" * (MAX_VALUE + 1))
    for _ in range(MAX_INSERTIONS):
        profiles.insert(dialog, "inbound", None)
    with pytest.raises(ProfileLimit):
        profiles.insert(dialog, "caller", "x")
    assert profiles.sizes() == {"caller": 0, "gateway": 0, "inbound": MAX_INSERTIONS}


def rejected(core: Core, dialog: Dialog) -> None:
    core.tracker.invite_failed(dialog, 486)


def silent(core: Core, dialog: Dialog) -> None:
    core.tracker.invite_ended(dialog)


def killed_early(core: Core, dialog: Dialog) -> None:
    core.orders.by_id(dialog.entry.index, dialog.h_id, reason="why")


def hung_up(core: Core, dialog: Dialog) -> None:
    core.answer(dialog)
    core.down("ACK", 10)
    core.up("BYE", 1)


def killed(core: Core, dialog: Dialog) -> None:
    core.answer(dialog)
    core.orders.by_tags("c1", "alice", "bob", reason="why")


def expired(core: Core, dialog: Dialog) -> None:
    core.answer(dialog)
    core.down("ACK", 10)
    core.advance(601.0)
    core.orders.expired(dialog)


def rang_too_long(core: Core, dialog: Dialog) -> None:
    core.reply(dialog, 180)
    core.advance(301.0)
    core.orders.expired(dialog)


@pytest.mark.parametrize(
    "end", [rejected, silent, killed_early, hung_up, killed, expired, rang_too_long]
)
def test_whatever_ends_a_dialog_it_leaves_its_profiles_at_once(
    core: Core, profiles: Profiles, end: Callable[[Core, Dialog], None]
) -> None:
    dialog, other = core.invite(), core.invite("c2")
    for _ in range(2):
        profiles.insert(dialog, "caller", "alice")
    profiles.insert(dialog, "inbound", None)
    profiles.insert(other, "caller", "alice")
    end(core, dialog)
    # It is in the table still, for its transactions.
    assert shown(core) == ()
    assert profiles.sizes() == {"caller": 1, "gateway": 0, "inbound": 0}
    assert [view.callid for view in profiles.views("caller", "alice")] == ["c2"]
    profiles.insert(dialog, "caller", "alice")
    assert not profiles.remove(dialog, "caller", "alice")
    assert not profiles.contains(dialog, "caller", None)
    assert profiles.size("caller", None) == 1


def test_members_are_listed_once_each(core: Core, profiles: Profiles) -> None:
    dialogs = [core.invite(f"c{i}") for i in range(4)]
    for dialog, value in zip(dialogs, ("alice", "bob", "alice"), strict=False):
        for _ in range(2):
            profiles.insert(dialog, "caller", value)
    profiles.insert(dialogs[0], "caller", "bob")

    def members(value: str | None) -> list[str]:
        return sorted(view.callid for view in profiles.views("caller", value))

    assert members("alice") == ["c0", "c2"]
    assert members("bob") == ["c0", "c1"]
    assert members("nobody") == []
    assert members(None) == ["c0", "c1", "c2"]
    assert profiles.views("gateway", None) == []


def test_members_come_in_batches_and_who_leaves_meanwhile_is_left_out(
    core: Core, profiles: Profiles
) -> None:
    dialogs = [core.invite(f"c{i}") for i in range(2 * BATCH + 10)]
    for dialog in dialogs:
        profiles.insert(dialog, "inbound", None)
        profiles.insert(dialog, "caller", "alice")
    batches = profiles.iter_views("inbound", None)
    assert len(next(batches)) == BATCH
    for dialog in dialogs[BATCH:]:
        assert profiles.remove(dialog, "inbound", None)
    # Their other profile does not keep them in this one.
    assert list(batches) == []


def test_profiles_declared_later(core: Core, profiles: Profiles) -> None:
    dialog = core.invite()
    profiles.insert(dialog, "caller", "alice")
    profiles.declare(["late", "inbound"], ["caller", "plain"])
    assert [profiles.has_value(n) for n in ("caller", "inbound", "late", "plain")] == [
        True,
        False,
        True,
        False,
    ]
    profiles.insert(dialog, "late", "x")
    profiles.insert(dialog, "plain", None)
    assert profiles.sizes() == {"caller": 1, "gateway": 0, "inbound": 0, "late": 1, "plain": 1}


def test_empty_values_leave_nothing_behind(core: Core, profiles: Profiles) -> None:
    for i in range(100):
        dialog = core.invite(f"c{i}")
        profiles.insert(dialog, "caller", f"value-{i}")
        core.tracker.invite_failed(dialog, 486)
        core.table.release(dialog)
    assert (profiles._members, profiles._by_value) == ({}, {})
