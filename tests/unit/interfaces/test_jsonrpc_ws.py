"""JSON-RPC over WebSocket, with aiohttp's own client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgpack  # type: ignore[import-untyped]
import pytest
from aiohttp import ClientWebSocketResponse, WSMsgType, WSServerHandshakeError

from dlgmgmt.interfaces import jsonrpc_ws, tokens
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.rpc_door import answer
from tests.unit.commands.harness import House
from tests.unit.interfaces.test_http import Client, eventually, request, serving


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    async with serving(house) as running:
        yield running


async def ask(socket: ClientWebSocketResponse, value: Any) -> Any:
    await socket.send_str(value if isinstance(value, str) else json.dumps(value))
    return json.loads(await socket.receive_str(timeout=10))


@pytest.mark.parametrize("path", ["/RPC", "/jsonrpc"])
async def test_a_call_is_listed_looked_up_and_ended(
    path: str, house: House, client: Client
) -> None:
    dialog = house.call("a@x", "one")
    async with client.session.ws_connect(client.base + path) as socket:
        [item] = (await ask(socket, request("dlg.list")))["result"]
        assert (await ask(socket, request("dlg.dlg_list", "a@x")))["result"] == item
        ended = await ask(socket, request("dlg.end_dlg", dialog.entry.index, dialog.h_id))
        assert "result" in ended
        assert len(house.terminator.ordered) == 1


async def test_binary_messages_are_msgpack(house: House, client: Client) -> None:
    house.call("a@x")
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        await socket.send_bytes(msgpack.packb(request("dlg.list")))
        answer = msgpack.unpackb(await socket.receive_bytes(timeout=10))
        assert answer["result"][0]["call-id"] == "a@x"
        await socket.send_bytes(b"{}")
        assert msgpack.unpackb(await socket.receive_bytes(timeout=10))["error"]["code"] == -32700
        assert (await ask(socket, request("core.uptime")))["id"] == 1


async def test_batches_notifications_and_what_is_no_request(house: House, client: Client) -> None:
    dialog = house.call("a@x")
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        batch = [request("core.uptime", request_id=1), request("nope", request_id=2)]
        assert [each["id"] for each in await ask(socket, batch)] == [1, 2]
        notification = request("dlg.end_dlg", dialog.entry.index, dialog.h_id)
        del notification["id"]
        await socket.send_str(json.dumps(notification))
        # The next answer is that of the next request.
        assert (await ask(socket, "{bad"))["error"]["code"] == -32700
        assert (await ask(socket, "[]"))["error"]["code"] == -32600
        assert len(house.terminator.ordered) == 1


async def test_many_requests_at_once_are_all_answered(client: Client) -> None:
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        for number in range(200):
            await socket.send_str(json.dumps(request("core.uptime", request_id=number)))
        ids = {json.loads(await socket.receive_str(timeout=10))["id"] for _ in range(200)}
        assert ids == set(range(200))


async def test_a_large_listing_is_an_error_that_says_what_to_do(
    house: House, client: Client
) -> None:
    for number in range(6000):
        house.call(f"{number}@x")
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        error = (await ask(socket, request("dlg.list")))["error"]
        assert error["code"] == -32000
        assert "limit and cursor of dlg.query" in error["data"]
        assert (await ask(socket, request("dlg.stats_active")))["result"]["all"] == 6000


async def test_a_listing_of_some_megabytes_is_one_message(house: House, client: Client) -> None:
    for number in range(3000):
        house.call(f"{number}@x")
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        assert len((await ask(socket, request("dlg.list")))["result"]) == 3000


async def test_a_message_that_is_too_large_ends_the_connection(house: House) -> None:
    async with (
        serving(house, max_body=2000) as client,
        client.session.ws_connect(client.base + "/RPC") as socket,
    ):
        await socket.send_str("x" * 3000)
        message = await socket.receive(timeout=10)
        assert message.type is WSMsgType.CLOSE
        assert message.data == 1009


async def test_the_rate_of_one_client_holds_for_its_messages(house: House) -> None:
    async with (
        serving(house, rate=1, burst=5) as client,
        client.session.ws_connect(client.base + "/RPC") as socket,
    ):
        answers = [await ask(socket, request("core.uptime", request_id=n)) for n in range(6)]
        refused = [each for each in answers if "error" in each]
        assert refused
        assert refused[0]["error"]["message"] == "Too many requests"
        assert refused[-1]["id"] == 5


async def test_more_than_some_at_once_wait(
    house: House, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = asyncio.Event()
    under_way = most = 0

    async def slow(*args: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await going.wait()
        under_way -= 1
        return await answer(*args)

    monkeypatch.setattr(jsonrpc_ws, "answer", slow)
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        for number in range(30):
            await socket.send_str(json.dumps(request("core.uptime", request_id=number)))
        await eventually(lambda: under_way == jsonrpc_ws.AT_ONCE)
        going.set()
        ids = {json.loads(await socket.receive_str(timeout=10))["id"] for _ in range(30)}
        assert ids == set(range(30))
        assert most == jsonrpc_ws.AT_ONCE


async def test_a_client_that_leaves_has_its_requests_given_up(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, given_up = asyncio.Event(), asyncio.Event()

    async def endless(*_args: Any) -> Any:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            given_up.set()

    monkeypatch.setattr(jsonrpc_ws, "answer", endless)
    async with client.session.ws_connect(client.base + "/RPC") as socket:
        await socket.send_str(json.dumps(request("core.uptime")))
        async with asyncio.timeout(10):
            await began.wait()
        assert ("websockets", 1) in client.server.counters()
    async with asyncio.timeout(10):
        await given_up.wait()
    await eventually(lambda: ("websockets", 0) in client.server.counters())


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "https://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Authorization": "Bearer wrong"}, 401),
    ],
)
async def test_pages_of_other_sites_and_wrong_tokens_are_refused(
    headers: dict[str, str], status: int, client: Client
) -> None:
    with pytest.raises(WSServerHandshakeError) as refused:
        await client.session.ws_connect(client.base + "/RPC", headers=headers)
    assert refused.value.status == status


async def test_a_page_of_this_server_may_connect(client: Client) -> None:
    async with client.session.ws_connect(
        client.base + "/RPC", headers={"Origin": client.base}
    ) as socket:
        assert (await ask(socket, request("core.uptime")))["id"] == 1
        wrong = await ask(socket, {**request("core.uptime"), "token": "wrong"})
        assert wrong["error"]["code"] == 401


async def test_where_tokens_are_needed_each_message_shows_one(house: House) -> None:
    """A browser cannot send one with the handshake."""
    token = tokens.new_token()
    access = Access(tokens.parse(tokens.line_for("alice", "viewer", token)))
    async with (
        serving(house, access=access) as client,
        client.session.ws_connect(client.base + "/RPC") as socket,
    ):
        assert (await ask(socket, request("core.uptime")))["error"]["code"] == 401
        shown = await ask(socket, {**request("core.uptime"), "token": token})
        assert "uptime" in shown["result"]
        forbidden = await ask(socket, {**request("dlg.end_dlg", 1, 2), "token": token})
        assert forbidden["error"]["code"] == 403


async def test_a_reader_that_stops_is_cut_off_and_nobody_waits_for_it(house: House) -> None:
    for number in range(2500):
        house.call(f"{number}@x")
    async with serving(house, write_timeout=0.2) as client:
        socket = await client.session.ws_connect(client.base + "/RPC", max_msg_size=0)
        for _ in range(10):
            await socket.send_str(json.dumps(request("dlg.list")))
        # Nothing is read from here on: the client's own reader is paused.
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await eventually(lambda: dict(client.server.counters())["slow_readers"] >= 1)
        assert (await client.rpc(request("dlg.stats_active")))["result"]["all"] == 2500
        transport.abort()


async def test_stopping_says_goodbye(house: House) -> None:
    async with serving(house) as client:
        socket = await client.session.ws_connect(client.base + "/RPC")
        assert (await ask(socket, request("core.uptime")))["id"] == 1
        stopping = asyncio.create_task(client.server.stop())
        message = await socket.receive(timeout=10)
        assert (message.type, message.data) == (WSMsgType.CLOSE, 1001)
        await stopping


async def test_stopping_does_not_wait_for_a_reader_that_has_stopped(house: House) -> None:
    for number in range(2500):
        house.call(f"{number}@x")
    async with serving(house) as client:
        socket = await client.session.ws_connect(client.base + "/RPC", max_msg_size=0)
        for _ in range(10):
            await socket.send_str(json.dumps(request("dlg.list")))
        assert socket._response.connection is not None
        transport = socket._response.connection.transport
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()
        await eventually(lambda: dict(client.server.counters())["websockets"] == 1)
        # One answer has begun, and its lock is held.
        await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            await client.server.stop()
        transport.abort()
