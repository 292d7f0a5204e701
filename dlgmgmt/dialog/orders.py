"""The terminations whose outcome can be asked for, as many as there is room for."""

from __future__ import annotations

import threading
from collections import OrderedDict

from dlgmgmt.dialog.model import Termination
from dlgmgmt.dialog.views import TerminationView

MAX_ORDERS = 2_000
"""Terminations whose outcome stays known."""

WAITING_FOR_ACK = "waiting for ACK"
PENDING = "pending"
SENT = "sent"
"""The final answer to a caller's INVITE, whose ACK has not come."""

_OPEN = frozenset({WAITING_FOR_ACK, PENDING, SENT})


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
        """Keep no more than a copy of a termination whose dialog has left. Entry lock held.

        An order holds its dialog, with all that it consists of, and there may be 2,000 of them. One
        that somebody has still to answer is settled with the last answer.
        """
        if any(side.outcome in _OPEN for side in order.sides):
            return
        view = order.view()
        with self._lock:
            if order.id in self._orders:
                self._orders[order.id] = view

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
    with order.dialog.entry.lock:
        return order.view()
