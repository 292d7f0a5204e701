"""One target of a forwarded request, and how its failure ranks (RFC 3261 16.7 point 6)."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol

from dlgmgmt.dialog.wheel import Timer
from dlgmgmt.sip import build
from dlgmgmt.sip.flow import Destination
from dlgmgmt.sip.hop import Target
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.stack import TransactionStack
from dlgmgmt.sip.transaction import ClientTransaction

_SECONDS = re.compile(r"([0-9]{1,9})(?![0-9])", re.ASCII)
CHALLENGED = frozenset({401, 407})
_PREFERRED = frozenset({401, 407, 415, 420, 484})


class BranchUser(Protocol):
    """The response context."""

    @property
    def more(self) -> bool:
        """Whether there are targets that are tried after this one."""

    def branch_reply(self, branch: Branch, tx: ClientTransaction, reply: Message, /) -> None:
        """A reply on one branch."""

    def branch_silent(self, branch: Branch, tx: ClientTransaction, /) -> None:
        """Nobody answers, or the connection broke."""

    def branch_ended(self, branch: Branch, status: int, /) -> None:
        """It has its final failure."""


class Branch:
    """One target of the request, and the client transaction to it.

    places: where else the target can be reached (RFC 3263 4.3). place: where it is tried now.
    again: whether a place was tried a second time, for its connection was an old one.
    """

    __slots__ = (
        "again",
        "cancel_wanted",
        "cancelled",
        "context",
        "done",
        "guard",
        "index",
        "place",
        "places",
        "provisional",
        "reply",
        "status",
        "target",
        "timed_out",
        "timer_c",
        "tx",
    )

    def __init__(self, context: BranchUser, index: int, target: Target) -> None:
        self.context = context
        self.index = index
        self.target = target
        self.place: Destination | None = None
        self.again = False
        self.places: deque[Destination] = deque()
        self.tx: ClientTransaction | None = None
        self.done = False
        self.status = 0
        self.reply: Message | None = None
        self.provisional = False
        self.cancelled = False
        self.cancel_wanted: str | None = None
        self.timed_out = False
        self.timer_c: Timer | None = None
        self.guard: Timer | None = None

    def on_reply(self, transaction: ClientTransaction, reply: Message) -> None:
        """A reply from this branch's target."""
        if not self.has_left(transaction, reply):
            self.context.branch_reply(self, transaction, reply)

    def on_timeout(self, transaction: ClientTransaction) -> None:
        """Timer B or F, or the connection broke."""
        self.context.branch_silent(self, transaction)

    @property
    def can_move(self) -> bool:
        """Whether something else can be tried at once."""
        return not self.done and not self.cancelled and (bool(self.places) or self.context.more)

    def moves_to(self, place: Destination, stack: TransactionStack) -> None:
        """Try another place: what an earlier one has said does not hold for it."""
        self.place = place
        self.provisional = False
        self.stop_timers(stack)

    def refused(self) -> Destination | None:
        """Take the place off that is the present one over UDP, to which 18.1.1 falls back.

        It is for a server without TCP; this one has said no. None if there is no such place.
        """
        place, places = self.place, self.places
        if place is None or not places or not places[0].stay or places[0].addr != place.addr:
            return None
        return places.popleft()

    def has_left(self, transaction: ClientTransaction, reply: Message) -> bool:
        """Whether a reply is of a place that was given up; a 2xx counts, wherever it is from."""
        return self.tx is not transaction and not 200 <= reply.status < 300

    def cancel(self, stack: TransactionStack, extra: str) -> None:
        """Send CANCEL, once; extra: header lines."""
        if self.done or (self.cancelled and self.guard is not None):
            return
        self.cancelled = True
        if self.provisional:
            self.send_cancel(stack, extra)
        elif self.cancel_wanted is None:
            # 9.1: not before a provisional has come.
            self.cancel_wanted = extra

    def send_cancel(self, stack: TransactionStack, extra: str) -> None:
        """Send CANCEL now."""
        tx = self.tx
        # Without its data it has a final reply, which the routing is looking at.
        if tx is None or self.done or not tx.data:
            return
        data = build.hop_request(Message(tx.data), "CANCEL", extra=extra)
        stack.new_client(tx.branch, "CANCEL", data, tx.flow, _CANCEL).start()
        # 9.1: without a final reply in 64*T1 the branch counts as cancelled.
        self.guard = stack.after(64 * stack.t1, self._abandon)

    def _abandon(self) -> None:
        if self.tx is not None:
            self.tx.terminate()
        self.context.branch_ended(self, 487)

    def stop_timers(self, stack: TransactionStack) -> None:
        """Nothing is waited for any more."""
        if self.timer_c is not None or self.guard is not None:
            stack.cancel_timer(self.timer_c)
            stack.cancel_timer(self.guard)
            self.timer_c = self.guard = None


class _Cancel:
    """The CANCEL's own transaction: its reply says nothing that the INVITE's does not."""

    def on_reply(self, transaction: ClientTransaction, reply: Message) -> None:
        """Nothing to do."""

    def on_timeout(self, transaction: ClientTransaction) -> None:
        """The branch's guard timer ends the wait."""


_CANCEL = _Cancel()


def retry_after(reply: Message) -> int:
    """The seconds of a Retry-After header (RFC 3261 20.33), 0 without one that can be read."""
    match = _SECONDS.match(reply.get("retry-after") or "")
    return int(match[1]) if match else 0


def rank(branch: Branch) -> tuple[int, int, int]:
    """What a failure is worth to the caller; the smallest is answered."""
    status = branch.status
    group = 0 if status >= 600 else status // 100
    if status in _PREFERRED:
        weight = 0
    elif status in (408, 487, 503):
        # Of another refusal the caller learns more; a 503 would not even be forwarded.
        weight = 2
    else:
        weight = 1
    return group, weight, status


def chosen(branches: Sequence[Branch], *, cancelled: bool) -> tuple[int, Message | None, str]:
    """The best failure (16.7 point 6): status, reply, and header lines to add to it.

    reply: None for one that the proxy makes itself.
    """
    best = min(branches, key=rank)
    status, reply = best.status, best.reply
    if cancelled and reply is None and status in (408, 503):
        status = 487
    if status == 503:
        # A 503 speaks of one hop, not of the whole path.
        status, reply = 500, None
    return status, reply, challenges(branches, best) if reply and status in CHALLENGED else ""


def challenges(branches: Iterable[Branch], best: Branch) -> str:
    """The challenges of the branches that are not answered, as header lines (16.7 point 7)."""
    return "".join(
        branch.reply.lines("www-authenticate") + branch.reply.lines("proxy-authenticate")
        for branch in branches
        if branch is not best and branch.reply is not None and branch.status in CHALLENGED
    )
