"""A client for each door of the daemon, of the tests' own: none shares a line with the daemon."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgpack  # type: ignore[import-untyped]

from tests import binrpc

from .mi import Fifo

Params = Sequence[object] | dict[str, object]

TIMEOUT = 20.0
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Answer:
    """What a door has answered: a result, or code and text of an error. detail: its ``data``."""

    result: Any = None
    error: tuple[int, str] | None = None
    detail: str = ""


class Door(ABC):
    """name: as tests are called. protocol: whose names and texts it knows."""

    protocol = "rpc"

    def __init__(self, name: str) -> None:
        self.name = name

    @abstractmethod
    def call(self, method: str, params: Params = ()) -> Answer:
        """One request."""

    def close(self) -> None:  # noqa: B027 - those that keep no connection have nothing to close
        """Give up the connection, if there is one."""


class Codec:
    """JSON or msgpack."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.media_type = f"application/{name}"

    def pack(self, value: object) -> bytes:
        return bytes(msgpack.packb(value)) if self.name == "msgpack" else json.dumps(value).encode()

    def unpack(self, data: bytes) -> Any:
        return msgpack.unpackb(data) if self.name == "msgpack" else json.loads(data)


class JsonRpcDoor(Door):
    """What the JSON-RPC doors have in common; ``exchange`` carries the bytes."""

    def __init__(self, name: str, codec: Codec) -> None:
        super().__init__(f"{name}-{codec.name}")
        self.codec = codec

    def call(self, method: str, params: Params = ()) -> Answer:
        number = next(_numbers)
        request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "id": number}
        if params:
            request["params"] = params
        reply = self.codec.unpack(self.exchange(request))
        assert reply.pop("jsonrpc") == "2.0"
        assert reply.pop("id") == number
        assert len(reply) == 1, reply
        if "result" in reply:
            return Answer(reply["result"])
        error = reply["error"]
        return Answer(None, (error["code"], error["message"]), error.get("data", ""))

    @abstractmethod
    def exchange(self, request: dict[str, Any]) -> bytes:
        """The answer to a request."""


class Http(JsonRpcDoor):
    def __init__(self, port: int, codec: Codec, path: str = "/RPC") -> None:
        super().__init__("http", codec)
        self.path = path
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)

    def exchange(self, request: dict[str, Any]) -> bytes:
        kind = self.codec.media_type
        headers = {"Content-Type": kind, "Accept": kind}
        self._connection.request("POST", self.path, self.codec.pack(request), headers)
        answer = self._connection.getresponse()
        data = answer.read()
        assert (answer.status, answer.headers["Content-Type"]) == (200, kind), data
        return data

    def close(self) -> None:
        self._connection.close()


def _exactly(sock: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, f"closed after {bytes(data[-80:])!r}"
        data += more
    return bytes(data)


class WebSocket(JsonRpcDoor):
    def __init__(self, port: int, codec: Codec) -> None:
        super().__init__("websocket", codec)
        self._sock = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._sock.sendall(
            b"GET /RPC HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += _exactly(self._sock, 1)
        assert head.startswith(b"HTTP/1.1 101 "), head

    def exchange(self, request: dict[str, Any]) -> bytes:
        kind = 2 if self.codec.name == "msgpack" else 1
        data = self.codec.pack(request)
        # Masked by zeros, which change nothing.
        self._sock.sendall(struct.pack("!BBHI", 128 + kind, 128 + 126, len(data), 0) + data)
        while True:
            first, size = _exactly(self._sock, 2)
            if size > 125:
                size = int.from_bytes(_exactly(self._sock, 2 if size == 126 else 8))
            data = _exactly(self._sock, size)
            if first & 15 == 9:
                continue
            assert first == 128 + kind
            return data

    def close(self) -> None:
        self._sock.close()


def connected(kind: str, where: str, own: Path) -> socket.socket:
    """A socket towards a door. kind, where: as the configuration has them, unix for unixd too.

    own: where a unix datagram socket is bound, to get answers.
    """
    stream = kind in ("unixs", "tcp")
    family = socket.AF_UNIX if kind.startswith("unix") else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    sock.settimeout(TIMEOUT)
    if kind in ("unix", "unixd"):
        sock.bind(str(own))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.connect(where if family == socket.AF_UNIX else ("127.0.0.1", int(where)))
    return sock


class JsonSocket(JsonRpcDoor):
    """unixs, unixd, tcp and udp; one connection for all calls."""

    def __init__(self, kind: str, where: str, codec: Codec, own: Path) -> None:
        super().__init__(kind, codec)
        self._stream = kind in ("unixs", "tcp")
        self._sock = connected(kind, where, own)
        self._rest = b""

    def exchange(self, request: dict[str, Any]) -> bytes:
        self._sock.sendall(self.codec.pack(request))
        if not self._stream:
            return self._sock.recv(200_000)
        while True:
            end = self._end()
            if end:
                data, self._rest = self._rest[:end], self._rest[end:]
                return data
            more = self._sock.recv(65_536)
            assert more, f"closed after {self._rest[-80:]!r}"
            self._rest += more

    def _end(self) -> int:
        """Where the first message ends, 0 if it is not all there."""
        self._rest = self._rest.lstrip(b" \r\n\t") if self.codec.name == "json" else self._rest
        try:
            if self.codec.name == "json":
                text = self._rest.decode()
                return len(text[: json.JSONDecoder().raw_decode(text)[1]].encode())
            unpacker = msgpack.Unpacker(max_buffer_size=1 << 24)
            unpacker.feed(self._rest)
            unpacker.skip()
            return int(unpacker.tell())
        except (ValueError, msgpack.OutOfData):
            return 0

    def close(self) -> None:
        self._sock.close()


class JsonFifo(JsonRpcDoor):
    def __init__(self, fifo: Fifo, codec: Codec) -> None:
        super().__init__("fifo", codec)
        self._fifo = fifo

    def exchange(self, request: dict[str, Any]) -> bytes:
        with self._fifo.reply_fifo() as reply:
            self._fifo.write(self.codec.pack({**request, "reply_name": reply.name}) + self._end)
            data = reply.read(TIMEOUT)
        assert data, "no reply"
        return data

    @property
    def _end(self) -> bytes:
        return b"\n" if self.codec.name == "json" else b""


class Binrpc(Door):
    """BINRPC over one of its four kinds of sockets."""

    protocol = "binrpc"

    def __init__(self, kind: str, where: str, own: Path) -> None:
        super().__init__(f"binrpc-{kind}")
        self._stream = kind in ("unixs", "tcp")
        self._sock = connected(kind, where, own)

    def call(self, method: str, params: Params = ()) -> Answer:
        cookie = next(_numbers)
        given = [params] if isinstance(params, dict) else params
        self._sock.sendall(binrpc.call(method, *given, cookie=cookie))
        kind, answered, values = binrpc.values_of(self._packet())
        assert answered == cookie
        if kind == 3:
            code, text = values
            assert isinstance(code, int)
            return Answer(None, (code, str(text)))
        assert kind == 1
        return Answer(values)

    def _packet(self) -> bytes:
        if not self._stream:
            return self._sock.recv(200_000)
        head = _exactly(self._sock, 2)
        sizes = _exactly(self._sock, (head[1] >> 2 & 3) + 1 + (head[1] & 3) + 1)
        length = int.from_bytes(sizes[: (head[1] >> 2 & 3) + 1])
        return head + sizes + _exactly(self._sock, length)

    def close(self) -> None:
        self._sock.close()


class MiDoor(Door):
    """What the MI doors have in common: the reply is text, its first line the status."""

    protocol = "mi"

    def call(self, method: str, params: Params = ()) -> Answer:
        assert not isinstance(params, dict)
        status, _, rest = self.exchange(method, [str(value) for value in params]).partition("\n")
        code, _, text = status.partition(" ")
        return Answer(rest) if code == "200" else Answer(None, (int(code), text))

    @abstractmethod
    def exchange(self, command: str, params: list[str]) -> str:
        """The whole reply."""


class MiFifo(MiDoor):
    def __init__(self, fifo: Fifo) -> None:
        super().__init__("mi-fifo")
        self._fifo = fifo

    def exchange(self, command: str, params: list[str]) -> str:
        return self._fifo.call(command, *params, timeout=TIMEOUT).decode()


class MiDatagram(MiDoor):
    """MI over a unix datagram or a UDP socket: no reply FIFO is named."""

    def __init__(self, kind: str, where: str, own: Path) -> None:
        super().__init__(f"mi-{kind}")
        self._sock = connected(kind, where, own)

    def exchange(self, command: str, params: list[str]) -> str:
        self._sock.send("\n".join([f":{command}:", *params, ""]).encode())
        return self._sock.recv(200_000).decode()

    def close(self) -> None:
        self._sock.close()


JSON, MSGPACK = Codec("json"), Codec("msgpack")


def own_path(folder: Path) -> Path:
    """A name for a client's own unix socket."""
    return folder / f"client-{os.getpid()}-{next(_numbers)}"
