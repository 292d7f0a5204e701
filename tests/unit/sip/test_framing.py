from __future__ import annotations

import itertools
import time

import pytest

from dlgmgmt.sip.framing import Framer, FramingError, Signal
from dlgmgmt.sip.message import Message

HEAD = b"OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\n"
PING, PONG = Signal.PING, Signal.PONG


def message(body: bytes = b"", length: bytes | None = None) -> bytes:
    text = b"Content-Length: %d" % len(body) if length is None else length
    return HEAD + text + b"\r\n\r\n" + body


def cut(*pieces: bytes, most: int = 65_535, header: int = 65_536) -> list[bytes | Signal]:
    framer = Framer(most, header)
    return [item for piece in pieces for item in framer.feed(piece)]


def fault(*pieces: bytes, most: int = 65_535, header: int = 65_536) -> FramingError:
    with pytest.raises(FramingError) as caught:
        cut(*pieces, most=most, header=header)
    return caught.value


def test_messages_of_one_piece_come_out_one_by_one() -> None:
    one, two = message(b"v=0\r\n\r\nSIP/2.0 200 OK\r\n\r\n"), message()
    assert cut(one + two + one) == [one, two, one]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 50])
def test_pieces_of_any_size(size: int) -> None:
    stream = message(b"1234") + b"\r\n\r\n" + message() + b"\r\n" + message(b"\r\n\r\n")
    pieces = [stream[i : i + size] for i in range(0, len(stream), size)]
    assert cut(*pieces) == cut(stream)
    assert [item for item in cut(*pieces) if isinstance(item, bytes)] == [
        message(b"1234"),
        message(),
        message(b"\r\n\r\n"),
    ]


@pytest.mark.parametrize(
    "line",
    [
        b"Content-Length: 4",
        b"content-length:4",
        b"CONTENT-LENGTH \t: \t4 ",
        b"l: 4",
        b"L:4",
        b"Content-Length:\r\n 4",
        b"Content-Length: \r\n\t  4",
        b"l:4\r\nContent-Length: 4",
    ],
)
def test_spellings_of_content_length(line: bytes) -> None:
    assert cut(message(b"abcd", line) + message()) == [message(b"abcd", line), message()]


@pytest.mark.parametrize(
    "line",
    [b"Subject: x\r\n l: 9\r\nl: 0", b"Subject: l: 9\r\nl: 0", b"X-l: 9\r\nl: 0"],
)
def test_what_only_looks_like_a_content_length(line: bytes) -> None:
    assert cut(message(b"", line) + message()) == [message(b"", line), message()]


def test_bare_line_feeds() -> None:
    one = b"OPTIONS sip:a SIP/2.0\nl: 2\n\nhi"
    assert cut(one + message()) == [one, message()]


def test_a_keepalive_is_answered_in_whatever_pieces_it_comes() -> None:
    for pieces in ([b"\r\n\r\n"], [b"\r\n", b"\r\n"], [b"\r", b"\n", b"\r", b"\n"]):
        assert cut(*pieces) == [PONG, PING]
        assert cut(message(), *pieces, message()) == [message(), PONG, PING, message()]


def test_a_single_crlf_is_a_pong() -> None:
    assert cut(b"\r\n") == [PONG]
    assert cut(b"\r\n", message(), b"\r\n") == [PONG, message(), PONG]


def test_several_keepalives() -> None:
    assert cut(b"\r\n" * 6) == [PONG, PING] * 3


def test_empty_lines_within_a_body_are_no_keepalives() -> None:
    body = b"\r\n\r\n\r\n\r\n"
    assert cut(message(body)) == [message(body)]


def test_bytes_of_a_partial_message_are_pending() -> None:
    framer = Framer(65_535)
    assert framer.pending == 0
    assert list(framer.feed(message()[:10])) == []
    assert framer.pending == 10
    assert list(framer.feed(message()[10:] + b"OPT")) == [message()]
    assert framer.pending == 3


def test_messages_before_the_fault_are_still_given() -> None:
    framer = Framer(65_535)
    got: list[bytes | Signal] = []
    with pytest.raises(FramingError, match="not SIP"):
        got.extend(framer.feed(message() + b"\r\n\0"))
    got = []
    framer = Framer(65_535)
    feed = framer.feed(message() + b"\r\n\0")
    assert [next(feed), next(feed)] == [message(), PONG]
    with pytest.raises(FramingError, match="not SIP"):
        next(feed)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"Subject: nothing", "Missing Content-Length"),
        (b"Content-Length: x", "Bad Content-Length"),
        (b"Content-Length:", "Bad Content-Length"),
        (b"Content-Length: -1", "Bad Content-Length"),
        (b"Content-Length: +1", "Bad Content-Length"),
        (b"Content-Length: 1 2", "Bad Content-Length"),
        (b"Content-Length: 1\r\n 2", "Bad Content-Length"),
        (b"Content-Length: 1\r2", "Bad Content-Length"),
        (b"Content-Length: \xb2", "Bad Content-Length"),
        (b"Content-Length: 1\r\nl: 2", "Conflicting Content-Length"),
    ],
)
def test_without_a_length_nothing_more_can_be_cut(line: bytes, why: str) -> None:
    data = message(b"", line)
    error = fault(data + message())
    assert str(error) == why
    assert error.status == 400
    assert error.message == data
    assert Message(data).method == "OPTIONS"


@pytest.mark.parametrize("length", [b"65500", b"999999999", b"9" * 5000])
def test_a_message_that_is_too_large_can_be_answered_513(length: bytes) -> None:
    data = message(b"", b"Content-Length: " + length)
    error = fault(data)
    assert (str(error), error.status, error.message) == ("Message too large", 513, data)


def test_the_largest_message_passes() -> None:
    data = message(b"x" * 500)
    assert cut(data, most=len(data)) == [data]
    assert fault(data, most=len(data) - 1).status == 513


def test_a_header_section_that_does_not_end() -> None:
    endless = HEAD + b"X: y\r\n" * 1000
    for pieces in ([endless], [endless[i : i + 1] for i in range(len(endless))]):
        error = fault(*pieces, header=1000)
        assert str(error) == "Header section too long"
        assert error.message == endless[:1000]
    whole = message(b"", b"X: " + b"y" * 1000 + b"\r\nl: 0")
    assert str(fault(whole, header=1000)) == "Header section too long"
    assert cut(whole, header=len(whole)) == [whole]


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # a TLS client hello
        b"GET / HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n",
        b"\x80\x2e\x01",
        b"{",
        b" INVITE sip:a SIP/2.0\r\n",
        b"INVITE\r\n",
        b"INVITE\tsip:a SIP/2.0\r\n",
        b"INVITE{",
        b"\rx",
        b"\0",
        b"SIP/2.0\r\n",
        b"SIP/2.0 OK\r\n",
    ],
)
def test_another_protocol_is_known_as_soon_as_it_can_be(garbage: bytes) -> None:
    for pieces in ([garbage], [garbage[i : i + 1] for i in range(len(garbage))]):
        error = fault(message(), *pieces)
        assert str(error) == "not SIP"
        assert error.message is None


def test_a_start_line_without_end() -> None:
    assert str(fault(b"A " * 600, header=1000)) == "start line too long"
    assert str(fault(*[b"A"] * 1001, header=1000)) == "start line too long"


def test_lines_that_the_parser_refuses_are_still_cut() -> None:
    for start in (b"OPTIONS  sip:a  SIP/2.0 ", b"OPTIONS sip:a SIP/7.0", b"sip/2.0 999 What"):
        data = start + b"\r\nl: 1\r\n\r\nx"
        assert cut(data + data) == [data, data]


def _seconds(pieces: list[bytes]) -> float:
    began = time.process_time()
    framer = Framer(100_000_000, 100_000_000)
    for piece in pieces:
        for _ in framer.feed(piece):
            pass
    return time.process_time() - began


def _grows(small: list[bytes], large: list[bytes]) -> float:
    """How many times longer the second takes; the smallest of several, for other programs run."""
    ratios = [_seconds(large) / max(_seconds(small), 1e-6) for _ in range(3)]
    return min(ratios)


def test_cost_is_linear_in_whatever_pieces_it_comes() -> None:
    def bytewise(data: bytes) -> list[bytes]:
        return [data[i : i + 1] for i in range(len(data))]

    tiny = b"A b SIP/2.0\nl:0\n\n"
    kinds = (
        lambda n: bytewise(HEAD + b"X: y\r\n" * (n // 6)),  # a header section
        lambda n: bytewise(HEAD[:-2] + b"y" * n),  # one line
        lambda n: bytewise(b"A " + b"SIP/2.0 " * (n // 8)),  # a start line
        lambda n: bytewise(message(b"\r\n" * (n // 2))),  # a body
        lambda n: [tiny * n],  # many messages in one piece, each end of one form
        lambda n: [tiny.replace(b"\n", b"\r\n") * n],
        lambda n: [b"\r\n" * n],
    )
    for kind in kinds:
        assert _grows(kind(1_000), kind(10_000)) < 40  # quadratic: 100


def test_nothing_stays_of_what_was_given() -> None:
    framer = Framer(65_535)
    stream = message(b"x" * 1000)
    for _, piece in itertools.product(range(100), (stream[:400], stream[400:])):
        for item in framer.feed(piece):
            assert item == stream
        assert framer.pending <= len(stream)
    assert framer.pending == 0
