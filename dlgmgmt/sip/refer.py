"""REFER within answered calls: one side is sent elsewhere, and then both are hung up.

The daemon subscribes in the name of the other party, who knows nothing of it: the NOTIFYs are
answered here. If the phone does not get through, the call goes on as it was.
"""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Dialog, Direction, OutLeg
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.wheel import Timer
from dlgmgmt.sip.forward import ForwardCore
from dlgmgmt.sip.hop import Hop
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.own_dialogs import OwnDialogs
from dlgmgmt.sip.own_requests import InDialogSender, party, take_cseq
from dlgmgmt.sip.refer_watch import ReferWatch, read_notice
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.transaction import ServerTransaction

_LOG = logging.getLogger(__name__)

MAX_REFERS = 256
"""REFERs under way at once, those included whose late NOTIFYs are still awaited."""

_Key = tuple[int, int]


class _Referral:
    """One REFER to one side of a leg, and the NOTIFYs that come for it."""

    __slots__ = ("_later", "_owner", "_tags", "address", "dialog", "leg", "side", "timer", "watch")

    def __init__(
        self, owner: Referrals, dialog: Dialog, leg: OutLeg, side: str, address: str
    ) -> None:
        self._owner = owner
        self.dialog = dialog
        self.leg = leg
        self.side = side
        self.address = address
        # From and To tag of what the referred phone sends.
        tags = dialog.from_tag, leg.to_tag
        self._tags = tags if side == "caller" else tags[::-1]
        # RFC 3515 2.4.6: the NOTIFYs of any but the first REFER within a dialog carry its number.
        way = Direction.UPSTREAM if side == "caller" else Direction.DOWNSTREAM
        self._later = way in leg.referred
        self.timer: Timer | None = None
        self.watch = ReferWatch(owner.stack, functools.partial(owner.decided, self))

    def number(self) -> int:
        """Take the REFER's CSeq number."""
        to_caller = self.side == "caller"
        return self.watch.numbered(take_cseq(self.dialog, self.leg, to_caller=to_caller))

    def replied(self, outcome: str) -> None:
        """The reply to the REFER; see own_requests.Done."""
        was_open = self.watch.open
        self.watch.replied(outcome)
        if self.watch.refused and not was_open:
            # The call has ended meanwhile, and its NOTIFYs were awaited.
            self._owner.close(self)

    def take(self, msg: Message, hop: Hop, server: ServerTransaction) -> bool:
        """Answer the NOTIFYs of this REFER; those of a REFER of the other party are not its."""
        del hop
        notice = read_notice(msg)
        if notice is None or (msg.from_tag, msg.to_tag) != self._tags:
            return False
        if not self.watch.is_for(notice) or (notice.id is None and self._later):
            return False
        self._owner.answer(server)
        self.watch.notified(notice)
        if self.watch.over and not self.watch.open:
            self._owner.close(self)
        return True


class Referrals:
    """Sends REFERs and follows them. Signalling thread only, except for the listener.

    controller: URI for Referred-By. extra: header lines for own requests. submit: runs a function
    on the signalling thread, from any thread. succeeded, failed: outcomes so far.
    """

    def __init__(
        self,
        core: ForwardCore,
        terminator: Terminator,
        table: DialogTable,
        own: OwnDialogs,
        submit: Callable[[Callable[[], None]], None],
        *,
        controller: str,
        extra: str = "",
    ) -> None:
        self._core = core
        self.stack = core.stack
        self._terminator = terminator
        self._table = table
        self._own = own
        self._submit = submit
        self._sender = InDialogSender(core)
        self.configure(controller, extra)
        self._open: dict[_Key, list[_Referral]] = {}
        self._count = 0
        self._listening = False
        self.succeeded = self.failed = 0

    def __len__(self) -> int:
        """How many are under way."""
        return self._count

    def configure(self, controller: str, extra: str) -> None:
        """Take other parameters from now on."""
        self._headers = f"Referred-By: <{controller}>\r\n{extra}"

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        """Send ``side`` ("caller" or "callee") to ``address``; False if it cannot be done now."""
        leg = answered_leg(dialog)
        if leg is None or self._count >= MAX_REFERS:
            _LOG.info("callid=%r %s: no REFER to %r now", dialog.callid, side, address)
            return False
        key = dialog.entry.index, dialog.h_id
        same = self._open.setdefault(key, [])
        if any(other.leg is leg and other.side == side and other.watch.open for other in same):
            _LOG.info("callid=%r %s: another REFER is under way", dialog.callid, side)
            return False
        if not self._listening:
            # Not before there is anything to hear of: every call that ends would be told.
            self._listening = True
            ends = EventType.TERMINATED, EventType.EXPIRED, EventType.DESTROYED
            self._table.add_listener(self._heard, EventType.LEG_ENDED, *ends)
        referral = _Referral(self, dialog, leg, side, address)
        same.append(referral)
        self._count += 1
        self._own.add(dialog.callid, referral.take)
        if side == "caller":
            peer = leg.callee_contact or leg.to_uri
        else:
            peer = dialog.caller_contact or dialog.from_uri
        self._sender.send(
            "REFER",
            party(dialog, leg, to_caller=side == "caller"),
            referral.number,
            # The Contact of the party in whose name it goes: it may become the remote target.
            f"Refer-To: <{address}>\r\nContact: <{peer}>\r\n{self._headers}",
            referral.replied,
        )
        return True

    def answer(self, server: ServerTransaction) -> None:
        """Confirm a NOTIFY."""
        self._core.answer(server, 200)

    def decided(self, referral: _Referral, success: bool, text: str) -> None:  # noqa: FBT001 - as ReferWatch calls it
        """A REFER has its outcome."""
        dialog = referral.dialog
        _LOG.info(
            "callid=%r %s: REFER to %r %s: %s",
            dialog.callid,
            referral.side,
            referral.address,
            "succeeded" if success else "failed",
            text,
        )
        if success:
            self.succeeded += 1
        else:
            self.failed += 1
        self._linger(referral)
        if success:
            # The call has moved: the other leg is of no use, and a referrer hangs up.
            with contextlib.suppress(NoSuchDialog):
                self._terminator.by_id(dialog.entry.index, dialog.h_id, reason="referred")

    def _linger(self, referral: _Referral) -> None:
        """Wait for what the phone still has to say, so that the other party need not hear it."""
        watch = referral.watch
        if watch.refused or watch.over:
            self.close(referral)
        elif referral.timer is None:
            close = functools.partial(self.close, referral)
            referral.timer = self.stack.after(64 * self.stack.t1, close)

    def close(self, referral: _Referral) -> None:
        """Forget a REFER."""
        dialog = referral.dialog
        key = dialog.entry.index, dialog.h_id
        same = self._open.get(key, [])
        if referral not in same:
            return
        same.remove(referral)
        if not same:
            del self._open[key]
        self._count -= 1
        self.stack.cancel_timer(referral.timer)
        self._own.remove(dialog.callid, referral.take)

    # -- the end of calls ------------------------------------------------------------------------

    def _heard(self, event: DialogEvent) -> None:
        """A call, or a leg of one, has ended. Any thread."""
        key = event.h_entry, event.h_id
        if key in self._open:
            self._submit(functools.partial(self._ended, key))

    def _ended(self, key: _Key) -> None:
        for referral in self._open.get(key, []).copy():
            dialog, leg = referral.dialog, referral.leg
            if dialog.state is not State.DELETED and dialog.legs.get(leg.to_tag) is leg:
                continue
            if referral.watch.open:
                referral.watch.stop()
                self.failed += 1
                _LOG.info("callid=%r %s: call ended during REFER", dialog.callid, referral.side)
                self._linger(referral)


def answered_leg(dialog: Dialog) -> OutLeg | None:
    """The first leg that was answered and acknowledged, None if there is none."""
    if dialog.state not in (State.CONFIRMED, State.CONCURRENT):
        return None
    return next((leg for leg in dialog.confirmed_legs() if leg.acked), None)
