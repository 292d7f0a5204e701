"""Carrying out terminations: 488 and CANCEL for early dialogs, BYE to both sides of every other.

Orders may come from any thread; all sending happens on the signalling thread, which the order is
handed to. What each side answered is recorded in the order.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable
from typing import cast

from dlgmgmt.dialog.errors import BadExtraHeaders
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import Dialog, OutLeg
from dlgmgmt.dialog.orders import PENDING, SENT, WAITING_FOR_ACK, Side, Termination
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import InviteReply
from dlgmgmt.dialog.views import TerminationView
from dlgmgmt.sip import build
from dlgmgmt.sip.core import Answerable, Core
from dlgmgmt.sip.own_requests import UNSENDABLE, InDialogSender, party

_LOG = logging.getLogger(__name__)

MAX_EXTRA = 4096
"""Bytes of extra headers that one termination may carry."""

_EXTRA_LINE = re.compile(r"([A-Za-z0-9\-.!%*_+`'~]+)[ \t]*:[^\x00-\x08\x0a-\x1f\x7f]*", re.ASCII)
_OWNED = frozenset(
    [
        "via",
        "v",
        "from",
        "f",
        "to",
        "t",
        "call-id",
        "i",
        "cseq",
        "max-forwards",
        "route",
        "record-route",
        "contact",
        "m",
        "content-length",
        "l",
        "content-type",
        "c",
        "user-agent",
    ]
)
_REASON_TEXT = re.compile(r"[\x00-\x1f\x7f]+")


def check_extra_headers(text: str) -> str:
    """Normalize header lines for a generated request: each ends in CRLF.

    Raises BadExtraHeaders for a line that is no header, or names one that the daemon sets.
    """
    if len(text) > MAX_EXTRA:
        msg = f"more than {MAX_EXTRA} characters of headers"
        raise BadExtraHeaders(msg)
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n") if text.strip() else []
    for line in lines:
        match = _EXTRA_LINE.fullmatch(line)
        if match is None:
            raise BadExtraHeaders("not a header line: " + repr(line[:60]))
        if match[1].lower() in _OWNED:
            raise BadExtraHeaders(f"header {match[1]} is set by the daemon")
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise BadExtraHeaders("not text that can be sent") from None
    return "".join(f"{line}\r\n" for line in lines)


class Terminator:
    """Ends dialogs. submit: runs a function on the signalling thread, from any thread.

    extra_headers: ``dlg_extra_hdrs``, for every BYE.
    """

    def __init__(
        self,
        core: Core,
        orders: Terminations,
        submit: Callable[[Callable[[], None]], None],
        extra_headers: str,
    ) -> None:
        self._core = core
        self._orders = orders
        self._table = orders.table
        self._submit = submit
        self._extra = extra_headers
        self._sender = InDialogSender(core)
        self._table.on_legs_due = self.legs_due

    # -- orders, from any thread ---------------------------------------------------------------

    def by_tags(
        self, callid: str, from_tag: str, to_tag: str, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        """End the dialog with these tags; see Terminations.by_tags. Raises BadExtraHeaders."""
        extra = check_extra_headers(extra_headers)
        return self._send(
            self._orders.by_tags(callid, from_tag, to_tag, reason=reason, extra_headers=extra)
        )

    def by_id(
        self, h_entry: int, h_id: int, *, reason: str, extra_headers: str = "", only: str = ""
    ) -> TerminationView:
        """End the dialog ``h_entry:h_id``; see Terminations.by_id. Raises BadExtraHeaders."""
        extra = check_extra_headers(extra_headers)
        return self._send(
            self._orders.by_id(h_entry, h_id, reason=reason, extra_headers=extra, only=only)
        )

    def _send(self, order: Termination) -> TerminationView:
        with order.entry.lock:
            view = order.view()
        self._submit(functools.partial(self.execute, order))
        return view

    # -- the signalling thread -----------------------------------------------------------------

    def configure(self, extra_headers: str) -> None:
        """Take another ``dlg_extra_hdrs`` from now on."""
        self._extra = extra_headers

    def expired(self, dialog: Dialog) -> None:
        """The dialog's timeout has come."""
        order = self._orders.expired(dialog)
        if order is not None:
            self.execute(order)

    def legs_due(self, dialog: Dialog) -> None:
        """The ACK of one leg of several has not come in time, or its session is over."""
        order = self._orders.legs_due(dialog)
        if order is not None:
            self.execute(order)

    def execute(self, order: Termination) -> None:
        """Send what the order needs."""
        dialog = order.dialog
        order.executed = True
        _LOG.info(
            "ending dialog %d:%d callid=%r reason=%r",
            dialog.entry.index,
            dialog.h_id,
            dialog.callid,
            order.reason,
        )
        if order.early:
            self._end_early(order)
            return
        waiting: list[OutLeg] = []
        for _ in order.sides:
            self._table.hold(dialog)
        self._close(order)
        for side in order.sides:
            leg = side.leg
            if leg is None:
                continue
            if side.outcome == PENDING or leg.acked:
                self._send_bye(order, side)
            elif leg not in waiting:
                waiting.append(leg)
        stack = self._core.stack
        # RFC 3261 15: the callee must not hang up before the ACK or the end of the 2xx.
        longest = min(64 * stack.t1, self._table.settings.noack_timeout)
        for leg in waiting:
            # A clock that was set back while the daemon was down must not make it longer.
            left = min(leg.confirmed_at - stack.monotonic(), 0.0) + longest
            stack.after(max(left, 0.0), functools.partial(self._send_waiting, order, leg))

    def _close(self, order: Termination) -> None:
        """Give back the hold that the order was made with, once."""
        if order.open:
            order.open = False
            self._table.release(order.dialog)

    def acked(self, dialog: Dialog, leg: OutLeg) -> None:
        """The ACK of a leg has been forwarded: BYEs that waited for it can go."""
        order = dialog.termination
        # Before the order is carried out there is nothing that waits: its execution sees the ACK.
        if order is not None and order.executed:
            self._send_waiting(order, leg)

    def _send_waiting(self, order: Termination, leg: OutLeg) -> None:
        for side in order.sides:
            if side.leg is leg and side.outcome == WAITING_FOR_ACK:
                self._send_bye(order, side)

    # -- early dialogs -------------------------------------------------------------------------

    def _end_early(self, order: Termination) -> None:
        context = cast("Answerable | None", order.dialog.transaction)
        caller = order.sides[0]
        if context is None:
            self._record(order, caller, UNSENDABLE)
            self._close(order)
            return
        reason = _REASON_TEXT.sub(" ", order.reason)
        context.server.on_ack = functools.partial(self._record, order, caller, "acknowledged")
        sent = context.respond(488, reason=reason, extra=order.extra_headers)
        self._record(order, caller, SENT if sent else UNSENDABLE)
        context.cancel("Reason: SIP;cause=488\r\n")
        if context.finished:
            self._close(order)

    def branch_ended(self, dialog: Dialog, branch: int, status: int) -> None:
        """A branch of an INVITE has its final reply; note it if the call was being ended."""
        order = dialog.termination
        if order is None or not order.early:
            return
        for side in order.sides:
            if side.method == "CANCEL" and side.leg is not None and side.leg.branch == branch:
                order.take_up(dialog)
                self._record(order, side, str(status))

    def invite_finished(self, dialog: Dialog) -> None:
        """Every branch of the INVITE has ended: an early termination is complete."""
        order = dialog.termination
        if order is not None and order.early:
            for side in order.sides:
                if side.method == "CANCEL" and side.outcome == PENDING:
                    order.take_up(dialog)
                    self._record(order, side, "487")
            # Between the order and its execution the INVITE may end by itself; the order is then
            # closed by its execution, which still answers the caller.
            if order.executed:
                self._close(order)

    def late_answer(self, dialog: Dialog, order: Termination, reply: InviteReply) -> None:
        """A 2xx crossed the CANCEL of a call that was ended: acknowledge it and hang up.

        The caller has its 488 and will do neither; without this the phone would stay off hook.
        """
        leg = OutLeg(0, reply.branch, dialog.to_uri, reply.to_tag, dialog.first_req_cseq)
        leg.callee_contact, leg.callee_route_set = reply.contact, reply.route_set
        leg.callee_bind_addr = reply.bind_addr
        leg.acked = True
        early = dialog.legs.get(reply.to_tag)
        if early is not None:
            # A PRACK, say, has used numbers already.
            leg.caller_cseq = early.caller_cseq
        for side in order.sides:
            if side.leg is not None and side.leg.to_tag == reply.to_tag and side.method != "CANCEL":
                self._sender.ack(party(dialog, leg, to_caller=False), dialog.first_req_cseq)
                return
        self._sender.ack(party(dialog, leg, to_caller=False), dialog.first_req_cseq)
        side = Side("callee", leg, "BYE", PENDING)
        with dialog.entry.lock:
            order.sides[:] = [
                s for s in order.sides if s.leg is None or s.leg.to_tag != reply.to_tag
            ]
            order.sides.append(side)
        # An order for BYEs that is still to be carried out will send this one with the others.
        if order.early or order.executed:
            self._table.hold(dialog)
            order.take_up(dialog)
            self._send_bye(order, side)

    # -- BYE -----------------------------------------------------------------------------------

    def _send_bye(self, order: Termination, side: Side) -> None:
        leg, dialog = side.leg, order.dialog
        if leg is None:
            return
        self._record(order, side, PENDING)
        to_caller = side.side == "caller"
        self._sender.send(
            "BYE",
            party(dialog, leg, to_caller=to_caller),
            functools.partial(self._orders.next_cseq, dialog, leg, to_caller=to_caller),
            self._bye_headers(order),
            functools.partial(self._bye_ended, order, side),
        )

    def _bye_headers(self, order: Termination) -> str:
        extra = self._extra + order.extra_headers
        if "\nreason:" not in f"\n{extra.lower()}":
            text = build.quoted(order.reason)
            extra += f"Reason: SIP;cause={order.cause};text={text}\r\n"
        return extra

    def _bye_ended(self, order: Termination, side: Side, outcome: str) -> None:
        """Whatever the final reply is, it says that the side was told."""
        dialog, leg = order.dialog, side.leg
        _LOG.info("callid=%r %s: BYE %s", dialog.callid, side.side, outcome)
        self._record(order, side, outcome)
        self._table.publish(
            EventType.TERMINATED_CONFIRMED, dialog, leg.to_tag if leg else "", outcome
        )
        self._table.release(dialog)

    def _record(self, order: Termination, side: Side, outcome: str) -> None:
        self._orders.record(order, side, outcome)
