"""Answers to initial INVITEs that wait until their dialog cannot be lost any more.

Whoever stores dialogs says when that is, from a thread of its own. Until then the caller has not
been answered, though the call is: what a phone says again is absorbed, and what the callee sends
within the call waits behind its answer.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from collections.abc import Callable

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.wheel import Timer
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.transaction import ServerTransaction, Stack

_QUIET = Quiet(logging.getLogger(__name__))

Done = Callable[[bool], None]
"""Whether the dialog is durable; False: it is not, and has been waited for long enough."""

Hold = Callable[[Dialog, Done], None]
"""Calls ``Done`` once, later or at once, when the answer may go."""

MAX_LATER = 16
"""Requests that wait behind an answer; those beyond them overtake it."""


class Holder:
    """Who is asked. hold: None where nothing has to be waited for. stack: has the timers.

    held, unsynced: answers that waited, and of those the ones that went without being durable.
    waiting: INVITEs of which an answer waits now.
    """

    __slots__ = ("held", "hold", "stack", "unsynced", "waiting")

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.hold: Hold | None = None
        self.held = self.unsynced = self.waiting = 0


class _Answer:
    __slots__ = ("data", "ready", "status", "timer", "to_tag")

    def __init__(self, to_tag: str, status: int, data: bytes) -> None:
        self.to_tag = to_tag
        self.status = status
        self.data = data
        self.ready = False
        self.timer: Timer | None = None


class HeldAnswers:
    """Those of one INVITE, which go in the order in which they came: a fork may have several."""

    __slots__ = ("_dialog", "_holder", "_later", "_passed", "_queue", "_server")

    def __init__(self, holder: Holder, dialog: Dialog, server: ServerTransaction) -> None:
        self._holder = holder
        self._dialog = dialog
        self._server = server
        self._queue: deque[_Answer] = deque()
        self._later: deque[Callable[[], None]] = deque()
        # To-tags whose answer has gone: what they say again goes at once.
        self._passed: set[str] = set()

    def keeps(self, reply: Message) -> bool:
        """Whether a 2xx is kept, or was before and has come again."""
        to_tag = reply.to_tag
        if to_tag in self._passed:
            return False
        if any(answer.to_tag == to_tag for answer in self._queue):
            return True
        hold = self._holder.hold
        leg = self._dialog.legs.get(to_tag)
        if hold is None or leg is None or not leg.confirmed:
            return False
        answer = _Answer(to_tag, reply.status, reply.without_top_via())
        self._holder.waiting += not self._queue
        self._holder.held += 1
        self._queue.append(answer)
        # The callee gives up by then: who has not said anything never will.
        stack = self._holder.stack
        answer.timer = stack.after(64 * stack.t1, functools.partial(self._done, answer, False))
        hold(self._dialog, functools.partial(self._done, answer))
        return True

    def delays(self, work: Callable[[], None]) -> bool:
        """Have ``work`` done behind what waits; False if it may be done now."""
        if not self._queue or len(self._later) >= MAX_LATER:
            return False
        self._later.append(work)
        return True

    def _done(self, answer: _Answer, durable: bool) -> None:  # noqa: FBT001 - see Done
        if answer.ready:
            return
        answer.ready = True
        self._holder.stack.cancel_timer(answer.timer)
        self._holder.unsynced += not durable
        queue = self._queue
        while queue and queue[0].ready:
            first = queue.popleft()
            self._passed.add(first.to_tag)
            self._server.respond(first.status, first.data)
            if not queue:
                self._holder.waiting -= 1
        while self._later and not queue:
            try:
                self._later.popleft()()
            except Exception:  # noqa: BLE001 - logged
                # The others must have their turn.
                _QUIET.exception("failed on a request that had waited")
