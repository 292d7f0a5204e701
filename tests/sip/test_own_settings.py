"""Calls that need a daemon with settings of its own: short timers, IPv6, few transactions."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.peer import Callee, Caller, response
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port, has_ipv6_loopback

# 64*T1 is 1.92 s here.
FAST = 0.03


@pytest.fixture(scope="module")
def hasty(start_daemon: Callable[..., Daemon]) -> Daemon:
    """Every timer short."""
    return start_daemon(
        sip={"t1": FAST, "t2": 0.2, "t4": 0.2, "timer_c": 1.5}, ims={"noack_timeout": 2}, forks=4
    )


def test_no_answer_until_timer_c(hasty: Daemon, phones: Phones) -> None:
    uas = phones.sipp("uas_cancelled")
    started = time.monotonic()
    with hasty.watch(phones.callid) as watch:
        uac = phones.sipp(
            "uac_rejected",
            remote=hasty.hostport,
            target=f"127.0.0.1:{uas.port}",
            callid=phones.callid,
            fill={"CODE": "408"},
        )
        uac.wait()
        uas.wait()
        hasty.wait_ended(phones.callid)
    assert time.monotonic() - started >= 1.5
    assert 2 in watch.states
    assert 4 not in watch.states
    uas.got_one("CANCEL")
    uas.got_one("ACK")
    uac.got_one(408)
    hasty.wait_gone(phones.callid, 10)


def test_a_silent_phone_is_given_up(hasty: Daemon, phones: Phones) -> None:
    """Timer B: nobody there; the callee's port is bound, but nothing ever comes back."""
    caller, callee = phones.caller(hasty), phones.callee(hasty)
    caller.invite(f"sip:bob@{callee.hostport}")
    callee.take()
    caller.ack_failure(caller.expect(408))
    hasty.wait_gone(phones.callid, 10)
    callee.drain()
    assert not [m for m in callee.seen if m.method == "CANCEL"], "RFC 3261 9.1: no reply, no CANCEL"


def test_a_phone_that_falls_silent_when_cancelled(hasty: Daemon, phones: Phones) -> None:
    caller, callee, _ = phones.ring(hasty)
    caller.cancel()
    caller.expect(200, "CANCEL")
    callee.expect("CANCEL")
    final = caller.expect_any(408, 487)
    caller.ack_failure(final)
    hasty.wait_gone(phones.callid, 10)


def test_an_unreachable_target(hasty: Daemon, phones: Phones) -> None:
    """A closed port may answer with ICMP; either way the caller gets a final reply."""
    caller = phones.caller(hasty)
    caller.invite(f"sip:bob@127.0.0.1:{free_port()}")
    caller.ack_failure(caller.expect_any(408, 500, 502, 503))
    hasty.wait_gone(phones.callid, 10)


def test_serial_fork_goes_on_after_a_silent_phone(hasty: Daemon, phones: Phones) -> None:
    caller, first, second = phones.fork(hasty, "serial")
    first.take()
    second.take()
    second.ring()
    caller.expect(180)
    second.refuse(486)
    second.expect("ACK")
    caller.ack_failure(caller.expect(486))
    hasty.wait_gone(phones.callid, 10)


def test_serial_fork_cancels_at_timer_c_and_goes_on(hasty: Daemon, phones: Phones) -> None:
    caller, first, second = phones.fork(hasty, "serial")
    first.take()
    first.ring()
    caller.expect(180)
    first.take_cancel()
    second.take()
    second.answer()
    leg = caller.ack(caller.expect(200, "INVITE"))
    second.expect("ACK")
    assert hasty.wait_state(phones.callid, 4).tags == {second.tag}
    leg.bye(second)
    hasty.wait_gone(phones.callid, 10)


def test_dialog_timeout(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    """Manual 5.6: both sides are told when the dialog's time is over."""
    daemon = start_daemon(sip={"t1": FAST}, ims={"default_timeout": 2})
    call = phones.talk(daemon)
    assert int(daemon.wait_state(phones.callid, 4).fields["timeout_left"]) <= 2
    for peer in (call.caller, call.callee):
        bye = peer.expect("BYE")
        assert 'text="dialog_timeout"' in bye.get("Reason")
        peer.send(response(bye, 200))
    daemon.wait_gone(phones.callid, 10)
    assert b"dialog_ng:expired = 1\n" in daemon.fifo.call("get_statistics", "dialog_ng:")


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no ::1")
def test_ipv6(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    daemon = start_daemon(sip={"t1": FAST}, ipv6=True)
    address = ("::1", daemon.port)
    with (
        Caller(free_port(), address, phones.callid, host="::1") as caller,
        Callee(free_port(), address, phones.callid, host="::1") as callee,
    ):
        caller.barrier()
        caller.invite(f"sip:bob@{callee.hostport}")
        assert callee.take().get("Record-Route").startswith(f"<sip:[::1]:{daemon.port};lr;did=")
        callee.ring()
        caller.expect(180)
        callee.answer()
        leg = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        found = daemon.wait_state(phones.callid, 4)
        assert found.fields["caller_bind_addr"] == f"udp:[::1]:{daemon.port}"
        assert found.legs[0]["callee_contact"] == callee.contact
        # Hung up by the daemon: its own requests find their way too.
        assert daemon.kill("fifo", phones.callid, "uac-1", callee.tag)[0] == 200
        for peer in (caller, callee):
            peer.send(response(peer.expect("BYE"), 200))
        daemon.wait_gone(phones.callid, 10)
        assert leg.target == callee.contact


@pytest.mark.skipif(not has_ipv6_loopback(), reason="this machine has no ::1")
def test_from_ipv4_to_ipv6(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    """RFC 3261 16.7 and RFC 6157: a Record-Route for each side of a change of family."""
    daemon = start_daemon(sip={"t1": FAST}, ipv6=True)
    caller = phones.caller(daemon)
    with Callee(free_port(), ("::1", daemon.port), phones.callid, host="::1") as callee:
        caller.invite(f"sip:bob@{callee.hostport}")
        callee.take()
        callee.ring()
        caller.expect(180)
        callee.answer()
        leg = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        leg.bye(callee)
        daemon.wait_gone(phones.callid, 10)


def test_too_many_dialogs(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    daemon = start_daemon(sip={"t1": FAST}, ims={"max_dialogs": 1})
    caller, callee, _ = phones.ring(daemon)
    other = phones.caller(daemon, callid=f"other-{phones.callid}")
    other.invite(f"sip:bob@{callee.hostport}")
    refused = other.expect(503)
    assert refused.get("Retry-After")
    other.ack_failure(refused)
    callee.refuse(486)
    callee.expect("ACK")
    caller.ack_failure(caller.expect(486))
    daemon.wait_empty(10)
