"""Which requests from outside are the daemon's own to answer, though they look like any other."""

from __future__ import annotations

from collections.abc import Callable

from dlgmgmt.sip.hop import Hop
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.transaction import ServerTransaction

Taker = Callable[[Message, Hop, ServerTransaction], bool]
"""Answers a request that is its own and returns True, or leaves it alone and returns False."""


class OwnDialogs:
    """Who wants to see the requests of a Call-ID first. Signalling thread only."""

    def __init__(self) -> None:
        self._takers: dict[str, list[Taker]] = {}

    def __len__(self) -> int:
        """How many Call-IDs somebody wants to see: nearly always none."""
        return len(self._takers)

    def knows(self, callid: str) -> bool:
        """Whether somebody wants to see the requests with this Call-ID."""
        return callid in self._takers

    def add(self, callid: str, taker: Taker) -> None:
        """Show ``taker`` the requests with this Call-ID."""
        self._takers.setdefault(callid, []).append(taker)

    def remove(self, callid: str, taker: Taker) -> None:
        """No more; a taker that is not there is left alone."""
        takers = self._takers.get(callid, [])
        if taker in takers:
            takers.remove(taker)
            if not takers:
                del self._takers[callid]

    def take(self, msg: Message, hop: Hop, server: ServerTransaction) -> bool:
        """Whether somebody has taken the request."""
        takers = self._takers.get(msg.callid)
        return takers is not None and any(taker(msg, hop, server) for taker in takers.copy())
