"""The captured MI requests sent to the daemon, in the situations that they were captured in.

The reply must be the captured one byte for byte, except for values that differ from run to run
(hashes, times, ports) and for what ``harness.captures.ALLOWED`` names, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.sip.harness.captures import DATA, Stage, replayed
from tests.sip.harness.daemon import Daemon
from tests.sip.harness.peer import response
from tests.sip.harness.phones import Phones


@pytest.fixture(scope="module")
def replay_daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    """64*T1 is 1.92 s: each situation starts on an empty table soon after the one before."""
    return start_daemon(sip={"t1": 0.03, "t2": 0.2, "t4": 0.2}, forks=6)


@pytest.fixture
def stage(replay_daemon: Daemon, phones: Phones) -> Iterator[Stage]:
    replay_daemon.wait_empty(15)
    yield Stage(replay_daemon, phones)
    replay_daemon.check_log()


def test_empty_table(stage: Stage) -> None:
    stage.replay(
        "ims_dlg_list_empty",
        "ims_dlg_list_empty_unknown_callid",
        "ims_dlg_list_empty_quoted",
        "ims_crash_empty_named_param",
        "ims_dlg_list_empty",
        "ims_term_noparam",
        "ims_term_unknown",
        "ims_which",
        "ims_ps",
        "ims_unavailable_dlg_bridge",
        "ims_unavailable_dlg_end_dlg",
        "ims_unavailable_dlg_list_ctx",
        "ims_unavailable_profile_get_size",
        "ims_unavailable_profile_list_dlgs",
    )


def test_early_call(stage: Stage) -> None:
    stage.early("early-1@ref44")
    stage.replay(
        "ims_dlg_list_early1",
        "ims_dlg_list_callid",
        "ims_dlg_list_callid_ftag",
        "ims_dlg_list_named_params",
        "ims_dlg_list_quoted_callid",
        "ims_dlg_list_callid_badftag",
        "ims_dlg_list_callid_emptyftag_extra",
        "ims_dlg_list_callid_ftag_extra",
        "ims_dlg_list_callid_nonexist",
        "ims_term_1param",
        "ims_term_2param",
        "ims_term_emptyparam",
        "ims_term_badftag",
        "ims_term_early_badttag",
        "ims_dlg_list_early1",
    )
    stage.callees[0].refuse(486)
    stage.caller.ack_failure(stage.caller.expect(486))
    stage.gone()


def test_early_call_ended(stage: Stage) -> None:
    stage.early("ims_term_early@ref44")
    stage.replay("ims_term_early_list_before", "ims_term_early")
    stage.callees[0].take_cancel()
    stage.caller.ack_failure(stage.caller.expect(488))
    stage.gone()
    stage.replay("ims_term_early_list_after", "ims_term_early_list_after1s")


def test_early_fork_ended(stage: Stage) -> None:
    stage.forked("ims_term_early_fork@ref44")
    stage.ring_both()
    stage.replay("ims_term_early_fork_list_before", "ims_term_early_fork")
    for callee in stage.callees:
        callee.take_cancel()
    stage.caller.ack_failure(stage.caller.expect(488))
    stage.gone()
    stage.replay("ims_term_early_fork_list_after", "ims_term_early_fork_list_after1s")


def test_early_fork_ended_by_its_second_tag(stage: Stage) -> None:
    stage.forked("ims_fork_early_second_ttag@ref44")
    stage.ring_both()
    stage.replay("ims_fork_early_second_ttag_list", "ims_fork_early_second_ttag_term")
    for callee in stage.callees:
        callee.take_cancel()
    stage.caller.ack_failure(stage.caller.expect(488))
    stage.gone()
    stage.replay("ims_fork_early_second_ttag_after")


def test_confirmed_call(stage: Stage) -> None:
    stage.confirmed("1-ims_confirmed@ref44")
    stage.replay(
        "ims_confirmed_list_before",
        "ims_conf_list_callid",
        "ims_conf_list_callid_ftag",
        "ims_conf_list_callid_totag_as_ftag",
        "ims_conf_list_callid_upper",
        "ims_conf_term_badftag",
        "ims_conf_term_badttag",
        "ims_conf_list_after_bad",
        "ims_term_conf",
        "ims_term_conf_again_at_once",
    )
    stage.byes(stage.caller, *stage.callees)
    stage.replay("ims_term_conf_list_immediately", "ims_confirmed_list_after")


def test_tags_the_other_way_round(stage: Stage) -> None:
    stage.confirmed("ims_swapped@ref44")
    stage.replay("ims_swapped_list", "ims_swapped_term")
    stage.byes(stage.caller, *stage.callees)
    stage.replay("ims_swapped_after")


@pytest.mark.parametrize("name", ["badttag", "badswap", "term_empty_ttag"])
def test_wrong_tags(stage: Stage, name: str) -> None:
    stage.confirmed(f"ims_{name}@ref44")
    further = {
        "badttag": ["term"],
        "badswap": ["term", "term_ttagonly"],
        "term_empty_ttag": ["named"],
    }
    stage.replay(*(f"ims_{name}_{step}" for step in ("list", *further[name], "after")))
    stage.leg.bye(stage.callees[0])
    stage.gone()


def test_hung_up_by_the_caller(stage: Stage) -> None:
    stage.confirmed("ims_bye_normal@ref44")
    stage.replay("ims_bye_normal_confirmed")
    stage.leg.bye(stage.callees[0])
    stage.replay("ims_bye_normal_afterbye", "ims_bye_normal_afterbye_10s")


def test_bye_unanswered(stage: Stage) -> None:
    stage.confirmed("ims_bye_unanswered@ref44")
    stage.replay("ims_bye_unanswered_list", "ims_bye_unanswered_term", "ims_bye_unanswered_1s")
    for phone in (stage.caller, *stage.callees):
        phone.expect_copy(phone.expect("BYE"))
    stage.replay("ims_bye_unanswered_13s")


@pytest.mark.parametrize(("name", "winner"), [("fork_answer", 0), ("fork_answer2", 1)])
def test_answered_fork(stage: Stage, name: str, winner: int) -> None:
    stage.forked(f"ims_{name}@ref44")
    stage.ring_both()
    stage.answer(stage.callees[winner])
    stage.callees[1 - winner].take_cancel()
    stage.replay(f"ims_{name}_list")
    if winner == 0:
        stage.replay("ims_fork_answer_term")
    else:
        # The captured request names the phone that lost, and the real module BYEs that one.
        request = (DATA / "ims_fork_answer2_term.req").read_bytes()
        assert b"uas5190-1" in request
        replayed.add("ims_fork_answer2_term")
        daemon = stage.daemon
        assert daemon.kill("fifo", f"ims_{name}@ref44", "uac-1", "uas5190-1")[0] == 404
        assert daemon.kill("fifo", f"ims_{name}@ref44", "uac-1", "uas5191-1")[0] == 200
    stage.byes(stage.caller, stage.callees[winner])
    stage.replay(f"ims_{name}_after")


@pytest.mark.parametrize(
    "name", ["hdr", "hdr_nocrlf", "hdr_multiline", "hdr_multiline_noescape", "hdr_extra5"]
)
def test_extra_headers(stage: Stage, name: str) -> None:
    stage.confirmed(f"ims_{name}@ref44")
    stage.replay(f"ims_{name}_list", f"ims_{name}_term")
    lines = {
        "hdr": ['Reason: SIP;cause=200;text="admin"', "X-Op: alice"],
        "hdr_multiline": ['Reason: SIP;cause=200;text="admin"', "X-Op: alice"],
        "hdr_multiline_noescape": ["X-A: 1", "X-B: 2"],
    }.get(name, ["X-Op: alice"])
    for phone in (stage.caller, *stage.callees):
        bye = phone.expect("BYE")
        assert set(lines) <= set(bye.raw.decode().split("\r\n"))
        phone.send(response(bye, 200))
    stage.replay(f"ims_{name}_after")


def test_both_told_though_the_caller_confirms_at_once(stage: Stage) -> None:
    stage.confirmed("ims_hdr_extra5@ref44")
    stage.replay("ims_race_500_callee_not_byed")
    stage.byes(stage.caller, *stage.callees)
    stage.gone()


def test_ack_not_seen(stage: Stage) -> None:
    stage.early("ims_noack@ref44")
    stage.callees[0].answer()
    ok = stage.caller.expect(200, "INVITE")
    stage.replay("ims_noack_list", "ims_noack_term", "ims_noack_after")
    stage.caller.ack(ok)
    stage.callees[0].expect("ACK")
    stage.byes(stage.caller, *stage.callees)
    stage.gone()


def test_reinvite(stage: Stage) -> None:
    stage.confirmed("ims_reinvite@ref44")
    callee = stage.callees[0]
    stage.leg.contact = f"{stage.caller.contact};re=1"
    stage.leg.request("INVITE")
    reply = response(callee.expect("INVITE"), 200, peer=callee, contact=True)
    callee.send(reply.replace(b";transport=UDP>\r\n", b";transport=UDP;re=1>\r\n"))
    stage.caller.expect(200, "INVITE")
    stage.leg.request("ACK", cseq=2)
    callee.expect("ACK")
    stage.replay("ims_reinvite_list", "ims_reinvite_term")
    stage.byes(stage.caller, callee)
    stage.gone()


def test_routes(stage: Stage) -> None:
    stage.phones(5190)
    caller, callee = stage.caller, stage.callees[0]
    caller.callid = callee.callid = "ims_routes@ref44"
    edge = f"<sip:{caller.hostport};lr;edge=1>"
    caller.invite(f"sip:bob@{callee.hostport}", headers=[("Record-Route", edge)])
    invite = callee.take()
    far = f"Record-Route: <sip:{callee.hostport};lr;far=1>\r\n".encode()
    reply = response(invite, 200, tag=callee.tag, peer=callee, contact=True)
    callee.send(reply.replace(b"Record-Route:", far + b"Record-Route:", 1))
    leg = caller.leg(caller.expect(200, "INVITE"))
    leg.routes.remove(edge)
    leg.request("ACK", cseq=1)
    callee.expect("ACK")
    stage.replay("ims_routes_list", "ims_routes_term")
    stage.byes(caller, callee)
    stage.gone()


def test_serial_fork(stage: Stage) -> None:
    stage.forked("ims_serial@ref44", "serial")
    first, second = stage.callees
    first.take()
    first.refuse(486)
    first.expect("ACK")
    second.take()
    second.ring()
    stage.caller.expect(180)
    stage.answer(second)
    stage.replay("ims_serial_list", "ims_serial_term")
    stage.byes(stage.caller, second)
    stage.replay("ims_serial_after")


def test_call_held_for_long(stage: Stage) -> None:
    stage.confirmed("ims_term_8s@ref44")
    stage.replay("ims_term_8s_0s", "ims_term_8s_8s", "ims_term_8s_term")
    stage.byes(stage.caller, *stage.callees)
    stage.replay("ims_term_8s_after1s", "ims_term_8s_after10s")


def test_several_calls_and_statistics(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    """On a daemon of its own, whose counters start at zero."""
    stage = Stage(start_daemon(sip={"t1": 0.03, "t2": 0.2, "t4": 0.2}), phones)
    stage.phones(5190)
    callee = stage.callees[0]
    for number in (1, 2, 3):
        callee.tag = f"uas5190-{number}"
        stage.call(f"{number}-several@ref44", number=number)
        callee.take()
        stage.answer(callee)
    stage.replay(
        "ims_several_list",
        "ims_several_list_one",
        "ims_get_statistics_active",
        "ims_get_statistics_all",
        "ims_get_statistics_dialog_",
        "ims_get_statistics_dialog_ng_",
        "ims_get_statistics_dialog_ng_active",
        "ims_get_statistics_none",
    )


def test_every_capture_was_replayed(request: pytest.FixtureRequest) -> None:
    """Last in the module: no captured request may be forgotten."""
    here = [item for item in request.session.items if item.path == request.node.path]
    if len(here) < 25:
        pytest.skip("only some of this module's tests were asked for")
    captured = {path.stem for path in DATA.glob("*.req")}
    assert captured
    assert captured - replayed == set()
