"""JSON-RPC 2.0 on decoded objects: the specification's own examples, and what breaks others."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.registry import Call, Command, Example, Param, Registry
from dlgmgmt.commands.results import DialogListing
from dlgmgmt.interfaces import jsonrpc, rpc_render
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from tests.unit.commands.harness import ME, House

ANSWERED: list[str] = []


def row(name: str, handler: Callable[[Call], Any], *params: Param) -> Command:
    return Command(
        (), (name,), params, "view", "Of the examples.", handler, "Version", Example((), "")
    )


def number(name: str) -> Param:
    return Param(name, "integer", "a number")


def note(call: Call) -> None:
    ANSWERED.append(str(dict(call.values)))


def fail(call: Call) -> None:
    raise KeyError("secret of the handler")


EXAMPLES = Registry(
    [
        row(
            "subtract",
            lambda call: call.number("minuend") - call.number("subtrahend"),
            number("minuend"),
            number("subtrahend"),
        ),
        row(
            "sum",
            lambda call: int(call.text("first")) + sum(map(int, call.further)),
            Param("first", "string", "the first", variadic=True),
        ),
        row("update", note, *(number(f"n{i}") for i in range(5))),
        row("notify_sum", note, *(number(f"n{i}") for i in range(3))),
        row("notify_hello", note, number("n")),
        row("get_data", lambda _call: ["hello", 5]),
        row("fail", fail),
    ]
)


@pytest.fixture
def rpc(monkeypatch: pytest.MonkeyPatch) -> JsonRpc:
    # The methods of the specification answer plain values, no records of this program.
    monkeypatch.setattr(jsonrpc, "render", lambda result: result)
    ANSWERED.clear()
    return JsonRpc(Dispatcher(EXAMPLES, House().context), max_batch=10, max_depth=8)


@pytest.fixture
def real() -> JsonRpc:
    house = House()
    house.call("a@x", "one")
    return JsonRpc(house.dispatcher, max_batch=10, max_depth=8)


def code(response: Any) -> Any:
    assert set(response) == {"jsonrpc", "error", "id"}
    return response["error"]["code"]


@pytest.mark.parametrize(
    ("request_text", "response_text"),
    [
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": [42, 23], "id": 1}',
            '{"jsonrpc": "2.0", "result": 19, "id": 1}',
        ),
        (
            '{"jsonrpc": "2.0", "method": "subtract", "params": [23, 42], "id": 2}',
            '{"jsonrpc": "2.0", "result": -19, "id": 2}',
        ),
        (
            (
                '{"jsonrpc": "2.0", "method": "subtract", "params": {"subtrahend": 23,'
                ' "minuend": 42}, "id": 3}'
            ),
            '{"jsonrpc": "2.0", "result": 19, "id": 3}',
        ),
        (
            (
                '{"jsonrpc": "2.0", "method": "subtract", "params": {"minuend": 42,'
                ' "subtrahend": 23}, "id": 4}'
            ),
            '{"jsonrpc": "2.0", "result": 19, "id": 4}',
        ),
        ('{"jsonrpc": "2.0", "method": "update", "params": [1,2,3,4,5]}', "null"),
        ('{"jsonrpc": "2.0", "method": "foobar"}', "null"),
        (
            '{"jsonrpc": "2.0", "method": "foobar", "id": "1"}',
            (
                '{"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"},'
                ' "id": "1"}'
            ),
        ),
        (
            '{"jsonrpc": "2.0", "method": 1, "params": "bar"}',
            (
                '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"},'
                ' "id": null}'
            ),
        ),
        (
            "[]",
            (
                '{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"},'
                ' "id": null}'
            ),
        ),
        (
            "[1]",
            (
                '[{"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"},'
                ' "id": null}]'
            ),
        ),
        (
            "[1,2,3]",
            "["
            + ",".join(
                ['{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}']
                * 3
            )
            + "]",
        ),
        (
            """[
            {"jsonrpc": "2.0", "method": "sum", "params": [1,2,4], "id": "1"},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]},
            {"jsonrpc": "2.0", "method": "subtract", "params": [42,23], "id": "2"},
            {"foo": "boo"},
            {"jsonrpc": "2.0", "method": "foo.get", "params": {"name": "myself"}, "id": "5"},
            {"jsonrpc": "2.0", "method": "get_data", "id": "9"}
            ]""",
            """[
            {"jsonrpc": "2.0", "result": 7, "id": "1"},
            {"jsonrpc": "2.0", "result": 19, "id": "2"},
            {"jsonrpc": "2.0", "error": {"code": -32600, "message": "Invalid Request"}, "id": null},
            {"jsonrpc": "2.0", "error": {"code": -32601, "message": "Method not found"}, "id": "5"},
            {"jsonrpc": "2.0", "result": ["hello", 5], "id": "9"}
            ]""",
        ),
        (
            """[
            {"jsonrpc": "2.0", "method": "notify_sum", "params": [1,2,4]},
            {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
            ]""",
            "null",
        ),
    ],
)
def test_the_examples_of_section_7(rpc: JsonRpc, request_text: str, response_text: str) -> None:
    response: Any = asyncio.run(rpc.handle(json.loads(request_text), ME))
    for member in response if isinstance(response, list) else [response]:
        if member is not None and "error" in member:
            # The examples have no data member, which section 5.1 leaves to the server.
            member["error"].pop("data", None)
    assert response == json.loads(response_text)


def test_notifications_are_carried_out(rpc: JsonRpc) -> None:
    asyncio.run(rpc.handle({"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}, ME))
    assert ANSWERED == ["{'n': 7}"]


def test_one_bad_member_fails_alone(rpc: JsonRpc) -> None:
    good = {"jsonrpc": "2.0", "method": "subtract", "params": [3, 1], "id": 1}
    bad: list[Any] = [
        None,
        [],
        [good],
        "x",
        {},
        {**good, "jsonrpc": "1.0"},
        {**good, "params": "x"},
        {**good, "id": []},
    ]
    responses: Any = asyncio.run(rpc.handle([*bad, good], ME))
    assert [code(response) for response in responses[:-1]] == [-32600] * len(bad)
    assert responses[-1] == {"jsonrpc": "2.0", "result": 2, "id": 1}


def test_a_handler_that_raises_gives_nothing_away(
    rpc: JsonRpc, caplog: pytest.LogCaptureFixture
) -> None:
    response = asyncio.run(rpc.handle({"jsonrpc": "2.0", "method": "fail", "id": 1}, ME))
    error = {"code": -32603, "message": "Internal error"}
    assert response == {"jsonrpc": "2.0", "error": error, "id": 1}
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


def test_a_result_that_cannot_be_rendered_gives_nothing_away(
    real: JsonRpc, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(result: object) -> object:
        raise ValueError("secret")

    monkeypatch.setattr(jsonrpc, "render", broken)
    response: Any = asyncio.run(
        real.handle({"jsonrpc": "2.0", "method": "core.version", "id": 1}, ME)
    )
    assert response["error"] == {"code": -32603, "message": "Internal error"}
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("params", "detail"),
    [
        ([1], "subtrahend"),
        ([1, 2, 3], "3"),
        ({"minuend": 1}, "subtrahend"),
        ({"minuend": 1, "subtrahend": 2, "other": 3}, "other"),
        ([1, "x"], "subtrahend"),
        ([1, float("nan")], "subtrahend"),
        ([1, {"a": []}], "subtrahend"),
        ({1: 2}, "names"),
        ({b"minuend": 2, "subtrahend": 1}, "names"),
        ({"self": 1, "minuend": 1, "subtrahend": 1}, "self"),
        ({"caller": 1, "name": 1, "request": 1}, "caller"),
    ],
)
def test_invalid_params_say_what_is_wrong(rpc: JsonRpc, params: Any, detail: str) -> None:
    request = {"jsonrpc": "2.0", "method": "subtract", "params": params, "id": 1}
    response: Any = asyncio.run(rpc.handle(request, ME))
    assert code(response) == -32602
    assert detail in response["error"]["data"]
    del request["id"]
    assert asyncio.run(rpc.handle(request, ME)) is None


@pytest.mark.parametrize("request_id", [None, "", "x" * 1000, 0, -1, 2**64 - 1, -(2**63), 1.5])
def test_ids_come_back_as_they_were(rpc: JsonRpc, request_id: object) -> None:
    request = {"jsonrpc": "2.0", "method": "get_data", "id": request_id}
    response: Any = asyncio.run(rpc.handle(request, ME))
    assert response["id"] == request_id
    assert type(response["id"]) is type(request_id)


@pytest.mark.parametrize(
    "request_id", [True, [], {}, 2**64, -(2**63) - 1, float("nan"), float("inf"), b"x", object()]
)
def test_ids_of_a_wrong_type_are_refused(rpc: JsonRpc, request_id: object) -> None:
    response: Any = asyncio.run(
        rpc.handle({"jsonrpc": "2.0", "method": "get_data", "id": request_id}, ME)
    )
    assert code(response) == -32600
    assert response["id"] is None


def test_an_invalid_request_keeps_an_id_that_can_be_read(rpc: JsonRpc) -> None:
    response: Any = asyncio.run(rpc.handle({"jsonrpc": "2.0", "method": None, "id": 9}, ME))
    assert (code(response), response["id"]) == (-32600, 9)


def test_batches_and_depth_have_limits(rpc: JsonRpc) -> None:
    good = {"jsonrpc": "2.0", "method": "get_data", "id": 1}
    full: Any = asyncio.run(rpc.handle([good] * 10, ME))
    assert len(full) == 10
    response: Any = asyncio.run(rpc.handle([good] * 11, ME))
    assert code(response) == -32600
    assert "10" in response["error"]["data"]

    def nested(depth: int) -> Any:
        value: Any = []
        for _ in range(depth - 1):
            value = [value]
        return {**good, "params": value}

    allowed: Any = asyncio.run(rpc.handle(nested(7), ME))
    assert code(allowed) == -32602
    deep: Any = asyncio.run(rpc.handle(nested(8), ME))
    assert code(deep) == -32600
    deepest: Any = asyncio.run(rpc.handle(nested(900), ME))
    assert code(deepest) == -32600


def test_kamailios_own_codes_pass_through(real: JsonRpc) -> None:
    def error(method: str, params: Any) -> Any:
        request = {"jsonrpc": "2.0", "method": method, "params": params, "id": 1}
        response: Any = asyncio.run(real.handle(request, ME))
        return response["error"]["code"], response["error"]["message"]

    assert error("dlg.end_dlg", []) == (500, "Invalid parameters")
    assert error("dlg.end_dlg", [1, 2]) == (404, "Dialog not found")
    few = (400, "Need a Callid ,from tag ,to tag")
    assert error("dlg.terminate_dlg", ["x"]) == few
    unknown = (500, "Couldnt find callid in dialog")
    assert error("dlg.terminate_dlg", {"callid": "x", "from_tag": "y", "to_tag": "z"}) == unknown
    wrong = (404, "Requested Dialog not found")
    assert error("dlg.terminate_dlg", ["a@x", "one", "z"]) == wrong


def test_a_listing_stays_lazy(real: JsonRpc) -> None:
    response: Any = asyncio.run(real.handle({"jsonrpc": "2.0", "method": "dlg.list", "id": 1}, ME))
    assert isinstance(response["result"], DialogListing)


def test_every_refusal_is_one_line_in_the_log(
    real: JsonRpc, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    requests: list[Any] = [
        1,
        [],
        {"jsonrpc": "2.0", "method": "no\x1b[2J", "id": 1},
        {"jsonrpc": "2.0", "method": "dlg.dlg_list", "params": {1: 2}, "id": 1},
        {"jsonrpc": "2.0", "method": "dlg.dlg_list", "id": 1},
    ]
    for request in requests:
        caplog.clear()
        asyncio.run(real.handle(request, ME))
        assert len(caplog.records) == 1
        assert caplog.records[0].getMessage().isprintable()


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
_KEYS = st.text() | st.integers() | st.sampled_from(["jsonrpc", "method", "params", "id"])
_VALUES = st.recursive(
    _SCALARS | st.sampled_from(["2.0", "dlg.list", "dlg.dlg_list", "dlg.end_dlg"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        _VALUES,
        st.fixed_dictionaries(
            {"jsonrpc": st.just("2.0"), "method": st.sampled_from(["dlg.end_dlg", "dlg.dlg_list"])},
            optional={"params": _VALUES, "id": _VALUES},
        ),
    )
)
def test_whatever_comes_is_answered_or_a_notification(real: JsonRpc, request_value: Any) -> None:
    response: Any = asyncio.run(real.handle(request_value, ME))
    for member in response if isinstance(response, list) else [response]:
        if member is not None:
            assert set(member) in ({"jsonrpc", "result", "id"}, {"jsonrpc", "error", "id"})
            if not isinstance(member.get("result"), DialogListing):
                rpc_render.JSON.encode(member)
                rpc_render.MSGPACK.encode(member)


async def test_others_get_their_turn_between_the_members_of_a_batch(rpc: JsonRpc) -> None:
    ANSWERED.clear()
    member = {"jsonrpc": "2.0", "method": "notify_hello", "params": [7]}
    batch = asyncio.create_task(rpc.handle([member] * 10, ME))
    for _ in range(5):
        await asyncio.sleep(0)
    assert 0 < len(ANSWERED) < 10
    assert await batch is None
    assert len(ANSWERED) == 10
