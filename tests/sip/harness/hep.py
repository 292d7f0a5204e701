"""A collector of HEP version 3, which reads the packets by the specification's own table."""

from __future__ import annotations

import ipaddress
import socket
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Self


@dataclass(frozen=True)
class Packet:
    """One packet. source, destination: host and port; transport: "udp" or "tcp"."""

    source: tuple[str, int]
    destination: tuple[str, int]
    transport: str
    time: float
    agent: int
    key: bytes | None
    correlation: bytes | None
    payload: bytes

    @classmethod
    def read(cls, data: bytes) -> Packet:
        assert data[:4] == b"HEP3"
        assert int.from_bytes(data[4:6]) == len(data)
        chunks: dict[int, bytes] = {}
        at = 6
        while at < len(data):
            vendor, kind, length = (int.from_bytes(data[at + i : at + i + 2]) for i in (0, 2, 4))
            assert vendor == 0
            assert length >= 6
            assert at + length <= len(data)
            assert kind not in chunks
            chunks[kind] = data[at + 6 : at + length]
            at += length
        family = chunks[1][0]
        first, second = {2: (3, 4), 10: (5, 6)}[family]
        assert chunks[11] == b"\x01", "not SIP"
        return cls(
            _ends(chunks[first], chunks[7]),
            _ends(chunks[second], chunks[8]),
            {17: "udp", 6: "tcp"}[chunks[2][0]],
            int.from_bytes(chunks[9]) + int.from_bytes(chunks[10]) / 1e6,
            int.from_bytes(chunks[12]),
            chunks.get(14),
            chunks.get(17),
            chunks[15],
        )


def _ends(address: bytes, port: bytes) -> tuple[str, int]:
    return str(ipaddress.ip_address(address)), int.from_bytes(port)


class Collector:
    """A socket to which packets can be sent, at ``address``, as ``udp:host:port`` in ``url``."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.bind(("127.0.0.1", 0))
        self.url = f"udp:127.0.0.1:{self._sock.getsockname()[1]}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sock.close()

    def packets(self, count: int, timeout: float = 10.0) -> list[Packet]:
        """The next ``count`` packets, which must come within ``timeout``."""
        found: list[Packet] = []
        end = time.monotonic() + timeout
        while len(found) < count:
            self._sock.settimeout(max(end - time.monotonic(), 0.001))
            try:
                found.append(Packet.read(self._sock.recv(65_536)))
            except TimeoutError:
                raise AssertionError(f"{len(found)} packets of {count} have come") from None
        return found

    def waiting(self) -> list[Packet]:
        """What has come by now."""
        self._sock.setblocking(False)
        found: list[Packet] = []
        while True:
            try:
                found.append(Packet.read(self._sock.recv(65_536)))
            except BlockingIOError:
                return found
