"""When DLGCB_CREATED is told of a call that a script tracks: initial_cbs_inscript."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from dlgmgmt.dialog.callbacks import CallbackParams, Callbacks, DialogHandle, DlgCb
from dlgmgmt.dialog.events import EventType
from dlgmgmt.routing.engine import ScriptRouting
from dlgmgmt.routing.runner import Outcome
from dlgmgmt.sip.calls import Calls
from tests.unit.sip.harness import DIALOGS, UNIX, House, World, house

T = TypeVar("T")

Make = Callable[[bool, Callable[[Any, Any], None]], House]


class AtOnce:
    """Runs a script on the thread that asks."""

    def submit(
        self, _key: str, work: Callable[[], T], done: Callable[[Outcome[T]], None], _what: str, /
    ) -> bool:
        done(Outcome(work()))
        return True


@pytest.fixture
def make() -> Iterator[Make]:
    worlds: list[World] = []

    def build(inscript: bool, request_route: Callable[[Any, Any], None]) -> House:  # noqa: FBT001 - the case
        settings = replace(DIALOGS, initial_cbs_inscript=inscript, dlg_flag=4)
        world = World(dialogs=settings)
        worlds.append(world)
        calls = Calls(world.proxy, world.table, world.terminator, world.submit, settings)
        script = SimpleNamespace(request_route=request_route)
        forwarder = world.proxy.forwarder
        forwarder.routing = ScriptRouting(
            script, AtOnce(), forwarder, world.table, calls, lambda: UNIX + world.now
        )

        def created(dialog: DialogHandle, _kind: DlgCb, _params: CallbackParams) -> None:
            world.table.set_var(dialog.dialog, "account", "4711")

        Callbacks(world.table).register(None, DlgCb.CREATED, created)
        return house(world)

    yield build
    for world in worlds:
        world.finish()


@pytest.mark.parametrize(("inscript", "seen"), [(True, "4711"), (False, None)])
def test_within_dlg_manage_or_after_the_script(
    make: Make,
    inscript: bool,  # noqa: FBT001 - a case
    seen: str | None,
) -> None:
    found: list[str | None] = []

    def request_route(msg: Any, dlg: Any) -> None:
        dlg.dlg_manage()
        found.append(dlg.get_var("account"))
        msg.t_relay()

    home = make(inscript, request_route)
    home.ring()
    assert found == [seen]
    assert home.world.view().variables == (("account", "4711"),)
    home.world.kill_early()


@pytest.mark.parametrize("inscript", [True, False])
def test_a_call_that_dlg_flag_tracks_is_told_after_the_script(
    make: Make,
    inscript: bool,  # noqa: FBT001 - a case
) -> None:
    found: list[str | None] = []

    def request_route(msg: Any, dlg: Any) -> None:
        msg.setflag(4)
        msg.t_relay()
        found.append(dlg.get_var("account"))

    home = make(inscript, request_route)
    home.ring()
    assert found == [None]
    assert home.world.view().variables == (("account", "4711"),)
    home.world.kill_early()


@pytest.mark.parametrize("inscript", [True, False])
def test_told_once_though_the_parameter_changes_during_the_run(
    make: Make,
    inscript: bool,  # noqa: FBT001 - a case
) -> None:
    told: list[str] = []

    def request_route(msg: Any, dlg: Any) -> None:
        dlg.dlg_manage()
        table = home.world.table
        table.settings = replace(table.settings, initial_cbs_inscript=not inscript)
        msg.t_relay()

    home = make(inscript, request_route)
    home.world.table.add_listener(lambda event: told.append(event.callid), EventType.CREATED)
    home.ring()
    assert len(told) == 1
    home.world.kill_early()
