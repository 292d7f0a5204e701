"""What a server tells of itself is what stands in the repository."""

from __future__ import annotations

import json
from pathlib import Path

from dlgmgmt.commands.contract import STATUSES
from dlgmgmt.commands.openapi import openapi_document
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.commands.yaml import to_yaml
from tests.unit.commands.harness import House
from tests.unit.interfaces.test_http import request, serving

FOLDER = Path(__file__).parents[2] / "openapi"


async def test_openapi_is_served_as_it_is_kept() -> None:
    async with (
        serving(House()) as client,
        client.session.get(client.base + "/openapi.json") as response,
    ):
        served = await response.json()
    kept = (FOLDER / "openapi.yaml").read_text(encoding="utf-8")
    assert kept.partition("\n")[2] == to_yaml(served)


async def test_rpc_discover_answers_what_is_kept() -> None:
    async with serving(House()) as client:
        answer = await client.rpc(request("rpc.discover"))
    assert answer["result"] == json.loads((FOLDER / "openrpc.json").read_text(encoding="utf-8"))


def test_every_status_is_described_once_and_its_headers_with_it() -> None:
    document = openapi_document(build_registry())
    responses = document["components"]["responses"]
    assert list(responses) == [str(code) for code in STATUSES if code >= 400]
    assert "WWW-Authenticate" in responses["401"]["headers"]
    assert "Allow" in responses["405"]["headers"]
    for code in ("429", "503"):
        assert "Retry-After" in responses[code]["headers"]
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert {"400", "403", "408", "429", "503"} <= operation["responses"].keys(), path
    called = document["paths"]["/RPC"]["post"]["responses"]
    assert {"200", "204", "401", "413", "415"} <= called.keys()
