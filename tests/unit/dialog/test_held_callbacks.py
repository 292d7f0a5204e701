"""Registering while others register, and while dialogs come."""

from __future__ import annotations

import threading

import pytest

from dlgmgmt.dialog.callbacks import Callbacks, DialogHandle, DlgCb
from dlgmgmt.dialog.events import EventType
from tests.unit.dialog.harness import Core


@pytest.fixture
def core() -> Core:
    return Core()


def test_who_registers_a_type_that_another_thread_is_about_to_hear_misses_nothing(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one is held up where the table is to be told of its listener."""
    callbacks = Callbacks(core.table)
    arrived, go_on = threading.Event(), threading.Event()
    real = core.table.add_listener

    def slow(listener: object, *kinds: EventType) -> None:
        arrived.set()
        assert go_on.wait(20)
        real(listener, *kinds)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr(core.table, "add_listener", slow)
    heard: list[str] = []

    def register(name: str) -> None:
        callbacks.register(None, DlgCb.CREATED, lambda *_: heard.append(name))

    first = threading.Thread(target=register, args=("first",))
    second = threading.Thread(target=register, args=("second",))
    first.start()
    assert arrived.wait(20)
    second.start()
    second.join(0.05)
    # Either it waits, or dialogs that are made from now on are told to it.
    if not second.is_alive():
        core.invite("early")
        assert heard == ["second"]
    go_on.set()
    first.join(20)
    second.join(20)
    heard.clear()
    core.invite()
    assert sorted(heard) == ["first", "second"]


def test_held_callbacks_on_single_dialogs_are_like_any_other(core: Core) -> None:
    callbacks = Callbacks(core.table)
    held = callbacks.holder()
    heard: list[str] = []
    dialog = core.invite()
    held.register(DialogHandle(dialog), DlgCb.FAILED, lambda *_: heard.append("failed"))
    held.drop()
    core.tracker.invite_failed(dialog, 486)
    assert heard == ["failed"]


def test_clear_frees_what_held_callbacks_have_in_force(core: Core) -> None:
    callbacks = Callbacks(core.table)
    held = callbacks.holder()
    freed: list[object] = []
    held.register(None, DlgCb.CREATED, lambda *_: None, "p", freed.append)
    held.replace(None)
    callbacks.clear()
    assert freed == ["p"]
    held.drop()
    assert freed == ["p"]
