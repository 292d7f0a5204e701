"""A DNS server on loopback that answers as a test tells it to, and a resolver that asks it."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

from dlgmgmt.sip.resolver import Resolver
from dlgmgmt.sip.selection import Candidate, Listening, plan
from dlgmgmt.sip.settings import DnsSettings
from dlgmgmt.sip.uri import parse_uri

UDP: Listening = {"udp": (socket.AF_INET,)}
WIDE: Listening = {"udp": (socket.AF_INET, socket.AF_INET6), "tcp": (socket.AF_INET,)}

Hook = Callable[[dns.message.Message, bytes], list[bytes] | None]


class Server(asyncio.DatagramProtocol):
    """Records by (name, kind), as zone text. hook: answers in place of them, None to leave it."""

    def __init__(self, tcp: socket.socket) -> None:
        self.tcp = tcp
        self.zone: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.asked: list[str] = []
        self.hook: Hook | None = None
        self.silent = False
        self.address = ("", 0)
        self._transport: asyncio.DatagramTransport | None = None

    def has(self, name: str, kind: str, *records: str, ttl: int = 300) -> None:
        self.zone[name, kind] = ttl, list(records)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        self.address = transport.get_extra_info("sockname")[:2]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        self.asked.append(f"{kind} {name}")
        if self.silent:
            return
        answers = self.hook(query, data) if self.hook is not None else None
        if answers is None:
            answers = [self.answer(query).to_wire()]
        assert self._transport is not None
        for answer in answers:
            self._transport.sendto(answer, addr)

    def answer(self, query: dns.message.Message) -> dns.message.Message:
        question = query.question[0]
        name = question.name.to_text(omit_final_dot=True)
        kind = dns.rdatatype.to_text(question.rdtype)
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        known = self.zone.get((name, kind)) or self.zone.get((name, "CNAME"))
        if known is not None:
            shown = kind if (name, kind) in self.zone else "CNAME"
            response.answer.append(
                dns.rrset.from_text(f"{name}.", known[0], "IN", shown, *known[1])
            )
        else:
            exists = any(owner == name for owner, _ in self.zone)
            response.set_rcode(dns.rcode.NOERROR if exists else dns.rcode.NXDOMAIN)
            soa = "ns.example. root.example. 1 3600 600 86400 40"
            response.authority.append(dns.rrset.from_text("example.", 900, "IN", "SOA", soa))
        return response


class World:
    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.now = 1000.0
        self.hosts = folder / "hosts"
        self.hosts.write_text("127.0.0.1 localhost\n")
        self.resolv_conf = folder / "resolv.conf"
        self.settings = DnsSettings(servers=(server.address,), timeout=2.0, attempts=2)
        self.resolver = self.new(self.settings)

    def new(self, settings: DnsSettings) -> Resolver:
        self.resolver = Resolver(
            settings,
            monotonic=lambda: self.now,
            rng=random.Random(1),
            hosts=str(self.hosts),
            resolv_conf=str(self.resolv_conf),
        )
        return self.resolver

    def begin(self, uri: str, listening: Listening = UDP) -> asyncio.Future[Sequence[Candidate]]:
        future: asyncio.Future[Sequence[Candidate]] = asyncio.get_running_loop().create_future()
        asked = plan(parse_uri(uri), listening)
        assert asked is not None
        self.resolver.find(asked, listening, future.set_result)
        return future

    async def find(self, uri: str, listening: Listening = UDP) -> list[tuple[str, int]]:
        found = await self.begin(uri, listening)
        return [(each.host, each.port) for each in found]
