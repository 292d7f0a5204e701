"""Callbacks for what passes on the wire: each type, with the message that it came with."""

from __future__ import annotations

import pytest

from dlgmgmt.dialog.callbacks import CallbackParams, Callbacks, DialogHandle, DlgCb
from dlgmgmt.sip.message import Message
from tests.unit.sip.harness import House

ALL = ~DlgCb.CREATED


class Heard:
    """Registers for everything in every dialog, and notes it in short."""

    def __init__(self, home: House) -> None:
        self.lines: list[str] = []
        self.callbacks = Callbacks(home.world.table)
        self.callbacks.register(None, DlgCb.CREATED, self.created)

    def created(self, dialog: DialogHandle, kind: DlgCb, params: CallbackParams) -> None:
        self.note(dialog, kind, params)
        self.callbacks.register(dialog, ALL, self.note)

    def note(self, _dialog: DialogHandle, kind: DlgCb, params: CallbackParams) -> None:
        message = params.message
        words = [
            str(kind.name),
            "" if params.direction == "none" else params.direction,
            params.method,
            str(params.code or ""),
            params.reason,
        ]
        if isinstance(message, Message):
            words.append(f"<{message.method or message.status} {message.cseq[1]}>")
        self.lines.append(" ".join(word for word in words if word))

    def take(self) -> list[str]:
        lines, self.lines = self.lines, []
        return lines


@pytest.fixture
def heard(home: House) -> Heard:
    return Heard(home)


def test_an_answered_call(home: House, heard: Heard) -> None:
    sent = home.alice.invite("1")
    assert heard.take() == ["CREATED"]
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 180)
    assert heard.take() == ["EARLY", "RESPONSE_FWDED 180 <180 INVITE>"]
    home.bob.reply(invite, 200)
    assert heard.take() == ["CONFIRMED_NA", "RESPONSE_FWDED 200 <200 INVITE>"]
    side = home.alice.caller_side(home.alice.last("200"))
    home.alice.within(side, "ACK")
    assert heard.take() == ["CONFIRMED downstream <ACK ACK>"]
    home.bob.one("ACK")

    home.alice.within(side, "INFO")
    assert heard.take() == ["REQ_WITHIN downstream INFO <INFO INFO>"]
    home.bob.reply(home.bob.one("INFO"), 405)
    assert heard.take() == ["RESPONSE_WITHIN upstream 405 <405 INFO>"]
    home.alice.one("405")

    callee = home.bob.callee_side(invite)
    home.bob.within(callee, "BYE")
    assert heard.take() == ["TERMINATED upstream BYE <BYE BYE>"]
    home.alice.reply(home.alice.one("BYE"), 200)
    assert heard.take() == ["TERMINATED_CONFIRMED downstream 200 <200 BYE>"]
    home.bob.one("200")
    assert home.world.state() == 0
    assert sent.method == "INVITE"


def test_a_refused_call(home: House, heard: Heard) -> None:
    sent, invite = home.ring()
    heard.take()
    home.bob.reply(invite, 486)
    assert heard.take() == ["RESPONSE_FWDED 486 <486 INVITE>", "FAILED 486 <486 INVITE>"]
    home.alice.ack_failure(sent, home.alice.last("486"))
    home.bob.one("ACK")


def test_a_cancelled_call(home: House, heard: Heard) -> None:
    sent, invite = home.ring()
    heard.take()
    home.alice.cancel(sent)
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    assert heard.take() == ["RESPONSE_FWDED 487 <487 INVITE>", "FAILED 487 <487 INVITE>"]
    home.alice.ack_failure(sent, home.alice.last("487"))
    home.bob.one("ACK")


def test_nobody_answers_at_all(home: House, heard: Heard) -> None:
    sent = home.alice.invite("1")
    heard.take()
    home.world.advance(33.0)
    # The daemon's own reply: there is no message of a phone.
    assert heard.take() == ["RESPONSE_FWDED 408", "FAILED 408"]
    home.alice.ack_failure(sent, home.alice.last("408"))
    home.world.take()


def test_an_operator_ends_the_call(home: House, heard: Heard) -> None:
    home.talk()
    heard.take()
    home.world.kill()
    assert heard.take() == ["TERMINATED mi_terminated"]
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.reply(home.alice.one("BYE"), 481)
    assert heard.take() == ["TERMINATED_CONFIRMED 200", "TERMINATED_CONFIRMED 481"]


def test_an_operator_ends_the_call_while_it_rings(home: House, heard: Heard) -> None:
    sent, invite = home.ring()
    heard.take()
    home.world.kill_early()
    home.alice.ack_failure(sent, home.alice.one("488"))
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    assert heard.take() == ["TERMINATED mi_terminated"]


def test_the_timeout(home: House, heard: Heard) -> None:
    home.talk()
    heard.take()
    home.world.jump(3601)
    home.answer_all()
    assert heard.take() == [
        "EXPIRED dialog_timeout",
        "TERMINATED_CONFIRMED 200",
        "TERMINATED_CONFIRMED 200",
    ]


def test_a_spiral(home: House, heard: Heard) -> None:
    sent, _ = home.ring()
    heard.take()
    # An application server sends the call back to us, for another user and on another branch.
    again = sent.raw.replace(b"INVITE sip:1@", b"INVITE sip:2@")
    home.carol.send(again.replace(sent.branch.encode(), b"z9hG4bK-again"))
    assert heard.take() == ["SPIRALED"]
    home.world.kill()
    home.world.take()
