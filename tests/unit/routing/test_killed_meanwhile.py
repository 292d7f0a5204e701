"""A call that is ended while the script still decides: who is told, and what is recorded."""

from __future__ import annotations

from typing import Any

import pytest

from dlgmgmt.api import DialogApi
from dlgmgmt.dialog.callbacks import Callbacks
from tests.unit.routing.scripted import Scripted, track
from tests.unit.sip.harness import Sip


def undecided(home: Scripted) -> Sip:
    """Alice's INVITE; its script has made the dialog, and is not done."""
    home.use(request_route=track)
    home.runner.late = []
    sent = home.alice.invite("1")
    home.alice.one("100")
    assert home.world.state() == 1
    return sent


def done(home: Scripted) -> None:
    late, home.runner.late = home.runner.late or [], None
    for decide in late:
        decide()


def test_the_caller_is_told_at_once_and_it_is_recorded(home: Scripted) -> None:
    sent = undecided(home)
    number = home.world.kill_early()
    refused = home.alice.one("488")
    assert refused.start == "SIP/2.0 488 mi_terminated"
    assert home.world.outcomes(number) == {("caller", ""): "488 sent"}
    home.alice.ack_failure(sent, refused)
    assert home.world.outcomes(number) == {("caller", ""): "488 acknowledged"}
    done(home)
    assert home.world.sent() == []
    assert home.world.state() == 0


def test_the_order_is_carried_out_after_the_decision(home: Scripted) -> None:
    """The command's thread has ended the call, and the signalling thread hears of it later."""
    undecided(home)
    home.world.defer()
    number = home.world.kill_early()
    done(home)
    assert home.world.sent() == []
    home.world.execute()
    assert home.alice.one("488").start == "SIP/2.0 488 mi_terminated"
    assert home.world.outcomes(number) == {("caller", ""): "488 sent"}
    assert home.world.state() == 0


@pytest.mark.parametrize("late", [False, True])
def test_a_callback_ends_the_call_as_soon_as_it_is_made(home: Scripted, *, late: bool) -> None:
    world = home.world
    api = DialogApi(world.table, world.terminator, Callbacks(world.table))
    api.register_dlgcb(
        None,
        api.DLGCB_CREATED,
        lambda dialog, *_: api.lookup_terminate_dlg(dialog.h_entry, dialog.h_id, "X-Why: no\r\n"),
    )
    home.use(request_route=track)
    home.runner.late = [] if late else None
    home.alice.invite("1")
    assert home.alice.last("488")["X-Why"] == "no"
    done(home)
    assert world.sent() == []
    assert world.state() == 0


def test_a_caller_who_has_given_up_is_not_told_again(home: Scripted) -> None:
    sent = undecided(home)
    home.alice.cancel(sent)
    assert sorted(sip.what for sip in home.alice.inbox()) == ["200", "487"]
    number = home.world.kill_early()
    assert home.world.outcomes(number) == {("caller", ""): "488 unsendable"}
    assert home.alice.inbox() == []
    done(home)
    assert home.world.state() == 0


@pytest.mark.parametrize(
    ("added", "target"),
    [((), "sip:bob@10.0.1.1:5060"), (("Contact: <sip:bob@10.0.1.3>",), "sip:bob@10.0.1.3")],
)
def test_the_callee_is_reached_though_a_script_takes_its_contact_out(
    home: Scripted, added: tuple[str, ...], target: str
) -> None:
    def onreply_route(msg: Any, dlg: Any) -> None:
        del dlg
        msg.remove_hf("Contact")
        for line in added:
            msg.append_hf(line)

    home.use(request_route=track, onreply_route=onreply_route)
    home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.bob.reply(invite, 200)
    ok = home.alice.last("200")
    assert ok["Contact"] == "".join(added).removeprefix("Contact: ")
    phone = home.dave if added else home.bob
    view = home.world.view()
    assert [leg.callee_contact for leg in view.legs] == [target]
    home.world.kill()
    home.world.advance(33)
    bye = phone.last("BYE")
    assert bye.uri == target
