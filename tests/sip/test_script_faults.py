"""Scripts that raise, loop, block or cannot be read: their call fails, the daemon goes on."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import Daemon, poll
from tests.sip.harness.phones import Phones

Start = Callable[..., Daemon]

FAULTS = """
import threading

def request_route(msg, dlg):
    if msg.get_pv("$rU") == "raise":
        dlg.dlg_manage()
        return 1 / 0                                        # line 7
    if msg.get_pv("$rU") == "loop":
        while True:                                         # line 9
            pass                                            # line 10
    if msg.get_pv("$rU") == "block":
        threading.Event().wait(60)                          # line 12
    if msg.get_pv("$rU") == "forbidden":
        dlg.unset_dlg_profile("x")                          # line 14
    if not msg.has_totag():
        dlg.dlg_manage()
        msg.record_route()
    msg.t_relay()

def onreply_route(msg, dlg):
    if msg.status == 180:
        {}["missing"]                                       # line 22

def event_route(event, dlg):
    raise RuntimeError("no event pleases me")               # line 25
"""


@pytest.fixture(scope="module")
def faulty(start_daemon: Start) -> Daemon:
    return start_daemon(script=FAULTS, routing={"time_limit": 0.3, "workers": 2})


def errors_of(daemon: Daemon, what: str, callid: str) -> list[str]:
    """What is logged of a run that failed; the answer may be there before the line."""

    def found() -> list[str]:
        log = daemon.stderr().splitlines()
        return [text for text in log if callid in text and what in text]

    poll(lambda: bool(found()), 5.0, lambda: daemon.stderr()[-2000:])
    return found()


def a_call_works(daemon: Daemon, phones: Phones) -> None:
    """A fresh call rings, is answered and ends, whatever the script did before."""
    other = Phones(phones._folder, f"good-{phones.callid}")
    try:
        other.talk(daemon).hang_up()
        daemon.wait_ended(other.callid)
    finally:
        other.hang_up()


@pytest.mark.parametrize(
    ("user", "lines", "why"),
    [
        ("raise", (7,), "ZeroDivisionError: division by zero"),
        ("loop", (9, 10), ""),
        ("block", (12,), ""),
        ("forbidden", (14,), "unset_dlg_profile cannot be used in request_route"),
    ],
)
def test_the_call_of_a_bad_run_is_answered_500(
    faulty: Daemon, phones: Phones, user: str, lines: tuple[int, ...], why: str
) -> None:
    caller = phones.caller(faulty)
    caller.invite(f"sip:{user}@127.0.0.1:9")
    caller.ack_failure(caller.expect(500, "INVITE", timeout=5.0))
    (said,) = errors_of(faulty, "request_route INVITE", phones.callid)
    assert any(f"script.py:{line}" in said for line in lines), said
    assert why in said
    faulty.wait_ended(phones.callid)
    a_call_works(faulty, phones)


def test_other_calls_go_on_while_one_is_stuck(faulty: Daemon, phones: Phones) -> None:
    stuck = [phones.caller(faulty, callid=f"{n}-{phones.callid}") for n in range(6)]
    for number, caller in enumerate(stuck):
        caller.invite(f"sip:{('loop', 'block')[number % 2]}@127.0.0.1:9")
    a_call_works(faulty, phones)
    for caller in stuck:
        caller.ack_failure(caller.expect(500, "INVITE", timeout=10.0))


def test_replies_pass_a_route_that_raises(start_daemon: Start, phones: Phones) -> None:
    # A daemon of its own: an error that repeats is logged once a second.
    daemon = start_daemon(script=FAULTS)
    call = phones.talk(daemon)
    (reply,) = errors_of(daemon, "onreply_route 180", phones.callid)
    assert "KeyError" in reply
    assert "script.py:22" in reply
    (event,) = errors_of(daemon, "event_route dialog:start", phones.callid)
    assert "no event pleases me" in event
    assert "script.py:25" in event
    call.hang_up()


@pytest.mark.parametrize(
    ("script", "line", "why"),
    [
        ("def request_route(msg, dlg):\n    msg.t_relay(\n", 2, "was never closed"),
        ("def request_route(msg):\n    pass\n", 1, "request_route"),
        ("x = 1\nboom = 1 / 0\ndef request_route(msg, dlg):\n    pass\n", 2, "ZeroDivisionError"),
        ("def mod_init(api):\n    api.no()\ndef request_route(msg, dlg): pass\n", 2, "no"),
    ],
)
def test_a_script_that_cannot_be_used_stops_the_start(
    start_daemon: Start, script: str, line: int, why: str
) -> None:
    with pytest.raises(AssertionError) as refused:
        start_daemon(script=script)
    text = str(refused.value)
    assert f"script.py:{line}" in text
    assert why in text
    assert "Traceback" not in text
