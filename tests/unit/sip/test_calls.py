"""What other threads may do to calls: orders are checked at once and carried out later."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dlgmgmt.sip import calls as module
from dlgmgmt.sip.calls import Calls
from tests.unit.sip.harness import DIALOGS, House
from tests.unit.sip.test_refer import hang_up, the_dialog

BOB_URI = "sip:bob@10.0.1.1"
CAROL_URI = "sip:carol@10.0.1.2"
BAD = [
    "",
    "bob",
    "tel:+4930123",
    "sip:",
    "sip:bob@",
    "sip:a b@10.0.1.1",
    "sip:bob@10.0.1.1\r\nX-Evil: yes",
    "<sip:bob@10.0.1.1>",
    'sip:bob"@10.0.1.1',
    "sip:bob@10.0.1.1:99999",
    "sip:b\xf6b@10.0.1.1",
    "sip:bob@10.0.1.1;x=" + "y" * 500,
]


def entry(home: House) -> Calls:
    world = home.world
    return Calls(world.proxy, world.table, world.terminator, world.submit, DIALOGS)


@pytest.mark.parametrize("address", BAD)
def test_bad_addresses_are_refused_with_their_reason(home: House, address: str) -> None:
    call = home.talk()
    calls = entry(home)
    with pytest.raises(ValueError, match=r"^address: "):
        calls.refer(the_dialog(home), "callee", address)
    with pytest.raises(ValueError, match=r"^from: "):
        calls.bridge(address, BOB_URI)
    with pytest.raises(ValueError, match=r"^to: "):
        calls.bridge(BOB_URI, address)
    if address:
        with pytest.raises(ValueError, match=r"^op: "):
            calls.bridge(BOB_URI, CAROL_URI, address)
    assert home.world.sent() == []
    assert calls.bridges.views() == []
    hang_up(home, call)


def test_refer_is_handed_to_the_signalling_thread(home: House) -> None:
    call = home.talk()
    calls = entry(home)
    home.world.defer()
    assert calls.refer(the_dialog(home), "callee", CAROL_URI)
    assert home.world.sent() == []
    home.world.execute()
    request = home.bob.one("REFER")
    assert request["Refer-To"] == f"<{CAROL_URI}>"
    assert request["Referred-By"] == f"<{DIALOGS.bridge_controller}>"
    home.bob.reply(request, 603)
    hang_up(home, call)


def test_refer_of_a_call_that_ends_before_its_turn(home: House) -> None:
    call = home.talk()
    calls = entry(home)
    dialog = the_dialog(home)
    home.world.defer()
    assert calls.refer(dialog, "callee", CAROL_URI)
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
    home.world.execute()
    assert home.world.sent() == []
    assert not calls.refer(dialog, "callee", CAROL_URI)


def test_refer_needs_an_answered_call_a_side_and_room(
    home: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent, invite = home.ring()
    calls = entry(home)
    assert not calls.refer(the_dialog(home), "callee", CAROL_URI)
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    home.alice.ack_failure(sent, home.alice.one("486"))
    call = home.talk()
    with pytest.raises(ValueError, match="side is caller or callee, not 'all'"):
        calls.refer(the_dialog(home), "all", CAROL_URI)
    monkeypatch.setattr(module, "MAX_REFERS", 0)
    assert not calls.refer(the_dialog(home), "callee", CAROL_URI)
    hang_up(home, call)


@pytest.mark.parametrize("op", ["", ".", "0", "sip:10.0.1.1"])
def test_bridge(home: House, op: str) -> None:
    calls = entry(home)
    home.world.defer()
    assert calls.bridge(BOB_URI, CAROL_URI, op)
    assert [view.state for view in calls.bridges.views()] == ["ordered"]
    home.world.execute()
    invite = home.bob.one("INVITE")
    assert invite["From"].startswith(f"<{DIALOGS.bridge_controller}>")
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    assert [view.state for view in calls.bridges.views()] == ["failed"]


@pytest.mark.parametrize(
    ("side", "told"), [("caller", {"alice"}), ("callee", {"bob"}), ("all", {"alice", "bob"})]
)
def test_terminate_tells_whom_it_is_told_to(home: House, side: str, told: set[str]) -> None:
    home.talk()
    calls = entry(home)
    dialog = the_dialog(home)
    assert calls.terminate(dialog, side, "no credit")
    got = home.answer_all()
    assert set(got) == told
    assert {sip.what for messages in got.values() for sip in messages} == {"BYE"}
    assert all('text="no credit"' in sip["Reason"] for messages in got.values() for sip in messages)
    assert home.world.state() == 0
    assert not calls.terminate(dialog, side, "again")


def test_terminate_knows_its_sides(home: House) -> None:
    call = home.talk()
    with pytest.raises(ValueError, match="side is caller, callee or all, not 'both'"):
        entry(home).terminate(the_dialog(home), "both", "x")
    hang_up(home, call)


def test_parameters_may_change_at_run_time(home: House) -> None:
    call = home.talk()
    calls = entry(home)
    calls.configure(
        replace(
            DIALOGS,
            bridge_controller="sip:desk@b.example",
            dlg_extra_hdrs="X-New: 1\r\n",
            ka_sides="callee",
        )
    )
    calls.bridge(BOB_URI, CAROL_URI)
    invite = home.bob.one("INVITE")
    assert invite["From"].startswith("<sip:desk@b.example>;tag=")
    assert (invite.contact, invite["X-New"]) == ("sip:desk@10.0.0.1:5060", "1")
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    calls.refer(the_dialog(home), "callee", CAROL_URI)
    refer = home.bob.one("REFER")
    assert (refer["Referred-By"], refer["X-New"]) == ("<sip:desk@b.example>", "1")
    home.bob.reply(refer, 603)
    home.world.advance(60)
    home.world.take()
    for _ in range(2):
        calls.keepalive.look()
    options = home.bob.one("OPTIONS")
    assert options["X-New"] == "1"
    home.bob.reply(options, 200)
    hang_up(home, call)
