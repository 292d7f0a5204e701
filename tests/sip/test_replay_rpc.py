"""The recorded JSON-RPC requests sent to the daemon, in the situations that they come from.

Field names, their order, nesting, types and error objects must be the recorded ones, but for what
the table of ARCHITECTURE.md has, with the reason; see harness/rpc_captures.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.sip.harness import rpc_captures
from tests.sip.harness.daemon import Daemon
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port
from tests.sip.harness.rpc_stage import Doors, RpcStage

SCRIPT = """
def request_route(msg, dlg):
    if not msg.has_totag():
        dlg.dlg_manage()
        dlg.set_dlg_profile("inbound")
        dlg.set_dlg_profile("gw", "$si")
        dlg.set_dlg_profile("caller", "$fU")
        msg.set_pv("$dlg_var(src)", "$si:$sp")
        msg.set_pv("$dlg_var(caller)", "$fU")
        msg.record_route()
        msg.ruri = "sip:%s@127.0.0.1:%d" % (msg.pv("$rU"), PORTS[msg.pv("$rU")])
    msg.t_relay()
"""
DOORS = ["http", "fifo"]


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    return free_port(), free_port()


@pytest.fixture
def stage(
    start_daemon: Callable[..., Daemon],
    phones: Phones,
    ports: tuple[int, int],
    tmp_path: Path,
) -> Iterator[RpcStage]:
    """A daemon of its own, whose counters start at zero; 64*T1 is 1.92 s."""
    fifo, replies = tmp_path / "rpc_fifo", tmp_path / "rpc_reply"
    replies.mkdir(mode=0o770)
    daemon = start_daemon(
        tables={"jsonrpc_fifo": {"fifo_name": str(fifo), "reply_dir": str(replies)}},
        sip={"t1": 0.03, "t2": 0.2, "t4": 0.2},
        ims={
            "default_timeout": 7200,
            "profiles_with_value": "caller ; gw",
            "profiles_no_value": "inbound",
        },
        script=f"PORTS = {dict(zip(('hold', 'early'), ports, strict=True))}\n{SCRIPT}",
    )
    yield RpcStage(Doors(daemon, fifo, replies), phones, *ports)
    daemon.check_log()


@pytest.mark.parametrize("module", ["dialog", "ims"])
def test_empty_table(stage: RpcStage, module: str) -> None:
    for door in DOORS:
        stage.replay(f"{module}/empty/{door}")


def two_calls(stage: RpcStage) -> None:
    stage.hold("refcall-g1-hold-1@127.0.0.1", "uac-tag-1", "uas-tag-1")
    stage.early("refcall-g1-early-1@127.0.0.1", "uac-tag-1", "uas-tag-2")
    stage.hold("refcall-g1-hold-2@127.0.0.1", "uac-tag-2", "uas-tag-3")


def test_two_calls(stage: RpcStage) -> None:
    """And one that has rung in vain."""
    two_calls(stage)
    stage.refuse("refcall-g1-early-1@127.0.0.1")
    for door in DOORS:
        stage.replay(f"dialog/live/{door}")
    for number in (1, 2):
        stage.hang_up(f"refcall-g1-hold-{number}@127.0.0.1")


def test_two_calls_and_one_that_rings(stage: RpcStage) -> None:
    two_calls(stage)
    for door in DOORS:
        stage.replay(f"ims/live/{door}")
    stage.refuse("refcall-g1-early-1@127.0.0.1")
    for number in (1, 2):
        stage.hang_up(f"refcall-g1-hold-{number}@127.0.0.1")


def test_calls_that_are_ended(stage: RpcStage) -> None:
    http = "dialog/action/http"
    calls = {n: f"refcall-g2-hold-{n}@127.0.0.1" for n in (1, 2, 3, 5, 8, 10)}
    for number, callid in calls.items():
        stage.hold(callid, f"uac-tag-{number}", f"uas-tag-{number + 1}")
    early = "refcall-g2-early-1@127.0.0.1"
    stage.early(early, "uac-tag-1", "uas-tag-2")
    numbers = stage.numbers(calls[1])
    stage.replay(http, ["end_dlg", "end_dlg_again_immediately"], numbers)
    stage.byes(calls[1])
    stage.replay(http, ["list_after_end", "list_after_end_300ms"])
    stage.replay("dialog/action/fifo", ["end_dlg"], stage.numbers(calls[2]))
    stage.byes(calls[2])
    stage.replay(http, ["end_dlg_hdrs"], stage.numbers(calls[3]))
    stage.byes(calls[3])
    stage.replay(http, ["terminate_dlg"])
    stage.byes(calls[5])
    stage.replay(http, ["set_state", "list_after_set_state", "set_state_default"])
    stage.hold("refcall-g2-hold-9@127.0.0.1", "uac-tag-9", "uas-tag-10")
    stage.replay(http, ["stats_after_set_state"])
    stage.hang_up("refcall-g2-hold-9@127.0.0.1")
    stage.replay(http, ["end_dlg_early"], stage.numbers(early))
    stage.cancelled(early)
    stage.replay(
        http,
        ["list_early_after_end", "terminate_early_emptytag", "list_early_after_term"],
    )
    stage.replay(http, ["briefing_end", "stats_active_end", "stats_end"])
    stage.hang_up(calls[10])
    # The one that was forgotten goes on.
    stage.legs[calls[8]].bye(stage.callee(calls[8]))


def test_calls_that_ims_dialog_ends(stage: RpcStage) -> None:
    http = "ims/imsaction/http"
    calls = {n: f"refcall-g3-hold-{n}@127.0.0.1" for n in (1, 3, 5, 6, 7, 8)}
    for number, callid in calls.items():
        stage.hold(callid, f"uac-tag-{number}", f"uas-tag-{number}")
    early = "refcall-g3-early-1@127.0.0.1"
    stage.early(early, "uac-tag-1", "uas-tag-2")
    numbers = stage.numbers(calls[1])
    stage.replay(http, ["end_dlg", "end_dlg_again"], numbers)
    stage.byes(calls[1])
    stage.replay(http, ["end_dlg_hdrs"], stage.numbers(calls[3]))
    stage.byes(calls[3])
    stage.replay(http, ["end_dlg_early"], stage.numbers(early))
    stage.cancelled(early)
    stage.replay(http, ["list_after_early_end", "end_all"])
    for number in (5, 6, 7, 8):
        stage.byes(calls[number])
    stage.replay(http, ["list_after_end_all", "cnt"])


def test_every_recording_was_replayed_and_every_difference_has_its_row(
    request: pytest.FixtureRequest,
) -> None:
    """Last in the module: no recorded request, and no row of the table, may be forgotten."""
    here = [item for item in request.session.items if item.path == request.node.path]
    if len(here) < 7:
        pytest.skip("only some of this module's tests were asked for")
    recorded = rpc_captures.everything()
    assert recorded
    assert recorded - rpc_captures.replayed == set()
    assert set(rpc_captures.rows()) == rpc_captures.used
