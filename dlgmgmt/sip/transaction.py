"""Transactions: the four state machines of RFC 3261 section 17, with RFC 6026.

They do no I/O of their own: a :class:`Stack` gives them the clock and the timers, and takes them
in and out of its tables; what they send goes out on their flow. Over a reliable transport nothing
is sent again, and what only waits for retransmissions ends at once (timers D, I, J and K of zero).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import Protocol, runtime_checkable

from dlgmgmt.dialog.wheel import Timer
from dlgmgmt.sip import build
from dlgmgmt.sip.flow import Flow
from dlgmgmt.sip.guard import Source
from dlgmgmt.sip.message import Message

GRACE = 4
"""Multiples of T1 that an answer may take when the connection of the request has been closed.

T1 is about a round trip: a new connection with TLS takes up to three, the answer half of one.
"""


class TxState(Enum):
    """Names of RFC 3261 17 and RFC 6026."""

    CALLING = "calling"
    TRYING = "trying"
    PROCEEDING = "proceeding"
    ACCEPTED = "accepted"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    TERMINATED = "terminated"


class Stack(Protocol):
    """What transactions need. t1, t2, t4: seconds (RFC 3261 17.1.1.1)."""

    t1: float
    t2: float
    t4: float

    def after(self, seconds: float, callback: Callable[[], None]) -> Timer:
        """Set a timer."""

    def cancel_timer(self, timer: Timer | None) -> None:
        """Cancel a timer, if it is set."""

    def forget_server(self, transaction: ServerTransaction) -> None:
        """Take a terminated server transaction out of the table."""

    def forget_client(self, transaction: ClientTransaction) -> None:
        """Take a terminated client transaction out of the table."""


class ServerTransaction:
    """A server transaction (17.2.1 for INVITE, 17.2.2 otherwise).

    key: its place in the stack's table. flow: where replies go. source: whose limits it counts
    for. user: the core's response context. on_ack: called when an ACK confirms a non-2xx final
    reply.
    """

    __slots__ = (
        "_interval",
        "_reply",
        "_stack",
        "_timer",
        "_timer_g",
        "flow",
        "invite",
        "key",
        "on_ack",
        "request",
        "source",
        "state",
        "user",
    )

    def __init__(self, stack: Stack, key: object, request: Message, flow: Flow) -> None:
        self._stack = stack
        self.key = key
        self.request: Message | None = request
        self.flow = flow
        self.source: Source | None = None
        self.invite = request.method == "INVITE"
        self.state = TxState.PROCEEDING if self.invite else TxState.TRYING
        self.user: object | None = None
        self.on_ack: Callable[[], None] | None = None
        self._reply = b""
        self._timer: Timer | None = None
        self._timer_g: Timer | None = None
        self._interval = 0.0

    @property
    def answered(self) -> bool:
        """Whether a final reply has been sent."""
        return self.state not in (TxState.TRYING, TxState.PROCEEDING)

    def retransmitted(self) -> None:
        """The request came again."""
        # RFC 6026 7.1: in Accepted it is absorbed; the 2xx is the UAS core's to retransmit.
        if self._reply and self.state in (TxState.PROCEEDING, TxState.COMPLETED):
            self.flow.send(self._reply)

    def respond(self, status: int, data: bytes) -> bool:
        """Send a reply; False if the state allows none (a final one was sent)."""
        if self.state is TxState.ACCEPTED:
            # Further 2xx, and their retransmissions, pass (RFC 6026 8.5).
            return 200 <= status < 300 and self.flow.send(data)
        if self.answered:
            return False
        self.flow.send(data)
        if status < 200:
            self.state = TxState.PROCEEDING
            self._reply = data
            return True
        # What is left of the transaction's life needs neither: thousands wait for their timers.
        self.request = self.user = None
        lifetime = 64 * self._stack.t1
        if self.invite and status < 300:
            self.state = TxState.ACCEPTED
            self._reply = b""
            self._timer = self._stack.after(lifetime, self.terminate)  # timer L
            return True
        self.state = TxState.COMPLETED
        reliable = self.flow.transport.reliable
        if reliable and not self.invite:
            self.terminate()  # timer J
            return True
        self._reply = data
        self._timer = self._stack.after(lifetime, self.terminate)  # timer H, timer J
        if self.invite and not reliable:
            self._interval = self._stack.t1
            self._timer_g = self._stack.after(self._interval, self._timer_g_fired)
        return True

    def _timer_g_fired(self) -> None:
        self.flow.send(self._reply)
        self._interval = min(2 * self._interval, self._stack.t2)
        self._timer_g = self._stack.after(self._interval, self._timer_g_fired)

    def ack(self) -> None:
        """An ACK with this transaction's branch."""
        if self.state is not TxState.COMPLETED or not self.invite:
            return
        self.state = TxState.CONFIRMED
        self._cancel_timers()
        on_ack = self.on_ack
        if self.flow.transport.reliable:
            self.terminate()  # timer I
        else:
            self._timer = self._stack.after(self._stack.t4, self.terminate)  # timer I
        if on_ack is not None:
            on_ack()

    def _cancel_timers(self) -> None:
        self._stack.cancel_timer(self._timer)
        self._stack.cancel_timer(self._timer_g)
        self._timer = self._timer_g = None

    def terminate(self) -> None:
        """End the transaction and let go of everything."""
        if self.state is TxState.TERMINATED:
            return
        self.state = TxState.TERMINATED
        self._cancel_timers()
        self._stack.forget_server(self)
        self.request = self.user = self.on_ack = None


class ClientUser(Protocol):
    """The core that a client transaction reports to."""

    def on_reply(self, transaction: ClientTransaction, reply: Message) -> None:
        """A reply came; retransmissions of a final one are not reported, further 2xx are."""

    def on_timeout(self, transaction: ClientTransaction) -> None:
        """Timer B or F fired: nobody answered. Or the connection broke: ``transaction.broken``."""


@runtime_checkable
class Mover(Protocol):
    """A user that may try another server."""

    @property
    def can_move(self) -> bool:
        """Whether there is one."""


class ClientTransaction:
    """A client transaction (17.1.1 for INVITE, 17.1.2 otherwise).

    data: the request as sent. flow: where to. broken: whether the transport failed (8.1.3.1).
    """

    __slots__ = (
        "_ack",
        "_interval",
        "_retransmit",
        "_stack",
        "_timeout",
        "branch",
        "broken",
        "data",
        "flow",
        "method",
        "state",
        "user",
    )

    def __init__(
        self,
        stack: Stack,
        branch: str,
        method: str,
        data: bytes,
        flow: Flow,
        user: ClientUser,
    ) -> None:
        self._stack = stack
        self.branch = branch
        self.method = method
        self.data = data
        self.flow = flow
        self.broken = False
        self.user: ClientUser | None = user
        self.state = TxState.CALLING if method == "INVITE" else TxState.TRYING
        self._interval = stack.t1
        self._retransmit: Timer | None = None
        self._timeout: Timer | None = None
        self._ack = b""

    def start(self) -> bool:
        """Send the request and start timers A and B, or E and F; False if it cannot be sent."""
        if not self.flow.send(self.data, self._broke):
            self.state = TxState.TERMINATED
            self._stack.forget_client(self)
            self.user = None
            return False
        if not self.flow.transport.reliable:
            self._retransmit = self._stack.after(self._interval, self._again)
        self._timeout = self._stack.after(64 * self._stack.t1, self._timed_out)
        return True

    def _again(self) -> None:
        self.flow.send(self.data)
        self._interval *= 2
        if self.state is not TxState.CALLING:
            # Timer E: capped at T2, and T2 itself once a provisional came (17.1.2.2).
            proceeding = self.state is TxState.PROCEEDING
            self._interval = self._stack.t2 if proceeding else min(self._interval, self._stack.t2)
        self._retransmit = self._stack.after(self._interval, self._again)

    def unreachable(self) -> None:
        """The network says that the request came to nobody (18.4).

        Where there is nobody else it is sent again as ever: a server may be starting anew.
        """
        user: object = self.user
        if isinstance(user, Mover) and user.can_move:
            self._broke(ended=False)

    def _broke(self, *, ended: bool) -> None:
        """The connection is lost, and no answer has come. ended: the peer has closed it."""
        if self.state not in (TxState.CALLING, TxState.TRYING):
            return
        self.broken = True
        self._cancel_timers()
        if ended:
            # It may have read the request before, and answer over another connection (18.2.2).
            self._timeout = self._stack.after(GRACE * self._stack.t1, self._timed_out)
        else:
            self._timed_out()

    def _answered_elsewhere(self) -> None:
        """A reply has come though its connection is closed: it is waited for as ever."""
        self.broken = False
        self._cancel_timers()
        self._timeout = self._stack.after(64 * self._stack.t1, self._timed_out)

    def _timed_out(self) -> None:
        user = self.user
        self.terminate()
        if user is not None:
            user.on_timeout(self)

    def receive(self, reply: Message) -> None:
        """A reply with this transaction's branch and method."""
        if self.flow.transport.reliable:
            self.flow.settled(self._broke)
            if self.broken:
                self._answered_elsewhere()
        if self.method == "INVITE":
            self._receive_invite(reply)
        else:
            self._receive_other(reply)

    def _receive_invite(self, reply: Message) -> None:
        status = reply.status
        if status < 200:
            if self.state in (TxState.CALLING, TxState.PROCEEDING):
                if self.state is TxState.CALLING:
                    self.state = TxState.PROCEEDING
                    self._cancel_timers()
                self._report(reply)
        elif status < 300:
            if self.state in (TxState.CALLING, TxState.PROCEEDING):
                self.state = TxState.ACCEPTED
                self.data = b""
                self._cancel_timers()
                self._timeout = self._stack.after(64 * self._stack.t1, self.terminate)  # timer M
            if self.state is TxState.ACCEPTED:
                self._report(reply)
        elif self.state in (TxState.CALLING, TxState.PROCEEDING):
            self.state = TxState.COMPLETED
            self._cancel_timers()
            sent = Message(self.data)
            self._ack = build.hop_request(sent, "ACK", to_line=reply.line("to"))
            self.data = b""
            self.flow.send(self._ack)
            self._done(64 * self._stack.t1, reply)  # timer D
        elif self.state is TxState.COMPLETED:
            self.flow.send(self._ack)

    def _receive_other(self, reply: Message) -> None:
        if self.state not in (TxState.TRYING, TxState.PROCEEDING):
            return
        if reply.status < 200:
            self.state = TxState.PROCEEDING
            self._report(reply)
        else:
            self.state = TxState.COMPLETED
            self.data = b""
            self._cancel_timers()
            self._done(self._stack.t4, reply)  # timer K

    def _done(self, linger: float, reply: Message) -> None:
        """Report the final reply, and absorb for ``linger`` seconds those that come again."""
        user = self.user
        if self.flow.transport.reliable:
            self.terminate()
        else:
            self._timeout = self._stack.after(linger, self.terminate)
        if user is not None:
            user.on_reply(self, reply)

    def _report(self, reply: Message) -> None:
        if self.user is not None:
            self.user.on_reply(self, reply)

    def _cancel_timers(self) -> None:
        if self._retransmit is not None:
            self._stack.cancel_timer(self._retransmit)
            self._retransmit = None
        if self._timeout is not None:
            self._stack.cancel_timer(self._timeout)
            self._timeout = None

    def terminate(self) -> None:
        """End the transaction without a report."""
        if self.state is TxState.TERMINATED:
            return
        if self.flow.transport.reliable:
            self.flow.settled(self._broke)
        self.state = TxState.TERMINATED
        self._cancel_timers()
        self._stack.forget_client(self)
        self.user = None
