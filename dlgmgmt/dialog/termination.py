"""Ending dialogs on an operator's order, or because their time is over.

The order is decided here, under the entry lock: which dialog, which legs, which sides. Sending
is the SIP engine's work: it is handed the :class:`~dlgmgmt.dialog.model.Termination` and fills
in what came back.
"""

from __future__ import annotations

import itertools

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.limits import set_limits
from dlgmgmt.dialog.model import Dialog, Entry, OutLeg
from dlgmgmt.dialog.orders import PENDING, WAITING_FOR_ACK, Side, Termination
from dlgmgmt.dialog.states import Event, State
from dlgmgmt.dialog.store import TICK
from dlgmgmt.dialog.table import DialogTable

NO_ACK = "noack_timeout"
TIME_OUT = "dialog_timeout"
SESSION_END = "session_expired"


class Terminations:
    """Orders and remembers terminations of the dialogs in ``table``."""

    def __init__(self, table: DialogTable) -> None:
        self.table = table
        self._numbers = itertools.count(1)

    def by_tags(
        self, callid: str, from_tag: str, to_tag: str, *, reason: str, extra_headers: str = ""
    ) -> Termination:
        """Order the end of the dialog with these tags, given in either order.

        Raises NoSuchDialog if none is alive whose tags are exactly these.
        """
        entry = self.table.entry_of(callid)
        with entry.lock:
            same = entry.by_callid.get(callid, ())
            for dialog in same:
                if dialog.state is State.DELETED:
                    continue
                if (dialog.from_tag == from_tag and to_tag in dialog.legs) or (
                    dialog.from_tag == to_tag and from_tag in dialog.legs
                ):
                    order = self._order(dialog, Event.TERMINATE, reason, extra_headers)
                    break
            else:
                raise NoSuchDialog(callid_known=bool(same))
        return self._ordered(order, EventType.TERMINATED)

    def by_id(
        self, h_entry: int, h_id: int, *, reason: str, extra_headers: str = "", only: str = ""
    ) -> Termination:
        """Order the end of the dialog ``h_entry:h_id``; raises NoSuchDialog.

        only: "caller" or "callee" when just that side of an answered call is to be told.
        """
        entry: Entry | None = self.table.entry_at(h_entry)
        if entry is None:
            raise NoSuchDialog
        with entry.lock:
            dialog = entry.by_id.get(h_id)
            if dialog is None or dialog.state is State.DELETED:
                raise NoSuchDialog(callid_known=dialog is not None)
            order = self._order(dialog, Event.TERMINATE, reason, extra_headers)
            if only and not order.early:
                order.sides = [side for side in order.sides if side.side == only]
        return self._ordered(order, EventType.TERMINATED)

    def expired(self, dialog: Dialog) -> Termination | None:
        """The dialog's timeout or the end of its session has come; None if there is nobody to tell.

        That is so if it was set anew or the dialog has ended, and without ``send_bye``: then the
        dialog leaves, and the phones find out by themselves.
        """
        with dialog.entry.lock:
            ringing = dialog.state in (State.UNCONFIRMED, State.EARLY)
            timer = dialog.limit if ringing else dialog.timer
            if dialog.state is State.DELETED or timer is None:
                return None
            if timer.active and not self._session_over(dialog):
                return None
            reason = self._why_expired(dialog)
            order, gone = self._expire(dialog, reason)
        return self._expired(dialog, reason, order, gone=gone)

    def legs_due(self, dialog: Dialog) -> Termination | None:
        """End the legs of a call with several answers whose time is over.

        Those whose ACK has not come, or else those whose session timer has run out. None if there
        is nobody to tell; the order is that of the whole dialog if there is no other leg.
        """
        with dialog.entry.lock:
            if dialog.state is not State.CONCURRENT:
                return None
            late, reason = self._late_legs(dialog)
            if not late:
                set_limits(self.table, dialog)
                return None
            whole = len(late) == len(dialog.confirmed_legs())
            if whole:
                order, gone = self._expire(dialog, reason)
            else:
                order, gone = self._end_legs(dialog, late, reason), False
        if whole:
            return self._expired(dialog, reason, order, gone=gone)
        if order is not None:
            self.table.remember(order)
        for leg in late:
            self.table.publish(EventType.LEG_ENDED, dialog, leg.to_tag, reason)
        return order

    def _late_legs(self, dialog: Dialog) -> tuple[list[OutLeg], str]:
        """Entry lock held."""
        now, limit = self.table.monotonic(), self.table.settings.noack_timeout
        legs = dialog.confirmed_legs()
        late = [leg for leg in legs if not leg.acked and leg.confirmed_at + limit <= now]
        if late or not self.table.settings.session_timers:
            return late, NO_ACK
        return [leg for leg in legs if 0 < leg.session_end < now + TICK], SESSION_END

    def _session_over(self, dialog: Dialog) -> bool:
        if dialog.state not in (State.CONFIRMED, State.CONFIRMED_NA):
            return False
        left = self.table.session_left(dialog)
        # The timer may be a rounding away from the moment that is computed anew here.
        return left is not None and left < TICK

    def _tells(self, dialog: Dialog, reason: str) -> bool:
        """Whether an end for this reason is told to the parties."""
        late = reason in (TIME_OUT, SESSION_END)
        return not late or self.table.settings.send_bye or dialog.timeout_bye

    def _expire(self, dialog: Dialog, reason: str) -> tuple[Termination | None, bool]:
        """End a dialog whose time is over; whether it has left the table. Entry lock held."""
        self.table.counters.add_expired()
        if self._tells(dialog, reason):
            return self._order(dialog, Event.TIMEOUT, reason, ""), False
        self.table.change(dialog, Event.TIMEOUT)
        return None, self.table.drop_if_done(dialog)

    def _expired(
        self, dialog: Dialog, reason: str, order: Termination | None, *, gone: bool
    ) -> Termination | None:
        if order is not None:
            return self._ordered(order, EventType.EXPIRED)
        self.table.publish(EventType.EXPIRED, dialog, detail=reason)
        if gone:
            self.table.publish(EventType.DESTROYED, dialog)
        return None

    def _end_legs(self, dialog: Dialog, late: list[OutLeg], reason: str) -> Termination | None:
        """Take some legs off a dialog that goes on with others. Entry lock held."""
        order: Termination | None = None
        if self._tells(dialog, reason):
            order = self._new(dialog, 408, reason, "")
            self._tell(order, late)
        for leg in late:
            dialog.end_leg(leg, 200, "timeout")
        left = dialog.confirmed_legs()
        if len(left) > 1:
            self.table.change(dialog, Event.BYE_ONE_OF_MANY)
        elif left[0].acked:
            self.table.change(dialog, Event.BYE_LEAVES_ACKED_LEG)
        else:
            self.table.change(dialog, Event.BYE_LEAVES_UNACKED_LEG)
        set_limits(self.table, dialog)
        return order

    def _why_expired(self, dialog: Dialog) -> str:
        if dialog.state in (State.UNCONFIRMED, State.EARLY):
            return "early_timeout"
        if dialog.state is State.CONFIRMED_NA:
            left = self.table.ack_left(dialog)
            # The timer may be a rounding away from the moment that is computed anew here.
            if left is not None and left < TICK:
                return NO_ACK
        return SESSION_END if self._session_over(dialog) else TIME_OUT

    def _order(self, dialog: Dialog, event: Event, reason: str, extra_headers: str) -> Termination:
        """Delete ``dialog`` and say who is to be told. Entry lock held."""
        early = dialog.state in (State.UNCONFIRMED, State.EARLY)
        self.table.change(dialog, event)
        cause = 488 if early else 200 if event is Event.TERMINATE else 408
        order = self._new(dialog, cause, reason, extra_headers)
        order.early = early
        dialog.termination = order
        if early:
            self.table.counters.add_failed()
            order.sides.append(Side("caller", None, "488", PENDING))
            order.sides += [Side("callee", leg, "CANCEL", PENDING) for leg in dialog.legs.values()]
        else:
            self._tell(order, dialog.confirmed_legs())
        return order

    def _new(self, dialog: Dialog, cause: int, reason: str, extra_headers: str) -> Termination:
        order = Termination(
            next(self._numbers), dialog, cause, reason, extra_headers, self.table.wall()
        )
        # The engine gives this hold back (``order.open``) once the sending has its own holds.
        dialog.holds += 1
        dialog.snapshot = None
        return order

    @staticmethod
    def _tell(order: Termination, legs: list[OutLeg]) -> None:
        # When noack_timeout has passed, its ACK has been waited for long enough.
        waits = order.reason != NO_ACK or order.cause != 408
        for leg in legs:
            outcome = WAITING_FOR_ACK if waits and not leg.acked else PENDING
            order.sides.append(Side("caller", leg, "BYE", outcome))
            order.sides.append(Side("callee", leg, "BYE", outcome))

    def _ordered(self, order: Termination, kind: EventType) -> Termination:
        self.table.remember(order)
        self.table.publish(kind, order.dialog, detail=order.reason)
        return order

    def record(self, order: Termination, side: Side, outcome: str) -> None:
        """Note what a side was sent or answered."""
        with order.entry.lock:
            side.outcome = outcome
            if order.is_left_alone():
                self.table.settle(order)

    def next_cseq(self, dialog: Dialog, leg: OutLeg, *, to_caller: bool) -> int:
        """The CSeq of the BYE that the daemon sends in the other side's name."""
        with dialog.entry.lock:
            return leg.next_cseq(to_caller=to_caller)
