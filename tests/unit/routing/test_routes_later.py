"""Runs on replies, failures and events."""

from __future__ import annotations

from typing import Any

import pytest

from dlgmgmt.routing.decision import Action, Decision, Session
from dlgmgmt.routing.dialog import EventInfo
from dlgmgmt.routing.dialog import ScriptDialog as Dlg
from dlgmgmt.routing.message import ScriptMessage as Msg
from dlgmgmt.routing.routes import (
    EVENTS,
    best_code,
    run_event,
    run_failure,
    run_reply,
    run_request,
    run_timeout,
)
from tests.unit.routing.harness import (
    Env,
    given,
    reply,
    script,
    uris,
)

# -- onreply_route ---------------------------------------------------------------------------------


def test_replies_pass_unless_a_provisional_one_is_dropped() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.append_hf("X-Code: $rs")
        if msg.t_check_status("18[0-2]"):
            msg.drop()

    functions = script(onreply_route=route)
    ringing = run_reply(given(reply(180)), Env(), functions)
    answer = run_reply(given(reply(200, "OK")), Env(), functions)
    assert (ringing.action, answer.action) == (Action.DROP, Action.NONE)
    assert answer.headers.added == ["X-Code: 200"]
    assert run_reply(given(reply(180)), Env(), script()) == Decision()


def test_a_reply_shares_what_the_request_has_set() -> None:
    session = Session()
    seen: list[str] = []

    def route(msg: Msg, dlg: Dlg) -> None:
        msg.set_pv("$avp(who)", "$fU")
        dlg.dlg_manage()
        dlg.set_dlg_profile("inbound")
        msg.t_relay()

    def answered(msg: Msg, dlg: Dlg) -> None:
        seen.append(msg.pv("$avp(who) $rs $dlg(callid)"))
        assert dlg.unset_dlg_profile("inbound")

    env = Env()
    functions = script(request_route=route, onreply_route=answered)
    run_request(given(session=session), env, functions)
    run_reply(given(reply(200, "OK"), session=session, branch=1), env, functions)
    assert seen == ["alice 200 c1"]
    assert env.table.profiles.size("inbound", None) == 0


# -- failure_route ---------------------------------------------------------------------------------


def fail(route: Any, *codes: int, **fields: Any) -> Decision:
    return run_failure(given(codes=codes, **fields), Env(), script(failure_route=route))


def test_a_failure_is_tried_elsewhere() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        if msg.t_check_status("486|408"):
            msg.append_branch("sip:voicemail@vm")
            msg.t_relay()

    found = fail(route, 486)
    assert (found.action, uris(found)) == (Action.RELAY, ["sip:voicemail@vm"])
    assert fail(route, 404) == Decision()
    assert fail(route) == found


def test_a_failure_with_a_new_request_uri() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        assert (msg.status, msg.method, msg.is_request) == (503, "INVITE", True)
        msg.set_pv("$rU", "operator")
        assert msg.t_relay()

    decision = fail(route, 503)
    assert uris(decision) == [decision.uri] == ["sip:operator@proxy.example:5060;user=phone"]


def test_a_failure_with_nowhere_to_go_stays_one() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        assert not msg.t_relay()

    assert fail(route, 486).action is Action.NONE


def test_a_failure_answered_otherwise() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.append_to_reply("Retry-After: 9")
        msg.send_reply(480, "$rs for $fU")

    decision = fail(route, 486)
    assert (decision.action, decision.code) == (Action.REPLY, 480)
    assert (decision.reason, decision.reply_headers) == ("486 for alice", ["Retry-After: 9"])


def test_branch_route_runs_for_the_branches_of_a_failure() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.append_branch("sip:vm@vm")
        msg.t_relay()

    def branch(msg: Msg, dlg: Dlg) -> None:
        msg.append_hf("X: $ru")

    functions = script(failure_route=route, branch_route=branch)
    decision = run_failure(given(codes=(486,)), Env(), functions)
    assert decision.branches[0].headers.added == ["X: sip:vm@vm"]


@pytest.mark.parametrize(
    ("codes", "best"),
    [
        ((486,), 486),
        ((503, 486), 486),
        ((486, 603, 404), 603),
        ((408, 480), 480),
        ((404, 401), 401),
        ((500, 302), 302),
        ((), 408),
    ],
)
def test_the_best_failure_is_that_of_rfc_3261(codes: tuple[int, ...], best: int) -> None:
    assert best_code(codes) == best


def test_the_proxys_own_choice_of_the_best_failure_counts() -> None:
    seen: list[int] = []

    def route(msg: Msg, dlg: Dlg) -> None:
        seen.append(msg.status)

    fail(route, 408, best=487)
    assert seen == [487]


# -- events ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", EVENTS)
def test_events_are_told(name: str) -> None:
    env = Env()
    dialog = env.call()
    seen: list[Any] = []

    def route(event: EventInfo, dlg: Dlg) -> None:
        seen.append((event.name, event.detail, event.pv("$dlg(from_uri)"), dlg.get_var("k")))
        assert dlg.dlg_setflag(1)
        assert dlg.dlg_terminate("all", "credit")

    env.table.set_var(dialog, "k", "v")
    run_event(name, dialog, env, script(event_route=route), detail="why")
    run_event(name, dialog, env, script())
    assert seen == [(name, "why", "sip:alice:secret@a.example", "v")]
    assert dialog.sflags == 2
    assert env.orders == [("terminate", "c1", "all", "credit")]


def test_the_timeout_route_of_a_dialog() -> None:
    env = Env()
    dialog = env.call()
    seen: list[Any] = []

    def credit_over(event: EventInfo, dlg: Dlg) -> None:
        seen.append((event.name, event.callid))

    functions = script(credit_over=credit_over)
    assert not run_timeout(dialog, env, functions)
    for name in ("gone", "__class__", "no name"):
        dialog.toroute = name
        assert not run_timeout(dialog, env, functions)
    dialog.toroute = "credit_over"
    assert run_timeout(dialog, env, functions)
    assert seen == [("dialog:expired", "c1")]
