"""Eight threads on four hash entries; at the end every count must be exact."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.tracker import InviteReply
from tests.unit.dialog.harness import SETTINGS, Core, make_init, per_state

THREADS = 8
CALLS = 1_200


@pytest.fixture(autouse=True)
def frequent_switches() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


class Worker:
    """Places calls of its own, changes them, lists all, and kills those of everybody.

    Only a call's own thread feeds it messages, as one signalling thread would; kills come from
    any thread at any moment.
    """

    def __init__(
        self, core: Core, number: int, board: list[tuple[int, int]], shared: Dialog
    ) -> None:
        self.core = core
        self.shared = shared
        self.number = number
        self.board = board
        self.rng = random.Random(number)
        self.done: Counter[str] = Counter()
        self.errors: list[BaseException] = []

    def run(self) -> None:
        try:
            for i in range(CALLS):
                self.call(f"{self.number}-{i}")
                if i % 50 == 0:
                    self.list_all()
                if i % 3 == 0:
                    self.kill_somebody()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.errors.append(error)

    def call(self, callid: str) -> None:
        table, tracker, rng = self.core.table, self.core.tracker, self.rng
        dialog, new = table.open(make_init(callid))
        assert new
        self.done["created"] += 1
        self.board.append((dialog.entry.index, dialog.h_id))
        self.classify(dialog)
        joined, new = table.open(make_init(callid))
        if new:
            # Killed in between: an INVITE that comes now is a call of its own.
            self.done["created"] += 1
            self.finish_invite(joined, 480)
        self.reply(dialog, 180, "a", 0)
        self.reply(dialog, 180, "b", 1)
        if rng.random() < 0.3:
            self.finish_invite(dialog, 486)
            return
        self.reply(dialog, 200, "a", 0)
        tracker.request(dialog.did, callid, "alice", "a", "ACK", 10)
        if rng.random() < 0.3:
            self.reply(dialog, 200, "b", 1)
            tracker.request(dialog.did, callid, "alice", "b", "ACK", 10)
        self.finish_invite(dialog, 0)
        self.classify(dialog)
        for cseq in range(11, 14):
            tracker.request(dialog.did, callid, "alice", "a", "INFO", cseq)
        for tag in ("a", "b"):
            match = tracker.request(None, callid, "alice", tag, "BYE", 20)
            if match is not None and match.held:
                self.done["hung up"] += 1
                table.release(match.dialog)

    def classify(self, dialog: Dialog) -> None:
        """What scripts do meanwhile: to the own call, those of others, and one that all share."""
        table, rng = self.core.table, self.rng
        profiles = table.profiles
        profiles.insert(dialog, "caller", rng.choice("abc"))
        profiles.insert(dialog, "inbound", None)
        profiles.remove(dialog, "inbound", None)
        other = table.dialog(*rng.choice(self.board[-64:]))
        if other is not None:
            profiles.insert(other, "caller", rng.choice("abc"))
            profiles.remove(other, "caller", rng.choice("abc"))
            table.set_var(other, f"of {self.number}", str(rng.random()))
            table.set_flag(other, self.number)
        assert min(profiles.size("caller", value) for value in ("a", "b", "c", None)) >= 0
        for _ in range(3):
            profiles.insert(self.shared, "shared", str(self.number % 2))
        for _ in range(3):
            # It may be that of another thread, but there is enough for all.
            assert profiles.remove(self.shared, "shared", str(self.number % 2))
        table.set_var(self.shared, f"of {self.number}", str(self.done["created"]))
        (table.set_flag if rng.random() < 0.5 else table.reset_flag)(self.shared, self.number)
        table.set_flag(self.shared, 8 + self.number)

    def finish_invite(self, dialog: Dialog, code: int) -> None:
        tracker = self.core.tracker
        if code:
            tracker.branch_failed(dialog, 0, code, "a", "rejected")
            tracker.invite_failed(dialog, code)
        tracker.invite_ended(dialog)
        self.core.table.release(dialog)

    def reply(self, dialog: Dialog, code: int, tag: str, branch: int) -> None:
        reply = InviteReply(branch, code, tag, "sip:x@y", (), False, "udp:z")
        self.core.tracker.invite_reply(dialog, reply)

    def kill_somebody(self) -> None:
        # Young calls, so that most kills meet a living one.
        h_entry, h_id = self.rng.choice(self.board[-64:])
        try:
            order = self.core.orders.by_id(h_entry, h_id, reason="stress")
        except NoSuchDialog:
            self.done["missed"] += 1
            return
        self.done["killed early" if order.early else "killed"] += 1
        for side in order.sides:
            self.core.table.hold(order.dialog)
            self.core.orders.record(order, side, "200")
        self.core.table.release(order.dialog)
        for _ in order.sides:
            self.core.table.release(order.dialog)

    def list_all(self) -> None:
        seen: set[tuple[int, int]] = set()
        for batch in self.core.table.iter_views():
            for view in batch:
                assert (view.h_entry, view.h_id) not in seen
                seen.add((view.h_entry, view.h_id))
                assert view.state != State.DELETED or view.profiles == ()
                # A copy is of one moment: what it says fits together.
                confirmed = sum(leg.state == "confirmed" for leg in view.legs)
                if view.state in (State.CONFIRMED, State.CONFIRMED_NA):
                    assert confirmed == 1
                if view.state == State.CONCURRENT:
                    assert confirmed == 2
                if view.state in (State.UNCONFIRMED, State.EARLY):
                    assert confirmed == 0


def test_eight_threads_leave_exact_counts() -> None:
    core = Core(
        replace(
            SETTINGS,
            hash_size=4,
            profiles_with_value=("caller", "shared"),
            profiles_no_value=("inbound",),
        )
    )
    events: Counter[str] = Counter()
    lock = threading.Lock()

    def count(kind: str) -> None:
        with lock:
            events[kind] += 1

    core.events.clear()
    core.table.add_listener(lambda event: count(event.type.name))
    board: list[tuple[int, int]] = []
    shared = core.invite("shared")
    core.table.profiles.insert(shared, "shared", "0")
    workers = [Worker(core, n, board, shared) for n in range(THREADS)]
    threads = [threading.Thread(target=worker.run, daemon=True) for worker in workers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "deadlock"
    assert [error for worker in workers for error in worker.errors] == []

    profiles = core.table.profiles
    assert profiles.sizes() == {"caller": 0, "inbound": 0, "shared": 1}
    assert profiles._members == {("shared", "0"): {shared: 1}}
    assert core.table.vars(shared).keys() == {f"of {n}" for n in range(THREADS)}
    assert all(core.table.is_flag_set(shared, 8 + n) for n in range(THREADS))
    core.tracker.invite_failed(shared, 486)
    core.table.release(shared)
    assert profiles._members == {}

    done = sum((worker.done for worker in workers), Counter(created=1))
    counts = core.table.counts()
    assert per_state(counts) == core.recount() == dict.fromkeys(State, 0)
    assert len(core.table) == 0
    assert len(core.table._wheel) == 0
    for index in range(4):
        entry = core.table.entry_at(index)
        assert entry is not None
        assert (entry.by_id, entry.by_callid) == ({}, {})
    assert done["killed"] > 0
    assert done["killed early"] > 0
    assert counts.processed == done["created"] == events["CREATED"] == events["DESTROYED"]
    assert counts.failed == done["killed early"] + events["FAILED"]
    assert events["TERMINATED"] == done["killed"] + done["killed early"] + done["hung up"]
    assert events["FAILED"] + events["TERMINATED"] == done["created"]
    assert counts.expired == 0
    assert counts.illegal_events == 0
    assert counts.rejected == 0
