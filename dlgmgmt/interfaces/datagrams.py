"""A socket of datagrams, each of which is a request that is answered by another."""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine
from typing import Any

from dlgmgmt.interfaces.settings import SocketAddress
from dlgmgmt.interfaces.sockets import Bound

_LOG = logging.getLogger(__name__)

MAX_UDP = 65_507
"""Bytes that a UDP datagram carries."""

# Read at one wake-up, so that others get their turn.
_AT_ONCE = 16
_AGAIN = 0.02
_UNREAD = 16

Peer = Any
"""Where a datagram came from, in the words of its address family."""

Answer = Callable[[bytes, Peer], Coroutine[Any, Any, None]]


class DatagramSocket:
    """Reads datagrams and runs ``answer`` for each, ``most`` at once.

    max_size: bytes that are read of one; those of a longer one end there, one byte later.
    busy: the answer while there are so many, made of a request.
    write_deadline: seconds for a receiver whose queue is full.
    """

    def __init__(
        self,
        bound: Bound,
        answer: Answer,
        busy: Callable[[bytes], bytes],
        *,
        max_size: int,
        max_reply: int,
        most: int,
        write_deadline: float,
    ) -> None:
        self._bound = bound
        self._answer = answer
        self._busy = busy
        self._max_size = max_size
        self._most = most
        self._write_deadline = write_deadline
        self._tasks: set[asyncio.Task[None]] = set()
        self.limit = max_reply
        self.slow_readers = 0
        self.refused = 0
        self.unnamed = 0
        if bound.address.kind == "udp":
            self.limit = min(max_reply, MAX_UDP)
        else:
            # What connected receivers have not read yet takes room in it.
            bound.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD * max_reply)
            room = bound.sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
            # Linux says twice of what was granted, for what it needs itself.
            self.limit = min(max_reply, room // 2)

    @property
    def address(self) -> SocketAddress:
        """Where it is."""
        return self._bound.address

    def start(self) -> None:
        """Begin to read."""
        asyncio.get_running_loop().add_reader(self._bound.sock, self._readable)

    async def stop(self) -> None:
        """Read no more, and give up what is being answered."""
        asyncio.get_running_loop().remove_reader(self._bound.sock)
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._bound.close()

    def _readable(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                data, peer = self._bound.sock.recvfrom(self._max_size + 1)
            except BlockingIOError:
                return
            except OSError:
                # Of a datagram that was sent before, and that nobody took.
                continue
            self._received(data, peer)

    def _received(self, data: bytes, peer: Peer) -> None:
        if not peer:
            self.unnamed += 1
            _LOG.info("%s: a request from a socket without a name cannot be answered", self.address)
            return
        if len(self._tasks) >= self._most:
            self.refused += 1
            self._send_now(self._busy(data), peer)
            return
        task = asyncio.get_running_loop().create_task(self._answer(data, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def send(self, data: bytes, peer: Peer) -> bool:
        """Send an answer; False if the system cannot carry a datagram of this size."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._write_deadline
        while True:
            sent = self._send_now(data, peer)
            if sent is not None:
                return sent
            if loop.time() >= end:
                self.slow_readers += 1
                _LOG.warning(
                    "%s: no answer to %s: it did not read for %g s",
                    self.address,
                    peer_text(peer),
                    self._write_deadline,
                )
                return True
            await asyncio.sleep(_AGAIN)

    def _send_now(self, data: bytes, peer: Peer) -> bool | None:
        """As ``send``; None if there is no room now."""
        try:
            if not self.address.path or not self._send_apart(data, peer):
                self._bound.sock.sendto(data, peer)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.ENOBUFS):
                return None
            if error.errno == errno.EMSGSIZE:
                return False
            _LOG.info("%s: no answer to %s: %s", self.address, peer_text(peer), error.strerror)
        return True

    def _send_apart(self, data: bytes, peer: Peer) -> bool:
        """Send by a socket of its own; False to one who has connected, and takes nothing from it.

        A datagram that is not read takes room in the socket that has sent it, as long as its
        receiver lives: in the common one it would be taken from the answers to all others.
        """
        try:
            apart = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        except OSError:  # as many files are open as may be
            return False
        with apart as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * self.limit)
            try:
                sock.sendto(data, peer)
            except PermissionError:
                return False
        return True


def peer_text(peer: Peer) -> str:
    """A peer, for a log."""
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return ascii(peer)
