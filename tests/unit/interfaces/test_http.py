"""The HTTP interface over real sockets on loopback."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgpack  # type: ignore[import-untyped]
import pytest
from aiohttp import ClientSession, ClientTimeout

from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.views import DialogView, Snapshot
from dlgmgmt.interfaces.http import HttpServer
from dlgmgmt.interfaces.rpc_items import dialog_item
from dlgmgmt.interfaces.rpc_render import JSON
from dlgmgmt.interfaces.settings import HttpSettings
from tests.unit.commands.harness import NOW, House

MSGPACK = {"Content-Type": "application/msgpack"}


def request(method: str, *params: object, request_id: object = 1) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": [*params], "id": request_id}


class Client:
    """A session with a running server."""

    def __init__(self, server: HttpServer, session: ClientSession) -> None:
        self.server = server
        host, port = server.address
        self.base = f"http://{host}:{port}"
        self.session = session

    async def post(
        self, body: Any, path: str = "/RPC", headers: dict[str, str] | None = None
    ) -> tuple[int, bytes, str]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **(headers or {})}
        async with self.session.post(self.base + path, data=data, headers=given) as response:
            return response.status, await response.read(), response.headers.get("Content-Type", "")

    async def rpc(self, body: Any) -> Any:
        status, answer, kind = await self.post(body)
        assert status == 200
        assert kind == "application/json"
        return json.loads(answer)

    async def raw(self, data: bytes, *, until_close: bool = True) -> bytes:
        reader, writer = await asyncio.open_connection(*self.server.address)
        writer.write(data)
        answer = await (reader.read() if until_close else reader.readline())
        writer.close()
        return answer


@asynccontextmanager
async def serving(
    house: House, *, context: CommandContext | None = None, **changes: Any
) -> AsyncIterator[Client]:
    max_msgpack = changes.pop("max_msgpack", 1 << 24)
    access = changes.pop("access", None)
    dispatcher = Dispatcher(build_registry(), context or house.context)
    server = HttpServer(
        HttpSettings(port=0, **changes),
        dispatcher,
        access=access,
        max_msgpack=max_msgpack,
    )
    await server.start()
    try:
        async with ClientSession(timeout=ClientTimeout(total=20)) as session:
            yield Client(server, session)
    finally:
        await server.stop()


@pytest.fixture
def house() -> House:
    return House()


@pytest.fixture
async def client(house: House) -> AsyncIterator[Client]:
    async with serving(house) as running:
        yield running


# -- requests and their envelopes ---------------------------------------------------------------


async def test_a_call_is_listed_looked_up_and_ended(house: House, client: Client) -> None:
    dialog = house.call("a@x", "one")
    [item] = (await client.rpc(request("dlg.list")))["result"]
    assert (item["call-id"], item["state_name"]) == ("a@x", "confirmed")
    assert (await client.rpc(request("dlg.dlg_list", "a@x")))["result"] == item
    assert (await client.rpc(request("dlg.dlg_list", "b@x")))["result"] == {}
    ordered = (await client.rpc(request("dlg.end_dlg", dialog.entry.index, dialog.h_id)))["result"]
    assert [side["method"] for side in ordered["legs"]] == ["BYE", "BYE"]
    status = (await client.rpc(request("dlg.termination", ordered["id"])))["result"]
    assert status["call-id"] == "a@x"
    assert status["legs"] == ordered["legs"]


async def test_an_empty_table_is_an_empty_array(client: Client) -> None:
    assert await client.rpc(request("dlg.list")) == {"jsonrpc": "2.0", "result": [], "id": 1}


async def test_batches_and_notifications(house: House, client: Client) -> None:
    house.call("a@x", "one")
    batch = [
        request("dlg.list", request_id="first"),
        {"jsonrpc": "2.0", "method": "dlg.list"},
        7,
        request("dlg.stats_active", request_id=2),
        request("no.such", request_id=3),
        request("dlg.list", request_id=None),
    ]
    answers = await client.rpc(batch)
    assert [answer["id"] for answer in answers] == ["first", None, 2, 3, None]
    assert answers[0]["result"] == answers[-1]["result"]
    assert answers[0]["result"][0]["call-id"] == "a@x"
    assert answers[2]["result"]["ongoing"] == 1
    note = {"jsonrpc": "2.0", "method": "dlg.list"}
    assert (await client.post(note))[:2] == (204, b"")
    assert (await client.post([note, note]))[:2] == (204, b"")


async def test_a_notification_kills_too(house: House, client: Client) -> None:
    house.call("a@x", "one")
    params = {"callid": "a@x", "from_tag": "one", "to_tag": "uas5190-1"}
    note = {"jsonrpc": "2.0", "method": "dlg.terminate_dlg", "params": params}
    assert (await client.post(note))[0] == 204
    assert len(house.terminator.ordered) == 1


async def test_the_alias_and_other_spellings_of_json(client: Client) -> None:
    body = request("core.version")
    for kind in ("application/json; charset=utf-8", "application/json-rpc", "Application/JSON"):
        assert (await client.post(body, "/jsonrpc", {"Content-Type": kind}))[0] == 200
    data = json.dumps(body).encode()
    answer = await client.raw(
        b"POST /RPC HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n\r\n%s" % (len(data), data)
    )
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"dlgmgmt 0.1.0" in answer


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"jsonrpc":"2.0","method":',
        b'{"jsonrpc":"2.0","method":"core.version","id":1} xyz',
        b"\xff\xfe",
        b'{"jsonrpc":"2.0","method":"core.version","id":NaN}',
        b'{"jsonrpc":"2.0","method":"core.version","id":1e999}',
        b'["\\ud800"]',
        b"[" * 500_000,
        b'{"a":' * 100_000,
        b"9" * 100_000,
    ],
    ids=lambda body: repr(body[:20]),
)
async def test_what_is_no_json_is_a_parse_error(client: Client, body: bytes) -> None:
    status, answer, _ = await client.post(body)
    response = json.loads(answer)
    assert status == 200
    # A number of 100,000 digits is JSON, though no request.
    assert response["error"]["code"] in ((-32700, -32600) if body[:1] == b"9" else (-32700,))
    assert response["id"] is None
    assert "Traceback" not in answer.decode()


async def test_the_last_of_duplicate_keys_counts(client: Client) -> None:
    body = b'{"jsonrpc":"2.0","method":"no.such","method":"core.version","id":1,"id":2}'
    _, answer, _ = await client.post(body)
    assert json.loads(answer)["id"] == 2


# -- msgpack ------------------------------------------------------------------------------------


async def test_msgpack_there_and_back(house: House, client: Client) -> None:
    for number in range(40):
        house.call(f"{number}@x")
    status, answer, kind = await client.post(msgpack.packb(request("dlg.list")), headers=MSGPACK)
    assert (status, kind) == (200, "application/msgpack")
    decoded = msgpack.unpackb(answer)
    assert decoded == await client.rpc(request("dlg.list"))
    batch = [request("dlg.list", request_id="x"), request("dlg.stats_active", request_id=2)]
    _, answer, _ = await client.post(msgpack.packb(batch), headers=MSGPACK)
    assert msgpack.unpackb(answer) == await client.rpc(batch)


async def test_accept_chooses_the_encoding_of_the_answer(client: Client) -> None:
    body = request("core.version")
    packed = msgpack.packb(body)
    wants_msgpack = {"Accept": "text/html, application/msgpack;q=0.9"}
    status, answer, kind = await client.post(body, headers=wants_msgpack)
    assert (status, kind) == (200, "application/msgpack")
    assert msgpack.unpackb(answer)["result"].startswith("dlgmgmt")
    _, answer, kind = await client.post(packed, headers={**MSGPACK, "Accept": "application/json"})
    assert kind == "application/json"
    assert json.loads(answer)["id"] == 1


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", -32700),
        (b"\xc1", -32700),
        (b"\x91" * 500_000, -32700),
        (b"\xdd\xff\xff\xff\xff", -32700),
        (b"\x81\x81\x01\x02\x01", -32700),
        (b"\xa1\xff", -32700),
        (msgpack.packb({b"jsonrpc": b"2.0"}), -32600),
        (msgpack.packb(request("dlg.list", request_id=float("nan"))), -32600),
        (msgpack.packb(request("dlg.list", request_id=b"x")), -32600),
        (msgpack.packb({**request("dlg.dlg_list"), "params": {1: "x"}}), -32602),
        (msgpack.packb({**request("dlg.dlg_list"), "params": {b"callid": "x"}}), -32602),
        (msgpack.packb(request("dlg.dlg_list", msgpack.ExtType(5, b"x"))), -32602),
        (msgpack.packb(request("dlg.dlg_list", msgpack.Timestamp(1, 2))), -32602),
        (msgpack.packb(request("dlg.end_dlg", float("nan"), 1)), 500),
    ],
    ids=repr,
)
async def test_odd_msgpack_is_answered_in_msgpack(client: Client, body: bytes, code: int) -> None:
    status, answer, kind = await client.post(body, headers=MSGPACK)
    assert (status, kind) == (200, "application/msgpack")
    assert msgpack.unpackb(answer)["error"]["code"] == code


async def test_a_msgpack_listing_beyond_its_limit_is_refused_whole(house: House) -> None:
    for number in range(60):
        house.call(f"{number}@x")
    async with serving(house, max_msgpack=20_000) as client:
        batch = [request("dlg.list"), request("dlg.stats_active", request_id=2)]
        _, answer, _ = await client.post(msgpack.packb(batch), headers=MSGPACK)
        refused, counted = msgpack.unpackb(answer)
        assert refused["error"]["code"] == -32000
        assert "dlg.dlg_list" in refused["error"]["data"]
        assert counted["result"]["all"] == 60
        assert len((await client.rpc(request("dlg.list")))["result"]) == 60


# -- listings -----------------------------------------------------------------------------------


async def test_a_streamed_listing_is_the_same_as_one_rendered_whole(
    house: House, client: Client
) -> None:
    for number in range(10_000):
        house.call(f"{number}@x")
    views = [view for batch in house.table.iter_views() for view in batch]
    items = [dialog_item(view, int(NOW)) for view in views]
    whole = b'{"jsonrpc":"2.0","result":' + JSON.encode(items) + b',"id":"abc"}'
    status, answer, _ = await client.post(request("dlg.list", request_id="abc"))
    assert status == 200
    assert answer == whole
    first, second = await client.rpc([request("dlg.list"), request("dlg.list", request_id=2)])
    assert len(first["result"]) == len(second["result"]) == 10_000


async def test_other_requests_run_during_a_listing_and_dialogs_may_come_and_go(
    house: House, client: Client
) -> None:
    for number in range(5_000):
        house.call(f"{number}@x")
    body = json.dumps(request("dlg.list")).encode()
    url = client.base + "/RPC"
    headers = {"Content-Type": "application/json"}
    async with client.session.post(url, data=body, headers=headers) as response:
        await response.content.read(100)
        stats = await client.rpc(request("dlg.stats_active"))
        assert stats["result"]["all"] == 5_000
        for number in range(100):
            params = [f"{number}@x", "uac-1", "uas5190-1"]
            await client.rpc(request("dlg.terminate_dlg", *params))
            house.call(f"new-{number}@x")
        rest = await response.content.read()
    assert rest.endswith(b'],"id":1}')


@pytest.mark.parametrize("count", [0, 1, 2_000])
async def test_a_listing_within_an_object(house: House, client: Client, count: int) -> None:
    for number in range(count):
        house.call(f"{number}@x")
    asked = request("dlg2.list")
    shown = await client.rpc(asked)
    assert list(shown["result"]) == ["Size", "Dialogs"]
    assert len(shown["result"]["Dialogs"]) == count
    _, answer, _ = await client.post(msgpack.packb(asked), headers=MSGPACK)
    assert msgpack.unpackb(answer) == shown


async def test_hostile_text_is_valid_json_on_the_wire(house: House, client: Client) -> None:
    raw = b'\xff\x1b[2J"\r\n'.decode("utf-8", "surrogateescape")
    for number in range(300):
        house.call(f"{number}@x")
    house.invite("evil@x" + raw, raw, contact=raw)
    _, answer, _ = await client.post(request("dlg.list"))
    assert not any(byte < 0x20 for byte in answer)
    items = json.loads(answer)["result"]
    assert len(items) == 301
    [evil] = [item for item in items if item["call-id"].startswith("evil@x")]
    assert evil["call-id"] == 'evil@x\ufffd\x1b[2J"\r\n'


T = TypeVar("T")


class Breaking:
    """A table whose listing fails after ``good`` batches."""

    def __init__(self, house: House, good: int) -> None:
        self._house = house
        self._good = good

    def iter_snapshots(self) -> Iterator[list[Snapshot]]:
        return self._break(self._house.table.iter_snapshots())

    def iter_views(self) -> Iterator[list[DialogView]]:
        return self._break(self._house.table.iter_views())

    def _break(self, batches: Iterator[list[T]]) -> Iterator[list[T]]:
        for number, batch in enumerate(batches):
            if number == self._good:
                raise RuntimeError("secret of the table")
            yield batch

    def __getattr__(self, name: str) -> Any:
        return getattr(self._house.table, name)


def breaking(house: House, good: int) -> CommandContext:
    for number in range(3_000):
        house.call(f"{number}@x")
    return CommandContext(Breaking(house, good), house.terminator, lambda: NOW, NOW, "0")


async def test_a_listing_that_cannot_begin_is_an_error(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(house, context=breaking(house, 0)) as client:
        response = await client.rpc(request("dlg.list"))
        assert response["error"] == {"code": -32603, "message": "Internal error"}
        _, packed, _ = await client.post(msgpack.packb(request("dlg.list")), headers=MSGPACK)
        assert msgpack.unpackb(packed)["error"]["code"] == -32603
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 2


async def test_a_listing_that_breaks_off_is_never_taken_for_whole(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(house, context=breaking(house, 10)) as client:
        body = json.dumps(request("dlg.list")).encode()
        answer = await client.raw(
            b"POST /RPC HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert not answer.endswith(b"0\r\n\r\n")
        assert b"secret" not in answer
    assert "broke off" in caplog.text


async def test_a_reader_that_stops_is_cut_off_and_nobody_waits_for_it(house: House) -> None:
    for number in range(15_000):
        house.call(f"{number}@x")
    async with serving(house, write_timeout=0.2) as client:
        body = json.dumps(request("dlg.list")).encode()
        reader, writer = await asyncio.open_connection(*client.server.address, limit=1024)
        writer.write(
            b"POST /RPC HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%s"
            % (len(body), body)
        )
        await reader.readline()
        assert (await client.rpc(request("dlg.stats_active")))["result"]["all"] == 15_000

        def cut_off() -> bool:
            return ("slow_readers", 1) in client.server.counters()

        await eventually(cut_off)
        writer.transport.abort()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - a counter of the server has no event
            await asyncio.sleep(0.01)


# -- limits and guards --------------------------------------------------------------------------


async def test_methods_paths_and_types_that_are_not_served(client: Client) -> None:
    async with client.session.get(client.base + "/RPC") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "POST"
        assert response.headers["Server"] == "dlgmgmt"
    assert (await client.post(request("core.version"), "/nope"))[0] == 404
    for headers in (
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Encoding": "gzip"},
    ):
        assert (await client.post(request("core.version"), headers=headers))[0] == 415


async def test_the_body_has_a_limit(house: House) -> None:
    async with serving(house, max_body=1000) as client:
        assert (await client.post(b" " * 900 + b"{}"))[0] == 200
        assert (await client.post(b"x" * 1001))[0] == 413
        chunked = await client.raw(
            b"POST /RPC HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"800\r\n" + b"x" * 2048 + b"\r\n0\r\n\r\n"
        )
        assert chunked.startswith(b"HTTP/1.1 413 ")


async def test_batch_and_depth_limits_are_the_settings(house: House) -> None:
    async with serving(house, max_batch=3, max_depth=4) as client:
        assert len(await client.rpc([request("core.version")] * 3)) == 3
        assert (await client.rpc([request("core.version")] * 4))["error"]["code"] == -32600
        assert (await client.rpc(request("core.version", [[[]]])))["error"]["code"] == -32600


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1:8080", True),
        ("localhost", True),
        ("LOCALHOST.:80", True),
        ("[::1]:8080", True),
        ("proxy.example.com:8080", True),
        ("192.0.2.1", True),
        ("evil.example.com", False),
        ("evil.example.com:8080", False),
        ("127.0.0.1.evil.example.com", False),
        ("a@127.0.0.1", False),
        ("[evil]", False),
    ],
)
async def test_the_host_header_must_name_this_server(
    house: House, host: str, *, allowed: bool
) -> None:
    async with serving(house, host_names=("Proxy.example.com",)) as client:
        status, _, _ = await client.post(request("core.version"), headers={"Host": host})
        assert status == (200 if allowed else 403)


@pytest.mark.parametrize(
    ("headers", "allowed"),
    [
        ({}, True),
        ({"Origin": "http://localhost:1"}, True),
        ({"Origin": "http://localhost:2"}, False),
        ({"Origin": "https://evil.example.com"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": "http://[bad"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://localhost:1"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
    ],
    ids=str,
)
async def test_pages_of_other_sites_are_refused(
    house: House, client: Client, headers: dict[str, str], *, allowed: bool
) -> None:
    house.call("a@x", "one")
    body = request("dlg.terminate_dlg", "a@x", "one", "uas5190-1")
    status, _, _ = await client.post(body, headers={"Host": "localhost:1", **headers})
    assert status == (200 if allowed else 403)
    assert len(house.terminator.ordered) == (1 if allowed else 0)


async def test_a_page_without_an_origin_is_refused_without_a_host_too(client: Client) -> None:
    head = "POST /RPC HTTP/1.0\r\nContent-Type: application/json\r\nOrigin: null\r\n"
    answer = await client.raw(f"{head}Content-Length: 2\r\n\r\n[]".encode())
    assert answer.startswith((b"HTTP/1.0 403 ", b"HTTP/1.1 403 "))


async def test_connections_beyond_the_limit_are_answered_503(house: House) -> None:
    async with serving(house, max_connections=3) as client:
        held = [await asyncio.open_connection(*client.server.address) for _ in range(3)]
        answer = await client.raw(b"POST /RPC HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert ("refused_connections", 1) in client.server.counters()
        for _, writer in held:
            writer.close()
            await writer.wait_closed()

        async def served() -> bool:
            status, _, _ = await client.post(request("core.version"))
            return status == 200

        async with asyncio.timeout(10):
            while not await served():  # noqa: ASYNC110 - the server closes in its own time
                await asyncio.sleep(0.01)


async def test_a_client_that_sends_nothing_or_half_is_let_go(house: House) -> None:
    async with serving(house, read_timeout=0.1) as client:
        assert await client.raw(b"") == b""
        assert await client.raw(b"POST /RPC HTTP/1.1\r\nHost: loc") == b""
        half = await client.raw(
            b"POST /RPC HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{"
        )
        assert half.startswith(b"HTTP/1.1 408 ")


async def test_http_1_0_gets_a_whole_listing(house: House, client: Client) -> None:
    for number in range(500):
        house.call(f"{number}@x")
    body = json.dumps(request("dlg.list")).encode()
    answer = await client.raw(
        b"POST /RPC HTTP/1.0\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    )
    head, _, text = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200 OK")
    assert len(json.loads(text)["result"]) == 500


async def test_the_description_is_served(client: Client) -> None:
    async with client.session.get(client.base + "/openapi.json") as response:
        assert response.status == 200
        assert "/RPC" in (await response.json())["paths"]


async def test_start_and_stop_are_clean(house: House, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(house) as client:
        host, port = client.server.address
        second = HttpServer(HttpSettings(host=host, port=port), house.dispatcher)
        with pytest.raises(OSError, match="Address already in use"):
            await second.start()
        await second.stop()
        with pytest.raises(RuntimeError):
            second.address  # noqa: B018 - asking is the test
        reader, writer = await asyncio.open_connection(host, port)
    assert await reader.read() == b""
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, port)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_many_clients_at_once_each_get_their_own_answer(house: House, client: Client) -> None:
    for number in range(100):
        house.call(f"{number}@x")

    async def one(number: int) -> None:
        found = await client.rpc(request("dlg.dlg_list", f"{number}@x", request_id=number))
        assert found["id"] == number
        assert found["result"]["call-id"] == f"{number}@x"
        params = [f"{number}@x", "uac-1", "uas5190-1"]
        assert "result" in await client.rpc(request("dlg.terminate_dlg", *params))

    await asyncio.gather(*(one(number) for number in range(100)))
    assert len({order.view.callid for order in house.terminator.ordered}) == 100
