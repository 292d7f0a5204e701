"""Bridge and refer between real phones, ordered by a routing script."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from .harness.daemon import Daemon
from .harness.message import build, uri_of
from .harness.peer import Callee, Leg, new_branch, response
from .harness.phones import Phones
from .harness.ports import free_port

# A MESSAGE orders a bridge, an INFO within a call refers one side of it.
SCRIPT = """
def request_route(msg, dlg):
    if msg.is_method("MESSAGE"):
        done = dlg.dlg_bridge("$hdr(X-From)", "$hdr(X-To)", msg.get_header("X-Proxy") or "")
        msg.send_reply(202 if done else 480)
        return
    if msg.has_totag():
        dlg.dlg_manage()
        if msg.is_method("INFO"):
            done = dlg.dlg_refer(msg.get_header("X-Side"), "$hdr(X-To)")
            msg.send_reply(202 if done else 480)
            return
        msg.t_relay()
        return
    if msg.is_method("INVITE"):
        dlg.dlg_manage()
        msg.record_route()
    msg.t_relay()
"""
T1 = 0.1


@pytest.fixture(scope="module")
def bridge(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(sip={"t1": T1, "t4": 0.5, "timer_c": 3.0}, script=SCRIPT)


def order(
    phones: Phones, daemon: Daemon, from_uri: str, to_uri: str, *, proxy: str = "", code: int = 202
) -> None:
    """Order a bridge."""
    desk = phones.caller(daemon)
    headers = [
        ("Via", f"SIP/2.0/UDP {desk.hostport};branch={new_branch()}"),
        ("Max-Forwards", "70"),
        ("From", f"<sip:desk@{desk.hostport}>;tag=desk"),
        ("To", "<sip:bridge@ims.example.com>"),
        ("Call-ID", phones.callid),
        ("CSeq", "1 MESSAGE"),
        ("X-From", from_uri),
        ("X-To", to_uri),
        ("X-Proxy", proxy),
    ]
    desk.send(build(f"MESSAGE sip:bridge@{daemon.hostport} SIP/2.0", headers))
    desk.expect(code, "MESSAGE")


def phone(phones: Phones, daemon: Daemon) -> Callee:
    """A scripted phone for a call whose Call-ID the daemon draws."""
    made = phones.callee(daemon)
    made.callid = ""
    return made


def uri(port: int, user: str = "uas") -> str:
    return f"sip:{user}@127.0.0.1:{port}"


def notify(leg: Leg, frag: str, *, state: str = "active;expires=60", event: str = "refer") -> None:
    """A NOTIFY that is answered 200."""
    leg.request(
        "NOTIFY",
        headers=[
            ("Event", event),
            ("Subscription-State", state),
            ("Contact", f"<{leg.contact}>"),
            ("Content-Type", "message/sipfrag;version=2.0"),
        ],
        body=f"SIP/2.0 {frag}\r\n".encode(),
    )
    leg.peer.expect(200, "NOTIFY", where=lambda m: m.cseq == leg.cseq)


def answer(callee: Callee) -> Leg:
    """Take the daemon's INVITE and its ACK."""
    invite = callee.take()
    callee.callid = invite.callid
    callee.answer()
    assert callee.expect("ACK").cseq == invite.cseq
    return callee.leg()


def is_over(leg: Leg) -> None:
    """The daemon knows nothing of a dialog any more."""
    leg.request("UPDATE")
    leg.peer.expect(481, "UPDATE")


# -- bridges ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("final", ["200 OK", "486 Busy Here"])
def test_a_bridge_to_sipp(bridge: Daemon, phones: Phones, final: str) -> None:
    """Success or refusal by the second party: the first one is hung up, and nothing is left."""
    first = phones.sipp("uas_referred", fill={"FINAL": final, "RING": "200"})
    target = uri(free_port(), "second")
    order(phones, bridge, uri(first.port), target)
    first.wait()
    invite, refer, bye = first.got_one("INVITE"), first.got_one("REFER"), first.got_one("BYE")
    assert uri_of(invite.get("From")) == "sip:controller@localhost"
    assert invite.contact == f"sip:controller@{bridge.hostport}"
    assert b"c=IN IP4 0.0.0.0" in invite.body
    assert first.got_one("ACK").cseq == invite.cseq
    assert refer.get("Refer-To") == f"<{target}>"
    assert refer.get("Referred-By") == "<sip:controller@localhost>"
    assert [sip.cseq - invite.cseq for sip in (refer, bye)] == [1, 2]
    assert bridge.dialog(invite.callid) is None


def test_a_bridge_refused_by_sipp(bridge: Daemon, phones: Phones) -> None:
    first = phones.sipp("uas_refer_declined")
    order(phones, bridge, uri(first.port), uri(free_port()))
    first.wait()
    assert first.got_one("BYE").cseq == first.got_one("REFER").cseq + 1


def test_a_bridge_from_end_to_end(bridge: Daemon, phones: Phones) -> None:
    """The first phone really calls the second one, through the daemon, when it is referred."""
    second = phones.sipp("uas_hangup", fill={"TALK": "500"})
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(second.port))
    leg = answer(first)
    refer = first.expect("REFER")
    first.confirm(refer, 202)
    notify(leg, "100 Trying")
    # The new call, from a port of its own so that its messages do not mix with these.
    line = phones.caller(bridge)
    line.invite(uri_of(refer.get("Refer-To")))
    line.expect(180)
    notify(leg, "180 Ringing")
    talking = line.ack(line.expect(200, "INVITE"))
    bridge.wait_state(phones.callid, 4)
    notify(leg, "200 OK", state="terminated;reason=noresource", event=f"refer;id={refer.cseq}")
    first.confirm(first.expect("BYE"))
    # The phones talk on: the bridge was only there to bring them together.
    bye = line.expect("BYE")
    line.send(response(bye, 200))
    second.wait()
    bridge.wait_ended(phones.callid)
    assert talking.callid == phones.callid
    is_over(leg)


def test_a_bridge_that_this_proxy_itself_carries(bridge: Daemon, phones: Phones) -> None:
    """With itself as outbound proxy the call is one of the table, until it is hung up."""
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(free_port()), proxy=f"sip:{bridge.hostport}")
    leg = answer(first)
    assert len(first.invite.all("Via")) == 2
    bridge.wait_state(leg.callid, 4)
    refer = first.expect("REFER")
    first.confirm(refer, 202)
    notify(leg, "503 Gone", state="terminated;reason=noresource")
    first.confirm(first.expect("BYE"))
    bridge.wait_ended(leg.callid)


@pytest.mark.parametrize("code", [404, 486, 603])
def test_the_first_party_refuses(bridge: Daemon, phones: Phones, code: int) -> None:
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(free_port()))
    first.take()
    first.refuse(code)
    first.expect("ACK")
    first.nothing_more()


def test_the_first_party_is_silent(bridge: Daemon, phones: Phones) -> None:
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(free_port()))
    invite = first.take()
    first.expect_copy(invite)
    # 64*T1 later nothing is sent any more, and a late answer finds nobody.
    with pytest.raises(AssertionError):
        first.expect("CANCEL", timeout=64 * T1 + 1)
    first.drain()
    copies = len(first.copies)
    first.answer()
    first.barrier()
    assert len(first.copies) == copies
    assert first.unread() == []


def test_the_first_party_rings_for_too_long(bridge: Daemon, phones: Phones) -> None:
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(free_port()))
    first.take()
    first.ring()
    first.take_cancel()
    first.nothing_more()


def test_the_first_party_does_not_answer_the_refer(bridge: Daemon, phones: Phones) -> None:
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(free_port()))
    leg = answer(first)
    first.expect_copy(first.expect("REFER"))
    first.confirm(first.expect("BYE", timeout=64 * T1 + 5))
    is_over(leg)


def test_the_first_party_hangs_up(bridge: Daemon, phones: Phones) -> None:
    first = phone(phones, bridge)
    order(phones, bridge, uri(first.port), uri(free_port()))
    leg = answer(first)
    first.expect("REFER")
    leg.request("BYE")
    first.expect(200, "BYE")
    is_over(leg)


def test_a_bridge_to_nowhere_is_refused_at_once(bridge: Daemon, phones: Phones) -> None:
    order(phones, bridge, "bob", uri(free_port()), code=480)


# -- REFER within a call ---------------------------------------------------------------------------


def refer(leg: Leg, side: str, target: str, code: int = 202) -> None:
    """Order it, by an INFO that the script answers."""
    leg.request("INFO", headers=[("X-Side", side), ("X-To", target)])
    leg.peer.expect(code, "INFO")


@pytest.mark.parametrize("side", ["caller", "callee"])
def test_the_referred_side_gets_through(bridge: Daemon, phones: Phones, side: str) -> None:
    call = phones.talk(bridge)
    legs = {"caller": call.a, "callee": call.b}
    leg = legs.pop(side)
    phone_, other = leg.peer, next(iter(legs.values())).peer
    refer(call.a, side, uri(5999, "third"))
    request = phone_.expect("REFER")
    assert request.get("Refer-To") == f"<{uri(5999, 'third')}>"
    assert request.contact == other.contact
    phone_.send(response(request, 202, contact=True, peer=phone_))
    notify(leg, "100 Trying")
    notify(leg, "200 OK", state="terminated;reason=noresource")
    for one in (phone_, other):
        bye = one.expect("BYE")
        assert 'text="referred"' in bye.get("Reason")
        one.send(response(bye, 200))
    bridge.wait_ended(phones.callid)
    # The other one has never heard of it.
    assert not [m for m in other.seen if m.method in ("REFER", "NOTIFY")]


@pytest.mark.parametrize("how", ["declined", "busy", "silent"])
def test_the_call_goes_on(bridge: Daemon, phones: Phones, how: str) -> None:
    call = phones.talk(bridge)
    refer(call.a, "callee", uri(5999))
    request = call.callee.expect("REFER")
    if how == "declined":
        call.callee.confirm(request, 603)
    elif how == "busy":
        call.callee.confirm(request, 202)
        notify(call.b, "486 Busy Here", state="terminated;reason=noresource")
    else:
        call.callee.expect_copy(request)
        with pytest.raises(AssertionError):
            call.callee.expect("BYE", timeout=64 * T1 + 1)
    bridge.wait_state(phones.callid, 4)
    # Both directions work, with numbers that the phones accept.
    call.a.request("BYE")
    bye = call.callee.expect("BYE")
    assert bye.cseq > request.cseq
    call.callee.confirm(bye)
    assert call.caller.expect(200, "BYE").cseq == call.a.cseq
    bridge.wait_ended(phones.callid)
    assert not [m for m in call.caller.seen if m.method in ("REFER", "NOTIFY")]


@pytest.mark.parametrize(("scenario", "final"), [("uas_referred", "200 OK")])
def test_sipp_is_referred(bridge: Daemon, phones: Phones, scenario: str, final: str) -> None:
    callee = phones.sipp(scenario, fill={"FINAL": final, "RING": "100"})
    caller = phones.caller(bridge)
    caller.invite(uri(callee.port))
    leg = caller.ack(caller.expect(200, "INVITE"))
    refer(leg, "callee", uri(5999))
    caller.send(response(caller.expect("BYE"), 200))
    callee.wait()
    assert callee.got_one("BYE").cseq > callee.got_one("REFER").cseq
    bridge.wait_ended(phones.callid)


def test_a_refer_of_the_phones_themselves_is_theirs(bridge: Daemon, phones: Phones) -> None:
    call = phones.talk(bridge)
    call.a.request("REFER", headers=[("Refer-To", f"<{uri(5999)}>")])
    request = call.callee.expect("REFER")
    call.callee.confirm(request, 202)
    call.caller.expect(202, "REFER")
    call.b.request("NOTIFY", headers=[("Event", "refer"), ("Subscription-State", "active")])
    told = call.caller.expect("NOTIFY")
    call.caller.send(response(told, 200))
    call.callee.expect(200, "NOTIFY")
    call.hang_up()


def test_a_call_that_rings_is_not_referred(bridge: Daemon, phones: Phones) -> None:
    caller, callee, ringing = phones.ring(bridge)
    leg = caller.leg(ringing)
    refer(leg, "callee", uri(5999), 480)
    callee.refuse(486)
    callee.expect("ACK")
    caller.ack_failure(caller.expect(486))
