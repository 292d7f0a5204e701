"""Dialogs of an earlier daemon: ended, kept alive and timed out as if it had never been away."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.sip.calls import Calls
from dlgmgmt.sip.locate import Locator
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import (
    ALICE,
    BOB,
    DIALOGS,
    Call,
    FakeSocket,
    House,
    Phone,
    World,
)
from tests.unit.sip.restart import after, before, empty, load
from tests.unit.sip.test_keepalive import guard, live


def elsewhere(record: DialogRecord) -> DialogRecord:
    """The record as another proxy wrote it, which listened where nobody does here."""
    legs = tuple(leg._replace(callee_bind_addr="udp:10.0.0.77:5080") for leg in record.legs)
    return record._replace(caller_bind_addr="udp:10.0.0.77:5060", legs=legs)


@pytest.fixture
def past() -> House:
    return before()


def hang_up(home: House, call: Call) -> None:
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
    assert home.alice.last("200")["CSeq"].endswith("BYE")
    assert home.world.state() == 0


@pytest.mark.parametrize("there", [True, False])
def test_both_phones_are_told_of_a_kill(past: House, make: Make, *, there: bool) -> None:
    call = past.talk()
    past.alice.within(call.caller, "UPDATE", cseq=8)
    past.bob.reply(past.bob.one("UPDATE"), 200)
    past.bob.within(call.callee, "INFO", cseq=300)
    past.alice.reply(past.alice.last("INFO"), 200)
    home = after(past, make, change=(lambda record: record) if there else elsewhere)
    number = home.world.kill()
    to_alice, to_bob = (phone.one("BYE") for phone in (home.alice, home.bob))
    assert (to_alice["CSeq"], to_bob["CSeq"]) == ("301 BYE", "9 BYE")
    assert to_bob.uri == home.bob.contact
    assert to_bob["Via"].startswith("SIP/2.0/UDP 10.0.0.1:5060")
    for phone, bye in ((home.alice, to_alice), (home.bob, to_bob)):
        phone.reply(bye, 200)
    assert set(home.world.outcomes(number).values()) == {"BYE 200"}
    assert home.world.state() == 0


@pytest.mark.parametrize("there", [True, False])
def test_phones_that_do_not_answer_keepalives_are_found(
    past: House, make: Make, *, there: bool
) -> None:
    past.talk()
    home = after(past, make, change=(lambda record: record) if there else elsewhere)
    ka = guard(home.world)
    got = live(home, ka, 75, home.bob)
    assert got["alice"][0] == "OPTIONS"
    assert got["bob"][-1] == "BYE"
    assert ka.ended == 1


@pytest.mark.parametrize("there", [True, False])
def test_a_side_is_referred(past: House, make: Make, *, there: bool) -> None:
    past.talk()
    home = after(past, make, change=(lambda record: record) if there else elsewhere)
    world = home.world
    calls = Calls(world.proxy, world.table, world.terminator, world.submit, DIALOGS)
    view = world.view()
    dialog = world.table.dialog(view.h_entry, view.h_id)
    assert dialog is not None
    assert calls.refer(dialog, "callee", "sip:carol@c.example")
    refer = home.bob.one("REFER")
    assert refer["CSeq"] == "2 REFER"
    home.bob.reply(refer, 603)
    world.kill()
    home.answer_all()
    world.advance(40)
    home.answer_all()


def test_the_dialog_timeout_comes_when_it_would_have_come(past: House, make: Make) -> None:
    past.talk()
    past.world.advance(100)
    home = after(past, make)
    home.world.advance(DIALOGS.default_timeout - 105)
    assert home.world.sent() == []
    home.world.advance(10)
    assert {sip.what for phone in (home.alice, home.bob) for sip in phone.inbox()} == {"BYE"}


def test_a_restart_in_another_place_of_the_table(past: House, make: Make) -> None:
    """Another hash_size: requests carry the id of old, which leads nowhere or to others."""
    call = past.talk()
    home = after(past, make, dialogs=replace(DIALOGS, hash_size=1024))
    assert home.world.view().did not in call.caller.routes[0]
    home.alice.within(call.caller, "INVITE")
    home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.last("200")
    home.alice.within(call.caller, "ACK")
    home.bob.one("ACK")
    assert home.world.view().legs[0].caller_cseq == 2
    home.bob.within(call.callee, "BYE")
    home.alice.reply(home.alice.one("BYE"), 200)
    home.bob.one("200")
    assert home.world.state() == 0


def test_an_old_id_that_leads_to_another_call_does_not(past: House, make: Make) -> None:
    """Its place was taken before it was loaded."""
    call = past.talk()
    old = past.world.view()
    home = empty(past, make)
    world = home.world
    other = "c2"
    while world.table.hash_of(other) != old.h_entry:
        other += "x"
    world.table.entry_of(other).next_id = old.h_id
    home.alice.invite("1", callid=other)
    invite = home.bob.one("INVITE")
    load(past, home)
    (there,) = world.table.find(other)
    assert there.did == old.did != world.view().did
    home.alice.inbox()
    home.alice.within(call.caller, "INFO")
    home.bob.reply(home.bob.one("INFO"), 200)
    home.alice.one("200")
    assert world.view().legs[0].caller_cseq == 2
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    hang_up(home, call)


class TestWithoutAck:
    """The 2xx had been forwarded, and its ACK not seen."""

    @pytest.fixture
    def call(self, past: House) -> Call:
        call = past.talk(ack=False)
        past.world.advance(10)
        return call

    def test_the_ack_is_forwarded_and_noted(self, past: House, make: Make, call: Call) -> None:
        home = after(past, make)
        assert home.world.state() == 5
        home.alice.within(call.caller, "ACK")
        home.bob.one("ACK")
        assert home.world.state() == 4
        home.world.advance(DIALOGS.noack_timeout + 5)
        assert home.world.sent() == []
        hang_up(home, call)

    def test_an_answer_that_comes_again_reaches_the_caller(
        self, past: House, make: Make, call: Call
    ) -> None:
        """The daemon may have ended before she was told of it."""
        home = after(past, make)
        home.bob.reply(call.invite, 200)
        assert home.alice.one("200").raw == call.ok.raw
        home.alice.within(call.caller, "ACK")
        home.bob.one("ACK")
        assert home.world.state() == 4
        # Now it is nothing but late.
        home.bob.reply(call.invite, 200)
        assert home.world.sent() == []
        assert home.world.proxy.orphans.passed == 1
        hang_up(home, call)

    @pytest.mark.parametrize(
        "change",
        [
            (b"tag=bob", b"tag=bib"),
            (b"tag=alice", b"tag=alive"),
            (b"Call-ID: c1", b"Call-ID: c2"),
            (b"1 INVITE", b"2 INVITE"),
            (b"1 INVITE", b"1 UPDATE"),
            (b" 200 ", b" 180 "),
            (b"10.0.0.1:5060;branch", b"10.0.0.9:5060;branch"),
            (b"10.0.9.1:5060", b"alice.example:5060"),
            (b"UDP 10.0.9.1:5060", b"SCTP 10.0.9.1:5060"),
            (b"Via: SIP/2.0/UDP 10.0.9.1", b"X-Via: SIP/2.0/UDP 10.0.9.1"),
            (b"Via: SIP/2.0/UDP 10.0.9.1", b"Via: SIP 10.0.9.1"),
        ],
    )
    def test_other_answers_without_a_transaction_go_nowhere(
        self, past: House, make: Make, call: Call, change: tuple[bytes, bytes]
    ) -> None:
        home = after(past, make)
        data = call.answer.raw.replace(*change)
        assert data != call.answer.raw
        home.bob.send(data)
        assert home.world.sent() == []
        home.alice.within(call.caller, "ACK")
        home.bob.one("ACK")
        hang_up(home, call)

    def test_an_ack_that_never_comes_ends_the_call(
        self, past: House, make: Make, call: Call
    ) -> None:
        home = after(past, make)
        home.world.advance(DIALOGS.noack_timeout - 10 - 1)
        assert home.world.sent() == []
        home.world.advance(2)
        assert {sip.what for phone in (home.alice, home.bob) for sip in phone.inbox()} == {"BYE"}
        assert call.sent["Call-ID"] == "c1"

    def test_a_kill_waits_for_the_ack(self, past: House, make: Make, call: Call) -> None:
        home = after(past, make)
        home.world.kill()
        assert home.world.sent() == []
        home.alice.within(call.caller, "ACK")
        got = home.answer_all()
        assert [sip.what for sip in got["bob"]] == ["ACK", "BYE"]
        assert home.world.state() == 0

    @pytest.mark.parametrize("shift", [0, 3600, -3600])
    def test_a_kill_does_not_wait_longer_than_the_ack_may_take(
        self, past: House, make: Make, call: Call, shift: int
    ) -> None:
        """Not even if the clock was set back while the daemon was down."""

        def moved(record: DialogRecord) -> DialogRecord:
            leg = record.legs[0]
            timeout = record.timeout + max(shift, 0)
            return record._replace(
                timeout=timeout, legs=(leg._replace(confirmed_at=leg.confirmed_at + shift),)
            )

        short = replace(DIALOGS, noack_timeout=20)

        home = after(past, make, change=moved, dialogs=short)
        assert call.sent["Call-ID"] == "c1"
        if home.world.state() == 5:
            home.world.kill()
        home.world.advance(20.5)
        assert {sip.what for phone in (home.alice, home.bob) for sip in phone.inbox()} == {"BYE"}


def test_a_listener_is_known_by_what_it_is_bound_to() -> None:
    """Names of another proxy's listeners, or of an earlier configuration."""
    world = World(own=(("10.0.0.1", 5060), ("0.0.0.0", 5080), ("2001:db8::1", 5060)))
    exact, wild, six = world.sockets
    wild.wildcard = True
    locator: Locator = world.locator
    mine = {"10.0.0.3"}

    def is_own(host: str, port: int) -> bool:
        return port == 5080 and host in mine

    wild.is_own = is_own  # type: ignore[method-assign]
    names: dict[str, FakeSocket | None] = {
        "udp:10.0.0.1:5060": exact,
        "udp:0.0.0.0:5080": wild,
        "udp:10.0.0.3:5080": wild,
        "udp:10.0.0.4:5080": wild,
        "udp:[2001:db8::1]:5060": six,
        "udp:10.9.9.9:5060": exact,
        "tcp:10.0.0.1:5060": None,
        "udp:10.0.0.1:5099": None,
        "udp:10.0.0.1:x": None,
        "udp:": None,
        "": None,
    }
    assert {name: locator.named(name) for name in names} == names
    locator.close()


def test_a_bound_address_of_the_other_family_is_no_way(past: House, make: Make) -> None:
    past.talk()

    def six(record: DialogRecord) -> DialogRecord:
        return record._replace(caller_bind_addr="udp:[2001:db8::1]:5060")

    home = after(past, make, change=six)
    home.world.kill()
    phones: list[Phone] = [home.alice, home.bob]
    assert [phone.one("BYE").what for phone in phones] == ["BYE", "BYE"]
    assert {ALICE, BOB} == {phone.addr for phone in phones}
