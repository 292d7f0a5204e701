"""What a failure route decides: headers, provisional replies, Route values; and who gives up."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.routing.scripted import Scripted, track
from tests.unit.sip.harness import CAROL, Sip


def try_carol(msg: Any, dlg: Any) -> None:
    del dlg
    msg.append_branch("sip:carol@10.0.1.2")
    msg.t_relay()


def busy(home: Scripted, **invite: Any) -> Sip:
    """Bob is busy; the INVITE as it was sent to him."""
    home.alice.invite("1", **invite)
    sent = home.bob.one("INVITE")
    home.bob.reply(sent, 486)
    home.bob.one("ACK")
    return sent


def test_headers_are_changed_for_the_next_targets(home: Scripted) -> None:
    def request_route(msg: Any, dlg: Any) -> None:
        msg.append_hf("X-First: $fU")
        msg.remove_hf("Organization")
        track(msg, dlg)

    def failure_route(msg: Any, dlg: Any) -> None:
        msg.append_hf("Diversion: <$fu>")
        msg.remove_hf("Subject")
        try_carol(msg, dlg)

    home.use(request_route=request_route, failure_route=failure_route)
    first = busy(home, headers=("Subject: hello", "Organization: acme"))
    assert (first["Subject"], first["Organization"], first["X-First"]) == ("hello", "", "alice")
    then = home.carol.one("INVITE")
    assert then["Diversion"] == "<sip:alice@a.example>"
    assert (then["Subject"], then["Organization"], then["X-First"]) == ("", "", "alice")
    assert then["Record-Route"] == first["Record-Route"]
    home.world.kill_early()


def test_each_failure_changes_the_request_as_it_was_relayed_first(home: Scripted) -> None:
    def failure_route(msg: Any, dlg: Any) -> None:
        del dlg
        msg.append_hf(f"X-After: {msg.status}")
        msg.append_branch("sip:carol@10.0.1.2" if msg.status == 486 else "sip:dave@10.0.1.3")
        msg.t_relay()

    def branch_route(msg: Any, dlg: Any) -> None:
        del dlg
        msg.append_hf(f"X-To: {msg.ruri}")

    home.use(request_route=track, failure_route=failure_route, branch_route=branch_route)
    busy(home)
    second = home.carol.one("INVITE")
    home.carol.reply(second, 404)
    third = home.dave.one("INVITE")
    assert (second["X-After"], second["X-To"]) == ("486", "sip:carol@10.0.1.2")
    assert [value for name, value in third.headers if name == "X-After"] == ["404"]
    assert third["X-To"] == "sip:dave@10.0.1.3"
    home.world.kill_early()


def test_a_provisional_reply_is_sent_before_the_next_target_is_called(home: Scripted) -> None:
    def failure_route(msg: Any, dlg: Any) -> None:
        msg.send_reply(181, "Is Being Forwarded")
        try_carol(msg, dlg)

    home.use(request_route=track, failure_route=failure_route)
    busy(home)
    assert home.alice.last("181").start == "SIP/2.0 181 Is Being Forwarded"
    home.carol.one("INVITE")
    home.world.kill_early()


def test_a_provisional_reply_is_sent_before_the_answer(home: Scripted) -> None:
    home.use(request_route=track, failure_route=lambda msg, _dlg: msg.send_reply(182, "Wait"))
    busy(home)
    assert [sip.what for sip in home.alice.inbox()] == ["100", "182", "486"]


@pytest.mark.parametrize("destination", [None, "sip:10.0.1.3"])
def test_the_next_target_is_reached_through_the_route_set(
    home: Scripted, destination: str | None
) -> None:
    def failure_route(msg: Any, dlg: Any) -> None:
        msg.set_destination(destination)
        msg.ruri = "sip:other@c.example"
        msg.t_relay()

    home.use(request_route=track, failure_route=failure_route)
    route = "<sip:10.0.1.2;lr>"
    home.alice.invite("1", headers=(f"Route: {route}",))
    first = home.carol.one("INVITE")
    home.carol.reply(first, 486)
    phone = home.carol if destination is None else home.dave
    then = phone.last("INVITE")
    assert then.uri == "sip:other@c.example"
    assert (first["Route"], then["Route"]) == (route, route)
    home.world.kill_early()


def test_a_caller_who_gives_up_meanwhile_is_answered_at_once(home: Scripted) -> None:
    home.use(request_route=track, failure_route=try_carol)
    sent = home.alice.invite("1")
    invite = home.bob.one("INVITE")
    home.runner.late = []
    home.bob.reply(invite, 486)
    home.bob.one("ACK")
    home.alice.one("100")
    home.alice.cancel(sent)
    assert sorted(sip.what for sip in home.alice.inbox()) == ["200", "487"]
    assert home.world.state() == 0
    assert home.world.table.counts().failed == 1
    for done in home.runner.late:
        done()
    assert [to for what, to in home.world.sent() if what == "INVITE" and to == CAROL] == []
    assert home.alice.inbox() == []
