"""The commands about the database, over both protocols, beside one that answers when it is told."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import pytest

from dlgmgmt.commands.audit import AuditRecord
from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol, Refused
from dlgmgmt.commands.results_database import Adoption, DatabaseStatus, Flushed
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.binrpc_answers import Answers
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.interfaces.rpc_door import answer_decoded
from mi_fifo import MiParam, MiRequest
from mi_fifo import render as render_mi
from tests.binrpc import call
from tests.unit.commands.harness import ME, House

RPC = MgmtProtocol.RPC
STATUS = DatabaseStatus(1, "ok", "sqlite:////srv/calls", "one", 3, 12, 40, 200)
NAMES = ("dlg.db_status", "dlg.db_adopt", "dlg.db_flush")


class Base:
    """A database whose orders go on until ``over`` is set. fault: how they end, if badly."""

    def __init__(self) -> None:
        self.found = STATUS
        self.over = False
        self.fault: Refused | None = None
        self.orders: list[object] = []

    def status(self) -> DatabaseStatus:
        return self.found

    def adopt(self, owner: str | None) -> Callable[[], tuple[Adoption, bool]]:
        self.orders.append(owner)

        def look() -> tuple[Adoption, bool]:
            if not self.over:
                return Adoption(owner or "", done=False), False
            if self.fault is not None:
                raise self.fault
            return Adoption(owner or "", True, 5, 1, 2, 0, 3), True

        return look

    def flush(self) -> Callable[[], tuple[Flushed, bool]]:
        self.orders.append("flush")

        def look() -> tuple[Flushed, bool]:
            return Flushed(self.over, 0 if self.over else self.found.waiting), self.over

        return look


class Desk:
    """Doors beside a database, and what is audited."""

    def __init__(self, base: Base | None) -> None:
        self.context: CommandContext = dataclasses.replace(House().context, database=base)
        self.audited: list[AuditRecord] = []
        self.dispatcher = Dispatcher(build_registry(), self.context, self)
        self._rpc = JsonRpc(self.dispatcher, max_batch=10, max_depth=10)

    def record(self, record: AuditRecord) -> None:
        self.audited.append(record)

    async def rpc(self, name: str, *values: object) -> dict[str, Any]:
        request = {"jsonrpc": "2.0", "method": name, "params": [*values], "id": 1}
        reply = await answer_decoded(self._rpc, request, lambda _token: ME)
        assert isinstance(reply, dict)
        found: dict[str, Any] = json.loads(json.dumps(reply))
        return found

    async def result(self, name: str, *values: object) -> Any:
        return (await self.rpc(name, *values))["result"]

    async def error(self, name: str, *values: object) -> tuple[int, str, str]:
        error = (await self.rpc(name, *values))["error"]
        return error["code"], error["message"], error.get("data", "")

    def mi(self, command: str, *values: str) -> str:
        request = MiRequest(command, tuple(MiParam(None, value) for value in values), "reply")
        return b"".join(render_mi(MiBinding(self.dispatcher)(request))).decode()


@pytest.fixture
def base() -> Base:
    return Base()


@pytest.fixture
def desk(base: Base) -> Desk:
    return Desk(base)


async def test_the_status(desk: Desk) -> None:
    assert await desk.result("dlg.db_status") == STATUS._asdict()
    lines = desk.mi("dlg_db_status").splitlines()
    assert lines[:4] == ["200 OK", "mode:: 1", "state:: ok", "url:: sqlite:////srv/calls"]
    assert "oldest_ms:: 12" in lines


async def test_without_a_database() -> None:
    desk = Desk(None)
    status = await desk.result("dlg.db_status")
    assert (status["mode"], status["state"], status["url"]) == (0, "off", "")
    for name, values in (("dlg.db_adopt", ("two",)), ("dlg.db_flush", ())):
        assert await desk.error(name, *values) == (400, "No database (db_mode 0)", "")
        first = desk.mi(name.replace(".", "_"), *values).splitlines()[0]
        assert first == "400 No database (db_mode 0)"


async def test_nothing_is_ordered_while_dialogs_are_loaded(desk: Desk, base: Base) -> None:
    base.found = STATUS._replace(state="loading")
    for name, values in (("dlg.db_adopt", ("two",)), ("dlg.db_flush", ())):
        assert await desk.error(name, *values) == (503, "dialogs are still being loaded", "")
    assert base.orders == []


async def test_an_adoption_is_waited_for(desk: Desk, base: Base) -> None:
    task = asyncio.create_task(desk.result("dlg.db_adopt", "two"))
    await asyncio.sleep(0.05)
    assert not task.done()
    base.over = True
    async with asyncio.timeout(5):
        answer = await task
    assert answer == {
        "owner": "two",
        "done": True,
        "loaded": 5,
        "early": 1,
        "expired": 2,
        "purged": 0,
        "skipped": 3,
    }
    assert base.orders == ["two"]


async def test_one_that_takes_longer_goes_on(desk: Desk, base: Base) -> None:
    for values in (("two", 0), ("", 0)):
        answer = await desk.result("dlg.db_adopt", *values)
        assert (answer["owner"], answer["done"], answer["loaded"]) == (values[0], False, 0)
    assert base.orders == ["two", None], "an empty name stands for dialogs without an owner"


@pytest.mark.parametrize(
    ("failure", "code"),
    [(Failure.OWNER_TAKEN, 409), (Failure.DATABASE, 503), (Failure.NO_ROOM, 503)],
)
async def test_an_adoption_that_fails(desk: Desk, base: Base, failure: Failure, code: int) -> None:
    base.over, base.fault = True, Refused(failure, "two runs")
    found, text, detail = await desk.error("dlg.db_adopt", "two")
    assert found == code
    assert (text, detail) in {("two runs", ""), ("Too many exist", "two runs")}
    data, whole = await Answers(desk.dispatcher, 1000).answer(call("dlg.db_adopt", "two"), ME, 1000)
    assert whole
    assert text.encode() in data


async def test_the_members_of_a_batch_fail_each_by_itself(desk: Desk, base: Base) -> None:
    base.over, base.fault = True, Refused(Failure.OWNER_TAKEN, "two runs")
    batch = [
        {"jsonrpc": "2.0", "method": "dlg.db_adopt", "params": ["two"], "id": 1},
        {"jsonrpc": "2.0", "method": "dlg.db_flush", "id": 2},
    ]
    rpc = JsonRpc(desk.dispatcher, max_batch=10, max_depth=10)
    replies = await rpc.handle(batch, ME)
    assert isinstance(replies, list)
    first, second = replies
    assert first == {"jsonrpc": "2.0", "error": {"code": 409, "message": "two runs"}, "id": 1}
    assert second["result"] == {"done": True, "waiting": 0}


@pytest.mark.parametrize(
    ("values", "what"),
    [
        (("one",), "'one' is this daemon's own name"),
        (("x" * 65,), "owner is an RFC 3261 token of at most 64 characters, or empty"),
        (("a\nb",), "owner is an RFC 3261 token"),
        (("../b",), "owner is an RFC 3261 token"),
        (("two\n",), "owner is an RFC 3261 token"),
        (("two", -1), "wait"),
        (("two", 51), "wait"),
    ],
)
async def test_what_cannot_be_adopted(
    desk: Desk, base: Base, values: tuple[object, ...], what: str
) -> None:
    code, text, detail = await desk.error("dlg.db_adopt", *values)
    assert (code, text) == (-32602, "Invalid params")
    assert what in detail
    assert base.orders == []


async def test_a_flush_says_what_still_waits(desk: Desk, base: Base) -> None:
    assert await desk.result("dlg.db_flush", 0) == {"done": False, "waiting": 3}
    base.over = True
    assert await desk.result("dlg.db_flush") == {"done": True, "waiting": 0}


def test_mi_does_not_wait(desk: Desk, base: Base) -> None:
    assert desk.mi("dlg_db_flush").splitlines()[:3] == ["200 OK", "done:: 0", "waiting:: 3"]
    assert desk.mi("dlg_db_adopt", "two").splitlines()[:3] == ["200 OK", "owner:: two", "done:: 0"]
    assert base.orders == ["flush", "two"]


def test_who_may_do_what_and_what_is_written_of_it(desk: Desk) -> None:
    needed = ("view", "admin", "operate")
    allowed: dict[str, list[str]] = {name: [] for name in NAMES}
    for permissions in (("view",), ("view", "operate"), ("view", "operate", "admin")):
        caller = Caller("test", frozenset(permissions), user="eve", role=permissions[-1])
        for name in NAMES:
            values = [(None, "two")] if name == "dlg.db_adopt" else []
            try:
                desk.dispatcher.call(RPC, name, values, caller)
            except CommandError:
                continue
            allowed[name].append(permissions[-1])
    for name, first in zip(NAMES, needed, strict=True):
        assert allowed[name][0] == first
    written = [(each.command, each.role, each.code, each.arguments) for each in desk.audited]
    assert written == [
        ("dlg.db_adopt", "view", 403, {"1": "two"}),
        ("dlg.db_flush", "view", 403, {}),
        ("dlg.db_adopt", "operate", 403, {"1": "two"}),
        ("dlg.db_flush", "operate", 200, {}),
        ("dlg.db_adopt", "admin", 200, {"owner": "two"}),
        ("dlg.db_flush", "admin", 200, {}),
    ]
