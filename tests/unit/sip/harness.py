"""The whole proxy on a clock and sockets of the tests: nothing here waits or touches a network."""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.dialog.views import DialogView, TerminationView
from dlgmgmt.sip.bound import host_text
from dlgmgmt.sip.flow import Address, Failed, Transport
from dlgmgmt.sip.locate import Locator
from dlgmgmt.sip.proxy import Proxy
from dlgmgmt.sip.settings import Route, SipSettings
from dlgmgmt.sip.stack import TICK, TransactionStack
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.transport import UdpFlow, UdpSocket

UNIX = 1_700_000_000.0
ALICE = "10.0.9.1", 5060
BOB = "10.0.1.1", 5060
CAROL = "10.0.1.2", 5060
DAVE = "10.0.1.3", 5060
ERIN = "2001:db8::77", 5060
PROXY = "10.0.0.1", 5060
PROXY6 = "2001:db8::1", 5060

SETTINGS = SipSettings(
    routes=(
        Route(("sip:10.0.1.1",), user_prefix="1"),
        Route(("sip:10.0.1.1", "sip:10.0.1.2", "sip:10.0.1.3"), user_prefix="2"),
        Route(("sip:10.0.1.1", "sip:10.0.1.2", "sip:10.0.1.3"), user_prefix="3", fork="serial"),
        Route(("sip:[2001:db8::77]",), user_prefix="6"),
        Route(("sip:10.0.1.1",), domain="named.example"),
    )
)
DIALOGS = DialogSettings(hash_size=16, default_timeout=3600, noack_timeout=60)


class FakeSocket(UdpSocket):
    """A socket that puts what is sent into the world's mail; ``broken`` refuses to send."""

    def __init__(self, world: World, host: str, port: int) -> None:
        self.family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.host = host
        self.port = port
        self.wildcard = False
        self._sent_by = f"{host_text(host)}:{port}"
        self.world = world
        self.broken: set[Address] = set()

    def send(self, data: bytes, addr: Address) -> bool:
        if addr in self.broken:
            return False
        self.world.mail.append(Mail(self.world.now, Sip(data), addr, self))
        return True

    def address_towards(self, host: str) -> str:
        assert (":" in host) == (":" in self.host)
        return self.host

    def is_own(self, host: str, port: int) -> bool:
        return (host, port) == (self.host, self.port)


class FakeStream(FakeSocket):
    """A listener for connections; ``lose`` breaks those that are there, ``refused`` new ones."""

    kind = "tcp"
    via = "TCP"
    reliable = True

    def __init__(self, world: World, host: str, port: int) -> None:
        super().__init__(world, host, port)
        self.opened: set[Address] = set()
        self.refused: set[Address] = set()
        self.waiting: dict[Address, dict[Failed, None]] = {}

    def flow(self, addr: Address, name: str = "") -> FakeFlow:
        del name
        return FakeFlow(self, addr)

    def lose(self, addr: Address, *, ended: bool = False) -> None:
        """The connection to ``addr`` is gone. ended: closed by the peer."""
        self.opened.discard(addr)
        for tell in self.waiting.pop(addr, {}):
            tell(ended=ended)


class FakeClients(FakeStream):
    """A listener of browsers, which reaches those who are connected."""

    kind = "wss"
    via = "WSS"

    def knows(self, addr: Address) -> bool:
        return addr in self.opened

    def flow(self, addr: Address, name: str = "") -> FakeFlow:
        self.refused = set() if addr in self.opened else {addr}
        return super().flow(addr, name)


class FakeFlow(UdpFlow):
    """A connection of a FakeStream."""

    def __init__(self, stream: FakeStream, peer: Address) -> None:
        super().__init__(stream, peer)
        self.stream = stream
        self.reused = False

    def send(self, data: bytes, failed: Failed | None = None) -> bool:
        stream = self.stream
        if self.peer in stream.refused:
            return False
        self.reused = self.peer in stream.opened
        stream.opened.add(self.peer)
        if failed is not None:
            stream.waiting.setdefault(self.peer, {})[failed] = None
        return stream.send(data, self.peer)

    def settled(self, failed: Failed) -> None:
        self.stream.waiting.get(self.peer, {}).pop(failed, None)

    def back_to(self, peer: Address) -> FakeFlow:
        del peer
        return self

    def alias(self, addr: Address, host: str) -> None:
        """Not believed."""

    def carries(self, callid: str) -> None:
        """Never closed."""


class Sip:
    """A message as another program reads it: start line, headers as (name, value), body."""

    def __init__(self, data: bytes) -> None:
        self.raw = data
        head, _, body = data.partition(b"\r\n\r\n")
        self.body = body
        self.start, *lines = head.decode("utf-8", "surrogateescape").split("\r\n")
        self.headers = [(n.strip(), v.strip()) for n, _, v in (x.partition(":") for x in lines)]

    def __repr__(self) -> str:
        return f"<{self.start!r} {self['CSeq']}>"

    @property
    def method(self) -> str:
        return "" if self.start.startswith("SIP/2.0") else self.start.split(" ")[0]

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1]

    @property
    def status(self) -> int:
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def what(self) -> str:
        """Method or status, as the tests list them."""
        return self.method or str(self.status)

    def __getitem__(self, name: str) -> str:
        return next((v for n, v in self.headers if n.lower() == name.lower()), "")

    def all(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n.lower() == name.lower()]

    @property
    def branch(self) -> str:
        return self["Via"].partition("branch=")[2].partition(";")[0]

    def tag(self, header: str) -> str:
        return self[header].partition(";tag=")[2].partition(";")[0]

    @property
    def contact(self) -> str:
        return self["Contact"].partition("<")[2].partition(">")[0]


@dataclass
class Mail:
    """One datagram that the proxy sent."""

    time: float
    sip: Sip
    to: Address
    sock: FakeSocket


class World:
    """Proxy, dialogs, transactions and the clock. dialogs, sip: settings to change."""

    def __init__(
        self,
        *,
        sip: SipSettings = SETTINGS,
        dialogs: DialogSettings = DIALOGS,
        extra: str = "",
        own: tuple[Address, ...] = (PROXY, PROXY6),
        streams: tuple[Address, ...] = (),
        clients: tuple[Address, ...] = (),
    ) -> None:
        self.ticks = 0
        self.mail: list[Mail] = []
        self.later: list[Callable[[], None]] | None = None
        self.sockets = [FakeSocket(self, host, port) for host, port in own]
        self.sockets += [FakeStream(self, host, port) for host, port in streams]
        self.sockets += [FakeClients(self, host, port) for host, port in clients]
        self.table = DialogTable(
            dialogs,
            wall=lambda: UNIX + self.now,
            monotonic=lambda: self.now,
            rng=random.Random(5),
        )
        self.stack = TransactionStack(sip, monotonic=lambda: self.now, rng=random.Random(1))
        self.locator = Locator(list[Transport](self.sockets), lambda: self.now)
        tracker = Tracker(self.table, self._expired)
        self.proxy = Proxy(sip, dialogs, self.stack, self.locator, tracker)
        self.terminator = Terminator(self.proxy, Terminations(self.table), self.submit, extra)
        self.proxy.terminator = self.terminator
        self.timer_c = sip.timer_c
        self._branches = 0

    @property
    def now(self) -> float:
        return self.ticks * TICK

    def _expired(self, dialog: Dialog) -> None:
        self.proxy.expired(dialog)

    def submit(self, work: Callable[[], None]) -> None:
        if self.later is None:
            work()
        else:
            self.later.append(work)

    def defer(self) -> None:
        """From now on an order waits until :meth:`execute`."""
        self.later = []

    def execute(self) -> None:
        work, self.later = self.later or [], None
        for order in work:
            order()

    def advance(self, seconds: float) -> None:
        """Let time pass, tick by tick."""
        for _ in range(round(seconds / TICK)):
            self.ticks += 1
            self.run()

    def jump(self, seconds: float) -> None:
        """Let time pass at once, as after a stall of the process."""
        self.ticks += round(seconds / TICK)
        self.run()

    def run(self) -> None:
        self.stack.run_timers()
        for fire in self.table.due():
            fire()

    def receive(self, data: bytes, source: Address, own: int = 0) -> None:
        sock = self.sockets[own]
        stream = sock.flow(source)
        self.proxy.receive(data, source, sock, stream if isinstance(stream, FakeFlow) else None)

    def new_branch(self) -> str:
        self._branches += 1
        return f"z9hG4bK-test-{self._branches}"

    def take(self) -> list[Mail]:
        """All that was sent since the last time."""
        mail, self.mail = self.mail, []
        return mail

    def sent(self) -> list[tuple[str, Address]]:
        """What was sent since the last time, in short."""
        return [(mail.sip.what, mail.to) for mail in self.take()]

    def view(self, callid: str = "c1") -> DialogView:
        (view,) = self.table.find(callid)
        return view

    def state(self, callid: str = "c1") -> int:
        """The dialog's ims_dialog number; 0 when it has left the table."""
        views = self.table.find(callid)
        return views[0].state if views else 0

    def kill(self, to_tag: str = "bob", *, headers: str = "", callid: str = "c1") -> int:
        """Order the end of Alice's call; the number of the order."""
        order = self.terminator.by_tags(
            callid, "alice", to_tag, reason="mi_terminated", extra_headers=headers
        )
        return order.id

    def kill_early(self, callid: str = "c1") -> int:
        view = self.view(callid)
        return self.terminator.by_id(view.h_entry, view.h_id, reason="mi_terminated").id

    def order(self, number: int) -> TerminationView:
        view = self.table.termination(number)
        assert view is not None
        return view

    def outcomes(self, number: int) -> dict[tuple[str, str], str]:
        """(side, To-tag) -> what it was sent and what came of it."""
        sides = self.order(number).sides
        return {(s.side, s.to_tag): f"{s.method} {s.outcome}" for s in sides}

    def finish(self) -> None:
        """Let every timer pass; nothing may be left of any scenario."""
        self.execute()
        self.advance(self.timer_c + 64 * self.stack.t1 * 3)
        assert self.proxy.counters.errors == 0
        assert self.stack.servers == {}
        assert self.stack.clients == {}
        assert len(self.stack.wheel) == 0
        assert [view for batch in self.table.iter_views() for view in batch] == []
        assert not any(self.table.counts()[:6])
        assert len(self.table._wheel) == 0
        self.locator.close()


@dataclass
class Side:
    """What one party knows of a dialog, for the requests that it sends within it."""

    local: str
    remote: str
    target: str
    routes: list[str]
    callid: str
    cseq: int = 100


@dataclass
class Phone:
    """A user agent at ``addr`` that sends what a test tells it to."""

    world: World
    addr: Address
    name: str
    own: int = 0
    record_route: tuple[str, ...] = field(default=())

    @property
    def contact(self) -> str:
        host = f"[{self.addr[0]}]" if ":" in self.addr[0] else self.addr[0]
        return f"sip:{self.name}@{host}:{self.addr[1]}"

    def inbox(self) -> list[Sip]:
        """What came for this phone; mail for others stays where it is."""
        mine = [mail for mail in self.world.mail if mail.to == self.addr]
        self.world.mail = [mail for mail in self.world.mail if mail.to != self.addr]
        return [mail.sip for mail in mine]

    def one(self, what: str) -> Sip:
        """The one message that came, which must be ``what``."""
        got = self.inbox()
        assert [sip.what for sip in got] == [what]
        return got[0]

    def last(self, what: str) -> Sip:
        """The last message that came, which must be ``what``."""
        got = self.inbox()
        assert got, f"{self.name} got nothing"
        assert got[-1].what == what
        return got[-1]

    def send(self, data: bytes) -> None:
        self.world.receive(data, self.addr, self.own)

    def via(self, branch: str) -> str:
        host = f"[{self.addr[0]}]" if ":" in self.addr[0] else self.addr[0]
        return f"SIP/2.0/UDP {host}:{self.addr[1]};branch={branch}"

    def invite(
        self,
        user: str,
        *,
        callid: str = "c1",
        cseq: int = 1,
        headers: tuple[str, ...] = (),
        uri: str = "",
        body: str = "v=0\r\n",
        method: str = "INVITE",
        branch: str = "",
    ) -> Sip:
        """Send an initial request; what was sent is returned."""
        extra = "".join(f"{line}\r\n" for line in headers)
        if not any(line.lower().startswith("max-forwards") for line in headers):
            extra += "Max-Forwards: 70\r\n"
        data = (
            f"{method} {uri or f'sip:{user}@10.0.0.1:5060'} SIP/2.0\r\n"
            f"Via: {self.via(branch or self.world.new_branch())}\r\n"
            f"{extra}"
            f'From: "{self.name}" <sip:{self.name}@a.example>;tag={self.name}\r\n'
            f"To: <sip:{user}@b.example>\r\n"
            f"Call-ID: {callid}\r\n"
            f"CSeq: {cseq} {method}\r\n"
            f"Contact: <{self.contact}>\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        ).encode()
        self.send(data)
        return Sip(data)

    def reply(
        self,
        request: Sip,
        status: int,
        *,
        tag: str | None = None,
        headers: tuple[str, ...] = (),
        contact: str | None = None,
        reason: str = "Whatever",
    ) -> Sip:
        """Answer ``request``; the To-tag is the phone's name unless ``tag`` says otherwise."""
        to = request["To"]
        if ";tag=" not in to and status > 100:
            name = self.name if tag is None else tag
            to += f";tag={name}" if name else ""
        lines = [f"SIP/2.0 {status} {reason}"]
        lines += [f"Via: {via}" for via in request.all("Via")]
        if status > 100:
            routes = [*self.record_route, *request.all("Record-Route")]
            lines += [f"Record-Route: {route}" for route in routes]
            lines.append(f"Contact: <{self.contact if contact is None else contact}>")
        lines += [f"From: {request['From']}", f"To: {to}", f"Call-ID: {request['Call-ID']}"]
        lines += [f"CSeq: {request['CSeq']}", *headers, "Content-Length: 0", "", ""]
        data = "\r\n".join(lines).encode()
        self.send(data)
        return Sip(data)

    def ack_failure(self, invite: Sip, reply: Sip) -> None:
        """The ACK for a non-2xx: hop by hop, the INVITE's branch."""
        self._hop(invite, "ACK", reply["To"])

    def cancel(self, invite: Sip, headers: tuple[str, ...] = ()) -> None:
        self._hop(invite, "CANCEL", invite["To"], headers)

    def _hop(self, invite: Sip, method: str, to: str, headers: tuple[str, ...] = ()) -> None:
        lines = [
            f"{method} {invite.uri} SIP/2.0",
            f"Via: {invite['Via']}",
            "Max-Forwards: 70",
            f"From: {invite['From']}",
            f"To: {to}",
            f"Call-ID: {invite['Call-ID']}",
            f"CSeq: {invite['CSeq'].split()[0]} {method}",
            *headers,
            "Content-Length: 0",
            "",
            "",
        ]
        self.send("\r\n".join(lines).encode())

    def caller_side(self, reply: Sip) -> Side:
        """The dialog that a 1xx or 2xx to the own INVITE made."""
        return Side(
            reply["From"],
            reply["To"],
            reply.contact,
            reply.all("Record-Route")[::-1],
            reply["Call-ID"],
            int(reply["CSeq"].split()[0]),
        )

    def callee_side(self, invite: Sip, tag: str | None = None) -> Side:
        """The dialog that the own reply to an INVITE made."""
        return Side(
            f"{invite['To']};tag={self.name if tag is None else tag}",
            invite["From"],
            invite.contact,
            invite.all("Record-Route"),
            invite["Call-ID"],
        )

    def within(
        self,
        side: Side,
        method: str,
        *,
        headers: tuple[str, ...] = (),
        cseq: int | None = None,
        uri: str = "",
        routes: list[str] | None = None,
        branch: str = "",
        contact: bool = True,
    ) -> Sip:
        """Send a request in a dialog; ACK repeats the last CSeq, others count it up."""
        if cseq is None:
            side.cseq += method != "ACK"
            cseq = side.cseq
        lines = [f"{method} {uri or side.target} SIP/2.0"]
        lines.append(f"Via: {self.via(branch or self.world.new_branch())}")
        lines += [f"Route: {route}" for route in (side.routes if routes is None else routes)]
        lines += ["Max-Forwards: 70", f"From: {side.local}", f"To: {side.remote}"]
        lines += [f"Call-ID: {side.callid}", f"CSeq: {cseq} {method}"]
        if contact:
            lines.append(f"Contact: <{self.contact}>")
        lines += [*headers, "Content-Length: 0", "", ""]
        data = "\r\n".join(lines).encode()
        self.send(data)
        return Sip(data)


@dataclass
class House:
    """The phones of most tests."""

    world: World
    alice: Phone
    bob: Phone
    carol: Phone
    dave: Phone
    erin: Phone

    @property
    def phones(self) -> Iterator[Phone]:
        yield from (self.alice, self.bob, self.carol, self.dave, self.erin)

    def ring(self, user: str = "1") -> tuple[Sip, Sip]:
        """Alice calls, Bob rings: what Alice sent, and what Bob got."""
        sent = self.alice.invite(user)
        invite = self.bob.one("INVITE")
        self.bob.reply(invite, 180)
        assert [sip.what for sip in self.alice.inbox()] == ["100", "180"]
        return sent, invite

    def talk(self, *, ack: bool = True, headers: tuple[str, ...] = ()) -> Call:
        """Alice calls Bob, who answers."""
        sent = self.alice.invite("1", headers=headers)
        invite = self.bob.one("INVITE")
        answer = self.bob.reply(invite, 200)
        ok = self.alice.last("200")
        call = Call(sent, invite, ok, self.alice.caller_side(ok), self.bob.callee_side(invite))
        call.answer = answer
        # The proxies on Alice's side take themselves off before her requests reach us.
        del call.caller.routes[: len(sent.all("Record-Route"))]
        if ack:
            self.alice.within(call.caller, "ACK")
            self.bob.one("ACK")
        assert self.world.take() == []
        return call

    def answer_all(self, what: str = "BYE") -> dict[str, list[Sip]]:
        """Everybody answers the requests ``what`` that wait for them with 200."""
        got: dict[str, list[Sip]] = {}
        for phone in self.phones:
            for sip in phone.inbox():
                got.setdefault(phone.name, []).append(sip)
                if sip.method == what:
                    phone.reply(sip, 200)
        return got


@dataclass
class Call:
    """An answered call, as its two phones see it."""

    sent: Sip
    invite: Sip
    ok: Sip
    caller: Side
    callee: Side
    answer: Sip = field(init=False)


def house(world: World) -> House:
    return House(
        world,
        alice=Phone(world, ALICE, "alice"),
        bob=Phone(world, BOB, "bob"),
        carol=Phone(world, CAROL, "carol"),
        dave=Phone(world, DAVE, "dave"),
        erin=Phone(world, ERIN, "erin", 1),
    )


def settings(**changes: float) -> SipSettings:
    return replace(SETTINGS, **changes)  # type: ignore[arg-type]
