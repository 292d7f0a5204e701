"""A bridge: the daemon calls one phone, on hold, and has it call another by REFER.

It is a user agent here, with a dialog of its own that is not in the dialog table. The phones'
call is an ordinary one, which comes through this proxy or does not.
"""

from __future__ import annotations

import functools
import logging
from typing import NamedTuple, Protocol

from dlgmgmt.dialog.wheel import Timer
from dlgmgmt.sip import build, grammar
from dlgmgmt.sip.bound import host_text
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Destination, transport_param
from dlgmgmt.sip.forward import ForwardCore
from dlgmgmt.sip.hop import Hop
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.own_requests import Ack, InDialogSender, Party
from dlgmgmt.sip.refer_watch import ReferWatch, read_notice
from dlgmgmt.sip.transaction import ClientTransaction, ServerTransaction

_LOG = logging.getLogger(__name__)

MAX_ANSWERS = 32
"""2xx of one INVITE from different phones that are told to hang up."""

_FIRST_CSEQ = 10
_ALLOW = "Allow: INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY\r\n"


class Order(NamedTuple):
    """Call ``from_uri`` and refer it to ``to_uri``. proxy: URI of an outbound proxy, or ""."""

    from_uri: str
    to_uri: str
    proxy: str


class BridgeUser(Protocol):
    """Whoever keeps the bridges.

    controller: URI of the From. contact_user: user part of the Contact. headers: of own requests.
    """

    contact_user: str
    controller: str
    headers: str
    sender: InDialogSender

    def changed(self, bridge: Bridge, state: str, detail: str) -> None:
        """A bridge has gone on."""

    def closed(self, bridge: Bridge) -> None:
        """Nothing is left of a bridge but late answers."""


class Bridge:
    """One bridge, from the INVITE to the last reply. Signalling thread only.

    targets: where to call, one after the other. number: of its record. callid: of its dialog.
    """

    __slots__ = (
        "_acks",
        "_cancelled",
        "_contact",
        "_core",
        "_cseq",
        "_hung_up",
        "_invite",
        "_order",
        "_over",
        "_party",
        "_tag",
        "_targets",
        "_timer",
        "_user",
        "_watch",
        "callid",
        "number",
    )

    def __init__(
        self,
        user: BridgeUser,
        core: ForwardCore,
        number: int,
        order: Order,
        targets: list[str],
        callid: str,
    ) -> None:
        self._user = user
        self._core = core
        self.number = number
        self.callid = callid
        self._order = order
        self._targets = targets
        self._tag = core.stack.new_tag()
        self._contact = ""
        self._cseq = _FIRST_CSEQ - 1
        self._invite: ClientTransaction | None = None
        self._cancelled = False
        # Timer C while it rings, then how long the cancelled INVITE is waited for.
        self._timer: Timer | None = None
        self._acks: dict[str, Ack | None] = {}
        self._party: Party | None = None
        self._watch: ReferWatch | None = None
        # The phone has hung up by itself.
        self._hung_up = False
        # It has come to its end, and only cleans up.
        self._over = False

    # -- the INVITE ------------------------------------------------------------------------------

    def call(self) -> None:
        """Call the next target."""
        if not self._targets:
            self._refused("unroutable")
            return
        target = self._targets.pop(0)
        next_hop = self._order.proxy or target
        self._core.locator.locate(next_hop, None, functools.partial(self._located, target))

    def _located(self, target: str, found: Destination | None) -> None:
        if found is None:
            self._refused("unreachable")
            return
        sock = found.sock
        stack = self._core.stack
        host = host_text(sock.address_towards(found.addr[0]))
        where = f"{host}:{sock.port}{transport_param(sock)}"
        self._contact = f"sip:{self._user.contact_user}@{where}"
        self._cseq += 1
        branch = stack.new_branch(0)
        data = build.initial_request(
            "INVITE",
            uri=target,
            via=self._user.sender.via(found, branch),
            from_uri=self._user.controller,
            from_tag=self._tag,
            to_uri=self._order.from_uri,
            callid=self.callid,
            cseq=self._cseq,
            agent=self._core.settings.server_header,
            extra=(
                f"Contact: <{self._contact}>\r\n{_ALLOW}{self._user.headers}"
                "Content-Type: application/sdp\r\n"
            ),
            body=_on_hold(host),
        )
        invite = stack.new_client(branch, "INVITE", data, found.flow(), self)
        self._invite = invite
        if not invite.start():
            self._refused("unreachable")

    def on_reply(self, transaction: ClientTransaction, reply: Message) -> None:
        """A reply to an INVITE."""
        status = reply.status
        if 200 <= status < 300:
            self._answered(transaction, reply)
        elif transaction is not self._invite:
            return
        elif status >= 300:
            self._refused(str(status))
        elif not self._over:
            if self._timer is None:
                # Whoever calls decides how long it may ring: here it is timer C.
                self._timer = self._core.stack.after(self._core.settings.timer_c, self._no_answer)
            if status > 100:
                self._user.changed(self, "ringing", str(status))

    def on_timeout(self, transaction: ClientTransaction) -> None:
        """Nobody is there."""
        if transaction is self._invite:
            self._refused("timeout")

    def _refused(self, why: str) -> None:
        """The INVITE has failed on this target."""
        self._stop_timer()
        self._invite = None
        if self._cancelled:
            self._close()
        elif self._targets and not why.startswith("6"):
            self.call()
        else:
            self._end("failed", f"INVITE {why}")
            self._close()

    def _no_answer(self) -> None:
        self._timer = None
        self._end("failed", "no answer")
        invite = self._invite
        if invite is None:
            self._close()
            return
        self._cancelled = True
        stack = self._core.stack
        data = build.hop_request(Message(invite.data), "CANCEL")
        stack.new_client(invite.branch, "CANCEL", data, invite.flow, _NOBODY).start()
        # 9.1: without a final reply in 64*T1 the INVITE counts as cancelled.
        self._timer = stack.after(64 * stack.t1, self._abandon)

    def _abandon(self) -> None:
        if self._invite is not None:
            self._invite.terminate()
        self._refused("cancelled")

    def _answered(self, transaction: ClientTransaction, reply: Message) -> None:
        tag = reply.to_tag
        if tag in self._acks:
            ack = self._acks[tag]
            if ack is not None:
                ack.again()
            return
        if len(self._acks) >= MAX_ANSWERS:
            return
        self._acks[tag] = None
        party = self._read(transaction, reply)
        self._user.sender.ack(party, reply.cseq[0], functools.partial(self._acks.__setitem__, tag))
        if self._party is not None or transaction is not self._invite:
            # Another phone has answered as well.
            self._hang_up(party)
            return
        self._stop_timer()
        self._party = party
        if self._cancelled:
            self._hang_up(party, last=True)
        else:
            self._refer(party)

    def _read(self, transaction: ClientTransaction, reply: Message) -> Party:
        """The dialog that a 2xx makes (RFC 3261 12.1.2)."""
        try:
            target = reply.contact_uri
            routes = tuple(reversed(reply.all("record-route")))
            for route in routes[:1]:
                grammar.name_addr(route, "Record-Route")
        except BadMessage:
            target, routes = "", ()
        return Party(
            self.callid,
            self._user.controller,
            self._tag,
            self._order.from_uri,
            reply.to_tag,
            # Where it answered from is where it can be told to hang up.
            target or _uri_of(transaction),
            routes,
            transaction.flow.transport.name,
        )

    # -- the REFER -------------------------------------------------------------------------------

    def _refer(self, party: Party) -> None:
        self._user.changed(self, "answered", "")
        watch = self._watch = ReferWatch(self._core.stack, self._referred)
        self._user.sender.send(
            "REFER",
            party,
            lambda: watch.numbered(self._next_cseq()),
            f"Refer-To: <{self._order.to_uri}>\r\nReferred-By: <{self._user.controller}>\r\n"
            f"Contact: <{self._contact}>\r\n{self._user.headers}",
            functools.partial(self._refer_replied, watch),
        )

    def _refer_replied(self, watch: ReferWatch, outcome: str) -> None:
        if watch.open and outcome.startswith("2"):
            self._user.changed(self, "referred", "")
        watch.replied(outcome)

    def _referred(self, success: bool, text: str) -> None:  # noqa: FBT001 - as ReferWatch calls it
        self._end("done" if success else "failed", text)
        if self._hung_up or self._party is None:
            self._close()
        else:
            self._hang_up(self._party, last=True)

    def _next_cseq(self) -> int:
        self._cseq += 1
        return self._cseq

    # -- the end ---------------------------------------------------------------------------------

    def _hang_up(self, party: Party, *, last: bool = False) -> None:
        done = self._bye_replied if last else _ignore
        self._user.sender.send("BYE", party, self._next_cseq, self._user.headers, done)

    def _bye_replied(self, outcome: str) -> None:
        _LOG.info("bridge %d callid=%r: BYE %s", self.number, self.callid, outcome)
        self._close()

    def _end(self, state: str, detail: str) -> None:
        self._over = True
        self._user.changed(self, state, detail)

    def _stop_timer(self) -> None:
        self._core.stack.cancel_timer(self._timer)
        self._timer = None

    def _close(self) -> None:
        self._stop_timer()
        self._user.closed(self)

    # -- requests of the phone -------------------------------------------------------------------

    def take(self, msg: Message, hop: Hop, server: ServerTransaction) -> bool:
        """Answer a request that has come to its end here.

        The bridge's own may pass on their way to the phone, and the phone's on their way to a
        proxy in between, or because this proxy has recorded its route: then its dialog hears of
        them first.
        """
        if msg.to_tag != self._tag or hop.routes or hop.did is not None:
            return False
        party, answer = self._party, self._core.answer
        if party is None or msg.from_tag != party.to_tag:
            answer(server, 481)
        elif msg.method == "BYE":
            answer(server, 200)
            self._phone_hung_up()
        elif msg.method == "NOTIFY":
            self._notified(msg, server)
        elif msg.method == "OPTIONS":
            answer(server, 200, extra=f"Accept: application/sdp\r\n{_ALLOW}")
        elif msg.method in ("INVITE", "UPDATE"):
            answer(server, 488)
        else:
            answer(server, 405, extra=_ALLOW)
        return True

    def _notified(self, msg: Message, server: ServerTransaction) -> None:
        notice, watch = read_notice(msg), self._watch
        if notice is None or watch is None:
            self._core.answer(server, 489)
        elif not watch.is_for(notice):
            self._core.answer(server, 481)
        else:
            self._core.answer(server, 200)
            if watch.open and notice.status:
                self._user.changed(self, "referred", str(notice.status))
            watch.notified(notice)

    def _phone_hung_up(self) -> None:
        watch = self._watch
        if self._hung_up or watch is None or not watch.open:
            return
        self._hung_up = True
        # RFC 5057: the subscription outlives the call, so the outcome can still be told.
        if not watch.accepted:
            watch.stop()
            self._end("failed", "hung up")
            self._close()


class _Nobody:
    """The user of a CANCEL, whose reply says nothing that the INVITE's does not."""

    def on_reply(self, transaction: ClientTransaction, reply: Message) -> None:
        """Nothing to do."""

    def on_timeout(self, transaction: ClientTransaction) -> None:
        """Nothing to do."""


_NOBODY = _Nobody()


def _ignore(outcome: str) -> None:
    """The outcome of a BYE that nobody waits for."""


def _uri_of(transaction: ClientTransaction) -> str:
    host, port = transaction.flow.peer
    return f"sip:{host_text(host)}:{port}{transport_param(transaction.flow.transport)}"


def _on_hold(host: str) -> str:
    """An offer that nobody can send media to (RFC 3264 8.4); host: of the own socket, as text."""
    where = "IN IP6 ::" if host.startswith("[") else "IN IP4 0.0.0.0"
    lines = [
        "v=0",
        f"o=dlgmgmt 1 1 {where}",
        "s=-",
        f"c={where}",
        "t=0 0",
        "m=audio 9 RTP/AVP 0 8",
        "a=rtpmap:0 PCMU/8000",
        "a=rtpmap:8 PCMA/8000",
        "a=inactive",
        "",
    ]
    return "\r\n".join(lines)
