"""The proxy core: every datagram comes in here (RFC 3261 section 16)."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass

from dlgmgmt.dialog.did import decode_did
from dlgmgmt.dialog.errors import TableFull
from dlgmgmt.dialog.model import Dialog, DialogInit, Direction
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.states import IllegalEvent
from dlgmgmt.dialog.tracker import Match, Tracker
from dlgmgmt.sip import build, grammar
from dlgmgmt.sip.context import Observer, ResponseContext
from dlgmgmt.sip.errors import BadMessage, NotSip
from dlgmgmt.sip.grammar import Via
from dlgmgmt.sip.hop import Hop, Router, Target, forward_target
from dlgmgmt.sip.locate import Destination, Locator
from dlgmgmt.sip.message import Message, check_request
from dlgmgmt.sip.observe import InviteObserver, RequestObserver
from dlgmgmt.sip.outgoing import Outgoing, has_looped, loop_mark, max_forwards
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.sip.stack import ServerKey, TransactionStack, server_key
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.transaction import ServerTransaction, TxState
from dlgmgmt.sip.transport import Address, UdpSocket
from dlgmgmt.sip.uri import parse_uri

_LOG = logging.getLogger(__name__)

_RPORT = re.compile(r";\s*rport(?=\s*(?:;|$))", re.IGNORECASE)
_DIALOG_METHODS = frozenset({"INVITE", "SUBSCRIBE", "REFER"})
_KEEPALIVE = b"\r\n\0 "


@dataclass(slots=True)
class Counters:
    """What the proxy has seen. Signalling thread only; others may read."""

    requests: int = 0
    replies: int = 0
    not_sip: int = 0
    bad_requests: int = 0
    bad_replies: int = 0
    stray_replies: int = 0
    stray_acks: int = 0
    retransmissions: int = 0
    overload: int = 0
    errors: int = 0


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
        self._dialogs = dialog_settings
        self._tracker = tracker
        self._table = tracker.table
        self._router = Router(locator.sockets, settings.routes, dialog_settings.rr_param)

    # -- input ---------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address, sock: UdpSocket) -> None:
        """One datagram. Nothing that it holds may raise beyond here."""
        try:
            msg = Message(data)
        except NotSip:
            if data.strip(_KEEPALIVE):
                self.counters.not_sip += 1
                _LOG.debug("not SIP: %d bytes from %s", len(data), source)
            return
        try:
            if msg.status:
                self._reply(msg)
            else:
                self._request(msg, source, sock)
        except Exception:  # noqa: BLE001 - logged
            # A fault of this program must not take the daemon down with one message.
            self.counters.errors += 1
            _LOG.exception("failed on %s from %s", msg.method or msg.status, source)

    def _reply(self, msg: Message) -> None:
        self.counters.replies += 1
        try:
            if msg.defect is not None:
                raise msg.defect
            msg.to_tag  # noqa: B018 - contexts rely on a readable To
            transaction = self.stack.match_reply(msg)
        except BadMessage as error:
            self.counters.bad_replies += 1
            _LOG.info("reply dropped: %s", error)
            return
        if transaction is None:
            # RFC 6026 8.9: a reply that matches no transaction is not forwarded.
            self.counters.stray_replies += 1
            return
        transaction.receive(msg)

    def _request(self, msg: Message, source: Address, sock: UdpSocket) -> None:
        self.counters.requests += 1
        peer = source
        try:
            via = msg.top_via()
            peer = self._mark_source(msg, via, source)
            check_request(msg)
            self._match_request(msg, via, peer, sock)
        except BadMessage as error:
            self.counters.bad_requests += 1
            _LOG.info("%s from %s: %s", msg.method, source, error)
            # Without a Via there is nobody to answer.
            if msg.method != "ACK" and "via" in msg.names:
                self._refuse(msg, error.status, error.reason, peer, sock)

    @staticmethod
    def _mark_source(msg: Message, via: Via, source: Address) -> Address:
        """Add received and rport (RFC 3261 18.2.1, RFC 3581 4); returns where replies go."""
        host, port = source
        params = via.params
        rport = "rport" in params.lower() and grammar.param(params, "rport") == ""
        if rport or via.host.strip("[]") != host:
            text = msg.top_via_text()
            if rport:
                text = _RPORT.sub(f";rport={port}", text, count=1)
            msg.set_top_via(f"{text};received={host}")
        return (host, port) if rport else (host, via.port or 5060)

    def _refuse(
        self, msg: Message, status: int, reason: str, peer: Address, sock: UdpSocket
    ) -> None:
        """Answer without a transaction, for a request that could not get one."""
        try:
            tag = "" if msg.to_tag else self.stack.new_tag()
        except BadMessage:
            tag = ""
        server = self.settings.server_header
        data = build.reply(msg, status, server=server, to_tag=tag, reason=reason)
        sock.send(data, peer)

    def _match_request(self, msg: Message, via: Via, peer: Address, sock: UdpSocket) -> None:
        method = msg.method
        key = server_key(msg, via, "INVITE" if method == "ACK" else method)
        known = self.stack.servers.get(key)
        if method == "ACK":
            if known is not None and known.state is not TxState.ACCEPTED:
                known.ack()
            else:
                self._ack(msg, sock)
            return
        if known is not None:
            self.counters.retransmissions += 1
            known.retransmitted()
            return
        if len(self.stack) >= self.settings.max_transactions:
            self.counters.overload += 1
            server = self.settings.server_header
            sock.send(build.reply(msg, 503, server=server, extra="Retry-After: 5\r\n"), peer)
            return
        if method == "CANCEL":
            self._cancel(msg, via, key, peer, sock)
            return
        server_tx = self.stack.new_server(key, msg, peer, sock)
        try:
            self._forward(msg, server_tx)
        except BadMessage as error:
            _LOG.info("%s callid=%r: %s", method, msg.callid, error)
            self._answer(server_tx, error.status, error.reason)

    def _answer(
        self, server: ServerTransaction, status: int, reason: str = "", extra: str = ""
    ) -> None:
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

    # -- CANCEL and ACK ------------------------------------------------------------------------

    def _cancel(
        self, msg: Message, via: Via, key: ServerKey, peer: Address, sock: UdpSocket
    ) -> None:
        """RFC 3261 9.2 and 16.10."""
        invite = self.stack.servers.get(server_key(msg, via, "INVITE"))
        server = self.stack.new_server(key, msg, peer, sock)
        if invite is None:
            self._answer(server, 481)
            return
        self._answer(server, 200)
        context = invite.user
        if isinstance(context, ResponseContext) and not invite.answered:
            context.cancel(msg.lines("reason"))

    def _ack(self, msg: Message, sock: UdpSocket) -> None:
        """The ACK for a 2xx: forwarded end to end, without a transaction (16.11)."""
        hop = self._router.preprocess(msg)
        text = msg.get("max-forwards")
        if text is not None and max_forwards(text) == 0:
            self.counters.stray_acks += 1
            return
        target = _routed(hop)
        match = self._within(msg, hop)
        target = target or _followed(match)
        if target is None:
            self.counters.stray_acks += 1
            return
        outgoing = Outgoing(msg, hop, sock, "")

        def located(found: Destination | None) -> None:
            if found is not None:
                out, addr = found
                branch = self.stack.new_branch(loop_mark(msg, hop))
                out.send(outgoing.build(target, branch, out, addr[0]), addr)
            if match is not None and match.leg is not None:
                self.terminator.acked(match.dialog, match.leg)

        self.locator.locate(target.next_hop, sock, located)

    # -- requests ------------------------------------------------------------------------------

    def _forward(self, msg: Message, server: ServerTransaction) -> None:
        """Validate (16.3), preprocess (16.4), find targets (16.5) and forward (16.6)."""
        text = msg.get("max-forwards")
        if text is not None and max_forwards(text) == 0:
            raise BadMessage(483, "Too Many Hops")
        unsupported = msg.all("proxy-require")
        if unsupported:
            extra = f"Unsupported: {', '.join(unsupported)}\r\n"
            self._answer(server, 420, extra=extra)
            return
        hop = self._router.preprocess(msg)
        mark = loop_mark(msg, hop)
        if has_looped(msg, mark, self.locator.sockets):
            raise BadMessage(482, "Loop Detected")
        if msg.to_tag:
            self._forward_within(msg, hop, mark, server)
        else:
            self._forward_initial(msg, hop, mark, server)

    def _within(self, msg: Message, hop: Hop) -> Match | None:
        did = hop.did if hop.did and decode_did(hop.did) else None
        try:
            return self._tracker.request(
                did, msg.callid, msg.from_tag, msg.to_tag, msg.method, msg.cseq[0]
            )
        except IllegalEvent as error:
            _LOG.info("callid=%r: %s", msg.callid, error)
            return None

    def _forward_within(self, msg: Message, hop: Hop, mark: int, server: ServerTransaction) -> None:
        # What can be refused is read before the dialog hears of the request.
        contact = _contact(msg)
        target = _routed(hop)
        match = self._within(msg, hop)
        observer: Observer | None = None
        if match is not None:
            observer = RequestObserver(match, msg.method, contact, self._tracker)
        target = target or _followed(match)
        if target is None:
            self._answer(server, 481)
            if observer is not None:
                observer.on_finished()
            return
        if msg.method == "INVITE":
            self._answer(server, 100)
        outgoing = Outgoing(msg, hop, server.sock, "")
        context = ResponseContext(self, server, outgoing, mark, observer)
        server.user = context
        context.start([target], parallel=True)

    def _forward_initial(
        self, msg: Message, hop: Hop, mark: int, server: ServerTransaction
    ) -> None:
        targets, parallel = self._targets(msg, hop)
        if not targets:
            if msg.method == "OPTIONS" and hop.own_uri is not None and not hop.own_uri.user:
                # RFC 3261 11: addressed to the proxy itself.
                extra = "Accept: */*\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS\r\nSupported: \r\n"
                self._answer(server, 200, extra=extra)
            else:
                self._answer(server, 404)
            return
        record = ""
        observer: Observer | None = None
        dialog: Dialog | None = None
        if msg.method == "INVITE":
            opened = self._open_dialog(msg, server)
            if opened is None:
                return
            dialog, new = opened
            record = f"lr;{self._dialogs.rr_param}={dialog.did}"
            self._answer(server, 100)
            if new:
                observer = InviteObserver(dialog, self._tracker, self._router, self.terminator)
        elif msg.method in _DIALOG_METHODS:
            record = "lr"
        outgoing = Outgoing(msg, hop, server.sock, record)
        context = ResponseContext(self, server, outgoing, mark, observer)
        server.user = context
        if dialog is not None and observer is not None:
            dialog.transaction = context
        context.start(targets[: self.settings.max_branches], parallel=parallel)

    def _targets(self, msg: Message, hop: Hop) -> tuple[list[Target], bool]:
        if hop.routes:
            return [forward_target(hop.uri, hop.routes)], True
        uri = hop.own_uri
        if uri is None or uri.user or msg.method != "OPTIONS":
            parsed = uri or parse_uri(hop.uri)
            found = self._router.targets(parsed)
            if found is not None:
                uris, parallel = found
                return [Target(uri, ()) for uri in uris], parallel
        return ([], True) if uri is not None else ([Target(hop.uri, ())], True)

    def _open_dialog(self, msg: Message, server: ServerTransaction) -> tuple[Dialog, bool] | None:
        init = DialogInit(
            callid=msg.callid,
            from_tag=msg.from_tag,
            from_uri=msg.from_uri,
            to_uri=msg.to_uri,
            req_uri=msg.uri,
            cseq=msg.cseq[0],
            contact=_contact(msg),
            route_set=tuple(msg.all("record-route")),
            bind_addr=server.sock.name,
            lifetime=self._dialogs.default_timeout,
        )
        try:
            return self._table.open(init)
        except TableFull as error:
            self.counters.overload += 1
            _LOG.warning("INVITE refused: %s", error)
            self._answer(server, 503, extra="Retry-After: 5\r\n")
            return None


def _contact(msg: Message) -> str:
    return msg.contact_uri


def _routed(hop: Hop) -> Target | None:
    """Where a sequential request says that it goes; None if that is here. Raises BadMessage."""
    if hop.routes or hop.own_uri is None:
        return forward_target(hop.uri, hop.routes)
    return None


def _followed(match: Match | None) -> Target | None:
    """Where the dialog says that a request for this address goes; None if it does not know.

    A peer that ignores Record-Route sends to us what is meant for the other side.
    """
    if match is None or match.leg is None:
        return None
    if match.direction is Direction.DOWNSTREAM:
        uri, routes = match.leg.callee_contact, match.leg.callee_route_set
    else:
        uri, routes = match.dialog.caller_contact, match.dialog.caller_route_set
    try:
        return forward_target(uri, routes) if uri else None
    except BadMessage:
        return None
