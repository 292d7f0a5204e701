"""A script that is loaded, loaded again, and refused, with its callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dlgmgmt.api import DialogApi
from dlgmgmt.dialog.callbacks import Callbacks
from dlgmgmt.routing.host import ScriptHost
from dlgmgmt.routing.script import ScriptError
from dlgmgmt.routing.settings import RoutingSettings
from tests.unit.routing.test_engine import Calls
from tests.unit.sip.harness import World

HEARS = """
heard = []

def mod_init(api):
    api.register_dlgcb(None, api.DLGCB_CREATED, lambda dialog, kind, params: heard.append(1))
    {fault}

def request_route(msg, dlg):
    dlg.set_var("version", "{version}")
    msg.t_relay()
"""


@pytest.fixture
def world() -> Iterator[World]:
    world = World()
    yield world
    world.finish()


def write(path: Path, version: str, fault: str = "pass") -> RoutingSettings:
    path.write_text(HEARS.format(version=version, fault=fault))
    return RoutingSettings(script=str(path), workers=1)


def test_a_reload_replaces_the_callbacks_of_the_script(world: World, tmp_path: Path) -> None:
    callbacks = Callbacks(world.table)
    api = DialogApi(world.table, world.terminator, callbacks)
    api.register_dlgcb(None, api.DLGCB_CREATED, lambda *_: None)
    path = tmp_path / "script.py"
    host = ScriptHost(
        write(path, "1"),
        world.proxy.forwarder,
        world.table,
        Calls(world),
        lambda work: work(),
        lambda: 0.0,
        api,
        callbacks,
    )
    try:
        assert len(callbacks.created()) == 2
        host.reload(write(path, "2"))
        host.reload(write(path, "3"))
        assert len(callbacks.created()) == 2
        kept = callbacks.created()
        with pytest.raises(ScriptError) as refused:
            host.reload(write(path, "4", "raise ValueError('no')"))
        assert refused.value.line == 6
        assert callbacks.created() == kept
    finally:
        host.stop()
        callbacks.clear()
    assert callbacks.created() == ()
