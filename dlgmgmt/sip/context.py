"""The response context: one request, its branches, and the one answer (RFC 3261 16.6 to 16.10)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from dlgmgmt.sip import build
from dlgmgmt.sip.branch import Branch, chosen, rank, retry_after
from dlgmgmt.sip.core import Core, Observer
from dlgmgmt.sip.flow import MAX_DATAGRAM, Destination, Transport
from dlgmgmt.sip.held import HeldAnswers
from dlgmgmt.sip.hooks import Asked, DropPlan, Plan, RelayPlan, ReplyPlan
from dlgmgmt.sip.hop import Target
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.nat import Fix
from dlgmgmt.sip.outgoing import Outgoing
from dlgmgmt.sip.renumber import returned
from dlgmgmt.sip.targets import planned
from dlgmgmt.sip.transaction import ClientTransaction, ServerTransaction


class ResponseContext:
    """Forwards one request and answers it.

    observer: told what happens, None for nobody. asked: who decided where it goes, and may want to
    see its replies and its failure; None for nobody. preferred: the listener to send from where it
    will do; that of ``server`` by default.
    """

    __slots__ = (
        "_asked",
        "_branches",
        "_cancelled",
        "_core",
        "_deciding",
        "_held",
        "_invite",
        "_mark",
        "_method",
        "_observer",
        "_open",
        "_outgoing",
        "_preferred",
        "_queue",
        "_silent",
        "_starting",
        "finished",
        "fix",
        "number",
        "server",
    )

    def __init__(
        self,
        core: Core,
        server: ServerTransaction,
        outgoing: Outgoing,
        mark: int,
        observer: Observer | None,
        asked: Asked | None = None,
        preferred: Transport | None = None,
    ) -> None:
        self._core = core
        self.server = server
        self._outgoing: Outgoing | None = outgoing
        self._preferred = preferred or server.flow.transport
        self._method = outgoing.method
        self._mark = mark
        self._observer = observer
        self._invite = server.invite
        self._branches: list[Branch] = []
        self._open = 0
        self._queue: deque[Target] = deque()
        self._cancelled = False
        self._silent = False
        self._starting = False
        self._asked = asked
        # The routing has been asked what to do about the failure of all branches.
        self._deciding = False
        self._held: HeldAnswers | None = None
        self.finished = False
        # The CSeq number that replies get back; 0 where they have it.
        self.number = 0
        self.fix: Fix | None = None

    @property
    def answered(self) -> bool:
        """Whether it has its final answer, though that may be held back still."""
        return self._held is not None or self.server.answered

    @property
    def more(self) -> bool:
        """Whether there are targets that are tried after the present ones."""
        return bool(self._queue)

    # -- sending -------------------------------------------------------------------------------

    def start(self, targets: list[Target], *, parallel: bool) -> None:
        """Forward to ``targets``, all at once or one after the other."""
        if parallel:
            # A branch that fails at once must not settle the request before the others exist.
            self._starting = True
            for target in targets:
                self._launch(target)
            self._starting = False
            self._settle()
        else:
            self._queue.extend(targets[1:])
            self._launch(targets[0])

    def _launch(self, target: Target) -> None:
        branch = Branch(self, len(self._branches), target)
        self._open += 1
        self._branches.append(branch)

        def located(found: Sequence[Destination]) -> None:
            branch.places.extend(found)
            if not self._try(branch):
                self.branch_ended(branch, 503)

        self._core.locator.candidates(target.next_hop, self._preferred, located)

    def _try(self, branch: Branch) -> bool:
        """Send to the next of the places where the target can be reached; False without one."""
        if branch.cancelled or branch.done or self.answered or self._outgoing is None:
            self.branch_ended(branch, 487)
            return True
        core, places = self._core, branch.places
        while places:
            place = places.popleft()
            name = core.stack.new_branch(self._mark)
            data = self._outgoing.build(branch.target, name, place.sock, place.addr[0])
            limit = 0 if branch.target.stay else core.settings.udp_limit
            if len(data) > limit > 0 and place.sock.kind == "udp" and not place.stay:
                stream = core.locator.by_stream(place)
                if stream is not None:
                    # 18.1.1: and over UDP after all, if nobody listens there.
                    places.extendleft((place._replace(stay=True), stream))
                    continue
            branch.moves_to(place, core.stack)
            branch.tx = core.stack.new_client(name, self._method, data, place.flow(), branch)
            if branch.tx.start():
                return True
            if place.sock.reliable or len(data) <= MAX_DATAGRAM:
                core.locator.failed(place)
        return False

    def branch_silent(self, branch: Branch, tx: ClientTransaction) -> None:
        """Nobody answers at this place, or the connection to it broke."""
        if branch.tx is not tx or branch.done:
            return
        if branch.place is not None and not branch.provisional:
            if tx.broken and tx.flow.reused and not branch.again:
                branch.again = True
                branch.places.appendleft(branch.place._replace(stay=True))
            else:
                self._core.locator.failed(branch.place)
        # RFC 3263 4.3: the next place, as long as this one has not said that it is at work.
        if branch.places and not branch.provisional and self._try(branch):
            return
        branch.timed_out = not tx.broken
        self.branch_ended(branch, 503 if tx.broken else 408)

    def _set_timer_c(self, branch: Branch) -> None:
        """Wait no longer than timer C (16.8) for an answer."""

        def fired() -> None:
            branch.timed_out = True
            branch.cancel(self._core.stack, "")

        stack = self._core.stack
        stack.cancel_timer(branch.timer_c)
        branch.timer_c = stack.after(self._core.settings.timer_c, fired)

    # -- replies -------------------------------------------------------------------------------

    def branch_reply(self, branch: Branch, tx: ClientTransaction, reply: Message) -> None:
        """A reply on one branch (16.7)."""
        if reply.status == 503 and branch.place is not None and not branch.done:
            self._core.locator.refused(branch.refused() or branch.place, retry_after(reply))
            rang = branch.provisional
            if branch.places and not branch.cancelled and self._try(branch):
                if rang and self._observer is not None:
                    self._observer.on_moved(branch.index, 503)
                return
        asked = self._asked
        if self.number:
            reply = returned(reply, self.number)
        if self.fix is not None:
            reply = self.fix(reply, tx.flow.transport.kind)
        if asked is None or not asked.routing.replies:
            self._replied(branch, tx, reply)
            return
        if reply.status >= 200:
            # The wait for the target is over, though the branch is not before the routing is done.
            branch.stop_timers(self._core.stack)

        def then(passed: Message | None) -> None:
            if branch.has_left(tx, reply):
                return
            if passed is not None:
                self._replied(branch, tx, passed)
            else:
                # Kept from the caller, but the branch is alive.
                self._rings(branch, reply.status)

        asked.routing.reply(asked.state, branch.index, reply, then)

    def _replied(self, branch: Branch, tx: ClientTransaction, reply: Message) -> None:
        status = reply.status
        if status < 200:
            self._provisional(branch, tx, reply)
        elif status < 300:
            self._success(branch, tx, reply)
        else:
            branch.reply = reply
            self.branch_ended(branch, status)

    def _provisional(self, branch: Branch, tx: ClientTransaction, reply: Message) -> None:
        self._rings(branch, reply.status)
        if branch.done or reply.status == 100:
            return
        if not self.answered and self._observed(branch, tx, reply):
            self.server.respond(reply.status, reply.without_top_via())

    def _rings(self, branch: Branch, status: int) -> None:
        branch.provisional = True
        if branch.cancel_wanted is not None:
            extra, branch.cancel_wanted = branch.cancel_wanted, None
            branch.send_cancel(self._core.stack, extra)
        if branch.done:
            return
        # Until the first provisional timer B bounds the wait; 100 starts timer C but, unlike the
        # others, does not reset it (16.7 point 2).
        if self._invite and not branch.cancelled and (status > 100 or branch.timer_c is None):
            self._set_timer_c(branch)

    def _success(self, branch: Branch, tx: ClientTransaction, reply: Message) -> None:
        first = not branch.done
        branch.status = reply.status
        self._close(branch)
        if self._observed(branch, tx, reply):
            self._answer_with(reply)
        elif not self.answered:
            # The call was ended while this was on its way: its own answer is about to be sent.
            self._silent = True
        if first:
            self._queue.clear()
            if self._invite:
                self._cancel_all("")
            self._settle()

    def _answer_with(self, reply: Message) -> None:
        """Send a 2xx, unless it has to wait until its dialog is durable."""
        holder, observer = self._core.holder, self._observer
        if holder.hold is not None and observer is not None and observer.dialog is not None:
            self._held = self._held or HeldAnswers(holder, observer.dialog, self.server)
        if self._held is None or not self._held.keeps(reply):
            self.server.respond(reply.status, reply.without_top_via())

    def delays(self, work: Callable[[], None]) -> bool:
        """Have ``work`` done once what is held back has gone; False if it may be done now."""
        return self._held is not None and self._held.delays(work)

    def _observed(self, branch: Branch, tx: ClientTransaction, reply: Message) -> bool:
        if self._observer is None:
            return True
        return self._observer.on_reply(branch.index, reply, tx.flow.transport.name)

    def _close(self, branch: Branch) -> None:
        if not branch.done:
            branch.done = True
            self._open -= 1
        branch.stop_timers(self._core.stack)

    def branch_ended(self, branch: Branch, status: int) -> None:
        """A branch has its final failure, received or made here."""
        if branch.done:
            return
        self._close(branch)
        if branch.timed_out and status in (408, 487):
            # 16.8: a branch that timer C cancelled counts as one that timed out.
            status, branch.reply = 408, None
        branch.status = status
        if self._observer is not None:
            cause = (
                "timeout" if branch.timed_out else "cancelled" if branch.cancelled else "rejected"
            )
            to_tag = branch.reply.to_tag if branch.reply is not None else ""
            self._observer.on_branch_failed(branch.index, status, to_tag, cause)
        if status >= 600:
            self._queue.clear()
            if self._invite:
                self._cancel_all("")
        if self._queue and not self._open:
            self._launch(self._queue.popleft())
        self._settle()

    def _settle(self) -> None:
        if self.finished or self._starting or self._queue or self._open or self._deciding:
            return
        if not self.answered and not self._silent and not self._cancelled:
            asked = self._asked
            if asked is not None and asked.routing.failures:
                self._deciding = True
                codes = tuple(branch.status for branch in self._branches)
                best = min(self._branches, key=rank).status
                asked.routing.failed(asked.state, codes, best, self._decided)
                return
        self._conclude()

    def _decided(self, plan: Plan | None, provisional: Sequence[tuple[int, str]] = ()) -> None:
        """What is to be done about the failure of all branches."""
        if self.finished:
            # It was cancelled meanwhile.
            return
        self._deciding = False
        if self.answered:
            plan = None
        for status, reason in provisional:
            self.respond(status, reason)
        if isinstance(plan, RelayPlan) and self._outgoing is not None:
            room = self._core.settings.max_branches - len(self._branches)
            targets = planned(plan, self._outgoing.hop, None)[: max(room, 0)]
            if targets:
                self.start(targets, parallel=plan.parallel)
                return
        elif isinstance(plan, ReplyPlan):
            self._refuse(plan.status, plan.reason, plan.headers)
        elif isinstance(plan, DropPlan):
            self.server.terminate()
        self._conclude()

    def _refuse(self, status: int, reason: str = "", extra: str = "") -> None:
        """Answer with a failure that no branch has said."""
        if self.respond(status, reason, extra) and self._observer is not None:
            self._observer.on_failed(status, None)
        self._silent = True

    def _conclude(self) -> None:
        self.finished = True
        if not self.answered and not self._silent:
            self._answer()
        if self._observer is not None:
            self._observer.on_finished()
        # The context lives on with its transactions, for a further 2xx; the message need not. The
        # branches hold it; held by it in turn, they would be left to the collector of cycles.
        self._outgoing = None
        for branch in self._branches:
            branch.reply = None
        self._branches = []

    def _answer(self) -> None:
        """Choose the best failure and send it (16.7 point 6)."""
        status, reply, extra = chosen(self._branches, cancelled=self._cancelled)
        if status == 408 and not self._invite:
            # RFC 4320 4.2: the client's own timer has fired; a 408 would only come too late.
            self.server.terminate()
            return
        if reply is None:
            self.respond(status)
        else:
            self.server.respond(status, reply.without_top_via(extra))
        if self._observer is not None:
            self._observer.on_failed(status, reply)

    def respond(self, status: int, reason: str = "", extra: str = "") -> bool:
        """Answer the request with a reply of the proxy's own; False if it has its answer."""
        request = self.server.request
        if request is None or self.answered:
            return False
        name, tag = self._core.settings.server_header, self._core.stack.new_tag()
        data = build.reply(request, status, server=name, to_tag=tag, reason=reason, extra=extra)
        return self.server.respond(status, data)

    # -- cancelling ----------------------------------------------------------------------------

    def cancel(self, extra: str) -> None:
        """The caller's CANCEL (16.10), or an operator's; extra: header lines to pass on."""
        self._cancelled = True
        self._queue.clear()
        self._cancel_all(extra)
        if self._deciding and not self.finished:
            # Nobody waits any more for what the routing makes of the failure.
            self._refuse(487)
            self._conclude()
        else:
            self._settle()

    def _cancel_all(self, extra: str) -> None:
        for branch in self._branches:
            branch.cancel(self._core.stack, extra)
