"""The alias parameter: what is read as one, and how a Contact gets it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlgmgmt.sip.message import Message
from dlgmgmt.sip.nat import marked, take_alias


@pytest.mark.parametrize(
    ("uri", "plain", "where"),
    [
        ("sip:a@h;alias=1.2.3.4~5~1", "sip:a@h", "sip:1.2.3.4:5;transport=udp"),
        ("sip:a@h:9;ob;ALIAS=1.2.3.4~5~2;x=y?h=1", "sip:a@h:9;ob;x=y?h=1", "2"),
        ("sips:a@h;alias=[::1]~5061~3", "sips:a@h", "sip:[::1]:5061;transport=tls"),
        ("sip:a@h;alias=::1~80~5;transport=ws", "sip:a@h;transport=ws", "5"),
        ("sip:x.invalid;alias=10.0.0.1~443~6", "sip:x.invalid", "6"),
        ("sip:a;alias=9.9.9.9~9~1@h;alias=1.2.3.4~5~1", "sip:a;alias=9.9.9.9~9~1@h", "1"),
    ],
)
def test_an_alias_is_taken_off(uri: str, plain: str, where: str) -> None:
    found = take_alias(uri)
    assert found is not None
    kinds = {"1": "udp", "2": "tcp", "5": "ws", "6": "wss"}
    assert found[0] == plain
    assert found[1] == where or found[1].endswith(f";transport={kinds[where]}")


@pytest.mark.parametrize(
    "uri",
    [
        "sip:a@h",
        "sip:a@h;alias",
        "sip:a@h;alias=",
        "sip:a@h;alias=1.2.3.4~5",
        "sip:a@h;alias=1.2.3.4~5~4",
        "sip:a@h;alias=1.2.3.4~5~9",
        "sip:a@h;alias=1.2.3.4~0~1",
        "sip:a@h;alias=1.2.3.4~65536~1",
        "sip:a@h;alias=1.2.3.444~5~1",
        "sip:a@h;alias=host.example~5~1",
        "sip:a@h;alias=1.2.3.4~5~1~1",
        "sip:a@h;xalias=1.2.3.4~5~1",
        "sip:a@h?alias=1.2.3.4~5~1",
        "sip:a;alias=1.2.3.4~5~1@h",
        "tel:+1;alias=1.2.3.4~5~1",
        "alias=",
        "sip:a@h;alias=" + "1" * 5000 + "~5~1",
    ],
)
def test_what_is_no_alias_stays(uri: str) -> None:
    assert take_alias(uri) is None


def message(contact: str, source: tuple[str, int] = ("203.0.113.7", 41022)) -> Message:
    data = (
        "INVITE sip:1@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n"
        "From: <sip:a@a>;tag=1\r\nTo: <sip:b@b>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n"
        f"{contact}\r\n\r\n"
    )
    msg = Message(data.encode())
    msg.source = source
    return msg


MARK = ";alias=203.0.113.7~41022~2"


@pytest.mark.parametrize(
    ("line", "new"),
    [
        ("Contact: <sip:a@h>", f"Contact: <sip:a@h{MARK}>"),
        ("m:sip:a@h;expires=5", f"m:<sip:a@h{MARK}>;expires=5"),
        ("Contact: sip:a@h", f"Contact: <sip:a@h{MARK}>"),
        ("Contact: <sip:a@h;ob?x=y>;q=1", f"Contact: <sip:a@h;ob{MARK}?x=y>;q=1"),
        (
            'CONTACT : "<sip:a@h>, \\" A" <sip:a@h>;+i="<urn:x>", <sip:c@h>',
            f'CONTACT : "<sip:a@h>, \\" A" <sip:a@h{MARK}>;+i="<urn:x>", <sip:c@h>',
        ),
        ("Contact: A <sip:a@h>, <sip:a@h>", f"Contact: A <sip:a@h{MARK}>, <sip:a@h>"),
        ("Contact:\r\n <sip:a@h>\r\n ;q=1", f"Contact:\r\n <sip:a@h{MARK}>\r\n ;q=1"),
        # The transport counts too: a reply over UDP would not reach it.
        (
            "Contact: <sip:a@203.0.113.7:41022>",
            f"Contact: <sip:a@203.0.113.7:41022{MARK}>",
        ),
    ],
)
def test_the_first_contact_is_marked_and_nothing_else(line: str, new: str) -> None:
    msg = message(line)
    copy = marked(msg, "tcp")
    before, after = ("\r\n".join(m.header_lines) for m in (msg, copy))
    assert after == before.replace(line, new)
    assert MARK in copy.contact_uri
    assert copy.source == msg.source


@pytest.mark.parametrize(
    "line",
    [
        "Contact: *",
        "Contact: <tel:+1>",
        "Contact: <sip:a@203.0.113.7:41022;transport=tcp>",
        "Contact: <sip:a@h;alias=1.1.1.1~1~1>",
        "Contact: <sip:a b@h>",
        "Contact: ,",
        'Contact: "a <sip:a@h>',
        "Contact:",
        "X: y",
    ],
)
def test_other_contacts_are_left_alone(line: str) -> None:
    msg = message(line)
    assert marked(msg, "tcp") is msg


PIECES = st.sampled_from(
    [
        *'@h.;=~?&<>", *\t\\éA',
        "sip:",
        "sips:",
        ":5060",
        "alias",
        "[::1]",
        "1.2.3.4",
        "transport=tcp",
    ]
)


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from(["udp", "tcp", "tls", "ws"]))
def test_what_is_marked_is_found_again(text: str, kind: str) -> None:
    """Whatever a Contact looks like: it is left alone, or the mark comes off as it went on."""
    msg = message(f"Contact: {text}")
    copy = marked(msg, kind)
    if copy is msg:
        return
    plain = msg.contact_uri
    assert take_alias(copy.contact_uri) == (plain, f"sip:203.0.113.7:41022;transport={kind}")
    lines = zip(msg.header_lines, copy.header_lines, strict=True)
    assert [old.split(":")[0] for old, new in lines if old != new] == ["Contact"]


@given(st.lists(PIECES, max_size=14).map("".join))
def test_any_text_is_an_alias_or_none(text: str) -> None:
    found = take_alias(text)
    if found is not None:
        assert found[0] != text
        assert take_alias(found[1]) is None
