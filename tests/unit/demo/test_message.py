from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.demo.message import (
    BadMessage,
    address,
    clean,
    is_loose,
    params,
    parse,
    split_list,
    tag,
    uri_of,
    user_of,
)

GOOD = (
    b"INVITE sip:bob@127.0.0.1 SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1:5070;branch=z9hG4bKa,\r\n SIP/2.0/UDP 127.0.0.2;branch=b\r\n"
    b'f: "A, \\"B\\"" <sip:alice@demo.invalid>;tag=1\r\n'
    b"t: <sip:bob@demo.invalid>\r\n"
    b"i: c1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"l: 2\r\n"
    b"\r\n"
    b"hello"
)


def test_compact_and_folded_headers() -> None:
    message = parse(GOOD)
    assert (message.method, message.uri, message.cseq) == ("INVITE", "sip:bob@127.0.0.1", 7)
    assert [params(via)["branch"] for via in message.all("via")] == ["z9hG4bKa", "b"]
    assert tag(message.get("from")) == "1"
    assert message.body == b"he"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"i: c1\r\n", b""),
        (b"CSeq: 7 INVITE", b"CSeq: 7 BYE"),
        (b"CSeq: 7 INVITE", b"CSeq: seven INVITE"),
        (b"CSeq: 7 INVITE", b"CSeq: 99999999999999999999 INVITE"),
        (b"l: 2", b"l: 9"),
        (b"l: 2", b"l: -1"),
        (b"l: 2", b"no colon"),
        (b"SIP/2.0\r\nv", b"SIP/3.0\r\nv"),
        (b"l: 2", b"x: 1\r\n" * 300 + b"l: 2"),
    ],
)
def test_what_is_no_message(old: bytes, new: bytes) -> None:
    with pytest.raises(BadMessage):
        parse(GOOD.replace(old, new))


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=8), st.integers(0, 8))
def test_damage_gives_a_message_or_bad_message(at: int, patch: bytes, cut: int) -> None:
    try:
        message = parse(GOOD[:at] + patch + GOOD[at + cut :])
    except BadMessage:
        return
    assert message.via
    assert message.status or message.method


def test_lists_uris_and_addresses() -> None:
    assert split_list('"a,b" <sip:x,y@h>, <sip:z>') == ['"a,b" <sip:x,y@h>', "<sip:z>"]
    assert uri_of("sip:a@h;tag=1") == "sip:a@h"
    assert user_of('"x" <sip:a@h;lr>') == "a"
    assert is_loose("<sip:h;did=1.2;LR>")
    assert not is_loose("<sip:h>;lr")
    assert address("sip:bob@127.0.0.1:5070;lr?x=y") == ("127.0.0.1", 5070)
    assert address("sip:[::1]:5071") == ("::1", 5071)
    assert address("sip:[::1]") == ("::1", 5060)
    assert address("sip:example.com") is None
    assert address("sip:127.0.0.1:99999") is None
    assert address("tel:1") is None


def test_shown_text_is_printable_and_short() -> None:
    assert clean("a\x1b[2J\u202eb") == "a?[2J?b"
    assert clean("x" * 500).endswith("...")
    assert len(clean("x" * 500)) < 130
