from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.openapi import documents, main, openapi_document
from dlgmgmt.commands.openrpc import openrpc_document
from dlgmgmt.commands.registry import Command
from dlgmgmt.commands.rows import COMMANDS, build_registry
from dlgmgmt.commands.yaml import to_yaml

ROOT = Path(__file__).parents[3]
DOCUMENT = openapi_document(build_registry())


def valid(schema: str, value: object) -> bool:
    root: dict[str, Any] = {**DOCUMENT, "$ref": f"#/components/schemas/{schema}"}
    return bool(Draft202012Validator(root).is_valid(value))


def test_the_files_in_the_repository_are_current() -> None:
    for name, text in documents().items():
        current = (ROOT / "openapi" / name).read_text(encoding="utf-8")
        assert current == text, f"{name}: run python -m dlgmgmt.commands.openapi"


def test_main_writes_both_files(tmp_path: Path) -> None:
    assert main([str(tmp_path / "new")]) == 0
    assert {path.name: path.read_text() for path in (tmp_path / "new").iterdir()} == documents()


def test_every_rpc_method_is_described() -> None:
    names = set(build_registry().names(MgmtProtocol.RPC))
    assert {method["name"] for method in openrpc_document(build_registry())["methods"]} == names
    schemas = DOCUMENT["components"]["schemas"]
    described = {
        schema["properties"]["method"]["const"]
        for name, schema in schemas.items()
        if name.endswith("_request")
    }
    assert described == names


def test_every_reference_leads_somewhere() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    text = json.dumps(DOCUMENT)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.partition('"')[0] in schemas
    Draft202012Validator.check_schema({"$defs": schemas})


@pytest.mark.parametrize(
    "row", [row for row in COMMANDS if row.rpc_names], ids=lambda row: row.rpc_names[0]
)
def test_the_examples_fit_their_schemas(row: Command) -> None:
    name = row.rpc_names[0].replace(".", "_")
    request = {
        "jsonrpc": "2.0",
        "method": row.rpc_names[0],
        "params": [*row.example.params],
        "id": 1,
    }
    assert valid(f"{name}_request", request)
    assert valid("Request", request)
    assert valid(f"{name}_response", {"jsonrpc": "2.0", "result": row.example.result, "id": 1})
    assert not valid(f"{name}_request", {**request, "params": {"bogus": 1}})


def test_yaml_of_what_needs_care() -> None:
    value = {
        "200": {"true-ish": [1, "no", {"a": [], "b": {"c": None}}], "$ref": "#/x: y"},
        "e": {},
        "l": [[1], []],
    }
    assert to_yaml(value) == (
        '"200":\n'
        "  true-ish:\n"
        "    - 1\n"
        '    - "no"\n'
        "    - a: []\n"
        "      b:\n"
        "        c: null\n"
        '  "$ref": "#/x: y"\n'
        "e: {}\n"
        "l:\n"
        "  - - 1\n"
        "  - []\n"
    )
