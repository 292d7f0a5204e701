"""Values of headers, and URIs, in all their spellings."""

from __future__ import annotations

import pytest

from dlgmgmt.sip import grammar
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.uri import parse_uri
from tests.unit.sip.messages import HEAD, defect, message

# -- names and tags --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "uri", "tag"),
    [
        ("<sip:a@x>;tag=1", "sip:a@x", "1"),
        ("sip:a@x;tag=1", "sip:a@x", "1"),
        ("sip:a@x", "sip:a@x", ""),
        ("A B <sip:a@x;tag=no>;x=1;TAG=1", "sip:a@x;tag=no", "1"),
        ('"tag=no; <sip:no>" <sip:a@x> ; tag = 1 ', "sip:a@x", "1"),
        ('"a\\"b\\\\" <sip:a@x>;tag=1', "sip:a@x", "1"),
        ('<sip:a@x>;note=";tag=no";tag=1', "sip:a@x", "1"),
        ('<sip:a@x>;note=";tag=no"', "sip:a@x", ""),
        ('<sip:a@x>;tag=1;note=";tag=no"', "sip:a@x", "1"),
        ("<sip:a@x>;tag=_token~1'+`*%!-.", "sip:a@x", "_token~1'+`*%!-."),
        ("<sip:a?b,c;d@x>;tag=1", "sip:a?b,c;d@x", "1"),
        ("caller<sip:a@x>;tag=1", "sip:a@x", "1"),
    ],
)
def test_parties(value: str, uri: str, tag: str) -> None:
    msg = message(f"From: {value}", f"t: {value}")
    assert (msg.from_uri, msg.from_tag) == (uri, tag)
    assert (msg.to_uri, msg.to_tag) == (uri, tag)


@pytest.mark.parametrize(
    "value", ['"open <sip:a@x>;tag=1', "Bell, A <sip:a@x>", "<sip:a@x", "a b", '"a" "b" <sip:a@x>']
)
def test_a_party_that_cannot_be_read(value: str) -> None:
    assert defect(message(HEAD[0], HEAD[1], f"To: {value}", *HEAD[3:])) == (400, "Bad To header")


@pytest.mark.parametrize(
    ("value", "uri"),
    [
        ("<sip:a@10.0.9.1:5070;transport=tcp;x>;q=1", "sip:a@10.0.9.1:5070;transport=tcp;x"),
        ("<sip:a@x>, <sip:b@x>", "sip:a@x"),
        ('"a, <b>" <sip:a@x>,<sip:b@x>', "sip:a@x"),
        ("sip:a@x;expires=3", "sip:a@x"),
        ("*", ""),
        # RFC 3261 19.1.5: what stands after the question mark is no part of a Request-URI.
        ("<sip:a@x?Route=%3Csip:y%3E>", "sip:a@x"),
        ("<sip:a?b@x;p?Route=%3Csip:y%3E>", "sip:a?b@x;p"),
        ("<sip:a?b@x>", "sip:a?b@x"),
    ],
)
def test_contacts(value: str, uri: str) -> None:
    assert message(f"Contact: {value}").contact_uri == uri


# -- Via -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "via"),
    [
        ("SIP/2.0/UDP 10.0.9.1:5070;branch=z9", ("UDP", "10.0.9.1", 5070, ";branch=z9")),
        ("SIP / 2.0 / tcp  HOST.example ;branch = z9", ("TCP", "host.example", None, "")),
        ("SIP/2.0/TLS [2001:DB8::1] : 5061;branch=z9", ("TLS", "[2001:db8::1]", 5061, "")),
        ("SIP/2.0/UNKNOWN x;branch=z9;", ("UNKNOWN", "x", None, "")),
        ('SIP/2.0/UDP x;a=";;,";branch=z9', ("UDP", "x", None, "")),
        ("SIP/2.0/UDP x;rport;received=2001:db8::1;branch=z9", ("UDP", "x", None, "")),
    ],
)
def test_vias(value: str, via: tuple[str, str, int | None, str]) -> None:
    for text in (value, value + ", SIP/2.0/UDP other;branch=no"):
        msg = message(f"Via: {text}")
        got = msg.top_via()
        assert got[:3] == via[:3]
        assert not via[3] or got.params == via[3]
        assert msg.via_branch() == "z9"
        assert grammar.branch_of(got.params) == "z9"


@pytest.mark.parametrize(
    "value",
    [
        "SIP/2.0/UDP x;;branch=z9",
        "SIP/2.0/UDP 10.0.0.1:5060;;branch=z9",
        "SIP/2.0/UDP x; ;branch=z9",
        "SIP/2.0/UDP x;=1;branch=z9",
        "SIP/7.0/UDP x;branch=z9",
        "SIP/2.0/UDP ;branch=z9",
        "SIP/2.0/UDP x:0;branch=z9",
        "SIP/2.0/UDP x:65536;branch=z9",
        "SIP/2.0/UDP x:00000165536;branch=z9",
        'SIP/2.0/UDP x;a="open;branch=z9',
        "nonsense",
    ],
)
def test_a_via_that_cannot_be_read(value: str) -> None:
    with pytest.raises(BadMessage, match="400 Bad Via"):
        message(f"Via: {value}").top_via()


def test_the_topmost_via_is_replaced_and_taken_off_wherever_it_stands() -> None:
    lines = ("X: 1", "v: SIP/2.0/UDP a;branch=1 , SIP/2.0/UDP b;branch=2", "Via: SIP/2.0/UDP c")
    msg = message(*lines, start="SIP/2.0 200 OK")
    assert msg.without_top_via() == (
        b"SIP/2.0 200 OK\r\nX: 1\r\nVia: SIP/2.0/UDP b;branch=2\r\nVia: SIP/2.0/UDP c\r\n\r\n"
    )
    msg.set_top_via("SIP/2.0/UDP a;branch=1;received=9")
    assert [text.partition(";")[2] for text in msg.all("via")] == [
        "branch=1;received=9",
        "branch=2",
        "",
    ]


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "hops"), [("0", 0), ("70", 70), ("0068", 68), ("255", 255)])
def test_max_forwards(text: str, hops: int) -> None:
    assert message(f"Max-Forwards: {text}").max_forwards == hops


@pytest.mark.parametrize("text", ["", "256", "300", "-1", "1 2", "x", "9" * 5000, "7²"])
def test_max_forwards_that_is_none(text: str) -> None:
    with pytest.raises(BadMessage, match="400 Bad Max-Forwards header"):
        _ = message(f"Max-Forwards: {text}").max_forwards


@pytest.mark.parametrize(
    ("text", "cseq"),
    [("1 INVITE", 1), ("0009\r\n  INVITE", 9), ("2147483647 INVITE", 2**31 - 1), ("0\tINVITE", 0)],
)
def test_cseq(text: str, cseq: int) -> None:
    assert message(f"CSeq: {text}").cseq == (cseq, "INVITE")


@pytest.mark.parametrize(
    "text", ["", "INVITE", "1", "-1 INVITE", "2147483648 INVITE", "1 INV ITE", "1.5 INVITE", "² X"]
)
def test_cseq_that_is_none(text: str) -> None:
    with pytest.raises(BadMessage, match=r"400 (Bad CSeq|Missing cseq) header"):
        _ = message(f"CSeq: {text}").cseq


# -- URIs ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "user", "host", "port"),
    [
        (
            "sip:user;par=u%40example.net@example.com",
            "user;par=u%40example.net",
            "example.com",
            None,
        ),
        (
            "sip:sips%3Auser%40example.com@example.net",
            "sips%3Auser%40example.com",
            "example.net",
            None,
        ),
        ("SIP:a?,/;;*:&x=1@Example.COM:5070;p", "a?,/;;*:&x=1", "example.com", 5070),
        ("sips:[2001:db8::1]:5061", "", "2001:db8::1", 5061),
        ("sip:%00@x", "%00", "x", None),
    ],
)
def test_uris(text: str, user: str, host: str, port: int | None) -> None:
    uri = parse_uri(text)
    assert (uri.user, uri.host, uri.port) == (user, host, port)


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("<sip:user@example.com>", 400),
        ("sip:", 400),
        ("sip:a@b@c", 400),
        ("sip:a b@c", 400),
        ("sip:x:65536", 400),
        ("sip:x:0", 400),
        ("tel:+1234", 416),
        ("soap.beep://192.0.2.103:3002", 416),
        ("nobodyKnowsThisScheme:totallyopaquecontent", 416),
    ],
)
def test_a_uri_that_is_not_ours(text: str, status: int) -> None:
    with pytest.raises(BadMessage) as caught:
        parse_uri(text)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("text", "bare"),
    [
        ("sip:a@x:5070;maddr=10.0.0.1;transport=tcp;p=1;q", "sip:a@x;p=1;q"),
        ("sip:x;MADDR=10.0.0.1", "sip:x"),
        ("sips:a;b@[::1];maddr=::1?X=1", "sips:a;b@[::1]?X=1"),
    ],
)
def test_a_uri_without_what_maddr_said(text: str, bare: str) -> None:
    assert parse_uri(text).without_maddr() == bare
