"""The functions of the manual's chapter 6, and those of the dialog module."""

from __future__ import annotations

import pytest

from dlgmgmt.routing.decision import Session
from dlgmgmt.routing.dialog import EventInfo
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.run import Run
from tests.unit.routing.harness import Bench, Env, Parameters, invite, reply, request, within

# -- which dialog ----------------------------------------------------------------------------------


def test_dlg_manage_makes_the_dialog_of_an_initial_invite_once() -> None:
    bench = Bench()
    assert bench.dlg.dlg_manage()
    assert bench.dlg.dlg_manage()
    assert bench.env.opened == 1
    dialog = bench.session.dialog
    assert dialog is not None
    assert (dialog.callid, dialog.holds) == ("c1", 1)
    assert dialog.req_uri == "sip:+4930123@proxy.example:5060;user=phone"


def test_dlg_manage_finds_the_dialog_of_a_sequential_request() -> None:
    env = Env()
    dialog = env.call()
    bench = Bench(within(upstream=True), env)
    assert bench.dlg.dlg_manage()
    assert bench.session.dialog is dialog
    assert bench.session.dir_upstream
    assert env.opened == 1


def test_dlg_manage_has_nothing_to_do_with_other_requests() -> None:
    for message in (request("OPTIONS"), request("SUBSCRIBE"), within(callid="unknown")):
        bench = Bench(message)
        assert not bench.dlg.dlg_manage()
        assert bench.env.opened == 0


def test_dlg_manage_when_no_dialog_can_be_made() -> None:
    full = Bench(env=Env(max_dialogs=0))
    assert not full.dlg.dlg_manage()
    assert full.run.refused == (503, "Service Unavailable")
    broken = Bench(invite(from_='"x <sip:a@b>;tag=1'))
    assert not broken.dlg.dlg_manage()
    assert broken.run.refused == (400, "Bad From header")


@pytest.mark.parametrize(
    ("pvar", "uri"),
    [("$tu", "sip:bob@b.example"), ("$avp(x)", "sip:+4930123@proxy.example:5060;user=phone")],
)
def test_ruri_pvar_gives_the_request_uri(pvar: str, uri: str) -> None:
    bench = Bench(env=Env(Parameters(ruri_pvar=pvar)))
    assert bench.dlg.dlg_manage()
    assert bench.session.dialog is not None
    assert bench.session.dialog.req_uri == uri


def test_dlg_get_chooses_another_dialog_for_this_run_alone() -> None:
    env = Env()
    other = env.call("other")
    bench = Bench(invite(callid="mine"), env)
    bench.dlg.dlg_manage()
    mine = bench.session.dialog
    bench.msg.set_pv("$var(id)", "other")
    assert bench.dlg.dlg_get("$var(id)", "bob", "alice")
    assert bench.msg.pv("$dlg(callid) $dlg(to_tag)") == "other bob"
    assert bench.dlg.dlg_terminate("all", "moved")
    assert env.orders == [("terminate", "other", "all", "moved")]
    assert bench.session.dialog is mine
    assert other is not mine
    assert bench.dlg.dlg_manage()
    assert (
        Bench(within(callid="mine"), env, session=bench.session).msg.get_pv("$dlg(callid)")
        == "mine"
    )


def test_dlg_get_without_such_a_dialog_changes_nothing() -> None:
    env = Env()
    env.call()
    bench = Bench(within(), env)
    for tags in (("nope", "alice", "bob"), ("c1", "alice", "carol"), ("", "", "")):
        assert not bench.dlg.dlg_get(*tags)
    assert bench.msg.get_pv("$dlg(callid)") == "c1"


def test_is_known_dlg() -> None:
    env = Env()
    dialog = env.call()
    assert Bench(within(), env).dlg.is_known_dlg()
    assert Bench(reply(), env, route="onreply", session=Session(dialog=dialog)).dlg.is_known_dlg()
    assert not Bench(within(callid="forged"), env).dlg.is_known_dlg()
    assert not Bench(request("INFO", to="<sip:b@b>;tag=forged"), env).dlg.is_known_dlg()
    bench = Bench(invite(callid="new"), env)
    assert not bench.dlg.is_known_dlg()
    bench.dlg.dlg_manage()
    assert bench.dlg.is_known_dlg()
    env.tracker.request(None, "c1", "alice", "bob", "BYE", 11)
    assert not Bench(within(), env).dlg.is_known_dlg()


# -- flags and variables ---------------------------------------------------------------------------


def test_flags_of_a_dialog() -> None:
    env = Env()
    dialog = env.call()
    bench = Bench(within(), env)
    bench.msg.set_pv("$avp(f)", "7")
    assert bench.dlg.dlg_setflag(0)
    assert bench.dlg.dlg_setflag("31")
    assert bench.dlg.dlg_setflag("$avp(f)")
    assert bench.dlg.dlg_resetflag("0")
    later = Bench(reply(), env, route="onreply", session=Session(dialog=dialog)).dlg
    assert [n for n in range(32) if later.dlg_isflagset(n)] == [7, 31]
    assert bench.msg.get_pv("$dlg(sflags)") == 1 << 7 | 1 << 31
    # The script's own flags are others.
    assert not bench.msg.isflagset(7)


def test_flags_before_the_dialog_exists_wait_for_it() -> None:
    bench = Bench()
    assert bench.dlg.dlg_setflag(3)
    assert bench.dlg.dlg_setflag(4)
    assert bench.dlg.dlg_resetflag(4)
    assert bench.dlg.dlg_isflagset(3)
    bench.dlg.dlg_manage()
    assert [n for n in range(32) if bench.dlg.dlg_isflagset(n)] == [3]
    other = Bench(request("OPTIONS"))
    assert not other.dlg.dlg_setflag(3)
    assert not other.dlg.dlg_isflagset(3)


@pytest.mark.parametrize("flag", [-1, 32, "x"])
def test_a_dialog_flag_is_0_to_31(flag: int | str) -> None:
    dlg = Bench().dlg
    for call in (dlg.dlg_setflag, dlg.dlg_resetflag, dlg.dlg_isflagset):
        with pytest.raises(RouteError, match="from 0 to 31"):
            call(flag)


def test_variables() -> None:
    env = Env()
    env.call()
    dlg = Bench(within(), env).dlg
    assert dlg.get_var("plan") is None
    assert dlg.set_var("plan", "gold $fU")
    assert dlg.set_var("n", 5)
    later = Bench(within("INFO"), env).dlg
    assert (later.get_var("plan"), later.get_var("n")) == ("gold alice", "5")
    later.set_var("plan", None)
    assert dlg.get_var("plan") is None
    with pytest.raises(RouteError, match="named with"):
        dlg.set_var("a b", "x")
    assert not Bench(request("OPTIONS")).dlg.set_var("plan", "x")
    waiting = Bench().dlg
    assert waiting.set_var("plan", "x")
    assert waiting.get_var("plan") == "x"


# -- what happens to it ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "told"),
    [("caller", "caller"), ("callee", "callee"), ("all", "all"), ("both", "all")],
)
def test_dlg_terminate(side: str, told: str) -> None:
    env = Env()
    env.call()
    dlg = Bench(within(), env).dlg
    assert dlg.dlg_terminate(side, "Insufficient QoS")
    assert env.orders == [("terminate", "c1", told, "Insufficient QoS")]
    env.willing = False
    assert not dlg.dlg_terminate(side)
    assert env.orders[1] == ("terminate", "c1", told, "call failed")


def test_dlg_terminate_with_what_it_cannot_take() -> None:
    env = Env()
    env.call()
    dlg = Bench(within(), env).dlg
    with pytest.raises(RouteError, match="side is caller, callee, all or both, not 'everybody'"):
        dlg.dlg_terminate("everybody", "x")
    with pytest.raises(RouteError, match="not printable"):
        dlg.dlg_terminate("all", "a\r\nVia: b")
    assert not Bench(invite(callid="new"), env).dlg.dlg_terminate("all", "x")
    assert env.orders == []


def test_dlg_terminate_with_a_strangers_reason() -> None:
    env = Env()
    env.call()
    message = request("INFO", "X-Why: a\x00\x1b[2J", to="<sip:b@b.example>;tag=bob")
    assert Bench(message, env).dlg.dlg_terminate("all", "$hdr(X-Why)")
    assert env.orders == [("terminate", "c1", "all", "a??[2J")]


def test_dlg_refer() -> None:
    env = Env()
    env.call()
    bench = Bench(within(), env)
    assert bench.dlg.dlg_refer("callee", "sip:$fU@new.example")
    assert env.orders == [("refer", "c1", "callee", "sip:alice@new.example")]
    for side, address in (("all", "sip:a@b"), ("caller", "nowhere"), ("caller", "sip:a@b>;x")):
        with pytest.raises(RouteError, match="dlg_refer"):
            bench.dlg.dlg_refer(side, address)
    assert not bench.dlg.dlg_refer("caller", "$hdr(Refer-To)")
    assert not Bench(invite(callid="new"), env).dlg.dlg_refer("caller", "sip:a@b")
    assert len(env.orders) == 1
    env.willing = False
    assert not bench.dlg.dlg_refer("caller", "sip:a@b")


def test_dlg_bridge() -> None:
    bench = Bench()
    assert bench.dlg.dlg_bridge("sip:$fU@$fd", "sip:b@b.example", "sip:op.example;lr")
    assert bench.dlg.dlg_bridge("sip:a@a.example", "sip:b@b.example")
    assert bench.env.orders == [
        ("bridge", "sip:alice@a.example", "sip:b@b.example", "sip:op.example;lr"),
        ("bridge", "sip:a@a.example", "sip:b@b.example", ""),
    ]
    good = "sip:a@b"
    for addresses in (("x", good, good), (good, "x", good), (good, good, "x")):
        with pytest.raises(RouteError, match="dlg_bridge: not a SIP URI"):
            bench.dlg.dlg_bridge(*addresses)
    assert not bench.dlg.dlg_bridge("$tt", good)
    assert len(bench.env.orders) == 2


def test_dlg_set_timeout() -> None:
    env = Env()
    dialog = env.call()
    bench = Bench(within(), env)
    bench.msg.set_pv("$avp(t)", 90)
    assert bench.dlg.dlg_set_timeout("$avp(t)")
    assert dialog.lifetime == 90
    assert bench.dlg.dlg_set_timeout(120)
    assert bench.msg.get_pv("$dlg(lifetime)") == 120
    for seconds in (0, -1, "soon", 2**31):
        with pytest.raises(RouteError, match="dlg_set_timeout"):
            bench.dlg.dlg_set_timeout(seconds)
    assert dialog.lifetime == 120
    assert not Bench(request("OPTIONS"), env).dlg.dlg_set_timeout(5)
    initial = Bench(invite(callid="new"), env)
    assert initial.dlg.dlg_set_timeout(33)
    initial.dlg.dlg_manage()
    assert initial.msg.get_pv("$dlg(lifetime)") == 33


def test_dlg_set_property() -> None:
    env = Env()
    env.call()
    dlg = Bench(within(), env).dlg
    told = [(env.table.keepalive, env.table.noreset)]
    for names in ("ka-src", "ka-dst ; timeout-noreset"):
        assert dlg.dlg_set_property(names)
        told.append((env.table.keepalive, env.table.noreset))
    assert told == [(None, None), ((True, False), None), ((True, True), True)]
    for names in ("", "ka", "ka-src;x", ";"):
        with pytest.raises(RouteError, match="knows ka-src, ka-dst, timeout-noreset"):
            dlg.dlg_set_property(names)
    assert not Bench(request("OPTIONS")).dlg.dlg_set_property("ka-src")


def test_dlg_set_property_before_the_dialog_exists() -> None:
    bench = Bench()
    assert bench.dlg.dlg_set_property("ka-dst;timeout-noreset")
    told = [bench.env.table.keepalive]
    bench.dlg.dlg_manage()
    assert [*told, bench.env.table.keepalive] == [None, (False, True)]
    assert bench.env.table.noreset


# -- events ----------------------------------------------------------------------------------------


def test_an_event_has_a_dialog_and_no_message() -> None:
    env = Env()
    dialog = env.call()
    event = EventInfo(Run("event", env, session=Session(dialog=dialog)), "dialog:end", "bye")
    assert (event.name, event.detail, event.callid) == ("dialog:end", "bye", "c1")
    assert event.dialog is not None
    assert event.dialog.from_tag == "alice"
    assert event.pv("$dlg(callid) $fu $rm $ru $si $hdr(x) $rs") == "c1" + " <null>" * 6
    event.set_pv("$dlg_var(seen)", 1)
    assert event.get_pv("$dlg_var(seen)") == "1"
