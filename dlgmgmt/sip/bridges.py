"""All bridges: their number is bounded, and what became of them stays known."""

from __future__ import annotations

import functools
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from dlgmgmt.sip.bridge import Bridge, Order
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.forward import ForwardCore
from dlgmgmt.sip.hop import Router
from dlgmgmt.sip.own_dialogs import OwnDialogs
from dlgmgmt.sip.own_requests import InDialogSender
from dlgmgmt.sip.uri import parse_uri

_LOG = logging.getLogger(__name__)

MAX_BRIDGES = 256
"""Bridges at once."""

MAX_RECORDS = 1000
"""Bridges that stay known."""

ENDED = frozenset({"done", "failed"})
"""States in which a bridge has its outcome."""


class BridgeView(NamedTuple):
    """One bridge at one moment. Times are Unix seconds, ``ended_ts`` 0 before the outcome.

    state: "ordered", "calling", "ringing", "answered", "referred" (REFER accepted), "done", or
    "failed". detail: the last status, or what failed. callid: "" before the call.
    """

    id: int
    callid: str
    from_uri: str
    to_uri: str
    proxy: str
    state: str
    detail: str
    ordered_ts: int
    ended_ts: int


class Bridges:
    """Orders and keeps bridges.

    controller: URI of the From. extra: header lines for own requests. submit: runs a function on
    the signalling thread, from any thread. wall: Unix time.
    """

    def __init__(
        self,
        core: ForwardCore,
        router: Router,
        own: OwnDialogs,
        submit: Callable[[Callable[[], None]], None],
        *,
        controller: str,
        extra: str,
        wall: Callable[[], float],
    ) -> None:
        self._core = core
        self._router = router
        self._own = own
        self._submit = submit
        self._wall = wall
        self.configure(controller, extra)
        self.sender = InDialogSender(core)
        self._lock = threading.Lock()
        self._records: OrderedDict[int, BridgeView] = OrderedDict()
        self._alive = 0
        self._last = 0
        self._open: dict[int, Bridge] = {}

    def __len__(self) -> int:
        """Bridges alive."""
        return self._alive

    # -- any thread ------------------------------------------------------------------------------

    def order(self, order: Order) -> int:
        """Begin a bridge; its number, 0 if there are too many."""
        number = self._reserve(order)
        if number is None:
            _LOG.warning("%d bridges exist, no other one now", MAX_BRIDGES)
            return 0
        self._submit(functools.partial(self._begin, number, order))
        return number

    def _reserve(self, order: Order) -> int | None:
        """Count and record a bridge that is to begin; None if there are too many."""
        with self._lock:
            if self._alive >= MAX_BRIDGES:
                return None
            self._alive += 1
            self._last += 1
            number = self._last
            self._records[number] = BridgeView(
                number, "", *order, "ordered", "", int(self._wall()), 0
            )
            if len(self._records) > MAX_RECORDS:
                # The oldest one that has its outcome: those alive are fewer than the records.
                old = next(n for n, view in self._records.items() if view.state in ENDED)
                del self._records[old]
            return number

    def views(self) -> list[BridgeView]:
        """What is known, oldest first."""
        with self._lock:
            return list(self._records.values())

    # -- the signalling thread -------------------------------------------------------------------

    def configure(self, controller: str, extra: str) -> None:
        """Take other parameters from now on."""
        self.controller = controller
        self.contact_user = parse_uri(controller).user or "bridge"
        self.headers = extra

    def _begin(self, number: int, order: Order) -> None:
        callid = f"{self._core.stack.new_tag()}{self._core.stack.new_tag()}@dlgmgmt"
        bridge = Bridge(self, self._core, number, order, self._targets(order), callid)
        self._open[number] = bridge
        self._own.add(callid, bridge.take)
        self._update(number, state="calling", detail="", callid=callid)
        bridge.call()

    def _targets(self, order: Order) -> list[str]:
        """Where an initial request to that address goes, as for anybody else's."""
        if order.proxy:
            return [order.from_uri]
        try:
            uri = parse_uri(order.from_uri)
        except BadMessage:
            return []
        found = self._router.targets(uri)
        if found is not None:
            return found[0][: self._core.settings.max_branches]
        return [] if self._router.is_own(uri) else [order.from_uri]

    def changed(self, bridge: Bridge, state: str, detail: str) -> None:
        """A bridge has gone on."""
        self._update(bridge.number, state=state, detail=detail)

    def _update(self, number: int, *, state: str, detail: str, callid: str = "") -> None:
        with self._lock:
            view = self._records[number]
            view = view._replace(
                state=state,
                detail=detail,
                callid=callid or view.callid,
                ended_ts=int(self._wall()) if state in ENDED else 0,
            )
            self._records[number] = view
        _LOG.info(
            "bridge %d callid=%r from %r to %r: %s %s",
            number,
            view.callid,
            view.from_uri,
            view.to_uri,
            state,
            detail,
        )

    def closed(self, bridge: Bridge) -> None:
        """Nothing is left of a bridge but late answers."""
        if self._open.pop(bridge.number, None) is None:
            return
        self._own.remove(bridge.callid, bridge.take)
        with self._lock:
            self._alive -= 1
