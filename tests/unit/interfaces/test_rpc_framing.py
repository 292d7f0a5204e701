"""Messages cut out of a stream: whole, in order, however the stream is cut."""

from __future__ import annotations

import json
import time
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest

from dlgmgmt.interfaces.rpc_framing import (
    MAX_NESTING,
    Encoding,
    Frame,
    FramingError,
    RpcFramer,
    encoding_of,
)

REQUEST = {
    "jsonrpc": "2.0",
    "method": "core.echo",
    "params": ['{"[\\', {"a": [1, []]}, ""],
    "id": 1,
}
HOSTILE = b'{"a": "\\"}{][\\\\", "b": [{"c": {}}, {}, "\\u007d", "\xc3\xa9"], "d": "\\\\"}'


def cut(data: bytes, size: int = 1 << 20, most: int = 65_536) -> list[bytes]:
    framer = RpcFramer(most)
    found: list[Frame] = []
    for start in range(0, len(data), size):
        found += framer.feed(data[start : start + size])
    assert framer.waiting == 0
    return [frame.data for frame in found]


def fault(data: bytes, most: int = 65_536) -> tuple[list[bytes], FramingError]:
    """What comes before a fault, and the fault."""
    found = []
    try:
        for frame in RpcFramer(most).feed(data):
            found.append(frame.data)  # noqa: PERF401 - what comes before an error counts
    except FramingError as error:
        return found, error
    raise AssertionError("no fault was found")


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 10_000])
def test_json_and_msgpack_follow_one_another_however_they_are_cut(size: int) -> None:
    messages = [
        json.dumps(REQUEST).encode(),
        json.dumps([REQUEST, REQUEST], indent=1).encode(),
        HOSTILE,
        b"{}",
        b"[]",
        msgpack.packb(REQUEST),
        msgpack.packb([REQUEST] * 20),
        msgpack.packb({}),
        b"[{}]",
    ]
    assert cut(b"".join(messages), size) == messages
    assert cut(b" \r\n\t".join(messages) + b"\n\n", size) == messages


@pytest.mark.parametrize("size", [1, 5, 100_000])
def test_every_type_of_msgpack_is_passed_over(size: int) -> None:
    values: list[Any] = [
        0,
        127,
        128,
        2**16,
        2**32,
        2**64 - 1,
        -1,
        -33,
        -129,
        -(2**15) - 1,
        -(2**63),
    ]
    values += [
        1.5,
        None,
        True,
        False,
        "",
        "x" * 31,
        "x" * 32,
        "x" * 256,
        "x" * 65_536,
        b"",
        b"x" * 9,
    ]
    values += [b"x" * 256, b"x" * 65_536, msgpack.Timestamp(1, 2), *range(20)]
    values += [msgpack.ExtType(5, b"x" * size) for size in (1, 2, 3, 4, 8, 16, 17, 256, 65_536)]
    values += [[1] * 16, [1] * 65_536, {str(i): i for i in range(16)}, dict.fromkeys(range(65_536))]
    message = msgpack.packb(values, use_bin_type=True)
    single = msgpack.packb([1.5], use_single_float=True)
    assert cut(message + single + message, size, 1 << 24) == [message, single, message]


def test_the_first_byte_tells_the_encoding() -> None:
    assert encoding_of(msgpack.packb({})) is Encoding.MSGPACK
    assert encoding_of(msgpack.packb([0] * 70_000)) is Encoding.MSGPACK
    for text in (b"{", b"[", b" ", b"x", b"\xef\xbb\xbf{}", b""):
        assert encoding_of(text) is Encoding.JSON


@pytest.mark.parametrize(
    ("data", "reason", "at"),
    [
        (b"x", "a message is an object or an array", 0),
        (b'"text"', "a message is an object or an array", 0),
        (b"17:{}", "a message is an object or an array", 0),
        (b"POST /RPC HTTP/1.1\r\n\r\n{}", "a message is an object or an array", 0),
        (b"\xef\xbb\xbf{}", "a message is an object or an array", 0),
        (b'{"a": [1}', "brackets that do not match", 8),
        (b'{"a": "b\n"}', "a line break or another control character in a string", 8),
        (b'{"a": "b\\\n"}', "a line break or another control character in a string", 9),
        (b'{"method": "x" {"method": "y"}', "a message that is not finished before the next", 15),
        (b'{"method": "x", {"method": "y"}', "a message that is not finished before the next", 16),
        (b'["x" [', "a message that is not finished before the next", 5),
        (b"[" * (MAX_NESTING + 1), f"nested more than {MAX_NESTING} deep", MAX_NESTING),
        (b"\x91" * (MAX_NESTING + 1), f"nested more than {MAX_NESTING} deep", MAX_NESTING + 1),
        (b"\x81\xc1", "a byte that msgpack does not use", 1),
        (b"\xdd\xff\xff\xff\xff", "a message of more than 65536 bytes", 0),
        (b"\x91\xdb\xff\xff\xff\xff", "a message of more than 65536 bytes", 1),
        (b"[" + b" " * 65_536, "a message of more than 65536 bytes", 65_536),
        (b'["' + b"x" * 65_536 + b'"]', "a message of more than 65536 bytes", 65_536),
    ],
)
def test_what_is_no_message_is_found_and_what_came_before_it_counts(
    data: bytes, reason: str, at: int
) -> None:
    found, error = fault(b"{} []" + data)
    assert found == [b"{}", b"[]"]
    assert (str(error), error.at) == (reason, at)


def test_a_message_may_have_exactly_the_limit() -> None:
    text = b'["' + b"x" * 96 + b'"]'
    assert cut(text * 3, most=100) == [text] * 3
    assert str(fault(text, 99)[1]) == "a message of more than 99 bytes"
    packed = msgpack.packb(["x" * 40])
    assert cut(packed * 2, most=len(packed)) == [packed] * 2
    assert "more than" in str(fault(packed, len(packed) - 1)[1])


def test_nesting_to_the_limit_is_taken() -> None:
    for text in (b"[" * MAX_NESTING + b"]" * MAX_NESTING, b"\x91" * MAX_NESTING + b"\x00"):
        assert cut(text) == [text]


def test_what_is_skipped_leads_to_the_next_message() -> None:
    import re  # noqa: PLC0415 - for this test alone

    framer = RpcFramer(1000)
    with pytest.raises(FramingError) as caught:
        list(framer.feed(b'{"method": "x" {"method": "y"}{'))
    assert framer.skip(caught.value.at, re.compile(rb"\{")) == b'{"method": "x" '
    assert [frame.data for frame in framer.feed(b"}")] == [b'{"method": "y"}', b"{}"]
    with pytest.raises(FramingError):
        list(framer.feed(b"noise"))
    assert framer.skip(0, re.compile(rb"\{")) == b"noise"
    assert framer.waiting == 0


@pytest.mark.parametrize(
    "text",
    [
        b"[" + b"[]," * 300_000,
        b"[" + b'"\\\\",' * 200_000,
        b"[" + b" " * 1_000_000,
        b"[" + b'"' + b"x" * 1_000_000,
        b"\xdd\x00\x0f\x00\x00" + b"\x01" * 900_000,
    ],
)
def test_a_byte_at_a_time_costs_no_more_than_its_length(text: bytes) -> None:
    framer = RpcFramer(1 << 21)
    began = time.process_time()
    for start in range(0, len(text), 1000):
        assert list(framer.feed(text[start : start + 1000])) == []
    # A reader that began anew with each piece would take minutes.
    assert time.process_time() - began < 10
