"""What the dialogs learn from the requests that pass: the wires between proxy and core."""

from __future__ import annotations

import contextlib
import logging

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import IllegalEvent
from dlgmgmt.dialog.tracker import TARGET_REFRESH, InviteReply, Match, Tracker
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.hop import Router
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.session_timer import session_of
from dlgmgmt.sip.terminate import Terminator

_QUIET = Quiet(logging.getLogger(__name__))


class InviteObserver:
    """Follows the initial INVITE of ``dialog``."""

    __slots__ = ("_router", "_terminator", "_tracker", "dialog")

    def __init__(
        self, dialog: Dialog, tracker: Tracker, router: Router, terminator: Terminator
    ) -> None:
        self.dialog = dialog
        self._tracker = tracker
        self._router = router
        self._terminator = terminator

    def on_reply(self, branch: int, reply: Message, sent_from: str) -> bool:
        """Learn the leg; a 2xx for a call that an operator has ended is ended here."""
        dialog = self.dialog
        to_tag = reply.to_tag
        if to_tag:
            learned = self._read(branch, reply, to_tag, sent_from)
            try:
                self._tracker.invite_reply(dialog, learned)
            except IllegalEvent as error:
                _QUIET.info("%s: %s", dialog.callid, error)
            order = dialog.termination
            if order is not None:
                if reply.status >= 200 and not self._known(to_tag):
                    self._terminator.late_answer(dialog, order, learned)
                    return False
                if reply.status < 200:
                    return False
        self._tracker.invite_passed(dialog, to_tag, reply.status, reply)
        return True

    def _known(self, to_tag: str) -> bool:
        leg = self.dialog.legs.get(to_tag)
        return leg is not None and leg.confirmed

    def _read(self, branch: int, reply: Message, to_tag: str, sent_from: str) -> InviteReply:
        try:
            record_route = reply.all("record-route")
        except BadMessage:
            record_route = []
        own = self._router.own_record_index(record_route, self.dialog.did)
        # RFC 3261 12.1.2: the list is top down from the callee; a request towards it meets the
        # proxies above the own entry in the opposite order.
        route_set = tuple(reversed(record_route[: own[0]])) if own is not None else ()
        contact = contact_of(reply)
        session = session_of(reply) if reply.status >= 200 else 0
        return InviteReply(
            branch, reply.status, to_tag, contact, route_set, own is not None, sent_from, session
        )

    def on_branch_failed(self, branch: int, status: int, to_tag: str, cause: str) -> None:
        """Take the branch's early legs off the dialog."""
        self._tracker.branch_failed(self.dialog, branch, status, to_tag, cause)
        self._terminator.branch_ended(self.dialog, branch, status)

    def on_moved(self, branch: int, status: int) -> None:
        """What rang at the place before is no leg any more."""
        dialog = self.dialog
        with dialog.entry.lock:
            rang = any(leg.branch == branch for leg in dialog.legs.values() if not leg.confirmed)
        if rang:
            self._tracker.branch_failed(dialog, branch, status, "", "rejected")

    def on_failed(self, status: int, reply: Message | None) -> None:
        """The call failed."""
        to_tag = reply.to_tag if reply is not None else ""
        self._tracker.invite_passed(self.dialog, to_tag, status, reply)
        self._tracker.invite_failed(self.dialog, status, reply)

    def on_finished(self) -> None:
        """The INVITE needs the dialog no more."""
        self._terminator.invite_finished(self.dialog)
        self._tracker.invite_ended(self.dialog)
        self._tracker.table.release(self.dialog)


class RequestObserver:
    """Follows a request within a dialog.

    contact: the URI of the request's own Contact. cseq: its number, as its sender counts.
    """

    dialog = None

    __slots__ = ("_answered", "_contact", "_cseq", "_match", "_method", "_tracker")

    def __init__(
        self, match: Match, method: str, cseq: int, contact: str, tracker: Tracker
    ) -> None:
        self._match = match
        self._method = method
        self._cseq = cseq
        self._contact = contact
        self._tracker = tracker
        self._answered = False

    def on_reply(self, branch: int, reply: Message, sent_from: str) -> bool:
        """A 2xx moves the remote targets and sets the session timer."""
        del branch, sent_from
        if self._method in TARGET_REFRESH and not self._answered:
            # A 2xx that comes again must not undo what has changed since.
            self._answered = reply.status >= 200
            self._learn(reply)
        self._tracker.reply_within(self._match, reply.status, reply)
        return True

    def _learn(self, reply: Message) -> None:
        reliable = not self._answered and reply.get("rseq") is not None
        if not (self._answered or reliable):
            return
        contact = contact_of(reply)
        self._tracker.response(
            self._match,
            self._method,
            reply.status,
            self._contact,
            contact,
            cseq=self._cseq,
            session=session_of(reply) if self._answered else 0,
            reliable=reliable,
        )

    def on_branch_failed(self, branch: int, status: int, to_tag: str, cause: str) -> None:
        """Changes nothing in the dialog."""

    def on_moved(self, branch: int, status: int) -> None:
        """Changes nothing in the dialog."""

    def on_failed(self, status: int, reply: Message | None) -> None:
        """Changes nothing in the dialog: even a BYE that is refused ends it."""
        self._tracker.reply_within(self._match, status, reply)

    def on_finished(self) -> None:
        """A BYE that ended the dialog needs it no more."""
        if self._match.held:
            self._tracker.table.release(self._match.dialog)


def contact_of(reply: Message) -> str:
    """Where the sender of a reply is reached; as it came, if a script has taken that out."""
    for msg in (reply, reply.as_received):
        if msg is not None:
            with contextlib.suppress(BadMessage):
                if uri := msg.contact_uri:
                    return uri
    return ""
