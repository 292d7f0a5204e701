"""What a message says, however it is spelled."""

from __future__ import annotations

import pytest

from dlgmgmt.sip.errors import NotSip
from dlgmgmt.sip.message import Message
from tests.unit.sip.messages import HEAD, START, defect, message

# -- header lines ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["contact", "record-route", "route", "via"])
def test_values_on_one_line_are_those_on_many(name: str) -> None:
    values = {
        "via": ["SIP/2.0/UDP a;branch=1", 'SIP/2.0/TCP b;x="1,2"', "SIP/2.0/UDP [::1]:5060;rport"],
        "contact": ['"a, b" <sip:a@x;p=1,2>;q=0.1', "<sip:b@x>", "sip:c@x"],
    }.get(name, ["<sip:a;lr>", "<sip:b@x;p=1,2;lr>;z", '"<" <sip:c>'])
    header = name.title()
    one = message(f"{header}: {', '.join(values)}")
    many = message(*(f"{header}:{value}" for value in values))
    mixed = message(f"{header}: {values[0]} ,\r\n\t{values[1]}", "X: 1", f"{header} : {values[2]}")
    assert one.all(name) == many.all(name) == mixed.all(name) == values


COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "k": "supported",
    "s": "subject",
    "e": "content-encoding",
    "o": "event",
    "r": "refer-to",
    "u": "allow-events",
    "x": "session-expires",
}


@pytest.mark.parametrize(("short", "name"), COMPACT.items())
@pytest.mark.parametrize("colon", [":", " :", "\t: "])
def test_compact_forms(short: str, name: str, colon: str) -> None:
    for spelled in (short, short.upper()):
        assert message(f"{spelled}{colon}0").get(name) == "0"


def test_a_folded_line_is_one_value_and_keeps_its_bytes() -> None:
    folded = "Subject: one \r\n\t two\r\n   three"
    msg = message(*HEAD, folded, "X-After: 1")
    assert msg.get("subject") == "one two three"
    assert msg.line("subject") == folded + "\r\n"
    assert msg.get("x-after") == "1"


def test_a_value_may_begin_after_the_fold() -> None:
    msg = message("To:\r\n  <sip:b@b.example>\r\n ;\r\n tag\r\n =\r\n bob", *HEAD[:2], *HEAD[3:])
    assert (msg.to_uri, msg.to_tag) == ("sip:b@b.example", "bob")
    assert defect(msg) is None


def test_bare_line_feeds_end_lines() -> None:
    msg = message(*HEAD, "Content-Length: 1", body="x", ends="\n")
    assert (msg.callid, msg.body) == ("c1", b"x")


@pytest.mark.parametrize(
    "line", ["No colon", ": no name", "Bad name: 1", "Bad\x00: 1", "Bad(: 1", "Bäd: 1"]
)
def test_a_line_that_is_no_header_is_refused(line: str) -> None:
    assert defect(message(*HEAD, line)) == (400, "Malformed header line")


def test_a_bare_carriage_return_is_refused() -> None:
    """The next hop might take it for the end of a line, and what follows for a header."""
    assert defect(message(*HEAD, "Subject: a\rRoute: <sip:evil;lr>")) == (
        400,
        "Bare carriage return",
    )


def test_the_number_of_headers_is_bounded() -> None:
    assert defect(message(*HEAD, *["X: 1"] * 251)) is None
    assert defect(message(*HEAD, *["X: 1"] * 252)) == (400, "Too many headers")


def test_headers_that_do_not_end_are_refused() -> None:
    msg = Message("\r\n".join([START, *HEAD]).encode())
    assert defect(msg) == (400, "No end of headers")


# -- values that must be one -----------------------------------------------------------------------


@pytest.mark.parametrize("line", [*HEAD[1:], "Max-Forwards: 70", "Content-Length: 0"])
def test_a_second_value_is_refused(line: str) -> None:
    lines = HEAD if line in HEAD else (*HEAD, line)
    name = line.partition(":")[0]
    shown = name if name == "Content-Length" else name.lower()
    assert defect(message(*lines, line)) == (400, f"Several {shown} headers")
    # Not hidden by what may well be there several times.
    proxied = ("Via: SIP/2.0/UDP x", "Record-Route: <sip:x;lr>", "Record-Route: <sip:y;lr>")
    assert defect(message(*proxied, *lines, "X: 1", "X: 2", line)) == (
        400,
        f"Several {shown} headers",
    )


def test_the_compact_form_is_a_second_value_too() -> None:
    assert defect(message(*HEAD, "i: c2")) == (400, "Several call-id headers")


def test_other_headers_may_have_any_number_of_lines() -> None:
    many = ("Via: SIP/2.0/UDP x", "Route: <sip:x;lr>", "Route: <sip:y;lr>", "X: 1", "X: 2")
    assert defect(message(*many, *HEAD, "Contact: <sip:a>", "Contact: <sip:b>")) is None


# -- Content-Length --------------------------------------------------------------------------------


@pytest.mark.parametrize("spelled", ["Content-Length: 2", "l:2", "CONTENT-LENGTH :  002 "])
def test_what_exceeds_the_length_is_no_body(spelled: str) -> None:
    msg = message(*HEAD, spelled, body="ab more")
    assert defect(msg) is None
    assert msg.body == b"ab"


@pytest.mark.parametrize("length", ["8", "999999999"])
def test_a_body_that_is_too_short_is_refused(length: str) -> None:
    msg = message(*HEAD, f"Content-Length: {length}", body="ab more")
    assert defect(msg) == (400, "Body shorter than Content-Length")


@pytest.mark.parametrize("length", ["", "-1", "+1", "1.0", "0x1", "1 1", "1,1", "9999999999", "²"])
def test_a_length_that_is_none_is_refused(length: str) -> None:
    msg = message(*HEAD, f"Content-Length: {length}", body="ab")
    assert defect(msg) == (400, "Bad Content-Length")


def test_without_a_length_the_datagram_ends_the_body() -> None:
    assert message(*HEAD, body="ab\r\n\r\ncd").body == b"ab\r\n\r\ncd"


def test_a_body_of_64_kb_and_a_header_too() -> None:
    body = "v" * 60_000
    msg = message(*HEAD, "Content-Length: 60000", body=body)
    assert (defect(msg), len(msg.body)) == (None, 60_000)
    long = "x" * 60_000
    msg = message(*HEAD, f"X-Long: {long}", "Content-Length: 0")
    assert (defect(msg), msg.get("x-long")) == (None, long)
    assert msg.encode("").count(b"x") == 0


# -- start lines -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("INVITE sip:b@x SIP/2.0", None),
        ("invite sip:b@x SIP/2.0", None),
        ("INVITE sip:b@x sip/2.0", None),
        ("N.e-w!%*_+`'~1 sip:b@x SIP/2.0", None),
        ("INVITE  sip:b@x SIP/2.0", (400, "Bad request line")),
        ("INVITE sip:b@x  SIP/2.0", (400, "Bad request line")),
        ("INVITE sip:b@x SIP/2.0 ", (400, "Bad request line")),
        ("INVITE sip:b@x\tSIP/2.0", (400, "Bad request line")),
        ("INVITE\tsip:b@x SIP/2.0", (400, "Bad request line")),
        ("INVITE sip:b@x; lr SIP/2.0", (400, "Bad request line")),
        ("INVITE sip:b@x\x0b SIP/2.0", (400, "Bad request line")),
        ("INVITE   SIP/2.0", (400, "Bad request line")),
        ("INVITE sip:b@x SIP/2.00", (505, "Version Not Supported")),
        ("INVITE sip:b@x SIP/2.1", (505, "Version Not Supported")),
        ("INVITE  sip:b@x SIP/3.0", (505, "Version Not Supported")),
    ],
)
def test_request_lines(line: str, fault: tuple[int, str] | None) -> None:
    method = line.split(maxsplit=1)[0]
    msg = message(*HEAD[:4], f"CSeq: 1 {method}", start=line)
    assert msg.method == method
    assert defect(msg) == fault
    # What there is to answer with has been read nevertheless.
    assert msg.callid == "c1"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "hello",
        "GET / HTTP/1.1",
        "INVITE sip:b@x",
        "INVITE SIP/2.0",
        "SIP/2.0",
        "SIP/2.0 99 Low",
        "SIP/2.0 700 High",
        "SIP/2.0 2000 Long",
        "SIP/2.0 4294967301 better not break the receiver",
        "SIP/3.0 200 OK",
        "SIP/2.0  200 OK",
        "SIP/2.0 ²00 OK",
        "(bad) sip:b@x SIP/2.0",
    ],
)
def test_what_is_no_start_line_is_not_sip(line: str) -> None:
    with pytest.raises(NotSip):
        message(*HEAD, start=line)


@pytest.mark.parametrize("reason", ["OK", "", "= 2**3 * 5**2", "не просто", "a\tb", "\udcff"])
def test_any_reason_phrase(reason: str) -> None:
    msg = message(*HEAD, start=f"SIP/2.0 200 {reason}")
    assert (msg.status, msg.reason) == (200, reason)
    assert msg.without_top_via().startswith(
        f"SIP/2.0 200 {reason}\r\n".encode("utf-8", "surrogateescape")
    )
