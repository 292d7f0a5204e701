"""Exchanges in which each datagram counts, between scripted peers."""

from __future__ import annotations

import re

import pytest

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.message import Message, build
from tests.sip.harness.peer import new_branch, response
from tests.sip.harness.phones import Phones


def test_two_200s_of_a_fork(daemon: Daemon, phones: Phones) -> None:
    caller, first, second = phones.ring_fork(daemon)
    assert daemon.wait_state(phones.callid, 2, legs=2).tags == {first.tag, second.tag}
    first.answer()
    ok1 = caller.expect(200, "INVITE")
    # The second phone was picked up before the CANCEL arrived.
    cancel = second.expect("CANCEL")
    second.confirm(cancel)
    second.answer()
    ok2 = caller.expect(200, "INVITE")
    assert {ok1.to_tag, ok2.to_tag} == {first.tag, second.tag}
    both = daemon.wait_state(phones.callid, 7)
    assert both.tags == {first.tag, second.tag}
    assert both.fields["state_name"] == "concurrently confirmed"
    legs = []
    for reply, callee in ((ok1, first), (ok2, second)):
        legs.append(caller.ack(reply))
        ack = callee.expect("ACK")
        assert (ack.to_tag, ack.cseq) == (callee.tag, 1)
    legs[0].bye(first)
    left = daemon.wait_for(phones.callid, lambda d: d.tags == {second.tag})
    assert left.state == 4, "the other call goes on"
    legs[1].bye(second)
    daemon.wait_ended(phones.callid)
    for phone in (caller, first, second):
        phone.nothing_more()


def test_best_failure_of_a_fork(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 16.7 point 6: the lowest class wins, and 6xx over all; one reply to the caller."""
    caller, first, second = phones.ring_fork(daemon)
    first.refuse(503)
    first.expect("ACK")
    second.refuse(486)
    second.expect("ACK")
    caller.ack_failure(caller.expect(486))
    daemon.wait_ended(phones.callid)
    caller.nothing_more()


def test_603_ends_the_other_branches(daemon: Daemon, phones: Phones) -> None:
    caller, first, second = phones.ring_fork(daemon)
    first.refuse(603)
    first.expect("ACK")
    second.take_cancel()
    caller.ack_failure(caller.expect(603))
    daemon.wait_ended(phones.callid)
    caller.nothing_more()


def test_cancel_reaches_every_branch(daemon: Daemon, phones: Phones) -> None:
    caller, first, second = phones.ring_fork(daemon)
    caller.cancel()
    caller.expect(200, "CANCEL")
    first.take_cancel()
    second.take_cancel()
    caller.ack_failure(caller.expect(487, "INVITE"))
    daemon.wait_ended(phones.callid)
    for phone in (caller, first, second):
        phone.nothing_more()


def test_cancel_of_no_call(daemon: Daemon, phones: Phones) -> None:
    caller = phones.caller(daemon)
    caller.invite_uri, caller.invite_branch = f"sip:bob@{daemon.hostport}", new_branch()
    caller.to = "<sip:bob@ims.example.com>"
    caller.cancel()
    caller.expect(481, "CANCEL")


def test_retransmitted_invite_is_not_forwarded_again(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    invite = caller.invite(f"sip:bob@{callee.hostport}")
    trying = caller.expect(100)
    callee.take()
    callee.ring()
    ringing = caller.expect(180)
    callee.barrier()
    before = callee.copies_of(callee.invite)
    caller.send(invite)
    # RFC 3261 17.2.1: the server transaction answers with its latest provisional.
    caller.expect_copy(ringing)
    callee.barrier()
    assert callee.copies_of(callee.invite) == before
    assert len(daemon.fifo.list(phones.callid)) == 1
    callee.refuse(486)
    callee.expect("ACK")
    caller.ack_failure(caller.expect(486))
    assert trying.to_tag == ""
    caller.nothing_more()
    callee.nothing_more()


def test_unanswered_invite_is_retransmitted_to_the_callee(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}")
    callee.expect_copy(callee.take())
    callee.refuse(486)
    callee.expect("ACK")
    final = caller.expect(486)
    # The final reply comes again until it is acknowledged.
    caller.expect_copy(final)
    caller.ack_failure(final)
    # And the callee's, repeated, gets the very same ACK again.
    callee.refuse(486)
    callee.expect_copy(next(m for m in callee.seen if m.method == "ACK" and not m.status))
    caller.nothing_more()


def test_retransmissions_of_an_answer(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    invite = caller.invite(f"sip:bob@{callee.hostport}")
    callee.take()
    callee.ring()
    ringing = caller.expect(180)
    callee.ring()
    caller.expect_copy(ringing)

    callee.answer()
    ok = caller.expect(200, "INVITE")
    callee.answer()
    caller.expect_copy(ok)
    # RFC 6026 7.1: in state Accepted a retransmitted INVITE is absorbed without an answer.
    callee.barrier()
    before = callee.copies_of(callee.invite)
    answered = caller.copies_of(ok)
    caller.send(invite)
    caller.barrier()
    callee.barrier()
    assert caller.copies_of(ok) == answered
    assert callee.copies_of(callee.invite) == before
    assert caller.unread() == []

    leg = caller.leg(ok)
    branch = new_branch()
    leg.request("ACK", cseq=1, branch=branch)
    leg.request("ACK", cseq=1, branch=branch)
    callee.barrier()
    acks = [m for m in [*callee.pending, *callee.copies] if m.method == "ACK"]
    assert len(acks) == 2, "each ACK goes end to end"
    callee.pending.clear()
    callee.copies.clear()
    talking = daemon.wait_state(phones.callid, 4, legs=1)
    assert len(daemon.fifo.list(phones.callid)) == 1
    # The 2xx once more, for its ACK may have been lost: still forwarded, still the same dialog.
    repeated = len(caller.copies)
    callee.answer()
    caller.barrier()
    assert len(caller.copies) == repeated + 1
    assert daemon.wait_state(phones.callid, 4, legs=1).hash == talking.hash

    leg.bye(callee)
    daemon.wait_ended(phones.callid)


def test_retransmissions_of_a_bye(daemon: Daemon, phones: Phones) -> None:
    call = phones.talk(daemon)
    caller, callee = call.caller, call.callee
    bye = call.a.request("BYE")
    arrived = callee.expect("BYE")
    caller.send(bye)
    caller.barrier()
    callee.barrier()
    assert [m for m in callee.pending if m.method == "BYE"] == []
    # Unanswered, it is repeated by the daemon's own client transaction.
    callee.expect_copy(arrived)
    callee.confirm(arrived)
    done = caller.expect(200, "BYE")
    callee.barrier()
    sent = callee.copies_of(arrived)
    callee.confirm(arrived)
    caller.barrier()
    assert caller.copies_of(done) == 0, "the client transaction absorbs a repeated 200"
    caller.send(bye)
    caller.expect_copy(done)
    callee.barrier()
    assert callee.copies_of(arrived) == sent, "the server transaction answers a repeated BYE"
    daemon.wait_ended(phones.callid)


def test_bye_crossing_bye(daemon: Daemon, phones: Phones) -> None:
    call = phones.talk(daemon)
    call.a.request("BYE")
    call.b.request("BYE")
    at_callee, at_caller = call.callee.expect("BYE"), call.caller.expect("BYE")
    call.callee.confirm(at_callee)
    call.caller.send(response(at_caller, 200))
    call.caller.expect(200, "BYE")
    call.callee.expect(200, "BYE")
    daemon.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


def test_requests_from_both_sides_are_counted_apart(daemon: Daemon, phones: Phones) -> None:
    call = phones.talk(daemon)
    assert (call.a.cseq, call.b.cseq) == (1, 0)
    call.b.cseq = 500
    moved = f"sip:alice@127.0.0.1:{call.caller.port};ob;moved=1"
    call.a.transact("INVITE", call.callee, contact=moved)
    call.b.transact("UPDATE", call.caller)
    call.b.transact("INVITE", call.caller)
    call.a.transact("INFO", call.callee)
    found = daemon.wait_state(phones.callid, 4, legs=1)
    assert (found.legs[0]["caller_cseq"], found.legs[0]["callee_cseq"]) == ("3", "502")
    assert found.fields["first_req_cseq"] == "1"
    assert found.fields["caller_contact"] == moved, "the 2xx moves the target"
    call.hang_up()
    daemon.wait_ended(phones.callid)


def test_failed_reinvite_keeps_the_call(daemon: Daemon, phones: Phones) -> None:
    call = phones.talk(daemon)
    before = daemon.wait_state(phones.callid, 4)
    old = call.a.contact
    call.a.contact = f"{old};new=1"
    branch = new_branch()
    call.a.request("INVITE", branch=branch)
    call.callee.send(response(call.callee.expect("INVITE"), 488))
    final = call.caller.expect(488, "INVITE")
    call.a.request("ACK", cseq=2, branch=branch)
    assert call.callee.expect("ACK").cseq == 2
    after = daemon.wait_state(phones.callid, 4)
    assert after.hash == before.hash
    assert after.fields["caller_contact"] == old, "a refused re-INVITE moves nothing"
    assert final.to_tag == call.callee.tag
    call.hang_up()
    daemon.wait_ended(phones.callid)


def test_ack_for_a_failure_stays_hop_by_hop(daemon: Daemon, phones: Phones) -> None:
    caller, callee, _ = phones.ring(daemon)
    callee.refuse(486)
    own = callee.expect("ACK")
    assert own.get("Via") == callee.invite.get("Via")
    assert len(own.all("Via")) == 1
    caller.ack_failure(caller.expect(486))
    caller.barrier()
    callee.nothing_more()
    daemon.wait_ended(phones.callid)


def test_record_route(daemon: Daemon, phones: Phones) -> None:
    """The did is entry and id in hexadecimal, least significant digit first."""
    call = phones.talk(daemon)
    found = daemon.wait_state(phones.callid, 4)
    entry, number = (format(int(part), "x")[::-1] for part in found.hash.split(":"))
    expected = f"<sip:{daemon.hostport};lr;did={entry}.{number}>"
    assert call.callee.invite.all("Record-Route") == [expected]
    assert call.a.routes == [expected]
    assert call.b.routes == [expected]
    bye = call.b.transact("BYE", call.caller)
    assert bye.all("Route") == [], "the daemon takes its own Route off"
    assert bye.uri == call.caller.contact
    daemon.wait_ended(phones.callid)


def test_requests_within_need_no_route(daemon: Daemon, phones: Phones) -> None:
    """A peer that ignores Record-Route but keeps sending to the proxy is still understood."""
    call = phones.talk(daemon)
    call.a.routes = []
    bye = call.a.transact("BYE", call.callee)
    assert bye.uri == call.callee.contact
    daemon.wait_ended(phones.callid)


def test_strict_route_is_repaired(daemon: Daemon, phones: Phones) -> None:
    """RFC 3261 16.4: a strict router before us has put our own URI into the Request-URI."""
    call = phones.talk(daemon)
    own = call.a.routes[0].strip("<>")
    call.a.routes = [f"<{call.a.target}>"]
    call.a.target = own
    bye = call.a.transact("BYE", call.callee)
    assert bye.uri == call.callee.contact
    assert bye.all("Route") == []
    daemon.wait_ended(phones.callid)


def test_preloaded_route_decides(daemon: Daemon, phones: Phones) -> None:
    caller, edge = phones.caller(daemon), phones.callee(daemon)
    routes = [f"<sip:{daemon.hostport};lr>", f"<sip:{edge.hostport};lr>"]
    caller.invite("sip:bob@far.example.com", headers=[("Route", route) for route in routes])
    invite = edge.take()
    assert invite.uri == "sip:bob@far.example.com"
    assert invite.all("Route") == routes[1:]
    edge.refuse(480)
    edge.expect("ACK")
    caller.ack_failure(caller.expect(480))


def test_max_forwards(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}", max_forwards="0")
    caller.ack_failure(caller.expect(483))
    callee.nothing_more()
    assert daemon.alive(phones.callid) is None
    caller.cseq = 2
    caller.invite(f"sip:bob@{callee.hostport}", max_forwards="1")
    assert callee.take().get("Max-Forwards") == "0"
    callee.refuse(486)
    callee.expect("ACK")
    caller.ack_failure(caller.expect(486))


ODD_HEADERS = (
    b"X-Folded: one,\r\n\ttwo\r\n  three\r\n"
    b"x-lower  :   spaces before and behind   \r\n"
    b"X-EMPTY:\r\n"
    b"X-Latin: caf\xe9 \xff\xfe\r\n"
    b'X-Quote: "a\\"b", <sip:x;lr>;p=";,"\r\n'
    b"s: a compact Subject\r\n"
    b"X-Twice: 1\r\n"
    b"x-TWICE: 2\r\n"
    b"P-Access-Network-Info: 3GPP-E-UTRAN-TDD;utran-cell-id-3gpp=00101\r\n"
)


def test_unknown_headers_are_forwarded_byte_for_byte(daemon: Daemon, phones: Phones) -> None:
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    sent = Message(caller.invite(f"sip:bob@{callee.hostport}", raw=ODD_HEADERS))
    got = callee.take()
    assert ODD_HEADERS in got.raw
    assert got.body == sent.body
    own = {"via", "max-forwards", "record-route"}
    for name in ("From", "To", "Contact", "Call-ID", "CSeq", "Content-Type", "Content-Length"):
        assert f"\r\n{name}: {sent.get(name)}\r\n".encode() in got.raw
    assert [h for h in got.headers if h[0].lower() not in own] == [
        h for h in sent.headers if h[0].lower() not in own
    ]
    # And back: a reply loses the daemon's Via, and nothing else.
    reply = response(got, 486, tag="t1").replace(
        b"Content-Length:", ODD_HEADERS + b"Content-Length:", 1
    )
    callee.send(reply)
    callee.expect("ACK")
    final = caller.expect(486)
    first_via = f"Via: {got.all('Via')[0]}\r\n".encode()
    assert final.raw == reply.replace(first_via, b"", 1)
    caller.ack_failure(final)


def test_vias_in_one_line(daemon: Daemon, phones: Phones) -> None:
    """A callee may fold all Vias into one header line; only the topmost is taken off."""
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}")
    invite = callee.take()
    vias = invite.all("Via")
    assert len(vias) == 2
    headers = [(n, v) for n, v in invite.headers if n in ("From", "Call-ID", "CSeq")]
    to = ("To", f"{invite.get('To')};tag=t1")
    callee.send(build("SIP/2.0 404 No", [("Via", ", ".join(vias)), *headers, to]))
    callee.expect("ACK")
    final = caller.expect(404)
    assert final.all("Via") == vias[1:]
    caller.ack_failure(final)


def test_rport_and_received(daemon: Daemon, phones: Phones) -> None:
    """RFC 3581: behind a NAT the reply goes to where the request came from."""
    caller = phones.caller(daemon)
    caller.send(
        build(
            f"OPTIONS sip:{daemon.hostport} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP 192.0.2.1:5999;rport;branch={new_branch()}"),
                ("Max-Forwards", "70"),
                ("From", "<sip:a@ims.example.com>;tag=1"),
                ("To", f"<sip:{daemon.hostport}>"),
                ("Call-ID", phones.callid),
                ("CSeq", "1 OPTIONS"),
            ],
        )
    )
    reply = caller.expect(200, "OPTIONS")
    assert "received=127.0.0.1" in reply.get("Via")
    assert f"rport={caller.port}" in reply.get("Via")
    assert reply.to_tag
    assert daemon.dialog(phones.callid) is None


def test_request_out_of_nowhere(daemon: Daemon, phones: Phones) -> None:
    """A BYE of a call that the daemon never saw, and that is addressed to it: 481."""
    caller = phones.caller(daemon)
    caller.send(
        build(
            f"BYE sip:bob@{daemon.hostport} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {caller.hostport};branch={new_branch()}"),
                ("Max-Forwards", "70"),
                ("From", "<sip:a@ims.example.com>;tag=1"),
                ("To", "<sip:bob@ims.example.com>;tag=2"),
                ("Call-ID", phones.callid),
                ("CSeq", "7 BYE"),
            ],
        )
    )
    caller.expect(481, "BYE")


@pytest.mark.parametrize(
    "junk",
    [
        b"\r\n\r\n",
        b"\x00\xff\xfe binary",
        b"INVITE",
        b"INVITE sip:x SIP/2.0\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"INVITE sip:x SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:1;branch=z9hG4bKx\r\nl: 9999\r\n\r\n",
        b"A" * 60_000,
    ],
    ids=["keepalive", "binary", "word", "bare-invite", "bare-200", "http", "short-body", "long"],
)
def test_junk_harms_nothing(daemon: Daemon, phones: Phones, junk: bytes) -> None:
    caller = phones.caller(daemon)
    caller.send(junk)
    caller.barrier()


def test_a_spiral_joins_its_dialog(daemon: Daemon, phones: Phones) -> None:
    """A proxy behind us sends the INVITE through us once more: one dialog, one call."""
    caller, elsewhere = phones.caller(daemon), phones.callee(daemon)
    callee = phones.callee(daemon)
    caller.invite(f"sip:bob@{elsewhere.hostport}")
    passed = elsewhere.take()
    # What that proxy forwards: its own Via and Record-Route on top, another Request-URI.
    again = re.sub(
        rb"\AINVITE [^\r]*\r\n",
        f"INVITE sip:bob@{callee.hostport} SIP/2.0\r\n"
        f"Via: SIP/2.0/UDP {elsewhere.hostport};branch={new_branch()}\r\n".encode(),
        passed.raw,
    )
    elsewhere.send(again)
    callee.take()
    callee.ring()
    back = elsewhere.expect(180)
    assert len(daemon.fifo.list(phones.callid)) == 1
    own = f"Via: {back.all('Via')[0]}\r\n".encode()
    elsewhere.send(back.raw.replace(own, b"", 1))
    caller.expect(180)
    callee.refuse(486)
    callee.expect("ACK")
    final = elsewhere.expect(486)
    elsewhere.send(
        build(
            f"ACK sip:bob@{callee.hostport} SIP/2.0",
            [
                ("Via", final.all("Via")[0]),
                ("From", final.get("From")),
                ("To", final.get("To")),
                ("Call-ID", final.callid),
                ("CSeq", "1 ACK"),
            ],
        )
    )
    own = f"Via: {final.all('Via')[0]}\r\n".encode()
    elsewhere.send(final.raw.replace(own, b"", 1))
    elsewhere.expect("ACK")
    caller.ack_failure(caller.expect(486))
    daemon.wait_ended(phones.callid)
