"""Stream framing: how a stream is cut into pieces makes no difference, and messages stay whole."""

from __future__ import annotations

import random

from dlgmgmt.sip.errors import NotSip
from dlgmgmt.sip.framing import Framer, FramingError, Signal
from dlgmgmt.sip.message import Message
from tests.fuzz.mutate import Mutator, valid

MODULES = ("dlgmgmt.sip.framing",)

_Result = tuple[list[bytes | Signal], tuple[str, bytes | None, int] | None]


def _cut(pieces: list[bytes], most: int, header: int) -> _Result:
    framer = Framer(most, header)
    items: list[bytes | Signal] = []
    for piece in pieces:
        try:
            for item in framer.feed(piece):
                items.append(item)  # noqa: PERF402 - what came before an error counts
        except FramingError as error:
            return items, (str(error), error.message, error.status)
        assert framer.pending <= most + len(piece)
    return items, None


def _pieces(data: bytes, rng: random.Random) -> list[bytes]:
    pieces = []
    most = rng.choice((1, 2, 30, 100, 400) if len(data) < 2000 else (30, 400, 2000))
    while data:
        size = 1 + int(rng.random() * most)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def check(data: bytes) -> None:
    """Raise if ``data``, as a stream, is read in another way when it is cut in another way."""
    rng = random.Random(data)
    most, header = rng.choice(((65_535, 65_536), (65_535, 300), (700, 65_536)))
    whole = _cut([data], most, header)
    for _ in range(2):
        other = _cut(_pieces(data, rng), most, header)
        assert other == whole
    for item in whole[0]:
        if isinstance(item, bytes):
            _check_message(item, most)


def _check_message(item: bytes, most: int) -> None:
    """The parser and the framer agree on where a message ends."""
    assert len(item) <= most
    assert item[:1] not in (b"\r", b"\n")
    try:
        msg = Message(item)
    except NotSip:
        return
    if msg.defect is None:
        assert msg.get("content-length") is not None
        assert item.endswith(b"\n" + msg.body)
        assert int(msg.get("content-length") or "") == len(msg.body)


class Streams:
    """Streams of valid and of changed messages, with keep-alives between them."""

    def __init__(self, rng: random.Random, corpus: list[bytes]) -> None:
        self._rng = rng
        self._mutator = Mutator(rng, corpus)

    def make(self) -> bytes:
        """A stream."""
        rng = self._rng
        if rng.random() < 0.2:
            data = self._valid()
        else:
            parts = [rng.choice(self._mutator.corpus) for _ in range(rng.randint(1, 3))]
            parts.insert(0, rng.choice(valid()))
            data = b"".join(parts)
        for _ in range(int(rng.expovariate(0.7))):
            data = self._mutator.change(data)
        return data

    def _valid(self) -> bytes:
        """A stream that must come out whole; AssertionError if it does not."""
        rng = self._rng
        parts: list[bytes] = []
        expected: list[bytes | Signal] = []
        for _ in range(rng.randint(1, 8)):
            size = rng.choice((0, 0, 1, 4, 4, 40, 300, 300, 5000))
            body = bytes(rng.choices(b"\r\n ab:SIP/2.0", k=size))
            length = rng.choice((b"Content-Length: %d", b"l:%d", b"CONTENT-length\t: \r\n %d "))
            message = (
                rng.choice((b"OPTIONS sip:a SIP/2.0", b"SIP/2.0 200 OK", b"X-odd! tel:1 SIP/2.0"))
                + b"\r\nVia: SIP/2.0/TCP h;branch=z9hG4bKx\r\n"
                + length % len(body)
                + b"\r\n\r\n"
                + body
            )
            for _ in range(rng.randint(0, 2)):
                parts.append(b"\r\n\r\n")
                expected += [Signal.PONG, Signal.PING]
            parts.append(message)
            expected.append(message)
        data = b"".join(parts)
        for pieces in ([data], parts, _pieces(data, rng)):
            assert _cut(pieces, 65_535, 65_536) == (expected, None), repr(pieces)
        return data
