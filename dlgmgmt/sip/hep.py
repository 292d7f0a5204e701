"""HEP version 3, in which capture servers such as Homer take copies of messages, over UDP.

A packet is ``HEP3``, its own length, and chunks: vendor (0, the generic one), type, length with
these six bytes, value; all numbers in network order.
"""

from __future__ import annotations

import ipaddress
import logging
import re
import socket
import struct

from dlgmgmt.sip.bound import family_of
from dlgmgmt.sip.flow import Address

_LOG = logging.getLogger(__name__)

MAX_PACKET = 65_507
"""What a UDP datagram over IPv4 holds. A message that does not fit in is cut at its end."""

MAX_CORRELATION = 255
"""Bytes of a Call-ID that are sent; a stranger may write one of 60,000."""

MAX_LOOK = 16_384
"""Bytes of a message in which its Call-ID is looked for: a stranger may send 65,535 line ends."""

_UDP, _TCP = 17, 6
_SIP = 1
_IPV4, _IPV6 = 2, 10

# The name as RFC 3261 7.3 lets it be written, folded or not. Possessive, and each try begins at a
# line end: what a stranger sends is passed over once.
_CALLID = re.compile(rb"\n(?:call-id|i)[ \t]*+:(?:[ \t]|\r?\n[ \t])*+([^\r\n]++)", re.IGNORECASE)

_HEAD = struct.Struct("!4sH")
_CHUNK = struct.Struct("!HHH")
# family, protocol
_FIRST = struct.Struct("!HHHBHHHB")
_ADDRESSES = {
    _IPV4: struct.Struct("!HHH4sHHH4s"),
    _IPV6: struct.Struct("!HHH16sHHH16s"),
}
# both ports, seconds, microseconds, protocol type, capture id
_REST = struct.Struct("!HHHHHHHHHHHIHHHIHHHBHHHI")


def collector_address(text: str) -> Address:
    """The address in ``udp:host:port``, numeric, IPv6 in brackets; raises ValueError."""
    transport, _, rest = text.partition(":")
    host, _, port = rest.rpartition(":")
    if transport != "udp" or not (port.isascii() and port.isdecimal() and len(port) <= 5):
        raise ValueError(text)
    address = (
        ipaddress.IPv6Address(host[1:-1])
        if host.startswith("[") and host.endswith("]")
        else ipaddress.IPv4Address(host)
    )
    if not 0 < int(port) < 65_536:
        raise ValueError(text)
    return str(address), int(port)


def callid_of(data: bytes) -> bytes:
    """The first Call-ID in the headers of a message that need not be a good one, b"" if none."""
    found = _CALLID.search(data, 0, MAX_LOOK)
    if found is None:
        return b""
    # A body may hold another message; looking for the end of the headers first costs more.
    here = found.start() + 1
    if data.find(b"\n\r\n", 0, here) >= 0 or data.find(b"\n\n", 0, here) >= 0:
        return b""
    return found[1].rstrip(b" \t")


def encode(
    source: Address,
    destination: Address,
    when: float,
    payload: bytes,
    *,
    udp: bool = True,
    agent: int = 0,
    key: bytes = b"",
    correlation: bytes = b"",
) -> bytes:
    """A packet with one SIP message.

    source, destination: numeric, of one family; raises OSError for others. when: Unix seconds.
    udp: whether the message came over UDP, else over a stream. agent: the capture id. key: the
    authentication key; correlation: the Call-ID; b"" for neither.
    """
    family = _IPV6 if ":" in source[0] else _IPV4
    seconds, micro = divmod(round(when * 1_000_000), 1_000_000)
    head = _FIRST.pack(0, 1, 7, family, 0, 2, 7, _UDP if udp else _TCP)
    addresses = _addresses(family, source[0], destination[0])
    rest = _REST.pack(
        *(0, 7, 8, source[1]),
        *(0, 8, 8, destination[1]),
        *(0, 9, 10, seconds & 0xFFFFFFFF),
        *(0, 10, 10, micro),
        *(0, 11, 7, _SIP),
        *(0, 12, 10, agent),
    )
    chunks = head + addresses + rest
    if key:
        chunks += _CHUNK.pack(0, 14, len(key) + 6) + key
    if correlation:
        correlation = correlation[:MAX_CORRELATION]
        chunks += _CHUNK.pack(0, 17, len(correlation) + 6) + correlation
    payload = payload[: MAX_PACKET - len(chunks) - 12]
    chunks += _CHUNK.pack(0, 15, len(payload) + 6) + payload
    return _HEAD.pack(b"HEP3", len(chunks) + 6) + chunks


def _addresses(family: int, source: str, destination: str) -> bytes:
    if family == _IPV4:
        first, second = socket.inet_aton(source), socket.inet_aton(destination)
        return _ADDRESSES[_IPV4].pack(0, 3, 10, first, 0, 4, 10, second)
    # The zone of a link-local address is this host's own matter.
    first, second = (
        socket.inet_pton(socket.AF_INET6, host.partition("%")[0]) for host in (source, destination)
    )
    return _ADDRESSES[_IPV6].pack(0, 5, 22, first, 0, 6, 22, second)


class HepCounters:
    """What has become of the copies: sent, of these cut to a datagram's size, and dropped."""

    __slots__ = ("cut", "dropped", "sent")

    def __init__(self) -> None:
        self.sent = 0
        self.cut = 0
        self.dropped = 0


class HepSender:
    """Sends to one collector, and drops what cannot be sent at once.

    agent, key: see encode. Used on the signalling thread alone; raises OSError where the
    collector's address family is not to be had.
    """

    __slots__ = ("_agent", "_collector", "_counters", "_key", "_sock")

    def __init__(self, collector: Address, agent: int, key: bytes, counters: HepCounters) -> None:
        self._collector = collector
        self._agent = agent
        self._key = key
        self._counters = counters
        # Not connected: that nobody listens there must not make a later packet fail.
        self._sock = socket.socket(family_of(collector[0]), socket.SOCK_DGRAM)
        self._sock.setblocking(False)

    def close(self) -> None:
        """Close the socket."""
        self._sock.close()

    def send(
        self, source: Address, destination: Address, when: float, kind: str, data: bytes
    ) -> None:
        """Send a copy of a message. when: Unix seconds; kind: see flow.Transport."""
        counters = self._counters
        try:
            packet = encode(
                source,
                destination,
                when,
                data,
                udp=kind == "udp",
                agent=self._agent,
                key=self._key,
                correlation=callid_of(data),
            )
            self._sock.sendto(packet, self._collector)
        except OSError as error:
            counters.dropped += 1
            _LOG.debug("a HEP packet was dropped: %s", error)
            return
        counters.sent += 1
        if len(packet) == MAX_PACKET and not packet.endswith(data):
            counters.cut += 1
