"""Keep-alives: OPTIONS within calls find the phones that have gone, and their calls are ended.

The table is walked piece by piece, so that each dialog is looked at once in ``ka_timer`` seconds
and no look takes long. When more OPTIONS are due than may be sent, the walk stands still and goes
on from there, so that every dialog gets its turn.
"""

from __future__ import annotations

import functools
import logging
from collections import deque
from typing import Protocol

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.sip.core import Core
from dlgmgmt.sip.own_requests import TIMEOUT, UNSENDABLE, InDialogSender, party, take_cseq
from dlgmgmt.sip.terminate import Terminator

_LOG = logging.getLogger(__name__)

LOOK = 0.1
"""Seconds between two looks."""

MAX_PER_SECOND = 500
"""OPTIONS sent in a second at most."""

MAX_VISITS = 1000
"""Dialogs that one look visits at most."""

CALLER, CALLEE = 1, 2
"""Bits of a dialog's own marks (``Dialog.keepalive``)."""

_SIDES = {"none": 0, "caller": CALLER, "callee": CALLEE, "both": CALLER | CALLEE}
_FAILURES = frozenset({"408", "481", TIMEOUT})
_ALIVE = (State.CONFIRMED, State.CONCURRENT)


class KeepaliveSettings(Protocol):
    """The parameters; see DialogSettings."""

    @property
    def ka_timer(self) -> int:
        """Seconds for one walk, 0 for none."""

    @property
    def ka_interval(self) -> int:
        """Seconds between two OPTIONS to one side."""

    @property
    def ka_failed_limit(self) -> int:
        """Failures in a row that end a call."""

    @property
    def ka_sides(self) -> str:
        """Who is sent OPTIONS in every dialog."""

    @property
    def dlg_extra_hdrs(self) -> str:
        """Header lines for own requests."""


class _Probe:
    """What is known of one side of a leg. last: when it was sent the last OPTIONS."""

    __slots__ = ("failures", "last", "waiting")

    def __init__(self, last: float) -> None:
        self.last = last
        self.failures = 0
        self.waiting = False


class _Probes:
    """Both sides of a leg, which is not older than ``since``."""

    __slots__ = ("callee", "caller")

    def __init__(self, since: float) -> None:
        self.caller = _Probe(since)
        self.callee = _Probe(since)


class Keepalive:
    """Sends OPTIONS and ends calls. Signalling thread only, the counters excepted.

    sent, failed: OPTIONS, and those that nobody or nobody who knew of the call answered. deferred:
    looks that were cut short because no more could be sent. ended: calls.
    """

    def __init__(
        self,
        core: Core,
        table: DialogTable,
        terminator: Terminator,
        settings: KeepaliveSettings,
    ) -> None:
        self._core = core
        self._table = table
        self._terminator = terminator
        self._sender = InDialogSender(core)
        self.sent = self.failed = self.deferred = self.ended = 0
        self._last_look = core.stack.monotonic()
        self._entry = 0
        self._credit = 0.0
        self._room = 0.0
        self._pending: deque[Dialog] = deque()
        self.configure(settings)

    def configure(self, settings: KeepaliveSettings) -> None:
        """Take other parameters from now on."""
        self._timer = settings.ka_timer
        self._interval = settings.ka_interval
        self._limit = settings.ka_failed_limit
        self._sides = _SIDES[settings.ka_sides]
        self._headers = f"Accept: application/sdp\r\n{settings.dlg_extra_hdrs}"
        # A walk never comes to a dialog after exactly the same time: what is nearly due is due.
        self._due_after = self._interval - min(1.0, self._interval / 10)

    def look(self) -> None:
        """Visit the dialogs whose turn it is. To be called every LOOK seconds."""
        now = self._core.stack.monotonic()
        passed, self._last_look = now - self._last_look, now
        if self._timer <= 0:
            return
        size = self._table.size
        self._credit = min(self._credit + size * passed / self._timer, size)
        # Hardly more is saved up than one look may use: a burst would be no bound.
        self._room = min(self._room + MAX_PER_SECOND * passed, max(1.0, 2 * LOOK * MAX_PER_SECOND))
        for _ in range(MAX_VISITS):
            if not self._pending and not self._fetch():
                return
            if not self._visit(self._pending[0], now):
                self.deferred += 1
                return
            self._pending.popleft()

    def _fetch(self) -> bool:
        """Take the dialogs of the next entry that has any; False if its turn has not come."""
        while self._credit >= 1:
            self._credit -= 1
            entry = self._table.entry_at(self._entry)
            self._entry = (self._entry + 1) % self._table.size
            if entry is not None and entry.by_id:
                with entry.lock:
                    self._pending.extend(entry.by_id.values())
                return True
        return False

    def _visit(self, dialog: Dialog, now: float) -> bool:
        """Send what is due; False if it has to wait."""
        sides = self._sides | dialog.keepalive
        if not sides or dialog.state not in _ALIVE:
            return True
        for leg in dialog.confirmed_legs():
            if not leg.acked:
                continue
            probes = leg.probes
            if not isinstance(probes, _Probes):
                probes = leg.probes = _Probes(leg.confirmed_at)
            for side, probe in ((CALLER, probes.caller), (CALLEE, probes.callee)):
                if not sides & side or probe.waiting or now < probe.last + self._due_after:
                    continue
                if self._room < 1 or len(self._core.stack) >= self._core.settings.max_transactions:
                    return False
                self._room -= 1
                self._probe(dialog, leg, probe, now, to_caller=side == CALLER)
        return True

    def _probe(
        self, dialog: Dialog, leg: OutLeg, probe: _Probe, now: float, *, to_caller: bool
    ) -> None:
        probe.last = now
        probe.waiting = True
        self.sent += 1
        self._sender.send(
            "OPTIONS",
            party(dialog, leg, to_caller=to_caller),
            functools.partial(take_cseq, dialog, leg, to_caller=to_caller),
            self._headers,
            functools.partial(self._answered, dialog, leg, probe, to_caller=to_caller),
        )

    def _answered(
        self, dialog: Dialog, leg: OutLeg, probe: _Probe, outcome: str, *, to_caller: bool
    ) -> None:
        probe.waiting = False
        if outcome == UNSENDABLE:
            # It says something of this machine, and nothing of the phone.
            return
        if dialog.legs.get(leg.to_tag) is not leg:
            # Whoever has hung up meanwhile does not know this leg; the call may have others.
            return
        if outcome not in _FAILURES:
            probe.failures = 0
            return
        probe.failures += 1
        self.failed += 1
        side = "caller" if to_caller else "callee"
        _LOG.info("callid=%r %s: keep-alive %s", dialog.callid, side, outcome)
        if probe.failures >= self._limit and dialog.state is not State.DELETED:
            self.ended += 1
            try:
                self._terminator.by_id(dialog.entry.index, dialog.h_id, reason="keepalive_failed")
            except NoSuchDialog:
                self.ended -= 1
