"""What a connection is needed for: one that a call depends on is not closed for being idle."""

from __future__ import annotations

from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.sip.stack import TransactionStack

MAX_CALLS = 64
"""Calls that a connection knows of: a phone has a few, and who has more says something oftener."""

MAX_CALLID = 256
"""Characters of a Call-ID that is kept."""

PAUSE = 30.0
"""Seconds until an idle connection that was needed is looked at again."""


class Carrier:
    """A connection. Calls are those whose INVITE, or its answer, came from its peer."""

    def __init__(self) -> None:
        self.calls: dict[str, None] = {}

    def carries(self, callid: str) -> None:
        """A party of this call is at the other end."""
        calls = self.calls
        if callid not in calls and len(callid) <= MAX_CALLID:
            calls[callid] = None
            if len(calls) > MAX_CALLS:
                del calls[next(iter(calls))]


class Uses:
    """Knows who depends on connections. Signalling thread only."""

    def __init__(self, stack: TransactionStack, table: DialogTable) -> None:
        self._stack = stack
        self._table = table
        self._looked = -1.0
        self._in_use: set[int] = set()

    def needs(self, carrier: Carrier) -> bool:
        """Whether a transaction waits, or a call is up, with the peer of a connection."""
        return self._has_call(carrier) or id(carrier) in self._carriers()

    def _has_call(self, carrier: Carrier) -> bool:
        for callid in [*carrier.calls]:
            entry = self._table.entry_of(callid)
            with entry.lock:
                if callid in entry.by_callid:
                    return True
            del carrier.calls[callid]
        return False

    def _carriers(self) -> set[int]:
        """One look at all transactions serves for whatever is idle at that moment."""
        now = self._stack.monotonic()
        if not self._looked <= now < self._looked + 1:
            self._looked = now
            flows = [each.flow for each in self._stack.servers.values()]
            flows += [each.flow for each in self._stack.clients.values()]
            self._in_use = {id(getattr(flow, "carrier", None)) for flow in flows}
        return self._in_use
