"""What the fuzz targets have found, each as a test."""

from __future__ import annotations

from typing import cast

import pytest

from dlgmgmt.sip import grammar
from dlgmgmt.sip.errors import BadMessage, BadUri
from dlgmgmt.sip.framing import Framer, FramingError
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.uri import parse_uri
from mi_fifo import MiBadRequest, RequestParser
from tests.unit.sip.harness import BOB, FakeFlow, FakeStream, World, house


def request(*lines: str) -> bytes:
    return "\r\n".join(["OPTIONS sip:1@10.0.0.1 SIP/2.0", *lines, "l: 0", "", ""]).encode()


@pytest.mark.parametrize("fold", ["\r\n \r\n  ", " \r\n\t\r\n ", "\r\n \r\n \r\n "])
def test_a_folded_line_of_nothing_but_blanks_is_no_part_of_the_value(fold: str) -> None:
    msg = Message(request(f"Subject: a{fold}b", f"Call-ID: c{fold}"))
    assert msg.defect is None
    assert msg.get("subject") == "a b"
    assert msg.callid == "c"


def test_a_via_that_ends_in_a_semicolon_can_be_read_by_the_next_hop() -> None:
    world = World()
    world.receive(
        request(
            "Via: SIP/2.0/UDP phone.example;branch=z9hG4bKx;",
            "From: <sip:a@b>;tag=a",
            "To: <sip:1@b>",
            "Call-ID: c",
            "CSeq: 1 OPTIONS",
        ),
        ("10.0.9.9", 5060),
    )
    (sent,) = [mail.sip for mail in world.take() if mail.to == BOB]
    assert sent.all("Via")[1] == "SIP/2.0/UDP phone.example;branch=z9hG4bKx;received=10.0.9.9"
    assert len(Message(sent.raw).all("via")) == 2
    world.finish()


@pytest.mark.parametrize("params", [";branch=z9hG4bK a b", ';branch=z9hG4bK;x="'])
def test_a_malformed_via_is_refused_in_its_common_form_too(params: str) -> None:
    for start in ("SIP/2.0/UDP h:5060", "SIP/2.0/TCP h"):
        with pytest.raises(BadMessage, match="Bad Via"):
            grammar.via(start + params)


@pytest.mark.parametrize(
    ("value", "tag"),
    [
        ("<sip:a@b>;tag=a x=<y>;tag=b", "a"),
        ("sip:a@b;tag=a;x=<y>;tag=b", "a"),
        ("<sip:a@b>;Tag=a;x=<y>;tag=b", "a"),
        ("<sip:a@b>;tag=a", "a"),
        ("Doe, John <sip:a@b>;tag=a", "a"),
    ],
)
def test_the_tag_is_the_same_by_whatever_way_it_is_read(value: str, tag: str) -> None:
    assert grammar.party_tag(value, "From") == tag


@pytest.mark.parametrize("blank", ["\u2028", "\xa0", "\x85", "\x1c"])
def test_a_route_with_an_odd_blank_becomes_no_request_uri(blank: str) -> None:
    with pytest.raises(BadUri, match="Bad URI"):
        parse_uri(f"sip:a.example;l{blank}r")
    world = World()
    world.receive(
        request(
            "Via: SIP/2.0/UDP 10.0.9.9:5060;branch=z9hG4bKx",
            f"Route: <sip:10.0.1.1;l{blank}r>",
            "From: <sip:a@b>;tag=a",
            "To: <sip:1@b>",
            "Call-ID: c",
            "CSeq: 1 OPTIONS",
        ),
        ("10.0.9.9", 5060),
    )
    assert world.sent() == [("500", ("10.0.9.9", 5060))]
    world.finish()


def test_a_message_that_is_too_large_for_a_stream_is_answered_513() -> None:
    world = World(streams=(("10.0.0.1", 5070),))
    peer = "10.0.9.9", 40000
    stream = FakeFlow(cast("FakeStream", world.sockets[2]), peer)
    data = request(
        "Via: SIP/2.0/TCP 10.0.9.9;branch=z9hG4bKx",
        "From: <sip:a@b>;tag=a",
        "To: <sip:1@b>",
        "Call-ID: c",
        "CSeq: 1 OPTIONS",
    ).replace(b"l: 0", b"l: 70000")
    with pytest.raises(FramingError) as caught:
        list(Framer(65_535).feed(data))
    world.proxy.unreadable(caught.value, stream)
    (mail,) = world.take()
    assert (mail.sip.start, mail.to) == ("SIP/2.0 513 Message too large", peer)
    world.finish()


def test_a_reply_without_call_id_on_a_connection_goes_its_way() -> None:
    world = World(streams=(("10.0.0.1", 5070),))
    home = house(world)
    home.alice.invite("1")
    ringing = home.bob.reply(home.bob.one("INVITE"), 180, tag="")
    world.take()
    data = ringing.raw.replace(b"Call-ID: c1\r\n", b"").replace(b" 180 ", b" 183 ")
    assert b"Call-ID" not in data
    peer = "10.0.9.2", 40000
    stream = FakeFlow(cast("FakeStream", world.sockets[2]), peer)
    world.proxy.receive(data, peer, stream.stream, stream)
    assert home.alice.one("183")["CSeq"] == "1 INVITE"
    world.finish()


@pytest.mark.parametrize("version", ["SIP/2.0", "SIP/7.0"])
def test_the_answer_to_a_request_with_a_bare_return_has_none(version: str) -> None:
    world = World()
    world.receive(
        request(
            "Via: SIP/2.0/UDP 10.0.9.9:5060;branch=z9hG4bKx",
            "From: <sip:a@b>;tag=a\rX: y",
            "To: <sip:1@b>",
            "Call-ID: c",
            "CSeq: 1 OPTIONS",
        ).replace(b"SIP/2.0", version.encode(), 1),
        ("10.0.9.9", 5060),
    )
    (mail,) = world.take()
    assert mail.sip.status == (400 if version == "SIP/2.0" else 505)
    assert mail.sip["From"] == "<sip:a@b>;tag=a X: y"
    assert Message(mail.sip.raw).defect is None
    world.finish()


@pytest.mark.parametrize("size", [20_000, 60])
def test_a_line_without_end_is_an_error_however_it_comes(size: int) -> None:
    line = b":dlg_br" + b" " * 15_000 + b"x" + b" " * 4_990
    parser = RequestParser()
    for at in range(0, len(line), size):
        assert parser.feed(line[at : at + size], 0.0) == []
    assert parser.deadline is not None
    (error,) = parser.expire(parser.deadline)
    assert isinstance(error, MiBadRequest)
    assert error.cause == "line_too_long"
    assert parser.deadline is None
