"""Requests on their way through: targets, dialogs and the context that forwards (16.4 to 16.6)."""

from __future__ import annotations

import functools
import logging
from typing import NamedTuple, Protocol

from dlgmgmt.dialog.did import decode_did
from dlgmgmt.dialog.errors import TableFull
from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.model import Dialog, Direction
from dlgmgmt.dialog.states import IllegalEvent, State
from dlgmgmt.dialog.tracker import Match, Tracker
from dlgmgmt.sip.context import ResponseContext
from dlgmgmt.sip.core import Core, Counters, Observer
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.hooks import Asked, Plan, RelayPlan, ReplyPlan, Routing
from dlgmgmt.sip.hop import Hop, Router, Target, forward_target
from dlgmgmt.sip.loading import LoadGate
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.nat import NAT_PARAM, fix_of, fixed_within, marked_reply, marked_request
from dlgmgmt.sip.observe import InviteObserver, RequestObserver
from dlgmgmt.sip.outgoing import Outgoing, has_looped, loop_mark
from dlgmgmt.sip.own_dialogs import OwnDialogs
from dlgmgmt.sip.pending import PendingRequest
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.renumber import as_sent
from dlgmgmt.sip.targets import followed, planned, routed
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.transaction import ServerTransaction
from dlgmgmt.sip.uri import parse_uri
from dlgmgmt.sip.validate import check_target

_QUIET = Quiet(logging.getLogger(__name__))

_DIALOG_METHODS = frozenset({"INVITE", "SUBSCRIBE", "REFER"})


class ForwardCore(Core, Protocol):
    """What the forwarder needs of the proxy."""

    counters: Counters
    terminator: Terminator
    loading: LoadGate

    def answer(
        self, server: ServerTransaction, status: int, reason: str = "", extra: str = ""
    ) -> None:
        """Answer a request with a reply of the proxy's own; extra: header lines with CRLF."""


class Incoming(NamedTuple):
    """A valid request: after Route preprocessing, with its loop mark and server transaction.

    within: whether it belongs to a dialog.
    """

    msg: Message
    hop: Hop
    mark: int
    server: ServerTransaction
    within: bool


class Forwarder:
    """Forwards requests, except for those of ``own`` dialogs; ``routing``: who decides, if any."""

    def __init__(self, core: ForwardCore, router: Router, tracker: Tracker) -> None:
        self.routing: Routing | None = None
        self.own = OwnDialogs()
        self.router = router
        self.tracker = tracker
        self._core = core
        self._table = tracker.table

    def request(self, msg: Message, server: ServerTransaction) -> None:
        """Validate (16.3), preprocess (16.4), and forward; raises BadMessage."""
        hop = self.router.preprocess(msg)
        routing = self.routing
        scripted = routing is not None and routing.requests
        check_target(hop, scripted=scripted)
        within = bool(msg.to_tag) or self._is_for_tagless(msg, hop)
        if msg.max_forwards == 0:
            if msg.method == "OPTIONS" and not within:
                # 16.3 step 3, 11: this is how the hops of a path are found one by one.
                self._describe(server)
                return
            raise BadMessage(483, "Too Many Hops")
        unsupported = msg.all("proxy-require")
        if unsupported:
            extra = f"Unsupported: {', '.join(unsupported)}\r\n"
            self._core.answer(server, 420, extra=extra)
            return
        if self.own and self.own.take(msg, hop, server):
            return
        if not within and self.router.fixes(hop):
            msg = marked_request(msg, server.flow.transport.kind)
        mark = loop_mark(msg, hop)
        if has_looped(msg, mark, self._core.locator.sockets):
            raise BadMessage(482, "Loop Detected")
        incoming = Incoming(msg, hop, mark, server, within)
        if routing is not None and scripted:
            self._ask(incoming, routing)
        elif within:
            self._within(incoming, None, None)
        else:
            self._initial(incoming, None, None, None)

    def _is_for_tagless(self, msg: Message, hop: Hop) -> bool:
        """Whether a request without To-tag goes to a caller who has none (RFC 3261 12.1.1)."""
        if hop.did is None:
            return False
        entry = self._table.entry_of(msg.callid)
        with entry.lock:
            found = self._table.match(entry, _did(hop), msg.callid, msg.from_tag, "")
        return found is not None and found[2] is Direction.UPSTREAM

    # -- the routing of somebody else ------------------------------------------------------------

    def _ask(self, incoming: Incoming, routing: Routing) -> None:
        pending = PendingRequest(self, incoming, routing)
        incoming.server.user = pending
        if incoming.msg.method == "INVITE":
            # 17.2.1: whoever decides may take longer than 200 ms.
            self._core.answer(incoming.server, 100)
        routing.request(pending)

    def decided(self, incoming: Incoming, plan: Plan, asked: Asked, opened: Dialog | None) -> None:
        """Carry out what was decided; opened: a dialog that was made for this request."""
        try:
            if isinstance(plan, RelayPlan):
                if opened is not None and opened.state is State.DELETED:
                    # An operator has ended the call meanwhile.
                    plan = ReplyPlan(488, "Ended")
                elif incoming.within:
                    self._within(incoming, plan, asked)
                else:
                    self._initial(incoming, plan, asked, opened)
        except BadMessage as error:
            _QUIET.info("%s callid=%r: %s", incoming.msg.method, incoming.msg.callid, error)
            plan = ReplyPlan(error.status, error.reason)
        if isinstance(plan, ReplyPlan):
            self._core.answer(incoming.server, plan.status, plan.reason, plan.headers)
            self.undo(opened, plan.status)
        elif not isinstance(plan, RelayPlan):
            incoming.server.terminate()
            self.undo(opened, 0)

    def undo(self, opened: Dialog | None, status: int) -> None:
        """A dialog that was made for a request which was not forwarded has failed."""
        if opened is not None:
            self.tracker.invite_failed(opened, status)
            self._table.release(opened)

    def answer(
        self, server: ServerTransaction, status: int, reason: str = "", extra: str = ""
    ) -> None:
        """Answer a request that is not forwarded, or not yet."""
        self._core.answer(server, status, reason, extra)

    def find(self, msg: Message) -> tuple[Dialog, bool] | None:
        """The dialog of a sequential request, and whether it goes to the caller. Any thread."""
        hop = self.router.preprocess(msg)
        entry = self._table.entry_of(msg.callid)
        with entry.lock:
            found = self._table.match(entry, _did(hop), msg.callid, msg.from_tag, msg.to_tag)
        if found is None:
            return None
        dialog, _, direction = found
        return dialog, direction is Direction.UPSTREAM

    def open(
        self,
        msg: Message,
        bind_addr: str,
        req_uri: str | None = None,
        *,
        announce: bool = True,
        pending: PendingRequest | None = None,
    ) -> tuple[Dialog, bool]:
        """The dialog of an initial INVITE, and whether it is new. Any thread.

        req_uri: what to note as its request URI, the message's by default. announce: tell the
        listeners of a new one. pending: what answers the INVITE until it is forwarded. Raises
        TableFull and BadMessage.
        """
        return self._table.open(
            DialogInit(
                callid=msg.callid,
                from_tag=msg.from_tag,
                from_uri=msg.from_uri,
                to_uri=msg.to_uri,
                req_uri=msg.uri if req_uri is None else req_uri,
                cseq=msg.cseq[0],
                contact=msg.contact_uri,
                route_set=tuple(msg.all("record-route")),
                bind_addr=bind_addr,
                lifetime=self._table.settings.default_timeout,
            ),
            announce=announce,
            transaction=pending,
        )

    def targets_of(self, uri: str) -> tuple[list[str], bool]:
        """Where a Request-URI leads, and whether to fork in parallel. Any thread.

        The configured targets, else the URI itself; empty for the own address, or a bad URI.
        """
        try:
            parsed = parse_uri(uri)
        except BadMessage:
            return [], True
        found = self.router.targets(parsed)
        if found is not None:
            return found
        return ([], True) if self.router.is_own(parsed) else ([uri], True)

    # -- within a dialog -------------------------------------------------------------------------

    def match(self, msg: Message, hop: Hop) -> Match | None:
        """The dialog that a sequential request belongs to; it hears of the request."""
        found = self._match(msg, hop)
        loading = self._core.loading
        if found is None and loading.active and msg.to_tag:
            # Noted first and then looked for again: whenever it is loaded, it hears of it once.
            key = loading.note(msg)
            found = self._match(msg, hop)
            if found is not None and key is not None:
                loading.forget(key)
        return found

    def _match(self, msg: Message, hop: Hop) -> Match | None:
        try:
            return self.tracker.request(
                _did(hop), msg.callid, msg.from_tag, msg.to_tag, msg.method, msg.cseq[0], msg
            )
        except IllegalEvent as error:
            _QUIET.info("callid=%r: %s", msg.callid, error)
            return None

    def _within(self, incoming: Incoming, plan: RelayPlan | None, asked: Asked | None) -> None:
        msg, hop, mark, server, _ = incoming
        # What can be refused is read before the dialog hears of the request.
        contact = msg.contact_uri
        target = routed(hop)
        match = self.match(msg, hop)
        observer: Observer | None = None
        fixed = fixed_within(match, msg, server.flow.transport.kind, nat=hop.nat)
        if fixed is not msg:
            msg, contact = fixed, fixed.contact_uri
        if match is not None:
            observer = RequestObserver(match, msg.method, msg.cseq[0], contact, self.tracker)
        elif self._core.loading.active:
            observer = self._core.loading.follow(msg, contact)
        targets = planned(plan, hop, target or followed(match))
        if not targets:
            self._core.answer(server, 481)
            if observer is not None:
                observer.on_finished()
            return
        if msg.method == "INVITE" and asked is None:
            self._core.answer(server, 100)
        edits = plan.edits if plan is not None else None
        sent = as_sent(msg, match)
        if sent is not msg:
            mark = loop_mark(sent, hop)
        outgoing = Outgoing(sent, hop, server.flow.transport, "", edits)
        context = ResponseContext(self._core, server, outgoing, mark, observer, asked, hop.out)
        if sent is not msg:
            context.number = msg.cseq[0]
        nat = hop.nat and not hop.routes
        context.fix = fix_of(match, self.router.is_own_record, nat=nat)
        server.user = context
        context.start(targets[: self._core.settings.max_branches], parallel=True)

    # -- initial requests ------------------------------------------------------------------------

    def _initial(
        self,
        incoming: Incoming,
        plan: RelayPlan | None,
        asked: Asked | None,
        opened: Dialog | None,
    ) -> None:
        msg, hop, mark, server, _ = incoming
        targets, parallel = self._targets(msg, hop, plan)
        if not targets:
            self._nowhere(incoming)
            self.undo(opened, 404)
            return
        dialog = plan.dialog if plan is not None else None
        if plan is None and msg.method == "INVITE":
            found = self._open_or_refuse(msg, server)
            if found is None:
                return
            dialog, new = found
            # A known one: the INVITE spirals, or somebody has forked before us and it comes by two
            # paths. 482 for merged requests (8.2.2.2) is the phone's to say, for only there it is
            # known that they meet. So both are forwarded, and the dialog follows the first alone.
            opened = dialog if new else None
            self._core.answer(server, 100)
        observer: Observer | None = None
        if opened is not None:
            observer = InviteObserver(opened, self.tracker, self.router, self._core.terminator)
        edits = plan.edits if plan is not None else None
        fixes = self.router.fixes(hop)
        record = self._record(msg, dialog, plan, nat=fixes)
        outgoing = Outgoing(msg, hop, server.flow.transport, record, edits)
        context = ResponseContext(self._core, server, outgoing, mark, observer, asked, hop.out)
        server.user = context
        if fixes:
            context.fix = functools.partial(marked_reply, self.router.is_own_record)
        if opened is not None:
            opened.transaction = context
            opened.fix_contact = fixes
        context.start(targets[: self._core.settings.max_branches], parallel=parallel)

    def _record(
        self, msg: Message, dialog: Dialog | None, plan: RelayPlan | None, *, nat: bool
    ) -> str:
        """The parameters of the own Record-Route value, "" for none."""
        if plan is None:
            if dialog is None and msg.method not in _DIALOG_METHODS:
                return ""
            extra = ""
        elif plan.record is None:
            return ""
        else:
            extra = plan.record
        record = f"lr;{extra}" if extra else "lr"
        if nat:
            record += f";{NAT_PARAM}=yes"
        return record if dialog is None else f"{record};{self.router.rr_param}={dialog.did}"

    def _nowhere(self, incoming: Incoming) -> None:
        msg, hop, server = incoming.msg, incoming.hop, incoming.server
        if msg.method == "OPTIONS" and hop.own_uri is not None and not hop.own_uri.user:
            self._describe(server)
        else:
            self._core.answer(server, 404)

    def _describe(self, server: ServerTransaction) -> None:
        """Answer an OPTIONS for the proxy itself (RFC 3261 11)."""
        extra = "Accept: */*\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nSupported: \r\n"
        self._core.answer(server, 200, extra=extra)

    def _targets(self, msg: Message, hop: Hop, plan: RelayPlan | None) -> tuple[list[Target], bool]:
        if plan is not None and plan.targets:
            return planned(plan, hop, None), plan.parallel
        if hop.routes:
            return [forward_target(hop.uri, hop.routes)], True
        uri = hop.own_uri
        if uri is None or uri.user or msg.method != "OPTIONS":
            parsed = uri or parse_uri(hop.uri)
            found = self.router.targets(parsed)
            if found is not None:
                uris, parallel = found
                return [Target(uri) for uri in uris], parallel
        return ([], True) if uri is not None else ([forward_target(hop.uri, ())], True)

    def _open_or_refuse(
        self, msg: Message, server: ServerTransaction
    ) -> tuple[Dialog, bool] | None:
        try:
            return self.open(msg, server.flow.transport.name)
        except TableFull as error:
            self._core.counters.overload += 1
            _QUIET.warning("INVITE refused: %s", error)
            extra = f"Retry-After: {self._core.settings.limits.retry_after}\r\n"
            self._core.answer(server, 503, extra=extra)
            return None


def _did(hop: Hop) -> str | None:
    return hop.did if hop.did and decode_did(hop.did) else None
