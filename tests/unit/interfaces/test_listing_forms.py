"""Every form of listing, as JSON text and as records, and every result on every kind of door."""

from __future__ import annotations

import json
from typing import Any, get_args

import msgpack  # type: ignore[import-untyped]
import pytest

from dlgmgmt.commands.errors import CommandError, MgmtProtocol
from dlgmgmt.commands.results import Listing, Result
from dlgmgmt.dialog.callbacks import CallbackParams, DialogHandle, DlgCb
from dlgmgmt.interfaces import mi_render, rpc_render
from dlgmgmt.interfaces.listing import around, json_text, records
from dlgmgmt.interfaces.rpc_render import JSON, MSGPACK
from mi_fifo import MiReply
from mi_fifo import render as render_mi
from tests.unit.commands.harness import ME, NOW, House


@pytest.fixture
def house() -> House:
    house = House()
    calls = [house.call(f"{number}@x", f"from-{number}") for number in range(130)]
    for dialog in calls:
        house.table.profiles.insert(dialog, "inbound", None)
    house.invite("new@x", "from-new")

    def context(handle: DialogHandle, _kind: DlgCb, params: CallbackParams) -> None:
        assert params.write is not None
        params.write(f"of {handle.callid}")

    house.callbacks.register(DialogHandle(calls[-1]), DlgCb.MI_CONTEXT, context)
    return house


def ask(house: House, name: str, *values: object) -> Result:
    arguments = [(None, value) for value in values]
    return house.dispatcher.call(MgmtProtocol.RPC, name, arguments, ME)


def listing(house: House, name: str, *values: object) -> Listing:
    result = rpc_render.render(ask(house, name, *values))
    assert isinstance(result, Listing)
    return result


def text_of(house: House, name: str, *values: object) -> Any:
    text = json_text(listing(house, name, *values))
    batches = list(text.batches)
    assert all(batches)
    return json.loads(text.opening + b",".join(batches) + text.closing)


FORMS = [
    ("dlg.list",),
    ("dlg.list_ctx",),
    ("dlg.list_match", "callid", "re", "[02468]@"),
    ("dlg.list_match_ctx", "furi", "sw", "sip:"),
    ("dlg.profile_list", "inbound"),
    ("dlg.briefing",),
    ("dlg.briefing", "ftcFTISEs"),
    ("dlg2.list",),
]


@pytest.mark.parametrize("call", FORMS, ids=" ".join)
def test_text_and_records_hold_the_same(house: House, call: tuple[str, ...]) -> None:
    shown = text_of(house, *call)
    asked = listing(house, *call)
    items = [item for batch in records(asked) for item in batch]
    wrapping = around(asked)
    whole: object = items
    if wrapping is not None:
        members, name = wrapping
        whole = {**members, name: items}
    assert json.loads(JSON.encode(whole)) == shown
    assert msgpack.unpackb(MSGPACK.encode(whole)) == shown


@pytest.mark.parametrize("call", FORMS, ids=" ".join)
def test_of_an_empty_table(call: tuple[str, ...]) -> None:
    house = House()
    if call[0].startswith("dlg.list_match"):
        with pytest.raises(CommandError, match="404 Not found"):
            text_of(house, *call)
    else:
        expected = {"Size": 4096, "Dialogs": []} if call == ("dlg2.list",) else []
        assert text_of(house, *call) == expected


def test_context_is_the_last_member(house: House) -> None:
    items = text_of(house, "dlg.list_ctx")
    assert {list(item)[-1] for item in items} == {"context"}
    with_some = {item["call-id"]: item["context"] for item in items if item["context"]}
    assert with_some == {"129@x": ["of 129@x"]}
    assert [
        {key: value for key, value in item.items() if key != "context"} for item in items
    ] == text_of(house, "dlg.list")
    found: Any = json.loads(JSON.encode(rpc_render.render(ask(house, "dlg.dlg_list_ctx", "129@x"))))
    assert found["context"] == ["of 129@x"]
    assert rpc_render.render(ask(house, "dlg.dlg_list_ctx", "nope@x")) == {}


def test_a_briefing_has_the_fields_that_were_asked_for(house: House) -> None:
    def of(callid: str, *fields: str) -> dict[str, object]:
        items = text_of(house, "dlg.briefing", *fields)
        dialog = house.table.find(callid)[0]
        return next(item for item in items if item["h_id"] == dialog.h_id
                    and item["h_entry"] == dialog.h_entry)  # fmt: skip

    call, new = house.table.find("7@x")[0], house.table.find("new@x")[0]
    assert list(of("7@x", "sEcF").items()) == [
        ("h_entry", call.h_entry),
        ("h_id", call.h_id),
        ("call-id", "7@x"),
        ("from_tag", "from-7"),
        ("end_ts", 0),
        ("state", 4),
    ]
    assert of("new@x", "ftTISs") == {
        "h_entry": new.h_entry,
        "h_id": new.h_id,
        "from_uri": "sip:alice@ims.example.com",
        "to_uri": "sip:bob@ims.example.com",
        "to_tag": "",
        "init_ts": int(NOW),
        "start_ts": 0,
        "state": 1,
    }
    assert [*of("7@x")] == [
        *("h_entry", "h_id", "from_uri", "to_uri", "call-id", "from_tag", "to_tag")
    ]
    assert [*of("7@x", "xyz")] == ["h_entry", "h_id"]


def test_a_dialog_as_ims_dialog_lists_it() -> None:
    house = House()
    dialog = house.call()
    (leg,) = house.table.find("call-1@ref")[0].legs
    shown = text_of(house, "dlg2.list")
    assert shown["Dialogs"] == [
        {
            "Dialog": {
                "Entry": dialog.entry.index,
                "Id": dialog.h_id,
                "RURI": "sip:bob@ims.example.com",
                "From": "sip:alice@ims.example.com",
                "Call-ID": "call-1@ref",
                "Caller Contact": "sip:alice@127.0.0.1:5192;ob",
                "Caller Route Set": None,
                "Dialog-ID": dialog.did,
                "From Tag": "uac-1",
                "State": "Confirmed",
                "Ref": 2,
                "dlg_outs": [{"dlg_out": {"Entry": leg.h_entry, "Id": 0}}],
            }
        }
    ]


@pytest.mark.parametrize(
    "name", ["dlg.is_alive", "dlg.set_state", "dlg.bridge_dlg", "dlg.bridges", "dlg.end_all"]
)
def test_small_results(name: str) -> None:
    house = House()
    house.call()
    tags = "call-1@ref", "uac-1", "uas5190-1"
    addresses = "sip:a@a.example", "sip:b@b.example"
    if name == "dlg.bridges":
        ask(house, "dlg.bridge_dlg", *addresses)
    calls: dict[str, tuple[tuple[object, ...], object]] = {
        "dlg.is_alive": ((name, *tags), "Alive"),
        "dlg.set_state": ((name, *tags, 5), "Done"),
        "dlg.bridge_dlg": ((name, *addresses), {"id": 1}),
        "dlg.bridges": (
            (name,),
            [
                {
                    "id": 1,
                    "call-id": "",
                    "from": "sip:a@a.example",
                    "to": "sip:b@b.example",
                    "op": "",
                    "state": "ordered",
                    "detail": "",
                    "ordered_ts": int(NOW),
                    "ended_ts": 0,
                }
            ],
        ),
        "dlg.end_all": (("dlg2.end_all_active_dlg",), {"ordered": 1}),
    }
    (method, *values), expected = calls[name]
    assert rpc_render.render(ask(house, str(method), *values)) == expected


def test_every_result_can_be_shown() -> None:
    for door in (rpc_render, mi_render):
        for kind in get_args(Result):
            assert door.render.dispatch(kind) is not door.render.dispatch(object), kind


def test_listings_that_mi_has_no_name_for(house: House) -> None:
    """They are shown briefly, should they ever get one."""
    for name in ("dlg.briefing", "dlg2.list"):
        reply = b"".join(render_mi(MiReply(200, "OK", mi_render.render(ask(house, name)))))
        assert reply.count(b"\ndialog::  hash=") == 131
