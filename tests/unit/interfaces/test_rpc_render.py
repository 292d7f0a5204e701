from __future__ import annotations

import json
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.commands.results import DialogMatches
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView
from dlgmgmt.interfaces.rpc_items import DIALOG_MODULE_STATES
from dlgmgmt.interfaces.rpc_render import JSON, MSGPACK, render
from tests.unit.commands.harness import NOW, House


def view(house: House, callid: str = "call-1@ref") -> DialogView:
    return house.table.find(callid)[0]


def shown(*views: DialogView, now: float = NOW) -> Any:
    return json.loads(JSON.encode(render(DialogMatches(views, int(now)))))


def test_an_answered_call_has_the_keys_of_the_dialog_module_and_those_of_ims_dialog() -> None:
    house = House()
    dialog = house.call()
    assert shown(view(house), now=NOW + 60) == {
        "h_entry": dialog.entry.index,
        "h_id": dialog.h_id,
        "ref": 2,
        "call-id": "call-1@ref",
        "from_uri": "sip:alice@ims.example.com",
        "to_uri": "sip:bob@ims.example.com",
        "state": 4,
        "start_ts": int(NOW),
        "init_ts": int(NOW),
        "end_ts": 0,
        "duration": 60,
        "timeout": int(NOW) + 43200,
        "lifetime": 43200,
        "dflags": 0,
        "sflags": 0,
        "iflags": 0,
        "caller": {
            "tag": "uac-1",
            "contact": "sip:alice@127.0.0.1:5192;ob",
            "cseq": "1",
            "route_set": "",
            "socket": "udp:127.0.0.1:5170",
        },
        "callee": {
            "tag": "uas5190-1",
            "contact": "sip:uas@127.0.0.1:5190;transport=UDP",
            "cseq": "1",
            "route_set": "",
            "socket": "udp:127.0.0.1:5170",
        },
        "profiles": [],
        "variables": [],
        "ims_state": 4,
        "state_name": "confirmed",
        "did": dialog.did,
        "req_uri": "sip:bob@ims.example.com",
        "timeout_left": 43140,
        "legs": [
            {
                "to_tag": "uas5190-1",
                "to_uri": "sip:bob@ims.example.com",
                "state": "confirmed",
                "acked": True,
                "branch": 0,
                "caller_cseq": 1,
                "callee_cseq": 1,
                "contact": "sip:uas@127.0.0.1:5190;transport=UDP",
                "route_set": "",
                "socket": "udp:127.0.0.1:5170",
            }
        ],
        "history": [],
    }


def test_a_call_without_legs_has_a_callee_of_nulls() -> None:
    house = House()
    house.invite()
    item = shown(view(house))
    assert set(item["callee"]) == {"tag", "contact", "cseq", "route_set", "socket"}
    assert set(item["callee"].values()) == {None}
    assert (item["duration"], item["timeout_left"], item["legs"]) == (0, 0, [])


def test_the_callee_is_the_phone_that_answered() -> None:
    house = House()
    dialog = house.invite()
    house.reply(dialog, 180, "first", 0, 5190)
    house.reply(dialog, 180, "second", 1, 5191)
    assert shown(view(house))["callee"]["tag"] == "first"
    house.reply(dialog, 200, "second", 1, 5191)
    item = shown(view(house))
    assert item["callee"]["tag"] == "second"
    ended = {"branch": 0, "to_tag": "first", "code": 0, "cause": "cancelled"}
    assert item["history"] == [ended]


def test_every_state_has_a_number_of_the_dialog_module() -> None:
    assert DIALOG_MODULE_STATES == {1: 1, 2: 2, 5: 3, 4: 4, 7: 4, 6: 5}
    assert set(DIALOG_MODULE_STATES) == {int(state) for state in State}


def test_none_one_and_several() -> None:
    house = House()
    house.call("a@x", "one")
    house.call("a@x", "two")
    first, second = house.table.find("a@x")
    assert shown() == {}
    assert shown(first)["caller"]["tag"] == "one"
    assert [item["caller"]["tag"] for item in shown(first, second)] == ["one", "two"]


def test_profiles_variables_and_ended_calls() -> None:
    house = House()
    house.call()
    changed = view(house)._replace(
        profiles=(("inbound", None), ("caller", "alice")),
        variables=(("src", "192.0.2.1"),),
        end_ts=int(NOW) + 5,
    )
    item = shown(changed, now=NOW + 60)
    assert item["profiles"] == ["inbound", {"caller": "alice"}]
    assert item["variables"] == [{"src": "192.0.2.1"}]
    assert item["duration"] == 5


def test_hostile_text_becomes_valid_json_and_msgpack() -> None:
    house = House()
    raw = b'\xff\xc3(\xed\xa0\x80"\\\x00\x1b[2J\r\n'.decode("utf-8", "surrogateescape")
    dialog = house.invite("c" + raw, raw, contact=raw, from_uri=raw)
    house.reply(dialog, 180, raw)
    changed = house.table.find("c" + raw)[0]._replace(
        profiles=((raw, raw),), variables=((raw, raw),)
    )
    rendered = render(DialogMatches((changed,), int(NOW)))
    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in raw)
    decoded = (
        json.loads(JSON.encode(rendered).decode("utf-8")),
        msgpack.unpackb(MSGPACK.encode(rendered)),
    )
    for item in decoded:
        assert item["call-id"] == "c" + expected
        assert item["caller"]["tag"] == expected
        assert item["callee"]["tag"] == expected
        assert item["legs"][0]["to_tag"] == expected
        assert item["profiles"] == [{expected: expected}]
    assert not any(byte < 0x20 for byte in JSON.encode(rendered))


@pytest.mark.parametrize("state", [1, 2, 4, 5, 6, 7])
def test_items_fit_the_published_schema(state: int) -> None:
    house = House()
    dialog = house.invite()
    if state != 1:
        house.reply(dialog, 180)
    item = shown(
        view(house)._replace(
            state=state, history=view(house).history, profiles=(("a", None), ("b", "c"))
        )
    )
    document = openapi_document(build_registry())
    schema = {**document, "$ref": "#/components/schemas/Dialog"}
    assert list(Draft202012Validator(schema).iter_errors(item)) == []
    published = document["components"]["schemas"]["Dialog"]["properties"]
    assert list(item) == list(published)
