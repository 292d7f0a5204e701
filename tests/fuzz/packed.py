"""JSON-RPC in msgpack: messages are cut where another reader ends them, and are answered."""

from __future__ import annotations

import functools
import json
import random
from typing import Any

import msgpack  # type: ignore[import-untyped]

from dlgmgmt.commands.dispatcher import Caller
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.rpc_door import answer, whole
from dlgmgmt.interfaces.rpc_framing import Encoding, Frame, encoding_of
from tests.fuzz import jsonrpc
from tests.fuzz.jsonrpc import LIMIT, MAX_REQUEST, check_shape, cut, pieces_of, run
from tests.unit.commands.harness import House

MODULES = (
    "dlgmgmt.interfaces.rpc_framing",
    "dlgmgmt.interfaces.rpc_door",
    "dlgmgmt.interfaces.packed",
)

_ME = Caller("fuzz")


def check(data: bytes) -> None:
    """Raise if something is wrong with how ``data`` is read as a stream, or answered."""
    rng = random.Random(data)
    frames, fault = cut([data])
    assert cut(pieces_of(data, rng)) == (frames, fault)
    if encoding_of(data) is Encoding.MSGPACK:
        size = _first(data)
        too_deep = not frames and fault is not None and fault[0].startswith("nested")
        if size is not None and size <= MAX_REQUEST and not too_deep:
            assert frames[:1] == [Frame(Encoding.MSGPACK, data[:size])]
    rpc = JsonRpc(House(hash_size=16).dispatcher, max_batch=20, max_depth=32)
    for frame in [*frames[:6], Frame(Encoding.MSGPACK, data[:MAX_REQUEST])]:
        reply = run(answer(rpc, frame, lambda _token: _ME, "fuzz"))
        if reply is None:
            continue
        packed = run(whole(reply, Encoding.MSGPACK, LIMIT))
        check_shape(msgpack.unpackb(packed))
        assert len(packed) <= LIMIT or len(frame.data) > LIMIT // 2


def _first(data: bytes) -> int | None:
    """Where another reader ends the first value; None if it does not, or has limits of its own."""
    unpacker = msgpack.Unpacker()
    unpacker.feed(data)
    try:
        unpacker.skip()
    except (msgpack.UnpackException, ValueError):
        return None
    return int(unpacker.tell())


@functools.cache
def seeds() -> list[bytes]:
    """The recorded requests, in msgpack."""
    found = []
    for text in jsonrpc.seeds():
        try:
            found.append(bytes(msgpack.packb(json.loads(text))))
        except ValueError:
            continue
    return found


_WORDS: tuple[bytes, ...] = (
    b"\x80", b"\x81", b"\x90", b"\x91", b"\xa0", b"\xa5", b"\xc0", b"\xc1", b"\xc2", b"\xc4\x02",
    b"\xc6\xff\xff\xff\xff", b"\xc7\x01\x05", b"\xca", b"\xcb", b"\xcf", b"\xd3", b"\xd4\x05",
    b"\xd8", b"\xd6\xff\x00\x00\x00\x01", b"\xd9\xff", b"\xdb\x00\x00\x10\x00", b"\xdc\x00\x10",
    b"\xdd\xff\xff\xff\xff", b"\xde\x00\x02", b"\xdf\x7f\xff\xff\xff", b"\xe0", b"\xff",
    b"\x91" * 40, b"\x81\xa1x" * 40, b"\x91" * 600, b"{}", b'{"id":1}', b" ", b"\xa6method",
    b"\xa2id\xc0",
)  # fmt: skip


class Packed(jsonrpc.Requests):
    """Good requests, whole or changed, one after the other."""

    def encoded(self, message: object) -> bytes:
        """The bytes of a message."""
        data: Any = msgpack.packb(
            _packable(message), use_single_float=self.rng.random() < 0.2, use_bin_type=True
        )
        return bytes(data)

    def _word(self, data: bytes) -> bytes:
        at = self._at(data)
        over = self.rng.choice((0, 0, 1, 3))
        return data[:at] + self.rng.choice(_WORDS) + data[at + over :]


def _packable(value: object) -> object:
    """``value`` without text that is no Unicode and without numbers that are too large."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_packable(each) for each in value]
    if isinstance(value, dict):
        return {key: _packable(each) for key, each in value.items()}
    return value if not isinstance(value, int) or value < 2**64 else 0
