"""Answers that are waited for, over the coroutines that the interfaces share."""

from __future__ import annotations

import asyncio
import functools
from typing import Any

import msgspec
import pytest

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.results import Pending, TerminationOrdered
from dlgmgmt.commands.results_system import Words
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.views import SideOutcome, TerminationView
from dlgmgmt.interfaces.binrpc_answers import Answers
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.interfaces.pending import settle, settle_reply
from dlgmgmt.interfaces.rpc_door import answer_decoded
from mi_fifo import MiParam, MiRequest
from tests.binrpc import call
from tests.unit.commands.harness import ME, House


def view(number: int, outcome: str) -> TerminationView:
    return TerminationView(
        number, 1, 2, "a@x", "tag", "why", 1, (SideOutcome("caller", "b", "BYE", outcome),)
    )


def pending(outcomes: list[str], seconds: float) -> Pending:
    """Shows one outcome after the other; the last is that of one who has answered."""
    looks = iter(outcomes)

    def look() -> tuple[TerminationOrdered, bool]:
        outcome = next(looks)
        return TerminationOrdered(view(1, outcome)), outcome != "pending"

    return Pending(view(1, "pending"), look, seconds)


async def test_what_is_complete_is_the_answer_as_soon_as_it_is() -> None:
    result = Words(("a",))
    assert await settle(result) is result
    assert await settle(pending(["200"], 30)) == TerminationOrdered(view(1, "200"))
    assert await settle(pending(["pending", "pending", "481"], 30)) == (
        TerminationOrdered(view(1, "481"))
    )


async def test_after_its_seconds_it_is_what_is_known_then() -> None:
    never = TerminationOrdered(view(1, "pending"))
    late = Pending(view(1, "pending"), lambda: (never, False), 0.05)
    async with asyncio.timeout(5):
        assert await settle(late) is never


async def test_the_members_of_a_batch_are_waited_for_together() -> None:
    turns: list[str] = []

    def look(name: str) -> tuple[TerminationOrdered, bool]:
        turns.append(name)
        return TerminationOrdered(view(1, "200")), turns.count(name) == 2

    replies: list[dict[str, Any]] = [
        {"id": 1, "result": Pending(view(1, "pending"), functools.partial(look, "one"), 9)},
        {"id": 2, "result": "at once"},
        {"id": 3, "result": Pending(view(1, "pending"), functools.partial(look, "two"), 9)},
    ]
    settled = await settle_reply(replies)
    assert turns == ["one", "two", "one", "two"]
    legs = [{"side": "caller", "to_tag": "b", "method": "BYE", "outcome": "200"}]
    ordered = {"id": 1, "legs": legs}
    assert [each["result"] for each in settled] == [ordered, "at once", ordered]
    assert await settle_reply({"error": 1}) == {"error": 1}


@pytest.fixture
def house() -> House:
    house = House()
    house.call("a@x")
    return house


KILL = {"jsonrpc": "2.0", "method": "dlg.kill", "params": ["a@x", "late", 30], "id": 1}


async def answered(house: House) -> None:
    """Both phones answer, while somebody waits."""
    for _ in range(100):
        await asyncio.sleep(0)
    [dialog] = [dialog for batch in house.table.iter_pairs() for dialog, _ in batch]
    order = dialog.termination
    assert order is not None
    for side in order.sides:
        Terminations(house.table).record(order, side, "200")


async def test_json_rpc_waits_and_lets_others_go_first(house: House) -> None:
    rpc = JsonRpc(house.dispatcher, max_batch=10, max_depth=10)
    task = asyncio.create_task(answer_decoded(rpc, KILL, lambda _token: ME))
    other = {"jsonrpc": "2.0", "method": "core.version", "id": 2}
    reply = await answer_decoded(rpc, other, lambda _token: ME)
    assert isinstance(reply, dict)
    assert "result" in reply
    await answered(house)
    async with asyncio.timeout(5):
        reply = await task
    assert isinstance(reply, dict)
    assert [leg["outcome"] for leg in reply["result"]["legs"]] == ["200", "200"]
    assert msgspec.json.encode(reply)


async def test_binrpc_waits(house: House) -> None:
    answers = Answers(house.dispatcher, 10_000)
    packet = call("dlg.kill", "a@x", "late", 30)
    task = asyncio.create_task(answers.answer(packet, ME, 10_000))
    await answered(house)
    async with asyncio.timeout(5):
        data, whole = await task
    assert whole
    assert data.count(b"200\0") == 2


def test_mi_tells_at_once(house: House) -> None:
    binding = MiBinding(Dispatcher(build_registry(), house.context))
    params = (MiParam(None, "a@x"), MiParam("wait", "30"), MiParam("reason", "late"))
    reply = binding(MiRequest("dlg_kill", params, "r"))
    assert (reply.code, reply.text, list(reply.nodes)) == (200, "OK", [])
    assert house.terminator.ordered[0].view.reason == "late"


async def test_candidates_of_a_kill_are_shown(house: House) -> None:
    house.call("a@x", "two")
    rpc = JsonRpc(house.dispatcher, max_batch=10, max_depth=10)
    reply = await rpc.handle(KILL, ME)
    assert isinstance(reply, dict)
    assert reply["error"]["code"] == 409
    tags = [each.caller.tag for each in reply["error"]["data"]["candidates"]]
    assert tags == ["uac-1", "two"]
    binding = MiBinding(house.dispatcher)
    shown = binding(MiRequest("dlg_kill", (MiParam(None, "a@x"),), "r"))
    assert shown.code == 409
    assert [str(each).count("from_tag") for each in shown.nodes] == [1, 1]
