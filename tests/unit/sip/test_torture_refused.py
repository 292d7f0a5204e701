"""RFC 4475: the messages that a proxy answers itself, and the replies that it drops."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import ALICE, BOB, House, Sip
from tests.unit.sip.torture import (
    FORWARDED,
    NAMES,
    REFUSED,
    REPLIES,
    SENDER,
    TORTURED,
    Raw,
    know_names,
    read,
    send,
    serves,
    unfolded,
)


@pytest.fixture
def home(make: Make, tmp_path: Path) -> House:
    home = make(sip=TORTURED)
    know_names(home, tmp_path)
    return home


def test_every_message_of_the_rfc_has_its_test() -> None:
    assert sorted([*FORWARDED, *REFUSED, *REPLIES]) == NAMES
    assert len(NAMES) == 49


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_answered_and_goes_no_further(home: House, name: str) -> None:
    (mail,) = send(home, read(name))
    expected = REFUSED[name]
    assert mail.sip.start == f"SIP/2.0 {expected.status} {expected.reason}"
    assert mail.to == (SENDER[0], expected.port)
    sent, got = Raw.of(read(name)), Raw.of(mail.sip.raw)
    # RFC 3261 8.2.6.2: what there is of these is in the answer as it came.
    assert got.vias[1:] == sent.vias[1:]
    assert unfolded(got.vias[0]).startswith(unfolded(sent.vias[0]))
    for header in ((b"from", b"f"), (b"call-id", b"i"), (b"cseq",)):
        assert got.named(*header)[:1] == sent.named(*header)[:1]
    to = sent.named(b"to", b"t")
    assert [line.startswith(to[0]) for line in got.named(b"to", b"t")] == [True] * bool(to)
    assert got.named(b"content-length") == [b"Content-Length: 0"]
    assert not any(home.world.table.counts()[:6])
    serves(home)


@pytest.mark.parametrize("name", REFUSED)
def test_its_retransmission_is_answered_again(home: House, name: str) -> None:
    (first,) = send(home, read(name))
    (second,) = send(home, read(name))
    assert second.sip.start == first.sip.start
    assert second.to == first.to


def test_bext01_is_told_what_no_proxy_here_supports(home: House) -> None:
    (mail,) = send(home, read("bext01"))
    unsupported = "noProxiesSupportThis, norDoAnyProxiesSupportThis"
    assert mail.sip["Unsupported"] == unsupported


def test_zeromf_is_told_what_the_proxy_does(home: House) -> None:
    (mail,) = send(home, read("zeromf"))
    assert mail.sip["Allow"] == "INVITE, ACK, CANCEL, BYE, OPTIONS"
    assert mail.sip["Accept"] == "*/*"
    assert "Supported" in dict(mail.sip.headers)


@pytest.mark.parametrize("method", [b"INVITE", b"MESSAGE"])
def test_zeromf_of_another_method_has_had_too_many_hops(home: House, method: bytes) -> None:
    (mail,) = send(home, read("zeromf").replace(b"OPTIONS", method))
    assert mail.sip.start == "SIP/2.0 483 Too Many Hops"


def test_zeromf_within_a_dialog_is_not_the_phones_answer(home: House) -> None:
    (mail,) = send(
        home, read("zeromf").replace(b"To: sip:user@example.com", b"To: <sip:u@b>;tag=1")
    )
    assert mail.sip.start == "SIP/2.0 483 Too Many Hops"


# -- replies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_to_nothing_is_dropped(home: House, name: str) -> None:
    assert send(home, read(name)) == []
    counters = home.world.proxy.counters
    assert counters.bad_replies + counters.stray_replies + counters.not_sip == 1
    serves(home)


def put_in(home: House, name: str, invite: Sip) -> bytes:
    """A reply of the RFC as one to ``invite``: its Vias, dialog and CSeq, all else as it is."""
    reply = Raw.of(read(name))
    request = Raw.of(invite.raw)
    lines = [line for line in reply.kept if reply.name(line) not in (b"from", b"to", b"cseq")]
    lines = [line for line in lines if reply.name(line) != b"call-id"]
    own = [*request.vias, *reply.vias[1:], *request.named(b"from", b"call-id", b"cseq")]
    own += [request.named(b"to")[0] + b";tag=x", *request.named(b"record-route")]
    return b"\r\n".join([reply.start, *own, *lines, b"", reply.body])


def test_unreason_keeps_its_reason_phrase(home: House) -> None:
    home.alice.invite("1")
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    (mail,) = send(home, put_in(home, "unreason", invite), BOB)
    assert mail.to == ALICE
    assert Raw.of(mail.sip.raw).start == Raw.of(read("unreason")).start
    assert mail.sip.body == Raw.of(read("unreason")).cut()
    # Nobody acknowledges it: both sides are told in the end.
    assert home.world.state() == 5


def test_noreason_is_a_reply_like_any(home: House) -> None:
    """The 100 ends the retransmissions; with a status that is passed on it still has no reason."""
    home.alice.invite("1")
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    trying = put_in(home, "noreason", invite)
    assert send(home, trying, BOB) == []
    home.world.advance(5)
    assert home.bob.inbox() == []
    (mail,) = send(home, trying.replace(b"SIP/2.0 100 ", b"SIP/2.0 180 "), BOB)
    assert (mail.to, mail.sip.start) == (ALICE, "SIP/2.0 180 ")
    home.bob.reply(invite, 486)


def test_bigcode_changes_nothing_of_a_call(home: House) -> None:
    home.alice.invite("1")
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    assert send(home, put_in(home, "bigcode", invite), BOB) == []
    home.bob.reply(invite, 180)
    home.alice.one("180")
    home.bob.reply(invite, 486)
    home.alice.one("486")


def test_scalarlg_changes_nothing_of_a_request(home: House) -> None:
    """Its CSeq is that of no request; the numbers of its other headers are not ours to read."""
    home.alice.invite("1", method="OPTIONS")
    options = home.bob.one("OPTIONS")
    data = put_in(home, "scalarlg", options)
    wrong = data.replace(b"CSeq: 1 ", b"CSeq: 9292394834772304023312 ")
    assert send(home, wrong, BOB) == []
    assert home.world.proxy.counters.bad_replies == 1
    (mail,) = send(home, data.replace(b"SIP/2.0 503", b"SIP/2.0 480"), BOB)
    assert mail.sip["Retry-After"] == "949302838503028349304023988"
    assert mail.sip["Warning"] == '1812 overture "In Progress"'


def test_bcast_is_sent_to_nobody_but_the_caller(home: House) -> None:
    """Where a reply goes is known from its transaction, and not believed of a Via."""
    home.alice.invite("1")
    home.alice.one("100")
    invite = home.bob.one("INVITE")
    (mail,) = send(home, put_in(home, "bcast", invite), BOB)
    assert mail.to == ALICE
    assert Raw.of(mail.sip.raw).vias[-1] == Raw.of(read("bcast")).vias[1]
