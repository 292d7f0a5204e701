"""Transactions over connections: RFC 3261 17 with reliable transports, 18.1.1, and RFC 3263 4.3."""

from __future__ import annotations

from dlgmgmt.sip.settings import Route, SipSettings
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import (
    BOB,
    CAROL,
    PROXY,
    FakeStream,
    House,
    Phone,
    Sip,
)

TCP = 2
BY_TCP = SipSettings(
    routes=(
        Route(("sip:10.0.1.1;transport=tcp",), user_prefix="1"),
        Route(
            ("sip:10.0.1.1;transport=tcp", "sip:10.0.1.2;transport=tcp"),
            user_prefix="3",
            fork="serial",
        ),
        Route(("sip:10.0.1.1",), user_prefix="4"),
    )
)


def tcp_house(make: Make) -> tuple[House, FakeStream]:
    home = make(sip=BY_TCP, streams=(PROXY,))
    stream = home.world.sockets[TCP]
    assert isinstance(stream, FakeStream)
    return home, stream


def by_tcp(phone: Phone) -> Phone:
    phone.own = TCP
    return phone


def what(home: House) -> list[str]:
    return [mail.sip.what for mail in home.world.take()]


def test_nothing_is_sent_again_over_a_connection(make: Make) -> None:
    home, _ = tcp_house(make)
    by_tcp(home.alice).invite("1")
    assert [sip.what for sip in home.alice.inbox()] == ["100"]
    home.bob.one("INVITE")
    home.world.advance(30)
    assert what(home) == []
    home.world.advance(3)
    # Timer B runs over every transport.
    assert what(home) == ["408"]


def test_a_failure_over_a_connection_leaves_nothing_once_acknowledged(make: Make) -> None:
    home, _ = tcp_house(make)
    sent = by_tcp(home.alice).invite("1")
    by_tcp(home.bob).reply(home.bob.one("INVITE"), 486)
    home.bob.one("ACK")
    busy = home.alice.last("486")
    home.world.advance(3)
    assert what(home) == []
    home.alice.ack_failure(sent, busy)
    assert home.world.stack.servers == {}
    assert home.world.stack.clients == {}


def test_a_request_over_a_connection_leaves_nothing_once_answered(make: Make) -> None:
    home, _ = tcp_house(make)
    by_tcp(home.alice).invite("1", method="MESSAGE")
    by_tcp(home.bob).reply(home.bob.one("MESSAGE"), 200)
    home.alice.one("200")
    assert len(home.world.stack) == 0


def test_via_and_record_route_say_which_way_it_goes(make: Make) -> None:
    home, _ = tcp_house(make)
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    assert invite["Via"].startswith("SIP/2.0/TCP 10.0.0.1:5060;branch=")
    outer, inner = invite.all("Record-Route")
    assert outer.startswith("<sip:10.0.0.1:5060;transport=tcp;lr;")
    assert inner.startswith("<sip:10.0.0.1:5060;lr;")
    assert outer.endswith(";r2=on>")
    assert inner.endswith(";r2=on>")


def test_a_call_between_two_transports_goes_on_over_both(make: Make) -> None:
    home, stream = tcp_house(make)
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    by_tcp(home.bob).reply(invite, 200, contact="sip:bob@10.0.1.1:5060;transport=tcp")
    ok = home.alice.last("200")
    side = home.alice.caller_side(ok)
    home.alice.within(side, "ACK")
    assert [mail.sock for mail in home.world.mail] == [stream]
    home.bob.one("ACK")
    # The callee's way back: through both own values, out over UDP.
    back = home.bob.callee_side(invite)
    home.bob.within(back, "BYE")
    bye = home.alice.one("BYE")
    assert bye["Via"].startswith("SIP/2.0/UDP ")
    home.alice.reply(bye, 200)
    home.bob.one("200")


def test_a_lost_connection_is_an_answer_at_once(make: Make) -> None:
    home, stream = tcp_house(make)
    home.alice.invite("1")
    home.bob.one("INVITE")
    stream.lose(BOB)
    # A 503 of one branch is 500 to the caller (16.7 point 6).
    assert home.alice.last("500")["CSeq"] == "1 INVITE"


def test_the_next_target_of_a_serial_fork_is_tried_when_a_connection_is_lost(make: Make) -> None:
    home, stream = tcp_house(make)
    home.alice.invite("3")
    home.bob.one("INVITE")
    stream.lose(BOB)
    home.carol.one("INVITE")
    stream.lose(CAROL)
    home.alice.last("500")


def test_a_connection_that_was_old_is_made_anew_once(make: Make) -> None:
    home, stream = tcp_house(make)
    stream.opened.add(BOB)
    home.alice.invite("1")
    first = home.bob.one("INVITE")
    stream.lose(BOB)
    again = home.bob.one("INVITE")
    assert again.branch != first.branch
    stream.lose(BOB)
    assert home.bob.inbox() == []
    home.alice.last("500")


def test_who_closes_the_connection_may_answer_over_another(make: Make) -> None:
    """RFC 3261 18.2.2: a server whose connection is gone makes a new one for its reply."""
    home, stream = tcp_house(make)
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    stream.lose(BOB, ended=True)
    home.world.advance(1.9)
    assert what(home) == ["100"]
    by_tcp(home.bob).reply(invite, 200)
    home.alice.last("200")
    home.world.advance(5)
    assert "500" not in what(home)


def test_who_closes_the_connection_and_does_not_answer_is_given_up_soon(make: Make) -> None:
    home, stream = tcp_house(make)
    home.alice.invite("3")
    home.bob.one("INVITE")
    stream.lose(BOB, ended=True)
    assert home.carol.inbox() == []
    home.world.advance(2.1)
    home.carol.one("INVITE")


def test_a_provisional_over_another_connection_lets_the_request_go_on(make: Make) -> None:
    home, stream = tcp_house(make)
    by_tcp(home.alice).invite("1", method="MESSAGE")
    message = home.bob.one("MESSAGE")
    stream.lose(BOB, ended=True)
    by_tcp(home.bob).reply(message, 100)
    home.world.advance(30)
    assert what(home) == []
    home.bob.reply(message, 200)
    home.alice.one("200")
    assert len(home.world.stack) == 0


def test_what_rings_is_not_given_up_with_its_connection(make: Make) -> None:
    home, stream = tcp_house(make)
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    by_tcp(home.bob).reply(invite, 180)
    home.alice.last("180")
    stream.lose(BOB)
    assert home.alice.inbox() == []
    home.bob.reply(invite, 200)
    home.alice.last("200")


def long_invite(home: House, size: int) -> Sip:
    home.alice.invite("4", body="x" * size)
    return home.world.mail[-1].sip


def test_a_large_request_goes_over_a_connection(make: Make) -> None:
    home, _ = tcp_house(make)
    invite = long_invite(home, 1300)
    assert invite.what == "INVITE"
    assert invite["Via"].startswith("SIP/2.0/TCP ")
    home.bob.inbox()


def test_a_small_request_stays_with_datagrams(make: Make) -> None:
    home, _ = tcp_house(make)
    assert long_invite(home, 300)["Via"].startswith("SIP/2.0/UDP ")
    home.bob.inbox()


def test_a_large_request_goes_as_a_datagram_where_nobody_listens(make: Make) -> None:
    home, stream = tcp_house(make)
    stream.refused.add(BOB)
    assert long_invite(home, 1300)["Via"].startswith("SIP/2.0/UDP ")
    home.bob.inbox()
    stream.refused.clear()
    # The same when that is found out later only; nobody is asked before the back-off is over.
    home.world.advance(SipSettings().dns.back_off + 1)
    home.bob.inbox()
    home.alice.inbox()
    home.alice.invite("4", callid="c2", body="x" * 1300)
    assert home.bob.one("INVITE")["Via"].startswith("SIP/2.0/TCP ")
    stream.lose(BOB)
    assert home.bob.one("INVITE")["Via"].startswith("SIP/2.0/UDP ")
