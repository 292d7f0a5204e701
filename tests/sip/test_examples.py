"""The scripts in examples/, copied and run as their docstrings say."""

from __future__ import annotations

import ast
import shutil
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.sip.harness.daemon import ROOT, Daemon
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.test_script_functions import HOLD, dial, finish, shown

EXAMPLES = ROOT / "examples"

Start = Callable[..., Daemon]


def documented(name: str) -> dict[str, Any]:
    """The configuration that a script's docstring shows."""
    text = ast.get_docstring(ast.parse((EXAMPLES / name).read_text()), clean=False) or ""
    shown = [line.strip() for line in text.splitlines() if line.startswith("    ")]
    return tomllib.loads("\n".join(line for line in shown if line[0] == "[" or " = " in line))


def start(start_daemon: Start, name: str, **more: Any) -> Daemon:
    found = documented(name)
    assert found["routing"] == {"script": name}
    text = (EXAMPLES / name).read_text()
    return start_daemon(script=text, ims=found.get("ims_dialog", {}), **more)


def test_every_example_is_tested_and_configured() -> None:
    assert sorted(path.name for path in EXAMPLES.glob("*.py")) == [
        "call_limit.py",
        "credit_timer.py",
        "least_cost.py",
    ]


def test_call_limit(start_daemon: Start, phones: Phones) -> None:
    daemon = start(start_daemon, "call_limit.py")
    calls = [dial(phones, daemon, callid=f"{n}-{phones.callid}") for n in range(2)]
    for number in range(2):
        profiles = shown(daemon, f"{number}-{phones.callid}")["profiles"]
        assert profiles == [{"caller": "sip:alice@ims.example.com"}]
    third = phones.sipp(
        "uac_rejected",
        remote=daemon.hostport,
        target="127.0.0.1:9",
        callid=phones.callid,
        fill={"CODE": "486"},
    )
    third.wait()
    assert third.got_one(486).get("Retry-After") == "60"
    for pair in calls:
        finish(daemon, phones, *pair)
    finish(daemon, phones, *dial(phones, daemon, callid=f"later-{phones.callid}"))


@pytest.mark.parametrize("credit", ["0", "nothing", "99999999999"])
def test_credit_timer_without_credit(start_daemon: Start, phones: Phones, credit: str) -> None:
    daemon = start(start_daemon, "credit_timer.py")
    caller = phones.caller(daemon)
    caller.invite("sip:bob@127.0.0.1:9", headers=[("X-Credit", credit)])
    caller.ack_failure(caller.expect(402, "INVITE"))
    assert daemon.alive(phones.callid) is None


def test_credit_timer(start_daemon: Start, phones: Phones) -> None:
    daemon = start(start_daemon, "credit_timer.py")
    caller, callee = phones.caller(daemon), phones.callee(daemon)
    caller.invite(f"sip:bob@{callee.hostport}", headers=[("X-Credit", "2")])
    assert callee.take().get("X-Credit") == ""
    callee.answer()
    caller.ack(caller.expect(200, "INVITE"))
    callee.expect("ACK")
    assert shown(daemon, phones.callid)["lifetime"] == 2
    for phone in (caller, callee):
        bye = phone.expect("BYE", timeout=5.0)
        assert bye.get("X-Ended-By") == "credit"
        assert 'text="dialog_timeout"' in bye.get("Reason")
    assert "credit of sip:alice@ims.example.com is spent" in daemon.stderr()


def test_least_cost(start_daemon: Start, phones: Phones, tmp_path: Path) -> None:
    cheap = phones.sipp("uas_reject", fill={"CODE": "503", "REASON": "Full"})
    dear = phones.sipp("uas_answer", fill=HOLD)
    other = free_port()
    script = tmp_path / "least_cost.py"
    shutil.copy(EXAMPLES / "least_cost.py", script)
    (tmp_path / "carriers.txt").write_text(
        "# prefix, price, carrier\n"
        f"49 0.030 sip:127.0.0.1:{dear.port}\n"
        f"49 0.010 sip:127.0.0.1:{cheap.port}\n"
        f"33 0.001 sip:127.0.0.1:{other}\n"
    )
    daemon = start_daemon(routing={"script": str(script)})
    uac = phones.sipp(
        "uac_call",
        remote=daemon.hostport,
        service="4930123",
        target=daemon.hostport,
        callid=phones.callid,
        fill=HOLD,
    )
    assert shown(daemon, phones.callid)["variables"] == [{"carrier": f"127.0.0.1:{dear.port}"}]
    finish(daemon, phones, uac, cheap, dear)
    assert cheap.got_one("INVITE").uri == f"sip:4930123@127.0.0.1:{cheap.port}"
    assert dear.got_one("INVITE").uri == f"sip:4930123@127.0.0.1:{dear.port}"
    assert uac.got_one(200, "INVITE").get("X-Attempt") == "2"
    nowhere = phones.sipp(
        "uac_rejected",
        remote=daemon.hostport,
        service="7",
        target=daemon.hostport,
        callid=f"7-{phones.callid}",
        fill={"CODE": "404"},
    )
    nowhere.wait()
