"""A domain with several servers, which are phones."""

from __future__ import annotations

import itertools

from .daemon import Daemon
from .dnsmasq import Dnsmasq
from .message import Message
from .peer import Callee, Caller
from .phones import Phones

_numbers = itertools.count(1)


class Site:
    """A domain whose servers are phones: 127.0.0.2 before 127.0.0.3 before 127.0.0.4."""

    def __init__(
        self, phones: Phones, daemon: Daemon, dns: Dnsmasq, domain: str, port: int
    ) -> None:
        self.phones, self.daemon, self.dns, self.domain = phones, daemon, dns, domain
        self.first, self.second, self.third = (
            phones.callee(daemon, host=f"127.0.0.{number}", port=port) for number in (2, 3, 4)
        )

    @property
    def servers(self) -> tuple[Callee, Callee, Callee]:
        return self.first, self.second, self.third

    def call(self) -> Caller:
        """A further call to the domain."""
        callid = f"{self.phones.callid}-{next(_numbers)}"
        for server in self.servers:
            server.drain()
            server.pending.clear()
            server.callid = callid
        caller = self.phones.caller(self.daemon, callid=callid)
        caller.invite(f"sip:bob@{self.domain}")
        return caller

    def complete(self, caller: Caller, callee: Callee, invite: Message | None = None) -> Message:
        """``callee`` takes the call, and the caller hangs up; returns the INVITE."""
        if invite is None:
            invite = callee.take()
        callee.call = invite
        callee.ring()
        caller.expect(180)
        callee.answer()
        leg = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        leg.bye(callee)
        self.daemon.wait_ended(caller.callid)
        return invite

    def heard(self, server: Callee) -> int:
        """The INVITEs of the current call that have come to a server, without copies."""
        server.drain()
        return sum(each.method == "INVITE" for each in server.pending)
