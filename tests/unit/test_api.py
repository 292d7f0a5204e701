"""The developer API over real calls: what each function does, and what it says when it cannot."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import pytest

from dlgmgmt.api import DialogApi
from dlgmgmt.dialog.callbacks import CallbackParams, Callbacks, DialogHandle, DlgCb
from tests.unit.routing.harness import Bench, within
from tests.unit.sip.harness import House, World, house


@pytest.fixture
def home() -> Iterator[House]:
    world = World()
    yield house(world)
    world.finish()


@pytest.fixture
def api(home: House) -> DialogApi:
    return DialogApi(home.world.table, home.world.terminator, Callbacks(home.world.table))


def handle(home: House, callid: str = "c1") -> DialogHandle:
    (dialog,) = home.world.table.entry_of(callid).by_callid[callid]
    return DialogHandle(dialog)


def test_the_fourteen_types_are_there_under_their_names() -> None:
    for kind in DlgCb:
        assert getattr(DialogApi, f"DLGCB_{kind.name}") is kind


def test_the_six_functions_are_there_under_their_names() -> None:
    found = {name for name, _ in inspect.getmembers(DialogApi, inspect.isfunction)}
    assert {name for name in found if name[0] != "_"} == {
        "register_dlgcb",
        "terminate_dlg",
        "lookup_terminate_dlg",
        "set_dlg_var",
        "get_dlg_var",
        "get_current_dialog",
    }


def test_register_dlgcb(home: House, api: DialogApi) -> None:
    home.talk()
    heard: list[object] = []
    freed: list[object] = []

    def ended(dialog: DialogHandle, kind: DlgCb, params: CallbackParams) -> None:
        heard.extend([dialog, kind, params.param])

    assert api.register_dlgcb(handle(home), api.DLGCB_TERMINATED, ended, "mine", freed.append)
    home.world.kill()
    assert heard == [handle(home), DlgCb.TERMINATED, "mine"]
    gone = handle(home)
    assert freed == []
    home.answer_all()
    assert freed == ["mine"]
    assert not api.register_dlgcb(gone, api.DLGCB_FAILED, ended)
    with pytest.raises(ValueError, match="DLGCB_CREATED"):
        api.register_dlgcb(None, api.DLGCB_FAILED, ended)


@pytest.mark.parametrize("tags", [("alice", "bob"), ("bob", "alice")])
def test_terminate_dlg_ends_an_answered_call(
    home: House, api: DialogApi, tags: tuple[str, str]
) -> None:
    home.talk()
    assert api.terminate_dlg("c1", *tags, "X-Why: fraud\r\n")
    for phone in (home.alice, home.bob):
        bye = phone.one("BYE")
        assert bye["X-Why"] == "fraud"
        assert bye["Reason"] == 'SIP;cause=200;text="call failed"'
        phone.reply(bye, 200)
    assert home.world.state() == 0
    assert not api.terminate_dlg("c1", *tags)


def test_terminate_dlg_ends_a_ringing_call(home: House, api: DialogApi) -> None:
    sent, invite = home.ring()
    assert api.terminate_dlg("c1", "alice", "bob")
    home.alice.ack_failure(sent, home.alice.one("488"))
    home.bob.reply(home.bob.one("CANCEL"), 200)
    home.bob.reply(invite, 487)
    home.bob.one("ACK")
    assert home.world.state() == 0


def test_terminate_dlg_of_what_is_not_there(home: House, api: DialogApi) -> None:
    home.talk()
    assert not api.terminate_dlg("c1", "alice", "carol")
    assert not api.terminate_dlg("c2", "alice", "bob")
    with pytest.raises(ValueError, match="Call-ID is set by the daemon"):
        api.terminate_dlg("c1", "alice", "bob", "Call-ID: other\r\n")
    assert home.world.state() == 4
    assert home.world.sent() == []
    home.world.kill()
    home.answer_all()


def test_lookup_terminate_dlg(home: House, api: DialogApi) -> None:
    home.talk()
    view = home.world.view()
    assert not api.lookup_terminate_dlg(view.h_entry, view.h_id + 1)
    assert not api.lookup_terminate_dlg(-1, 0)
    with pytest.raises(ValueError, match="header line"):
        api.lookup_terminate_dlg(view.h_entry, view.h_id, "no header")
    assert api.lookup_terminate_dlg(view.h_entry, view.h_id, "X-Why: fraud\r\n")
    assert {sip["X-Why"] for got in home.answer_all().values() for sip in got} == {"fraud"}
    assert not api.lookup_terminate_dlg(view.h_entry, view.h_id)


def test_variables(home: House, api: DialogApi) -> None:
    home.talk()
    dialog = handle(home)
    assert api.get_dlg_var(dialog, "account") is None
    api.set_dlg_var(dialog, "account", "4711")
    assert api.get_dlg_var(dialog, "account") == "4711"
    assert home.world.view().variables == (("account", "4711"),)
    api.set_dlg_var(dialog, "account", None)
    assert api.get_dlg_var(dialog, "account") is None
    with pytest.raises(ValueError, match="at most"):
        api.set_dlg_var(dialog, "account", "x" * 5000)
    home.world.kill()
    home.answer_all()


def test_get_current_dialog() -> None:
    bench = Bench()
    env = bench.env
    api = DialogApi(env.dialogs, None, Callbacks(env.dialogs))  # type: ignore[arg-type]
    assert api.get_current_dialog(bench.msg) is None
    bench.dlg.dlg_manage()
    dialog = api.get_current_dialog(bench.msg)
    assert dialog is not None
    assert (dialog.callid, dialog.view().state) == ("c1", 1)
    env.answer(dialog.dialog)
    later = Bench(within("INFO"), env)
    later.dlg.dlg_manage()
    assert api.get_current_dialog(later.msg) == dialog
    stranger = Bench(within("INFO", callid="unknown"), env)
    assert api.get_current_dialog(stranger.msg) is None
