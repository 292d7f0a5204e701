"""What is written down of a command, and of which commands anything is."""

from __future__ import annotations

from typing import Any

import pytest

from dlgmgmt.commands.audit import MAX_ARGUMENTS, MAX_TEXT, AuditRecord
from dlgmgmt.commands.binding import Argument
from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from tests.unit.commands.harness import NOW, House

RPC, MI = MgmtProtocol.RPC, MgmtProtocol.MI
ALICE = Caller("http x", user="alice", door="http", address="127.0.0.1:4000", role="admin")
VIEWER = Caller("http y", frozenset({"view"}), user="bob", role="viewer")


class Kept:
    """An audit that keeps what it is told."""

    def __init__(self) -> None:
        self.records: list[AuditRecord] = []

    def record(self, entry: AuditRecord) -> None:
        self.records.append(entry)


class Desk:
    """A dispatcher with an audit, and one call to end."""

    def __init__(self) -> None:
        self.house = House()
        self.kept = Kept()
        self.dispatcher = Dispatcher(build_registry(), self.house.context, self.kept)
        self.dialog = self.house.call("a@x", "one")

    def call(
        self,
        name: str,
        *values: object,
        caller: Caller = ALICE,
        protocol: MgmtProtocol = RPC,
        **named: object,
    ) -> CommandError | None:
        arguments: list[Argument] = [(None, value) for value in values]
        arguments += named.items()
        try:
            self.dispatcher.call(protocol, name, arguments, caller)
        except CommandError as error:
            return error
        return None

    @property
    def one(self) -> AuditRecord:
        [record] = self.kept.records
        return record


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_kill_by_tags(desk: Desk) -> None:
    assert desk.call("dlg.terminate_dlg", "a@x", "one", "uas5190-1") is None
    record = desk.one
    assert record.time == NOW
    assert (record.user, record.role, record.door) == ("alice", "admin", "http")
    assert (record.address, record.command) == ("127.0.0.1:4000", "dlg.terminate_dlg")
    entry = desk.dialog.entry.index
    assert record.target == {
        "callid": "a@x",
        "from_tag": "one",
        "to_tag": "uas5190-1",
        "h_entry": entry,
        "h_id": desk.dialog.h_id,
    }
    assert (record.code, record.text) == (200, "OK")
    assert record.terminations == (desk.house.terminator.ordered[0].view.id,)


def test_a_kill_by_numbers_names_the_call_too(desk: Desk) -> None:
    numbers: dict[str, Any] = {"h_entry": desk.dialog.entry.index, "h_id": desk.dialog.h_id}
    assert desk.call("dlg.end_dlg", **numbers) is None
    assert desk.one.target == {"callid": "a@x", "from_tag": "one", **numbers}
    assert desk.one.arguments == numbers


def test_the_name_is_that_of_the_protocol(desk: Desk) -> None:
    assert desk.call("dlg_terminate_dlg", "a@x", "one", "uas5190-1", protocol=MI) is None
    assert desk.one.command == "dlg_terminate_dlg"


@pytest.mark.parametrize(
    ("values", "caller", "code", "target"),
    [
        (
            ("a@x", "one", "other"),
            ALICE,
            404,
            {"callid": "a@x", "from_tag": "one", "to_tag": "other"},
        ),
        (
            ("b@x", "one", "other"),
            ALICE,
            500,
            {"callid": "b@x", "from_tag": "one", "to_tag": "other"},
        ),
        (("a@x",), ALICE, 400, {}),
        (("a@x", "one", "uas5190-1"), VIEWER, 403, {}),
    ],
)
def test_what_is_refused_is_written_down(
    desk: Desk, values: tuple[str, ...], caller: Caller, code: int, target: dict[str, Any]
) -> None:
    error = desk.call("dlg.terminate_dlg", *values, caller=caller)
    assert error is not None
    record = desk.one
    assert (record.code, record.text) == (error.code, error.text)
    assert record.code == code
    assert record.target == target
    assert [*record.arguments.values()] == [*values]
    assert record.terminations == ()


def test_what_only_looks_is_not(desk: Desk) -> None:
    for name in ("dlg.list", "dlg.stats_active", "core.version", "no.such"):
        desk.call(name)
    desk.call("dlg.dlg_list", "a@x")
    desk.call("dlg.termination", 1, caller=VIEWER)
    assert desk.kept.records == []


def test_a_handler_that_breaks_is_written_down(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(desk.house.terminator, "by_tags", broken)
    assert desk.call("dlg.terminate_dlg", "a@x", "one", "uas5190-1") is not None
    assert (desk.one.code, desk.one.text) == (-32603, "Internal error")


def test_a_command_for_all_writes_down_each_and_itself(desk: Desk) -> None:
    desk.house.call("b@x", "two")
    assert desk.call("dlg2.end_all_active_dlg") is None
    *each, itself = desk.kept.records
    assert sorted(str(record.target["callid"]) for record in each) == ["a@x", "b@x"]
    ids = [order.view.id for order in desk.house.terminator.ordered]
    assert sorted(number for record in each for number in record.terminations) == sorted(ids)
    assert itself.terminations == ()
    assert {(record.command, record.user) for record in desk.kept.records} == {
        ("dlg2.end_all_active_dlg", "alice")
    }


def test_hostile_arguments_are_bounded(desk: Desk) -> None:
    deep: list[object] = []
    for _ in range(10_000):
        deep = [deep]
    desk.call(
        "dlg.terminate_dlg", "x" * 100_000, 1 << 5000, deep, {"a": 1}, float("nan"), None, True
    )
    values = [*desk.one.arguments.values()]
    assert values[0] == "x" * MAX_TEXT + "... (100000 characters)"
    assert values[1:] == ["a large number", "an array", "an object", "nan", None, True]
    desk.kept.records.clear()
    desk.call("dlg.terminate_dlg", *range(1000))
    assert len(desk.one.arguments) == MAX_ARGUMENTS + 1
    desk.kept.records.clear()
    strange: dict[str, Any] = {"n" * 100_000: "x"}
    desk.call("dlg.terminate_dlg", **strange)
    [name] = desk.one.arguments
    assert len(name) < 600
