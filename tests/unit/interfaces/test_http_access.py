"""Who may use the HTTP interface, how much of it, and the status of every refusal."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import warnings
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiohttp import (
    ClientConnectorError,
    ClientError,
    ClientSession,
    TCPConnector,
    WSServerHandshakeError,
)

from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.http_limits import MAX_CLIENTS, RequestLimits, client_of
from dlgmgmt.interfaces.tokens import line_for, new_token, parse
from tests.unit.commands.harness import House
from tests.unit.interfaces.test_http import Client, request, serving

VIEWER, OPERATOR = new_token(), new_token()
KNOWN = parse(line_for("grafana", "viewer", VIEWER) + line_for("alice", "operator", OPERATOR))
KILL = ("dlg.terminate_dlg", "a@x", "one", "uas5190-1")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.fixture
def house() -> House:
    house = House()
    house.call("a@x", "one")
    return house


@pytest.fixture
async def guarded(house: House) -> AsyncIterator[Client]:
    async with serving(house, access=Access(KNOWN)) as running:
        yield running


# -- tokens ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        bearer(""),
        bearer(OPERATOR + "x"),
        {"Authorization": OPERATOR},
        {"Authorization": f"Basic {OPERATOR}"},
        {"Authorization": "Bearer"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/RPC", "/jsonrpc"])
async def test_401(house: House, guarded: Client, headers: dict[str, str], path: str) -> None:
    data = json.dumps(request(*KILL)).encode()
    async with guarded.session.post(guarded.base + path, data=data, headers=headers) as answer:
        assert answer.status == 401
        challenge = answer.headers["WWW-Authenticate"]
    assert challenge.startswith('Bearer realm="dlgmgmt"')
    assert ("invalid_token" in challenge) is bool(headers)
    assert house.terminator.ordered == []


async def test_two_tokens_are_none(house: House, guarded: Client) -> None:
    answer = await guarded.raw(
        b"POST /RPC HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\nConnection: close\r\n"
        + f"Authorization: Bearer {OPERATOR}\r\nAuthorization: Bearer x\r\n\r\n".encode()
    )
    assert answer.startswith(b"HTTP/1.1 401 ")


async def test_a_role_bounds_what_may_be_called(house: House, guarded: Client) -> None:
    status, answer, _ = await guarded.post(request("dlg.stats_active"), headers=bearer(VIEWER))
    assert (status, json.loads(answer)["result"]["all"]) == (200, 1)
    status, answer, _ = await guarded.post(request(*KILL), headers=bearer(VIEWER))
    error = json.loads(answer)["error"]
    assert (status, error["code"], error["message"]) == (200, 403, "Forbidden")
    assert error["data"] == "needs the permission operate"
    assert house.terminator.ordered == []
    batch = [request(*KILL), request("dlg.stats_active", request_id=2)]
    _, answer, _ = await guarded.post(batch, headers=bearer(VIEWER))
    refused, counted = json.loads(answer)
    assert (refused["error"]["code"], counted["result"]["all"]) == (403, 1)
    # A notification is not answered, and does nothing either.
    note = {key: value for key, value in request(*KILL).items() if key != "id"}
    assert (await guarded.post(note, headers=bearer(VIEWER)))[0] == 204
    assert house.terminator.ordered == []
    _, answer, _ = await guarded.post(
        request(*KILL), headers={"authorization": f"bEARER {OPERATOR}"}
    )
    assert "result" in json.loads(answer)


async def test_a_token_counts_where_none_is_needed(house: House) -> None:
    async with serving(house, access=Access(KNOWN, "admin")) as client:
        _, answer, _ = await client.post(request(*KILL), headers=bearer(VIEWER))
        assert json.loads(answer)["error"]["code"] == 403
        assert (await client.post(request(*KILL), headers=bearer("wrong")))[0] == 401
        assert "result" in await client.rpc(request(*KILL))


async def test_the_descriptions_are_for_everybody(guarded: Client) -> None:
    for path in ("/openapi.json", "/docs"):
        async with guarded.session.get(guarded.base + path) as answer:
            assert answer.status == 200


async def test_websockets_show_a_token_too(house: House, guarded: Client) -> None:
    url = guarded.base + "/RPC"
    with pytest.raises(WSServerHandshakeError) as caught:
        await guarded.session.ws_connect(url, headers=bearer("wrong"))
    assert caught.value.status == 401
    async with guarded.session.ws_connect(url, headers=bearer(VIEWER)) as socket:
        await socket.send_json(request(*KILL))
        assert (await socket.receive_json())["error"]["code"] == 403
    async with guarded.session.ws_connect(url) as socket:
        await socket.send_json(request(*KILL))
        assert (await socket.receive_json())["error"]["code"] == 401
        await socket.send_json({**request(*KILL), "token": OPERATOR})
        assert "result" in await socket.receive_json()


# -- TLS and certificates --------------------------------------------------------------------------


class Site:
    """Certificates of a server and its clients, on disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.servers, self.clients, self.strangers = (
            trustme.CA(key_type=trustme.KeyType.ECDSA),
            trustme.CA(key_type=trustme.KeyType.ECDSA),
            trustme.CA(key_type=trustme.KeyType.ECDSA),
        )
        self.clients.cert_pem.write_to_path(folder / "clients.pem")
        self.renew()

    def renew(self) -> None:
        leaf = self.servers.issue_cert("127.0.0.1", key_type=trustme.KeyType.ECDSA)
        (self.folder / "http.pem").write_bytes(leaf.cert_chain_pems[0].bytes())
        (self.folder / "http.key").write_bytes(leaf.private_key_pem.bytes())

    @property
    def settings(self) -> dict[str, Any]:
        names = {"certificate": "http.pem", "private_key": "http.key", "client_ca": "clients.pem"}
        return {name: str(self.folder / file) for name, file in names.items()}

    def context(self, common_name: str = "", issuer: trustme.CA | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        self.servers.configure_trust(context)
        if common_name:
            authority = issuer or self.clients
            leaf = authority.issue_cert(
                "client.test", common_name=common_name, key_type=trustme.KeyType.ECDSA
            )
            leaf.configure_cert(context)
        return context


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


async def ask(client: Client, context: ssl.SSLContext, **headers: str) -> tuple[int, Any]:
    url = client.base.replace("http:", "https:") + "/RPC"
    data = json.dumps(request(*KILL)).encode()
    headers["Content-Type"] = "application/json"
    async with (
        ClientSession(connector=TCPConnector(ssl=context)) as session,
        session.post(url, data=data, headers=headers) as answer,
    ):
        body = await answer.read()
        return answer.status, json.loads(body) if answer.status == 200 else body


ROLES = parse("watcher viewer cert:CN=watcher\nkiller operator cert:CN=killer\n")


async def test_a_certificate_gives_its_role(house: House, site: Site) -> None:
    async with serving(house, access=Access(KNOWN + ROLES), **site.settings) as client:
        assert (await ask(client, site.context()))[0] == 401
        assert (await ask(client, site.context("nobody")))[0] == 401
        _, answer = await ask(client, site.context("watcher"))
        assert answer["error"]["code"] == 403
        assert house.terminator.ordered == []
        _, answer = await ask(client, site.context("killer"))
        assert "result" in answer
        _, answer = await ask(client, site.context(), **bearer(OPERATOR))
        assert answer["error"]["code"] in (404, 500)  # ended already


async def test_certificates_of_strangers_are_refused(house: House, site: Site) -> None:
    async with serving(house, access=Access(ROLES), **site.settings) as client:
        with pytest.raises((ClientError, ssl.SSLError, ConnectionError)):
            await ask(client, site.context("killer", site.strangers))
        with pytest.raises((ClientError, ssl.SSLError, ConnectionError)):
            # Who signs the server's certificate says nothing of clients.
            await ask(client, site.context("killer", site.servers))
        assert house.terminator.ordered == []


async def test_old_tls_is_refused(house: House, site: Site) -> None:
    old = site.context("killer")
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(house, access=Access(ROLES), **site.settings) as client:
        with pytest.raises(ClientConnectorError):
            await ask(client, old)


async def test_certificates_are_read_again(
    house: House, site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(house, access=Access(ROLES), **site.settings) as client:
        before = await shown(client, site)
        site.renew()
        assert await shown(client, site) == before
        client.server.reload_certificates()
        after = await shown(client, site)
        assert after != before
        site.clients = site.strangers
        site.clients.cert_pem.write_to_path(site.folder / "clients.pem")
        client.server.reload_certificates()
        _, answer = await ask(client, site.context("killer"))
        assert "result" in answer
        (site.folder / "http.pem").write_text("spoilt")
        client.server.reload_certificates()
        assert await shown(client, site) == after
    assert "certificates not read again: cannot use one of" in caplog.text


async def shown(client: Client, site: Site) -> bytes:
    """The certificate that the server shows."""
    reader, writer = await asyncio.open_connection(*client.server.address, ssl=site.context())
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await reader.read()
    return found


async def test_a_handshake_that_is_not_done_is_given_up(house: House, site: Site) -> None:
    limits: dict[str, Any] = {"max_connections": 2, "read_timeout": 0.3}
    async with serving(house, access=Access(ROLES), **site.settings, **limits) as client:
        held = [await asyncio.open_connection(*client.server.address) for _ in range(2)]
        # The third is refused without a word: there is no way to say one.
        assert await client.raw(b"") == b""
        for reader, writer in held:
            assert await reader.read() == b""
            writer.close()
        assert (await ask(client, site.context("watcher")))[0] == 200


async def test_http_to_the_port_of_https(house: House, site: Site) -> None:
    async with serving(house, access=Access(ROLES), **site.settings) as client:
        answer = await client.raw(b"POST /RPC HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"HTTP" not in answer
        assert (await ask(client, site.context("watcher")))[0] == 200


# -- every refusal has its status ------------------------------------------------------------------

HEAD = b"POST /RPC HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (HEAD + b"Content-Length: x\r\n\r\n", 400),
        (HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (HEAD + b"bad header\r\n\r\n", 400),
        (b"POST /RPC HTTP/1.1\r\nHost: evil.example.com\r\nConnection: close\r\n\r\n", 403),
        (HEAD + b"Origin: https://evil.example.com\r\nConnection: close\r\n\r\n", 403),
        (b"POST /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 404),
        (b"PUT /RPC HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (b"POST /docs HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 405),
        (HEAD + b"Content-Length: 9\r\n\r\n{", 408),
        (HEAD + b"Content-Length: 3000\r\n\r\n", 413),
        (HEAD + b"Content-Type: text/plain\r\nConnection: close\r\n\r\n", 415),
        (HEAD + b"X: " + b"x" * 9000 + b"\r\n\r\n", 431),
        (b"POST /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n", 431),
        (HEAD + b"X: x\r\n" * 200 + b"\r\n", 431),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_status(
    house: House, data: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(house, max_body=2000, read_timeout=0.3) as client:
        answer = await client.raw(data)
        assert answer.split(b" ", 2)[1] == str(status).encode()
        assert b"Server: dlgmgmt\r\n" in answer
        assert b"Traceback" not in answer
        assert (await client.post(request("core.version")))[0] == 200
    assert not [record for record in caplog.records if record.levelno > logging.WARNING]
    assert not [record for record in caplog.records if record.exc_info]


# -- limits of one client --------------------------------------------------------------------------


async def test_429_for_a_client_that_asks_too_often(house: House) -> None:
    async with serving(house, rate=1, burst=3) as client:
        assert [(await client.post(request("core.version")))[0] for _ in range(4)] == [200] * 3 + [
            429
        ]
        async with client.session.get(client.base + "/openapi.json") as answer:
            assert answer.status == 429
            assert answer.headers["Retry-After"] == "1"
        assert ("refused_requests", 2) in client.server.counters()


async def test_429_for_a_client_with_too_many_requests_under_way(house: House) -> None:
    async with serving(house, max_requests=2) as client:
        held = []
        for _ in range(2):
            reader, writer = await asyncio.open_connection(*client.server.address)
            writer.write(HEAD + b"Content-Length: 2\r\n\r\n{")
            held.append((reader, writer))
        async with asyncio.timeout(10):
            while (await client.post(request("core.version")))[0] != 429:  # noqa: ASYNC110 - the server has no event
                await asyncio.sleep(0.01)
        for reader, writer in held:
            writer.write(b"}")
            assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
            writer.close()
        assert (await client.post(request("core.version")))[0] == 200


async def test_429_for_a_client_with_too_many_connections(house: House) -> None:
    async with serving(house, max_client_connections=2) as client:
        held = [await asyncio.open_connection(*client.server.address) for _ in range(2)]
        answer = await client.raw(HEAD + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 429 ")
        assert b"Retry-After: 1\r\n" in answer
        for _, writer in held:
            writer.close()
        async with asyncio.timeout(10):
            closing = HEAD + b"Connection: close\r\n\r\n"
            while b" 429 " in await client.raw(closing):  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)


def test_a_rate_is_of_each_client_and_comes_back() -> None:
    now = 0.0
    limits = RequestLimits(2, 4, 0, monotonic=lambda: now)
    assert [limits.wait("192.0.2.1") for _ in range(6)] == [0, 0, 0, 0, 1, 1]
    assert limits.wait("192.0.2.2") == 0
    now = 0.5
    assert [limits.wait("192.0.2.1") for _ in range(2)] == [0, 1]
    now = 100
    assert [limits.wait("192.0.2.1") for _ in range(5)] == [0, 0, 0, 0, 1]
    assert limits.refused == 4
    slow = RequestLimits(1, 1, 0, monotonic=lambda: now)
    assert [slow.wait("::1"), slow.wait("::1")] == [0, 1]


def test_no_limit_is_none() -> None:
    limits = RequestLimits(0, 1, 0, monotonic=lambda: 0.0)
    with limits.under_way("a"):
        assert {limits.wait("a") for _ in range(1000)} == {0}


def test_what_is_under_way_is_counted_for_each_client() -> None:
    limits = RequestLimits(0, 1, 2)
    with limits.under_way("192.0.2.1"):
        assert limits.wait("192.0.2.1") == 0
        with limits.under_way("192.0.2.1"):
            assert limits.wait("192.0.2.1") == 1
            assert limits.wait("192.0.2.2") == 0
    assert limits.wait("192.0.2.1") == 0


def test_clients_are_remembered_up_to_a_limit() -> None:
    limits = RequestLimits(1, 1, 0, monotonic=lambda: 0.0)
    for number in range(MAX_CLIENTS + 10):
        limits.wait(f"10.0.{number >> 8}.{number & 255}")
    assert len(limits._buckets) == MAX_CLIENTS


@pytest.mark.parametrize(
    ("host", "client"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_who_is_one_client(host: str, client: str) -> None:
    assert client_of(host) == client
