"""The phones of one test: scripted peers and sipp processes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .daemon import Daemon
from .message import Message
from .peer import Callee, Caller, Leg
from .ports import free_port
from .sipp import Sipp
from .stream import StreamCallee, StreamCaller
from .websocket import WebCallee, WebCaller


@dataclass
class Call:
    """An answered call: a is the caller's half, b the callee's."""

    caller: Caller
    callee: Callee
    a: Leg
    b: Leg

    def hang_up(self) -> None:
        self.a.bye(self.callee)


class Phones:
    """Phones for one test; all are put down at its end."""

    def __init__(self, folder: Path, callid: str) -> None:
        self._folder = folder
        self.callid = callid
        self._peers: list[Caller | Callee] = []
        self._sipps: list[Sipp] = []

    def caller(self, daemon: Daemon, *, callid: str = "", **more: Any) -> Caller:
        """kind: the daemon's listener that it speaks to; tls: contexts for "tls" and "wss"."""
        port = more.pop("port", 0) or free_port()
        kind = more.pop("kind", "udp")
        if kind == "udp":
            phone = Caller(port, daemon.address, callid or self.callid, **more)
        else:
            sort = WebCaller if kind.startswith("ws") else StreamCaller
            phone = sort(port, daemon.where(kind), callid or self.callid, **more)
        self._peers.append(phone)
        return phone

    def callee(self, daemon: Daemon, *, callid: str = "", **more: Any) -> Callee:
        port = more.pop("port", 0) or free_port()
        kind = more.pop("kind", "udp")
        if kind == "udp":
            phone = Callee(port, daemon.address, callid or self.callid, **more)
        else:
            sort = WebCallee if kind.startswith("ws") else StreamCallee
            phone = sort(port, daemon.where(kind), callid or self.callid, **more)
        self._peers.append(phone)
        return phone

    def sipp(self, scenario: str, **more: Any) -> Sipp:
        phone = Sipp(self._folder, scenario, port=more.pop("port", 0) or free_port(), **more)
        self._sipps.append(phone)
        return phone

    def hang_up(self) -> None:
        for peer in self._peers:
            peer.close()
        for sipp in self._sipps:
            sipp.stop()

    def ring(self, daemon: Daemon, **more: Any) -> tuple[Caller, Callee, Message]:
        """A call that rings: both phones, and the 180 as the caller got it."""
        caller, callee = self.caller(daemon), self.callee(daemon, **more)
        caller.invite(f"sip:bob@{callee.hostport}")
        callee.take()
        callee.ring()
        return caller, callee, caller.expect(180)

    def fork(self, daemon: Daemon, kind: str = "parallel") -> tuple[Caller, Callee, Callee]:
        """A forked call on its way: nobody has been sent anything but the caller's INVITE."""
        route = daemon.fork_route(kind)
        first, second = (self.callee(daemon, port=port) for port in route.ports)
        caller = self.caller(daemon)
        caller.invite(f"sip:{route.user_prefix}@{daemon.hostport}")
        return caller, first, second

    def ring_fork(self, daemon: Daemon) -> tuple[Caller, Callee, Callee]:
        """A forked call that rings on both phones."""
        caller, first, second = self.fork(daemon)
        for callee in (first, second):
            callee.take()
            callee.ring()
            caller.expect(180, where=lambda m, tag=callee.tag: m.to_tag == tag)  # type: ignore[misc]
        return caller, first, second

    def talk(self, daemon: Daemon, **more: Any) -> Call:
        """An answered and acknowledged call."""
        caller, callee, _ = self.ring(daemon, **more)
        callee.answer()
        a = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        return Call(caller, callee, a, callee.leg())
