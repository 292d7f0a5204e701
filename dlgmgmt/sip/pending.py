"""A request whose routing is being decided, and what comes for it before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.sip.hooks import Asked, Plan, Routing
from dlgmgmt.sip.transaction import ServerTransaction

if TYPE_CHECKING:
    from dlgmgmt.sip.forward import Forwarder, Incoming


class PendingRequest:
    """A request that waits for its decision, which :meth:`decide` or :meth:`cancel` ends.

    state: the routing's own, given back with replies and failures of this request. A dialog that
    is made meanwhile has it for its transaction: who ends the call, ends it here.
    """

    __slots__ = ("_forwarder", "_routing", "finished", "incoming", "state")

    def __init__(self, forwarder: Forwarder, incoming: Incoming, routing: Routing) -> None:
        self._forwarder = forwarder
        self._routing = routing
        self.incoming = incoming
        self.finished = False
        self.state: object = None

    @property
    def server(self) -> ServerTransaction:
        """The request's transaction."""
        return self.incoming.server

    def decide(self, plan: Plan, opened: Dialog | None) -> None:
        """Carry out ``plan``. opened: a dialog that was made for this request, with its hold."""
        if self.finished:
            self._forwarder.undo(opened, 487)
            return
        self.finished = True
        if opened is not None and opened.transaction is self and opened.termination is not None:
            # Whoever has ended the call is about to answer it.
            self._forwarder.undo(opened, 0)
            return
        asked = Asked(self._routing, self.state)
        self._forwarder.decided(self.incoming, plan, asked, opened)

    def provisional(self, status: int, reason: str) -> None:
        """Send a 1xx reply before the decision."""
        if not self.finished:
            self._forwarder.answer(self.server, status, reason)

    def respond(self, status: int, reason: str = "", extra: str = "") -> bool:
        """Answer the request in the place of its routing; False if it has its answer."""
        if self.server.answered:
            return False
        self._forwarder.answer(self.server, status, reason, extra)
        return True

    def cancel(self, extra: str) -> None:
        """The caller's CANCEL, or an operator's: what is decided later is too late."""
        del extra
        if not self.finished:
            self.finished = True
            self.respond(487)
