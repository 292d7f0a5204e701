"""Terminations, and those whose outcome can be asked for: as many as there is room for."""

from __future__ import annotations

import sys
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from dlgmgmt.dialog.views import SideOutcome, TerminationView

if TYPE_CHECKING:
    from dlgmgmt.dialog.model import Dialog, OutLeg

MAX_ORDERS = 2_000
"""Terminations whose outcome stays known."""

WAITING_FOR_ACK = "waiting for ACK"
PENDING = "pending"
SENT = "sent"
"""The final answer to a caller's INVITE, whose ACK has not come."""

_OPEN = frozenset({WAITING_FOR_ACK, PENDING, SENT})


class Side:
    """One party that a termination tells; ``outcome`` as in SideOutcome."""

    __slots__ = ("leg", "method", "outcome", "side")

    def __init__(self, side: str, leg: OutLeg | None, method: str, outcome: str) -> None:
        self.side = side
        self.leg = leg
        self.method = method
        self.outcome = outcome


class Termination:
    """An order to end a dialog, and what came of it for each side.

    cause: of the Reason header. early: 488 and CANCEL, not BYE. executed: the SIP engine has sent
    what there is to send. open: the order still holds its dialog.
    """

    __slots__ = (
        "_dialog",
        "callid",
        "cause",
        "early",
        "entry",
        "executed",
        "extra_headers",
        "from_tag",
        "h_id",
        "id",
        "open",
        "ordered_ts",
        "reason",
        "sides",
    )

    def __init__(
        self,
        number: int,
        dialog: Dialog,
        cause: int,
        reason: str,
        extra_headers: str,
        ordered_ts: float,
    ) -> None:
        self.id = number
        self._dialog: Dialog | None = dialog
        self.entry = dialog.entry
        self.h_id = dialog.h_id
        self.callid = dialog.callid
        self.from_tag = dialog.from_tag
        self.cause = cause
        self.reason = reason
        self.extra_headers = extra_headers
        self.ordered_ts = ordered_ts
        self.early = False
        self.executed = False
        self.open = True
        self.sides: list[Side] = []

    @property
    def dialog(self) -> Dialog:
        """The dialog that it ends; LookupError once it has let go of it."""
        dialog = self._dialog
        if dialog is None:
            msg = f"order {self.id} has been carried out, its dialog is gone"
            raise LookupError(msg)
        return dialog

    def is_left_alone(self) -> bool:
        """Whether its dialog will not settle it any more. Entry lock held.

        The dialog has left, or it goes on and knows nothing of an order that ended some legs.
        """
        dialog = self._dialog
        return dialog is None or dialog.removed or dialog.termination is not self

    def let_go(self) -> None:
        """Refer to the dialog no more. Entry lock held.

        The dialog refers to the order. Both would stay until the next collection of such cycles,
        and there are so few of these that it may take an hour.
        """
        self._dialog = None

    def take_up(self, dialog: Dialog) -> None:
        """There is more to be told to its dialog, which has left the table already."""
        self._dialog = dialog

    def view(self) -> TerminationView:
        """Copy the record; the caller holds the entry lock."""
        return TerminationView(
            self.id,
            self.entry.index,
            self.h_id,
            self.callid,
            self.from_tag,
            self.reason,
            int(self.ordered_ts),
            tuple(
                SideOutcome(s.side, s.leg.to_tag if s.leg else "", s.method, sys.intern(s.outcome))
                for s in self.sides
            ),
        )


class OrderLog:
    """Remembers terminations. Its lock is a leaf: it is taken under an entry lock."""

    def __init__(self) -> None:
        self._orders: OrderedDict[int, Termination | TerminationView] = OrderedDict()
        self._lock = threading.Lock()

    def remember(self, order: Termination) -> None:
        """Keep the outcome of a termination; the oldest beyond MAX_ORDERS is forgotten."""
        with self._lock:
            self._orders[order.id] = order
            if len(self._orders) > MAX_ORDERS:
                self._orders.popitem(last=False)

    def settle(self, order: Termination) -> None:
        """Keep no more than a copy of a termination to which nothing is added. Entry lock held.

        An order holds its dialog, with all that it consists of, and there may be 2,000 of them. One
        that somebody has still to answer is settled with the last answer.
        """
        if any(side.outcome in _OPEN for side in order.sides):
            return
        view = order.view()
        with self._lock:
            if order.id in self._orders:
                self._orders[order.id] = view
        if not order.open:
            order.let_go()

    def find(self, number: int) -> TerminationView | None:
        """The termination with this id, None if unknown or forgotten."""
        with self._lock:
            found = self._orders.get(number)
        return None if found is None else _view(found)

    def all(self) -> list[TerminationView]:
        """All that are remembered, oldest first."""
        with self._lock:
            orders = list(self._orders.values())
        return [_view(each) for each in orders]


def _view(order: Termination | TerminationView) -> TerminationView:
    if not isinstance(order, Termination):
        return order
    with order.entry.lock:
        return order.view()
