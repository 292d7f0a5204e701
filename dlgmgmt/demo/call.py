"""One call of a phone: a dialog from its INVITE to its end (RFC 3261 12 to 15)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING

from dlgmgmt.demo.message import Message, clean, tag, uri_of, user_of
from dlgmgmt.demo.transaction import ClientTransaction, Repeater, ServerTransaction

if TYPE_CHECKING:
    from dlgmgmt.demo.phone import Phone

MAX_ANSWERS = 16
ANSWER_TO = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class Stage(Enum):
    """How far a call is."""

    CALLING = "calling"
    RINGING = "ringing"
    UP = "up"
    ENDED = "ended"


class Call:
    """A call placed or taken.

    ``rang``, ``answered`` and ``ended`` are set when these happen; ``end_reason`` then says why
    it ended and ``by_network`` whether a party other than the two phones ended it.
    """

    def __init__(self, phone: Phone, callid: str, *, outgoing: bool) -> None:
        self.phone = phone
        self.callid = callid
        self.outgoing = outgoing
        self.peer = ""
        self.stage = Stage.CALLING
        self.local_uri = self.remote_uri = ""
        self.local_tag = phone.new_token(8)
        self.remote_tag = ""
        self.local_cseq = self._invite_cseq = phone.rng.randrange(1, 10_000)
        self.remote_cseq = 0
        self.route_set: list[str] = []
        self.remote_target = ""
        self.remote_direction = "sendrecv"
        self.rang = asyncio.Event()
        self.answered = asyncio.Event()
        self.acked = asyncio.Event()
        self.ended = asyncio.Event()
        self.end_reason = ""
        self.by_network = False
        self.invite_tx: ServerTransaction | None = None
        self._client: ClientTransaction | None = None
        self._cancelled = False
        self._reinviting = False
        self._direction = "sendrecv"
        self._sdp_version = 0
        self._acks: dict[str, Callable[[], None]] = {}
        self._unacked: tuple[int, Repeater] | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies its dialog: Call-ID, local tag, remote tag (RFC 3261 12)."""
        return self.callid, self.local_tag, self.remote_tag

    @property
    def local(self) -> str:
        """Its own From or To value."""
        return f"<{self.local_uri}>;tag={self.local_tag}"

    @property
    def remote(self) -> str:
        """The other phone's From or To value."""
        return f"<{self.remote_uri}>" + (f";tag={self.remote_tag}" if self.remote_tag else "")

    def sdp(self) -> str:
        """A fixed session description that tells the direction of the voice."""
        self._sdp_version += 1
        host = self.phone.address[0]
        family = "IP6" if ":" in host else "IP4"
        lines = [
            "v=0",
            f"o={self.phone.user} 1 {self._sdp_version} IN {family} {host}",
            "s=-",
            f"c=IN {family} {host}",
            "t=0 0",
            "m=audio 4000 RTP/AVP 0",
            f"a={self._direction}",
        ]
        return "\r\n".join(lines) + "\r\n"

    # --- placing a call ---------------------------------------------------------------------

    def place(self, uri: str) -> None:
        """Send the INVITE to ``uri`` by way of the proxy."""
        self.local_uri = self.phone.uri
        self.remote_uri = self.remote_target = uri
        self.peer = user_of(uri)
        self.phone.tell("calling %s", self.peer)
        self._client = self.phone.request(
            self, "INVITE", self._on_invite_response, body=self.sdp(), to=self.phone.proxy
        )
        self._invite_cseq = self.local_cseq

    def _on_invite_response(self, response: Message) -> None:
        if response.status < 200:
            if self._cancelled:
                self._send_cancel()
            elif response.status > 100 and self.stage is Stage.CALLING:
                self.stage = Stage.RINGING
                self.phone.tell("%s is ringing", self.peer)
                self.rang.set()
        elif response.status < 300:
            self._on_answer(response)
        else:
            what = f"{response.status} {clean(response.phrase)}"
            if self._cancelled and response.status == 487:
                self._end("cancelled", "call to %s cancelled", self.peer)
            elif response.status == 488:
                # No phone here answers 488: only somebody between them can have sent it.
                self._end_by_network(f"{what} {_reason(response)}".strip())
            else:
                self._end(what, "call to %s failed: %s", self.peer, what)

    def _on_answer(self, response: Message) -> None:
        remote_tag = tag(response.get("to"))
        again = self._acks.get(remote_tag)
        if again is not None:
            again()
            return
        if self._acks:
            # Two phones of a fork answered: keep the first, end the other (RFC 3261 13.2.2.4).
            if len(self._acks) < MAX_ANSWERS:
                other = Call(self.phone, self.callid, outgoing=True)
                other.local_uri, other.remote_uri = self.local_uri, self.remote_uri
                other.local_tag, other.local_cseq = self.local_tag, self._invite_cseq
                other.peer = self.peer
                other._establish(response)
                self._acks[remote_tag] = other._acks[remote_tag]
                self.phone.tell("a second phone of %s answered", self.peer)
                other.hang_up()
            return
        self._establish(response)
        self.phone.tell("talking to %s", self.peer)
        self.answered.set()
        if self._cancelled:
            self.hang_up()

    def _establish(self, response: Message) -> None:
        self.remote_tag = tag(response.get("to"))
        self.route_set = response.all("record-route")[::-1]
        self.stage = Stage.UP
        self._take_target(response)
        self.phone.add_call(self)
        self._acks[self.remote_tag] = self.phone.ack(self, self.local_cseq)

    def _take_target(self, message: Message) -> None:
        contacts = message.all("contact")
        if contacts:
            self.remote_target = uri_of(contacts[0])

    def _send_cancel(self) -> None:
        client = self._client
        if client is not None and not client.final:
            self._client = None
            self.phone.cancel(client)

    # --- taking a call ----------------------------------------------------------------------

    def take(self, transaction: ServerTransaction) -> None:
        """Become the call that an INVITE asks for."""
        invite = transaction.request
        self.invite_tx = transaction
        self.local_uri = uri_of(invite.get("to"))
        self.remote_uri = uri_of(invite.get("from"))
        self.remote_tag = tag(invite.get("from"))
        self.remote_cseq = invite.cseq
        self.peer = user_of(invite.get("from"))
        self.route_set = invite.all("record-route")
        self.remote_target = self.remote_uri
        self._take_target(invite)

    def ring(self) -> None:
        """Answer 180."""
        if self.stage is Stage.CALLING and self.invite_tx is not None:
            self.stage = Stage.RINGING
            self.phone.tell("ringing, %s is calling", self.peer)
            self.phone.respond(self.invite_tx, 180, "Ringing", call=self)
            self.rang.set()

    def answer(self) -> None:
        """Answer 200, again and again until the ACK comes."""
        if self.stage in (Stage.CALLING, Stage.RINGING) and self.invite_tx is not None:
            self.stage = Stage.UP
            self.phone.tell("answered %s", self.peer)
            self._send_200(self.invite_tx)
            self.answered.set()

    def reject(self, status: int = 486, phrase: str = "Busy Here") -> None:
        """Refuse the call."""
        if self.stage in (Stage.CALLING, Stage.RINGING) and self.invite_tx is not None:
            self.phone.respond(self.invite_tx, status, phrase, call=self)
            self._end(f"{status} {phrase}", "refused %s: %s %s", self.peer, status, phrase)

    def _send_200(self, transaction: ServerTransaction) -> None:
        if self._unacked is not None:
            self._unacked[1].stop()
        timers = self.phone.timers
        self.phone.respond(transaction, 200, "OK", call=self, body=self.sdp())
        repeater = Repeater(timers, transaction.repeat, self._no_ack, timers.t2)
        self._unacked = (transaction.request.cseq, repeater)

    def _no_ack(self) -> None:
        self._unacked = None
        self.phone.tell("no ACK from %s", self.peer)
        self.hang_up()

    def on_ack(self, cseq: int) -> None:
        """The ACK of a 2xx came."""
        if self._unacked is not None and self._unacked[0] == cseq:
            self._unacked[1].stop()
            self._unacked = None
            self.acked.set()
            if self._cancelled:
                self.hang_up()

    def on_cancel(self, cancel: Message) -> None:
        """A CANCEL of the unanswered INVITE came: 487."""
        if self.stage in (Stage.CALLING, Stage.RINGING) and self.invite_tx is not None:
            self.phone.respond(self.invite_tx, 487, "Request Terminated", call=self)
            reason = _reason(cancel)
            if "488" in reason:
                self._end_by_network(reason)
            else:
                self._end("cancelled", "%s stopped calling", self.peer)

    # --- during a call ----------------------------------------------------------------------

    async def hold(self) -> int:
        """Re-INVITE with ``a=sendonly``; the final status (0: the call is not up)."""
        return await self._reinvite("sendonly", "puts %s on hold")

    async def resume(self) -> int:
        """Re-INVITE with ``a=sendrecv``; the final status (0: the call is not up)."""
        return await self._reinvite("sendrecv", "takes %s off hold")

    async def _reinvite(self, direction: str, text: str) -> int:
        if self.stage is not Stage.UP or self._reinviting or self._unacked is not None:
            return 0
        final: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        acks: list[Callable[[], None]] = []

        def on_response(response: Message) -> None:
            if response.status < 200:
                return
            if response.status < 300:
                if acks:
                    acks[0]()
                    return
                self._take_target(response)
                acks.append(self.phone.ack(self, cseq))
            if not final.done():
                final.set_result(response.status)

        self._reinviting = True
        before, self._direction = self._direction, direction
        self.phone.tell(text, self.peer)
        client = self.phone.request(self, "INVITE", on_response, body=self.sdp())
        cseq = client.request.cseq
        try:
            status = await final
        finally:
            self._reinviting = False
        if status >= 300 and self.stage is Stage.UP:
            self._direction = before
            self.phone.tell("%s refused that: %s", self.peer, status)
            if status in (408, 481):
                # The dialog is gone, or nobody is there (RFC 3261 12.2.1.2).
                self.hang_up()
        return status

    def on_request(self, transaction: ServerTransaction) -> None:
        """A request within the call, CANCEL and ACK excepted."""
        request = transaction.request
        if request.cseq <= self.remote_cseq:
            self.phone.respond(transaction, 500, "CSeq Out Of Order")
            return
        self.remote_cseq = request.cseq
        if request.method == "BYE":
            self._on_bye(transaction)
        elif request.method == "INVITE":
            self._on_reinvite(transaction)
        elif request.method in ("UPDATE", "INFO", "OPTIONS"):
            if request.method == "UPDATE":
                self._take_target(request)
            self.phone.respond(transaction, 200, "OK", call=self)
        else:
            self.phone.respond(transaction, 405, "Method Not Allowed")

    def _on_reinvite(self, transaction: ServerTransaction) -> None:
        if self.stage is not Stage.UP or self._reinviting or self._unacked is not None:
            self.phone.respond(transaction, 491, "Request Pending")
            return
        request = transaction.request
        self._take_target(request)
        lines = request.body.decode("latin-1").split()
        offered = next((name for name in ANSWER_TO if f"a={name}" in lines), "sendrecv")
        self._direction = ANSWER_TO.get(offered, "sendrecv")
        if offered != self.remote_direction:
            self.remote_direction = offered
            held = offered in ("sendonly", "inactive")
            self.phone.tell("%s by %s", "put on hold" if held else "taken off hold", self.peer)
        self.acked.clear()
        self._send_200(transaction)

    def _on_bye(self, transaction: ServerTransaction) -> None:
        self.phone.respond(transaction, 200, "OK")
        if self.stage is Stage.ENDED:
            return
        if self.invite_tx is not None and not self.invite_tx.final:
            self.phone.respond(self.invite_tx, 487, "Request Terminated", call=self)
        reason = _reason(transaction.request)
        if reason:
            self._end_by_network(reason)
        else:
            self._end("hung up by peer", "%s hung up", self.peer)
        self.phone.remove_call(self)

    # --- the end ----------------------------------------------------------------------------

    def hang_up(self) -> None:
        """End the call in the way that fits its stage: BYE, CANCEL or 486."""
        if self.stage is Stage.UP:
            if self._unacked is not None and self.invite_tx is not None:
                # A BYE may not overtake the ACK (RFC 3261 15); on_ack or _no_ack comes back here.
                self._cancelled = True
                return
            self.phone.request(self, "BYE", self._on_bye_response)
            self._end("hung up", "hangs up on %s", self.peer)
        elif self.stage is not Stage.ENDED and not self.outgoing:
            self.reject()
        elif self.stage is not Stage.ENDED and not self._cancelled:
            self._cancelled = True
            self.phone.tell("gives up calling %s", self.peer)
            # Only a server that has answered knows what to cancel (RFC 3261 9.1).
            if self._client is not None and self._client.provisional:
                self._send_cancel()

    def _on_bye_response(self, response: Message) -> None:
        # Known to the phone until here, so that a BYE that crosses this one is answered 200.
        if response.status >= 200:
            self.phone.remove_call(self)
            if response.status != 200:
                self.phone.tell("BYE to %s: %s", self.peer, response.status)

    def _end_by_network(self, reason: str) -> None:
        self.by_network = True
        self._end(reason, "call %s %s hung up by network: %s", self._way, self.peer, reason)

    @property
    def _way(self) -> str:
        return "to" if self.outgoing else "from"

    def _end(self, reason: str, text: str, *args: object) -> None:
        if self.stage is Stage.ENDED:
            return
        was_up = self.stage is Stage.UP
        self.stage = Stage.ENDED
        self.end_reason = reason
        if self._unacked is not None:
            self._unacked[1].stop()
            self._unacked = None
        if not was_up:
            self.phone.remove_call(self)
        self.phone.tell(text, *args, warn=self.by_network)
        self.ended.set()


def _reason(message: Message) -> str:
    return clean(", ".join(message.all("reason")[:4]))
