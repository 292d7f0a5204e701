"""Texts with pseudo-variables: notation, errors with their place, and input of any kind."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dlgmgmt.routing import pv
from dlgmgmt.routing.errors import PvError
from dlgmgmt.routing.pv import PLAIN, WITH_ARGUMENT, compile_spec, compile_template
from dlgmgmt.sip.errors import NotSip
from dlgmgmt.sip.message import Message
from tests.unit.routing.harness import Bench, invite


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("", ""),
        ("no variable", "no variable"),
        ("the user $fu calls $rU", "the user sip:alice:secret@a.example calls +4930123"),
        ("$fU", "alice"),
        ("$fU@$fd", "alice@a.example"),
        ("$fU$fU", "alicealice"),
        ("$(fU)s", "alices"),
        ("$(hdr(Subject))s", "lunchs"),
        ("$rm(x)", "INVITE(x)"),
        ("100 $$", "100 $"),
        ("$$fU $$$fU", "$fU $alice"),
        ("$tt!", "<null>!"),
    ],
)
def test_expansion(text: str, expanded: str) -> None:
    assert Bench(invite("Subject: lunch")).msg.pv(text) == expanded


@pytest.mark.parametrize(
    ("text", "position", "reason"),
    [
        ("ab $nope", 3, "unknown pseudo-variable $nope"),
        ("$fu $fuu", 4, "unknown pseudo-variable $fuu"),
        ("costs 5$", 7, "lone"),
        ("$ fu", 0, "lone"),
        ("$5", 0, "lone"),
        ("é $avp", 2, "takes an argument"),
        ("$avp(x", 0, "takes an argument"),
        ("$(fu", 0, "missing )"),
        ("$(hdr(a)x", 0, "missing )"),
        ("$dlg(nothing)", 0, "$dlg knows h_id"),
        ("$dlg_ctx(nothing)", 0, "$dlg_ctx knows on"),
        ("$DLG_COUNT", 0, "unknown"),
    ],
)
def test_a_fault_is_named_with_its_place(text: str, position: int, reason: str) -> None:
    with pytest.raises(PvError) as caught:
        Bench().msg.pv(text)
    assert reason in str(caught.value)
    assert caught.value.position == position
    assert f"at character {position}" in str(caught.value)


def test_what_a_variable_holds_is_not_expanded_again() -> None:
    bench = Bench(invite("Subject: $avp(pin) $nope"))
    bench.msg.set_pv("$avp(pin)", "1234")
    assert bench.msg.pv("$hdr(Subject)") == "$avp(pin) $nope"


@settings(deadline=None)
@given(st.text())
def test_escaped_text_stands_for_itself(text: str) -> None:
    bench = Bench()
    assert bench.msg.pv(bench.msg.escape(text)) == text


def test_one_variable_and_nothing_else_can_be_read_or_set() -> None:
    msg = Bench().msg
    for name in ("fu", "$fu ", "$fu$fu", "", "$$", "$$fu", "x" * 5000):
        with pytest.raises(PvError):
            msg.get_pv(name)
    assert msg.get_pv("$(fU)") == "alice"


def test_texts_are_read_once_and_the_store_is_bounded() -> None:
    assert compile_template("a $fu b") is compile_template("a $fu b")
    for n in range(3000):
        compile_template(f"$fu {n}")
    assert pv._template.cache_info().currsize <= 1024


def test_a_text_without_end_is_refused() -> None:
    with pytest.raises(PvError, match="65536"):
        compile_template("x" * 65_537)
    assert compile_template("$(fU)" + "x" * 60_000).expand(Bench().run).startswith("alicex")


def test_unprintable_characters_are_replaced_where_a_header_is_made() -> None:
    run = Bench(invite("Subject: a\x00b\udcff\u2028c ü")).run
    assert compile_template("$hdr(Subject)").expand(run, clean=True) == "a?b??c ü"


NAMES = [*(f"${name}" for name in PLAIN), "$avp(a)", "$var(b)", "$hdr(Subject)", "$dlg_var(k)"]
NAMES += ["$dlg(to_tag)", "$dlg_ctx(timeout)"]
PIECES = st.one_of(st.text(max_size=8), st.sampled_from([*NAMES, "$", "(", ")", "$$", "$("]))


@settings(deadline=None)
@given(st.lists(PIECES, max_size=12).map("".join))
def test_no_text_raises_anything_but_a_pv_error(text: str) -> None:
    place = 0
    try:
        found = compile_template(text).expand(Bench().run)
    except PvError as error:
        place = error.position
    else:
        assert isinstance(found, str)
    assert 0 <= place <= len(text)


EVERYTHING = " ".join(
    [
        *(f"${name}" for name in PLAIN),
        "$avp(a) $var(b) $hdr(Subject) $hdr(Via) $dlg_var(k) $dlg_ctx(dir) $dlg(state)",
    ]
)
LINES = st.sampled_from(
    ["From: ", "To: ", "f: ", "t:", "Call-ID: ", "CSeq: ", "Via: ", "User-Agent:", "Subject:", " "]
)
HEADER = st.builds(lambda name, value: name.encode() + value, LINES, st.binary(max_size=60))
PARTY = st.sampled_from(
    [
        b'From: "x <sip:a@b>;tag=1',
        b"To: <sip:[::>;tag",
        b"CSeq: 99999999999 X",
        b"From: <>;tag=\xff",
    ]
)


@settings(deadline=None)
@given(
    st.sampled_from([b"INVITE sip:b@p SIP/2.0", b"BYE x SIP/2.0", b"SIP/2.0 200 \xff\x00"]),
    st.lists(st.one_of(HEADER, PARTY), max_size=8),
)
def test_no_message_makes_a_reading_raise(start: bytes, lines: list[bytes]) -> None:
    data = b"\r\n".join([start, *lines, b"", b""])
    try:
        message = Message(data)
    except NotSip:
        return
    bench = Bench(message, route="onreply" if message.status else "request")
    assert isinstance(bench.msg.pv(EVERYTHING), str)
    assert isinstance(bench.msg.method, str)
    assert isinstance(bench.msg.has_totag(), bool)
    assert isinstance(bench.msg.get_headers("From"), list)


def test_every_name_is_in_one_of_the_two_tables() -> None:
    assert not set(PLAIN) & set(WITH_ARGUMENT)
    assert set(WITH_ARGUMENT) == {"hdr", "avp", "var", "dlg", "dlg_ctx", "dlg_var"}
    assert {"DLG_count", "DLG_status", "DLG_lifetime"} <= set(PLAIN)
    for name in PLAIN:
        assert compile_spec(f"${name}").text == f"${name}"
