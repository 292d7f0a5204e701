"""BINRPC: a stream is cut the same however it comes, and every packet gets one sound answer."""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from dlgmgmt.commands.dispatcher import Caller
from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.binrpc_answers import Answers
from dlgmgmt.interfaces.binrpc_codec import FAULT, REPLY, BadPacket, Framer, decode_request
from tests.binrpc import call, record, request, values_of
from tests.unit.commands.harness import House

MODULES = (
    "dlgmgmt.interfaces.binrpc_codec",
    "dlgmgmt.interfaces.binrpc_reply",
    "dlgmgmt.interfaces.binrpc_answers",
)

_DATA = Path(__file__).parent.parent / "data" / "rpc-5.6"
_MAX_REQUEST = 4096
_LIMIT = 2048
_ME = Caller("fuzz")

_Cut = tuple[list[bytes], tuple[str, int] | None]


def _cut(pieces: list[bytes]) -> _Cut:
    framer = Framer(_MAX_REQUEST)
    packets: list[bytes] = []
    for piece in pieces:
        try:
            for packet in framer.feed(piece):
                packets.append(packet)  # noqa: PERF402 - what came before an error counts
        except BadPacket as error:
            return packets, (error.text, error.cookie)
        assert framer.pending <= _MAX_REQUEST
    return packets, None


def check(data: bytes) -> None:
    """Raise if ``data``, as a stream, is cut in several ways, or has an answer that is no reply."""
    rng = random.Random(data)
    packets, error = _cut([data])
    pieces = []
    rest = data
    while rest:
        size = rng.choice((1, 2, 7, 60, 4000))
        pieces.append(rest[:size])
        rest = rest[size:]
    assert _cut(pieces) == (packets, error)
    answers = Answers(_house().dispatcher, _MAX_REQUEST)
    for packet in [*packets[:8], data[:5000]]:
        _check_answer(answers, packet)


def _house() -> House:
    house = House(hash_size=16)
    for number in range(2):
        house.invite(f"call-{number}@ref", f"uac-{number}")
    return house


def _check_answer(answers: Answers, packet: bytes) -> None:
    reply, good = _run(answers.answer(packet, _ME, _LIMIT))
    assert len(reply) <= _LIMIT
    kind, cookie, values = values_of(reply)
    if kind == FAULT:
        code, text = values
        assert isinstance(code, int)
        assert isinstance(text, str)
        assert "nternal error" not in text
    else:
        assert kind == REPLY
    if not good:
        assert kind == FAULT
        return
    asked = decode_request(packet)
    assert cookie == asked.cookie
    # What was read, written again, is the same request.
    try:
        again = call(asked.method, *asked.arguments, cookie=cookie)
    except AssertionError:
        assert b"\x86" in packet or any(byte & 0x0F == 6 for byte in packet)  # bytes
        return
    assert decode_request(again)[:2] == asked[:2]


def _run(work: Coroutine[Any, Any, tuple[bytes, bool]]) -> tuple[bytes, bool]:
    """The outcome of a coroutine that waits for nothing but its turn."""
    while True:
        try:
            work.send(None)
        except StopIteration as done:
            outcome: tuple[bytes, bool] = done.value
            return outcome


@functools.cache
def seeds() -> list[bytes]:
    """The recorded requests."""
    return [path.read_bytes() for path in sorted(_DATA.glob("*/*/binrpc/*.req.bin"))]


_WORDS: tuple[bytes, ...] = (
    b"\x03", b"\x04", b"\x83", b"\x84", b"\x03\x83", b"\x04\x84", b"\x00", b"\x10\x05", b"\x11\x00",
    b"\x40\xff\xff\xff\xff", b"\x50\x01\x02\x03\x04\x05", b"\x22\x05\xdc", b"\x26ab", b"\x25a\x00",
    b"\x80", b"\x81", b"\xf1\xff\xff\xff\xff\xff\xff\xff", b"\xc1\xff\xff\xff\xff", b"\x91\x00",
    b"\xa1", b"\xa1\x00\x00\x00", b"\xa1\x0f\xff\xff\xff\xff\x11\x22\x33\x44", b"\xa1\x13", b"\xff",
)  # fmt: skip
_TEXTS = (
    "", "call-0@ref", "uac-0", "call-1@ref", "all", "dialog:", "x" * 300, "\udcff", "-1", "0",
    "callid", "eq", "re", "(", "caller", "start_ts", "lt", "99999999999999999999",
)  # fmt: skip


class Requests:
    """Good requests, whole or changed."""

    def __init__(self, rng: random.Random, corpus: list[bytes]) -> None:
        self._rng = rng
        self._corpus = corpus
        self._names = build_registry().names(MgmtProtocol.RPC)
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._word, self._word, self._cut, self._copy, self._splice, self._resize,
        )  # fmt: skip

    def make(self) -> bytes:
        """Another stream."""
        rng = self._rng
        parts = [
            self._call() if rng.random() < 0.6 else rng.choice(self._corpus)
            for _ in range(rng.choice((1, 1, 1, 2, 5)))
        ]
        data = b"".join(parts)
        for _ in range(int(rng.expovariate(0.7))):
            data = rng.choice(self._ways)(data)
        return data[:20_000]

    def _call(self) -> bytes:
        rng = self._rng
        arguments = [self._value(0) for _ in range(rng.choice((0, 0, 1, 1, 2, 3, 4, 9)))]
        return call(
            rng.choice(self._names), *arguments, cookie=rng.getrandbits(rng.choice((4, 32)))
        )

    def _value(self, depth: int) -> object:
        rng = self._rng
        kind = rng.randrange(6 if depth < 18 else 3)
        if kind == 0:
            return rng.choice(_TEXTS)
        if kind == 1:
            return rng.choice((0, 1, -1, 15, 2**31 - 1, -(2**31), rng.getrandbits(12)))
        if kind == 2:
            return rng.choice((0.5, 1.25, 2147483.647))
        if kind == 3:
            return [self._value(depth + 1) for _ in range(rng.randrange(3))]
        if kind == 4:
            names = ("callid", "from_tag", "h_entry", "h_id", "name", "limit", "cursor", "state")
            return {rng.choice(names): self._value(depth + 1) for _ in range(rng.randrange(4))}
        return rng.choice(_TEXTS)

    def _at(self, data: bytes) -> int:
        return self._rng.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + bytes([self._rng.randrange(256)]) + data[at + 1 :]

    def _word(self, data: bytes) -> bytes:
        at = self._at(data)
        over = self._rng.choice((0, 0, 1, 3))
        return data[:at] + self._rng.choice(_WORDS) + data[at + over :]

    def _cut(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:first] + data[last:]

    def _copy(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:last] + data[first:last] * self._rng.choice((1, 1, 2, 40)) + data[last:]

    def _splice(self, data: bytes) -> bytes:
        return data[: self._at(data)] + self._rng.choice(self._corpus)[self._at(data) // 2 :]

    def _resize(self, data: bytes) -> bytes:
        """Records as they are, in a packet that fits them: the changes reach the records."""
        start = min(self._at(data), 12)
        method = record("str", self._rng.choice(self._names).encode() + b"\0")
        return request(method + data[start:], cookie=self._rng.getrandbits(32))
