"""Which function may be called where: the table, and that each function obeys its row."""

from __future__ import annotations

from typing import Any

import pytest

from dlgmgmt.routing.decision import BranchPlan
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.restrictions import ALLOWED, TITLES
from tests.unit.routing.harness import Bench, Env, reply, within

CALLS: dict[str, tuple[str, tuple[Any, ...]]] = {
    "set_dlg_profile": ("dlg", ("inbound",)),
    "unset_dlg_profile": ("dlg", ("inbound",)),
    "is_in_profile": ("dlg", ("inbound",)),
    "get_profile_size": ("dlg", ("inbound",)),
    "dlg_isflagset": ("dlg", (1,)),
    "dlg_setflag": ("dlg", (1,)),
    "dlg_resetflag": ("dlg", (1,)),
    "dlg_terminate": ("dlg", ("all", "over")),
    "dlg_refer": ("dlg", ("callee", "sip:c@c.example")),
    "dlg_manage": ("dlg", ()),
    "dlg_bridge": ("dlg", ("sip:a@a.example", "sip:b@b.example", "")),
    "dlg_get": ("dlg", ("c1", "alice", "bob")),
    "is_known_dlg": ("dlg", ()),
    "dlg_set_timeout": ("dlg", (60,)),
    "dlg_set_property": ("dlg", ("ka-src",)),
    "set_var": ("dlg", ("k", "v")),
    "get_var": ("dlg", ("k",)),
    "set_destination": ("msg", ("sip:192.0.2.7",)),
    "append_branch": ("msg", ("sip:c@c.example",)),
    "serial": ("msg", ()),
    "parallel": ("msg", ()),
    "t_relay": ("msg", ()),
    "send_reply": ("msg", (486, "Busy")),
    "append_to_reply": ("msg", ("X: y",)),
    "record_route": ("msg", ()),
    "loose_route": ("msg", ()),
    "t_check_status": ("msg", ("486",)),
    "drop": ("msg", ()),
    "append_hf": ("msg", ("X: y",)),
    "remove_hf": ("msg", ("Subject",)),
    "setflag": ("msg", (1,)),
    "resetflag": ("msg", (1,)),
    "isflagset": ("msg", (1,)),
}


def bench(route: str) -> Bench:
    env = Env()
    env.call()
    found = Bench(reply() if route == "onreply" else within(), env, route=route)
    if route == "branch":
        found.run.plan = BranchPlan("sip:b@b.example")
    return found


def test_the_table_names_every_function_and_known_routes() -> None:
    assert set(CALLS) | {"ruri"} == set(ALLOWED)
    assert {route for routes in ALLOWED.values() for route in routes} == set(TITLES)


@pytest.mark.parametrize("route", TITLES)
@pytest.mark.parametrize("name", CALLS)
def test_a_function_obeys_its_row(name: str, route: str) -> None:
    found = bench(route)
    target, arguments = CALLS[name]
    call = getattr(found.dlg if target == "dlg" else found.msg, name)
    if route in ALLOWED[name]:
        call(*arguments)
        return
    with pytest.raises(RouteError, match=rf"^{name} cannot be used in {TITLES[route]}, only in "):
        call(*arguments)
    assert not found.env.orders
    assert not found.decision.headers


@pytest.mark.parametrize("route", TITLES)
def test_the_request_uri_obeys_its_row(route: str) -> None:
    found = bench(route)
    if route in ALLOWED["ruri"]:
        found.msg.ruri = "sip:c@c.example"
        assert found.msg.ruri == "sip:c@c.example"
    else:
        with pytest.raises(RouteError, match="ruri cannot be used in"):
            found.msg.ruri = "sip:c@c.example"


def test_the_manual_has_unset_dlg_profile_outside_of_the_request_route() -> None:
    assert ALLOWED["unset_dlg_profile"] == ("branch", "onreply", "failure")
    with pytest.raises(RouteError, match="only in branch_route, onreply_route, failure_route"):
        bench("request").dlg.unset_dlg_profile("inbound")
