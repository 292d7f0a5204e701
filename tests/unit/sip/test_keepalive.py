"""OPTIONS within calls: a phone that has gone is found, and one that is there is left alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from dlgmgmt.sip import keepalive
from dlgmgmt.sip.keepalive import CALLEE, CALLER, LOOK, Keepalive
from tests.unit.sip.conftest import Make
from tests.unit.sip.harness import BOB, Call, House, Phone, World, settings


@dataclass(frozen=True)
class Ka:
    ka_timer: int = 10
    ka_interval: int = 30
    ka_failed_limit: int = 1
    ka_sides: str = "both"
    dlg_extra_hdrs: str = ""


def guard(world: World, **changes: int | str) -> Keepalive:
    return Keepalive(world.proxy, world.table, world.terminator, Ka(**changes))  # type: ignore[arg-type]


def live(home: House, guard: Keepalive, seconds: float, *alive: Phone) -> dict[str, list[str]]:
    """Let time pass; the phones ``alive`` answer all. What each phone got, by name."""
    got: dict[str, list[str]] = {phone.name: [] for phone in home.phones}
    for _ in range(round(seconds / LOOK)):
        home.world.advance(LOOK)
        guard.look()
        for phone in home.phones:
            for sip in phone.inbox():
                got[phone.name].append(sip.what)
                if sip.method and phone in alive:
                    phone.reply(sip, 200)
    return {name: what for name, what in got.items() if what}


def hang_up(home: House, call: Call) -> None:
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.last("BYE"), 200)
    home.alice.last("200")
    assert home.world.state() == 0


def test_phones_that_answer_are_asked_again_and_again(home: House) -> None:
    call = home.talk()
    ka = guard(home.world)
    assert live(home, ka, 29, home.alice, home.bob) == {}
    got = live(home, ka, 61, home.alice, home.bob)
    assert got == {"alice": ["OPTIONS"] * 2, "bob": ["OPTIONS"] * 2}
    assert home.world.state() == 4
    assert (ka.sent, ka.failed, ka.ended) == (4, 0, 0)
    hang_up(home, call)


@pytest.mark.parametrize("gone", ["alice", "bob"])
def test_a_silent_phone_ends_the_call(home: House, gone: str) -> None:
    home.talk()
    other = home.bob if gone == "alice" else home.alice
    ka = guard(home.world)
    got = live(home, ka, 75, other)
    assert got[other.name][-1] == "BYE"
    assert got[gone][0] == "OPTIONS"
    assert "BYE" in got[gone]
    assert home.world.state() == 6
    (order,) = home.world.table.terminations()
    assert order.reason == "keepalive_failed"
    assert (ka.failed, ka.ended) == (1, 1)
    live(home, ka, 40, other)
    assert home.world.state() == 0


@pytest.mark.parametrize("status", [408, 481])
def test_a_phone_that_does_not_know_the_call_ends_it(home: House, status: int) -> None:
    home.talk()
    ka = guard(home.world, ka_sides="callee")
    assert live(home, ka, 29) == {}
    home.world.advance(11)
    ka.look()
    options = home.bob.last("OPTIONS")
    assert options["Accept"] == "application/sdp"
    home.bob.reply(options, status)
    bye = home.bob.one("BYE")
    assert bye["Reason"] == 'SIP;cause=200;text="keepalive_failed"'
    assert bye["CSeq"] == "3 BYE"
    home.bob.reply(bye, 200)
    home.alice.reply(home.alice.one("BYE"), 200)
    assert home.world.state() == 0


@pytest.mark.parametrize("status", [200, 405, 486, 500, 503])
def test_any_other_answer_is_a_sign_of_life(home: House, status: int) -> None:
    call = home.talk()
    ka = guard(home.world, ka_sides="callee")
    home.world.advance(40)
    ka.look()
    home.bob.reply(home.bob.last("OPTIONS"), status)
    assert home.world.state() == 4
    assert home.world.sent() == []
    hang_up(home, call)


def test_failures_must_follow_one_another(home: House) -> None:
    home.talk()
    ka = guard(home.world, ka_sides="callee", ka_failed_limit=2)
    for status in (408, 200, 408, 200):
        home.world.advance(40)
        ka.look()
        home.bob.reply(home.bob.last("OPTIONS"), status)
        assert home.world.state() == 4
    assert ka.failed == 2
    for status in (481, 408):
        home.world.advance(40)
        ka.look()
        home.bob.reply(home.bob.last("OPTIONS"), status)
    assert home.world.state() == 6
    home.answer_all()
    assert home.world.state() == 0


def test_one_at_a_time_to_each_side(home: House) -> None:
    """Bob's OPTIONS takes 32 s to time out: until then he gets no other."""
    home.talk()
    ka = guard(home.world, ka_timer=1, ka_interval=5, ka_sides="callee", ka_failed_limit=9)
    live(home, ka, 30)
    assert ka.sent == 1
    live(home, ka, 10)
    assert ka.sent == 2
    assert home.world.state() == 4
    home.world.kill()
    home.answer_all()


@pytest.mark.parametrize(
    ("sides", "marks", "asked"),
    [
        ("none", 0, set()),
        ("none", CALLER, {"alice"}),
        ("none", CALLEE, {"bob"}),
        ("none", CALLER | CALLEE, {"alice", "bob"}),
        ("caller", 0, {"alice"}),
        ("callee", CALLER, {"alice", "bob"}),
    ],
)
def test_who_is_asked(home: House, sides: str, marks: int, asked: set[str]) -> None:
    call = home.talk()
    (dialog,) = home.world.table.entry_of("c1").by_callid["c1"]
    dialog.keepalive = marks
    ka = guard(home.world, ka_sides=sides)
    assert set(live(home, ka, 45, home.alice, home.bob)) == asked
    hang_up(home, call)


def test_nobody_is_asked_before_the_ack_or_while_it_rings(home: House) -> None:
    _, invite = home.ring()
    ka = guard(home.world, ka_timer=1, ka_interval=1)
    assert live(home, ka, 5) == {}
    home.bob.reply(invite, 200)
    home.alice.last("200")
    assert live(home, ka, 5) == {}
    home.world.kill()
    home.world.advance(40)
    home.answer_all()
    home.world.take()


def test_timer_zero_is_off(home: House) -> None:
    call = home.talk()
    ka = guard(home.world, ka_timer=0, ka_interval=1)
    assert live(home, ka, 100) == {}
    hang_up(home, call)


def test_parameters_may_change_at_run_time(home: House) -> None:
    call = home.talk()
    ka = guard(home.world, ka_timer=0)
    live(home, ka, 60)
    ka.configure(Ka(ka_timer=1, ka_sides="caller"))
    assert live(home, ka, 2, home.alice) == {"alice": ["OPTIONS"]}
    hang_up(home, call)


def many(home: House, count: int) -> list[str]:
    """Alice and Bob have so many calls."""
    names = [f"many-{i}" for i in range(count)]
    for callid in names:
        home.alice.invite("1", callid=callid)
        home.bob.reply(home.bob.last("INVITE"), 200)
        side = home.alice.caller_side(home.alice.last("200"))
        home.alice.within(side, "ACK")
    home.world.take()
    return names


def end_all(home: House, names: list[str]) -> None:
    for callid in names:
        home.world.kill(callid=callid)
    home.answer_all()


def test_so_many_in_a_second_and_everybody_gets_a_turn(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keepalive, "MAX_PER_SECOND", 10)
    names = many(home, 40)
    ka = guard(home.world, ka_timer=1, ka_interval=2, ka_sides="callee")
    per_second = []
    asked: list[str] = []
    for _ in range(100):
        home.world.advance(LOOK)
        ka.look()
        new = home.bob.inbox()
        per_second.append(len(new))
        asked += [sip["Call-ID"] for sip in new]
        for sip in new:
            home.bob.reply(sip, 200)
    assert max(sum(per_second[i : i + 10]) for i in range(90)) <= 12
    assert ka.deferred > 0
    # A hundred in ten seconds: nobody is left out.
    assert {asked.count(name) for name in names} <= {2, 3}
    end_all(home, names)


def test_a_full_transaction_table_defers(make: Make) -> None:
    home = make(sip=settings(max_transactions=3))
    call = home.talk()
    ka = guard(home.world, ka_timer=1, ka_interval=2)
    home.world.advance(40)
    home.world.jump(40)
    for i in range(3):
        home.alice.invite("", uri="sip:10.0.0.1", method="OPTIONS", callid=f"o{i}")
    home.world.take()
    ka.look()
    assert (ka.sent, ka.deferred) == (0, 1)
    home.world.advance(40)
    assert live(home, ka, 1, home.alice, home.bob) == {"alice": ["OPTIONS"], "bob": ["OPTIONS"]}
    hang_up(home, call)


def test_one_look_visits_a_bounded_number(home: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepalive, "MAX_VISITS", 5)
    names = many(home, 20)
    ka = guard(home.world, ka_timer=1, ka_interval=2, ka_sides="callee")
    home.world.advance(10)
    for sent in (5, 10, 15, 20, 20):
        ka.look()
        assert ka.sent == sent
    home.bob.inbox()
    end_all(home, names)


def test_a_call_that_ends_meanwhile_is_not_ended_again(home: House) -> None:
    call = home.talk()
    ka = guard(home.world, ka_sides="callee")
    home.world.advance(40)
    ka.look()
    options = home.bob.last("OPTIONS")
    hang_up(home, call)
    home.bob.reply(options, 481)
    assert (ka.failed, ka.ended) == (1, 0)
    assert home.world.sent() == []


def test_what_cannot_be_sent_says_nothing_of_the_phone(home: House) -> None:
    call = home.talk()
    ka = guard(home.world, ka_sides="callee")
    home.world.sockets[0].broken.add(BOB)
    home.world.advance(40)
    ka.look()
    assert (ka.sent, ka.failed) == (1, 0)
    home.world.sockets[0].broken.clear()
    assert home.world.state() == 4
    hang_up(home, call)


def test_the_call_goes_on_with_the_next_numbers(home: House) -> None:
    call = home.talk()
    ka = guard(home.world)
    live(home, ka, 45, home.alice, home.bob)
    home.alice.within(call.caller, "INFO")
    info = home.bob.one("INFO")
    assert info["CSeq"] == "3 INFO"
    home.bob.reply(info, 200)
    assert home.alice.one("200")["CSeq"] == "2 INFO"
    assert home.world.sent() == []
    hang_up(home, call)


def test_every_answer_of_a_fork_is_asked_and_so_is_the_caller_for_each(home: House) -> None:
    home.alice.invite("2")
    for phone, invite in [(phone, phone.one("INVITE")) for phone in (home.bob, home.carol)]:
        phone.reply(invite, 200)
        home.alice.within(home.alice.caller_side(home.alice.last("200")), "ACK")
    home.world.take()
    ka = guard(home.world)
    home.world.advance(40)
    home.world.take()
    ka.look()
    assert [sip.tag("From") for sip in home.alice.inbox()] == ["bob", "carol"]
    carol = home.carol.one("OPTIONS")
    assert [sip.tag("To") for sip in (home.bob.one("OPTIONS"), carol)] == ["bob", "carol"]
    home.carol.reply(carol, 481)
    assert [sip.what for sip in home.alice.inbox()] == ["BYE", "BYE"]
    assert home.world.state() == 6


def test_a_phone_that_left_a_fork_meanwhile_does_not_end_the_other_call(home: House) -> None:
    home.alice.invite("2")
    sides = {}
    for phone, invite in [(phone, phone.one("INVITE")) for phone in (home.bob, home.carol)]:
        phone.reply(invite, 200)
        sides[phone.name] = home.alice.caller_side(home.alice.last("200"))
        home.alice.within(sides[phone.name], "ACK")
    home.world.take()
    ka = guard(home.world, ka_sides="callee")
    home.world.advance(40)
    home.world.take()
    ka.look()
    options = home.bob.one("OPTIONS")
    home.carol.reply(home.carol.one("OPTIONS"), 200)
    home.alice.within(sides["bob"], "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    home.bob.reply(options, 481)
    assert home.world.sent() == []
    assert home.world.state() == 4
    assert (ka.failed, ka.ended) == (0, 0)
    home.alice.within(sides["carol"], "BYE")
