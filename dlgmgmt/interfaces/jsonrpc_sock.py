"""JSON-RPC over unix datagram and stream sockets, UDP and TCP."""

from __future__ import annotations

import asyncio

from dlgmgmt.commands.dispatcher import Caller
from dlgmgmt.interfaces.access import Access, address_text
from dlgmgmt.interfaces.connections import Connections
from dlgmgmt.interfaces.datagrams import DatagramSocket, Peer
from dlgmgmt.interfaces.jsonrpc import INVALID_REQUEST, JsonRpc, error_response
from dlgmgmt.interfaces.jsonrpc_stream import DOOR, JsonStreams
from dlgmgmt.interfaces.rpc_door import answer, busy, too_large, whole
from dlgmgmt.interfaces.rpc_framing import Frame, encoding_of
from dlgmgmt.interfaces.rpc_render import JSON
from dlgmgmt.interfaces.settings import JsonSockSettings, SocketAddress
from dlgmgmt.interfaces.sockets import Bound, bind

TOO_MANY = (-32000, "Too many connections")


class JsonSockets:
    """All doors of ``[jsonrpc_sock]``. Start and stop it on the management loop."""

    def __init__(self, settings: JsonSockSettings, rpc: JsonRpc, access: Access) -> None:
        self.settings = settings
        self._rpc = rpc
        self._access = access
        self._streams = JsonStreams(settings, rpc, access)
        self._connections = Connections(
            DOOR,
            self._streams.serve,
            JSON.encode(error_response(TOO_MANY)) + b"\n",
            most=settings.max_connections,
            most_of_one=settings.max_connections_per_peer,
            write_deadline=settings.write_deadline,
        )
        self._datagrams: list[DatagramSocket] = []
        self._bound: list[Bound] = []
        self._requests = 0

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """Where it listens, with the ports that were taken."""
        return tuple(bound.address for bound in self._bound)

    def counters(self) -> list[tuple[str, int]]:
        """For the statistics group "jsonrpc_sock"."""
        connections, datagrams = self._connections, self._datagrams
        slow = connections.slow_readers + sum(each.slow_readers for each in datagrams)
        return [
            ("broken_streams", self._streams.broken),
            ("connections", len(connections)),
            ("refused", connections.refused + sum(each.refused for each in datagrams)),
            ("requests", self._requests + self._streams.requests),
            ("slow_readers", slow),
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
        async def answer_datagram(data: bytes, peer: Peer) -> None:
            self._requests += 1
            reply = await self._answer(bound.address, data, address_text(peer), door.limit)
            if reply is not None and not await door.send(reply, peer):
                # The system carries less than the settings say.
                await door.send(too_large(_frame(data), door.limit), peer)

        door = DatagramSocket(
            bound,
            answer_datagram,
            lambda data: busy(_frame(data)),
            max_size=self.settings.max_request,
            max_reply=self.settings.max_datagram,
            most=self.settings.max_pending,
            write_deadline=self.settings.write_deadline,
        )
        door.start()
        return door

    async def _answer(
        self, address: SocketAddress, data: bytes, peer: str, limit: int
    ) -> bytes | None:
        frame = _frame(data)
        if len(data) > self.settings.max_request:
            reason = f"a request of more than {self.settings.max_request} bytes"
            return await whole(error_response(INVALID_REQUEST, reason), frame.encoding, limit)

        def who(token: str | None) -> Caller | None:
            return self._access.caller(DOOR, peer, token)

        label = f"{DOOR} {address.kind} {peer}".rstrip()
        reply = await answer(self._rpc, frame, who, label)
        return None if reply is None else await whole(reply, frame.encoding, limit)


def _frame(data: bytes) -> Frame:
    return Frame(encoding_of(data), data)
