"""The message as a script sees it: what it reads, and what its calls write down."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from dlgmgmt.routing.decision import Action, BranchPlan, Session
from dlgmgmt.routing.errors import PvError, RouteError, ScriptLimit
from dlgmgmt.routing.message import OWNED
from dlgmgmt.sip import quiet
from tests.unit.routing.harness import Bench, Env, invite, reply, request, within

# -- reading ---------------------------------------------------------------------------------------


def test_a_request_reads_as_one() -> None:
    msg = Bench(invite("Subject: a", "X-Two: 1", "s: b,\r\n\tc", "X-Two: 2")).msg
    assert (msg.method, msg.status, msg.reason, msg.route) == ("INVITE", 0, "", "request")
    assert msg.is_request
    assert not msg.is_reply
    assert not msg.has_totag()
    assert msg.get_header("SUBJECT") == "a"
    assert msg.get_headers("Subject") == ["a", "b, c"]
    assert msg.get_headers("x-two") == ["1", "2"]
    assert msg.get_header("X-Three") is None
    assert msg.get_headers("X-Three") == []


def test_a_reply_reads_as_one() -> None:
    msg = Bench(reply(183, "Session Progress"), route="onreply", branch=2).msg
    assert (msg.method, msg.status, msg.reason) == ("INVITE", 183, "Session Progress")
    assert msg.is_reply
    assert not msg.is_request
    assert msg.has_totag()
    assert msg.branch_index == 2
    assert msg.ruri == ""


def test_is_method_takes_alternatives() -> None:
    msg = Bench(request("REFER")).msg
    assert msg.is_method("REFER")
    assert msg.is_method("INVITE | SUBSCRIBE|REFER")
    assert not msg.is_method("INVITE|BYE")
    assert not msg.is_method("REF")
    assert not msg.is_method("")
    assert Bench(reply(), route="onreply").msg.is_method("INVITE")


def test_has_totag_tells_a_sequential_request() -> None:
    assert Bench(within()).msg.has_totag()
    assert not Bench(invite(to="<broken;tag=1")).msg.has_totag()


# -- flags -----------------------------------------------------------------------------------------


def test_script_flags_belong_to_the_transaction() -> None:
    session = Session()
    first = Bench(session=session).msg
    first.setflag(0)
    first.setflag("31")
    first.set_pv("$var(f)", 4)
    first.setflag("$var(f)")
    first.resetflag(0)
    later = Bench(reply(), route="onreply", session=session).msg
    assert [n for n in range(32) if later.isflagset(n)] == [4, 31]
    assert session.flags == 1 << 31 | 1 << 4


@pytest.mark.parametrize("flag", [-1, 32, "32", "x", ""])
def test_a_flag_is_0_to_31(flag: int | str) -> None:
    bench = Bench()
    for call in (bench.msg.setflag, bench.msg.resetflag, bench.msg.isflagset):
        with pytest.raises(RouteError, match="from 0 to 31"):
            call(flag)
    assert bench.session.flags == 0


# -- headers ---------------------------------------------------------------------------------------


def test_headers_are_added_and_removed() -> None:
    bench = Bench(invite("Subject: lunch", "P-Asserted-Identity: <sip:x@y>"))
    bench.msg.append_hf("X-Caller: $fU calls $hdr(s)\r\n")
    bench.msg.append_hf("X-Empty:")
    assert bench.msg.remove_hf("p-asserted-identity")
    assert bench.msg.remove_hf("s")
    assert not bench.msg.remove_hf("X-None")
    assert bench.decision.headers.added == ["X-Caller: alice calls lunch", "X-Empty:"]
    assert bench.decision.headers.removed == {"p-asserted-identity", "subject"}


@pytest.mark.parametrize(
    "line",
    [
        "no colon",
        ": no name",
        "Two Words: x",
        "X : y",
        "X: a\r\nVia: b",
        "X: a\nb",
        "X: a\rb",
        "X: a\r\n\r\n",
        "X: \x00",
        "X: \t",
        "X\x7f: a",
        "",
        "Ü: x",
    ],
)
def test_what_is_no_single_printable_header_line_is_refused(line: str) -> None:
    bench = Bench()
    for call in (bench.msg.append_hf, bench.msg.append_to_reply):
        with pytest.raises(RouteError):
            call(line)
    assert not bench.decision.headers
    assert not bench.decision.reply_headers


@pytest.mark.parametrize("name", [*sorted(OWNED), "v", "F", "T", "i", "L", "Call-Id"])
def test_what_the_proxy_owns_is_not_the_scripts(name: str) -> None:
    bench = Bench()
    for call, text in (
        (bench.msg.append_hf, f"{name}: x"),
        (bench.msg.append_to_reply, f"{name}: x"),
        (bench.msg.remove_hf, name),
    ):
        with pytest.raises(RouteError, match="not the script's to change"):
            call(text)
    assert not bench.decision.headers


def test_a_strangers_bytes_cannot_break_a_header_line() -> None:
    bench = Bench(invite("Subject: a\x00b \udcff$fu", from_='"\x01" <sip:a@b>;tag=1'))
    bench.msg.append_hf("X-Subject: $hdr(Subject) $fn")
    assert bench.decision.headers.added == ['X-Subject: a?b ?$fu "?"']


def test_headers_have_limits() -> None:
    bench = Bench(invite("Subject: x"))
    with pytest.raises(ScriptLimit, match="4096"):
        bench.msg.append_hf("X: " + "y" * 4096)
    for n in range(64):
        bench.msg.append_hf(f"X: {n}")
        bench.msg.append_to_reply(f"X: {n}")
    for call in (bench.msg.append_hf, bench.msg.append_to_reply):
        with pytest.raises(ScriptLimit, match="64"):
            call("X: more")
    assert len(bench.decision.headers.added) == len(bench.decision.reply_headers) == 64


# -- where to --------------------------------------------------------------------------------------


def test_the_request_uri_is_read_and_set() -> None:
    bench = Bench()
    assert bench.msg.ruri == "sip:+4930123@proxy.example:5060;user=phone"
    bench.msg.ruri = "sip:$rU@gw.example"
    assert bench.msg.ruri == "sip:+4930123@gw.example"
    with pytest.raises(RouteError, match="not a Request-URI"):
        bench.msg.ruri = "gw.example"
    with pytest.raises(RouteError, match="<null>"):
        bench.msg.ruri = "sip:$tt@gw.example"
    assert bench.msg.ruri == "sip:+4930123@gw.example"


def test_branches_and_the_next_hop() -> None:
    bench = Bench()
    assert bench.msg.append_branch("sip:$rU@one.example")
    assert bench.msg.set_destination("sip:192.0.2.7;lr")
    assert bench.msg.append_branch()
    assert bench.run.branches == [
        BranchPlan("sip:+4930123@one.example"),
        BranchPlan("sip:+4930123@proxy.example:5060;user=phone", "sip:192.0.2.7;lr"),
    ]
    assert bench.msg.set_destination(None)
    assert bench.msg.get_pv("$du") is None


def test_how_branches_fork() -> None:
    bench = Bench()
    seen = [bench.decision.parallel]
    bench.msg.serial()
    seen.append(bench.decision.parallel)
    bench.msg.parallel()
    assert [*seen, bench.decision.parallel] == [True, False, True]


@pytest.mark.parametrize("uri", ["carrier", "sip:", "http://x", "sip:a@b>", "sip:a b@c", "tel:1"])
def test_a_literal_that_is_no_sip_uri_is_the_scripts_fault(uri: str) -> None:
    bench = Bench()
    for call in (bench.msg.append_branch, bench.msg.set_destination):
        with pytest.raises(RouteError, match="not a SIP URI"):
            call(uri)
    assert not bench.run.branches


def test_a_strangers_uri_that_is_none_is_no_branch(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(invite("X-Where: nowhere>\x1b[2J"))
    with caplog.at_level(logging.WARNING):
        assert not bench.msg.append_branch("$hdr(X-Where)")
        assert not bench.msg.set_destination("$hdr(X-Where)")
    assert not bench.run.branches
    assert bench.msg.get_pv("$du") is None
    assert "\x1b" not in caplog.text
    assert "append_branch: not a SIP URI" in caplog.text


def test_branches_have_a_limit() -> None:
    bench = Bench()
    for n in range(64):
        bench.msg.append_branch(f"sip:b{n}@c.example")
    with pytest.raises(ScriptLimit, match="64"):
        bench.msg.append_branch("sip:more@c.example")


@pytest.mark.parametrize(
    ("params", "kept"),
    [("", ""), ("a=b;c", "a=b;c"), (";nat=yes", "nat=yes"), ("user=$fU", "user=alice")],
)
def test_record_route_with_parameters(params: str, kept: str) -> None:
    bench = Bench()
    assert bench.decision.record_route is None
    assert bench.msg.record_route(params)
    assert bench.decision.record_route == kept


@pytest.mark.parametrize("params", ["a b", "a>", "a=<b>", "a,b", ";;a", "lr", "x;LR", "did=1", "="])
def test_record_route_parameters_that_cannot_be(params: str) -> None:
    bench = Bench()
    with pytest.raises(RouteError, match="record_route"):
        bench.msg.record_route(params)
    assert bench.decision.record_route is None


def test_record_route_with_a_strangers_value() -> None:
    bench = Bench(invite("Subject: a>;lr"))
    assert not bench.msg.record_route("s=$hdr(Subject)")
    assert bench.decision.record_route is None


def test_loose_route_is_a_sequential_request_that_came_by_our_route() -> None:
    env = Env()
    dialog = env.call()
    routed = Bench(within(upstream=True), env, routed=True)
    assert routed.msg.loose_route()
    assert routed.session.dialog is dialog
    assert routed.session.dir_upstream
    assert not Bench(within(), env).msg.loose_route()
    assert not Bench(invite(), env, routed=True).msg.loose_route()
    assert Bench(within(callid="unknown"), env, routed=True).msg.loose_route()


# -- what happens ----------------------------------------------------------------------------------


def test_relay() -> None:
    bench = Bench()
    assert bench.msg.t_relay()
    assert bench.msg.t_relay()
    assert bench.decision.action is Action.RELAY


@pytest.mark.parametrize(
    ("code", "reason", "phrase"),
    [
        (486, "Busy Here", "Busy Here"),
        ("603", "No $fU", "No alice"),
        (404, "", "Not Found"),
        (200, "", "OK"),
        (699, "", ""),
        (403, "$hdr(Subject)", "a?b"),
        (480, "x" * 400, "x" * 256),
    ],
)
def test_replies(code: int | str, reason: str, phrase: str) -> None:
    bench = Bench(invite("Subject: a\x07b"))
    bench.msg.append_to_reply("Retry-After: 30")
    assert bench.msg.send_reply(code, reason)
    decision = bench.decision
    assert (decision.action, decision.code, decision.reason) == (Action.REPLY, int(code), phrase)
    assert decision.reply_headers == ["Retry-After: 30"]


@pytest.mark.parametrize("code", [0, 99, 700, -1, "x", None])
def test_a_code_is_100_to_699(code: Any) -> None:
    bench = Bench()
    with pytest.raises(RouteError, match="send_reply"):
        bench.msg.send_reply(code, "x")
    assert bench.decision.action is Action.NONE


@pytest.mark.parametrize("reason", ["a\r\nb", "a\x00", "\x7f"])
def test_a_reason_is_printable(reason: str) -> None:
    bench = Bench()
    with pytest.raises(RouteError, match="not printable"):
        bench.msg.send_reply(486, reason)
    assert bench.decision.action is Action.NONE


def test_a_provisional_reply_decides_nothing() -> None:
    bench = Bench()
    assert bench.msg.send_reply(183, "Working")
    assert bench.msg.send_reply(100)
    assert bench.msg.t_relay()
    assert bench.decision.provisional == [(183, "Working"), (100, "Trying")]
    assert bench.decision.action is Action.RELAY
    for _ in range(6):
        bench.msg.send_reply(180, "Ringing")
    with pytest.raises(ScriptLimit, match="8"):
        bench.msg.send_reply(180, "Ringing")


def test_the_first_decision_stands(caplog: pytest.LogCaptureFixture) -> None:
    answered = Bench()
    answered.msg.send_reply(486, "Busy")
    assert not answered.msg.t_relay()
    assert not answered.msg.send_reply(603, "Decline")
    answered.msg.drop()
    assert (answered.decision.action, answered.decision.code) == (Action.REPLY, 486)
    quiet.forget()
    relayed = Bench()
    relayed.msg.t_relay()
    assert not relayed.msg.send_reply(486, "Busy")
    assert relayed.decision.action is Action.RELAY
    assert "send_reply(486) ignored: the script has decided to relay already" in caplog.text


def test_drop() -> None:
    bench = Bench()
    bench.msg.drop()
    assert bench.decision.action is Action.DROP
    provisional = Bench(reply(180), route="onreply")
    provisional.msg.drop()
    assert provisional.decision.action is Action.DROP
    final = Bench(reply(200, "OK"), route="onreply")
    with pytest.raises(RouteError, match="final reply"):
        final.msg.drop()
    assert final.decision.action is Action.NONE


def test_t_check_status_is_a_regular_expression() -> None:
    msg = Bench(reply(486, "Busy"), route="onreply").msg
    assert msg.t_check_status("486|408")
    assert msg.t_check_status("4[0-9][0-9]")
    assert msg.t_check_status("^48")
    assert not msg.t_check_status("408|5..")
    with pytest.raises(RouteError, match="t_check_status"):
        msg.t_check_status("4(")


def test_every_text_of_a_call_expands_variables() -> None:
    msg = Bench().msg
    for call in (msg.append_hf, msg.append_to_reply, msg.append_branch, msg.record_route, msg.pv):
        with pytest.raises(PvError, match="unknown pseudo-variable"):
            call("X: $nope")
    with pytest.raises(PvError):
        msg.send_reply(486, "$nope")
