"""Scripts in charge of the whole proxy, on a clock and sockets of the tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.routing.scripted import Scripted, hang_up, track
from tests.unit.sip.harness import BOB, DIALOGS, World, house


def test_the_default_script_does_what_the_proxy_does_without_one(home: Scripted) -> None:
    call = home.talk()
    assert home.world.state() == 4
    scripted = call.invite.headers
    home.alice.within(call.caller, "BYE")
    bye = home.bob.one("BYE")
    home.bob.reply(bye, 200)
    home.alice.one("200")
    assert home.world.state() == 0

    plain = house(World(dialogs=DIALOGS))
    invite = plain.talk().invite
    # Branch and dialog id are drawn; everything else is the same, in the same order.
    drawn = ("Via", "Record-Route")
    assert [h for h in scripted if h[0] not in drawn] == [
        h for h in invite.headers if h[0] not in drawn
    ]
    assert [name for name, _ in scripted] == [name for name, _ in invite.headers]


def test_profiles_variables_and_flags_of_a_call(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        if not msg.has_totag():
            dlg.set_dlg_profile("caller", "$fU")
            dlg.dlg_manage()
            dlg.set_dlg_profile("all")
            dlg.dlg_setflag(3)
            msg.set_pv("$dlg_var(plan)", "gold")
            msg.record_route()
        msg.t_relay()

    home.use(request_route=request_route)
    home.talk()
    view = home.world.view()
    assert set(view.profiles) == {("caller", "alice"), ("all", None)}
    assert view.variables == (("plan", "gold"),)
    assert view.sflags == 8
    assert home.world.table.profiles.size("caller", "alice") == 1
    hang_up(home)
    assert home.world.table.profiles.size("caller", None) == 0


def test_dlg_flag_tracks_a_relayed_call(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        del dlg
        if msg.is_method("INVITE"):
            msg.setflag(4)
        msg.record_route() if not msg.has_totag() else None
        msg.t_relay()

    home.use(request_route=request_route)
    home.ring()
    assert home.world.state() == 2
    home.world.kill_early()


def test_timeout_avp_sets_the_lifetime(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        if not msg.has_totag():
            msg.set_pv("$avp(timeout)", 30)
        track(msg, dlg)

    home.use(request_route=request_route)
    home.talk()
    assert home.world.view().lifetime == 30
    home.world.advance(29)
    assert home.world.sent() == []
    home.world.advance(2)
    assert {what for what, _ in home.world.sent()} == {"BYE"}


def test_a_script_answers_for_itself(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        dlg.dlg_manage()
        msg.append_to_reply("X-Limit: 1")
        msg.send_reply(403, "Too many calls of $fU")

    home.use(request_route=request_route)
    sent = home.alice.invite("1")
    reply = home.alice.last("403")
    assert reply.start == "SIP/2.0 403 Too many calls of alice"
    assert reply["X-Limit"] == "1"
    home.alice.ack_failure(sent, reply)
    assert home.world.state() == 0
    assert home.world.table.counts().failed == 1


def test_a_script_that_raises_is_answered_500_and_leaves_no_dialog(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        del msg
        dlg.dlg_manage()
        raise ValueError("oops")

    home.use(request_route=request_route)
    home.alice.invite("1")
    assert home.alice.last("500")["Server"] == "dlgmgmt"
    assert home.world.state() == 0


def test_a_script_that_decides_nothing_is_answered_500(home: Scripted) -> None:
    home.use(request_route=lambda _msg, _dlg: None)
    home.alice.invite("1")
    assert home.alice.last("500").start == "SIP/2.0 500 No Decision"


def test_a_queue_that_is_full_is_answered_503(home: Scripted) -> None:
    home.runner.full = True
    home.alice.invite("1")
    assert home.alice.last("503")["Retry-After"] == "5"


def test_a_run_that_the_end_of_the_daemon_cuts_off_is_answered_503(home: Scripted) -> None:
    home.runner.late = []
    home.alice.invite("1")
    home.runner.cut_off()
    assert home.alice.last("503")["Retry-After"] == "5"
    assert home.world.state() == 0


def test_a_call_cancelled_while_the_script_runs_leaves_no_dialog(home: Scripted) -> None:
    home.runner.late = []
    sent = home.alice.invite("1")
    assert home.world.state() == 1
    home.alice.cancel(sent)
    home.alice.last("487")
    for done in home.runner.late:
        done()
    assert home.bob.inbox() == []
    assert home.world.state() == 0


def test_a_dialog_opened_after_the_run_was_given_up_is_undone(home: Scripted) -> None:
    """A blocked script goes on long after its call was answered 500."""
    kept: list[Callable[[], object]] = []

    def request_route(msg: Any, dlg: Any) -> None:
        kept.append(dlg.dlg_manage)
        msg.send_reply(480)

    home.use(request_route=request_route)
    home.alice.invite("1")
    home.alice.last("480")
    with pytest.raises(Exception, match="given up"):
        kept[0]()
    assert home.world.state() == 0


def test_branches_destination_and_header_changes(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        dlg.dlg_manage()
        msg.record_route("nat=yes")
        msg.append_hf("X-From: $fu")
        msg.remove_hf("Subject")
        msg.append_branch("sip:one@10.0.1.1")
        msg.append_branch("sip:two@10.0.1.2")
        msg.t_relay()

    def branch_route(msg: Any, dlg: Any) -> None:
        del dlg
        msg.append_hf(f"X-Branch: {msg.branch_index}")
        if msg.ruri == "sip:two@10.0.1.2":
            msg.set_destination("sip:10.0.1.3")

    home.use(request_route=request_route, branch_route=branch_route)
    home.alice.invite("1", headers=("Subject: hello",))
    bob, dave = home.bob.one("INVITE"), home.dave.one("INVITE")
    assert (bob.uri, dave.uri) == ("sip:one@10.0.1.1", "sip:two@10.0.1.2")
    assert (bob["X-Branch"], dave["X-Branch"]) == ("0", "1")
    assert bob["X-From"] == dave["X-From"] == "sip:alice@a.example"
    assert bob["Subject"] == dave["Subject"] == ""
    assert ";lr;nat=yes;did=" in bob["Record-Route"]
    assert home.carol.inbox() == []
    home.world.kill_early()


def test_a_branch_that_is_dropped_is_not_called(home: Scripted) -> None:
    def branch_route(msg: Any, dlg: Any) -> None:
        del dlg
        if "10.0.1.1" in msg.ruri:
            msg.drop()

    home.use(request_route=track, branch_route=branch_route)
    home.alice.invite("2")
    assert [to for what, to in home.world.sent() if what == "INVITE" and to == BOB] == []
    home.world.kill_early()


def test_all_branches_dropped_is_480(home: Scripted) -> None:
    home.use(request_route=track, branch_route=lambda msg, _dlg: msg.drop())
    home.alice.invite("2")
    home.alice.last("480")
    assert home.world.state() == 0


def test_replies_are_changed_and_dropped(home: Scripted) -> None:
    def onreply_route(msg: Any, dlg: Any) -> None:
        if msg.status == 183:
            msg.drop()
        msg.append_hf("X-Status: $rs $ci")
        if msg.status == 200:
            dlg.dlg_setflag(1)

    home.use(request_route=track, onreply_route=onreply_route)
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 183)
    home.bob.reply(invite, 180)
    assert [sip.what for sip in home.alice.inbox()] == ["100", "180"]
    home.bob.reply(invite, 200)
    ok = home.alice.one("200")
    assert ok["X-Status"] == "200 c1"
    assert home.world.view().sflags == 2
    home.alice.within(home.alice.caller_side(ok), "ACK")
    hang_up(home)


def test_the_next_target_after_a_failure(home: Scripted) -> None:
    def failure_route(msg: Any, dlg: Any) -> None:
        assert dlg.is_known_dlg()
        if msg.t_check_status("486|408"):
            msg.append_branch("sip:carol@10.0.1.2")
            msg.t_relay()

    home.use(request_route=track, failure_route=failure_route)
    home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 486)
    home.bob.one("ACK")
    invite = home.carol.one("INVITE")
    home.carol.reply(invite, 603)
    home.alice.last("603")
    assert home.world.state() == 0


def test_a_failure_route_answers_otherwise(home: Scripted) -> None:
    home.use(
        request_route=track, failure_route=lambda msg, _dlg: msg.send_reply(480, "Nobody home")
    )
    home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 486)
    assert home.alice.last("480").start == "SIP/2.0 480 Nobody home"


def test_events_of_a_call(home: Scripted) -> None:
    heard: list[tuple[str, str]] = []

    def event_route(event: Any, dlg: Any) -> None:
        del dlg
        heard.append((event.name, event.callid))

    home.use(request_route=track, event_route=event_route)
    call = home.talk()
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    home.alice.invite("1", callid="c2")
    home.bob.reply(home.bob.one("INVITE"), 486)
    assert heard == [("dialog:start", "c1"), ("dialog:end", "c1"), ("dialog:failed", "c2")]


def test_the_timeout_route_runs_before_the_byes_and_may_prolong(home: Scripted) -> None:
    ran: list[str] = []

    def request_route(msg: Any, dlg: Any) -> None:
        if not msg.has_totag():
            dlg.dlg_manage()
            dlg.dlg_set_timeout(20)
            msg.set_pv("$dlg_ctx(timeout_route)", "more_route")
            msg.record_route()
        msg.t_relay()

    def more_route(event: Any, dlg: Any) -> None:
        ran.append(event.name)
        if len(ran) == 1:
            dlg.dlg_set_timeout(40)

    home.use(request_route=request_route, more_route=more_route)
    home.talk()
    home.world.advance(22)
    assert ran == ["dialog:expired"]
    assert home.world.sent() == []
    home.world.advance(41)
    assert ran == ["dialog:expired"] * 2
    assert {what for what, _ in home.world.sent()} == {"BYE"}


@pytest.mark.parametrize(
    ("side", "told"), [("caller", {"alice"}), ("callee", {"bob"}), ("all", {"alice", "bob"})]
)
def test_dlg_terminate_tells_the_side_that_it_names(
    home: Scripted, side: str, told: set[str]
) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        if msg.is_method("INFO"):
            assert dlg.dlg_terminate(side, "no credit")
            msg.send_reply(200)
        else:
            track(msg, dlg)

    home.use(request_route=request_route)
    call = home.talk()
    home.alice.within(call.caller, "INFO")
    byes = {phone.name: sip for phone in home.phones for sip in phone.inbox() if sip.what == "BYE"}
    assert set(byes) == told
    assert {bye["Reason"] for bye in byes.values()} == {'SIP;cause=200;text="no credit"'}


def test_refer_and_bridge_reach_the_calls(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        if msg.is_method("INFO"):
            dlg.dlg_refer("callee", "sip:dave@10.0.1.3")
            dlg.dlg_bridge("sip:a@10.0.1.1", "sip:b@10.0.1.2", "")
        track(msg, dlg)

    home.use(request_route=request_route)
    call = home.talk()
    home.alice.within(call.caller, "INFO")
    assert home.calls.asked == [
        ("refer", "c1", "callee", "sip:dave@10.0.1.3"),
        ("bridge", "sip:a@10.0.1.1", "sip:b@10.0.1.2", ""),
    ]
    home.world.take()
    hang_up(home)


def test_a_hostile_header_does_not_fail_the_call(home: Scripted) -> None:
    said: list[bool] = []

    def request_route(msg: Any, dlg: Any) -> None:
        said.append(dlg.set_dlg_profile("caller", "$hdr(Subject)"))
        dlg.dlg_manage()
        said.append(dlg.set_dlg_profile("caller", "$hdr(Subject)"))
        said.append(dlg.dlg_set_timeout("$hdr(Subject)"))
        msg.t_relay()

    home.use(request_route=request_route)
    home.alice.invite("1", headers=("Subject: " + "9" * 1025,))
    assert home.bob.one("INVITE").uri
    assert said == [False, False, False]
    assert home.world.view().profiles == ()
    home.world.kill_early()
