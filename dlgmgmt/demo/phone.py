"""A phone: one UDP socket, its transactions and its calls."""

from __future__ import annotations

import asyncio
import logging
import random
import socket
from collections.abc import Callable, Coroutine

from dlgmgmt.demo.call import Call, Stage
from dlgmgmt.demo.message import (
    BadMessage,
    Message,
    address,
    build,
    clean,
    host_port,
    is_loose,
    params,
    parse,
    show,
    split_list,
    tag,
    uri_of,
)
from dlgmgmt.demo.transaction import (
    Address,
    ClientTransaction,
    Headers,
    Request,
    ServerTransaction,
    Timers,
)

MAX_CALLS = 32
MAX_TRANSACTIONS = 1024
DOMAIN = "demo.invalid"
ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO"
AGENT = "dlgmgmt-demo-phone"

OnCall = Callable[[Call], Coroutine[None, None, None]]
TransactionKey = tuple[str, str, str]


class Phone(asyncio.DatagramProtocol):
    """A user agent.

    user: its name, the user part of its URI. proxy: where its INVITEs go. on_call: what it does
    with a call that comes in; without it, every call is answered 480.
    """

    def __init__(
        self,
        user: str,
        proxy: Address,
        *,
        rng: random.Random,
        logger: logging.Logger,
        on_call: OnCall | None = None,
        timers: Timers | None = None,
    ) -> None:
        self.user = user
        self.uri = f"sip:{user}@{DOMAIN}"
        self.proxy = proxy
        self.rng = rng
        self.timers = timers or Timers()
        self.address: Address = ("", 0)
        self.malformed = 0
        self.dropped = 0
        self._logger = logger
        self._on_call = on_call
        self._socket: socket.socket | None = None
        self._transport: asyncio.DatagramTransport | None = None
        self._clients: dict[TransactionKey, ClientTransaction] = {}
        self._servers: dict[TransactionKey, ServerTransaction] = {}
        self._calls: dict[tuple[str, str, str], Call] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    # --- life -------------------------------------------------------------------------------

    def bind(self, host: str = "127.0.0.1", port: int = 0) -> Address:
        """Bind the socket (port 0: any free one) and return its address; raises OSError."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_DGRAM)
        try:
            sock.setblocking(False)
            sock.bind((host, port))
        except OSError:
            sock.close()
            raise
        name = sock.getsockname()
        self.address = (name[0], name[1])
        self._socket = sock
        return self.address

    async def start(self) -> None:
        """Listen on the running loop; binds first if that has not been done."""
        if self._socket is None:
            self.bind()
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, sock=self._socket)

    def close(self) -> None:
        """Stop at once, telling nobody."""
        for task in self._tasks:
            task.cancel()
        for client in self._clients.values():
            client.close()
        for server in self._servers.values():
            server.close()
        self._clients.clear()
        self._servers.clear()
        if self._transport is not None:
            self._transport.close()
        elif self._socket is not None:
            self._socket.close()
        self._transport = self._socket = None

    @property
    def calls(self) -> list[Call]:
        """The calls that came in or were answered, and have not ended."""
        return [call for call in self._calls.values() if call.stage is not Stage.ENDED]

    async def settled(self) -> None:
        """Wait until every request sent so far has had its final response."""
        for client in list(self._clients.values()):
            await client.done.wait()

    def tell(self, text: str, *args: object, warn: bool = False) -> None:
        """Log one event; ``args`` that came from the network have been cleaned."""
        level = logging.WARNING if warn else logging.INFO
        self._logger.log(level, "%s: %s", self.user, text % args)

    def new_token(self, size: int) -> str:
        """Random hexadecimal text of ``size`` bytes, for a tag, a branch, a Call-ID."""
        return f"{self.rng.getrandbits(8 * size):0{2 * size}x}"

    def add_call(self, call: Call) -> None:
        """Requests within this call are for it from now on."""
        self._calls[call.key] = call

    def remove_call(self, call: Call) -> None:
        """Requests within this call are answered 481 from now on."""
        self._calls.pop(call.key, None)

    # --- sending ----------------------------------------------------------------------------

    def send(self, data: bytes, to: Address) -> None:
        """Send one datagram."""
        if self._transport is not None:
            self._transport.sendto(data, to)

    def call(self, uri: str) -> Call:
        """Place a call."""
        call = Call(self, f"{self.new_token(12)}@{self.address[0]}", outgoing=True)
        call.place(uri)
        return call

    def request(
        self,
        call: Call,
        method: str,
        on_response: Callable[[Message], None],
        *,
        body: str = "",
        to: Address | None = None,
    ) -> ClientTransaction:
        """Send the next request of a call, to ``to`` or where its route set leads."""
        call.local_cseq += 1
        request, where = self._compose(call, method, call.local_cseq, body)
        return self._start_client(request, to or where, on_response)

    def ack(self, call: Call, cseq: int) -> Callable[[], None]:
        """Send the ACK of a 2xx; call the result to send it again."""
        request, where = self._compose(call, "ACK", cseq, "")
        data = request.data()
        self.send(data, where)
        return lambda: self.send(data, where)

    def cancel(self, client: ClientTransaction) -> None:
        """Send the CANCEL of an INVITE that has been answered provisionally."""
        request = client.request.same_hop("CANCEL", client.request.to)
        self._start_client(request, client.to, lambda _response: None)
        client.limit()

    def _start_client(
        self, request: Request, to: Address, on_response: Callable[[Message], None]
    ) -> ClientTransaction:
        branch = params(request.via)["branch"] or ""
        key = (branch, request.method, "")

        def forget() -> None:
            self._clients.pop(key, None)

        client = ClientTransaction(self, request, to, on_response, forget)
        self._clients[key] = client
        return client

    def _compose(self, call: Call, method: str, cseq: int, body: str) -> tuple[Request, Address]:
        uri, route = call.remote_target, list(call.route_set)
        if route and not is_loose(route[0]):
            # A strict router wants to be the Request-URI (RFC 3261 12.2.1.1).
            uri, route = uri_of(route[0]), [*route[1:], f"<{uri}>"]
            hop = uri
        else:
            hop = uri_of(route[0]) if route else uri
        via = f"SIP/2.0/UDP {show(self.address)};rport;branch=z9hG4bK{self.new_token(10)}"
        extra: Headers = []
        if method == "INVITE":
            extra += [("Contact", self._contact), ("Allow", ALLOW)]
        extra.append(("User-Agent", AGENT))
        request = Request(
            method, uri, via, route, call.local, call.remote, call.callid, cseq, extra, body
        )
        return request, address(hop) or self.proxy

    @property
    def _contact(self) -> str:
        return f"<sip:{self.user}@{show(self.address)}>"

    def respond(
        self,
        transaction: ServerTransaction,
        status: int,
        phrase: str,
        *,
        call: Call | None = None,
        extra: Headers | None = None,
        body: str = "",
    ) -> None:
        """Answer a request; ``call`` gives the To-tag and, for an INVITE, route and contact."""
        request = transaction.request
        headers = [("Via", via) for via in request.all("via")]
        to = request.get("to")
        if status > 100 and not tag(to):
            to += f";tag={call.local_tag if call else self.new_token(8)}"
        headers += [("From", request.get("from")), ("To", to)]
        headers += [("Call-ID", request.get("call-id")), ("CSeq", request.get("cseq"))]
        if call is not None and request.method in ("INVITE", "UPDATE") and 100 < status < 300:
            headers += [("Record-Route", route) for route in request.all("record-route")]
            headers.append(("Contact", self._contact))
        if status in (200, 405):
            headers.append(("Allow", ALLOW))
        headers += [*(extra or []), ("Server", AGENT)]
        transaction.respond(status, build(f"SIP/2.0 {status} {phrase}", headers, body))

    # --- receiving --------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Take a datagram: a response, a request, a keep-alive or garbage."""
        if not data.strip(b"\r\n\0"):
            return
        try:
            message = parse(data)
            if message.status:
                self._on_response(message)
            else:
                self._on_request(message, (addr[0], addr[1]))
        except BadMessage as error:
            self.malformed += 1
            if self.malformed == 1:
                # Counted from here on: whoever can send one bad datagram can send a million.
                self.tell("bad datagram ignored, further ones silently: %s", error, warn=True)

    def error_received(self, exc: Exception) -> None:
        """An ICMP error; the transaction's own timer decides."""
        self._logger.debug("%s: %s", self.user, exc)

    def _on_response(self, message: Message) -> None:
        client = self._clients.get((message.branch, message.method, ""))
        # RFC 3261 8.1.3.3: with more than one Via it was not meant for this phone.
        if client is None or len(message.all("via")) != 1:
            self.dropped += 1
            return
        client.receive(message)

    def _on_request(self, message: Message, source: Address) -> None:
        via = message.via
        sent_by = via.partition(";")[0].rpartition(" ")[2]
        branch = message.branch or f"{message.get('call-id')} {message.cseq}"
        if message.method == "ACK":
            self._on_ack(message, self._servers.get((branch, sent_by, "INVITE")))
            return
        key = (branch, sent_by, message.method)
        known = self._servers.get(key)
        if known is not None:
            known.repeat()
            return
        if len(self._servers) >= MAX_TRANSACTIONS:
            self.dropped += 1
            return
        reply_to = source
        if "rport" not in params(via) and (port := host_port(sent_by)) is not None:
            reply_to = (source[0], port[1])

        def forget() -> None:
            self._servers.pop(key, None)

        transaction = ServerTransaction(self, message, reply_to, forget)
        self._servers[key] = transaction
        if message.method == "CANCEL":
            self._on_cancel(transaction, self._servers.get((branch, sent_by, "INVITE")))
        elif tag(message.get("to")):
            call = self._find(message)
            if call is None:
                self.respond(transaction, 481, "Call/Transaction Does Not Exist")
            else:
                call.on_request(transaction)
        else:
            self._on_initial(transaction)

    def _on_ack(self, ack: Message, invite: ServerTransaction | None) -> None:
        if invite is not None and invite.final >= 300:
            invite.acked()
        elif (call := self._find(ack)) is not None:
            call.on_ack(ack.cseq)

    def _on_initial(self, transaction: ServerTransaction) -> None:
        method = transaction.request.method
        if method == "INVITE":
            self._on_invite(transaction)
        elif method == "OPTIONS":
            self.respond(transaction, 200, "OK")
        elif method in ("BYE", "UPDATE", "INFO"):
            self.respond(transaction, 481, "Call/Transaction Does Not Exist")
        else:
            self.respond(transaction, 405, "Method Not Allowed")

    def _find(self, message: Message) -> Call | None:
        local, remote = tag(message.get("to")), tag(message.get("from"))
        return self._calls.get((message.get("call-id"), local, remote))

    def _on_cancel(self, cancel: ServerTransaction, invite: ServerTransaction | None) -> None:
        if invite is None:
            self.respond(cancel, 481, "Call/Transaction Does Not Exist")
            return
        self.respond(cancel, 200, "OK")
        for call in self.calls:
            if call.invite_tx is invite:
                call.on_cancel(cancel.request)

    def _on_invite(self, transaction: ServerTransaction) -> None:
        invite = transaction.request
        required = [item for value in invite.all("require") for item in split_list(value)]
        if required:
            extra = [("Unsupported", clean(", ".join(required)))]
            self.respond(transaction, 420, "Bad Extension", extra=extra)
        elif self._on_call is None:
            self.respond(transaction, 480, "Temporarily Unavailable")
        elif len(self._calls) >= MAX_CALLS:
            self.respond(transaction, 486, "Busy Here")
        else:
            call = Call(self, invite.get("call-id"), outgoing=False)
            call.take(transaction)
            self.add_call(call)
            task = asyncio.get_running_loop().create_task(self._on_call(call))
            self._tasks.add(task)
            task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._logger.error("%s: behaviour failed", self.user, exc_info=error)
