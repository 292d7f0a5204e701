"""BINRPC over unix stream and datagram sockets, TCP and UDP: what kamcmd speaks."""

from __future__ import annotations

import asyncio

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.system import ControlSocket
from dlgmgmt.interfaces.access import Access, address_text
from dlgmgmt.interfaces.binrpc_answers import Answers
from dlgmgmt.interfaces.binrpc_stream import DOOR, BinrpcStreams, client
from dlgmgmt.interfaces.connections import Connections
from dlgmgmt.interfaces.datagrams import DatagramSocket, Peer, peer_text
from dlgmgmt.interfaces.settings import BinrpcSettings, SocketAddress
from dlgmgmt.interfaces.sockets import Bound, bind


class BinrpcServer:
    """All doors of ``[binrpc]``. Start and stop it on the management loop."""

    def __init__(
        self, settings: BinrpcSettings, dispatcher: Dispatcher, access: Access | None = None
    ) -> None:
        self.settings = settings
        self._access = access or Access()
        self._answers = Answers(dispatcher, settings.max_request)
        self._connections = Connections(
            "BINRPC",
            BinrpcStreams(settings, self._answers, self._access).serve,
            self._answers.busy,
            most=settings.max_connections,
            most_of_one=settings.max_connections_per_peer,
            write_deadline=settings.write_deadline,
        )
        self._datagrams: list[DatagramSocket] = []
        self._bound: list[Bound] = []

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """Where it listens, with the ports that were taken."""
        return tuple(bound.address for bound in self._bound)

    def sockets(self) -> list[ControlSocket]:
        """Where it listens, for ctl.listen."""
        return [ControlSocket(a.kind, a.path, a.host, a.port) for a in self.addresses]

    def clients(self) -> list[ControlSocket]:
        """Who is connected, for ctl.who."""
        return [client(link) for link in self._connections.links()]

    def counters(self) -> list[tuple[str, int]]:
        """For the statistics group "binrpc"."""
        answers, connections, datagrams = self._answers, self._connections, self._datagrams
        return [
            ("bad_requests", answers.bad_requests),
            ("connections", len(connections)),
            ("refused", connections.refused + sum(each.refused for each in datagrams)),
            ("requests", answers.requests),
            (
                "slow_readers",
                connections.slow_readers + sum(each.slow_readers for each in datagrams),
            ),
            ("too_large", answers.too_large),
        ]

    async def start(self) -> None:
        """Listen everywhere; raises OSError, naming the socket, if one cannot be had."""
        try:
            for address in self.settings.listen:
                self._bound.append(bind(address, self.settings.rights))
            for bound in self._bound:
                if bound.address.is_stream:
                    await self._connections.listen(bound)
                else:
                    self._datagrams.append(self._datagram_door(bound))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, and close every connection."""
        await self._connections.stop()
        await asyncio.gather(*(door.stop() for door in self._datagrams))
        for bound in self._bound:
            bound.close()
        self._datagrams, self._bound = [], []

    def _datagram_door(self, bound: Bound) -> DatagramSocket:
        settings, answers = self.settings, self._answers

        async def answer(data: bytes, peer: Peer) -> None:
            label = f"BINRPC {bound.address.kind} {peer_text(peer)}"
            caller = self._access.caller(DOOR, address_text(peer), label=label)
            reply, _ = await answers.answer(data, caller, door.limit)
            if not await door.send(reply, peer):
                await door.send(answers.unsendable(data, door.limit, label), peer)

        door = DatagramSocket(
            bound,
            answer,
            answers.busy,
            max_size=settings.max_request,
            max_reply=settings.max_reply,
            most=settings.max_connections,
            write_deadline=settings.write_deadline,
        )
        door.start()
        return door
