"""Phones behind a NAT, on the wire: they say that they are at 10.9.9.9, where nobody is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dlgmgmt.routing import default_script
from tests.sip.harness.daemon import Daemon, Route
from tests.sip.harness.message import Message
from tests.sip.harness.peer import Callee, Caller, Leg, Peer, response
from tests.sip.harness.phones import Call, Phones
from tests.sip.harness.ports import free_port

SCRIPT = Path(default_script.__file__).read_text()

ALICES = "sip:alice@10.9.9.9:5070"
BOBS = "sip:bob@10.9.9.9:5071"


@pytest.fixture(scope="module", params=["", SCRIPT], ids=["routes", "script"])
def fixing(start_daemon: Callable[..., Daemon], request: pytest.FixtureRequest) -> Daemon:
    """Without a script, and with the one that does the same."""
    return start_daemon(
        script=request.param,
        sip={"t1": 0.1, "t4": 0.5},
        routes=[Route("9", (free_port(),), fix_contact=True)],
        kinds=("udp", "tcp"),
    )


def ring(daemon: Daemon, phones: Phones, *, kind: str = "udp") -> tuple[Caller, Callee]:
    """A call between phones that do not know where they are."""
    (port,) = daemon.routes[0].ports
    caller = phones.caller(daemon, kind=kind)
    callee = phones.callee(daemon, port=port)
    caller.contact = ALICES if kind == "udp" else f"{ALICES};transport={kind}"
    callee.contact = BOBS
    caller.invite(f"sip:9@{daemon.hostport}" + ("" if kind == "udp" else f";transport={kind}"))
    callee.take()
    callee.ring()
    caller.expect(180)
    return caller, callee


def talk(daemon: Daemon, phones: Phones, *, kind: str = "udp") -> Call:
    caller, callee = ring(daemon, phones, kind=kind)
    callee.answer()
    a = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    return Call(caller, callee, a, callee.leg())


def take_bye(phone: Peer, uri: str) -> Message:
    bye = phone.expect("BYE")
    assert bye.uri == uri
    phone.send(response(bye, 200))
    return bye


@pytest.mark.parametrize("by", ["fifo", "http"])
def test_a_kill_reaches_the_phones_where_they_really_are(
    fixing: Daemon, phones: Phones, by: str
) -> None:
    call = talk(fixing, phones)
    shown = fixing.wait_state(phones.callid, 4)
    assert shown.fields["caller_contact"] == f"{ALICES};alias=127.0.0.1~{call.caller.port}~1"
    assert shown.legs[0]["callee_contact"] == f"{BOBS};alias=127.0.0.1~{call.callee.port}~1"
    assert fixing.kill(by, phones.callid, call.caller.tag, call.callee.tag) == (200, "OK")
    take_bye(call.caller, ALICES)
    take_bye(call.callee, BOBS)
    fixing.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


def test_the_phones_reach_each_other(fixing: Daemon, phones: Phones) -> None:
    call = talk(fixing, phones)
    # The callee learns the caller's contact from the INVITE that it took.
    assert call.b.target == f"{ALICES};alias=127.0.0.1~{call.caller.port}~1"
    for sender, other, target in ((call.a, call.callee, BOBS), (call.b, call.caller, ALICES)):
        for method in ("INFO", "UPDATE", "INVITE"):
            assert sender.transact(method, other).uri == target
    call.hang_up()
    fixing.wait_ended(phones.callid)
    call.caller.nothing_more()
    call.callee.nothing_more()


def test_a_phone_whose_binding_in_the_nat_has_changed(fixing: Daemon, phones: Phones) -> None:
    call = talk(fixing, phones)
    moved = phones.caller(fixing)
    old = call.a
    leg = Leg(
        moved,
        callid=old.callid,
        local=old.local,
        remote=old.remote,
        target=old.target,
        routes=old.routes,
        cseq=old.cseq,
        contact=ALICES,
    )
    assert leg.transact("UPDATE", call.callee).contact == (
        f"{ALICES};alias=127.0.0.1~{moved.port}~1"
    )
    assert fixing.kill("fifo", phones.callid, call.caller.tag, call.callee.tag) == (200, "OK")
    take_bye(moved, ALICES)
    take_bye(call.callee, BOBS)
    fixing.wait_ended(phones.callid)
    call.caller.nothing_more()


def test_a_phone_that_only_has_its_connection(fixing: Daemon, phones: Phones) -> None:
    """Nobody can connect to it: what it is sent comes on the connection that it has made."""
    call = talk(fixing, phones, kind="tcp")
    shown = fixing.wait_state(phones.callid, 4).fields["caller_contact"]
    alice = f"{ALICES};transport=tcp"
    assert shown.startswith(f"{alice};alias=127.0.0.1~")
    assert shown.endswith("~2")
    assert call.b.transact("INFO", call.caller).uri == alice
    assert fixing.kill("http", phones.callid, call.caller.tag, call.callee.tag) == (200, "OK")
    take_bye(call.caller, alice)
    take_bye(call.callee, BOBS)
    fixing.wait_ended(phones.callid)


def test_a_ringing_call_is_cancelled(fixing: Daemon, phones: Phones) -> None:
    caller, callee = ring(fixing, phones)
    found = fixing.wait_state(phones.callid, 2)
    assert found.legs[0]["callee_contact"] == f"{BOBS};alias=127.0.0.1~{callee.port}~1"
    assert fixing.kill("fifo", phones.callid, caller.tag, callee.tag) == (200, "OK")
    caller.ack_failure(caller.expect(488, "INVITE"))
    callee.take_cancel()
    fixing.wait_ended(phones.callid)


def test_keepalives_reach_the_phones(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    daemon = start_daemon(
        sip={"t1": 0.1, "t4": 0.5},
        ims={"ka_timer": 1, "ka_interval": 1, "ka_sides": "both"},
        routes=[Route("9", (free_port(),), fix_contact=True)],
    )
    call = talk(daemon, phones)
    for _ in range(2):
        for phone, uri in ((call.caller, ALICES), (call.callee, BOBS)):
            options = phone.expect("OPTIONS", where=lambda m: "barrier" not in m.callid)
            assert options.uri == uri
            phone.send(response(options, 200))
    assert daemon.wait_state(phones.callid, 4).state == 4
    assert daemon.kill("fifo", phones.callid, call.caller.tag, call.callee.tag) == (200, "OK")
    take_bye(call.caller, ALICES)
    take_bye(call.callee, BOBS)
    daemon.wait_ended(phones.callid)
