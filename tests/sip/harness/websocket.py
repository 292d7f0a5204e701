"""Scripted peers over WebSocket (RFC 7118): a client's side of RFC 6455, frame by frame."""

from __future__ import annotations

import base64
import hashlib
import os
import select
import socket
import struct
from typing import Any

from .message import Message
from .peer import Callee, Caller, Peer
from .stream import Connection, Contexts

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


class Refused(Exception):
    """The server answered the handshake with something else than 101: its status line."""


class WebSocket(Connection):
    """A connection after the handshake; one message is one frame. protocol: "" to ask for none."""

    pongs = 0
    answers_pings = True

    def __init__(self, sock: socket.socket, host: str, protocol: str = "sip") -> None:
        super().__init__(sock)
        key = base64.b64encode(os.urandom(16))
        lines = [
            b"GET / HTTP/1.1",
            b"Host: " + host.encode(),
            b"Upgrade: websocket",
            b"Connection: Upgrade",
            b"Sec-WebSocket-Key: " + key,
            b"Sec-WebSocket-Version: 13",
            *([b"Sec-WebSocket-Protocol: " + protocol.encode()] if protocol else []),
        ]
        sock.sendall(b"\r\n".join(lines) + b"\r\n\r\n")
        sock.settimeout(5.0)
        reply = b""
        while b"\r\n\r\n" not in reply:
            data = sock.recv(65_536)
            if not data:
                raise Refused(reply.decode())
            reply += data
        head, _, self._buffer = reply.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 101 "):
            raise Refused(head.decode().partition("\r\n")[0])
        accept = base64.b64encode(hashlib.sha1(key + _GUID).digest())  # noqa: S324 - RFC 6455 1.3
        assert b"sec-websocket-accept: " + accept.lower() in head.lower()
        assert b"sec-websocket-protocol: sip" in head.lower()

    def send(self, data: bytes) -> None:
        self._frame(_TEXT, data)

    def ping(self, data: bytes) -> None:
        self._frame(_PING, data)

    def _frame(self, kind: int, data: bytes) -> None:
        size = len(data)
        if size < 126:
            head = struct.pack("!BB", 0x80 | kind, 0x80 | size)
        elif size < 65_536:
            head = struct.pack("!BBH", 0x80 | kind, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | kind, 0x80 | 127, size)
        mask = os.urandom(4)
        covered = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.sock.sendall(head + mask + covered)

    def _cut(self) -> list[Message]:
        messages = []
        while len(self._buffer) >= 2:
            first, second = self._buffer[:2]
            at, size = 2, second & 127
            if size > 125:
                width = 2 if size == 126 else 8
                size = int.from_bytes(self._buffer[2 : 2 + width])
                at += width
            assert not second & 128, "a server masks nothing"
            assert first & 128, "the daemon does not cut its messages into frames"
            if len(self._buffer) < at + size:
                break
            data, self._buffer = self._buffer[at : at + size], self._buffer[at + size :]
            kind = first & 15
            if kind == _PING:
                self.pings += 1
                if self.answers_pings:
                    self._frame(_PONG, data)
            elif kind == _PONG:
                self.pongs += 1
            elif kind in (_TEXT, _BINARY):
                messages.append(Message(data))
            elif kind == _CLOSE:
                self.close()
        return messages


class OverWebSocket(Peer):
    """A client: nobody can connect to it, and it is reached over its own connection alone."""

    # In a URI there is no name for the secure one (RFC 7118 5).
    where = ";transport=ws"

    def __init__(self, *args: Any, tls: Contexts | None = None, **more: Any) -> None:
        self.via = "WS" if tls is None else "WSS"
        super().__init__(*args, **more)
        self.sock.settimeout(5.0)
        self.sock.connect(self.proxy)
        sock = self.sock
        if tls is not None:
            sock = tls.client.wrap_socket(sock, server_hostname=self.proxy[0])
        self.connection = WebSocket(sock, f"{self.proxy[0]}:{self.proxy[1]}")

    def _open(self, family: socket.AddressFamily) -> socket.socket:
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        return sock

    def close(self) -> None:
        self.connection.close()

    def send(self, data: bytes) -> None:
        self.connection.send(data)

    def pump(self, timeout: float = 0.0) -> bool:
        if self.connection.closed or not select.select([self.connection.sock], [], [], timeout)[0]:
            return False
        messages = self.connection.read()
        for message in messages:
            self._take(message)
        return bool(messages)


class WebCaller(OverWebSocket, Caller):
    """A browser that places one call."""


class WebCallee(OverWebSocket, Callee):
    """A browser that takes one call."""
