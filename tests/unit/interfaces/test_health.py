"""GET /health over real sockets on loopback."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.commands.results_database import DatabaseStatus
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.tokens import Credentials
from tests.unit.commands.harness import House
from tests.unit.commands.test_database import Base
from tests.unit.interfaces.test_http import Client, serving

STATES = {"ok": 200, "off": 200, "loading": 503, "late": 503, "down": 503}


async def ask(client: Client, **headers: str) -> tuple[int, Any]:
    async with client.session.get(client.base + "/health", headers=headers) as response:
        assert response.headers["Content-Type"].startswith(("application/json", "text/plain"))
        text = await response.text()
        return response.status, json.loads(text) if text.startswith("{") else text


@pytest.mark.parametrize("state", STATES)
async def test_the_state_of_the_database(state: str) -> None:
    house, base = House(), Base()
    house.call("secret@x")
    base.found = DatabaseStatus(1, state, "mysql://a:***@b/c", "me", 3, 12, last_error="secret")
    context = dataclasses.replace(house.context, database=base)
    async with serving(house, context=context) as client:
        status, body = await ask(client)
    assert status == STATES[state]
    assert body == {
        "status": "ok" if status == 200 else "degraded",
        "loading": state == "loading",
        "database": {"mode": 1, "state": state, "waiting": 3, "oldest_ms": 12},
    }
    document = openapi_document(build_registry())
    answer = document["paths"]["/health"]["get"]["responses"][str(status)]
    schema = {**document, **answer["content"]["application/json"]["schema"]}
    assert [*Draft202012Validator(schema).iter_errors(body)] == []


async def test_without_a_database_all_is_well() -> None:
    async with serving(House()) as client:
        status, body = await ask(client)
        assert (status, body["status"], body["database"]["state"]) == (200, "ok", "off")
        async with client.session.head(client.base + "/health") as response:
            assert (response.status, await response.read()) == (200, b"")
        async with client.session.post(client.base + "/health") as response:
            assert response.status == 405


async def test_it_needs_no_token_but_is_not_for_other_sites() -> None:
    async with serving(House(), access=Access(Credentials(), None)) as client:
        assert (await client.post({"jsonrpc": "2.0", "method": "dlg.list", "id": 1}))[0] == 401
        assert (await ask(client))[0] == 200
        assert (await ask(client, Host="evil.example.com"))[0] == 403
        assert (await ask(client, Origin="https://evil.example.com"))[0] == 403


async def test_its_requests_are_counted_as_others() -> None:
    async with serving(House(), rate=1, burst=2) as client:
        found = [(await ask(client))[0] for _ in range(4)]
    assert found == [200, 200, 429, 429]
