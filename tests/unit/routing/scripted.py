"""The whole proxy with a script in charge, on a clock and sockets of the tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.routing import default_script
from dlgmgmt.routing.engine import ScriptRouting
from dlgmgmt.routing.runner import Outcome
from tests.unit.sip.harness import House, World, house

T = TypeVar("T")

PROFILES = DialogSettings(
    hash_size=16,
    default_timeout=3600,
    noack_timeout=60,
    profiles_with_value=("caller",),
    profiles_no_value=("all",),
    timeout_avp="$avp(timeout)",
    dlg_flag=4,
)


class AtOnce:
    """Runs everything when it is submitted; ``full`` and ``broken`` play overload and errors."""

    def __init__(self) -> None:
        self.full = False
        self.stopping = False
        self.late: list[Callable[[], None]] | None = None

    def submit(
        self,
        key: str,
        work: Callable[[], T],
        done: Callable[[Outcome[T]], None],
        what: str,
    ) -> bool:
        assert key
        assert "callid=" in what
        if self.full:
            return False
        try:
            outcome: Outcome[T] = Outcome(work())
        except Exception as error:  # noqa: BLE001 - as the real one
            outcome = Outcome(error=str(error))
        if self.late is None:
            done(outcome)
        else:
            stopped: Outcome[T] = Outcome(error="stopped", stopped=True)
            self.late.append(lambda: done(stopped if self.stopping else outcome))
        return True

    def cut_off(self) -> None:
        """The runner is stopped before any of these has ended."""
        self.stopping = True
        late, self.late = self.late or [], None
        for done in late:
            done()


class Calls:
    def __init__(self, world: World) -> None:
        self.world = world
        self.asked: list[tuple[str, ...]] = []

    def terminate(self, dialog: Dialog, side: str, reason: str) -> bool:
        only = "" if side == "all" else side
        self.world.terminator.by_id(dialog.entry.index, dialog.h_id, reason=reason, only=only)
        return True

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        self.asked.append(("refer", dialog.callid, side, address))
        return True

    def bridge(self, from_uri: str, to_uri: str, op: str) -> bool:
        self.asked.append(("bridge", from_uri, to_uri, op))
        return True


class Scripted(House):
    runner: AtOnce
    calls: Calls
    routing: ScriptRouting

    def use(self, **routes: Any) -> None:
        self.routing.use(SimpleNamespace(**routes))


@pytest.fixture
def home() -> Iterator[Scripted]:
    world = World(dialogs=PROFILES)
    made = house(world)
    scripted = Scripted(world, made.alice, made.bob, made.carol, made.dave, made.erin)
    scripted.runner, scripted.calls = AtOnce(), Calls(world)
    scripted.routing = ScriptRouting(
        default_script,
        scripted.runner,
        world.proxy.forwarder,
        world.table,
        scripted.calls,
        lambda: 1_700_000_000.0 + world.now,
    )
    world.proxy.forwarder.routing = scripted.routing
    yield scripted
    world.finish()
    assert set(world.table.profiles.sizes().values()) == {0}


def hang_up(home: House) -> None:
    home.world.kill()
    home.answer_all()


def track(msg: Any, dlg: Any) -> None:
    if not msg.has_totag():
        dlg.dlg_manage()
        msg.record_route()
    msg.t_relay()
