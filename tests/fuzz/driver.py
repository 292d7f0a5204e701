"""Phones, an operator, strangers and the clock around a whole proxy, driven by plain numbers.

Each operation picks from what has happened so far, so that any list of operations means something,
and the list of those that led to a fault can be written to a file and done again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, TypeVar

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.orders import PENDING, WAITING_FOR_ACK
from dlgmgmt.sip.framing import Framer, FramingError
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.own_requests import UNSENDABLE
from dlgmgmt.sip.selection import Candidate
from dlgmgmt.sip.transaction import ServerTransaction
from dlgmgmt.sip.validate import check_request
from tests.fuzz.choices import (
    CONTACTS,
    EXTRA,
    INITIAL,
    METHODS,
    REPLIED,
    STATUSES,
    TIMES,
    URIS,
    USERS,
    WITHIN,
)
from tests.fuzz.mutate import Mutator, seeds
from tests.fuzz.world import FuzzPhone, FuzzWorld, RecordedFlow, is_plain
from tests.unit.sip.harness import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    ERIN,
    FakeFlow,
    FakeStream,
    Mail,
    Side,
    Sip,
)

TIM = "10.0.9.2", 5062
RECENT = 12
"""How far back an operation can pick."""

_T = TypeVar("_T")


class Driver:
    """The operations, and what must be true after each of them."""

    def __init__(self) -> None:
        self.world = FuzzWorld()
        self.sent: list[tuple[FuzzPhone, bytes]] = []
        make = self._phone
        self.callers = [make(ALICE, "alice"), make(TIM, "tim", 2)]
        self.callees = [make(BOB, "bob"), make(CAROL, "carol"), make(DAVE, "dave")]
        self.callees.append(make(ERIN, "erin", 1))
        self.tcp_bob = make(BOB, "bob", 2)
        self.phones = {phone.addr: phone for phone in (*self.callers, *self.callees)}
        self.calls = 0
        self.invites: list[tuple[FuzzPhone, Sip]] = []
        self.requests: list[tuple[FuzzPhone, Sip]] = []
        self.replies: list[tuple[FuzzPhone, Sip]] = []
        self.sides: list[tuple[FuzzPhone, Side]] = []
        self.flows: list[RecordedFlow] = []
        self.hung_up: set[tuple[str, str, str]] = set()
        self._new_server = self.world.stack.new_server
        # The transaction is the place that sees every reply and none of another transaction.
        self.world.stack.new_server = self._recorded  # type: ignore[method-assign,assignment]

    def _phone(self, addr: tuple[str, int], name: str, own: int = 0) -> FuzzPhone:
        return FuzzPhone(self.world, addr, name, own, sent=self.sent)

    def _recorded(self, *args: Any) -> ServerTransaction:
        transaction = self._new_server(*args)
        assert transaction.request is not None
        flow = RecordedFlow(transaction.flow, transaction.request.method)
        transaction.flow = flow
        self.flows.append(flow)
        return transaction

    @staticmethod
    def pick(items: Sequence[_T], which: int) -> _T | None:
        """One of the latest."""
        return items[-1 - which % min(len(items), RECENT)] if items else None

    # -- operations ------------------------------------------------------------------------------

    def do(self, name: str, *args: int) -> None:
        """Do one operation, then check everything."""
        getattr(self, f"op_{name}")(*args)
        self.check()

    def op_invite(self, who: int, user: int, extra: int, kind: int) -> None:
        """An initial request; of a new call but for one in eight."""
        phone = self.callers[who % 8 == 0]
        self.calls += kind % 8 != 7
        sent = phone.invite(
            USERS[user % len(USERS)],
            callid=f"c{self.calls}",
            headers=INITIAL[extra % len(INITIAL)],
            uri=URIS[kind % len(URIS)],
            method="INVITE" if who % 4 else METHODS[kind % len(METHODS)],
        )
        self.invites.append((phone, sent))

    def op_call(self, user: int, how: int) -> None:
        """A call that has come some way already."""
        self.op_invite(1, user, 0, 0)
        self.collect()
        got = [(phone, sip) for phone, sip in self.requests if sip["Call-ID"] == f"c{self.calls}"]
        for phone, invite in got:
            phone.reply(invite, 180)
        if how % 4 and got:
            answering = got if how % 8 == 7 else [got[how % len(got)]]
            for phone, invite in answering:
                phone.reply(invite, 200)
                self.sides.append((phone, phone.callee_side(invite)))
        self.collect()
        for which in range(how % 4 - 1):
            self.op_ack(which)

    def op_resend(self, which: int, times: int) -> None:
        """What was sent comes again."""
        found = self.pick(self.sent, which)
        if found is not None:
            for _ in range(1 + times % 3):
                self.world.receive(found[1], found[0].addr, found[0].own)

    def op_reply(self, which: int, status: int, tag: int, extra: int) -> None:
        """A phone answers, in whatever way."""
        found = self.pick(self.requests, which)
        if found is None or found[1].method == "ACK":
            return
        phone, request = found
        code = STATUSES[status % len(STATUSES)]
        name = (None, None, None, "other", "third", "")[tag % 6]
        phone.reply(
            request,
            code,
            tag=name,
            headers=REPLIED[extra % len(REPLIED)],
            contact=CONTACTS[extra % len(CONTACTS)],
        )
        if request.method == "INVITE" and 100 < code < 300:
            self.sides.append((phone, phone.callee_side(request, name)))

    def op_wrong_reply(self, which: int, status: int, how: int) -> None:
        """An answer that is nobody's, or is broken."""
        found = self.pick(self.requests, which)
        if found is None:
            return
        phone, request = found
        phone.muted = True
        data = phone.reply(request, STATUSES[status % len(STATUSES)]).raw
        phone.muted = False
        branch = request.branch.encode()
        number, method = request["CSeq"].encode().split()
        changes = (
            (branch, branch + b"x"),
            (branch, branch[:-1]),
            (b"CSeq: " + number, b"CSeq: " + number + b"1"),
            (b" " + method + b"\r\n", b" NOTIFY\r\n"),
            (b"Call-ID: ", b"Call-ID: x"),
            (b"To: ", b"X-To: "),
            (b"Via: ", b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKy\r\nVia: "),
            (b"SIP/2.0 ", b"SIP/2.0 1"),
            (b"Content-Length: 0", b"Content-Length: 9"),
        )
        old, new = changes[how % len(changes)]
        self.world.receive(data.replace(old, new, 1), phone.addr, phone.own)

    def op_cancel(self, which: int, extra: int) -> None:
        """The caller gives up, perhaps too late."""
        found = self.pick(self.invites, which)
        if found is not None:
            found[0].cancel(found[1], ("Reason: SIP;cause=200",) if extra % 2 else ())

    def op_ack(self, which: int) -> None:
        """An ACK for a final reply, or once more."""
        finals = [
            (phone, reply)
            for phone, reply in self.replies[-4 * RECENT :]
            if reply.status >= 200 and reply["CSeq"].endswith("INVITE")
        ]
        found = self.pick(finals, which)
        if found is None:
            return
        phone, reply = found
        if reply.status < 300:
            phone.within(phone.caller_side(reply), "ACK")
            return
        for sender, sent in self.invites:
            if sender is phone and sent.branch == reply.branch:
                phone.ack_failure(sent, reply)

    def op_within(self, which: int, method: int, number: int, extra: int) -> None:
        """A request in a dialog, of either side."""
        found = self.pick(self.sides, which)
        if found is None:
            return
        phone, side = found
        name = WITHIN[method % len(WITHIN)]
        cseq = {5: side.cseq, 6: 0, 7: 2**31 - 1}.get(number % 8)
        sent = phone.within(
            side,
            name,
            cseq=cseq,
            headers=EXTRA[extra % len(EXTRA)],
            routes=[] if extra % 8 == 7 else None,
            contact=extra % 5 != 4,
        )
        if name == "INVITE":
            self.invites.append((phone, sent))

    def op_talk(self, which: int, method: int, status: int, extra: int) -> None:
        """A request in a dialog that is answered at once, and acknowledged."""
        known = len(self.requests)
        self.op_within(which, method, 0, 0)
        self.collect()
        if len(self.requests) > known:
            self.op_reply(0, status, 0, extra)
            self.collect()
            self.op_ack(0)

    def op_kill(self, which: int, how: int) -> None:
        """An operator ends a call."""
        views = [view for batch in self.world.table.iter_views() for view in batch]
        found = self.pick(views, which)
        if found is None:
            return
        only = ("", "", "", "caller", "callee")[how % 5]
        try:
            order = self.world.terminator.by_id(
                found.h_entry, found.h_id, reason="mi", extra_headers="X-Y: z", only=only
            )
        except NoSuchDialog:
            assert found.state == 6
            return
        assert found.state != 6
        if found.state in (4, 5, 7) and not only:
            told = {(side.side, side.to_tag) for side in order.sides}
            legs = [leg.to_tag for leg in found.legs if leg.state != "early"]
            assert told == {(side, tag) for tag in legs for side in ("caller", "callee")}

    def op_orders(self, wait: int) -> None:
        """From now on orders wait, or those that waited are carried out."""
        if wait % 2 and self.world.later is None:
            self.world.defer()
        else:
            self.world.execute()

    def op_wait(self, how_long: int) -> None:
        """Time passes."""
        self.wait(TIMES[how_long % len(TIMES)])

    def wait(self, seconds: float) -> None:
        """Let time pass. A name is not looked for longer than ten seconds."""
        while seconds > 0:
            self.world.wait(min(seconds, 10.0))
            seconds -= 10.0
            if seconds > 0:
                while self.world.names.waiting:
                    self.op_resolve(0, 0)

    def op_garbage(self, which: int, seed: int) -> None:
        """A message that was sent comes again, changed; or one of RFC 4475."""
        found = self.pick(self.sent, which)
        rng = random.Random(seed)
        phone, data = found if found is not None and seed % 4 else (self.callers[0], b"")
        mutator = Mutator(rng, [data] if data else seeds())
        self.world.receive(mutator.make(), phone.addr, phone.own)

    def op_stream(self, which: int, seed: int) -> None:
        """Messages, some of them changed, come on a connection, up to what cannot be cut."""
        rng = random.Random(seed)
        phone = self.callers[1]
        sock = self.world.sockets[phone.own]
        assert isinstance(sock, FakeStream)
        stream = FakeFlow(sock, phone.addr)
        parts = [data for _, data in self.sent[-1 - which :]][:3]
        mutator = Mutator(rng, parts or seeds())
        data = b"\r\n\r\n".join([*parts, mutator.change(mutator.make())])
        framer = Framer(65_535)
        try:
            for at in range(0, len(data), 500):
                for item in framer.feed(data[at : at + 500]):
                    if isinstance(item, bytes):
                        self.world.proxy.receive(item, phone.addr, sock, stream)
        except FramingError as error:
            self.world.proxy.unreadable(error, stream)

    def op_break(self, which: int, how: int) -> None:
        """A network fails, or works again."""
        phone = [*self.callers, *self.callees][which % 6]
        for sock in self.world.sockets:
            if isinstance(sock, FakeStream):
                if how % 2:
                    sock.lose(phone.addr, ended=how % 4 == 3)
                else:
                    sock.refused ^= {phone.addr}
            elif how % 4 == 0:
                sock.broken ^= {phone.addr}

    def op_resolve(self, which: int, found: int) -> None:
        """The name of a next hop is found, or not."""
        waiting = self.world.names.waiting
        if waiting:
            done = waiting.pop(which % len(waiting))
            places = [Candidate("udp", "10.0.1.2", 5060), Candidate("tcp", "10.0.1.1", 5060)]
            done(places[: found % 3])

    # -- what must be true -----------------------------------------------------------------------

    def collect(self) -> None:
        """Hand out what was sent."""
        for mail in self.world.take():
            self._sent(mail)
            sip = mail.sip
            phone = self.phones.get(mail.to)
            if phone is self.callees[0] and mail.sock.kind == "tcp":
                phone = self.tcp_bob
            if sip.method == "BYE":
                self.hung_up.add((sip["Call-ID"], sip.tag("From"), sip.tag("To")))
            if phone is None or not is_plain(sip):
                continue
            if sip.method:
                self.requests.append((phone, sip))
            else:
                self.replies.append((phone, sip))
                if sip["CSeq"].endswith("INVITE") and 100 < sip.status < 300 and sip.tag("To"):
                    self.sides.append((phone, phone.caller_side(sip)))

    @staticmethod
    def _sent(mail: Mail) -> None:
        """The next hop can read it."""
        msg = Message(mail.sip.raw)
        assert msg.defect is None, f"{msg.defect}: {mail.sip.raw!r}"
        if msg.method:
            check_request(msg)
            msg.top_via()

    def check(self) -> None:
        """What holds at any moment."""
        self.collect()
        world = self.world
        assert not world.fault, world.fault
        assert world.proxy.counters.errors == 0
        table = world.table
        counts = table.counts()
        views = [view for batch in table.iter_views() for view in batch]
        states = [view.state for view in views]
        assert counts[:6] == tuple(states.count(state) for state in (1, 2, 4, 5, 7, 6))
        assert len(views) == len(table)
        assert len(views) <= counts.processed
        assert table.counters.forced == 0
        for flow in self.flows:
            flow.check()

    def settle(self) -> None:
        """Let every timer pass; nothing may be left, and everybody has been told."""
        world = self.world
        world.execute()
        for _ in range(10):
            self.wait(50.0)
            self.check()
        assert world.stack.servers == {}
        assert world.stack.clients == {}
        assert len(world.stack.wheel) == 0
        assert len(world.table) == 0
        assert not any(world.table.counts()[:6])
        assert len(world.table._wheel) == 0
        for flow in self.flows:
            assert flow.finals or flow.what != "INVITE", "an INVITE was not answered"
        for order in world.table.terminations():
            for side in order.sides:
                assert side.outcome not in (PENDING, WAITING_FOR_ACK), order
                if side.method == "BYE" and side.outcome != UNSENDABLE:
                    tags = order.from_tag, side.to_tag
                    tags = tags if side.side == "callee" else tags[::-1]
                    assert (order.callid, *tags) in self.hung_up, order
        world.locator.close()


def replay(steps: Sequence[Sequence[Any]]) -> None:
    """Do a list of operations; raises what is wrong."""
    driver = Driver()
    for name, *args in steps:
        driver.do(name, *args)
    driver.settle()
