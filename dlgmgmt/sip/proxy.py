"""The proxy core: every datagram comes in here (RFC 3261 section 16)."""

from __future__ import annotations

import functools
import logging

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.sip import build, grammar
from dlgmgmt.sip.branch import Branch
from dlgmgmt.sip.context import ResponseContext
from dlgmgmt.sip.core import Counters
from dlgmgmt.sip.errors import BadMessage, NotSip
from dlgmgmt.sip.flow import Address, Destination, Flow, StreamFlow, Transport
from dlgmgmt.sip.forward import Forwarder
from dlgmgmt.sip.framing import FramingError
from dlgmgmt.sip.grammar import Via
from dlgmgmt.sip.guard import Guard, Source, Verdict
from dlgmgmt.sip.held import Holder
from dlgmgmt.sip.hop import Router
from dlgmgmt.sip.loading import REFUSE, LoadGate
from dlgmgmt.sip.locate import Locator
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.orphans import Orphans
from dlgmgmt.sip.outgoing import Outgoing, loop_mark
from dlgmgmt.sip.pending import PendingRequest
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.renumber import as_sent
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.sip.source import default_port, mark_source
from dlgmgmt.sip.stack import ServerKey, TransactionStack, server_key
from dlgmgmt.sip.stateless import Stateless
from dlgmgmt.sip.targets import followed, routed
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.transaction import ServerTransaction, TxState
from dlgmgmt.sip.validate import check_request, check_target

_QUIET = Quiet(logging.getLogger(__name__))

_KEEPALIVE = b"\r\n\0 "


class Proxy:
    """Takes datagrams, finds their transaction or makes one, and forwards.

    It is also the ``Core`` that contexts and the terminator work with. ``terminator`` is set
    right after construction, for the two need each other.
    """

    terminator: Terminator

    def __init__(
        self,
        settings: SipSettings,
        dialog_settings: DialogSettings,
        stack: TransactionStack,
        locator: Locator,
        tracker: Tracker,
    ) -> None:
        self.settings = settings
        self.stack = stack
        self.locator = locator
        self.counters = Counters()
        self.holder = Holder(stack)
        self.guard = Guard(settings, locator.sockets, stack.monotonic)
        self.loading = LoadGate(tracker)
        self.orphans = Orphans(tracker.table, locator)
        self._stateless = Stateless(stack.new_tag())
        router = Router(locator.sockets, settings.routes, dialog_settings.rr_param)
        self.forwarder = Forwarder(self, router, tracker)

    def use(self, settings: SipSettings) -> None:
        """Work with other settings from the next message on."""
        self.settings = settings
        self.guard.use(settings)
        self.forwarder.router.use(settings.routes)

    # -- input ---------------------------------------------------------------------------------

    def receive(
        self, data: bytes, source: Address, sock: Transport, stream: StreamFlow | None = None
    ) -> None:
        """One message. Nothing that it holds may raise beyond here.

        stream: the way back, if it came on a connection.
        """
        sender = self.guard.admit(sock, source[0], data)
        if sender is None:
            return
        if sock.tap is not None:
            # Not before the guard: a flood would push the calls out of what is kept.
            sock.tap.received(sock, source, data)
        try:
            msg = Message(data)
        except NotSip:
            if data.strip(_KEEPALIVE):
                self.counters.not_sip += 1
                _QUIET.info("not SIP: %d bytes from %s", len(data), source)
            return
        try:
            if msg.status:
                self._reply(msg, source, stream)
            else:
                self._request(msg, source, sock, stream, sender)
        except Exception:  # noqa: BLE001 - logged
            # A fault of this program must not take the daemon down with one message.
            self.counters.errors += 1
            _QUIET.exception("failed on %s from %s", msg.method or msg.status, source)

    def unreadable(self, error: FramingError, stream: StreamFlow) -> None:
        """A connection is closed because of what came on it; what could be read is answered."""
        self.counters.bad_requests += 1
        _QUIET.info("%s: %s:%d: %s", stream.transport.name, *stream.peer, error)
        try:
            msg = Message(error.message or b"")
            if msg.status or msg.method == "ACK" or "via" not in msg.names:
                return
            mark_source(msg, msg.top_via(), stream.peer)
            self._refuse(msg, error.status, str(error), stream)
        except (NotSip, BadMessage):
            return
        except Exception:  # noqa: BLE001 - logged
            self.counters.errors += 1
            _QUIET.exception("failed on what %s:%d has sent", *stream.peer)

    def unreachable(self, data: bytes, addr: Address) -> None:
        """ICMP says that a datagram for ``addr`` came to nobody; data: what it repeats of it.

        Whoever invents such errors does not know the branch.
        """
        sent = self.stack.match_sent(data)
        if sent is not None and sent.flow.peer == addr and not sent.flow.transport.reliable:
            try:
                sent.unreachable()
            except Exception:  # noqa: BLE001 - logged
                self.counters.errors += 1
                _QUIET.exception("failed on an error from %s:%d", *addr)

    def _reply(self, msg: Message, source: Address, stream: StreamFlow | None) -> None:
        self.counters.replies += 1
        msg.source = source
        try:
            if msg.defect is not None:
                raise msg.defect
            msg.to_tag  # noqa: B018 - contexts rely on a readable To
            transaction = self.stack.match_reply(msg)
        except BadMessage as error:
            self.counters.bad_replies += 1
            _QUIET.info("reply dropped: %s", error)
            return
        if transaction is None:
            # RFC 6026 8.9: a reply that matches no transaction is not forwarded.
            self.counters.stray_replies += not self.orphans.take(msg)
            return
        if isinstance(transaction.user, Branch) and _has_lone_via(msg):
            # 16.7 point 3: it says of itself that it is for nobody behind this proxy.
            self.counters.bad_replies += 1
            _QUIET.info("reply dropped: no Via but the own")
            return
        if stream is not None and transaction.method == "INVITE" and msg.status > 100:
            # It finds its way by its Via alone, and may have no Call-ID.
            callid = msg.get("call-id")
            if callid:
                stream.carries(callid)
        transaction.receive(msg)

    def _request(
        self,
        msg: Message,
        source: Address,
        sock: Transport,
        stream: StreamFlow | None,
        sender: Source,
    ) -> None:
        self.counters.requests += 1
        peer = msg.source = source
        try:
            via = msg.top_via()
            peer = mark_source(msg, via, source)
            check_request(msg)
            if stream is None:
                flow = sock.flow(peer)
            else:
                # rport is the connection's own (RFC 3581 is of datagrams); 18.2.2: the sent-by's.
                peer = source[0], via.port or default_port(via)
                flow = stream.back_to(peer)
                if "alias" in via.params and grammar.param(via.params, "alias") is not None:
                    stream.alias(peer, via.host)
                if msg.method == "INVITE":
                    stream.carries(msg.callid)
            self._match_request(msg, via, flow, sender)
        except BadMessage as error:
            # What the start line lacks says more than the Via that goes with it.
            fault = msg.defect or error
            self.counters.bad_requests += 1
            _QUIET.info("%s from %s: %s", msg.method, source, fault)
            # Without a Via there is nobody to answer.
            if (
                msg.method != "ACK"
                and "via" in msg.names
                and self.guard.begins(sender) is not Verdict.DROP
            ):
                flow = sock.flow(peer) if stream is None else stream.back_to(peer)
                self._refuse(msg, fault.status, fault.reason, flow)

    def _refuse(self, msg: Message, status: int, reason: str, flow: Flow) -> None:
        """Answer without a transaction, for a request that could not get one."""
        server = self.settings.server_header
        self._stateless.answer(msg, flow, status, server=server, reason=reason)

    def _match_request(self, msg: Message, via: Via, flow: Flow, sender: Source) -> None:
        method = msg.method
        key = server_key(msg, via, "INVITE" if method == "ACK" else method)
        known = self.stack.servers.get(key)
        if method == "ACK":
            if known is not None and known.state is not TxState.ACCEPTED:
                known.ack()
            elif not self._stateless.is_mine(msg) and self._is_welcome(msg, via, sender):
                self._ack(msg, flow.transport)
            return
        if known is not None:
            self.counters.retransmissions += 1
            known.retransmitted()
            return
        if not self._takes(msg, via, flow, sender):
            return
        if method == "CANCEL":
            self._cancel(msg, via, key, flow, sender)
            return
        if self.loading.active and not self._is_ready(msg):
            self.loading.refused += 1
            self._wait(msg, flow, self.loading.retry_after)
            return
        server_tx = self.stack.new_server(key, msg, flow, sender)
        if not self.holder.waiting or not self._delayed(msg, server_tx):
            self._forward(msg, server_tx)

    def _delayed(self, msg: Message, server_tx: ServerTransaction) -> bool:
        """Whether a request comes from a callee whose answer is held back: it has to follow it."""
        try:
            found = self.forwarder.find(msg) if msg.to_tag else None
        except BadMessage:
            # It is refused in its turn, which is now.
            return False
        context = found[0].transaction if found is not None and found[1] else None
        return isinstance(context, ResponseContext) and context.delays(
            functools.partial(self._forward, msg, server_tx)
        )

    def _forward(self, msg: Message, server_tx: ServerTransaction) -> None:
        try:
            self.forwarder.request(msg, server_tx)
        except BadMessage as error:
            _QUIET.info("%s callid=%r: %s", msg.method, msg.callid, error)
            self.answer(server_tx, error.status, error.reason)

    def _takes(self, msg: Message, via: Via, flow: Flow, sender: Source) -> bool:
        """Whether a request may have a transaction; it is answered 503 or dropped if not.

        Requests within calls, and CANCELs, pass longer than what begins something.
        """
        most = self.settings.max_transactions
        if msg.method == "CANCEL" or msg.to_tag:
            known = functools.partial(self._is_known, msg, via)
            verdict = self.guard.within(sender, known)
            room = len(self.stack) < most + most // 4
        else:
            verdict = self.guard.begins(sender)
            room = len(self.stack) < most and (msg.method != "INVITE" or self._has_place(msg))
        if verdict is Verdict.PASS:
            if room:
                return True
            self.counters.overload += 1
            _QUIET.warning("%s refused: too many transactions or dialogs", msg.method)
        if verdict is not Verdict.DROP:
            self._wait(msg, flow, self.settings.limits.retry_after)
        return False

    def _wait(self, msg: Message, flow: Flow, seconds: int) -> None:
        """Answer 503 without a transaction."""
        server, extra = self.settings.server_header, f"Retry-After: {seconds}\r\n"
        self._stateless.answer(msg, flow, 503, server=server, extra=extra)

    def _is_ready(self, msg: Message) -> bool:
        """Whether a request can be dealt with while dialogs are being loaded."""
        if self.forwarder.own.knows(msg.callid) or self.forwarder.find(msg) is not None:
            return True
        if msg.to_tag:
            # A BYE that is refused is not said again; whoever said it has hung up.
            return msg.method == "BYE" or self.loading.policy != REFUSE
        if msg.method == "INVITE" or self.loading.policy == REFUSE:
            return False
        # Who asks how the proxy is doing learns that it is not ready.
        hop = self.forwarder.router.preprocess(msg)
        here = hop.own_uri is not None and not hop.own_uri.user
        return msg.method != "OPTIONS" or not (here or msg.max_forwards == 0)

    def _has_place(self, msg: Message) -> bool:
        """Whether the table has room for an INVITE's dialog, if one is made.

        A routing may make none: it finds out when it does.
        """
        routing = self.forwarder.routing
        asks = routing is not None and routing.requests
        return asks or self.forwarder.tracker.table.has_room(msg.callid)

    def _is_welcome(self, msg: Message, via: Via, sender: Source) -> bool:
        """Whether an ACK is to be forwarded; there is no answer to one."""
        known = functools.partial(self._is_known, msg, via)
        return self.guard.within(sender, known, answer=False) is Verdict.PASS

    def _is_known(self, msg: Message, via: Via) -> bool:
        """Whether the call of a request is known here, or the INVITE of a CANCEL."""
        if msg.method == "CANCEL":
            return server_key(msg, via, "INVITE") in self.stack.servers
        return self.forwarder.find(msg) is not None

    def answer(
        self, server: ServerTransaction, status: int, reason: str = "", extra: str = ""
    ) -> None:
        """Answer a request with a reply of the proxy's own; extra: header lines with CRLF."""
        request = server.request
        if request is None:
            return
        data = build.reply(
            request,
            status,
            server=self.settings.server_header if status > 100 else "",
            to_tag=self.stack.new_tag() if status > 100 else "",
            reason=reason,
            extra=extra,
        )
        server.respond(status, data)

    def expired(self, dialog: Dialog) -> None:
        """A dialog's timeout has come: the routing may want to do something before the BYEs."""
        then = functools.partial(self.terminator.expired, dialog)
        routing = self.forwarder.routing
        if routing is None or not routing.timed_out(dialog, then):
            then()

    # -- CANCEL and ACK ------------------------------------------------------------------------

    def _cancel(self, msg: Message, via: Via, key: ServerKey, flow: Flow, sender: Source) -> None:
        """RFC 3261 9.2 and 16.10."""
        invite = self.stack.servers.get(server_key(msg, via, "INVITE"))
        server = self.stack.new_server(key, msg, flow, sender)
        if invite is None:
            self.answer(server, 481)
            return
        self.answer(server, 200)
        context = invite.user
        if isinstance(context, (ResponseContext, PendingRequest)) and not invite.answered:
            context.cancel(msg.lines("reason"))

    def _ack(self, msg: Message, sock: Transport) -> None:
        """The ACK for a 2xx: forwarded end to end, without a transaction (16.11)."""
        hop = self.forwarder.router.preprocess(msg)
        check_target(hop)
        if msg.max_forwards == 0:
            self.counters.stray_acks += 1
            return
        target = routed(hop)
        match = self.forwarder.match(msg, hop)
        target = target or followed(match)
        if target is None:
            self.counters.stray_acks += 1
            return
        outgoing = Outgoing(as_sent(msg, match), hop, sock, "")

        def located(found: Destination | None) -> None:
            if found is not None:
                branch = self.stack.new_branch(loop_mark(msg, hop))
                data = outgoing.build(target, branch, found.sock, found.addr[0])
                found.flow().send(data)
            if match is not None and match.leg is not None:
                self.terminator.acked(match.dialog, match.leg)

        self.locator.locate(target.next_hop, hop.out or sock, located)


def _has_lone_via(msg: Message) -> bool:
    return msg.names.count("via") == 1 and "," not in msg.line("via")
