"""Calls of every kind that a database has to keep, and their ends on the wire."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.sip.harness.peer import Callee, Caller, Leg, Peer, response
from tests.sip.harness.phones import Phones

from .stage import Stage

SCRIPT = """
import logging

def request_route(msg, dlg):
    if msg.has_totag():
        dlg.dlg_manage()
        msg.t_relay()
        return
    dlg.dlg_manage()
    dlg.set_dlg_profile("caller", "$fU")
    dlg.set_dlg_profile("all")
    if msg.pv("$rU") == "rich":
        dlg.set_dlg_profile("caller", "second; \\"one\\", 'two' \\\\ %s")
        dlg.set_var("called", "$rU")
        dlg.set_var("odd", "a;b=\\"c\\" 'd' \\\\ %s \\t \\u00e4\\u20ac\\U0001f4de")
        dlg.set_var("empty", "")
        dlg.dlg_setflag(3)
        dlg.dlg_setflag(31)
        dlg.dlg_set_timeout(4321)
        dlg.dlg_set_property("timeout-noreset")
        dlg.dlg_set_property("ka-src")
    if msg.pv("$rU") == "timed":
        dlg.dlg_set_timeout(4)
        msg.set_pv("$dlg_ctx(timeout_route)", "late_route")
    msg.record_route()
    msg.t_relay()

def late_route(event, dlg):
    logging.getLogger("script").warning(event.pv("late: $dlg(callid) $dlg_var(called)"))
"""

KINDS = ("plain", "rich", "moved", "forked", "unacked")


@dataclass
class Held:
    """An answered call. callees: with the callee's half of each leg; legs: the caller's halves."""

    phones: Phones
    caller: Caller
    callees: list[tuple[Callee, Leg]]
    legs: list[Leg]
    acked: bool = True

    @property
    def callid(self) -> str:
        return self.phones.callid

    @property
    def parties(self) -> list[Peer]:
        return [self.caller, *(callee for callee, _ in self.callees)]

    def killed(self, stage: Stage, cause: str = "mi_terminated") -> None:
        """An operator ends it: one BYE for each leg at each side, with the right CSeq."""
        assert stage.end_call(self.callid), f"{self.callid} cannot be killed"
        self.ended(cause)
        stage.wait_gone(self.callid, 15.0)

    def ended(self, cause: str, timeout: float = 10.0) -> None:
        """The daemon hangs up, and both sides answer."""
        if not self.acked:
            # The BYEs wait for the ACK.
            for (callee, _), leg in zip(self.callees, self.legs, strict=True):
                leg.request("ACK", cseq=1)
                callee.expect("ACK")
            self.acked = True
        for (callee, half), leg in zip(self.callees, self.legs, strict=True):
            own = callee.expect("BYE", timeout=timeout)
            assert own.cseq == leg.cseq + 1, f"{self.callid}: {own}\nafter {leg.cseq}"
            assert own.uri == callee.contact, str(own)
            assert cause in own.get("Reason"), str(own)
            callee.send(response(own, 200))
            other = self.caller.expect(
                "BYE",
                timeout=timeout,
                where=lambda m, tag=callee.tag: m.from_tag == tag,  # type: ignore[misc]
            )
            assert other.cseq == (half.cseq or 1) + 1, f"{self.callid}: {other}\nafter {half.cseq}"
            assert other.uri == self.caller.contact, str(other)
            self.caller.send(response(other, 200))
        for phone in self.parties:
            phone.nothing_more()


class Exchange:
    """Places calls through one daemon."""

    def __init__(self, folder: Path, stage: Stage) -> None:
        self._folder, self.stage = folder, stage
        self._phones: list[Phones] = []

    def close(self) -> None:
        """Put the phones down."""
        for phones in self._phones:
            phones.hang_up()

    def phones(self, callid: str) -> Phones:
        """Phones for one call."""
        self._phones.append(Phones(self._folder, callid))
        return self._phones[-1]

    def place(self, kind: str, callid: str = "", headers: Any = None) -> Held:
        """A call of one of ``KINDS``, or "timed" or "session", which end by themselves soon."""
        phones = self.phones(callid or f"{kind}-{len(self._phones)}@db")
        if kind == "forked":
            return self._forked(phones)
        held = self._answered(phones, kind)
        if kind == "moved":
            (callee, half), (leg,) = held.callees[0], held.legs
            caller = held.caller
            leg.transact("INVITE", callee, contact=f"sip:alice-moved@{caller.hostport}")
            half.transact("INFO", caller)
            half.transact("UPDATE", caller, contact=f"sip:bob-moved@{callee.hostport}")
            half.target = leg.contact
            leg.target = half.contact
            leg.transact("INFO", callee)
        return held

    def _answered(self, phones: Phones, kind: str) -> Held:
        caller, callee = phones.caller(self.stage), phones.callee(self.stage)
        timer = [("Supported", "timer"), ("Session-Expires", "3")] if kind == "session" else []
        caller.invite(f"sip:{kind}@{callee.hostport}", headers=timer)
        callee.take()
        callee.ring()
        caller.expect(180)
        callee.answer(
            headers=[("Require", "timer"), ("Session-Expires", "3;refresher=uac")] if timer else []
        )
        ok = caller.expect(200, "INVITE")
        if kind == "unacked":
            self.stage.wait_state(phones.callid, 5)
            return Held(phones, caller, [(callee, callee.leg())], [caller.leg(ok)], acked=False)
        leg = caller.ack(ok)
        callee.expect("ACK")
        return Held(phones, caller, [(callee, callee.leg())], [leg])

    def _forked(self, phones: Phones) -> Held:
        """Two phones that answer at once: two legs."""
        caller, *callees = phones.ring_fork(self.stage)
        for callee in callees:
            callee.answer()
        legs = []
        for callee in callees:
            tag = callee.tag
            ok = caller.expect(200, "INVITE", where=lambda m, tag=tag: m.to_tag == tag)  # type: ignore[misc]
            legs.append(caller.ack(ok))
            callee.expect("ACK")
        # The CANCEL of the one that was second crossed its answer.
        for callee in callees:
            callee.barrier()
            for cancel in [m for m in callee.unread() if m.method == "CANCEL"]:
                callee.pending.remove(cancel)
                callee.send(response(cancel, 481))
        self.stage.wait_state(phones.callid, 7, legs=2)
        return Held(phones, caller, [(callee, callee.leg()) for callee in callees], legs)
