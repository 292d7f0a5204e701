"""dlgctl query and end-match: the calls that fit, of several real ones."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.sip.harness.daemon import T1, Daemon
from tests.sip.harness.peer import response
from tests.sip.harness.phones import Call, Phones


@pytest.fixture(scope="module")
def daemon(start_daemon: Callable[..., Daemon]) -> Daemon:
    return start_daemon(sip={"t1": T1, "t4": 0.5})


@pytest.fixture(params=["http", "fifo"])
def door(request: pytest.FixtureRequest, daemon: Daemon) -> list[str]:
    if request.param == "fifo":
        return ["--fifo", str(daemon.fifo.command), "--reply-dir", str(daemon.fifo.reply_dir)]
    return ["--http", f"http://127.0.0.1:{daemon.http_port}/RPC"]


def dlgctl(door: list[str], *args: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dlgmgmt.cli.dlgctl", *door, *args]
    return subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
    )


def talk(daemon: Daemon, phones: Phones, callid: str) -> Call:
    caller, callee = phones.caller(daemon, callid=callid), phones.callee(daemon, callid=callid)
    caller.invite(f"sip:bob@{callee.hostport}")
    callee.take()
    callee.ring()
    caller.expect(180)
    callee.answer()
    a = caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    daemon.wait_state(callid, 4, legs=1)
    return Call(caller, callee, a, callee.leg())


def test_a_query_shows_the_calls_that_fit_page_by_page(
    daemon: Daemon, phones: Phones, door: list[str]
) -> None:
    calls = [talk(daemon, phones, f"{number}-{phones.callid}") for number in range(3)]
    where = calls[1].callee.hostport
    done = dlgctl(door, "--json", "query", "--address", where)
    assert (done.returncode, done.stderr) == (0, "")
    page = json.loads(done.stdout)
    assert [item["call-id"] for item in page["items"]] == [f"1-{phones.callid}"]
    assert (page["total"], page["cursor"]) == (1, None)

    seen, cursor = set[str](), ""
    for _ in range(3):
        more = ["--cursor", cursor] if cursor else []
        page = json.loads(
            dlgctl(door, "--json", "query", "--state", "confirmed", "--limit", "1", *more).stdout
        )
        seen |= {item["call-id"] for item in page["items"]}
        cursor = page["cursor"] or ""
    assert seen == {f"{number}-{phones.callid}" for number in range(3)}

    bad = dlgctl(door, "query", "--state", "asleep")
    assert bad.returncode == 1
    assert "state" in bad.stderr
    for call in calls:
        call.hang_up()
    for number in range(3):
        daemon.wait_ended(f"{number}-{phones.callid}")


def test_only_the_calls_that_fit_are_ended(daemon: Daemon, phones: Phones, door: list[str]) -> None:
    kept, one, two = (talk(daemon, phones, f"{number}-{phones.callid}") for number in range(3))
    where = two.callee.hostport
    shown = dlgctl(door, "end-match", "--address", where, "--dry-run")
    assert (shown.returncode, shown.stderr) == (0, "")
    assert f"2-{phones.callid}" in shown.stdout

    wrong = dlgctl(door, "end-match", "--state", "confirmed", "--expect", "2", "--yes")
    assert wrong.returncode == 4
    assert "3 calls fit, not 2: none was ended" in wrong.stderr
    unasked = dlgctl(door, "end-match", "--address", where)
    assert unasked.returncode == 5
    nobody = dlgctl(door, "end-match", "--address", "192.0.2.1", "--yes")
    assert nobody.returncode == 3
    everybody = dlgctl(door, "end-match", "--yes")
    assert everybody.returncode == 2
    daemon.wait_state(two.caller.callid, 4, legs=1)

    # It waits for nothing: the phones answer below.
    ended = dlgctl(
        door, "end-match", "--address", where, "--yes", "--wait", "0", "--reason", "fraud"
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "ended 1, " in ended.stdout
    bye = two.callee.expect("BYE")
    assert 'text="fraud"' in bye.get("Reason")
    two.callee.send(response(bye, 200))
    two.caller.send(response(two.caller.expect("BYE"), 200))
    daemon.wait_ended(two.caller.callid)
    for call in (kept, one):
        daemon.wait_state(call.caller.callid, 4, legs=1)
        call.hang_up()
        daemon.wait_ended(call.caller.callid)
