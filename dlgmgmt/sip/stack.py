"""The transaction tables, all transaction timers, and matching (RFC 3261 17.1.3, 17.2.3)."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Callable

from dlgmgmt.dialog.wheel import Timer, TimerWheel
from dlgmgmt.sip import grammar
from dlgmgmt.sip.flow import Flow
from dlgmgmt.sip.grammar import Via
from dlgmgmt.sip.guard import Source
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.sip.transaction import ClientTransaction, ClientUser, ServerTransaction

_QUIET = Quiet(logging.getLogger(__name__))

TICK = 0.05
"""Resolution of the transaction timers, seconds."""

_COOKIE = "z9hG4bK"

_SENT = re.compile(rb"([A-Z]+) [^\r\n]+\r\nVia: [^\r\n;]+;branch=(z9hG4bK[0-9a-f.]+)[;\r]")

ServerKey = tuple[str, ...]


class TransactionStack:
    """All transactions of the engine; used on the signalling thread alone.

    monotonic: clock in seconds. rng: where branches and tags come from.
    """

    def __init__(
        self, settings: SipSettings, *, monotonic: Callable[[], float], rng: random.Random
    ) -> None:
        self.t1 = settings.t1
        self.t2 = settings.t2
        self.t4 = settings.t4
        self.monotonic = monotonic
        self.wheel = TimerWheel(TICK, monotonic())
        self.servers: dict[ServerKey, ServerTransaction] = {}
        self.clients: dict[tuple[str, str], ClientTransaction] = {}
        self._rng = rng
        self._prefix = f"{rng.getrandbits(40):x}"
        self._count = 0

    def __len__(self) -> int:
        """Transactions alive."""
        return len(self.servers) + len(self.clients)

    # -- for transactions ------------------------------------------------------------------------

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Call ``callback`` in ``seconds``."""
        return self.wheel.set(self.monotonic() + seconds, callback)

    def cancel_timer(self, timer: Timer | None) -> None:
        """Cancel a timer, if it is set."""
        self.wheel.cancel(timer)

    def forget_server(self, transaction: ServerTransaction) -> None:
        """Take a terminated server transaction out."""
        if transaction.source is not None:
            transaction.source.alive -= 1
        self.servers.pop(transaction.key, None)  # type: ignore[call-overload]

    def forget_client(self, transaction: ClientTransaction) -> None:
        """Take a terminated client transaction out."""
        self.clients.pop((transaction.branch, transaction.method), None)

    # -- for the core ----------------------------------------------------------------------------

    def run_timers(self) -> None:
        """Run what is due."""
        for callback in self.wheel.advance(self.monotonic()):
            try:
                callback()
            except Exception:  # noqa: BLE001 - logged
                # The timers that are due with it must still run.
                _QUIET.exception("timer failed")

    def new_branch(self, mark: int) -> str:
        """A branch that no other transaction has; it ends in ``mark`` (see outgoing.loop_mark)."""
        self._count += 1
        return f"{_COOKIE}{self._prefix}{self._count:x}.{mark:x}"

    def new_tag(self) -> str:
        """A To-tag for an own reply, 64 random bits (RFC 3261 19.3)."""
        return f"{self._rng.getrandbits(64):x}"

    def new_server(
        self, key: ServerKey, request: Message, flow: Flow, source: Source | None = None
    ) -> ServerTransaction:
        """Make and keep a server transaction; it counts as one of ``source``."""
        transaction = ServerTransaction(self, key, request, flow)
        if source is not None:
            transaction.source = source
            source.alive += 1
        self.servers[key] = transaction
        return transaction

    def new_client(
        self, branch: str, method: str, data: bytes, flow: Flow, user: ClientUser
    ) -> ClientTransaction:
        """Make and keep a client transaction; the caller starts it."""
        transaction = ClientTransaction(self, branch, method, data, flow, user)
        self.clients[branch, method] = transaction
        return transaction

    def match_sent(self, data: bytes) -> ClientTransaction | None:
        """The client transaction that has sent a request; data: its beginning, as built here."""
        found = _SENT.match(data)
        return self.clients.get((found[2].decode(), found[1].decode())) if found else None

    def match_reply(self, reply: Message) -> ClientTransaction | None:
        """The client transaction that a reply belongs to (17.1.3)."""
        return self.clients.get((reply.via_branch(), reply.cseq[1]))


def server_key(request: Message, via: Via, method: str) -> ServerKey:
    """Where a request's server transaction stands in the table (17.2.3).

    method: the request's own, or INVITE for an ACK or CANCEL that looks for its INVITE.
    """
    branch = grammar.branch_of(via.params)
    # The cookie alone identifies nothing (RFC 4475 3.2.1).
    if len(branch) > 7 and (branch[:7] == _COOKIE or branch[:7].lower() == _COOKIE.lower()):
        return branch, via.host, str(via.port), method
    # RFC 2543 peers: no unique branch. The To-tag stays out, so that an ACK finds its INVITE.
    return (
        request.uri,
        request.from_tag,
        request.callid,
        str(request.cseq[0]),
        request.top_via_text(),
        method,
    )
