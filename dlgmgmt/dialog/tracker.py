"""What SIP messages do to dialogs: the writing half of the core.

Each method takes the entry lock once, changes the dialog, and publishes its events after the
lock is released. A message that comes for a deleted dialog is late, not illegal: it changes
nothing. Any other event that the state does not allow raises IllegalEvent.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.limits import grace, set_limits
from dlgmgmt.dialog.model import MAX_LEGS, Dialog, Direction, OutLeg
from dlgmgmt.dialog.states import Event, IllegalEvent, State
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.views import EndedLeg

TARGET_REFRESH = frozenset({"INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"})


EARLY_ENDED = 199
"""Early Dialog Terminated (RFC 6228)."""

_TALKING = frozenset({State.CONFIRMED, State.CONCURRENT})


class Match(NamedTuple):
    """The dialog, leg and direction that a sequential request belongs to.

    held: the request is the BYE that ended the dialog; whoever forwards it releases the dialog
    when its transaction has ended.
    """

    dialog: Dialog
    leg: OutLeg | None
    direction: Direction
    held: bool = False


class InviteReply(NamedTuple):
    """What a reply to the initial INVITE says of its leg; texts as they stand in the message.

    route_set: for requests towards the callee, nearest hop first. has_route_set: whether the
    reply carried Record-Route at all. session: seconds of a 2xx's session timer, 0 without one.
    """

    branch: int
    code: int
    to_tag: str
    contact: str
    route_set: tuple[str, ...]
    has_route_set: bool
    bind_addr: str
    session: int = 0


class Tracker:
    """Applies messages to the dialogs of ``table``.

    on_expiry: called with a dialog whose timeout has come, on the thread that runs the timers,
    with no lock held.
    """

    def __init__(self, table: DialogTable, on_expiry: Callable[[Dialog], None]) -> None:
        self.table = table
        table.on_expiry = on_expiry

    # -- the initial INVITE --------------------------------------------------------------------

    def invite_reply(self, dialog: Dialog, reply: InviteReply) -> OutLeg | None:
        """A 101-299 reply with a To-tag that is being forwarded to the caller.

        Returns the leg, None if it is not tracked (too many legs; a provisional after the
        answer; a deleted dialog). A 199 ends its leg, and the others of the branch go on.
        """
        answer = reply.code >= 200
        kind: EventType | None = None
        with dialog.entry.lock:
            if dialog.state is State.DELETED:
                return None
            dialog.touch()
            leg = dialog.legs.get(reply.to_tag)
            if reply.code == EARLY_ENDED:
                if leg is not None and not leg.confirmed:
                    dialog.end_leg(leg, EARLY_ENDED, "rejected")
                return None
            if not answer and dialog.state not in (State.UNCONFIRMED, State.EARLY):
                return leg
            if leg is None:
                if _hung_up(dialog, reply.to_tag) or not _make_room(dialog, answer=answer):
                    return None
                leg = OutLeg(
                    self.table.hash_of(reply.to_tag),
                    reply.branch,
                    dialog.to_uri,
                    reply.to_tag,
                    dialog.first_req_cseq,
                )
                dialog.legs[reply.to_tag] = leg
            if not leg.confirmed:
                # A retransmitted 2xx must not undo what a re-INVITE has changed since.
                _learn(leg, reply)
            if not answer:
                was = dialog.state
                if self.table.change(dialog, Event.PROVISIONAL) is not was:
                    kind = EventType.EARLY
            elif not leg.confirmed:
                self._refresh(leg, reply.session)
                kind = self._answered(dialog, leg)
        if kind is not None:
            self.table.publish(kind, dialog, reply.to_tag)
        return leg

    def _refresh(self, leg: OutLeg, session: int) -> None:
        now = self.table.monotonic()
        leg.session_end = now + session + grace(session) if session > 0 else 0.0

    def _answered(self, dialog: Dialog, leg: OutLeg) -> EventType:
        was = dialog.state
        first = was in (State.UNCONFIRMED, State.EARLY)
        leg.confirmed = True
        leg.confirmed_at = self.table.monotonic()
        if dialog.history:
            # A 2xx that crossed the CANCEL: this leg was not cancelled after all.
            lost = leg.to_tag, 0, "cancelled"
            dialog.history = tuple(
                past for past in dialog.history if (past.to_tag, past.code, past.cause) != lost
            )
        self.table.change(dialog, Event.ANSWER if first else Event.ANSWER_OTHER_LEG)
        if not first:
            # From now on the dialog timeout is that of a call: each ACK is waited for by itself.
            if was is State.CONFIRMED_NA:
                self._arm(dialog)
            set_limits(self.table, dialog)
        else:
            dialog.start_ts = int(self.table.wall())
            set_limits(self.table, dialog)
            # The branches that lost are being cancelled: their legs are no part of this call. A
            # 2xx that crosses the CANCEL brings its leg back.
            for other in [other for other in dialog.legs.values() if not other.confirmed]:
                dialog.end_leg(other, 0, "cancelled")
        return EventType.CONFIRMED_NA

    def branch_failed(
        self, dialog: Dialog, branch: int, code: int, to_tag: str, cause: str
    ) -> None:
        """A branch of the INVITE ended without an answer; ``code`` is its final status.

        cause: "rejected", "cancelled" or "timeout". The branch's early legs leave the dialog.
        """
        with dialog.entry.lock:
            dialog.touch()
            ended = False
            for leg in [leg for leg in dialog.legs.values() if leg.branch == branch]:
                if not leg.confirmed:
                    dialog.end_leg(leg, code, cause)
                    ended = True
            history = list(dialog.history)
            for i, past in enumerate(history):
                lost = past.branch == branch and past.code == 0 and past.cause == "cancelled"
                if lost or (past.code == EARLY_ENDED and past.to_tag == to_tag):
                    history[i] = past._replace(code=code)
                    ended = True
            dialog.history = tuple(history)
            if not ended:
                dialog.remember(EndedLeg(branch, to_tag, code, cause))

    def invite_failed(self, dialog: Dialog, code: int, message: object | None = None) -> None:
        """The caller was sent a final failure ``code``, or the transaction died unanswered.

        message: the reply, handed to the listeners.
        """
        with dialog.entry.lock:
            if dialog.state is State.DELETED:
                return
            self.table.change(dialog, Event.FAILURE)
            self.table.counters.add_failed()
        self.table.publish(EventType.FAILED, dialog, detail=str(code), message=message)

    def invite_ended(self, dialog: Dialog) -> None:
        """The INVITE transaction is over.

        A dialog that has seen neither an answer nor a failure by now (its 2xx had no To-tag, say)
        has failed: nothing that comes later would end it.
        """
        with dialog.entry.lock:
            if dialog.state not in (State.UNCONFIRMED, State.EARLY):
                return
            self.table.change(dialog, Event.FAILURE)
            self.table.counters.add_failed()
        self.table.publish(EventType.FAILED, dialog)

    # -- within the dialog ----------------------------------------------------------------------

    def request(
        self,
        did: str | None,
        callid: str,
        from_tag: str,
        to_tag: str,
        method: str,
        cseq: int,
        message: object | None = None,
    ) -> Match | None:
        """A sequential request that is being forwarded; None if it belongs to no dialog.

        Matching: facts of the ims_dialog module, did first, then Call-ID and tags; direction by
        the caller's tag. message: handed to the listeners.
        """
        entry = self.table.entry_of(callid)
        kind: EventType | None = None
        with entry.lock:
            found = self.table.match(entry, did, callid, from_tag, to_tag)
            if found is None:
                return None
            dialog, leg, direction = found
            dialog.touch()
            if leg is not None:
                _count(leg, direction, method, cseq)
                if method == "ACK":
                    # The callee's ACKs answer its own re-INVITEs, never the setup.
                    if direction is Direction.DOWNSTREAM:
                        kind = self._acked(dialog, leg)
                elif dialog.state is State.DELETED:
                    kind = None
                elif method == "BYE" and leg.confirmed:
                    kind = self._bye(dialog, leg)
                else:
                    self.table.change(dialog, Event.REQUEST_WITHIN)
                    if dialog.state in _TALKING and not (
                        self.table.settings.timeout_noreset or dialog.timeout_noreset
                    ):
                        self._arm(dialog)
                    kind = EventType.REQUEST_WITHIN
        if kind is not None:
            tag = leg.to_tag if leg else ""
            self.table.publish(kind, dialog, tag, method, direction=direction, message=message)
        return Match(dialog, leg, direction, kind is EventType.TERMINATED)

    def _acked(self, dialog: Dialog, leg: OutLeg) -> EventType | None:
        if not leg.confirmed:
            if dialog.state is State.DELETED:
                return None
            self.table.counters.add_illegal()
            raise IllegalEvent(dialog.state, Event.ACK)
        first = not leg.acked
        leg.acked = True
        if dialog.state is State.DELETED:
            return None
        if self.table.change(dialog, Event.ACK) is State.CONFIRMED and first:
            # The timeout may be the short one of a leg whose ACK is awaited.
            self._arm(dialog)
        return EventType.CONFIRMED if first else None

    def _bye(self, dialog: Dialog, leg: OutLeg) -> EventType:
        others = [other for other in dialog.confirmed_legs() if other is not leg]
        if not others:
            self.table.change(dialog, Event.BYE_LAST_LEG)
            # The transaction that carries the BYE holds the dialog until it ends.
            dialog.holds += 1
            return EventType.TERMINATED
        if len(others) > 1:
            self.table.change(dialog, Event.BYE_ONE_OF_MANY)
        elif others[0].acked:
            self.table.change(dialog, Event.BYE_LEAVES_ACKED_LEG)
        else:
            self.table.change(dialog, Event.BYE_LEAVES_UNACKED_LEG)
        dialog.end_leg(leg, 200, "bye")
        set_limits(self.table, dialog)
        return EventType.LEG_ENDED

    def response(
        self,
        match: Match,
        method: str,
        code: int,
        sender_contact: str,
        reply_contact: str,
        *,
        cseq: int = 0,
        session: int = 0,
        reliable: bool = False,
    ) -> None:
        """A reply within the dialog; reliable: a provisional one that is sent reliably (RFC 3262).

        A 2xx to a target refresh request moves both contacts (RFC 3261 12.2.1.2, 12.2.2). So does
        a reliable provisional reply to a re-INVITE, and what becomes of the re-INVITE afterwards
        does not move them back (RFC 6141 4). cseq: the request's number; its Contact does not undo
        that of a later one. session: seconds of a 2xx's session timer; a 2xx to INVITE or UPDATE
        without one ends the timer (RFC 4028 7.2).
        """
        final = 200 <= code < 300
        if method not in TARGET_REFRESH or not (final or (reliable and method == "INVITE")):
            return
        dialog, leg, direction, _ = match
        if leg is None:
            return
        with dialog.entry.lock:
            dialog.touch()
            down = direction is Direction.DOWNSTREAM
            by_caller, by_callee = leg.moved_by
            if cseq < (by_caller if down else by_callee):
                sender_contact = ""
            else:
                leg.moved_by = (cseq, by_callee) if down else (by_caller, cseq)
            caller, callee = (
                (sender_contact, reply_contact) if down else (reply_contact, sender_contact)
            )
            if caller:
                dialog.caller_contact = caller
            if callee:
                leg.callee_contact = callee
            refresh = final and method in ("INVITE", "UPDATE")
            # Before the answer there is no session yet.
            if refresh and leg.confirmed and dialog.state is not State.DELETED:
                self._refresh(leg, session)
                set_limits(self.table, dialog)

    def invite_passed(self, dialog: Dialog, to_tag: str, code: int, message: object | None) -> None:
        """A reply to the initial INVITE goes to the caller."""
        if not self.table.heard(EventType.RESPONSE_FWDED):
            return
        self.table.publish(EventType.RESPONSE_FWDED, dialog, to_tag, str(code), message=message)

    def reply_within(self, match: Match, code: int, message: object | None) -> None:
        """A reply to a request within the dialog goes back; to the BYE that ended it, perhaps."""
        kind = EventType.TERMINATED_CONFIRMED if match.held else EventType.RESPONSE_WITHIN
        if not self.table.heard(kind):
            return
        back = (
            Direction.UPSTREAM if match.direction is Direction.DOWNSTREAM else Direction.DOWNSTREAM
        )
        tag = match.leg.to_tag if match.leg is not None else ""
        self.table.publish(kind, match.dialog, tag, str(code), direction=back, message=message)

    # -- timeouts -------------------------------------------------------------------------------

    def _arm(self, dialog: Dialog) -> None:
        self.table.arm(dialog, dialog.lifetime)


def _hung_up(dialog: Dialog, to_tag: str) -> bool:
    """Whether a leg was answered and ended since: a late 2xx does not bring it back."""
    return any(past.to_tag == to_tag and past.code == 200 for past in dialog.history)


def _make_room(dialog: Dialog, *, answer: bool) -> bool:
    """Whether one more leg may be added; for an answer an early leg gives way to it."""
    if len(dialog.legs) < MAX_LEGS:
        return True
    if not answer:
        return False
    for leg in dialog.legs.values():
        if not leg.confirmed:
            dialog.end_leg(leg, 0, "cancelled")
            return True
    return False


def _learn(leg: OutLeg, reply: InviteReply) -> None:
    leg.branch = reply.branch
    leg.callee_bind_addr = reply.bind_addr
    if reply.contact:
        leg.callee_contact = reply.contact
    # RFC 3261 12.1.2 and 13.2.2.4: the 2xx gives the final route set, even an empty one.
    if reply.has_route_set or reply.code >= 200:
        leg.callee_route_set = reply.route_set


def _count(leg: OutLeg, direction: Direction, method: str, cseq: int) -> None:
    """Keep the last CSeq of each direction; ACK and CANCEL repeat that of their INVITE."""
    if method in ("ACK", "CANCEL"):
        return
    if method == "REFER" and direction not in leg.referred:
        leg.referred += (direction,)
    if direction is Direction.DOWNSTREAM:
        leg.caller_cseq = max(leg.caller_cseq, cseq)
    elif leg.callee_cseq_seen:
        leg.callee_cseq = max(leg.callee_cseq, cseq)
    else:
        leg.callee_cseq = cseq
        leg.callee_cseq_seen = True
        if leg.shifts is not None:
            leg.shifts.callee.first(cseq)
