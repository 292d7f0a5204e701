"""Listings in their forms: with context, brief, of a profile, of those that fit, of ims_dialog."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from dlgmgmt.commands import handlers_match
from dlgmgmt.commands.errors import CommandError, MgmtProtocol
from dlgmgmt.commands.results import (
    BriefListing,
    ChosenListing,
    ContextListing,
    ContextMatches,
    ContextView,
    DialogListing,
    ImsListing,
    ProfileSize,
    Result,
)
from dlgmgmt.dialog.callbacks import CallbackParams, DialogHandle, DlgCb
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.views import DialogView
from tests.unit.commands.harness import ME, NOW, House

MI, RPC = MgmtProtocol.MI, MgmtProtocol.RPC


@pytest.fixture
def house() -> House:
    return House()


def run(house: House, name: str, *values: object, protocol: MgmtProtocol = RPC) -> Result:
    return house.dispatcher.call(protocol, name, [(None, value) for value in values], ME)


def refusal(
    house: House, name: str, *values: object, protocol: MgmtProtocol = RPC
) -> tuple[int, str]:
    with pytest.raises(CommandError) as caught:
        run(house, name, *values, protocol=protocol)
    assert not caught.value.detail or caught.value.detail not in caught.value.text
    return caught.value.code, caught.value.text


def callids(batches: Iterable[list[DialogView]]) -> list[str]:
    return sorted(view.callid for batch in batches for view in batch)


def noted(house: House, dialog: Dialog, *lines: str) -> None:
    """A callback that writes these lines of context."""

    def write(_handle: DialogHandle, _kind: DlgCb, params: CallbackParams) -> None:
        # Outside of all locks: the dialog can be looked at.
        assert not dialog.entry.lock.locked()
        assert params.write is not None
        for line in lines:
            params.write(line)

    house.callbacks.register(DialogHandle(dialog), DlgCb.MI_CONTEXT, write)


# -- context ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("protocol", "name"), [(MI, "dlg_list_ctx"), (RPC, "dlg.list_ctx")], ids=["mi", "rpc"]
)
def test_every_dialog_with_its_context(house: House, protocol: MgmtProtocol, name: str) -> None:
    noted(house, house.call("a@x"), "account 4711", "prepaid")
    house.call("b@x")
    result = run(house, name, protocol=protocol)
    assert isinstance(result, ContextListing)
    assert result.now == int(NOW)
    found = {each.view.callid: each.context for batch in result.batches for each in batch}
    assert found == {"a@x": ("account 4711", "prepaid"), "b@x": ()}


@pytest.mark.parametrize(
    ("protocol", "name"), [(MI, "dlg_list_ctx"), (RPC, "dlg.dlg_list_ctx")], ids=["mi", "rpc"]
)
def test_some_dialogs_with_their_context(house: House, protocol: MgmtProtocol, name: str) -> None:
    noted(house, house.call("a@x", "one"), "account 4711")
    house.call("a@x", "two")
    result = run(house, name, "a@x", protocol=protocol)
    assert isinstance(result, ContextMatches)
    found = {each.view.from_tag: each.context for each in result.found}
    assert found == {"one": ("account 4711",), "two": ()}
    result = run(house, name, "a@x", "two", protocol=protocol)
    assert isinstance(result, ContextMatches)
    assert [each.view.from_tag for each in result.found] == ["two"]


def test_context_of_what_is_not_there(house: House) -> None:
    found = run(house, "dlg.dlg_list_ctx", "nope@x")
    assert isinstance(found, ContextMatches)
    assert found.found == ()
    assert refusal(house, "dlg_list_ctx", "nope@x", protocol=MI) == (404, "Nu such dialog")


# -- profiles --------------------------------------------------------------------------------------


@pytest.fixture
def profiled(house: House) -> House:
    calls = [house.call(f"{letter}@x") for letter in "abc"]
    for dialog, caller in zip(calls, ("alice", "bob", "alice"), strict=True):
        house.table.profiles.insert(dialog, "caller", caller)
    house.table.profiles.insert(calls[2], "inbound", None)
    house.call("d@x")
    return house


@pytest.mark.parametrize(
    ("values", "count", "members"),
    [
        (("caller",), 3, ["a@x", "b@x", "c@x"]),
        (("caller", "alice"), 2, ["a@x", "c@x"]),
        (("caller", ""), 3, ["a@x", "b@x", "c@x"]),
        (("caller", "zed"), 0, []),
        (("inbound",), 1, ["c@x"]),
        (("inbound", "whatever"), 1, ["c@x"]),
        (("outbound",), 0, []),
    ],
)
def test_profiles(profiled: House, values: tuple[str, ...], count: int, members: list[str]) -> None:
    size = run(profiled, "dlg.profile_get_size", *values)
    assert size == ProfileSize(values[0], values[1] if len(values) > 1 else "", count)
    listing = run(profiled, "dlg.profile_list", *values)
    assert isinstance(listing, DialogListing)
    assert callids(listing.batches) == members
    kept = run(profiled, "dlg.profile_list", *values)
    assert isinstance(kept, DialogListing)
    assert sum(len(batch) for batch in kept.snapshots) == len(members)
    if "" not in values:
        # An empty value cannot be sent over MI.
        assert run(profiled, "profile_get_size", *values, protocol=MI) == size
        listing = run(profiled, "profile_list_dlgs", *values, protocol=MI)
        assert isinstance(listing, DialogListing)
        assert callids(listing.batches) == members


@pytest.mark.parametrize("command", ["get_size", "list"])
def test_a_profile_that_is_not_configured(house: House, command: str) -> None:
    assert refusal(house, f"dlg.profile_{command}", "nope") == (404, "Profile not found: nope")
    long = refusal(house, f"dlg.profile_{command}", "n" * 5000)
    assert len(long[1]) < 300
    mi_name = f"profile_{command.replace('list', 'list_dlgs')}"
    assert refusal(house, mi_name, "nope", protocol=MI) == (404, "Profile not found")
    for values in ((), ("a", "b", "c")):
        refused = refusal(house, mi_name, *values, protocol=MI)
        assert refused == (400, "Too few or too many arguments")


# -- some fields -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "fields"), [((), "ftcFT"), ((5,), "ftcFT"), (("cs",), "cs"), (("xyz",), "xyz")]
)
def test_briefing(house: House, values: tuple[object, ...], fields: str) -> None:
    house.call("a@x")
    result = run(house, "dlg.briefing", *values)
    assert isinstance(result, BriefListing)
    assert result.fields == fields
    assert callids(result.batches) == ["a@x"]


def test_the_list_of_ims_dialog() -> None:
    house = House(64)
    house.call("a@x")
    result = run(house, "dlg2.list")
    assert isinstance(result, ImsListing)
    assert result.size == 64
    assert callids(result.batches) == ["a@x"]


# -- what fits -------------------------------------------------------------------------------------


@pytest.fixture
def varied(house: House) -> House:
    for number in range(3):
        house.call(
            f"call-{number}@x",
            from_uri=f"sip:alice{number}@a.example",
            to_uri=f"sip:bob{number}@b.example",
            req_uri=f"sip:bob{number}@proxy",
        )
    house.invite("ringing@x", from_uri="sip:carol@a.example")
    return house


def chosen(house: House, *values: object) -> list[str]:
    result = run(house, "dlg.list_match", *values)
    assert isinstance(result, ChosenListing)
    plain = callids(result.batches)
    result = run(house, "dlg.list_match_ctx", *values)
    assert isinstance(result, ContextListing)
    with_context: list[ContextView] = [each for batch in result.batches for each in batch]
    if len(values) < 4:
        assert sorted(each.view.callid for each in with_context) == plain
    return plain


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (("callid", "eq", "call-1@x"), [1]),
        (("callid", "sw", "call-"), [0, 1, 2]),
        (("callid", "re", "CALL-[12]@"), [1, 2]),
        (("furi", "eq", "sip:alice2@a.example"), [2]),
        (("furi", "sw", "sip:alice"), [0, 1, 2]),
        (("turi", "re", r"bob(0|2)@b\.example$"), [0, 2]),
        (("ruri", "sw", "sip:bob1@proxy"), [1]),
        (("start_ts", "gt", "1"), [0, 1, 2]),
        (("start_ts", "gt", 1), [0, 1, 2]),
        (("start_ts", "lt", str(int(NOW) + 1), 0), [0, 1, 2, None]),
        (("start_ts", "lt", "1"), [None]),
    ],
)
def test_what_fits(varied: House, values: tuple[object, ...], found: list[int | None]) -> None:
    names = ["ringing@x" if number is None else f"call-{number}@x" for number in found]
    assert chosen(varied, *values) == sorted(names)


@pytest.mark.parametrize("limit", [1, 2, "2", 100])
def test_not_more_than_the_limit(limit: object) -> None:
    house = House()
    for number in range(120):
        house.call(f"{number}@x")
    assert len(chosen(house, "turi", "sw", "sip:", limit)) == int(str(limit))


@pytest.mark.parametrize(
    ("values", "code", "text"),
    [
        ((), 500, "Invalid parameters"),
        (("callid", "sw"), 500, "Invalid parameters"),
        (("callid", "sw", "c", -1), 500, "Invalid parameters"),
        (("callid", "sw", "c", "many"), 500, "Invalid parameters"),
        (("callid", "sw", "c", 1, 2), 500, "Invalid parameters"),
        (("foo", "xx", "c"), 500, "Invalid matching key parameter"),
        (("callid", "xx", "c"), 500, "Invalid matching operator parameter"),
        (("callid", "xxx", "c"), 500, "Invalid matching operator parameter"),
        (("start_ts", "xx", "c"), 500, "Invalid matching operator parameter"),
        (("callid", "gt", "1"), 500, "Matching operator not supported"),
        (("start_ts", "eq", "1"), 500, "Matching operator not supported with start_ts key"),
        (("start_ts", "gt", "soon"), 500, "Invalid matching value parameter"),
        (("start_ts", "gt", "9" * 5000), 500, "Invalid matching value parameter"),
        (("callid", "re", "("), 500, "Invalid matching value parameter"),
        (("callid", "re", "((a{60}){60}){60}"), 500, "Invalid matching value parameter"),
        (("callid", "sw", "nope"), 404, "Not found"),
        (("callid", "eq", "nope"), 404, "Not found"),
    ],
)
@pytest.mark.parametrize("command", ["dlg.list_match", "dlg.list_match_ctx"])
def test_what_cannot_be_matched(
    varied: House, command: str, values: tuple[object, ...], code: int, text: str
) -> None:
    assert refusal(varied, command, *values) == (code, text)


def test_comparing_has_its_time(varied: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handlers_match, "MAX_SECONDS", -1.0)
    refused = refusal(varied, "dlg.list_match", "furi", "re", "a")
    assert refused == (500, "Matching takes too long")


def test_a_match_is_found_while_it_is_read(house: House) -> None:
    """What is asked for is looked up as far as the first batch, the rest when it is wanted."""
    for number in range(500):
        house.call(f"{number}@x")
    result: Any = run(house, "dlg.list_match", "callid", "sw", "")
    first = next(result.batches)
    house.call("late@x")
    everything = [*first, *(view for batch in result.batches for view in batch)]
    assert {f"{number}@x" for number in range(500)} <= {view.callid for view in everything}
    assert len(first) < 100
