from __future__ import annotations

import socket
import time
from collections.abc import Iterator

import pytest

from dlgmgmt.sip.hep import MAX_LOOK, MAX_PACKET, HepCounters, HepSender, callid_of, encode

V4 = (
    bytes.fromhex(
        "48455033 007e"  # HEP3, 126 bytes in all
        "0000 0001 0007 02"  # IPv4
        "0000 0002 0007 11"  # UDP
        "0000 0003 000a c0000201"  # from 192.0.2.1
        "0000 0004 000a c633640a"  # to 198.51.100.10
        "0000 0007 0008 13c4"  # 5060
        "0000 0008 0008 13c6"  # 5062
        "0000 0009 000a 6553f100"  # 1700000000
        "0000 000a 000a 0003d090"  # .250000
        "0000 000b 0007 01"  # SIP
        "0000 000c 000a 000007d1"  # 2001
        "0000 000e 0009 6b6579"  # key
        "0000 0011 000a 61623132"  # ab12
        "0000 000f 000e"
    )
    + b"SIP/2.0\n"
)

V6 = (
    bytes.fromhex(
        "48455033 007c"
        "0000 0001 0007 0a"  # IPv6
        "0000 0002 0007 06"  # TCP
        "0000 0005 0016 20010db8000000000000000000000001"
        "0000 0006 0016 fe800000000000000000000000000002"
        "0000 0007 0008 ffff"
        "0000 0008 0008 0001"
        "0000 0009 000a 00000000"
        "0000 000a 000a 000f423f"  # .999999
        "0000 000b 0007 01"
        "0000 000c 000a ffffffff"
        "0000 000f 0007"
    )
    + b"x"
)

Ends = tuple[tuple[str, int], tuple[str, int]]
ENDS: Ends = (("192.0.2.1", 5060), ("198.51.100.10", 5062))


def test_ipv4_over_udp_with_key_and_correlation() -> None:
    packet = encode(
        *ENDS, 1_700_000_000.25, b"SIP/2.0\n", agent=2001, key=b"key", correlation=b"ab12"
    )
    assert packet == V4


def test_ipv6_over_a_stream_without_them() -> None:
    ends: Ends = ("2001:db8::1", 65_535), ("fe80::2%eth0", 1)
    assert encode(*ends, 0.999_999, b"x", udp=False, agent=2**32 - 1) == V6


def test_a_moment_that_rounds_up_is_the_next_second() -> None:
    packet = encode(*ENDS, 9.999_999_9, b"")
    assert bytes.fromhex("0000 0009 000a 0000000a 0000 000a 000a 00000000") in packet


def test_addresses_of_two_families_are_refused() -> None:
    with pytest.raises(OSError, match="illegal IP address"):
        encode(("192.0.2.1", 1), ("2001:db8::1", 1), 0.0, b"")


def test_a_long_message_is_cut_to_what_a_datagram_holds() -> None:
    payload = bytes(range(256)) * 256
    packet = encode(*ENDS, 0.0, payload, correlation=b"c" * 10_000)
    assert len(packet) == MAX_PACKET
    assert int.from_bytes(packet[4:6]) == MAX_PACKET
    assert bytes.fromhex("0000 0011 0105") + b"c" * 255 + b"\0" in packet
    start = packet.index(bytes.fromhex("0000 000f")) + 6
    assert int.from_bytes(packet[start - 2 : start]) == MAX_PACKET - start + 6
    assert packet[start:] == payload[: MAX_PACKET - start]


@pytest.mark.parametrize(
    ("lines", "callid"),
    [
        (b"Call-ID: ab12@192.0.2.1", b"ab12@192.0.2.1"),
        (b"cALL-id\t :  ab12 ", b"ab12"),
        (b"i:ab12", b"ab12"),
        (b"I : ab12", b"ab12"),
        (b"Call-ID:\r\n \r\n\tab12", b"ab12"),
        (b"X: y\r\nCall-ID: first\r\ni: second", b"first"),
        (b"X-Call-ID: no\r\nX: Call-ID: no\r\n i: no\r\nCall-ID: yes", b"yes"),
        (b"Call-Id: \xff\x00\x1b", b"\xff\x00\x1b"),
        (b"Call-ID:", b""),
        (b"Call-ID: \r\nX: y", b""),
        (b"Subject: none", b""),
    ],
)
def test_the_callid_is_found_however_it_is_written(lines: bytes, callid: bytes) -> None:
    message = b"OPTIONS sip:a SIP/2.0\r\n" + lines + b"\r\nMax-Forwards: 70\r\n\r\ni: body\r\n"
    assert callid_of(message) == callid
    bare = message.replace(b"\r\n", b"\n")
    assert callid_of(bare) == callid


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\n\r\n", b"\r\n\n"])
def test_a_callid_in_the_body_is_none(end: bytes) -> None:
    assert callid_of(b"NOTIFY sip:a SIP/2.0\r\nVia: x" + end + b"Call-ID: ab12\r\n\r\n") == b""


@pytest.mark.parametrize(
    "unit", [b"\ni", b"\ni ", b"\n ", b"\ni:\r\n ", b"\ni \t", b"\r", b"\ncall-id :\n\t"]
)
def test_what_is_made_to_be_slow_is_not(unit: bytes) -> None:
    hostile = unit * (65_535 // len(unit))
    began = time.process_time()
    callid_of(hostile)
    callid_of(hostile[: len(unit)] + b" " * 65_000)
    assert time.process_time() - began < 0.1


def test_a_callid_far_behind_is_not_looked_for() -> None:
    filled = b"OPTIONS sip:a SIP/2.0\r\nX: " + b"y" * MAX_LOOK
    assert callid_of(filled[: MAX_LOOK - 20] + b"\r\ni: ab12\r\n\r\n") == b"ab12"
    assert callid_of(filled + b"\r\ni: ab12\r\n\r\n") == b""


@pytest.fixture
def collector() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)
        yield sock


def test_the_sender_sends_what_encode_makes(collector: socket.socket) -> None:
    counters = HepCounters()
    sender = HepSender(collector.getsockname(), 7, b"secret", counters)
    message = b"SIP/2.0 200 OK\r\ni: ab12\r\n\r\n"
    sender.send(*ENDS, 5.5, "tls", message)
    assert collector.recv(65_536) == encode(
        *ENDS, 5.5, message, udp=False, agent=7, key=b"secret", correlation=b"ab12"
    )
    sender.close()
    assert (counters.sent, counters.cut, counters.dropped) == (1, 0, 0)


def test_the_sender_counts_what_it_cuts_and_drops(collector: socket.socket) -> None:
    counters = HepCounters()
    sender = HepSender(collector.getsockname(), 7, b"", counters)
    sender.send(*ENDS, 5.5, "udp", b"x" * 65_535)
    assert len(collector.recv(65_536)) == MAX_PACKET
    sender.send(ENDS[0], ("2001:db8::1", 1), 5.5, "udp", b"x")
    assert (counters.sent, counters.cut, counters.dropped) == (1, 1, 1)
    sender.close()


def test_a_collector_that_is_away_and_comes_back_misses_nothing_more() -> None:
    counters = HepCounters()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()
    sender = HepSender(address, 7, b"", counters)
    for _ in range(3):
        # The port answers that nobody is there, which a connected socket would tell as an error.
        sender.send(*ENDS, 5.5, "udp", b"to nobody")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(address)
        sock.settimeout(5)
        sender.send(*ENDS, 5.5, "udp", b"to the one who came")
        assert sock.recv(65_536).endswith(b"to the one who came")
    sender.close()
    assert counters.dropped == 0
