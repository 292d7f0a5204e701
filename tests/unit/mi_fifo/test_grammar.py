from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mi_fifo import (
    Limits,
    MiBadRequest,
    MiParam,
    MiRequest,
    RequestParser,
    RequestUnsendable,
    encode_request,
)

Events = list[MiRequest | MiBadRequest]


def parse(data: bytes) -> Events:
    return RequestParser().feed(data, 0.0)


def parse_to_the_end(data: bytes) -> Events:
    parser = RequestParser()
    events = parser.feed(data, 0.0)
    deadline = parser.deadline
    if deadline is not None:
        events += parser.expire(deadline)
    assert parser.deadline is None
    return events


def values(data: bytes) -> list[tuple[str | None, str]]:
    (request,) = parse(b":c:r\n" + data + b"\n\n")
    assert isinstance(request, MiRequest), request
    return [(param.name, param.value) for param in request.params]


def told(events: Events) -> list[tuple[str, str | None]]:
    """Commands by name, errors by cause, each with the reply name."""
    return [
        (e.command if isinstance(e, MiRequest) else f"!{e.cause}", e.reply_name) for e in events
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"abc", (None, "abc")),
        (b"  abc \t", (None, "abc")),
        (b"callid::abc", ("callid", "abc")),
        (b"callid:: abc", ("callid", "abc")),
        (b"callid::", ("callid", "")),
        (b"::abc", (None, "abc")),
        (b"dialog_ng:active", (None, "dialog_ng:active")),
        (b"a b@2001:db8::1", (None, "a b@2001:db8::1")),
        (b"a::b::c", ("a", "b::c")),
        (b'"a b"', (None, "a b")),
        (b'"a::b"', (None, "a::b")),
        (b'"a" \t\r', (None, "a")),
        (b'name::"a b"', ("name", "a b")),
        (b'" a "', (None, " a ")),
        (rb'"a\"b"', (None, 'a"b')),
        (rb'"a\\"b"', (None, 'a\\"b')),
        (rb'"a\nb"', (None, r"a\nb")),
        (b'"a\nb  \r\n\n c"', (None, "a\nb  \r\n\n c")),
        (b'"X-A: 1\r\nX-B: \\"2\\"\r\n"', (None, 'X-A: 1\r\nX-B: "2"\r\n')),
        (b'"\n"', (None, "\n")),
        ("é".encode(), (None, "é")),
        (b"\xff", (None, "\udcff")),
        (b":a b:c", (None, ":a b:c")),
        (b":1a:c", (None, ":1a:c")),
        (b'":a:b"', (None, ":a:b")),
    ],
)
def test_a_parameter_line(line: bytes, expected: tuple[str | None, str]) -> None:
    assert values(line) == [expected]


@pytest.mark.parametrize(
    ("lines", "cause"),
    [
        (b'""', "quote"),
        (b'name::""', "quote"),
        (b'a"b', "quote"),
        (b'"a" b', "quote"),
        (b'"a\nb" c', "quote"),
        (b"a\x00b", "binary"),
        (b"a\x1b[2Jb", "binary"),
        (b"a\rb", "binary"),
        (b'"a\n\x00"', "binary"),
        (b"x" * 8191, "too_long"),
        (b"x\n" * 4096, "too_long"),
        (b'"' + b"x\n" * 4096 + b'"', "too_long"),
    ],
)
def test_a_broken_parameter_is_a_parse_error_and_the_next_command_works(
    lines: bytes, cause: str
) -> None:
    events = parse(b":c:r\n" + lines + b"\n\n:which:r2\n\n")
    assert told(events) == [(f"!{cause}", "r"), ("which", "r2")]
    assert isinstance(events[0], MiBadRequest)
    assert events[0].text == "parse error in command 'c'"


def test_the_longest_parameters_that_fit() -> None:
    assert values(b"x" * 8190) == [(None, "x" * 8190)]
    assert values(b"x\n" * 4094 + b"yz") == [(None, "x")] * 4094 + [(None, "yz")]


@pytest.mark.parametrize(
    ("line", "cause", "reply_name"),
    [
        (b"dlg_list:r1", "no_colon", "r1"),
        (b" :dlg_list:r1", "no_colon", "r1"),
        (b"abc:dlg_list:r1", "no_colon", "r1"),
        (b"garbage", "no_colon", None),
        (b"\xff\xfe\x00", "no_colon", None),
        (b":dlg_list", "no_reply_name", None),
        (b":", "no_reply_name", None),
        (b"::r1", "no_command", "r1"),
        (b":dlg_list:", "reply_name", None),
        (b":dlg_list::r1", "reply_name", "r1"),
        (b":dlg_list:a.b", "reply_name", None),
        (b":dlg_list:../r1", "reply_name", None),
        (b":dlg_list:/tmp/r1", "reply_name", None),
        (b":dlg_list:a\\b", "reply_name", None),
        (b":dlg_list:a\x00b", "reply_name", None),
        (b":dlg_list:a b", "reply_name", None),
        (b":dlg_list:" + b"n" * 129, "reply_name", None),
        (b":dlg\x00list:r1", "binary", "r1"),
        (b":dlg\rlist:r1", "binary", "r1"),
        (b":" + b"x" * 1100 + b":r1", "line_too_long", "r1"),
        (b":" + b"x" * 11000 + b":r1", "line_too_long", "r1"),
        (b":x:" + b"n" * 11000, "line_too_long", None),
    ],
)
def test_a_broken_first_line_is_one_error_and_the_next_command_works(
    line: bytes, cause: str, reply_name: str | None
) -> None:
    events = parse(line + b"\nparam\n\n:which:r2\n\n")
    assert told(events) == [(f"!{cause}", reply_name), ("which", "r2")]


def test_the_longest_first_line_and_reply_name_that_fit() -> None:
    assert told(parse(b":c:r" + b" " * 1018 + b"\n\n")) == [("c", "r")]
    assert told(parse(b":c:r" + b" " * 1019 + b"\n\n")) == [("!line_too_long", "r")]
    assert told(parse(b":c:" + b"n" * 128 + b"\n\n")) == [("c", "n" * 128)]


@pytest.mark.parametrize("before", [b"\n", b"\n\n\n", b" \t\n", b"\r\n"])
def test_empty_lines_before_a_command_are_skipped(before: bytes) -> None:
    assert told(parse(before + b":c:r\n\n")) == [("c", "r")]


def test_a_line_of_spaces_ends_a_command() -> None:
    assert parse(b":c:r\na\n   \n\n") == [MiRequest("c", (MiParam(None, "a"),), "r")]


def test_crlf_framing_is_told_to_the_client() -> None:
    for data in (b":c:r\r\n\r\n", b":c:r\r\na\r\n\r\n", b'":c:r\r\n"a"\r\n\r\n'[1:]):
        events = parse(data + b":which:r2\n\n")
        assert told(events) == [("!crlf", "r"), ("which", "r2")]
        assert isinstance(events[0], MiBadRequest)
        assert events[0].text == "parse error in command 'c': its lines end in CRLF instead of LF"


def test_a_carriage_return_at_the_end_of_a_command_line_is_white_space() -> None:
    assert told(parse(b":c:r\r\n\n")) == [("c", "r")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b":a:r1\n:b:r2\n\n", [("!unfinished", "r1"), ("b", "r2")]),
        (b":a:r1\np\n:b:r2 \nq\n\n", [("!unfinished", "r1"), ("b", "r2")]),
        (b':a:r1\n"p\n:b:r2\n\n', [("!quote", "r1"), ("b", "r2")]),
        (b':a:r1\n"p\n\n:b:r2\n\n', [("!quote", "r1"), ("b", "r2")]),
        (b'garbage\n"\n:b:r2\n\n', [("!no_colon", None), ("b", "r2")]),
        (b":a:r1:b:r2\n\n", [("!interleaved", "r1"), ("b", "r2")]),
        (b":dlg_:b:r2\n\nlist:r1\n\n", [("dlg_", "b:r2"), ("!no_colon", "r1")]),
    ],
)
def test_two_writers_in_each_others_way(
    data: bytes, expected: list[tuple[str, str | None]]
) -> None:
    assert told(parse(data)) == expected


def test_a_command_without_its_final_empty_line_fails_at_the_deadline() -> None:
    parser = RequestParser(request_deadline=2.0)
    assert parser.feed(b":c:r\n", 10.0) == []
    assert parser.feed(b"a\nb", 11.0) == []
    assert parser.deadline == 12.0
    assert parser.expire(11.9) == []
    (bad,) = parser.expire(12.0)
    assert isinstance(bad, MiBadRequest)
    assert (bad.text, bad.reply_name) == (
        "parse error in command 'c': no empty line at its end",
        "r",
    )
    assert told(parser.feed(b":which:r2\n\n", 12.1)) == [("which", "r2")]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b":c:r", [("!unfinished", "r")]),
        (b"c:r", [("!no_colon", "r")]),
        (b":c", [("!no_reply_name", None)]),
        (b'\n:c:r\n"abc\n', [("!quote", "r")]),
        (b":a:r1\n:b:r2", [("!unfinished", "r1"), ("!unfinished", "r2")]),
        (b"x" * 20_000 + b":r", [("!line_too_long", "r")]),
        (b"  ", []),
        (b"", []),
        (b"\n\n", []),
        (b"garbage\nmore", [("!no_colon", None)]),
    ],
)
def test_what_is_left_at_the_deadline(data: bytes, expected: list[tuple[str, str | None]]) -> None:
    assert told(parse_to_the_end(data)) == expected


def test_an_open_quote_fails_sooner_once_it_is_silent_after_an_empty_line() -> None:
    parser = RequestParser(request_deadline=2.0, quote_grace=0.5)
    parser.feed(b':c:r\n"abc\n', 0.0)
    assert parser.deadline == 2.0
    parser.feed(b"\n", 0.1)
    assert parser.deadline == 0.6
    parser.feed(b"def", 0.2)
    assert parser.deadline == 2.0
    parser.feed(b"\n\n", 0.3)
    assert told(parser.expire(0.8)) == [("!quote", "r")]


def test_each_command_has_a_deadline_of_its_own() -> None:
    parser = RequestParser(request_deadline=2.0)
    parser.feed(b":a:r1\n\n:b:r2\n", 1.0)
    assert parser.deadline == 3.0
    parser.feed(b"\n:c:r3\n", 2.0)
    assert parser.deadline == 4.0


def test_memory_is_bounded_on_a_line_without_end() -> None:
    parser = RequestParser()
    for _ in range(1000):
        assert parser.feed(b"x" * 4096, 0.0) == []
    assert len(parser._buffer) <= 8192 + 4096
    assert told(parser.feed(b":r1\n\n:which:r2\n\n", 0.0)) == [
        ("!line_too_long", "r1"),
        ("which", "r2"),
    ]


def test_limits_can_be_set() -> None:
    parser = RequestParser(Limits(first_line=10, params=6, reply_name=2))
    assert told(parser.feed(b":c:rr\nabcd\n\n", 0.0)) == [("c", "rr")]
    assert told(parser.feed(b":c:rr\nabcde\n\n", 0.0)) == [("!too_long", "rr")]
    assert told(parser.feed(b":c:rrr\n\n", 0.0)) == [("!reply_name", None)]
    assert told(parser.feed(b":cccccc:rr\n\n", 0.0)) == [("!line_too_long", "rr")]


# --- any input ---

PIECES = st.sampled_from(
    [
        *(b":c:r\n", b":which:r2\n", b"\n", b"\n\n", b"a", b"name::", b'"', b'\\"', b"\r\n", b" "),
        *(b"::", b":", b"\x00", b"\xff", b"x" * 1000, b"y" * 9000, b"a b\n", b":a:b:c:d\n", b".\n"),
    ]
)
STREAMS = st.one_of(st.binary(max_size=300), st.lists(PIECES, max_size=30).map(b"".join))


@given(STREAMS)
def test_any_bytes_become_requests_and_errors(data: bytes) -> None:
    for event in parse_to_the_end(data):
        if isinstance(event, MiRequest):
            assert event.command
            assert event.reply_name
        else:
            assert event.text
            assert "\n" not in event.text
        if event.reply_name is not None:
            assert not set(event.reply_name) & set("/.\\\x00\n")
            assert 0 < len(event.reply_name.encode("utf-8", "surrogateescape")) <= 128


@given(STREAMS, st.lists(st.integers(0, 20_000), max_size=12))
@settings(max_examples=300)
def test_cutting_the_stream_changes_nothing(data: bytes, cuts: list[int]) -> None:
    parser = RequestParser()
    events: Events = []
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        events += parser.feed(data[start:end], 0.0)
    deadline = parser.deadline
    if deadline is not None:
        events += parser.expire(deadline)
    assert events == parse_to_the_end(data)


@given(STREAMS)
@settings(max_examples=300)
def test_a_command_on_a_new_line_is_recognized_after_anything(data: bytes) -> None:
    events = parse(data + b"\n:which:after\n\n")
    assert events[-1] == MiRequest("which", (), "after")


@given(
    st.lists(
        st.builds(
            MiParam,
            st.none() | st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]*", fullmatch=True),
            st.text(max_size=50) | st.text('a"\\\n\r: \t', max_size=20),
        ),
        max_size=5,
    )
)
def test_what_can_be_encoded_is_read_back_exactly(params: list[MiParam]) -> None:
    try:
        data = encode_request("cmd", params, "r1")
    except RequestUnsendable:
        return
    assert parse(data) == [MiRequest("cmd", tuple(params), "r1")]


@pytest.mark.parametrize(
    "value",
    ["abc", "a b", 'a"b', "a\nb\n", " a ", ":a:b", "a::b", "é", "x\\", '"', '\\"', "X: 1\r\nY: 2"],
)
def test_a_value_that_the_framing_can_carry_is_sent(value: str) -> None:
    data = encode_request("cmd", [MiParam(None, value)], "r1")
    assert parse(data) == [MiRequest("cmd", (MiParam(None, value),), "r1")]


@pytest.mark.parametrize("value", ["", "\x00", "\x1b[2J", "a\n:b:c\nd", " x\\", '"\\', "x" * 8200])
def test_a_value_that_the_framing_cannot_carry_is_refused(value: str) -> None:
    with pytest.raises(RequestUnsendable):
        encode_request("cmd", [MiParam(None, value)], "r1")


@pytest.mark.parametrize("command", ["", "a:b", "a\nb", "x" * 2000])
def test_a_command_name_that_the_framing_cannot_carry_is_refused(command: str) -> None:
    with pytest.raises(RequestUnsendable):
        encode_request(command, (), "r1")
