"""Hundreds of mixed sipp calls: at every quiet moment the statistics are what a listing counts."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from tests.sip.harness.daemon import LINGER, Daemon, Route
from tests.sip.harness.mi import Dialog
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.sipp import Sipp

LIMIT = 3
"""Seconds that a call may ring, or talk: more than any call here takes unless it is to expire."""

EARLY, ANSWERED, DELETED = "2", {"4", "5", "7"}, "6"


@dataclass(frozen=True)
class Kind:
    """What one caller and one callee do ``calls`` times, and what is counted for it.

    killed: the state in which an operator ends each of these calls, 0 for none.
    """

    name: str
    caller: str
    callee: str
    calls: int
    failed: bool = False
    expired: bool = False
    killed: str = ""
    code: str = "486"


KINDS = [
    Kind("answered", "uac_call", "uas_answer", 60),
    Kind("hangup", "uac_wait_bye", "uas_hangup", 40),
    Kind("cancelled", "uac_cancel", "uas_cancelled", 40, failed=True),
    Kind("rejected", "uac_rejected", "uas_busy", 40, failed=True),
    Kind("killed", "uac_wait_bye", "uas_answer", 40, killed="4"),
    Kind("killedearly", "uac_rejected", "uas_cancelled", 40, failed=True, killed="2", code="488"),
    Kind("expired", "uac_wait_bye", "uas_answer", 30, expired=True),
    Kind("rangout", "uac_rejected", "uas_cancelled", 30, failed=True, expired=True, code="488"),
    Kind("forked", "uac_call", "uas_answer", 40),
]
BY_NAME = {kind.name: kind for kind in KINDS}


@dataclass
class Seen:
    """What listings have said of one call."""

    kind: Kind
    state: str
    killed: bool = False


class Recount:
    """Every call that a listing has ever shown. Call-IDs begin with the name of their kind.

    All calls ring or talk for longer than it takes to list again, so that none is missed.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Seen] = {}

    def take(self, listing: list[Dialog]) -> bool:
        """Note a listing; whether any call has come, moved or gone since the one before."""
        states = {dialog.hash: dialog.fields["state"] for dialog in listing}
        assert len(states) == len(listing), "listed twice"
        changed = False
        for dialog in listing:
            if dialog.hash not in self.seen:
                kind = BY_NAME[dialog.callid.partition("-")[0]]
                self.seen[dialog.hash] = Seen(kind, "")
        for number, call in self.seen.items():
            state = states.get(number, DELETED)
            # States only go forward: a call that two listings show alike was so in between.
            changed |= call.state != state
            call.state = state
        return changed

    def statistics(self) -> dict[str, int]:
        calls = self.seen.values()
        ended = [call.kind for call in calls if call.state == DELETED]
        return {
            "active_dialogs": sum(call.state in ANSWERED for call in calls),
            "early_dialogs": sum(call.state == EARLY for call in calls),
            "expired_dialogs": sum(kind.expired for kind in ended),
            "failed_dialogs": sum(kind.failed for kind in ended),
            "processed_dialogs": len(self.seen),
        }


def statistics(daemon: Daemon) -> dict[str, int]:
    """Both groups at one moment, which must say the same."""
    status, *lines = daemon.fifo.call("get_statistics", "dialog:", "dialog_ng:").decode().split()
    assert (status, lines.pop(0)) == ("200", "OK")
    rows = dict(zip(lines[::3], map(int, lines[2::3]), strict=True))
    found = {name.partition(":")[2]: n for name, n in rows.items() if name.startswith("dialog:")}
    for short in ("active", "early", "expired", "processed"):
        assert rows.pop(f"dialog_ng:{short}") == found[f"{short}_dialogs"]
    assert len(rows) == len(found)
    return found


def start(phones: Phones, daemon: Daemon, fork: Route) -> tuple[list[Sipp], list[Sipp]]:
    """The callers and the callees of all kinds."""
    callers, callees = [], []
    for kind in KINDS:
        fill = {"RING": "400", "TALK": "600", "CODE": kind.code, "REASON": "Busy"}
        service, target, port = kind.name, "", free_port()
        if kind.name == "forked":
            service, target, port = fork.user_prefix, daemon.hostport, fork.ports[1]
            callees.append(phones.sipp("uas_cancelled", port=fork.ports[0], calls=kind.calls))
        callees.append(phones.sipp(kind.callee, port=port, calls=kind.calls, fill=fill, limit=60))
        callers.append(
            phones.sipp(
                kind.caller,
                remote=daemon.hostport,
                service=service,
                target=target or f"127.0.0.1:{port}",
                callid=f"{kind.name}-%u@statistics",
                calls=kind.calls,
                limit=60,
                fill=fill,
                extra=["-r", str(kind.calls // 8), "-l", str(kind.calls)],
            )
        )
    return callers, callees


def kill(daemon: Daemon, recount: Recount, listing: list[Dialog]) -> None:
    """End over the FIFO, once each, the calls that are to be ended in the state they are in."""
    for dialog in listing:
        call = recount.seen[dialog.hash]
        if call.state == call.kind.killed and not call.killed and dialog.legs:
            call.killed = True
            tags = dialog.fields["from_tag"], dialog.legs[0]["to_tag"]
            assert daemon.kill("fifo", dialog.callid, *tags) == (200, "OK")


def test_the_statistics_equal_a_recount_of_the_table(
    start_daemon: Callable[..., Daemon], phones: Phones
) -> None:
    fork = Route("forked", (free_port(), free_port()))
    # sipp takes a retransmitted INVITE for an error: a long T1 keeps a busy machine from sending
    # one.
    daemon = start_daemon(
        sip={"t1": 2.0, "t4": 2.0},
        ims={"early_timeout": LIMIT, "default_timeout": LIMIT},
        routes=[fork],
    )
    callers, callees = start(phones, daemon, fork)
    recount = Recount()
    quiet: Counter[str] = Counter()
    before = statistics(daemon)
    end = time.monotonic() + 60
    while any(sipp.process.poll() is None for sipp in callers):
        assert time.monotonic() < end, f"calls do not end: {recount.statistics()}"
        now = statistics(daemon)
        listing = daemon.fifo.list()
        if not recount.take(listing):
            # Nothing has happened between this listing and the last: no excuse for a difference.
            assert now == recount.statistics()
            quiet.update(name for name, value in now.items() if value)
        for name in ("processed_dialogs", "expired_dialogs", "failed_dialogs"):
            assert now[name] >= before[name]
        before = now
        kill(daemon, recount, listing)
        time.sleep(0.005)
    for sipp in (*callers, *callees):
        sipp.wait()
    # Quiet moments there were, with calls in every state.
    assert min(quiet[name] for name in before) >= 5, quiet

    daemon.wait_empty(LINGER)
    recount.take([])
    calls = sum(kind.calls for kind in KINDS)
    ways = Counter(call.kind.name for call in recount.seen.values())
    assert ways == {kind.name: kind.calls for kind in KINDS}
    assert all(call.killed for call in recount.seen.values() if call.kind.killed)
    last = statistics(daemon)
    assert last == recount.statistics()
    assert last == {
        "active_dialogs": 0,
        "early_dialogs": 0,
        "expired_dialogs": sum(kind.calls for kind in KINDS if kind.expired),
        "failed_dialogs": sum(kind.calls for kind in KINDS if kind.failed),
        "processed_dialogs": calls,
    }
    for group in ("dialog", "dialog_ng"):
        for name, value in last.items():
            reply = daemon.fifo.call("get_statistics", f"{group}:{name}")
            assert reply == f"200 OK\n{group}:{name} = {value}\n\n".encode()
    daemon.stop()
