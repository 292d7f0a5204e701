"""JSON-RPC in JSON: a stream is cut the same however it comes, and every message is answered.

The FIFO reads the same bytes, and whatever they are, a request that comes after them is found.
"""

from __future__ import annotations

import functools
import json
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

from dlgmgmt.commands.dispatcher import Caller
from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.jsonrpc_fifo import FifoParser
from dlgmgmt.interfaces.rpc_door import answer, chunks, whole
from dlgmgmt.interfaces.rpc_framing import (
    MAX_NESTING,
    Encoding,
    Frame,
    FramingError,
    RpcFramer,
    encoding_of,
)
from tests.unit.commands.harness import House

MODULES = (
    "dlgmgmt.interfaces.rpc_framing",
    "dlgmgmt.interfaces.rpc_door",
    "dlgmgmt.interfaces.rpc_pretty",
    "dlgmgmt.interfaces.jsonrpc_fifo",
)

MAX_REQUEST = 4096
LIMIT = 3000
_DATA = Path(__file__).parent.parent / "data" / "rpc-5.6"
_ME = Caller("fuzz")
_LATER = {"jsonrpc": "2.0", "method": "core.uptime", "reply_name": "later", "id": 1}

T = TypeVar("T")
Cut = tuple[list[Frame], tuple[str, int] | None]


def cut(pieces: list[bytes]) -> Cut:
    """The messages of a stream, and the fault that ends it."""
    framer = RpcFramer(MAX_REQUEST)
    frames: list[Frame] = []
    for piece in pieces:
        try:
            for frame in framer.feed(piece):
                frames.append(frame)  # noqa: PERF402 - what came before an error counts
        except FramingError as error:
            return frames, (str(error), error.at)
        assert framer.waiting <= MAX_REQUEST
    return frames, None


def pieces_of(data: bytes, rng: random.Random) -> list[bytes]:
    """``data`` in pieces."""
    most = rng.choice((1, 2, 7, 60, 5000) if len(data) < 2000 else (60, 5000))
    pieces = []
    while data:
        size = 1 + int(rng.random() * most)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def check(data: bytes) -> None:
    """Raise if ``data`` is read wrongly, as a stream or from a FIFO, or answered wrongly."""
    rng = random.Random(data)
    frames, fault = cut([data])
    assert cut(pieces_of(data, rng)) == (frames, fault)
    if _is_one_message(data):
        assert (frames, fault) == ([Frame(Encoding.JSON, data.strip(b" \t\r\n"))], None)
    _check_fifo(data, rng)
    check_answers(frames)


def _is_one_message(data: bytes) -> bool:
    """Whether another reader takes all of it for one message."""
    if len(data) > MAX_REQUEST or data.count(b"[") + data.count(b"{") > MAX_NESTING:
        return False
    try:
        return isinstance(json.loads(data.decode()), (list, dict))
    except (ValueError, RecursionError):
        return False


def _check_fifo(data: bytes, rng: random.Random) -> None:
    parser, now = FifoParser(MAX_REQUEST, 1.0), 0.0
    later = json.dumps(_LATER).encode()
    found = []
    for piece in pieces_of(data, rng):
        found += parser.feed(piece, now)
    found += parser.feed(b"\n" + later, now)
    for _ in range(2 + len(data)):
        if parser.deadline is None:
            break
        now = parser.deadline
        found += parser.expire(now)
    assert parser.deadline is None
    assert any(message.reply_name == "later" for message in found) or _swallows(data)
    for message in found:
        name = message.reply_name
        assert name is None or (0 < len(name) < 256 and "/" not in name and name not in (".", ".."))
        assert (message.decoded is None) or not message.fault
    assert parser.feed(later, now)[-1].decoded == _LATER


def _swallows(data: bytes) -> bool:
    """Whether what comes after ``data`` may have become a part of it.

    Of msgpack, which tells lengths; or of a message that is too long, which is dropped as a whole.
    """
    packed = any(encoding_of(data[i : i + 1]) is Encoding.MSGPACK for i in range(len(data)))
    return packed or len(data) > MAX_REQUEST - 200


def check_answers(frames: list[Frame]) -> None:
    """Raise if one of the first messages has an answer that is none."""
    rpc = JsonRpc(_house().dispatcher, max_batch=20, max_depth=32)
    for frame in frames[:6]:
        reply = run(answer(rpc, frame, lambda _token: _ME, "fuzz"))
        if reply is None:
            continue
        plain = run(_joined(chunks(reply, Encoding.JSON)))
        check_shape(json.loads(plain))
        reply = run(answer(rpc, frame, lambda _token: _ME, "fuzz"))
        assert reply is not None
        pretty = run(whole(reply, Encoding.JSON, LIMIT, pretty=True))
        check_shape(json.loads(pretty))
        assert len(pretty) <= LIMIT or len(frame.data) > LIMIT // 2


def check_shape(value: Any) -> None:
    """Raise unless it is a JSON-RPC response or a batch of them, without an error of this side."""
    if isinstance(value, list):
        assert value
        for member in value:
            assert not isinstance(member, list)
            check_shape(member)
        return
    assert value["jsonrpc"] == "2.0"
    assert "id" in value
    assert ("result" in value) != ("error" in value)
    assert value.get("error", {}).get("code") != -32603


async def _joined(texts: AsyncIterator[bytes]) -> bytes:
    return b"".join([text async for text in texts])


def run(work: Coroutine[Any, Any, T]) -> T:
    """The outcome of a coroutine that waits for nothing but its turn."""
    while True:
        try:
            work.send(None)
        except StopIteration as done:
            outcome: T = done.value
            return outcome


def _house() -> House:
    house = House(hash_size=16)
    for number in range(2):
        house.invite(f"call-{number}@ref", f"uac-{number}")
    return house


@functools.cache
def seeds() -> list[bytes]:
    """The recorded requests."""
    return [path.read_bytes() for path in sorted(_DATA.glob("*/*/dgram/*.req"))]


_WORDS: tuple[bytes, ...] = (
    b"{", b"}", b"[", b"]", b"{}", b"[]", b'"', b'\\"', b"\\", b"\\\\", b",", b":", b" ", b"\n",
    b"\0", b"null", b"true", b"-1e99", b"1" * 40, b"\xff", b"\xc3\xa9", b"\\ud800", b"\\u0000",
    b"NaN", b'"jsonrpc":"2.0"', b'"method":"dlg.list"', b'"id":null', b'"params":',
    b'"reply_name":"r1"',
    b'"reply_name":"../x"', b'{"jsonrpc":"2.0",', b"[" * 40, b'{"a":' * 40, b"\xef\xbb\xbf", b"/*",
    b'"token":"x"', b"\x82", b"\x9f", b"POST / HTTP/1.1\r\n\r\n",
)  # fmt: skip
_VALUES: tuple[object, ...] = (
    "", "call-0@ref", "uac-0", "all", "dialog:", "x" * 300, "\ud800", 'q"\\', 0, 1, -1, 2**31,
    2**64, 0.5, None, True, [], {}, [1, [2]], {"callid": "call-0@ref"}, "re", "(a|b", "callid", "x",
)  # fmt: skip


class Requests:
    """Good requests, whole or changed, one after the other."""

    def __init__(self, rng: random.Random, corpus: list[bytes]) -> None:
        self.rng = rng
        self._corpus = corpus
        self._names = build_registry().names(MgmtProtocol.RPC)
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._word, self._word, self._word, self._cut, self._copy, self._splice,
        )  # fmt: skip

    def make(self) -> bytes:
        """Another stream."""
        rng = self.rng
        parts = [
            self.encoded(self.message()) if rng.random() < 0.7 else rng.choice(self._corpus)
            for _ in range(rng.choice((1, 1, 2, 5)))
        ]
        data = rng.choice((b"", b"\n", b" \r\n")).join(parts)
        if rng.random() < 0.2:
            return data[:20_000]
        for _ in range(int(rng.expovariate(0.6))):
            data = rng.choice(self._ways)(data)
        return data[:20_000]

    def message(self) -> object:
        """A request, or a batch."""
        rng = self.rng
        if rng.random() < 0.15:
            return [self._request() for _ in range(rng.choice((0, 1, 2, 5, 25)))]
        return self._request()

    def encoded(self, message: object) -> bytes:
        """The text of a message."""
        rng = self.rng
        indent = rng.choice((None, None, 1))
        return json.dumps(message, indent=indent, ensure_ascii=True).encode()

    def _request(self) -> dict[str, object]:
        rng = self.rng
        found: dict[str, object] = {"jsonrpc": "2.0", "method": rng.choice(self._names)}
        if rng.random() < 0.7:
            found["params"] = [rng.choice(_VALUES) for _ in range(rng.randrange(5))]
        elif rng.random() < 0.3:
            names = ("callid", "from_tag", "h_entry", "h_id", "limit", "cursor", "state", "x")
            found["params"] = {rng.choice(names): rng.choice(_VALUES) for _ in range(3)}
        if rng.random() < 0.9:
            found["id"] = rng.choice((1, "x", None, 1.5, -7, 2**63))
        if rng.random() < 0.3:
            found["reply_name"] = rng.choice(("r1", "a/b", "..", "", 5, "\ud800", "x" * 256))
        return found

    def _at(self, data: bytes) -> int:
        return self.rng.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + bytes([self.rng.randrange(256)]) + data[at + 1 :]

    def _word(self, data: bytes) -> bytes:
        at = self._at(data)
        over = self.rng.choice((0, 0, 1, 3))
        return data[:at] + self.rng.choice(_WORDS) + data[at + over :]

    def _cut(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:first] + data[last:]

    def _copy(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:last] + data[first:last] * self.rng.choice((1, 1, 2, 40)) + data[last:]

    def _splice(self, data: bytes) -> bytes:
        return data[: self._at(data)] + self.rng.choice(self._corpus)[self._at(data) // 2 :]
