"""A script that is loaded, loaded again, and refused, with its callbacks."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.api import DialogApi
from dlgmgmt.dialog.callbacks import Callbacks
from dlgmgmt.routing.host import ScriptHost
from dlgmgmt.routing.script import ScriptError
from dlgmgmt.routing.settings import RoutingSettings
from tests.unit.routing.scripted import Calls
from tests.unit.sip.harness import House, World, house

HEARS = """
import builtins

def mod_init(api):
    def created(dialog, kind, params):
        api.set_dlg_var(dialog, "by", "{version}")
        builtins.heard.append("{version}")

    builtins.apis.append(api)
    api.register_dlgcb(None, api.DLGCB_CREATED, created, "{version}", builtins.freed.append)
    {fault}

def request_route(msg, dlg):
    msg.t_relay()
"""

BAD = """class Bad(Exception):
    def __repr__(self): raise SystemExit
    __str__ = __repr__
raise Bad"""


class Stage:
    """heard: which script's callback was called; freed: whose was dropped; apis: as given."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.path = folder / "script.py"
        self.callbacks = Callbacks(world.table)
        self.heard: list[str] = []
        self.freed: list[str] = []
        self.apis: list[DialogApi] = []
        self.posted: list[Callable[[], None]] = []
        self.late = False

    def post(self, work: Callable[[], None]) -> None:
        if self.late:
            self.posted.append(work)
        else:
            work()

    def write(self, version: str, fault: str = "pass", **fields: Any) -> RoutingSettings:
        self.path.write_text(HEARS.format(version=version, fault=fault))
        return RoutingSettings(script=str(self.path), workers=1, **fields)

    def start(self, settings: RoutingSettings) -> ScriptHost:
        world = self.world
        return ScriptHost(
            settings,
            world.proxy.forwarder,
            world.table,
            Calls(world),
            self.post,
            lambda: 0.0,
            functools.partial(DialogApi, world.table, world.terminator),
            self.callbacks,
        )

    def call(self, home: House, callid: str) -> list[str]:
        """Whose callbacks hear of a call."""
        self.heard.clear()
        self.world.proxy.forwarder.routing = None
        home.alice.invite("1", callid=callid)
        home.bob.reply(home.bob.one("INVITE"), 486)
        home.world.take()
        return self.heard.copy()


@pytest.fixture
def home() -> Iterator[House]:
    world = World()
    yield house(world)
    world.finish()


@pytest.fixture
def stage(home: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    stage = Stage(home.world, tmp_path)
    for name in ("heard", "freed", "apis"):
        monkeypatch.setattr(f"builtins.{name}", getattr(stage, name), raising=False)
    yield stage
    stage.callbacks.clear()


@pytest.fixture
def host(stage: Stage) -> Iterator[ScriptHost]:
    host = stage.start(stage.write("1"))
    yield host
    host.stop()


def test_a_reload_replaces_the_callbacks_of_the_script(
    home: House, stage: Stage, host: ScriptHost
) -> None:
    assert stage.call(home, "a") == ["1"]
    host.reload(stage.write("2"))
    assert stage.freed == ["1"]
    assert stage.call(home, "b") == ["2"]
    with pytest.raises(ScriptError) as refused:
        host.reload(stage.write("3", "raise ValueError('no')"))
    assert (refused.value.line, refused.value.message) == (11, "mod_init: ValueError: no")
    assert stage.freed == ["1", "3"]
    assert stage.call(home, "c") == ["2"]


def test_callbacks_of_the_program_itself_stay(home: House, stage: Stage, host: ScriptHost) -> None:
    api = DialogApi(home.world.table, home.world.terminator, stage.callbacks)
    own: list[str] = []
    api.register_dlgcb(None, api.DLGCB_CREATED, lambda dialog, *_: own.append(dialog.callid))
    host.reload(stage.write("2"))
    stage.call(home, "a")
    assert own == ["a"]


def test_the_new_script_hears_of_no_call_before_it_is_in_force(
    home: House, stage: Stage, host: ScriptHost
) -> None:
    stage.late = True
    host.reload(stage.write("2"))
    assert stage.call(home, "a") == ["1"]
    stage.posted.pop()()
    assert stage.call(home, "b") == ["2"]


def test_both_scripts_may_have_as_many_callbacks_as_one_may(
    home: House, stage: Stage, host: ScriptHost
) -> None:
    more = "[api.register_dlgcb(None, api.DLGCB_CREATED, created) for _ in range({})]".format
    for version in ("2", "3"):
        host.reload(stage.write(version, more(63)))
    assert stage.call(home, "a") == ["3"] * 64
    with pytest.raises(ScriptError, match="more than 64 callbacks for new dialogs"):
        host.reload(stage.write("4", more(64)))
    assert stage.call(home, "b") == ["3"] * 64


def test_a_script_that_was_replaced_registers_nothing_more(
    home: House, stage: Stage, host: ScriptHost
) -> None:
    (old,) = stage.apis
    old.register_dlgcb(None, old.DLGCB_CREATED, lambda *_: stage.heard.append("later"))
    assert stage.call(home, "a") == ["1", "later"]
    host.reload(stage.write("2"))
    assert stage.call(home, "b") == ["2"]
    freed: list[object] = []
    assert not old.register_dlgcb(None, old.DLGCB_CREATED, lambda *_: None, "p", freed.append)
    assert freed == ["p"]
    assert stage.call(home, "c") == ["2"]


def test_an_exception_that_cannot_be_shown_refuses_the_script_all_the_same(
    stage: Stage, host: ScriptHost
) -> None:
    fault = BAD.replace("\n", "\n    ")
    with pytest.raises(ScriptError, match=r"mod_init: Bad: .its message cannot be read") as refused:
        host.reload(stage.write("2", fault))
    assert refused.value.line == 14
    host.reload(stage.write("3"))
    assert stage.freed == ["2", "1"]


@pytest.mark.parametrize("fault", ["raise KeyboardInterrupt", "exit(3)"])
def test_a_script_that_wants_to_end_the_daemon_is_refused(
    stage: Stage, host: ScriptHost, fault: str
) -> None:
    with pytest.raises(ScriptError, match=r"mod_init: (KeyboardInterrupt|SystemExit)"):
        host.reload(stage.write("2", fault))
