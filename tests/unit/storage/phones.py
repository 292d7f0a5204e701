"""Threads of phones, for a writer on the machine's clock."""

from __future__ import annotations

import random
import time

from dlgmgmt.dialog.errors import NoSuchDialog
from tests.unit.dialog.harness import Core
from tests.unit.storage.rig import Rig


class Live(Core):
    """On the machine's clock."""

    @property
    def now(self) -> float:
        return time.monotonic()

    @now.setter
    def now(self, value: float) -> None:
        pass


class Phones:
    """Calls of one thread: forked, changed, hung up or left standing; and kills among all."""

    def __init__(self, rig: Rig, number: int, board: list[tuple[int, int]], calls: int) -> None:
        self.rig = rig
        self.number = number
        self.board = board
        self.calls = calls
        self.rng = random.Random(number)
        self.heard: list[bool] = []
        self.asked = 0
        self.errors: list[BaseException] = []

    def run(self) -> None:
        try:
            for i in range(self.calls):
                self.call(f"{self.number}-{i}")
                if i % 5 == 0:
                    self.kill_somebody()
        except BaseException as error:  # noqa: BLE001 - reported by the main thread
            self.errors.append(error)

    def call(self, callid: str) -> None:
        core, rng = self.rig.core, self.rng
        dialog = core.invite(callid)
        core.answer(dialog, "a")
        self.board.append((dialog.entry.index, dialog.h_id))
        if rng.random() < 0.2:
            self.asked += 1
            self.rig.writer.when_durable(dialog, self.heard.append)
        if rng.random() < 0.3:
            core.reply(dialog, 200, "b", branch=1)
        for tag in ("a", "b"):
            core.tracker.request(None, callid, "alice", tag, "ACK", 10)
        core.tracker.invite_ended(dialog)
        core.table.release(dialog)
        for cseq in range(11, 11 + rng.randrange(5)):
            core.tracker.request(None, callid, "alice", "a", "INFO", cseq)
            core.table.set_var(dialog, rng.choice("xyz"), rng.choice(["1", "2", None]))
            core.table.set_flag(dialog, rng.randrange(32))
        if rng.random() < 0.7:
            for tag in ("a", "b"):
                match = core.tracker.request(None, callid, "alice", tag, "BYE", 20)
                if match is not None and match.held:
                    core.table.release(match.dialog)

    def kill_somebody(self) -> None:
        core = self.rig.core
        try:
            order = core.orders.by_id(*self.rng.choice(self.board[-32:]), reason="stress")
        except NoSuchDialog:
            return
        core.table.release(order.dialog)
