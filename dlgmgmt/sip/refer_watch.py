"""What becomes of a REFER: its reply, and the NOTIFYs of the subscription that comes with it.

RFC 3515: each NOTIFY carries the status line of the call that the referred phone makes. The first
final one is the outcome.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from dlgmgmt.dialog.wheel import Timer
from dlgmgmt.sip import grammar
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.own_requests import TIMEOUT
from dlgmgmt.sip.stack import TransactionStack

NOTIFY_WAIT = 180.0
"""Seconds, beyond 64*T1, after which a phone that says nothing of its call is given up."""

LONGEST = 900.0
"""Seconds after which it is given up, however much it has to say."""

_STATUS = re.compile(rb"\s*SIP/2\.0 ([1-6][0-9]{2})(?![0-9])", re.IGNORECASE)


class Notice(NamedTuple):
    """A NOTIFY of a REFER. id: CSeq number of the REFER, None if it names none.

    status: of the call that was made, 0 if it says nothing of it. over: no other will follow.
    """

    id: int | None
    status: int
    over: bool


def read_notice(msg: Message) -> Notice | None:
    """What a NOTIFY says; None if it belongs to another kind of subscription."""
    package, _, params = (msg.get("event") or "").partition(";")
    if msg.method != "NOTIFY" or package.strip().lower() != "refer":
        return None
    number = grammar.param(f";{params}", "id") if params else None
    known = int(number) if number and number.isdecimal() and len(number) <= 10 else None
    if number is not None and known is None:
        # An id that no REFER of ours can have.
        known = -1
    kind = (msg.get("content-type") or "").partition(";")[0].strip().lower()
    status = _STATUS.match(msg.body) if kind == "message/sipfrag" else None
    state = (msg.get("subscription-state") or "").partition(";")[0].strip().lower()
    return Notice(known, int(status[1]) if status else 0, state == "terminated")


class ReferWatch:
    """Follows one REFER. decided: called once, with whether it succeeded and what came of it.

    cseq: the number that the REFER was sent with, 0 before. accepted: there is a subscription.
    refused: there is none, and will be none. over: the phone has said that it was the last NOTIFY.
    """

    __slots__ = ("_decided", "_end", "_stack", "_timer", "accepted", "cseq", "over", "refused")

    def __init__(self, stack: TransactionStack, decided: Callable[[bool, str], None]) -> None:
        self._stack = stack
        self._decided: Callable[[bool, str], None] | None = decided
        self._timer: Timer | None = None
        self.cseq = 0
        self.accepted = False
        self.refused = False
        self.over = False
        self._end = stack.monotonic() + LONGEST
        self._wait()

    @property
    def open(self) -> bool:
        """Whether the outcome is still to come."""
        return self._decided is not None

    def _wait(self) -> None:
        self._stack.cancel_timer(self._timer)
        stack = self._stack
        wait = min(64 * stack.t1 + NOTIFY_WAIT, self._end - stack.monotonic())
        self._timer = stack.after(max(wait, 0.0), self._silent)

    def _silent(self) -> None:
        late = self._stack.monotonic() >= self._end
        self._decide(False, "no outcome in time" if late else "silence")

    def numbered(self, cseq: int) -> int:
        """Note the REFER's number; returns it."""
        self.cseq = cseq
        return cseq

    def replied(self, outcome: str) -> None:
        """The reply to the REFER; see own_requests.Done."""
        if outcome.startswith("2"):
            self.accepted = True
        elif outcome != TIMEOUT or not self.accepted:
            self.refused = not self.accepted
            self._decide(False, f"REFER {outcome}")

    def is_for(self, notice: Notice) -> bool:
        """Whether a NOTIFY may be of this REFER."""
        return notice.id is None or notice.id == self.cseq

    def notified(self, notice: Notice) -> None:
        """A NOTIFY of this REFER has come."""
        # It may overtake the 202.
        self.accepted = True
        self.over = self.over or notice.over
        if notice.status >= 200:
            self._decide(notice.status < 300, str(notice.status))
        elif notice.over:
            self._decide(False, "ended without an outcome")
        elif self.open:
            self._wait()

    def stop(self) -> None:
        """Nobody wants to know the outcome any more."""
        self._stack.cancel_timer(self._timer)
        self._timer = self._decided = None

    def _decide(self, success: bool, text: str) -> None:  # noqa: FBT001 - of decided()
        decided = self._decided
        self.stop()
        if decided is not None:
            decided(success, text)
