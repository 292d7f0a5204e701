"""Five thousand sipp calls of every kind: statistics and profiles equal a recount of the list."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.sip.harness.daemon import LINGER, Daemon, poll
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.sipp import Sipp

WAVES = 5
HELD = 20
SECONDS = 7
"""Over which a wave is spread."""


@dataclass(frozen=True)
class Kind:
    """What ``calls`` calls of each wave do; the name is the user that is called."""

    name: str
    caller: str
    callee: str
    calls: int
    failed: bool = False
    expired: bool = False
    code: str = "486"


KINDS = [
    Kind("answered", "uac_call", "uas_answer", 300),
    Kind("hangup", "uac_wait_bye", "uas_hangup", 150),
    Kind("cancelled", "uac_cancel", "uas_cancelled", 100, failed=True),
    Kind("rejected", "uac_rejected", "uas_reject", 150, failed=True),
    Kind("killed", "uac_wait_bye", "uas_answer", 100),
    Kind("killedearly", "uac_rejected", "uas_cancelled", 80, failed=True, code="488"),
    Kind("expired", "uac_wait_bye", "uas_answer", 50, expired=True),
    Kind("forked", "uac_call", "uas_answer", 50),
]

SCRIPT = """
def request_route(msg, dlg):
    if msg.is_method("MESSAGE"):
        for value in (None, {names}):
            size = dlg.get_profile_size("kind", value)
            msg.append_to_reply("X-Size: %s=%d" % (value or "", size))
        msg.append_to_reply("X-Size: all=%d" % dlg.get_profile_size("all"))
        msg.send_reply(200)
        return
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.set_dlg_profile("kind", "$rU")
        dlg.set_dlg_profile("all")
        if msg.get_pv("$rU") == "answered":
            dlg.set_dlg_profile("all")                      # twice: counts twice
        if msg.get_pv("$rU") == "expired":
            dlg.dlg_set_timeout(1)
        if msg.get_pv("$rU") == "forked":
            msg.append_branch("sip:$rU@127.0.0.1:{loser}")
            msg.append_branch("$ru")
        msg.record_route()
    msg.t_relay()

def onreply_route(msg, dlg):
    if msg.status == 180 and "killedearly" in dlg_user(msg):
        dlg.dlg_terminate("all", "killed early")

def event_route(event, dlg):
    if event.name == "dialog:start" and "sip:killed@" in event.pv("$dlg(to_uri)"):
        dlg.dlg_terminate("all", "killed")

def dlg_user(msg):
    return msg.get_pv("$tU") or ""
"""


def callers(phones: Phones, daemon: Daemon, ports: dict[str, int], wave: int) -> list[Sipp]:
    """The callers of one wave, and calls that are held until an operator ends them."""
    return [
        phones.sipp(
            kind.caller,
            remote=daemon.hostport,
            service=kind.name,
            target=f"127.0.0.1:{ports[kind.name]}",
            callid=f"{kind.name}-{wave}-%u@recount",
            calls=kind.calls,
            limit=90,
            fill={"RING": "100", "TALK": "150", "CODE": kind.code},
            extra=["-r", str(max(1, kind.calls // SECONDS)), "-l", str(kind.calls)],
        )
        for kind in [*KINDS, Kind("held", "uac_wait_bye", "uas_answer", HELD)]
    ]


def callees(phones: Phones) -> dict[str, int]:
    """One callee for each kind, for all waves; their ports by kind."""
    ports = {}
    for kind in [*KINDS, Kind("held", "", "uas_answer", HELD)]:
        port = ports[kind.name] = free_port()
        fill = {"RING": "100", "TALK": "150", "CODE": kind.code, "REASON": "Busy"}
        phones.sipp(kind.callee, port=port, calls=kind.calls * WAVES, limit=300, fill=fill)
    return ports


def sizes(daemon: Daemon, phones: Phones) -> dict[str, int]:
    """What the script says of the profiles: in all, by value, and of the one without values."""
    asker = phones.caller(daemon, callid=f"sizes-{time.monotonic()}")
    asker.invite_uri, asker.to = f"sip:x@{daemon.hostport}", "<sip:x@example.com>"
    asker.invite_branch = f"z9hG4bK-{asker.callid}"
    asker.send(asker._initial("MESSAGE", [("Max-Forwards", "70")]))
    rows = [text.partition("=") for text in asker.expect(200, "MESSAGE").all("X-Size")]
    return {name or "kind": int(number) for name, _, number in rows}


def statistics(daemon: Daemon) -> dict[str, int]:
    lines = daemon.fifo.call("get_statistics", "dialog:").decode().splitlines()[1:-1]
    rows = [line.partition(" = ") for line in lines]
    return {name.removeprefix("dialog:"): int(number) for name, _, number in rows}


def check(daemon: Daemon, phones: Phones, waves: int) -> None:
    """Everything that is counted, against the list of dialogs at a quiet moment."""
    listed: list[dict[str, Any]] = daemon.rpc.call("dlg.list")
    states = Counter(item["ims_state"] for item in listed)
    assert statistics(daemon) == {
        "active_dialogs": states[4] + states[5] + states[7],
        "early_dialogs": states[2],
        "expired_dialogs": waves * sum(kind.calls for kind in KINDS if kind.expired),
        "failed_dialogs": waves * sum(kind.calls for kind in KINDS if kind.failed),
        "processed_dialogs": waves * (HELD + sum(kind.calls for kind in KINDS)),
    }
    profiles: Counter[str] = Counter()
    for item in listed:
        for profile in item["profiles"]:
            if profile == "all":
                profiles["all"] += 1
            else:
                profiles[profile["kind"]] += 1
                profiles["kind"] += 1
    assert {name: size for name, size in sizes(daemon, phones).items() if size} == profiles


def test_five_thousand_calls(start_daemon: Callable[..., Daemon], phones: Phones) -> None:
    assert WAVES * (HELD + sum(kind.calls for kind in KINDS)) >= 5000
    loser = free_port()
    forked = next(kind.calls for kind in KINDS if kind.name == "forked")
    phones.sipp("uas_cancelled", port=loser, calls=WAVES * forked, limit=300)
    names = ", ".join(repr(kind.name) for kind in [*KINDS, Kind("held", "", "", 0)])
    daemon = start_daemon(
        # sipp takes a retransmitted INVITE for an error: a long T1 keeps a busy machine from one.
        sip={"t1": 2.0, "t4": 2.0},
        ims={"profiles_with_value": "kind", "profiles_no_value": "all"},
        routing={"time_limit": 10.0},
        script=SCRIPT.format(names=names, loser=loser),
    )
    ports = callees(phones)
    for wave in range(WAVES):
        started = callers(phones, daemon, ports, wave)
        for sipp in started[:-1]:
            sipp.wait()

        def quiet() -> bool:
            return [d.state for d in daemon.fifo.list()] == [4] * HELD

        poll(quiet, 15.0, lambda: f"left: {Counter(d.state for d in daemon.fifo.list())}")
        check(daemon, phones, wave + 1)
        for item in daemon.rpc.call("dlg.list"):
            daemon.rpc.call("dlg.end_dlg", item["h_entry"], item["h_id"])
        started[-1].wait()
    daemon.wait_empty(LINGER)
    check(daemon, phones, WAVES)
    daemon.stop()
