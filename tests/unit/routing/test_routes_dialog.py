"""When a run makes a dialog, and what timeout_avp gives it."""

from __future__ import annotations

from typing import Any

import pytest

from dlgmgmt.routing.decision import Action, Session
from dlgmgmt.routing.dialog import ScriptDialog as Dlg
from dlgmgmt.routing.message import ScriptMessage as Msg
from dlgmgmt.routing.routes import (
    run_request,
)
from dlgmgmt.sip.message import Message
from tests.unit.routing.harness import (
    Env,
    Parameters,
    decide,
    given,
    relay,
    request,
    script,
    within,
)

# -- the dialog ------------------------------------------------------------------------------------


def test_dlg_flag_makes_a_relayed_invite_a_dialog() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.setflag(4)
        dlg.set_dlg_profile("caller", "$fU")
        msg.t_relay()

    env = Env(Parameters(dlg_flag=4))
    session = Session()
    run_request(given(session=session), env, script(request_route=route))
    assert session.dialog is not None
    assert env.table.profiles.size("caller", "alice") == 1


@pytest.mark.parametrize("flag", [None, 5])
def test_without_that_flag_there_is_none(flag: int | None) -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.setflag(4)
        msg.t_relay()

    env = Env(Parameters(dlg_flag=flag))
    assert decide(route, env=env).action is Action.RELAY
    assert env.opened == 0


@pytest.mark.parametrize("message", [request("OPTIONS"), within("INVITE")])
def test_dlg_flag_says_nothing_of_other_requests(message: Message) -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.setflag(4)
        msg.t_relay()

    env = Env(Parameters(dlg_flag=4))
    decide(route, message, env)
    assert env.opened == 0


def test_dlg_flag_says_nothing_of_a_call_that_is_answered() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        msg.setflag(4)
        msg.send_reply(486, "Busy")

    env = Env(Parameters(dlg_flag=4))
    assert decide(route, env=env).code == 486
    assert env.opened == 0


def managed(msg: Msg, dlg: Dlg) -> None:
    dlg.dlg_manage()
    msg.t_relay()


def flagged(msg: Msg, dlg: Dlg) -> None:
    msg.setflag(4)
    msg.t_relay()


@pytest.mark.parametrize("route", [managed, flagged])
def test_a_full_table_refuses_the_call(route: Any) -> None:
    decision = decide(route, env=Env(Parameters(dlg_flag=4), max_dialogs=0))
    assert (decision.action, decision.code) == (Action.REPLY, 503)
    assert decision.reply_headers == ["Retry-After: 5"]
    assert decision.branches == []


def test_a_script_may_refuse_the_call_in_its_own_words() -> None:
    def route(msg: Msg, dlg: Dlg) -> None:
        if not dlg.dlg_manage():
            msg.send_reply(480, "Full")

    decision = decide(route, env=Env(max_dialogs=0))
    assert (decision.code, decision.reason, decision.reply_headers) == (480, "Full", [])


# -- timeout_avp -----------------------------------------------------------------------------------

TIMED = Parameters(timeout_avp="$avp(i:10)", dlg_flag=4)


@pytest.mark.parametrize("value", [90, "90"])
@pytest.mark.parametrize("route", [managed, flagged])
def test_timeout_avp_at_the_creation(route: Any, value: int | str) -> None:
    def timed(msg: Msg, dlg: Dlg) -> None:
        msg.set_pv("$avp(i:10)", value)
        route(msg, dlg)

    env = Env(TIMED)
    session = Session()
    run_request(given(session=session), env, script(request_route=timed))
    assert session.dialog is not None
    assert (session.dialog.lifetime, env.table.seconds) == (90, [90])


def test_timeout_avp_in_a_sequential_request() -> None:
    def timed(msg: Msg, dlg: Dlg) -> None:
        msg.set_pv("$avp(i:10)", 30)
        msg.t_relay()

    env = Env(TIMED)
    dialog = env.call()
    decide(timed, within("INFO"), env)
    assert dialog.lifetime == 30
    decide(relay, within("INFO"), env)
    assert env.table.seconds == [30]


def test_what_is_said_after_the_creation_stands() -> None:
    def timed(msg: Msg, dlg: Dlg) -> None:
        msg.set_pv("$avp(i:10)", 30)
        dlg.dlg_manage()
        dlg.dlg_set_timeout(60)
        msg.t_relay()

    def changed(msg: Msg, dlg: Dlg) -> None:
        dlg.dlg_manage()
        msg.set_pv("$avp(i:10)", 45)
        msg.t_relay()

    for route, seconds in ((timed, 60), (changed, 45)):
        env = Env(TIMED)
        session = Session()
        run_request(given(session=session), env, script(request_route=route))
        assert session.dialog is not None
        assert session.dialog.lifetime == seconds


@pytest.mark.parametrize("value", [0, -5, "soon", "$fu", 2**31])
def test_a_timeout_avp_that_is_no_number_of_seconds(
    value: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    def timed(msg: Msg, dlg: Dlg) -> None:
        msg.set_pv("$avp(i:10)", value)
        dlg.dlg_manage()
        msg.t_relay()

    env = Env(TIMED)
    assert decide(timed, env=env).action is Action.RELAY
    assert env.table.seconds == []
    assert caplog.text.count("holds no number of seconds") == 1
