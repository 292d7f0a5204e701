"""A call that is over is freed at once: the collector of cycles comes rarely."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.orders import Termination
from dlgmgmt.sip.context import ResponseContext
from dlgmgmt.sip.observe import InviteObserver
from tests.unit.sip.harness import House

_OVER = (Dialog, Termination, ResponseContext, InviteObserver)


@pytest.fixture
def without_gc() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def over() -> list[object]:
    """What calls consist of, and still exists."""
    return [each for each in gc.get_objects() if isinstance(each, _OVER)]


def killed(home: House) -> None:
    home.talk()
    home.world.kill()
    home.answer_all()


def killed_early(home: House) -> None:
    sent, invite = home.ring()
    home.world.kill()
    home.alice.ack_failure(sent, home.alice.one("488"))
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)


def hung_up(home: House) -> None:
    call = home.talk()
    home.alice.within(call.caller, "BYE")
    home.answer_all()


def cancelled(home: House) -> None:
    sent, invite = home.ring()
    home.alice.cancel(sent)
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    home.alice.ack_failure(sent, home.alice.last("487"))


def refused(home: House) -> None:
    sent, invite = home.ring()
    home.bob.reply(invite, 486)
    home.alice.ack_failure(sent, home.alice.last("486"))


def timed_out(home: House) -> None:
    home.talk()
    home.world.jump(50_000)
    home.answer_all()


@pytest.mark.usefixtures("without_gc")
@pytest.mark.parametrize("way", [killed, killed_early, hung_up, cancelled, refused, timed_out])
def test_nothing_is_left(home: House, way: Callable[[House], None]) -> None:
    before = len(over())
    way(home)
    home.world.advance(200)
    assert len(home.world.table) == 0
    assert len(over()) == before
