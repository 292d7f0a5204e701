"""The BINRPC codec: the bytes of the real server, round trips, and what is refused."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.interfaces.binrpc_codec import (
    CORRUPTED,
    FAULT,
    MAX_DEPTH,
    MAX_RECORDS,
    REPLY,
    BadPacket,
    Framer,
    decode_request,
    decode_values,
    read_header,
)
from dlgmgmt.interfaces.binrpc_reply import ReplyWriter, TooLarge, encode_reply, fault
from tests.binrpc import call, record, request, values_of

_DATA = Path(__file__).parents[2] / "data" / "rpc-5.6"
_EOF, _TIMEOUT = b"<EOF>", b"<TimeoutError>"
_MORE = 1_000_000

# The list of ims_dialog has a structure with several members of one name.
_REPEATED_NAMES = {"ims/live/list"}
_BAD = {
    "raw_badmagic", "raw_badversion", "raw_method_int", "raw_nomethod", "raw_truncated",
    "raw_type_reply",
}  # fmt: skip


def _cases() -> list[str]:
    return [
        f"{path.parts[-4]}/{path.parts[-3]}/{path.name.removesuffix('.req.bin')}"
        for path in sorted(_DATA.glob("*/*/binrpc/*.req.bin"))
    ]


def _recorded(case: str) -> tuple[bytes, bytes]:
    folder, _, name = case.rpartition("/")
    base = _DATA / folder / "binrpc"
    reply = (base / f"{name}.rep.bin").read_bytes()
    return (base / f"{name}.req.bin").read_bytes(), reply.removesuffix(_TIMEOUT)


def _packets(data: bytes) -> list[bytes]:
    """The packets of replies that were sent one after another."""
    packets = []
    while data and data != _EOF:
        header = read_header(data)
        assert header is not None
        size = header.size + header.length
        packets.append(data[:size])
        data = data[size:]
    return packets


@pytest.mark.parametrize(
    "case", [name for name in _cases() if name[name.rindex("/") + 1 :] not in _BAD]
)
def test_recorded_requests_are_read_and_written_the_same(case: str) -> None:
    sent, _ = _recorded(case)
    again = b""
    for packet in Framer(65_536).feed(sent):
        cookie, method, arguments = decode_request(packet)
        again += call(method, *arguments, cookie=cookie)
    assert again == sent


@pytest.mark.parametrize("case", _cases())
def test_recorded_replies_are_written_the_same(case: str) -> None:
    _, replies = _recorded(case)
    for packet in _packets(replies):
        header = read_header(packet)
        assert header is not None
        if case in _REPEATED_NAMES:
            with pytest.raises(BadPacket, match="share a name"):
                decode_values(packet, header.size, _MORE)
            continue
        values = decode_values(packet, header.size, _MORE)
        if header.kind == FAULT:
            code, text = values
            assert isinstance(code, int)
            assert fault(header.cookie, code, str(text)) == packet
        else:
            assert encode_reply(header.cookie, values, 131_072) == packet


@pytest.mark.parametrize(
    ("case", "text", "cookie"),
    [
        ("raw_badmagic", CORRUPTED, 0),
        ("raw_badversion", CORRUPTED, 0),
        ("raw_type_reply", CORRUPTED, 0x11223344),
        ("raw_nomethod", "bad request method: end of packet encountered", 7),
        ("raw_method_int", "bad request method: record doesn't match type", 7),
    ],
)
def test_recorded_bad_requests_have_the_recorded_answer(case: str, text: str, cookie: int) -> None:
    sent, answered = _recorded(f"dialog/live/{case}")
    with pytest.raises(BadPacket) as refused:
        [decode_request(packet) for packet in Framer(65_536).feed(sent)]
    assert (refused.value.text, refused.value.cookie) == (text, cookie)
    assert fault(cookie, 400, text) + _EOF == answered


@pytest.mark.parametrize("table", ["empty", "live"])
def test_a_list_of_ims_dialog_is_written_as_recorded_from_its_json(table: str) -> None:
    recorded = (_DATA / "ims" / table / "http" / "list.rep").read_bytes()
    result = json.loads(recorded.partition(b"\r\n\r\n")[2])["result"]
    packet = (_DATA / "ims" / table / "binrpc" / "list.rep.bin").read_bytes()
    header = read_header(packet)
    assert header is not None
    assert encode_reply(header.cookie, result, _MORE) == packet
    writer = ReplyWriter(header.cookie, len(packet))
    writer.open_array({"Size": result["Size"]}, "Dialogs")
    for item in result["Dialogs"]:
        writer.add(item)
    assert writer.packet() == packet


def test_a_packet_that_has_not_come_whole_is_waited_for() -> None:
    sent, _ = _recorded("dialog/live/raw_truncated")
    framer = Framer(65_536)
    assert list(framer.feed(sent)) == []
    assert (framer.pending, framer.cookie) == (len(sent), 0x11223344)
    assert framer.feed(b"on.\0" + sent[:3]) is not None


def _keeps_its_items(items: list[object]) -> bool:
    return not all(
        isinstance(item, dict)
        and len(item) == 1
        and all(isinstance(inner, dict) for inner in item.values())
        for item in items
    )


_scalars = (
    st.integers(-(2**31), 2**31 - 1)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
    | st.integers(0, 2**31 - 1).map(lambda number: number / 1000)
)
_names = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner, min_size=1, max_size=5).filter(_keeps_its_items)
        | st.dictionaries(_names, inner, max_size=5)
    ),
    max_leaves=20,
)


@given(st.integers(0, 2**32 - 1), st.lists(_values, min_size=1, max_size=5))
def test_what_is_written_is_read_again(cookie: int, values: list[object]) -> None:
    packet = encode_reply(cookie, values, _MORE)
    assert values_of(packet) == (REPLY, cookie, values)
    assert encode_reply(cookie, values, len(packet) + 3) == packet


@given(st.text(max_size=30), st.lists(_values, max_size=5), st.integers(0, 2**32 - 1), st.randoms())
def test_a_stream_is_cut_the_same_however_it_comes(
    method: str, arguments: list[object], cookie: int, rng: random.Random
) -> None:
    method = method.replace("\0", "").encode("utf-8", "replace").decode()
    packet = call(method, *arguments, cookie=cookie)
    stream = packet * 3
    framer = Framer(_MORE)
    packets: list[bytes] = []
    while stream:
        size = rng.randint(1, 20)
        packets += framer.feed(stream[:size])
        stream = stream[size:]
    assert packets == [packet] * 3
    assert decode_request(packets[0]) == (cookie, method, arguments)
    assert framer.pending == 0


@given(st.binary(max_size=300))
def test_bytes_are_a_request_or_refused(data: bytes) -> None:
    try:
        read = decode_request(b"\xa1" + data)
    except BadPacket as error:
        answer = fault(error.cookie, 400, error.text)
        kind, cookie, values = values_of(answer)
    else:
        kind, cookie, values = values_of(encode_reply(read.cookie, read.arguments, _MORE))
        assert len(values) == len(read.arguments)
    assert kind in (REPLY, FAULT)
    assert cookie < 2**32


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0, "00"),
        (255, "10ff"),
        (256, "200100"),
        (2**31 - 1, "407fffffff"),
        (-1, "40ffffffff"),
        (-(2**31), "4080000000"),
        # kamcmd would show these as negative, or cut.
        (2**31, record("str", b"2147483648\0").hex()),
        (2**40, record("str", b"1099511627776\0").hex()),
        (-(2**31) - 1, record("str", b"-2147483649\0").hex()),
        (True, "1001"),
        (False, "00"),
        (None, record("str", b"<null string>\0").hex()),
        (1.5, "2205dc"),
        (0.001, "1201"),
        (-0.5, record("str", b"-0.5\0").hex()),
        (1e12, record("str", b"1000000000000.0\0").hex()),
        (float("inf"), record("str", b"inf\0").hex()),
        ("", "1100"),
        ("sixchr", "71" + b"sixchr\0".hex()),
        ("sevench", "9108" + b"sevench\0".hex()),
        ("x" * 300, "a1012d" + (b"x" * 300 + b"\0").hex()),
        # Bytes of a SIP message that are no UTF-8 come out as they came in.
        ("\udcff", "21ff00"),
        ("\ud800", "41efbfbd00"),
        ("a\0b", "61" + "61efbfbd62" + "00"),
        ({"a": [1, {"b": 0}]}, "03256100" + "03" + "1001" + "03" + "256200" + "00" + "838383"),
        ([[]], "0383"),
        ([[{"a": {}}, {"c": 0}]], "03" + "03256100" + "038383" + "0325630000" + "8383"),
        ([[{"a": {}}, {"a": {}}]], "03" + "256100" + "0383" + "256100" + "0383" + "83"),
    ],
)
def test_how_a_value_is_written(value: object, written: str) -> None:
    packet = encode_reply(0, value, _MORE)
    header = read_header(packet)
    assert header is not None
    assert packet[header.size :].hex() == written


@pytest.mark.parametrize("empty", [[], {}, ()])
def test_an_empty_result_is_a_reply_without_records(empty: object) -> None:
    assert encode_reply(5, empty, 100) == bytes.fromhex("a1100005")


def test_a_reply_is_never_larger_than_its_limit() -> None:
    items = ["x" * 100] * 10
    packet = encode_reply(1, items, 10_000)
    assert encode_reply(1, items, len(packet)) == packet
    with pytest.raises(TooLarge):
        encode_reply(1, items, len(packet) - 1)


def _refusal(body: bytes, cookie: int = 9) -> str:
    with pytest.raises(BadPacket) as refused:
        decode_request(request(body, cookie=cookie))
    assert refused.value.cookie == cookie
    return refused.value.text


@pytest.mark.parametrize(
    "body",
    [
        "91ff",  # a text longer than the packet
        "f1ffffffffffffff",  # of 2**56 bytes
        "d1" + "ff" * 5,
        "81",  # of no size at all
        "01",  # without its NUL
        "11" + "41",
        "4161006200",  # a NUL within
        "5000000000" + "01",  # of five bytes
        "25" + "6100" + "1001",  # a member outside of a structure
        "03" + "256100" + "83",  # without its value
        "03" + "256100" + "256100" + "1001" + "83",
        "03" + "256100" + "1001" + "256100" + "1001" + "83",  # twice
        "03" + "256100" + "1001" + "1002" + "83",  # one with a name, one without
        "03" + "1001",  # without its end
        "04" + "1001" + "83",
        "03" + "1001" + "84",
        "83", "84", "13", "07", "0f",
    ],
)  # fmt: skip
def test_bad_records_are_refused(body: str) -> None:
    assert _refusal(record("str", b"core.echo\0") + bytes.fromhex(body)).startswith("bad request")


def test_nesting_and_counts_are_bounded() -> None:
    method = record("str", b"m\0")
    for begin, end in ((b"\x03", b"\x83"), (b"\x04", b"\x84")):
        deep = method + begin * MAX_DEPTH + b"\x00" + end * MAX_DEPTH
        assert decode_request(request(deep)).method == "m"
        assert "deep" in _refusal(method + begin * (MAX_DEPTH + 1))
        assert "deep" in _refusal(method + begin * 50_000)
    many = method + b"\x00" * (MAX_RECORDS - 1)
    assert len(decode_request(request(many)).arguments) == MAX_RECORDS - 1
    assert "too many" in _refusal(many + b"\x00")


def test_arguments_of_every_type() -> None:
    body = (
        record("str", b"m\0")
        + bytes.fromhex("40ffffffff" + "3000ffff" + "2205dc" + "2641ff")
        + b"\x04\x10\x01\x84"
        + b"\x04\x84"
        + b"\x03\x83"
        + bytes.fromhex("4161ff6200")
    )
    values = decode_request(request(body)).arguments
    assert values == [-1, 65_535, 1.5, b"A\xff", [1], [], {}, "a\udcffb"]


def test_a_hostile_length_is_refused_before_anything_of_it_comes() -> None:
    header = bytes.fromhex("a10f" + "ffffffff" + "11223344")
    framer = Framer(65_536)
    for byte in header[:-1]:
        assert list(framer.feed(bytes([byte]))) == []
    with pytest.raises(BadPacket, match="at most 65536 are taken") as refused:
        list(framer.feed(header[-1:]))
    assert refused.value.cookie == 0x11223344


def test_packets_before_a_bad_one_come_out() -> None:
    framer = Framer(100)
    good = call("a")
    stream = framer.feed(good + b"GET / HTTP/1.1")
    assert next(stream) == good
    with pytest.raises(BadPacket):
        next(stream)


@pytest.mark.parametrize("more", [-1, 1])
def test_a_length_that_does_not_fit_is_refused(more: int) -> None:
    packet = call("core.version", cookie=8)
    with pytest.raises(BadPacket) as refused:
        decode_request(packet + b"\0" if more > 0 else packet[:-1])
    assert (refused.value.text, refused.value.cookie) == (CORRUPTED, 8)
