"""Descriptions of the JSON-RPC interface, generated from the registry.

``python -m dlgmgmt.commands.openapi [FOLDER]`` writes openapi.yaml (OpenAPI 3.1) and
openrpc.json (OpenRPC 1.3) into FOLDER, by default ``openapi`` below the working directory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlgmgmt import __version__
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.registry import Command, Param, Registry
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.commands.schemas import SCHEMAS, Schema, ref

_RPC = MgmtProtocol.RPC
_TITLE = "dlgmgmt"
_ENVELOPE = {"jsonrpc": {"const": "2.0"}}
_ID = {"type": ["string", "number", "null"]}


def _methods(registry: Registry) -> Iterator[tuple[str, Command]]:
    for name in registry.names(_RPC):
        command = registry.lookup(_RPC, name)
        if command is not None:
            yield name, command


def _failures(command: Command) -> Iterator[Failure]:
    yield Failure.FORBIDDEN
    if command.params:
        if any(param.required for param in command.params):
            yield Failure.TOO_FEW
        yield Failure.BAD_VALUE
    if not any(param.variadic for param in command.params):
        yield Failure.TOO_MANY
    yield Failure.UNKNOWN_PARAMETER
    yield from command.failures


def _errors(command: Command) -> list[dict[str, object]]:
    texts: dict[tuple[int, str], None] = {}
    for failure in _failures(command):
        texts[command.error_text(_RPC, failure)] = None
    return [{"code": code, "message": text} for code, text in texts]


def _param_schema(param: Param) -> Schema:
    return {"type": param.type, "description": param.doc}


def _params_schema(command: Command) -> Schema:
    required = [param.name for param in command.params if param.required]
    named: Schema = {
        "type": "object",
        "properties": {param.name: _param_schema(param) for param in command.params},
        "additionalProperties": False,
    }
    if required:
        named["required"] = required
    positional: Schema = {"type": "array", "minItems": len(required)}
    if command.params and command.params[-1].variadic:
        positional["items"] = {"type": command.params[-1].type}
    else:
        positional["maxItems"] = len(command.params)
        if command.params:
            positional["prefixItems"] = [_param_schema(param) for param in command.params]
    return {"oneOf": [positional, named]}


def _component(name: str) -> str:
    return name.replace(".", "_")


def _request_schema(name: str, command: Command) -> Schema:
    required = ["jsonrpc", "method"]
    if any(param.required for param in command.params):
        required.append("params")
    return {
        "type": "object",
        "description": f"{command.doc} Permission: {command.permission}.",
        "required": required,
        "properties": {
            **_ENVELOPE,
            "method": {"const": name},
            "params": _params_schema(command),
            "id": _ID,
        },
    }


def _response_schema(name: str, command: Command) -> Schema:
    return {
        "type": "object",
        "description": f"Answer to {name}.",
        "required": ["jsonrpc", "result", "id"],
        "properties": {**_ENVELOPE, "result": ref(command.result), "id": _ID},
    }


_ERROR: Schema = {
    "type": "object",
    "description": "A refused request. Codes below 0 are those of JSON-RPC 2.0.",
    "required": ["jsonrpc", "error", "id"],
    "properties": {
        **_ENVELOPE,
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": {"type": "integer"},
                "message": {"type": "string"},
                "data": {"type": "string", "description": "what exactly was wrong"},
            },
        },
        "id": _ID,
    },
}


def openapi_document(registry: Registry) -> dict[str, Any]:
    """The OpenAPI 3.1 description of POST /RPC."""
    methods = list(_methods(registry))
    schemas: dict[str, Schema] = dict(SCHEMAS)
    for name, command in methods:
        schemas[f"{_component(name)}_request"] = _request_schema(name, command)
        schemas[f"{_component(name)}_response"] = _response_schema(name, command)
    schemas["Error"] = _ERROR
    schemas["Request"] = {"oneOf": [ref(f"{_component(name)}_request") for name, _ in methods]}
    schemas["Response"] = {
        "anyOf": [
            *(ref(f"{_component(name)}_response") for name, _ in methods),
            ref("Error"),
        ]
    }
    body = {"oneOf": [ref("Request"), {"type": "array", "minItems": 1, "items": ref("Request")}]}
    reply = {"oneOf": [ref("Response"), {"type": "array", "items": ref("Response")}]}
    examples = {
        _component(name): {
            "summary": command.doc,
            "value": {
                "jsonrpc": "2.0",
                "method": name,
                "params": [*command.example.params],
                "id": 1,
            },
        }
        for name, command in methods
    }
    operation = {
        "operationId": "rpc",
        "summary": "One JSON-RPC 2.0 request, or a batch",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body, "examples": examples},
                "application/msgpack": {"schema": body},
            },
        },
        "responses": {
            "200": {
                "description": "the answer, or the answers to a batch in its order",
                "content": {
                    "application/json": {"schema": reply},
                    "application/msgpack": {"schema": reply},
                },
            },
            "204": {"description": "nothing but notifications was sent"},
            "400": {"description": "the body could not be read"},
            "403": {"description": "the Host or Origin header names another site"},
            "408": {"description": "the request did not arrive in time"},
            "413": {"description": "the body is too large"},
            "415": {"description": "neither JSON nor msgpack"},
            "503": {"description": "too many connections"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": _TITLE,
            "version": __version__,
            "description": "Lists and ends SIP dialogs by JSON-RPC 2.0 over HTTP.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        "paths": {"/RPC": {"post": operation}},
        "components": {"schemas": schemas},
    }


def openrpc_document(registry: Registry) -> dict[str, Any]:
    """The OpenRPC 1.3 description of the same methods."""
    methods = [
        {
            "name": name,
            "description": f"{command.doc} Permission: {command.permission}.",
            "paramStructure": "either",
            "params": [
                {
                    "name": param.name,
                    "description": param.doc,
                    "required": param.required,
                    "schema": {"type": param.type},
                }
                for param in command.params
            ],
            "result": {"name": "result", "schema": ref(command.result)},
            "errors": _errors(command),
            "examples": [
                {
                    "name": name,
                    "params": [
                        {"name": param.name, "value": value}
                        for param, value in zip(
                            command.params, command.example.params, strict=False
                        )
                    ],
                    "result": {"name": "result", "value": command.example.result},
                }
            ],
        }
        for name, command in _methods(registry)
    ]
    return {
        "openrpc": "1.3.2",
        "info": {"title": _TITLE, "version": __version__},
        "servers": [{"name": "HTTP", "url": "http://127.0.0.1:8080/RPC"}],
        "methods": methods,
        "components": {"schemas": SCHEMAS},
    }


_YAML_WORDS = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})


def to_yaml(value: object, indent: int = 0) -> str:
    """``value`` as block-style YAML 1.2; scalars are written as JSON, which YAML includes."""
    pad = "  " * indent
    if isinstance(value, dict) and value:
        lines = []
        for key, item in value.items():
            if isinstance(item, (dict, list)) and item:
                lines.append(f"{pad}{_key(key)}:\n{to_yaml(item, indent + 1)}")
            else:
                lines.append(f"{pad}{_key(key)}: {_scalar(item)}\n")
        return "".join(lines)
    if isinstance(value, list) and value:
        lines = []
        for item in value:
            if isinstance(item, (dict, list)) and item:
                block = to_yaml(item, indent + 1)
                lines.append(f"{pad}- {block[len(pad) + 2 :]}")
            else:
                lines.append(f"{pad}- {_scalar(item)}\n")
        return "".join(lines)
    return f"{pad}{_scalar(value)}\n"


def _key(key: str) -> str:
    plain = key.replace("_", "").replace("-", "")
    # A key such as 200 or true would be read as something else than a string.
    safe = plain.isascii() and plain.isalnum() and not key[0].isdigit()
    return key if safe and key.lower() not in _YAML_WORDS else json.dumps(key)


def _scalar(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def documents() -> dict[str, str]:
    """The files by name, as they should stand in the repository."""
    registry = build_registry()
    return {
        "openapi.yaml": "# Generated from the command registry: python -m "
        "dlgmgmt.commands.openapi\n" + to_yaml(openapi_document(registry)),
        "openrpc.json": json.dumps(openrpc_document(registry), indent=2) + "\n",
    }


def main(arguments: list[str]) -> int:
    """Write both files; the exit code."""
    folder = Path(arguments[0] if arguments else "openapi")
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
