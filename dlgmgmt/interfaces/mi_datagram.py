"""MI in datagrams, over unix sockets and UDP: a request in one, its reply in another."""

from __future__ import annotations

import asyncio
import logging

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.interfaces.access import UNAUTHORIZED, Access, address_text
from dlgmgmt.interfaces.datagrams import DatagramSocket, Peer, peer_text
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.interfaces.settings import MiDatagramSettings, SocketAddress
from dlgmgmt.interfaces.sockets import Bound, bind
from mi_fifo import (
    MiBadRequest,
    MiReply,
    command_failed,
    escape,
    parse_datagram,
    render_datagram,
)

_LOG = logging.getLogger(__name__)

DOOR = "mi_datagram"

_TOO_LARGE = 513
_BUSY = MiReply(503, "Too many requests")


class MiDatagrams:
    """All doors of ``[mi_datagram]``. Start and stop it on the management loop."""

    def __init__(
        self, settings: MiDatagramSettings, dispatcher: Dispatcher, access: Access | None = None
    ) -> None:
        self.settings = settings
        self._dispatcher = dispatcher
        self._access = access or Access()
        self._sockets: list[DatagramSocket] = []
        self._bound: list[Bound] = []
        # Requests are carried out one after the other; their replies wait for nobody.
        self._turn = asyncio.Lock()
        self._requests = 0
        self._bad_requests = 0
        self._failed = 0
        self._too_large = 0

    @property
    def addresses(self) -> tuple[SocketAddress, ...]:
        """Where it listens, with the ports that were taken."""
        return tuple(bound.address for bound in self._bound)

    def counters(self) -> list[tuple[str, int]]:
        """For the statistics group "mi_datagram"."""
        sockets = self._sockets
        return [
            ("bad_requests", self._bad_requests),
            ("failed", self._failed),
            ("refused", sum(each.refused for each in sockets)),
            ("requests", self._requests),
            ("slow_readers", sum(each.slow_readers for each in sockets)),
            ("too_large", self._too_large),
            ("unnamed", sum(each.unnamed for each in sockets)),
        ]

    async def start(self) -> None:
        """Listen everywhere; raises OSError, naming the socket, if one cannot be had."""
        try:
            for address in self.settings.listen:
                self._bound.append(bind(address, self.settings.rights))
            for bound in self._bound:
                self._sockets.append(self._open(bound))
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop listening, and give up what is being answered."""
        await asyncio.gather(*(each.stop() for each in self._sockets))
        for bound in self._bound:
            bound.close()
        self._sockets, self._bound = [], []

    def _open(self, bound: Bound) -> DatagramSocket:
        settings = self.settings

        async def answer(data: bytes, peer: Peer) -> None:
            label = f"MI {bound.address.kind} {peer_text(peer)}"
            async with self._turn:
                reply = await self._answer(data, address_text(peer), label, door.limit)
            if reply is not None and not await door.send(reply, peer):
                # The system carries less than the settings say.
                await door.send(self._excess(label, door.limit), peer)

        door = DatagramSocket(
            bound,
            answer,
            lambda _data: _bytes(_BUSY),
            max_size=settings.max_request,
            max_reply=settings.max_reply,
            most=settings.max_pending,
            write_deadline=settings.write_deadline,
        )
        door.start()
        return door

    async def _answer(self, data: bytes, peer: str, label: str, limit: int) -> bytes | None:
        """The reply to a datagram, None for none. peer: host and port, "" of a unix socket."""
        request = parse_datagram(data, self.settings.max_request)
        if isinstance(request, MiBadRequest):
            self._bad_requests += 1
            told = request.reason in request.text
            what = request.text if told else f"{request.text}: {request.reason}"
            _LOG.info("%s: %s", label, escape(what))
            if request.reply_name is None:
                return None
            return _bytes(MiReply(400, request.text))
        self._requests += 1
        caller = self._access.caller(DOOR, peer, label=label)
        if caller is None:
            return _bytes(MiReply(*UNAUTHORIZED))
        try:
            whole = await _whole(MiBinding(self._dispatcher, caller)(request), limit)
        except Exception:  # noqa: BLE001 - its text is not for the client
            self._failed += 1
            _LOG.exception("%s: %s failed", label, escape(request.command))
            return _bytes(command_failed(request.command))
        return self._excess(label, limit) if whole is None else whole

    def _excess(self, label: str, limit: int) -> bytes:
        """The reply instead of one that is too large."""
        self._too_large += 1
        _LOG.info("%s: a reply of more than %d bytes refused", label, limit)
        text = (
            f"Reply too large: more than the {limit} bytes that this door carries; "
            "use dlg_query with limit and cursor"
        )
        return _bytes(MiReply(_TOO_LARGE, text))


def _bytes(reply: MiReply) -> bytes:
    return b"".join(render_datagram(reply))


async def _whole(reply: MiReply, limit: int) -> bytes | None:
    """The bytes of a reply; None if they are more than ``limit``."""
    made = bytearray()
    for chunk in render_datagram(reply):
        made += chunk
        if len(made) > limit:
            return None
        await asyncio.sleep(0)
    return bytes(made)
