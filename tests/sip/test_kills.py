"""Calls ended by an operator, over the FIFO and over HTTP: what each phone is told."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest

from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.message import Message, tag_of, uri_of
from tests.sip.harness.peer import Callee, Caller, Peer, new_branch, response
from tests.sip.harness.phones import Call, Phones
from tests.sip.harness.rpc import RpcError

BY = pytest.mark.parametrize("by", ["fifo", "http"])
OK = (200, "OK")
FAST = 0.03


@pytest.fixture(scope="module")
def hasty(start_daemon: Callable[..., Daemon]) -> Daemon:
    """64*T1 is 1.92 s: for what happens when nobody answers."""
    return start_daemon(sip={"t1": FAST, "t2": 0.2, "t4": 0.2}, forks=4)


def check_bye(bye: Message, phone: Peer, *, after: int) -> None:
    """What every BYE of the daemon's own must carry. after: the CSeq that it follows."""
    assert bye.cseq == after + 1
    assert bye.get("Max-Forwards") == "70"
    assert re.fullmatch(r'SIP;cause=\d{3};text="mi_terminated"', bye.get("Reason"))
    assert len(bye.all("Reason")) == 1
    assert len(bye.all("Via")) == 1
    assert f"127.0.0.1:{phone.proxy[1]}" in bye.get("Via")
    assert bye.get("Content-Length") == "0"
    assert bye.all("Contact") == []


def check_side(bye: Message, *, sender: str, receiver: str) -> None:
    """From and To are those of the other party and of the one who gets the BYE."""
    assert (uri_of(bye.get("From")), tag_of(bye.get("From"))) == (uri_of(sender), tag_of(sender))
    assert (uri_of(bye.get("To")), tag_of(bye.get("To"))) == (uri_of(receiver), tag_of(receiver))


def take_bye(phone: Peer, timeout: float = 10.0) -> Message:
    bye = phone.expect("BYE", timeout=timeout)
    phone.send(response(bye, 200))
    return bye


def take_488(caller: Caller) -> Message:
    final = caller.expect(488, "INVITE")
    assert final.reason_phrase == "mi_terminated"
    assert final.to_tag
    caller.ack_failure(final)
    return final


def check_cancel(cancel: Message, callee: Callee) -> None:
    assert cancel.get("Reason").startswith("SIP;cause=488")
    assert cancel.get("Via") == callee.invite.get("Via")
    assert (cancel.uri, cancel.cseq) == (callee.invite.uri, callee.invite.cseq)
    assert cancel.to_tag == ""


def last_termination(daemon: Daemon) -> dict[str, Any]:
    """The newest record of dlg.termination; the tests here order one at a time."""
    record: dict[str, Any] = {}
    for number in itertools.count(1):
        try:
            record = daemon.rpc.call("dlg.termination", number)
        except RpcError:
            break
    assert record, "no termination was recorded"
    return record


def outcomes(record: dict[str, Any]) -> dict[tuple[str, str], str]:
    return {(leg["side"], leg["to_tag"]): leg["outcome"] for leg in record["legs"]}


@BY
def test_ringing(daemon: Daemon, phones: Phones, by: str) -> None:
    caller, callee, _ = phones.ring(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", callee.tag) == OK
    take_488(caller)
    check_cancel(callee.take_cancel(), callee)
    daemon.wait_ended(phones.callid)
    caller.nothing_more()
    callee.nothing_more()


@BY
@pytest.mark.parametrize("named", [0, 1], ids=["first", "second"])
def test_forked_ringing(daemon: Daemon, phones: Phones, by: str, named: int) -> None:
    """Whichever phone's tag the operator gives, the whole call ends."""
    caller, *callees = phones.ring_fork(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", callees[named].tag) == OK
    take_488(caller)
    for callee in callees:
        check_cancel(callee.take_cancel(), callee)
    daemon.wait_ended(phones.callid)
    for phone in (caller, *callees):
        phone.nothing_more()


def test_before_any_phone_rings(daemon: Daemon, phones: Phones) -> None:
    """Such a call has no To-tag: it is ended by its number. RFC 3261 9.1: no CANCEL until the
    phone has answered something."""
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}")
    callee.take()
    found = daemon.wait_state(phones.callid, 1, legs=0)
    result = daemon.rpc.call("dlg.end_dlg", *(int(part) for part in found.hash.split(":")))
    assert [leg["method"] for leg in result["legs"]][:1] == ["488"]
    take_488(caller)
    callee.barrier()
    assert not [m for m in callee.seen if m.method == "CANCEL"]
    callee.ring()
    check_cancel(callee.take_cancel(), callee)
    daemon.wait_ended(phones.callid)
    caller.nothing_more()


@BY
def test_answered(daemon: Daemon, phones: Phones, by: str) -> None:
    call = phones.talk(daemon)
    leg = daemon.wait_state(phones.callid, 4, legs=1).legs[0]
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    at_caller, at_callee = take_bye(call.caller), take_bye(call.callee)
    check_bye(at_caller, call.caller, after=int(leg["callee_cseq"]))
    check_bye(at_callee, call.callee, after=int(leg["caller_cseq"]))
    check_side(at_caller, sender=call.a.remote, receiver=call.a.local)
    check_side(at_callee, sender=call.a.local, receiver=call.a.remote)
    assert at_caller.uri == call.caller.contact
    assert at_callee.uri == call.callee.contact
    for bye in (at_caller, at_callee):
        assert bye.get("X-Ref44") == "hung-up", "dlg_extra_hdrs"
        assert bye.all("Route") == [], "its own Record-Route is no part of either route set"
        assert bye.all("Record-Route") == []
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


@BY
def test_route_sets(daemon: Daemon, phones: Phones, by: str) -> None:
    """A proxy on each side has recorded itself: each BYE takes the way through it."""
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    edges = [f"<sip:{caller.hostport};lr;edge={number}>" for number in (1, 2)]
    fars = [f"<sip:{callee.hostport};lr;far={number}>" for number in (1, 2)]
    caller.invite(f"sip:bob@{callee.hostport}", headers=[("Record-Route", e) for e in edges])
    invite = callee.take()
    own, *rest = invite.all("Record-Route")
    assert rest == edges
    record = [*fars, own, *edges]
    answered = response(invite, 200, tag=callee.tag, peer=callee, contact=True)
    lines = b"".join(f"Record-Route: {route}\r\n".encode() for route in record)
    plain = b"".join(f"Record-Route: {route}\r\n".encode() for route in [own, *edges])
    callee.send(answered.replace(plain, lines))
    ok = caller.expect(200, "INVITE")
    assert ok.all("Record-Route") == record
    leg = caller.leg(ok)
    # The caller's edges are its own and take no part here: it sends straight to the daemon.
    leg.routes = [own, *reversed(fars)]
    leg.request("ACK", cseq=1)
    callee.expect("ACK")
    found = daemon.wait_state(phones.callid, 4)
    assert found.fields["caller_route_set"].replace(", ", ",") == ",".join(edges)
    assert found.legs[0]["callee_route_set"].replace(", ", ",") == ",".join(reversed(fars))
    assert daemon.kill(by, phones.callid, "uac-1", callee.tag) == OK
    at_caller, at_callee = take_bye(caller), take_bye(callee)
    assert at_caller.all("Route") == edges
    assert at_callee.all("Route") == list(reversed(fars))
    assert at_caller.uri == caller.contact
    assert at_callee.uri == callee.contact
    daemon.wait_ended(phones.callid)


@BY
def test_cseq_after_reinvites_from_both_sides(daemon: Daemon, phones: Phones, by: str) -> None:
    call = phones.talk(daemon)
    call.b.cseq = 700
    caller_moved = f"{call.caller.contact};moved=caller"
    callee_moved = f"{call.callee.contact};moved=callee"
    call.a.transact("INVITE", call.callee, contact=caller_moved)
    call.b.transact("INVITE", call.caller, contact=callee_moved)
    call.a.transact("UPDATE", call.callee)
    assert (call.a.cseq, call.b.cseq) == (3, 701)
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    at_caller, at_callee = take_bye(call.caller), take_bye(call.callee)
    check_bye(at_caller, call.caller, after=701)
    check_bye(at_callee, call.callee, after=3)
    assert at_caller.uri == caller_moved, "to where the phone is now"
    assert at_callee.uri == callee_moved
    daemon.wait_ended(phones.callid)


@BY
def test_during_a_reinvite(daemon: Daemon, phones: Phones, by: str) -> None:
    call = phones.talk(daemon)
    branch = new_branch()
    call.a.request("INVITE", branch=branch)
    pending = call.callee.expect("INVITE")
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    check_bye(take_bye(call.callee), call.callee, after=2)
    take_bye(call.caller)
    # RFC 3261 15.1.2: the phone then ends what is pending with 487.
    call.callee.send(response(pending, 487))
    call.caller.expect(487, "INVITE")
    call.a.request("ACK", cseq=2, branch=branch)
    assert call.callee.expect("ACK").cseq == 2
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


@BY
def test_fork_answered_by_the_second_phone(daemon: Daemon, phones: Phones, by: str) -> None:
    caller, first, second = phones.ring_fork(daemon)
    second.answer()
    caller.ack(caller.expect(200, "INVITE"))
    second.expect("ACK")
    first.take_cancel()
    assert daemon.wait_state(phones.callid, 4).tags == {second.tag}
    assert daemon.kill(by, phones.callid, "uac-1", first.tag)[0] == 404, "that leg is gone"
    assert daemon.kill(by, phones.callid, "uac-1", second.tag) == OK
    for phone in (caller, second):
        assert second.tag in (take := take_bye(phone)).get("From") + take.get("To")
    daemon.wait_ended(phones.callid)
    first.nothing_more()
    caller.nothing_more()
    second.nothing_more()


@BY
def test_two_answers(daemon: Daemon, phones: Phones, by: str) -> None:
    """State 7: both phones and, for each of them, the caller."""
    caller, first, second = phones.ring_fork(daemon)
    first.answer()
    caller.ack(caller.expect(200, "INVITE"))
    first.expect("ACK")
    second.confirm(second.expect("CANCEL"))
    second.answer()
    caller.ack(caller.expect(200, "INVITE"))
    second.expect("ACK")
    daemon.wait_state(phones.callid, 7, legs=2)
    assert daemon.kill(by, phones.callid, "uac-1", second.tag) == OK
    take_bye(first)
    take_bye(second)
    assert {take_bye(caller).from_tag for _ in range(2)} == {first.tag, second.tag}
    daemon.wait_ended(phones.callid)
    for phone in (caller, first, second):
        phone.nothing_more()


@BY
def test_ack_not_yet_seen(daemon: Daemon, phones: Phones, by: str) -> None:
    """RFC 3261 15: the callee must not be hung up on before its ACK."""
    caller, callee, _ = phones.ring(daemon)
    callee.answer()
    ok = caller.expect(200, "INVITE")
    daemon.wait_state(phones.callid, 5, legs=1)
    assert daemon.kill(by, phones.callid, "uac-1", callee.tag) == OK
    caller.barrier()
    callee.barrier()
    assert callee.unread() == []
    assert caller.unread() == []
    # The 2xx is still repeated to the caller, who has not got it perhaps.
    callee.answer()
    caller.expect_copy(ok)
    caller.ack(ok)
    callee.expect("ACK")
    check_bye(take_bye(callee), callee, after=1)
    check_bye(take_bye(caller), caller, after=1)
    methods = [m.method for m in callee.seen if not m.status and m.callid == phones.callid]
    assert methods == ["INVITE", "ACK", "BYE"]
    daemon.wait_ended(phones.callid)


@BY
def test_ack_never_seen(hasty: Daemon, phones: Phones, by: str) -> None:
    """After 64*T1 the callee has given up repeating its 2xx: then the BYEs go."""
    caller, callee, _ = phones.ring(hasty)
    callee.answer()
    caller.expect(200, "INVITE")
    hasty.wait_state(phones.callid, 5, legs=1)
    assert hasty.kill(by, phones.callid, "uac-1", callee.tag) == OK
    assert set(outcomes(last_termination(hasty)).values()) == {"waiting for ACK"}
    take_bye(callee)
    take_bye(caller)
    hasty.wait_gone(phones.callid, 10)
    assert set(outcomes(last_termination(hasty)).values()) == {"200"}


@BY
@pytest.mark.parametrize("dead", ["caller", "callee"])
def test_a_dead_phone(hasty: Daemon, phones: Phones, by: str, dead: str) -> None:
    """The other side is told all the same, and what became of each is on record."""
    call = phones.talk(hasty)
    assert hasty.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    living, silent = (call.callee, call.caller) if dead == "caller" else (call.caller, call.callee)
    take_bye(living)
    bye = silent.expect("BYE")
    silent.expect_copy(bye)
    tag = call.callee.tag
    alive = "callee" if dead == "caller" else "caller"
    expected = {(dead, tag): "timeout", (alive, tag): "200"}
    poll(
        lambda: outcomes(last_termination(hasty)) == expected,
        15,
        lambda: f"still {last_termination(hasty)}",
    )
    hasty.wait_gone(phones.callid, 10)


@BY
def test_a_phone_that_knows_no_such_call(daemon: Daemon, phones: Phones, by: str) -> None:
    call = phones.talk(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    call.callee.send(response(call.callee.expect("BYE"), 481))
    take_bye(call.caller)
    daemon.wait_ended(phones.callid)
    tag = call.callee.tag
    expected = {("callee", tag): "481", ("caller", tag): "200"}
    poll(lambda: outcomes(last_termination(daemon)) == expected, 10,
         lambda: f"still {last_termination(daemon)}")  # fmt: skip


@BY
@pytest.mark.parametrize(
    ("from_tag", "to_tag"),
    [("uac-1", "no-such-tag"), ("no-such-tag", "{to}"), ("uac-1", "uac-1"), ("{to}", "{to}")],
    ids=["to", "from", "from-twice", "to-twice"],
)
def test_wrong_tag(daemon: Daemon, phones: Phones, by: str, from_tag: str, to_tag: str) -> None:
    call = phones.talk(daemon)
    tags = [tag.replace("{to}", call.callee.tag) for tag in (from_tag, to_tag)]
    assert daemon.kill(by, phones.callid, *tags) == (404, "Requested Dialog not found")
    call.caller.nothing_more()
    call.callee.nothing_more()
    daemon.wait_state(phones.callid, 4, legs=1)
    call.hang_up()
    daemon.wait_ended(phones.callid)


@BY
def test_wrong_tag_while_ringing(daemon: Daemon, phones: Phones, by: str) -> None:
    caller, callee, _ = phones.ring(daemon)
    refused = (404, "Requested Dialog not found")
    assert daemon.kill(by, phones.callid, "uac-1", "no-such-tag") == refused
    caller.nothing_more()
    callee.nothing_more()
    callee.refuse(486)
    callee.expect("ACK")
    caller.ack_failure(caller.expect(486))
    daemon.wait_ended(phones.callid)


def test_unknown_call(daemon: Daemon) -> None:
    assert daemon.kill("fifo", "nobody@tests", "a", "b") == (404, "Requested Dialog not found")
    assert daemon.kill("http", "nobody@tests", "a", "b") == (500, "Couldnt find callid in dialog")


@BY
def test_tags_in_either_order(daemon: Daemon, phones: Phones, by: str) -> None:
    call = phones.talk(daemon)
    assert daemon.kill(by, phones.callid, call.callee.tag, "uac-1") == OK
    take_bye(call.caller)
    take_bye(call.callee)
    daemon.wait_ended(phones.callid)


@BY
def test_again(daemon: Daemon, phones: Phones, by: str) -> None:
    call = phones.talk(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    code, _ = daemon.kill(by, phones.callid, "uac-1", call.callee.tag)
    assert code == 404
    take_bye(call.caller)
    take_bye(call.callee)
    code, _ = daemon.kill(by, phones.callid, "uac-1", call.callee.tag)
    # Over HTTP a Call-ID that nobody knows any more is 500, as the dialog module answers.
    assert code == 404 or (by == "http" and code == 500)
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


@BY
def test_hung_up_by_the_caller_at_the_same_moment(daemon: Daemon, phones: Phones, by: str) -> None:
    """The caller's BYE crosses ours: it is forwarded, and everybody's BYE is answered."""
    call = phones.talk(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    call.a.request("BYE")
    ours, theirs = (
        call.callee.expect("BYE", where=lambda m: len(m.all("Via")) == 1),
        call.callee.expect("BYE", where=lambda m: len(m.all("Via")) == 2),
    )
    call.callee.send(response(ours, 200))
    call.callee.send(response(theirs, 481))
    call.caller.expect(481, "BYE")
    take_bye(call.caller)
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()


@BY
@pytest.mark.parametrize("by_phone", ["first-answer", "second-answer"])
def test_200_crossing_the_cancel(daemon: Daemon, phones: Phones, by: str, by_phone: str) -> None:
    """The phone was picked up as the call was killed: it must not stay off hook."""
    if by_phone == "first-answer":
        caller, callee, _ = phones.ring(daemon)
        other = None
    else:
        caller, other, callee = phones.ring_fork(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", callee.tag) == OK
    take_488(caller)
    cancel = callee.expect("CANCEL")
    callee.answer()
    callee.confirm(cancel)
    if other is not None:
        other.take_cancel()
    ack = callee.expect("ACK")
    assert (ack.cseq, ack.uri, ack.to_tag) == (1, callee.contact, callee.tag)
    bye = take_bye(callee)
    assert bye.cseq == 2
    assert bye.uri == callee.contact
    # Its 200 repeated, for the ACK may be lost, is acknowledged once more.
    callee.answer()
    callee.expect("ACK") if callee.copies_of(ack) == 0 else callee.expect_copy(ack)
    daemon.wait_ended(phones.callid)
    caller.nothing_more()


@BY
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("X-Op: alice", ["X-Op: alice"]),
        ("X-A: 1\r\nX-B: 2\r\n", ["X-A: 1", "X-B: 2"]),
        (
            'Reason: SIP;cause=200;text="admin"\nX-Op: alice\n',
            ['Reason: SIP;cause=200;text="admin"', "X-Op: alice"],
        ),
    ],
    ids=["no-line-end", "two", "own-reason"],
)
def test_extra_headers(
    daemon: Daemon, phones: Phones, by: str, given: str, expected: list[str]
) -> None:
    call = phones.talk(daemon)
    assert daemon.kill(by, phones.callid, "uac-1", call.callee.tag, given) == OK
    for phone in (call.caller, call.callee):
        bye = take_bye(phone)
        lines = bye.raw.decode().split("\r\n")
        for line in ("X-Ref44: hung-up", *expected):
            assert lines.count(line) == 1
        assert len(bye.all("Reason")) == 1
    daemon.wait_ended(phones.callid)


@BY
@pytest.mark.parametrize(
    "given", ["no header line", "Via: SIP/2.0/UDP evil", "X: 1\n\nbody", "To: <sip:x>", ": x"]
)
def test_bad_extra_headers(daemon: Daemon, phones: Phones, by: str, given: str) -> None:
    call: Call = phones.talk(daemon)
    code, _ = daemon.kill(by, phones.callid, "uac-1", call.callee.tag, given)
    assert code in (400, 500, -32602)
    call.caller.nothing_more()
    call.callee.nothing_more()
    daemon.wait_state(phones.callid, 4, legs=1)
    call.hang_up()
    daemon.wait_ended(phones.callid)


def test_http_by_number(daemon: Daemon, phones: Phones) -> None:
    call = phones.talk(daemon)
    found = daemon.rpc.call("dlg.dlg_list", phones.callid)
    assert found["call-id"] == phones.callid
    assert found["ims_state"] == 4
    assert [leg["to_tag"] for leg in found["legs"]] == [call.callee.tag]
    with pytest.raises(RpcError, match="404 Dialog not found"):
        daemon.rpc.call("dlg.end_dlg", found["h_entry"], found["h_id"] + 1)
    result = daemon.rpc.call("dlg.end_dlg", found["h_entry"], found["h_id"])
    tag = call.callee.tag
    assert {(leg["side"], leg["to_tag"], leg["method"]) for leg in result["legs"]} == {
        ("caller", tag, "BYE"),
        ("callee", tag, "BYE"),
    }
    take_bye(call.caller)
    take_bye(call.callee)
    poll(
        lambda: set(outcomes(daemon.rpc.call("dlg.termination", result["id"])).values()) == {"200"},
        10,
        lambda: str(daemon.rpc.call("dlg.termination", result["id"])),
    )
    with pytest.raises(RpcError, match="404 Dialog not found"):
        daemon.rpc.call("dlg.end_dlg", found["h_entry"], found["h_id"])
    daemon.wait_ended(phones.callid)


@BY
def test_gone_after_a_kill(hasty: Daemon, phones: Phones, by: str) -> None:
    """Nothing stays in the table once the transactions have ended."""
    call = phones.talk(hasty)
    assert hasty.kill(by, phones.callid, "uac-1", call.callee.tag) == OK
    take_bye(call.caller)
    take_bye(call.callee)
    hasty.wait_gone(phones.callid, 64 * FAST + 5)
    assert hasty.fifo.call("dlg_list", phones.callid) == b"404 Nu such dialog\n\n"
    assert hasty.rpc.call("dlg.dlg_list", phones.callid) == {}


@BY
@pytest.mark.parametrize("state", ["ringing", "answered"])
def test_sipp_phones_are_told(daemon: Daemon, phones: Phones, by: str, state: str) -> None:
    """The same with sipp's phones, which judge each message by their own rules."""
    ringing = state == "ringing"
    uas = phones.sipp("uas_cancelled" if ringing else "uas_answer")
    uac = phones.sipp(
        "uac_rejected" if ringing else "uac_wait_bye",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        callid=phones.callid,
        fill={"CODE": "488"},
    )
    daemon.wait_state(phones.callid, 2 if ringing else 4, legs=1)
    assert daemon.kill(by, phones.callid, "uac-1", f"uas{uas.port}-1") == OK
    uac.wait()
    uas.wait()
    daemon.wait_ended(phones.callid)
    if ringing:
        assert uac.got_one(488).reason_phrase == "mi_terminated"
        assert uas.got_one("CANCEL").get("Reason") == "SIP;cause=488"
        uas.got_one("ACK")
    else:
        for sipp in (uac, uas):
            assert sipp.got_one("BYE").get("Reason").endswith(';text="mi_terminated"')
