"""Calls past their limits: rung for too long, never acknowledged, talked out."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import Daemon
from tests.sip.harness.message import Message
from tests.sip.harness.peer import Peer, response
from tests.sip.harness.phones import Phones


@pytest.fixture(scope="module")
def short(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(
        sip={"t1": 0.1, "t4": 0.5},
        ims={"early_timeout": 2, "noack_timeout": 3, "default_timeout": 4},
    )


def take_bye(phone: Peer) -> Message:
    bye = phone.expect("BYE", timeout=8.0)
    phone.send(response(bye, 200))
    return bye


def test_early_timeout(short: Daemon, phones: Phones) -> None:
    begun = time.monotonic()
    caller, callee, _ = phones.ring(short)
    final = caller.expect(488, "INVITE", timeout=5.0)
    assert 2.0 <= time.monotonic() - begun < 3.5
    assert final.reason_phrase == "early_timeout"
    caller.ack_failure(final)
    callee.take_cancel()
    short.wait_ended(phones.callid)
    caller.nothing_more()
    callee.nothing_more()


def test_noack_timeout(short: Daemon, phones: Phones) -> None:
    caller, callee, _ = phones.ring(short)
    callee.answer()
    answered = time.monotonic()
    caller.expect(200, "INVITE")
    short.wait_state(phones.callid, 5)
    for phone in (caller, callee):
        assert 'text="noack_timeout"' in take_bye(phone).get("Reason")
    assert 3.0 <= time.monotonic() - answered < 4.5
    short.wait_ended(phones.callid)


def test_default_timeout(short: Daemon, phones: Phones) -> None:
    call = phones.talk(short)
    begun = time.monotonic()
    for phone in (call.caller, call.callee):
        assert 'text="dialog_timeout"' in take_bye(phone).get("Reason")
    assert 3.9 <= time.monotonic() - begun < 5.5
    short.wait_ended(phones.callid)


def test_a_request_within_the_call_restarts_the_timeout(short: Daemon, phones: Phones) -> None:
    call = phones.talk(short)
    time.sleep(2.0)
    call.a.transact("INFO", call.callee)
    begun = time.monotonic()
    take_bye(call.caller)
    take_bye(call.callee)
    assert time.monotonic() - begun >= 3.9


def test_without_send_bye_the_call_just_leaves_the_list(
    start_daemon: Callable[..., Daemon], phones: Phones
) -> None:
    daemon = start_daemon(ims={"default_timeout": 1, "send_bye": 0, "timeout_noreset": 1})
    call = phones.talk(daemon)
    daemon.wait_gone(phones.callid, 4.0)
    call.caller.nothing_more()
    call.callee.nothing_more()
    # The phones still talk to each other through the proxy, and may hang up.
    call.hang_up()
