from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mi_fifo import (
    MiBadRequest,
    MiNode,
    MiParam,
    MiReply,
    MiRequest,
    RequestParser,
    RequestUnsendable,
    encode_datagram,
    parse_datagram,
    render_datagram,
)

DATA = Path(__file__).parents[2] / "data" / "mi-4.4"
# What only a FIFO finds broken, a reply name or a missing end, is not among them.
SAME_FAULTS = ("quote", "binary", "no_colon", "line_too_long", "no_command")


def recorded() -> list[tuple[bytes, MiRequest | MiBadRequest]]:
    found = []
    for path in sorted(DATA.glob("*/*.req")):
        data = path.read_bytes()
        events = RequestParser().feed(data, 0.0)
        if len(events) == 1 and (
            isinstance(events[0], MiRequest) or events[0].cause in SAME_FAULTS
        ):
            found.append((data, events[0]))
    return found


def values(rest: bytes) -> list[tuple[str | None, str]]:
    request = parse_datagram(b":c:\n" + rest)
    assert isinstance(request, MiRequest), request
    return [(param.name, param.value) for param in request.params]


def bad(data: bytes, max_size: int = 65_536) -> MiBadRequest:
    broken = parse_datagram(data, max_size)
    assert isinstance(broken, MiBadRequest), broken
    return broken


@pytest.mark.parametrize(
    "data",
    [
        b":uptime:\n",
        b":uptime:",
        b":uptime:\r\n",
        b":uptime: \n\n\n",
        b":uptime:reply_1\n",
        b"\n \r\n:uptime:",
    ],
)
def test_the_first_line(data: bytes) -> None:
    assert parse_datagram(data) == MiRequest("uptime", (), "")


@pytest.mark.parametrize(
    ("rest", "expected"),
    [
        (b"a\nb\n", [(None, "a"), (None, "b")]),
        (b"a\nb", [(None, "a"), (None, "b")]),
        (b"a\n\n \nb\n\n", [(None, "a"), (None, "b")]),
        (b"a\r\nb\r\n", [(None, "a"), (None, "b")]),
        (b"x:: 1\n::2", [("x", "1"), (None, "2")]),
        (b'"a\n\nb"\nc', [(None, "a\n\nb"), (None, "c")]),
        (b'n::"a \\" b"', [("n", 'a " b')]),
        # What would begin another command in a FIFO is a value here.
        (b":kill:r1\n", [(None, ":kill:r1")]),
        (b"\xff@host", [(None, "\udcff@host")]),
    ],
)
def test_parameters(rest: bytes, expected: list[tuple[str | None, str]]) -> None:
    assert values(rest) == expected


@pytest.mark.parametrize(
    ("data", "cause", "text"),
    [
        (b"", "no_colon", "bad command line: it does not start with ':'"),
        (b"uptime\n", "no_colon", "bad command line: it does not start with ':'"),
        (b" :uptime:\n", "no_colon", "bad command line: it does not start with ':'"),
        (b"\n" * 99, "no_colon", "bad command line: it does not start with ':'"),
        (b":uptime\n", "no_second_colon", "bad command line: no ':' behind the command"),
        (b"::\n", "no_command", "bad command line: no command name"),
        (b":up\x00time:\n", "binary", "bad command line: a control character in it"),
        (b":up\rtime:\n", "binary", "bad command line: a control character in it"),
        (b":" + b"x" * 1022 + b":", "line_too_long", "bad command line: of 1024 bytes or more"),
        (b":c:\na\x00b", "binary", "parse error in command 'c'"),
        (b':c:\n"a', "quote", "parse error in command 'c'"),
        (b':c:\n"a\n\n', "quote", "parse error in command 'c'"),
        (b':c:\na"b', "quote", "parse error in command 'c'"),
        (b':c:\n""', "quote", "parse error in command 'c'"),
        (b':c:\n"a" b', "quote", "parse error in command 'c'"),
        (b":c:\na\rb", "binary", "parse error in command 'c'"),
    ],
)
def test_what_is_broken_is_told(data: bytes, cause: str, text: str) -> None:
    broken = bad(data)
    assert (broken.cause, broken.text, broken.reply_name) == (cause, text, "")


def test_a_request_may_be_as_large_as_its_limit() -> None:
    data = b":c:\n" + b"x" * 96
    request = parse_datagram(data, 100)
    assert request == MiRequest("c", (MiParam(None, "x" * 96),), "")
    assert parse_datagram(b":c:\n" + b"\n" * 96, 100) == MiRequest("c", (), "")
    broken = bad(data + b"x", 100)
    assert broken.cause == "too_long"
    assert broken.text == "parse error in command 'c': a request of more than 100 bytes"


@pytest.mark.parametrize("data", [b"200 OK\n", b"500 command 'x' not available\n", b"400"])
def test_a_reply_is_not_replied_to(data: bytes) -> None:
    """Else two daemons, or a daemon and an echo, would go on for ever."""
    broken = bad(data)
    assert (broken.cause, broken.reply_name) == ("reply", None)


def test_every_error_looks_like_a_reply() -> None:
    reply = b"".join(render_datagram(MiReply(400, bad(b"x").text)))
    assert bad(reply).cause == "reply"


def test_a_reply_ends_with_its_last_line() -> None:
    nodes = (MiNode("dialog", None, (("hash", "1:2"),), (MiNode("state", 4),)),)
    chunks = render_datagram(MiReply(200, "OK", nodes))
    assert b"".join(chunks) == b"200 OK\ndialog::  hash=1:2\n\tstate:: 4\n"
    assert b"".join(render_datagram(MiReply(200, "OK"))) == b"200 OK\n"


def test_recorded_requests_read_as_they_do_on_the_fifo() -> None:
    requests = recorded()
    assert len(requests) > 150
    for data, event in requests:
        found = parse_datagram(data)
        assert found[:2] == event[:2]
        assert found.reply_name == ""


_LINES = st.lists(
    st.sampled_from(
        [b":c:", b":dlg_list:r", b":", b"a", b"x::y", b"::", b'"', b'"a"', b'\\"', b"", b" ", b"\r"]
    )
    | st.binary(max_size=30),
    max_size=12,
)


@given(_LINES, st.sampled_from([b"\n", b"\r\n", b""]), st.integers(20, 300))
def test_any_datagram_is_a_request_or_an_error(lines: list[bytes], end: bytes, limit: int) -> None:
    data = end.join(lines)
    found = parse_datagram(data, limit)
    if isinstance(found, MiBadRequest):
        assert found.reply_name in ("", None)
        assert found.cause
        assert "\n" not in found.reason
        return
    assert data.lstrip().startswith(b":")
    assert len(data) <= limit
    for param in found.params:
        assert "\x00" not in param.value


_TEXT = st.text(st.characters(codec="utf-8") | st.sampled_from('":\\\n\t\r =') | st.just("\udcff"))


@given(_TEXT, st.lists(st.tuples(st.sampled_from([None, "n", "a.b"]), _TEXT), max_size=4))
def test_what_is_encoded_is_read_again(command: str, pairs: list[tuple[str | None, str]]) -> None:
    params = [MiParam(name, value) for name, value in pairs]
    try:
        data = encode_datagram(command, params)
    except RequestUnsendable:
        return
    assert parse_datagram(data) == MiRequest(command, tuple(params), "")


@pytest.mark.parametrize(
    ("command", "value"),
    [("c", ""), ("c", "a\x00b"), ("c", "\ud800"), ("a:b", "x"), ("", "x"), ("c", '"\\')],
)
def test_what_cannot_be_said_is_not_sent(command: str, value: str) -> None:
    with pytest.raises(RequestUnsendable):
        encode_datagram(command, [MiParam(None, value)])


def test_values_are_quoted_where_that_is_needed() -> None:
    params = [MiParam(None, "a b"), MiParam("n", "x@2001:db8::1"), MiParam(None, "plain")]
    assert encode_datagram("c", params) == b':c:\n"a b"\nn::"x@2001:db8::1"\nplain\n'
