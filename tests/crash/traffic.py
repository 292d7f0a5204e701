"""Calls at a rate, between two sockets full of phones, which live on while the daemon does not."""

from __future__ import annotations

import heapq
import itertools
import math
import random
import select
import threading
import time
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Self

from tests.sip.harness.message import Message, build
from tests.sip.harness.peer import SDP, Address, Peer, new_branch, response
from tests.sip.harness.ports import free_port

from .call import SIDES, Call, Leg, Plan, Side, mixed

T1 = 0.5
PATIENCE = 24.0
"""Seconds after which a request without an answer is a failure."""

MEMORY = 15.0
"""Seconds for which the phones know a call that is over."""

_numbers = itertools.count(1)


class Traffic:
    """Phones for calls without end. proxy: the daemon; rate: calls a second while ``flow`` is set.

    plan: what a new call will do. While it is frozen the phones take what comes and send nothing
    by themselves: so that two listings can be compared. failures: calls that went wrong.
    """

    def __init__(
        self,
        proxy: Address,
        *,
        seed: int = 1,
        rate: float = 100.0,
        plan: Callable[[random.Random], Plan] = mixed,
    ) -> None:
        self.lock = threading.RLock()
        self.calls: dict[str, Call] = {}
        self.failures: list[str] = []
        self.placed = self.refused = 0
        self.rate = rate
        self._plan = plan
        self._proxy = proxy
        self._rng = random.Random(seed)
        self._peers: dict[Side, Peer] = {side: Peer(free_port(), proxy) for side in SIDES}
        self._flows = self._frozen = False
        self._next_call = 0.0
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._pending: dict[tuple[object, ...], tuple[Peer, bytes, float]] = {}
        self._heard = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="phones")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stop.set()
        self._thread.join(10)
        for peer in self._peers.values():
            peer.close()

    # -- what a test orders --------------------------------------------------------------------

    def flow(self, *, on: bool) -> None:
        """New calls at the rate, or none."""
        with self.lock:
            self._flows, self._next_call = on, time.monotonic()

    def place(self, plan: Plan) -> Call:
        """One call more, now."""
        with self.lock:
            return self._place(plan)

    def freeze(self, *, quiet: float = 0.05, drain: bool = False) -> None:
        """Send nothing by oneself from now on; returns when nothing has come for a moment.

        drain: the daemon, which runs, has read all that was sent to it before: it may stand still
        for longer than a moment.
        """
        with self.lock:
            self._frozen = True
        if drain:
            witness = Peer(free_port(), self._proxy)
            try:
                witness.barrier()
            finally:
                witness.close()
        end = time.monotonic() + 5.0
        while time.monotonic() - self._heard < quiet and time.monotonic() < end:
            time.sleep(quiet / 5)

    def thaw(self, *, restarted: bool) -> None:
        """Go on. restarted: calls that were being set up are lost, and not tried again."""
        with self.lock:
            if restarted:
                for call in self.calls.values():
                    if call.phase == "calling":
                        call.phase = "lost"
                        for key in [key for key in self._pending if key[0] == call.callid]:
                            del self._pending[key]
            now = time.monotonic()
            self._pending = {
                key: (peer, data, now + PATIENCE) for key, (peer, data, _) in self._pending.items()
            }
            self._next_call = now
            self._frozen = False

    def settle(self, timeout: float = 30.0) -> None:
        """Wait until nothing is under way that the daemon knows; new calls have to be off."""
        end = time.monotonic() + timeout
        while under_way := self._under_way():
            assert time.monotonic() < end, f"still under way: {under_way[:3]}"
            time.sleep(0.05)

    def _under_way(self) -> list[Call]:
        with self.lock:
            return [
                call
                for call in self.calls.values()
                if call.phase == "calling"
                or (call.phase == "up" and call.busy and call.known and not call.killed)
            ]

    def forget(self, there: Collection[str]) -> None:
        """Forget the calls that are over, but for those ``there``.

        Not at once: what is repeated of them still comes.
        """
        before = time.monotonic() - MEMORY
        with self.lock:
            self.calls = {
                callid: call
                for callid, call in self.calls.items()
                if not 0 < call.ended_at < before or callid in there
            }

    # -- the phones' thread --------------------------------------------------------------------

    def _run(self) -> None:
        sides = {peer.sock: side for side, peer in self._peers.items()}
        for peer in self._peers.values():
            peer.sock.setblocking(False)
        while not self._stop.is_set():
            try:
                ready = select.select(list(sides), [], [], self._wait())[0]
                for sock in ready:
                    self._read(sides[sock])
                with self.lock:
                    self._work()
            except Exception as error:  # noqa: BLE001 - told by the test
                self.failures.append(f"phones: {type(error).__name__}: {error}")

    def _wait(self) -> float:
        with self.lock:
            if self._frozen:
                return 0.02
            times = [time.monotonic() + 0.05]
            if self._due:
                times.append(self._due[0][0])
            if self._flows:
                times.append(self._next_call)
        return max(0.0, min(times) - time.monotonic())

    def _read(self, side: Side) -> None:
        for _ in range(50):
            try:
                data = self._peers[side].sock.recv(65_535)
            except BlockingIOError:
                return
            now = self._heard = time.monotonic()
            with self.lock:
                message = Message(data)
                if message.status:
                    self._reply(side, message, now)
                else:
                    self._request(side, message, now)

    def _work(self) -> None:
        """What is due; the caller holds the lock."""
        if self._frozen:
            return
        now = time.monotonic()
        while self._due and self._due[0][0] <= now:
            heapq.heappop(self._due)[2]()
        if self._flows and self._next_call <= now:
            # A machine that stood still does not make up for it with a flood.
            self._next_call = max(self._next_call + 1 / self.rate, now - 0.2)
            self._place(self._plan(self._rng))

    def _at(self, delay: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + delay, next(self._order), action))

    # -- sending -------------------------------------------------------------------------------

    def _place(self, plan: Plan) -> Call:
        number = next(_numbers)
        call = Call(f"c{number}@crash", plan, self._rng.randrange(1, 20_000), f"{number}")
        self.calls[call.callid] = call
        self.placed += 1
        self._send_request(call, "caller", "INVITE", call.cseq, None)
        return call

    def _send_request(
        self, call: Call, side: Side, method: str, cseq: int, leg: Leg | None, branch: str = ""
    ) -> None:
        """A request of a party; it is repeated until it is answered, unless it is an ACK."""
        peer, other = self._peers[side], self._peers["callee" if side == "caller" else "caller"]
        caller = f"<sip:alice-{call.name}@ims.example.com>;tag={call.from_tag}"
        callee = f"<sip:bob-{call.name}@ims.example.com>"
        target, routes = f"sip:bob-{call.name}@{other.hostport}", [] if leg is None else call.routes
        if leg is not None:
            callee += f";tag={leg.to_tag}"
            target = f"sip:{'bob' if side == 'caller' else 'alice'}-{call.name}@{other.hostport}"
            if side == "callee":
                routes = list(reversed(call.routes))
        own = f"sip:{'alice' if side == 'caller' else 'bob'}-{call.name}@{peer.hostport}"
        data = build(
            f"{method} {target} SIP/2.0",
            [
                ("Via", f"SIP/2.0/UDP {peer.hostport};branch={branch or new_branch()}"),
                *(("Route", route) for route in routes),
                ("Max-Forwards", "70"),
                ("From", caller if side == "caller" else callee),
                ("To", callee if side == "caller" else caller),
                ("Call-ID", call.callid),
                ("CSeq", f"{cseq} {method}"),
                *([("Contact", f"<{own}>")] if method == "INVITE" else []),
            ],
            SDP if method == "INVITE" else b"",
        )
        if method != "ACK":
            call.began = time.monotonic()
            key = (call.callid, side, method, cseq)
            call.busy.add(key)
            self._pending[key] = (peer, data, call.began + PATIENCE)
            self._at(T1, lambda: self._again(key, T1))
        peer.send(data)

    def _again(self, key: tuple[object, ...], waited: float) -> None:
        pending = self._pending.get(key)
        if pending is None:
            return
        peer, data, end = pending
        if time.monotonic() > end:
            del self._pending[key]
            self.failures.append(f"no answer to {key}")
            return
        peer.send(data)
        waited = min(2 * waited, 4.0)
        self._at(waited, lambda: self._again(key, waited))

    def _within(self, call: Call, side: Side, method: str) -> None:
        """A request within the call, if it still goes on and nothing else is under way."""
        if call.phase != "up" or call.killed:
            return
        if call.busy:
            self._at(0.2, lambda: self._within(call, side, method))
            return
        leg = call.up()[0]
        sent = leg.cseq[side] or self._rng.randrange(1, 20_000)
        self._send_request(call, side, method, sent + 1, leg)

    def _answer(self, call: Call, number: int, waited: float = 0.0) -> None:
        """200 to the INVITE, repeated until its ACK has come."""
        tag = call.to_tag(number)
        leg = call.legs.get(tag)
        if call.phase == "lost" or call.killed or call.invite is None or (leg and leg.acked):
            return
        if leg is None:
            call.legs[tag] = Leg(tag, {"caller": call.cseq, "callee": 0})
        self._respond("callee", call, call.invite, 200, tag)
        waited = min(2 * waited, 4.0) or T1
        self._at(waited, lambda: self._answer(call, number, waited))

    def _respond(self, side: Side, call: Call, request: Message, code: int, tag: str = "") -> None:
        peer = self._peers[side]
        own = f"sip:{'alice' if side == 'caller' else 'bob'}-{call.name}@{peer.hostport}"
        body = SDP if code == 200 and request.method == "INVITE" else b""
        contact = [("Contact", f"<{own}>")] if request.method == "INVITE" else []
        peer.send(response(request, code, tag=tag, headers=contact, body=body))

    # -- what comes ----------------------------------------------------------------------------

    def _request(self, side: Side, request: Message, now: float) -> None:
        call = self.calls.get(request.callid)
        method = request.method
        if call is not None and method == "INVITE" and not request.to_tag:
            if call.invite is None and call.phase == "calling":
                self._invited(call, request)
            return
        tag = request.to_tag if side == "callee" else request.from_tag
        leg = call.legs.get(tag) if call is not None else None
        if call is None or leg is None:
            # A 486 is acknowledged by the daemon itself.
            if method != "ACK":
                if call is None or call.phase != "lost":
                    self.failures.append(f"{method} with {tag!r} of {request.callid}: not known")
                self._peers[side].send(response(request, 481))
        elif method == "ACK":
            self._acked(call, leg, request, now)
        elif call.phase == "lost" or self._heard_of(side, call, leg, request, now):
            self._respond(side, call, request, 200)

    def _heard_of(self, side: Side, call: Call, leg: Leg, request: Message, now: float) -> bool:
        """A request within the call; whether all that it needs is a 200."""
        if request.method == "BYE" and len(request.all("Via")) == 1:
            if request.cseq not in leg.killed[side]:
                leg.killed[side].append(request.cseq)
            call.killed, call.ended_at = True, call.ended_at or now
            return True
        sender: Side = "caller" if side == "callee" else "callee"
        if 0 < request.cseq < leg.cseq[sender]:
            self.failures.append(f"{request.get('CSeq')} of {call.callid} is too late")
        leg.cseq[sender] = request.cseq
        if request.method == "BYE":
            self._hung_up(call, leg, now)
        if request.method != "INVITE":
            return True
        call.unacked.add((side, request.cseq))
        self._answer_again(side, call, request, 0.0)
        return False

    def _answer_again(self, side: Side, call: Call, invite: Message, waited: float) -> None:
        """200 to an INVITE within the call, repeated until its ACK has come."""
        if (side, invite.cseq) in call.unacked and waited < PATIENCE:
            self._respond(side, call, invite, 200)
            step = waited + T1
            self._at(step, lambda: self._answer_again(side, call, invite, step))

    def _invited(self, call: Call, invite: Message) -> None:
        call.invite = invite
        call.routes = list(reversed(invite.all("Record-Route")))
        if not call.plan.legs:
            self._respond("callee", call, invite, 486, call.to_tag(1))
            return
        if call.plan.ring:
            self._respond("callee", call, invite, 180, call.to_tag(1))
        for number in range(1, call.plan.legs + 1):
            if call.plan.ring:
                self._at(call.plan.ring, lambda number=number: self._answer(call, number))  # type: ignore[misc]
            else:
                self._answer(call, number)

    def _acked(self, call: Call, leg: Leg, ack: Message, now: float) -> None:
        for side in SIDES:
            call.busy.discard((call.callid, side, "ACK", ack.cseq))
            call.unacked.discard((side, ack.cseq))
        call.settled = now
        if leg.acked:
            return
        leg.acked = True
        if call.phase == "calling" and (
            len(call.legs) == call.plan.legs and all(leg.acked for leg in call.legs.values())
        ):
            call.phase = "up"
            for delay, side, method in call.plan.within:
                self._at(delay, lambda s=side, m=method: self._within(call, s, m))  # type: ignore[misc]
            if call.plan.stay < math.inf:
                self._at(call.plan.stay, lambda: self._within(call, call.plan.hangs_up, "BYE"))

    def _hung_up(self, call: Call, leg: Leg, now: float) -> None:
        leg.ended = True
        if not call.up():
            call.phase, call.ended_at = "ended", call.ended_at or now

    def _reply(self, side: Side, reply: Message, now: float) -> None:
        call = self.calls.get(reply.callid)
        if call is None or call.phase == "lost":
            return
        method, cseq = reply.method, reply.cseq
        key = (call.callid, side, method, cseq)
        if reply.status < 200:
            if method == "INVITE":
                self._pending.pop(key, None)
            return
        waited = self._pending.pop(key, None) is not None or key in call.busy
        call.busy.discard(key)
        if reply.status >= 300:
            self._failed(side, call, reply, now)
        elif method == "INVITE":
            tag = reply.to_tag if side == "caller" else reply.from_tag
            leg = call.legs[tag]
            if waited:
                call.busy.add((call.callid, side, "ACK", cseq))
            self._send_request(call, side, "ACK", cseq, leg)
        else:
            call.settled = now
            if method == "BYE" and call.up():
                self._within(call, side, "BYE")

    def _failed(self, side: Side, call: Call, reply: Message, now: float) -> None:
        if call.phase == "ended" and reply.status == 486 and not call.plan.legs:
            self._send_request(call, "caller", "ACK", call.cseq, None, reply.branch)
            return
        if call.phase == "calling" and reply.method == "INVITE" and side == "caller":
            call.phase, call.ended_at, call.settled = "ended", now, now
            self._send_request(call, "caller", "ACK", call.cseq, None, reply.branch)
            self.refused += 1
            if reply.status == 486 and not call.plan.legs:
                return
        self.failures.append(f"{reply.start} to {reply.get('CSeq')} of {call.callid}")
