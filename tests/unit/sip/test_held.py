"""The answer to a call waits until its dialog is durable; nothing overtakes it, nothing is lost."""

from __future__ import annotations

from collections import deque

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.sip.held import MAX_LATER, Done
from tests.unit.sip.harness import ALICE, House, Side, Sip

SILENCE = 33


class Disk:
    """Says when a dialog is durable: when a test tells it to."""

    def __init__(self, home: House) -> None:
        self.home = home
        self.asked: deque[tuple[int, Done]] = deque()
        self.holder = home.world.proxy.holder
        self.holder.hold = self._hold

    def _hold(self, dialog: Dialog, done: Done) -> None:
        self.asked.append((int(dialog.state), done))

    def write(self, *, durable: bool = True, last: bool = False) -> None:
        """The dialog that was asked for first (or last) is written."""
        _, done = self.asked.pop() if last else self.asked.popleft()
        done(durable)


@pytest.fixture
def disk(home: House) -> Disk:
    return Disk(home)


def end(home: House, *tags: str) -> None:
    """Kill what is left of the call."""
    for tag in tags:
        home.world.kill(tag)
    home.answer_all()
    home.world.advance(SILENCE)
    home.answer_all()


def answer(home: House) -> tuple[Sip, Sip]:
    """Alice calls, and Bob answers: what she sent, and what he got."""
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    assert [sip.what for sip in home.alice.inbox()] == ["100"]
    return sent, invite


def test_the_answer_waits_until_the_dialog_is_durable(home: House, disk: Disk) -> None:
    _, invite = answer(home)
    # The dialog knows of it before anybody asks for it to be written.
    assert [state for state, _ in disk.asked] == [5]
    assert disk.holder.waiting == 1
    home.bob.reply(invite, 200)
    home.bob.reply(invite, 200)
    assert len(disk.asked) == 1
    assert home.world.sent() == []
    disk.write()
    ok = home.alice.one("200")
    assert (disk.holder.held, disk.holder.unsynced, disk.holder.waiting) == (1, 0, 0)
    # What comes again now goes to her, as ever.
    home.bob.reply(invite, 200)
    assert home.alice.one("200").raw == ok.raw
    side = home.alice.caller_side(ok)
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    assert home.world.state() == 4
    end(home, "bob")


def test_an_answer_that_has_waited_long_enough_goes_all_the_same(home: House, disk: Disk) -> None:
    answer(home)
    disk.write(durable=False)
    home.alice.one("200")
    assert disk.holder.unsynced == 1
    end(home, "bob")


def test_who_says_it_twice_says_it_once(home: House, disk: Disk) -> None:
    answer(home)
    _, done = disk.asked.popleft()
    done(True)
    done(False)
    home.alice.one("200")
    assert (disk.holder.unsynced, disk.holder.waiting) == (0, 0)
    end(home, "bob")


def test_what_is_durable_at_once_waits_for_nothing(home: House) -> None:
    home.world.proxy.holder.hold = lambda _, done: done(True)
    home.talk()
    assert home.world.proxy.holder.waiting == 0
    end(home, "bob")


def test_an_answer_does_not_wait_for_ever_for_who_says_nothing(home: House, disk: Disk) -> None:
    answer(home)
    home.world.advance(31)
    assert home.world.sent() == []
    home.world.advance(2)
    home.alice.one("200")
    disk.write()
    assert home.alice.inbox() == []
    assert disk.holder.unsynced == 1
    end(home, "bob")


def test_timer_c_is_over_once_the_answer_is_there(home: House, disk: Disk) -> None:
    home.alice.invite("2")
    invites = [phone.one("INVITE") for phone in (home.bob, home.carol, home.dave)]
    for phone, invite in zip((home.bob, home.carol, home.dave), invites, strict=True):
        phone.reply(invite, 180)
    home.world.advance(home.world.timer_c - 5)
    home.bob.reply(invites[0], 200)
    home.carol.one("CANCEL")
    home.carol.reply(invites[1], 487)
    home.dave.one("CANCEL")
    home.alice.inbox()
    home.carol.inbox()
    home.world.advance(20)
    # Dave was cancelled and says nothing; his branch is given up, and the call is Bob's.
    home.world.take()
    disk.write()
    assert home.alice.one("200").tag("To") == "bob"
    assert home.world.sent() == []
    end(home, "bob")


def test_a_cancel_comes_too_late_for_an_answer_that_waits(home: House, disk: Disk) -> None:
    sent, _ = answer(home)
    home.alice.cancel(sent)
    assert home.world.sent() == [("200", ALICE)]
    disk.write()
    ok = home.alice.one("200")
    assert ok["CSeq"] == "1 INVITE"
    assert home.world.sent() == []
    end(home, "bob")


def test_another_phone_that_refuses_everywhere_comes_too_late(home: House, disk: Disk) -> None:
    home.alice.invite("2")
    invites = {phone.name: phone.one("INVITE") for phone in (home.bob, home.carol, home.dave)}
    for phone in (home.bob, home.carol, home.dave):
        phone.reply(invites[phone.name], 180)
    home.bob.reply(invites["bob"], 200)
    for phone in (home.carol, home.dave):
        phone.one("CANCEL")
    # What others still say goes nowhere: the call is answered.
    home.carol.reply(invites["carol"], 183)
    home.carol.reply(invites["carol"], 603)
    home.dave.reply(invites["dave"], 487)
    got = [sip.what for sip in home.alice.inbox()]
    assert got == ["100", "180", "180", "180"]
    disk.write()
    assert home.alice.one("200").tag("To") == "bob"
    assert [leg.to_tag for leg in home.world.view().legs] == ["bob"]
    home.carol.inbox()
    home.dave.inbox()
    end(home, "bob")


@pytest.mark.parametrize("last_first", [False, True])
def test_each_answer_of_a_fork_waits_and_they_keep_their_order(
    home: House, disk: Disk, *, last_first: bool
) -> None:
    home.alice.invite("2")
    invites = [phone.one("INVITE") for phone in (home.bob, home.carol, home.dave)]
    home.bob.reply(invites[0], 200)
    home.carol.reply(invites[1], 200)
    home.dave.reply(invites[2], 487)
    home.alice.inbox()
    assert len(disk.asked) == 2
    disk.write(last=last_first)
    got = [sip.tag("To") for sip in home.alice.inbox()]
    assert got == ([] if last_first else ["bob"])
    disk.write()
    got += [sip.tag("To") for sip in home.alice.inbox()]
    assert got == ["bob", "carol"]
    # One that is forwarded already comes again without delay, though another one waits.
    home.carol.reply(invites[1], 200)
    assert home.alice.one("200").tag("To") == "carol"
    home.world.take()
    end(home, "bob")


def test_what_the_callee_says_follows_its_answer(home: House, disk: Disk) -> None:
    _, invite = answer(home)
    side = home.bob.callee_side(invite)
    home.bob.within(side, "INFO")
    home.bob.within(side, "BYE")
    home.alice.world.advance(0.1)
    assert home.world.sent() == []
    assert home.world.state() == 5
    disk.write()
    assert [sip.what for sip in home.alice.inbox()] == ["200", "INFO", "BYE"]
    assert home.world.state() == 6
    home.world.advance(SILENCE)
    home.world.take()


def test_requests_that_come_again_meanwhile_are_one(home: House, disk: Disk) -> None:
    _, invite = answer(home)
    side = home.bob.callee_side(invite)
    info = home.bob.within(side, "INFO")
    home.bob.send(info.raw)
    disk.write()
    assert [sip.what for sip in home.alice.inbox()] == ["200", "INFO"]
    end(home, "bob")


def test_what_cannot_be_read_is_refused_at_once(home: House, disk: Disk) -> None:
    _, invite = answer(home)
    side = home.bob.callee_side(invite)
    home.bob.within(side, "INFO", uri="sip:[::1", routes=["<sip:10.0.0.1;lr>"])
    home.bob.one("400")
    disk.write()
    home.alice.one("200")
    end(home, "bob")


def test_what_waits_behind_an_answer_has_a_limit(home: House, disk: Disk) -> None:
    _, invite = answer(home)
    side = home.bob.callee_side(invite)
    for _ in range(MAX_LATER + 3):
        home.bob.within(side, "INFO")
    assert [sip.what for sip in home.alice.inbox()] == ["INFO"] * 3
    disk.write()
    assert [sip.what for sip in home.alice.inbox()] == ["200", *["INFO"] * MAX_LATER]
    end(home, "bob")


def test_other_calls_do_not_wait(home: House, disk: Disk) -> None:
    home.world.proxy.holder.hold = None
    other = home.talk()
    home.world.proxy.holder.hold = disk._hold
    home.alice.invite("1", callid="c2")
    home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.inbox()
    home.bob.within(other.callee, "INFO")
    home.alice.reply(home.alice.one("INFO"), 200)
    home.bob.one("200")
    disk.write()
    home.alice.one("200")
    home.world.kill("bob", callid="c2")
    end(home, "bob")


def test_a_reinvite_waits_for_nothing(home: House, disk: Disk) -> None:
    _, invite = answer(home)
    disk.write()
    side = home.alice.caller_side(home.alice.one("200"))
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    home.alice.within(side, "INVITE")
    home.bob.reply(home.bob.one("INVITE"), 200)
    home.alice.last("200")
    assert not disk.asked
    assert invite["Call-ID"] == "c1"
    home.alice.within(side, "ACK")
    home.bob.one("ACK")
    end(home, "bob")


def test_a_call_that_is_killed_while_its_answer_waits(home: House, disk: Disk) -> None:
    """The caller gets the answer first: a BYE before it would be for a call that she has not."""
    answer(home)
    number = home.world.kill()
    assert home.world.sent() == []
    disk.write(durable=False)
    side: Side = home.alice.caller_side(home.alice.one("200"))
    home.alice.within(side, "ACK")
    got = home.answer_all()
    assert [sip.what for sip in got["bob"]] == ["ACK", "BYE"]
    assert [sip.what for sip in got["alice"]] == ["BYE"]
    assert set(home.world.outcomes(number).values()) == {"BYE 200"}
    assert home.world.state() == 0


def test_an_answer_that_crosses_the_kill_of_a_ringing_call_is_not_held(
    home: House, disk: Disk
) -> None:
    sent, invite = home.ring()
    home.world.kill_early()
    busy = home.alice.one("488")
    home.alice.ack_failure(sent, busy)
    home.bob.one("CANCEL")
    home.bob.reply(invite, 200)
    assert not disk.asked
    got = home.bob.inbox()
    assert [sip.what for sip in got] == ["ACK", "BYE"]
    home.bob.reply(got[-1], 200)
    assert home.alice.inbox() == []


def test_an_answer_without_a_tag_makes_no_dialog_and_waits_for_nothing(
    home: House, disk: Disk
) -> None:
    home.alice.invite("1")
    home.bob.reply(home.bob.one("INVITE"), 200, tag="")
    assert [sip.what for sip in home.alice.inbox()] == ["100", "200"]
    assert not disk.asked


def test_nobody_is_asked_where_nothing_is_stored(home: House) -> None:
    call = home.talk()
    assert home.world.proxy.holder.held == 0
    assert home.world.table.find(call.sent["Call-ID"])
    end(home, "bob")
