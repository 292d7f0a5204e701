"""On the wire: several early dialogs at once, and changes of a call that meet each other."""

from __future__ import annotations

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.peer import SDP, new_branch, response
from tests.sip.harness.phones import Phones


def test_glare(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 14.1, 14.2: both re-INVITEs cross, both get 491, and one of them is tried again."""
    call = phones.talk(daemon)
    branches = new_branch(), new_branch()
    call.a.request("INVITE", branch=branches[0], body=SDP)
    call.b.request("INVITE", branch=branches[1], body=SDP)
    at_callee, at_caller = call.callee.expect("INVITE"), call.caller.expect("INVITE")
    call.callee.send(response(at_callee, 491, reason="Request Pending"))
    call.caller.send(response(at_caller, 491, reason="Request Pending"))
    for leg, branch in zip((call.a, call.b), branches, strict=True):
        refusal = leg.peer.expect(491, "INVITE")
        assert refusal.reason_phrase == "Request Pending"
        leg.request("ACK", cseq=leg.cseq, branch=branch)
        # Of the own 491, from the proxy.
        leg.peer.expect("ACK")
    found = daemon.wait_state(phones.callid, 4, legs=1)
    assert (found.legs[0]["caller_cseq"], found.legs[0]["callee_cseq"]) == ("2", "1")
    call.b.transact("INVITE", call.caller)
    call.a.transact("INVITE", call.callee)
    call.hang_up()
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


def test_each_early_dialog_of_a_fork_has_its_prack_and_update(
    daemon: Daemon, phones: Phones
) -> None:
    caller, first, second = phones.fork(daemon)
    legs = []
    for number, callee in enumerate((first, second), start=500):
        callee.take()
        callee.ring(183, headers=[("Require", "100rel"), ("RSeq", str(number))])
        progress = caller.expect(183)
        assert progress.get("RSeq") == str(number)
        legs.append((callee, number, caller.leg(progress)))
    for callee, number, leg in reversed(legs):
        leg.request("PRACK", headers=[("RAck", f"{number} 1 INVITE")])
        prack = callee.expect("PRACK")
        assert (prack.to_tag, prack.get("RAck")) == (callee.tag, f"{number} 1 INVITE")
        callee.confirm(prack)
        assert caller.expect(200, "PRACK").to_tag == callee.tag
    for callee, _, leg in legs:
        assert leg.transact("UPDATE", callee).to_tag == callee.tag
        assert callee.leg().transact("UPDATE", caller).from_tag == callee.tag
    assert daemon.wait_state(phones.callid, 2, legs=2).tags == {first.tag, second.tag}
    second.answer()
    ok = caller.expect(200, "INVITE")
    first.take_cancel()
    legs[1][2].request("ACK", cseq=1)
    second.expect("ACK")
    assert ok.to_tag == second.tag
    assert daemon.wait_state(phones.callid, 4, legs=1).tags == {second.tag}
    legs[1][2].bye(second)
    daemon.wait_ended(phones.callid)
    for phone in (caller, first, second):
        phone.nothing_more()


def test_early_media_without_a_tag_and_199(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}")
    invite = callee.take()
    callee.send(response(invite, 183, body=SDP, headers=[("Content-Type", "application/sdp")]))
    assert caller.expect(183).to_tag == ""
    assert daemon.wait_state(phones.callid, 1).legs == []
    callee.ring()
    caller.expect(180)
    daemon.wait_state(phones.callid, 2, legs=1)
    callee.ring(199)
    assert caller.expect(199).to_tag == callee.tag
    daemon.wait_state(phones.callid, 2, legs=0)
    callee.refuse(480)
    callee.expect("ACK")
    caller.ack_failure(caller.expect(480))
    daemon.wait_ended(phones.callid)


def test_a_reinvite_is_cancelled(daemon: Daemon, phones: Phones) -> None:
    call = phones.talk(daemon)
    branch = new_branch()
    call.a.request("INVITE", branch=branch, body=SDP)
    invite = call.callee.expect("INVITE")
    call.callee.send(response(invite, 180))
    call.caller.expect(180)
    call.a.request("CANCEL", cseq=2, branch=branch)
    call.caller.expect(200, "CANCEL")
    cancel = call.callee.expect("CANCEL")
    call.callee.send(response(cancel, 200))
    call.callee.send(response(invite, 487))
    call.callee.expect("ACK")
    call.caller.expect(487, "INVITE")
    call.a.request("ACK", cseq=2, branch=branch)
    assert daemon.wait_state(phones.callid, 4).state == 4
    call.hang_up()
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()
