from __future__ import annotations

import json
from typing import Any

import pytest

from dlgmgmt.dialog.events import EventType
from dlgmgmt.interfaces.listing import Fragment, json_items, render_early
from dlgmgmt.interfaces.rpc_items import dialog_item
from dlgmgmt.interfaces.rpc_render import JSON
from tests.unit.commands.harness import NOW, House


def listed(house: House, now: float) -> Any:
    snapshots = [s for batch in house.table.iter_snapshots() for s in batch]
    return json.loads(b"[" + json_items(snapshots, int(now)) + b"]")


def plain(house: House, now: float) -> Any:
    """The same dialogs, each rendered for itself."""
    views = [view for batch in house.table.iter_views() for view in batch]
    return [json.loads(JSON.encode(dialog_item(view, int(now)))) for view in views]


@pytest.mark.parametrize("later", [0, 1, 59.5, 43_199, 43_200, 90_000, -10])
def test_kept_text_shows_the_time_of_the_listing(later: float) -> None:
    house = House()
    house.call("answered@x")
    house.invite("unanswered@x")
    house.reply(house.invite("ringing@x"), 180)
    house.reply(house.invite("fork@x"), 200)
    listed(house, NOW)
    assert listed(house, NOW + later) == plain(house, NOW + later)


def test_a_change_is_shown_by_the_next_listing() -> None:
    house = House()
    dialog = house.call()
    before = listed(house, NOW)
    house.tracker.request(None, dialog.callid, dialog.from_tag, "uas5190-1", "INFO", 7)
    (after,) = listed(house, NOW)
    assert before[0]["caller"]["cseq"] == "1"
    assert after["caller"]["cseq"] == "7"
    assert [after] == plain(house, NOW)


def test_an_ended_call_keeps_its_duration() -> None:
    house = House()
    dialog = house.call()
    house.wall = NOW + 30
    house.terminator.by_id(dialog.entry.index, dialog.h_id, reason="x")
    (shown,) = listed(house, NOW + 500)
    assert (shown["duration"], shown["timeout_left"], shown["ims_state"]) == (30, 0, 6)


def test_text_that_looks_like_the_numbers_moves_nothing() -> None:
    house = House()
    evil = 'sip:"duration":0,"timeout_left":0@x'
    house.call('"duration":0@x', '"timeout_left":0', from_uri=evil, to_uri=evil, contact=evil)
    listed(house, NOW)
    assert listed(house, NOW + 5) == plain(house, NOW + 5)
    assert listed(house, NOW + 5)[0]["duration"] == 5


def test_bytes_that_are_no_text_are_shown_as_replacement_characters() -> None:
    house = House()
    house.call("a@x", from_uri="sip:\udcff@x")
    assert listed(house, NOW)[0]["from_uri"] == "sip:\ufffd@x"


def test_a_confirmed_dialog_is_rendered_before_it_is_listed() -> None:
    house = House()
    house.table.add_listener(render_early(house.table.snapshot), EventType.CONFIRMED)
    house.call()
    ((snapshot,),) = house.table.iter_snapshots()
    assert isinstance(snapshot.rendered, Fragment)
    assert snapshot.view is None
    assert listed(house, NOW + 3) == plain(house, NOW + 3)


def test_a_variable_named_as_the_seconds_that_are_left_moves_nothing() -> None:
    house = House()
    dialog = house.call()
    for name in ("timeout_left", "duration"):
        house.table.set_var(dialog, name, "gold")
    assert listed(house, NOW + 60) == plain(house, NOW + 60)
