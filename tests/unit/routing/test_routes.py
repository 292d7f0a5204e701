"""Runs: from a message and a script to a decision."""

from __future__ import annotations

import pytest

from dlgmgmt.routing.decision import Action, BranchPlan
from dlgmgmt.routing.dialog import ScriptDialog as Dlg
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.message import ScriptMessage as Msg
from dlgmgmt.routing.routes import (
    run_request,
)
from tests.unit.routing.harness import (
    URI,
    Env,
    busy,
    decide,
    given,
    relay,
    script,
    undecided,
    uris,
    within,
)

# -- request_route ---------------------------------------------------------------------------------


def test_a_script_that_decides_nothing() -> None:
    decision = decide(undecided)
    assert (decision.action, decision.branches) == (Action.NONE, [])


def test_relay_goes_to_the_configured_routes() -> None:
    env = Env()
    env.routes[URI] = ["sip:one@gw", "sip:two@gw"]
    decision = decide(relay, env=env)
    assert decision.action is Action.RELAY
    assert decision.branches == [BranchPlan("sip:one@gw"), BranchPlan("sip:two@gw")]
    assert decision.uri is None


def test_relay_to_nowhere_is_left_to_the_proxy() -> None:
    decision = decide(relay)
    assert (decision.action, decision.branches) == (Action.RELAY, [])


def test_a_new_request_uri_is_looked_up_in_the_routes() -> None:
    env = Env()
    env.routes["sip:+4930123@gw"] = ["sip:x@192.0.2.7"]

    def route(msg: Msg, dlg: Dlg) -> None:
        msg.ruri = "sip:$rU@gw"
        msg.t_relay()

    decision = decide(route, env=env)
    assert (decision.uri, uris(decision)) == ("sip:+4930123@gw", ["sip:x@192.0.2.7"])


def test_a_destination_needs_no_routes() -> None:
    env = Env()
    env.routes[URI] = ["sip:x@elsewhere"]

    def route(msg: Msg, dlg: Dlg) -> None:
        msg.set_destination("sip:192.0.2.7")
        msg.t_relay()

    assert decide(route, env=env).branches == [BranchPlan(URI, "sip:192.0.2.7")]


def test_appended_branches_are_all_that_is_called() -> None:
    env = Env()
    env.routes[URI] = ["sip:x@elsewhere"]

    def route(msg: Msg, dlg: Dlg) -> None:
        msg.append_branch("sip:$rU@cheap")
        msg.append_branch("sip:$rU@dear")
        msg.serial()
        msg.t_relay()

    decision = decide(route, env=env)
    assert uris(decision) == ["sip:+4930123@cheap", "sip:+4930123@dear"]
    assert not decision.parallel


def test_a_request_uri_that_the_script_set_is_called_first() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.append_branch("sip:2@gw")
        msg.ruri = "sip:1@gw"
        msg.t_relay()

    def consumed(msg: Msg, dlg: Dlg) -> None:
        msg.ruri = "sip:1@gw"
        msg.append_branch()
        msg.append_branch("sip:2@gw")
        msg.t_relay()

    assert uris(decide(route)) == uris(decide(consumed)) == ["sip:1@gw", "sip:2@gw"]


def test_a_sequential_request_follows_its_route() -> None:
    env = Env()
    env.routes["sip:bob@192.0.2.2"] = ["sip:x@elsewhere"]
    decision = decide(relay, within(), env)
    assert decision.branches == [BranchPlan("sip:bob@192.0.2.2")]


def test_a_request_with_a_route_set_of_its_own_follows_it() -> None:
    env = Env()
    env.routes["sip:real@target"] = ["sip:x@elsewhere"]
    found = given(routes=("<sip:192.0.2.9;lr>",), uri="sip:real@target")
    decision = run_request(found, env, script(request_route=relay))
    assert decision.branches == [BranchPlan("sip:real@target")]


def test_what_a_script_raises_comes_out() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        decide(route)

    def misplaced(msg: Msg, dlg: Dlg) -> None:
        msg.t_check_status("4..")

    with pytest.raises(RouteError, match="t_check_status cannot be used in request_route"):
        decide(misplaced)


# -- branch_route ----------------------------------------------------------------------------------


def test_branch_route_runs_for_each_branch() -> None:
    def branch(msg: Msg, dlg: Dlg) -> None:
        msg.append_hf(f"X-Branch: {msg.branch_index} $ru")
        if msg.branch_index == 0:
            msg.ruri = "sip:moved@gw"
            msg.set_pv("$du", "sip:192.0.2.7")
        if msg.branch_index == 2:
            msg.drop()
        dlg.set_dlg_profile("gateway", "$rU")

    def route(msg: Msg, dlg: Dlg) -> None:
        dlg.dlg_manage()
        msg.append_hf("X-All: 1")
        for n in range(3):
            msg.append_branch(f"sip:{n}@gw")
        msg.t_relay()

    env = Env()
    decision = run_request(given(), env, script(request_route=route, branch_route=branch))
    assert uris(decision) == ["sip:moved@gw", "sip:1@gw", "sip:2@gw"]
    assert [plan.destination for plan in decision.branches] == ["sip:192.0.2.7", None, None]
    assert [plan.dropped for plan in decision.branches] == [False, False, True]
    assert [plan.headers.added for plan in decision.branches] == [
        ["X-Branch: 0 sip:0@gw"],
        ["X-Branch: 1 sip:1@gw"],
        ["X-Branch: 2 sip:2@gw"],
    ]
    assert decision.headers.added == ["X-All: 1"]
    assert env.table.profiles.size("gateway", "moved") == 1
    assert env.table.profiles.size("gateway", None) == 3


def test_branch_route_does_not_run_when_nothing_is_relayed() -> None:
    ran: list[str] = []

    def branch(msg: Msg, dlg: Dlg) -> None:
        ran.append(msg.ruri)

    for route in (busy, undecided, relay):
        run_request(given(), Env(), script(request_route=route, branch_route=branch))
    assert ran == []
    run_request(given(within()), Env(), script(request_route=relay, branch_route=branch))
    assert ran == ["sip:bob@192.0.2.2"]
