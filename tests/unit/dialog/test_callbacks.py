"""Registering callbacks, and when they and the freeing of their parameters run."""

from __future__ import annotations

import logging
import threading
from functools import reduce
from operator import or_

import pytest

from dlgmgmt.dialog.callbacks import (
    MAX_CALLBACKS,
    MAX_CONTEXT,
    MAX_LINE,
    CallbackParams,
    Callbacks,
    DialogHandle,
    DlgCb,
)
from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import record_of
from dlgmgmt.dialog.restore import restore
from dlgmgmt.dialog.states import State
from tests.unit.dialog.harness import Core, make_init, state_of, with_settings

PER_DIALOG = reduce(or_, [kind for kind in DlgCb if kind is not DlgCb.CREATED])


class Log:
    """Callbacks that note what they are told."""

    def __init__(self, core: Core) -> None:
        self.callbacks = Callbacks(core.table)
        self.heard: list[tuple[DialogHandle, DlgCb, CallbackParams]] = []
        self.freed: list[object] = []

    def hear(self, dialog: DialogHandle, kind: DlgCb, params: CallbackParams) -> None:
        self.heard.append((dialog, kind, params))

    def on(self, dialog: Dialog | None, kinds: DlgCb = PER_DIALOG, param: object = None) -> bool:
        handle = None if dialog is None else DialogHandle(dialog)
        return self.callbacks.register(handle, kinds, self.hear, param, self.freed.append)

    def kinds(self) -> list[DlgCb]:
        return [kind for _, kind, _ in self.heard]


@pytest.fixture
def core() -> Core:
    return Core()


@pytest.fixture
def log(core: Core) -> Log:
    return Log(core)


# -- what is told ----------------------------------------------------------------------------------


def test_there_are_fourteen_types_of_which_each_is_a_bit() -> None:
    assert [int(kind) for kind in DlgCb] == [1 << n for n in range(14)]


def test_created_is_told_of_every_new_dialog_and_registers_the_others(core: Core, log: Log) -> None:
    log.callbacks.register(
        None, DlgCb.CREATED, lambda d, _kind, p: log.on(d.dialog, DlgCb.EARLY, p.param), "global"
    )
    for callid in ("c1", "c2"):
        core.reply(core.invite(callid), 180)
    assert [(d.callid, kind, p.param) for d, kind, p in log.heard] == [
        ("c1", DlgCb.EARLY, "global"),
        ("c2", DlgCb.EARLY, "global"),
    ]


def test_an_answered_call(core: Core, log: Log) -> None:
    dialog = core.invite()
    log.on(dialog, param="mine")
    core.reply(dialog, 180)
    core.answer(dialog)
    core.down("ACK", 10)
    core.down("ACK", 10)
    core.table.release(dialog)
    core.up("INFO", 1)
    core.down("BYE", 11)
    assert log.kinds() == [
        DlgCb.EARLY,
        DlgCb.CONFIRMED_NA,
        DlgCb.CONFIRMED,
        DlgCb.REQ_WITHIN,
        DlgCb.TERMINATED,
    ]
    assert {params.param for _, _, params in log.heard} == {"mine"}
    told = [(p.direction, p.method, p.code, p.reason, p.to_tag) for _, _, p in log.heard]
    assert told == [
        ("none", "", 0, "", "bob"),
        ("none", "", 0, "", "bob"),
        ("downstream", "", 0, "", "bob"),
        ("upstream", "INFO", 0, "", "bob"),
        ("downstream", "BYE", 0, "", "bob"),
    ]


def test_a_refused_call(core: Core, log: Log) -> None:
    dialog = core.invite()
    log.on(dialog)
    core.tracker.invite_failed(dialog, 486)
    ((_, kind, params),) = log.heard
    assert (kind, params.code) == (DlgCb.FAILED, 486)


def test_a_spiral(core: Core, log: Log) -> None:
    dialog = core.invite()
    log.on(dialog, DlgCb.SPIRALED)
    core.table.open(make_init())
    assert log.kinds() == [DlgCb.SPIRALED]
    assert log.heard[0][0] == DialogHandle(dialog)


def test_an_operator_ends_the_call(core: Core, log: Log) -> None:
    dialog, _ = core.call()
    log.on(dialog)
    core.orders.by_tags("c1", "alice", "bob", reason="credit gone")
    ((_, kind, params),) = log.heard
    assert (kind, params.reason, params.method) == (DlgCb.TERMINATED, "credit gone", "")


def test_the_timeout_ends_the_call(core: Core, log: Log) -> None:
    dialog, _ = core.call()
    log.on(dialog)
    core.advance(601.0)
    core.orders.expired(dialog)
    ((_, kind, params),) = log.heard
    assert (kind, params.reason) == (DlgCb.EXPIRED, "dialog_timeout")


def test_a_bye_on_one_leg_of_two_is_a_request_within(core: Core, log: Log) -> None:
    dialog = core.invite()
    for i, tag in enumerate(("bob", "carol")):
        core.answer(dialog, tag, branch=i)
        core.down("ACK", 10, tag)
    log.on(dialog)
    core.up("BYE", 1, "carol")
    ((_, kind, params),) = log.heard
    assert (kind, params.method, params.to_tag) == (DlgCb.REQ_WITHIN, "BYE", "carol")


def test_a_leg_that_the_daemon_ends_is_no_request() -> None:
    core = with_settings(noack_timeout=30)
    log = Log(core)
    dialog = core.invite()
    for i, tag in enumerate(("bob", "carol")):
        core.answer(dialog, tag, branch=i)
    core.down("ACK", 10, "bob")
    log.on(dialog)
    core.now = 31.0
    assert core.orders.legs_due(dialog) is not None
    assert log.heard == []


def test_only_what_was_asked_for(core: Core, log: Log) -> None:
    dialog, other = core.invite("c1"), core.invite("c2")
    log.on(dialog, DlgCb.CONFIRMED_NA | DlgCb.FAILED)
    for call in (dialog, other):
        core.reply(call, 180)
        core.answer(call)
    assert [(handle.callid, kind) for handle, kind, _ in log.heard] == [("c1", DlgCb.CONFIRMED_NA)]


def test_in_the_order_in_which_they_were_registered(core: Core, log: Log) -> None:
    dialog = core.invite()
    for param in range(5):
        log.on(dialog, DlgCb.EARLY, param)
    core.reply(dialog, 180)
    assert [params.param for _, _, params in log.heard] == list(range(5))


def test_events_that_nobody_asked_for_are_not_listened_to(core: Core, log: Log) -> None:
    before = {kind: len(known) for kind, known in core.table._listeners.items()}
    dialog = core.invite()
    log.on(dialog, DlgCb.EARLY)
    log.on(dialog, DlgCb.EARLY)
    after = {kind: len(known) for kind, known in core.table._listeners.items()}
    more = {kind.name for kind in after if after[kind] > before.get(kind, 0)}
    assert more == {"EARLY", "DESTROYED"}
    assert max(after[kind] - before.get(kind, 0) for kind in after) == 1


# -- how they run ----------------------------------------------------------------------------------


def test_one_that_raises_is_logged_and_the_rest_run(
    core: Core, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    dialog = core.invite()

    def bad(_dialog: DialogHandle, _kind: DlgCb, _params: CallbackParams) -> None:
        raise RuntimeError("mine")

    log.callbacks.register(DialogHandle(dialog), DlgCb.EARLY, bad)
    log.on(dialog, DlgCb.EARLY)
    with caplog.at_level(logging.ERROR):
        core.reply(dialog, 180)
    assert log.kinds() == [DlgCb.EARLY]
    assert [record.getMessage() for record in caplog.records] == [
        "callback for EARLY failed on callid='c1'"
    ]
    assert state_of(dialog) is State.EARLY


def test_they_may_do_anything_with_the_dialog(core: Core, log: Log) -> None:
    """No lock is held, and what a callback does may make others run."""
    dialog = core.invite()
    done: list[object] = []

    def busy(handle: DialogHandle, _kind: DlgCb, _params: CallbackParams) -> None:
        assert not handle.dialog.entry.lock.locked()
        core.table.set_var(handle.dialog, "seen", "yes")
        done.append(handle.view().variables)
        log.on(handle.dialog, DlgCb.TERMINATED)
        core.orders.by_id(handle.h_entry, handle.h_id, reason="why")
        with pytest.raises(NoSuchDialog):
            core.orders.by_id(handle.h_entry, handle.h_id, reason="why")

    log.callbacks.register(DialogHandle(dialog), DlgCb.CONFIRMED_NA, busy)
    core.answer(dialog)
    assert done == [(("seen", "yes"),)]
    assert log.kinds() == [DlgCb.TERMINATED]


def test_a_handle_outlives_its_dialog(core: Core, log: Log) -> None:
    dialog, _ = core.call()
    log.on(dialog, DlgCb.TERMINATED)
    match = core.up("BYE", 1)
    assert match is not None
    core.table.release(dialog)
    handle = log.heard[0][0]
    assert core.table.get(handle.h_entry, handle.h_id) is None
    assert (handle.callid, handle.from_tag, handle.view().state) == ("c1", "alice", 6)
    assert repr(handle) == f"<dialog {handle.h_entry}:{handle.h_id} callid='c1'>"
    assert handle == DialogHandle(dialog)
    assert hash(handle) == hash(DialogHandle(dialog))
    assert handle != dialog


def test_mi_context(core: Core, log: Log) -> None:
    dialog, other = core.invite("c1"), core.invite("c2")
    lines: list[str] = []

    def context(handle: DialogHandle, _kind: DlgCb, params: CallbackParams) -> None:
        assert params.write is not None
        params.write(f"{params.param} {handle.callid}")

    for param in ("billing", "fraud"):
        log.callbacks.register(DialogHandle(dialog), DlgCb.MI_CONTEXT, context, param)
    for call in (dialog, other):
        log.callbacks.run_context(DialogHandle(call), lines.append)
    assert lines == ["billing c1", "fraud c1"]
    assert log.callbacks.context(DialogHandle(dialog)) == ("billing c1", "fraud c1")
    assert log.callbacks.context(DialogHandle(other)) == ()
    assert DlgCb["RPC_CONTEXT"] == DlgCb["MI_CONTEXT"]


def test_context_is_bounded(core: Core, log: Log, caplog: pytest.LogCaptureFixture) -> None:
    dialog = DialogHandle(core.invite("c1"))

    def endless(_handle: DialogHandle, _kind: DlgCb, params: CallbackParams) -> None:
        assert params.write is not None
        params.write("one\ntwo")
        while True:
            params.write("more")

    def long(_handle: DialogHandle, _kind: DlgCb, params: CallbackParams) -> None:
        assert params.write is not None
        params.write("x" * (MAX_LINE + 1))

    for callback in (long, endless):
        log.callbacks.register(dialog, DlgCb.MI_CONTEXT, callback)
    lines = log.callbacks.context(dialog)
    assert lines[:3] == ("one", "two", "more")
    assert len(lines) == MAX_CONTEXT
    assert "lines of context" in caplog.text
    assert "of more than" in caplog.text


def test_a_dialog_that_was_stored_is_told() -> None:
    core, other = Core(), Core()
    dialog, _ = core.call()
    with dialog.entry.lock:
        record = record_of(dialog, 0.0)
    callbacks = Callbacks(other.table)
    told: list[tuple[str, DlgCb]] = []
    callbacks.register(
        None,
        DlgCb.CREATED | DlgCb.LOADED,
        lambda handle, kind, _params: told.append((handle.callid, kind)),
    )
    restore(other.table, record)
    assert told == [("c1", DlgCb.LOADED)]


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("with_dialog", "kinds"),
    [
        (True, 0),
        (True, 16384),
        (True, 3),
        (True, 1),
        (False, 2),
        (False, 3),
        (False, 0),
    ],
)
def test_types_that_do_not_go_together(
    core: Core,
    log: Log,
    with_dialog: bool,  # noqa: FBT001 - a case
    kinds: int,
) -> None:
    dialog = core.invite() if with_dialog else None
    with pytest.raises(ValueError, match=r"callback|DLGCB_CREATED"):
        log.on(dialog, kinds)  # type: ignore[arg-type]
    core.invite("c2")
    assert log.heard == []
    assert log.freed == []


def test_limits(core: Core, log: Log) -> None:
    dialog = core.invite()
    for _ in range(MAX_CALLBACKS):
        log.on(dialog)
        log.on(None, DlgCb.CREATED)
    for target, kinds in ((dialog, PER_DIALOG), (None, DlgCb.CREATED)):
        with pytest.raises(ValueError, match=f"{MAX_CALLBACKS}"):
            log.on(target, kinds)
    log.on(core.invite("c2"))


# -- freeing ---------------------------------------------------------------------------------------


def test_a_parameter_is_freed_once_when_the_dialog_leaves(core: Core, log: Log) -> None:
    dialog, other = core.invite("c1"), core.invite("c2")
    for param in ("a", "b"):
        log.on(dialog, param=param)
    log.on(other, param="other")
    core.tracker.invite_failed(dialog, 486)
    assert log.freed == []
    core.table.release(dialog)
    assert log.freed == ["a", "b"]
    log.callbacks.clear()
    assert log.freed == ["a", "b", "other"]
    core.reply(other, 180)
    assert DlgCb.EARLY not in log.kinds()


def test_a_dialog_that_has_left_already(core: Core, log: Log) -> None:
    dialog = core.invite()
    core.tracker.invite_failed(dialog, 486)
    assert log.on(dialog, param="in time")
    core.table.release(dialog)
    assert not log.on(dialog, param="too late")
    assert log.freed == ["in time", "too late"]
    assert log.callbacks._of == {}


def test_a_free_that_raises_is_logged_and_the_rest_are_freed(
    core: Core, log: Log, caplog: pytest.LogCaptureFixture
) -> None:
    dialog = core.invite()

    def bad(_param: object) -> None:
        raise RuntimeError("mine")

    log.callbacks.register(DialogHandle(dialog), DlgCb.EARLY, log.hear, None, bad)
    log.on(dialog, param="b")
    core.tracker.invite_failed(dialog, 486)
    with caplog.at_level(logging.ERROR):
        core.table.release(dialog)
    assert log.freed == ["b"]
    assert len(caplog.records) == 1


def test_global_parameters_are_freed_at_the_end(core: Core, log: Log) -> None:
    log.on(None, DlgCb.CREATED, "global")
    core.invite()
    assert log.freed == []
    log.callbacks.clear()
    assert log.freed == ["global"]
    core.invite("c2")
    assert log.kinds() == [DlgCb.CREATED]


def test_registering_from_many_threads_while_dialogs_come_and_go(core: Core) -> None:
    core.events.clear()
    log = Log(core)
    count = 300

    def work(name: str) -> None:
        for i in range(count):
            dialog = core.invite(f"{name}-{i}")
            for kind in (DlgCb.FAILED, DlgCb.EARLY):
                log.on(dialog, kind, f"{name}-{i}-{kind.name}")
            core.tracker.invite_failed(dialog, 486)
            core.table.release(dialog)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert log.kinds() == [DlgCb.FAILED] * (4 * count)
    assert len(log.freed) == len(set(log.freed)) == 8 * count
    assert log.callbacks._of == {}


def test_a_callback_that_exits_ends_nothing_but_itself(core: Core, log: Log) -> None:
    def leave(*_: object) -> None:
        raise SystemExit(1)

    dialog = core.invite()
    log.callbacks.register(DialogHandle(dialog), DlgCb.EARLY, leave, None, leave)
    log.on(dialog)
    core.reply(dialog, 180)
    assert log.kinds() == [DlgCb.EARLY]
    log.callbacks.clear()
    assert log.freed == [None]
