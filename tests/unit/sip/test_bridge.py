"""Bridges: the daemon calls one phone and refers it to another, and leaves nothing behind."""

from __future__ import annotations

import logging
import threading

import pytest

from dlgmgmt.sip import bridges
from dlgmgmt.sip.bridge import Order
from dlgmgmt.sip.bridges import Bridges, BridgeView
from dlgmgmt.sip.refer_watch import NOTIFY_WAIT
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import (
    BOB,
    CAROL,
    DAVE,
    PROXY,
    UNIX,
    House,
    Phone,
    Side,
    Sip,
    settings,
)
from tests.unit.sip.test_refer import notify, whats

BOB_URI = "sip:bob@10.0.1.1"
CAROL_URI = "sip:carol@10.0.1.2"
CONTROLLER = "sip:controller@localhost"


def keeper(home: House, extra: str = "") -> Bridges:
    world = home.world
    return Bridges(
        world.proxy,
        world.proxy.forwarder.router,
        world.proxy.forwarder.own,
        world.submit,
        controller=CONTROLLER,
        extra=extra,
        wall=lambda: UNIX + world.now,
    )


def order(all_: Bridges, to: str = BOB_URI, proxy: str = "") -> int:
    return all_.order(Order(to, CAROL_URI, proxy))


def last(all_: Bridges) -> tuple[str, str]:
    view = all_.views()[-1]
    return view.state, view.detail


def answer(home: House, all_: Bridges) -> tuple[Sip, Sip, Side]:
    """Bob answers: INVITE and REFER as he got them, and his side."""
    assert order(all_)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    ack, refer = home.bob.inbox()
    assert (ack.what, ack["CSeq"], refer.what) == ("ACK", "10 ACK", "REFER")
    return invite, refer, home.bob.callee_side(invite)


def referred(home: House, all_: Bridges) -> tuple[Sip, Side]:
    """Bob has accepted the REFER: it, and his side."""
    _, refer, side = answer(home, all_)
    home.bob.reply(refer, 202)
    assert last(all_) == ("referred", "")
    return refer, side


def gone(home: House, all_: Bridges) -> None:
    """Nothing is left but transactions that absorb what is late."""
    assert len(all_) == 0
    assert len(home.world.proxy.forwarder.own) == 0
    assert all_.views()[-1].ended_ts > 0
    assert home.world.sent() == []


def bye(home: House, all_: Bridges, state: tuple[str, str], phone: Phone | None = None) -> Sip:
    phone = phone or home.bob
    request = phone.one("BYE")
    assert len(all_) == 1
    assert last(all_) == state
    phone.reply(request, 200)
    gone(home, all_)
    return request


def test_success(home: House) -> None:
    all_ = keeper(home, extra="X-Own: yes\r\n")
    invite, refer, side = answer(home, all_)

    assert invite.start == "INVITE sip:bob@10.0.1.1 SIP/2.0"
    assert invite["From"].startswith(f"<{CONTROLLER}>;tag=")
    assert invite["To"] == "<sip:bob@10.0.1.1>"
    assert invite.contact == "sip:controller@10.0.0.1:5060"
    assert invite["CSeq"] == "10 INVITE"
    assert (invite["Max-Forwards"], invite["X-Own"]) == ("70", "yes")
    assert invite["Content-Type"] == "application/sdp"
    assert int(invite["Content-Length"]) == len(invite.body)
    # On hold: no address to send to, and no media wanted.
    assert b"c=IN IP4 0.0.0.0\r\n" in invite.body
    assert b"a=inactive\r\n" in invite.body

    assert refer.start == "REFER sip:bob@10.0.1.1:5060 SIP/2.0"
    assert refer["Refer-To"] == f"<{CAROL_URI}>"
    assert refer["Referred-By"] == f"<{CONTROLLER}>"
    assert refer["CSeq"] == "11 REFER"
    assert refer.contact == invite.contact
    assert (refer["From"], refer.tag("To")) == (invite["From"], "bob")
    home.bob.reply(refer, 202)

    assert whats(notify(home.bob, side, "SIP/2.0 100 Trying")) == ["200"]
    assert last(all_) == ("referred", "100")
    got = notify(home.bob, side, "SIP/2.0 200 OK\r\n", state="terminated;reason=noresource")
    assert whats(got) == ["200", "BYE"]
    assert got[1]["CSeq"] == "12 BYE"
    home.bob.reply(got[1], 200)
    gone(home, all_)
    (view,) = all_.views()
    assert view == BridgeView(
        1, invite["Call-ID"], BOB_URI, CAROL_URI, "", "done", "200", int(UNIX), int(UNIX)
    )
    # It is no call of the table.
    assert len(home.world.table) == 0


def test_the_states_on_the_way(home: House) -> None:
    all_ = keeper(home)
    home.world.defer()
    assert order(all_)
    assert last(all_) == ("ordered", "")
    home.world.execute()
    assert last(all_) == ("calling", "")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 100)
    assert last(all_) == ("calling", "")
    home.bob.reply(invite, 180)
    assert last(all_) == ("ringing", "180")
    home.bob.reply(invite, 200)
    assert last(all_) == ("answered", "")
    home.bob.reply(home.bob.last("REFER"), 603)
    bye(home, all_, ("failed", "REFER 603"))


@pytest.mark.parametrize("status", [302, 401, 404, 486, 503, 603])
def test_the_phone_refuses_the_call(home: House, status: int) -> None:
    all_ = keeper(home)
    order(all_)
    home.bob.reply(home.bob.one("INVITE"), status)
    home.bob.one("ACK")
    assert last(all_) == ("failed", f"INVITE {status}")
    gone(home, all_)


def test_nobody_is_there(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    home.world.advance(33)
    assert set(home.world.sent()) == {("INVITE", BOB)}
    assert last(all_) == ("failed", "INVITE timeout")
    gone(home, all_)


def test_it_rings_for_too_long(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.world.advance(home.world.timer_c - 1)
    home.bob.reply(invite, 180)
    assert home.bob.inbox() == []
    home.world.advance(1.2)
    cancel = home.bob.one("CANCEL")
    assert (cancel.branch, cancel["CSeq"]) == (invite.branch, "10 CANCEL")
    home.bob.reply(cancel, 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    assert last(all_) == ("failed", "no answer")
    gone(home, all_)


def test_it_rings_for_too_long_and_the_cancel_is_ignored(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    home.bob.reply(home.bob.one("INVITE"), 183)
    home.world.advance(home.world.timer_c + 40)
    assert set(whats(home.bob.inbox())) == {"CANCEL"}
    assert last(all_) == ("failed", "no answer")
    gone(home, all_)


def test_the_answer_crosses_the_cancel(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    home.world.advance(home.world.timer_c + 0.2)
    home.bob.one("CANCEL")
    home.bob.reply(invite, 200)
    ack, request = home.bob.inbox()
    assert (ack["CSeq"], request["CSeq"]) == ("10 ACK", "11 BYE")
    home.bob.reply(request, 200)
    assert last(all_) == ("failed", "no answer")
    gone(home, all_)


def test_a_2xx_that_comes_again_is_acknowledged_again(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    ack, refer = home.bob.inbox()
    home.bob.reply(invite, 200)
    assert home.bob.one("ACK").raw == ack.raw
    home.bob.reply(refer, 405)
    bye(home, all_, ("failed", "REFER 405"))
    home.bob.reply(invite, 200)
    assert home.bob.one("ACK").raw == ack.raw


def test_another_phone_answers_too(home: House) -> None:
    """A proxy behind us has forked: one answer is enough."""
    all_ = keeper(home)
    invite, refer, side = answer(home, all_)
    home.carol.reply(invite, 200)
    ack, request = home.carol.inbox()
    assert (ack.what, request.what) == ("ACK", "BYE")
    assert request.tag("To") == "carol"
    home.carol.reply(request, 200)
    home.bob.reply(refer, 202)
    got = notify(home.bob, side, "SIP/2.0 200 OK", state="terminated")
    home.bob.reply(got[1], 200)
    assert last(all_) == ("done", "200")
    gone(home, all_)


def test_the_refer_gets_no_reply(home: House) -> None:
    all_ = keeper(home)
    answer(home, all_)
    home.world.advance(33)
    assert whats(home.bob.inbox())[-1] == "BYE"
    assert last(all_) == ("failed", "REFER timeout")
    home.world.advance(33)
    home.world.take()
    gone(home, all_)


def test_no_notify_ever_comes(home: House) -> None:
    all_ = keeper(home)
    referred(home, all_)
    home.world.advance(32 + NOTIFY_WAIT + 0.2)
    bye(home, all_, ("failed", "silence"))


@pytest.mark.parametrize(
    ("frag", "state", "detail"),
    [
        ("SIP/2.0 486 Busy Here", "terminated;reason=noresource", "486"),
        ("SIP/2.0 503 Gone", "active", "503"),
        ("SIP/2.0 100 Trying", "terminated;reason=timeout", "ended without an outcome"),
        ("", "terminated", "ended without an outcome"),
    ],
)
def test_the_other_phone_is_not_reached(home: House, frag: str, state: str, detail: str) -> None:
    all_ = keeper(home)
    _, side = referred(home, all_)
    answered, request = notify(home.bob, side, frag, state=state)
    assert (answered.what, request.what) == ("200", "BYE")
    assert last(all_) == ("failed", detail)
    # What comes while the BYE is under way is answered as well.
    assert whats(notify(home.bob, side, state="terminated")) == ["200"]
    home.bob.reply(request, 200)
    gone(home, all_)


def test_the_phone_hangs_up_before_the_refer_is_accepted(home: House) -> None:
    all_ = keeper(home)
    _, refer, side = answer(home, all_)
    home.bob.within(side, "BYE")
    home.bob.one("200")
    assert last(all_) == ("failed", "hung up")
    home.bob.reply(refer, 481)
    gone(home, all_)


def test_the_phone_hangs_up_while_it_calls(home: House) -> None:
    """Some do so with the 202; what becomes of their call is still told."""
    all_ = keeper(home)
    _, side = referred(home, all_)
    for _ in range(2):
        home.bob.within(side, "BYE")
        home.bob.one("200")
    assert len(all_) == 1
    assert whats(notify(home.bob, side, "SIP/2.0 200 OK", state="terminated")) == ["200"]
    assert last(all_) == ("done", "200")
    gone(home, all_)


def test_the_phone_hangs_up_and_says_nothing_more(home: House) -> None:
    all_ = keeper(home)
    _, side = referred(home, all_)
    home.bob.within(side, "BYE")
    home.bob.one("200")
    home.world.advance(32 + NOTIFY_WAIT + 0.2)
    assert last(all_) == ("failed", "silence")
    gone(home, all_)


def test_hanging_up_is_not_answered(home: House) -> None:
    all_ = keeper(home)
    _, refer, _ = answer(home, all_)
    home.bob.reply(refer, 603)
    home.world.advance(33)
    assert set(whats(home.bob.inbox())) == {"BYE"}
    gone(home, all_)


def test_requests_of_the_phone_are_answered(home: House) -> None:
    all_ = keeper(home)
    _, side = referred(home, all_)
    home.bob.within(side, "OPTIONS")
    ok = home.bob.one("200")
    assert "NOTIFY" in ok["Allow"]
    for method in ("INVITE", "UPDATE"):
        home.bob.within(side, method)
        assert home.bob.one("488").start == "SIP/2.0 488 Not Acceptable Here"
        if method == "INVITE":
            home.bob.within(side, "ACK")
    home.bob.within(side, "INFO")
    assert "BYE" in home.bob.one("405")["Allow"]
    assert whats(notify(home.bob, side, event="dialog")) == ["489"]
    assert whats(notify(home.bob, side, "SIP/2.0 200 OK", event="refer;id=99")) == ["481"]
    assert last(all_) == ("referred", "")
    got = notify(home.bob, side, "SIP/2.0 200 OK", event="refer;id=11")
    home.bob.reply(got[1], 200)
    gone(home, all_)
    # The dialog is over.
    home.bob.within(side, "INFO")
    home.bob.one("481")


def test_a_stranger_with_the_same_call_id_changes_nothing(home: House) -> None:
    all_ = keeper(home)
    invite, refer, side = answer(home, all_)
    # Another dialog of the same INVITE, and one that was never made.
    stranger = home.carol.callee_side(invite)
    home.carol.within(stranger, "BYE")
    home.carol.one("481")
    stranger.remote = f"<{CONTROLLER}>;tag=other"
    home.carol.within(stranger, "BYE")
    home.carol.one("481")
    assert last(all_) == ("answered", "")
    home.bob.reply(refer, 603)
    bye(home, all_, ("failed", "REFER 603"))
    assert side.callid == invite["Call-ID"]


def test_requests_that_only_pass_are_left_to_the_proxy(home: House) -> None:
    """A proxy in between gets what is for it, though it is on its way here."""
    all_ = keeper(home)
    _, side = referred(home, all_)
    home.bob.within(side, "INFO", routes=["<sip:10.0.0.1;lr>", "<sip:10.0.1.3;lr>"])
    info = home.dave.one("INFO")
    assert info.all("Route") == ["<sip:10.0.1.3;lr>"]
    home.dave.reply(info, 200)
    home.bob.one("200")
    home.bob.within(side, "BYE")
    home.bob.one("200")
    notify(home.bob, side, state="terminated")
    gone(home, all_)


def test_it_follows_the_route_set_and_the_contact(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    invite = home.bob.one("INVITE")
    home.bob.record_route = ("<sip:10.0.1.3;lr>", "<sip:10.0.1.2;lr>")
    home.bob.reply(invite, 200, contact="sip:bob@10.0.8.8")
    ack, refer = home.carol.inbox()
    assert (ack.what, refer.what) == ("ACK", "REFER")
    for sip in (ack, refer):
        assert sip.uri == "sip:bob@10.0.8.8"
        assert sip.all("Route") == ["<sip:10.0.1.2;lr>", "<sip:10.0.1.3;lr>"]
    home.bob.reply(refer, 603)
    bye(home, all_, ("failed", "REFER 603"), home.carol)


def test_a_2xx_without_contact_is_hung_up_where_it_came_from(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    invite = home.bob.one("INVITE")
    data = home.bob.reply(invite, 180).raw.replace(b"180 Whatever", b"200 OK")
    home.bob.send(b"".join(x for x in data.splitlines(True) if not x.startswith(b"Contact")))
    ack, refer = home.bob.inbox()
    assert (ack.what, refer.uri) == ("ACK", "sip:10.0.1.1:5060")
    home.bob.reply(refer, 603)
    bye(home, all_, ("failed", "REFER 603"))


def test_configured_routes_are_tried_one_after_the_other(home: House) -> None:
    all_ = keeper(home)
    order(all_, "sip:2222@10.0.0.1:5060")
    invite = home.bob.one("INVITE")
    assert invite.uri == "sip:2222@10.0.1.1"
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    invite = home.carol.one("INVITE")
    assert invite["CSeq"] == "11 INVITE"
    home.carol.reply(invite, 486)
    home.carol.one("ACK")
    home.dave.reply(home.dave.one("INVITE"), 200)
    ack, refer = home.dave.inbox()
    assert (ack["CSeq"], refer["CSeq"]) == ("12 ACK", "13 REFER")
    home.dave.reply(refer, 603)
    bye(home, all_, ("failed", "REFER 603"), home.dave)


def test_a_6xx_ends_the_search(home: House) -> None:
    all_ = keeper(home)
    order(all_, "sip:2222@10.0.0.1:5060")
    home.bob.reply(home.bob.one("INVITE"), 603)
    home.bob.one("ACK")
    assert last(all_) == ("failed", "INVITE 603")
    gone(home, all_)


def test_an_outbound_proxy(home: House) -> None:
    all_ = keeper(home)
    order(all_, "sip:2222@b.example", "sip:10.0.1.3;lr")
    assert home.world.mail[0].to == DAVE
    invite = home.dave.one("INVITE")
    assert invite.uri == "sip:2222@b.example"
    home.dave.reply(invite, 404)
    home.dave.one("ACK")
    gone(home, all_)


def test_no_way_to_the_phone(home: House) -> None:
    all_ = keeper(home)
    for to in (f"sip:nobody@{PROXY[0]}:{PROXY[1]}", "sips:bob@10.0.1.1"):
        assert order(all_, to)
        gone(home, all_)
    assert [view.detail for view in all_.views()] == ["INVITE unroutable", "INVITE unreachable"]
    home.world.sockets[0].broken.add(BOB)
    assert order(all_)
    assert last(all_) == ("failed", "INVITE unreachable")
    gone(home, all_)


def test_the_phone_cannot_be_reached_any_more(home: House) -> None:
    all_ = keeper(home)
    order(all_)
    invite = home.bob.one("INVITE")
    home.world.sockets[0].broken.add(BOB)
    home.bob.reply(invite, 200)
    assert last(all_) == ("failed", "REFER unsendable")
    gone(home, all_)


def test_ipv6(home: House) -> None:
    all_ = keeper(home)
    order(all_, "sip:erin@[2001:db8::77]")
    invite = home.erin.one("INVITE")
    assert invite.contact == "sip:controller@[2001:db8::1]:5060"
    assert b"c=IN IP6 ::\r\n" in invite.body
    home.erin.reply(invite, 486)
    home.erin.one("ACK")
    gone(home, all_)


def test_their_number_is_bounded(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges, "MAX_BRIDGES", 2)
    all_ = keeper(home)
    assert order(all_)
    assert order(all_, CAROL_URI)
    assert not order(all_)
    home.carol.reply(home.carol.one("INVITE"), 486)
    assert order(all_)
    for invite in home.bob.inbox():
        home.bob.reply(invite, 486)
    home.world.take()
    gone(home, all_)


def test_nothing_is_logged_under_the_lock(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges, "MAX_BRIDGES", 0)
    all_ = keeper(home)
    seen: list[list[BridgeView]] = []

    class Reader(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            reader = threading.Thread(target=lambda: seen.append(all_.views()), daemon=True)
            reader.start()
            reader.join(1.0)

    log, handler = logging.getLogger(bridges.__name__), Reader()
    log.addHandler(handler)
    try:
        assert not order(all_)
        assert seen == [[]]
    finally:
        log.removeHandler(handler)


def test_old_records_are_forgotten(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bridges, "MAX_RECORDS", 3)
    all_ = keeper(home)
    order(all_)
    for _ in range(4):
        order(all_, "sips:x@y")
    # The one that is under way stays.
    assert [view.id for view in all_.views()] == [1, 4, 5]
    home.bob.reply(home.bob.one("INVITE"), 486)
    home.bob.one("ACK")


def test_timer_c_of_the_settings(make: Make) -> None:
    home = make(sip=settings(timer_c=5.0))
    all_ = keeper(home)
    order(all_, CAROL_URI)
    home.carol.reply(home.carol.one("INVITE"), 180)
    home.world.advance(5.1)
    assert home.world.mail[-1].to == CAROL
    invite_end = home.carol.one("CANCEL")
    assert invite_end["CSeq"] == "10 CANCEL"
