"""The profile functions of the manual's chapter 6."""

from __future__ import annotations

from typing import Any

import pytest

from dlgmgmt.routing.decision import Session
from dlgmgmt.routing.errors import PvError, RouteError, ScriptLimit
from tests.unit.routing.harness import Bench, Env, reply, request, within


def test_profiles_of_a_dialog() -> None:
    env = Env()
    env.call()
    dlg = Bench(within(), env).dlg
    assert dlg.set_dlg_profile("inbound")
    assert dlg.set_dlg_profile("caller", "$fU")
    assert dlg.set_dlg_profile("caller", "alice")
    assert dlg.is_in_profile("inbound")
    assert dlg.is_in_profile("caller", "alice")
    assert dlg.is_in_profile("caller")
    assert not dlg.is_in_profile("caller", "bob")
    assert not dlg.is_in_profile("outbound")
    # No check: inserted twice counts twice.
    sizes = [dlg.get_profile_size("caller", v) for v in ("$fU", "bob", None)]
    assert sizes == [2, 0, 2]


def test_profiles_can_be_left_in_the_other_routes() -> None:
    env = Env()
    dialog = env.call()
    dlg = Bench(reply(), env, route="onreply", session=Session(dialog=dialog)).dlg
    dlg.set_dlg_profile("caller", "x")
    dlg.set_dlg_profile("caller", "x")
    assert dlg.unset_dlg_profile("caller", "x")
    assert dlg.get_profile_size("caller") == 1
    assert not dlg.unset_dlg_profile("caller", "y")
    assert dlg.unset_dlg_profile("caller", "x")
    assert not dlg.unset_dlg_profile("caller", "x")
    assert dlg.get_profile_size("caller") == 0


def test_profiles_before_the_dialog_exists_wait_for_it() -> None:
    bench = Bench()
    assert bench.dlg.set_dlg_profile("caller", "$fU")
    assert bench.dlg.set_dlg_profile("inbound", "discarded")
    assert bench.session.pending == [("caller", "alice"), ("inbound", None)]
    assert bench.dlg.is_in_profile("caller", "alice")
    assert bench.dlg.is_in_profile("inbound")
    assert not bench.dlg.is_in_profile("caller", "bob")
    assert bench.dlg.get_profile_size("caller") == 0
    bench.dlg.dlg_manage()
    assert bench.session.pending == []
    assert bench.dlg.get_profile_size("caller", "alice") == 1
    assert bench.dlg.get_profile_size("inbound") == 1


def test_a_message_that_makes_no_dialog_is_in_no_profile() -> None:
    for bench in (Bench(request("OPTIONS")), Bench(within()), Bench(reply(), route="onreply")):
        assert not bench.dlg.set_dlg_profile("inbound")
        assert not bench.dlg.is_in_profile("inbound")
        assert bench.session.pending == []


def test_a_value_for_a_profile_without_values_is_silently_discarded() -> None:
    env = Env()
    dialog = env.call()
    dlg = Bench(reply(), env, route="onreply", session=Session(dialog=dialog)).dlg
    assert dlg.set_dlg_profile("inbound", "x")
    assert dlg.is_in_profile("inbound", "y")
    assert dlg.get_profile_size("inbound", "z") == 1
    assert dlg.unset_dlg_profile("inbound", "w")
    assert dlg.get_profile_size("inbound") == 0


def test_get_profile_size_stores_what_it_returns() -> None:
    env = Env()
    env.call()
    bench = Bench(within(), env)
    bench.dlg.set_dlg_profile("caller", "$fU")
    bench.dlg.set_dlg_profile("inbound")
    assert bench.dlg.get_profile_size("caller", "$fU", "$avp(size)") == 1
    assert bench.dlg.get_profile_size("caller", "bob", "$var(none)") == 0
    assert bench.dlg.get_profile_size("caller", size="$avp(all)") == 1
    # As the manual writes it for a profile without values.
    assert bench.dlg.get_profile_size("inbound", "$avp(in)") == 1
    assert bench.msg.pv("$avp(size) $var(none) $avp(all) $avp(in)") == "1 0 1 1"
    with pytest.raises(RouteError, match="cannot be set"):
        bench.dlg.get_profile_size("caller", "$fU", "$ci")


def test_unknown_profiles_are_named_with_the_known_ones() -> None:
    env = Env()
    dialog = env.call()
    dlg = Bench(reply(), env, route="onreply", session=Session(dialog=dialog)).dlg
    calls: list[Any] = [
        dlg.set_dlg_profile,
        dlg.unset_dlg_profile,
        dlg.is_in_profile,
        dlg.get_profile_size,
    ]
    for call in calls:
        with pytest.raises(
            RouteError, match="'callers'; configured: caller, gateway, inbound, out"
        ):
            call("callers", "x")


def test_a_profile_with_values_needs_one_to_be_entered_or_left() -> None:
    env = Env()
    dialog = env.call()
    dlg = Bench(reply(), env, route="onreply", session=Session(dialog=dialog)).dlg
    for call in (dlg.set_dlg_profile, dlg.unset_dlg_profile):
        with pytest.raises(RouteError, match="caller takes a value"):
            call("caller")


def test_profiles_have_limits() -> None:
    bench = Bench()
    with pytest.raises(ScriptLimit, match="1025"):
        bench.dlg.set_dlg_profile("caller", "x" * 1025)
    for _ in range(64):
        bench.dlg.set_dlg_profile("inbound")
    with pytest.raises(ScriptLimit, match="64"):
        bench.dlg.set_dlg_profile("inbound")
    with pytest.raises(PvError):
        bench.dlg.set_dlg_profile("caller", "$nope")
