"""The OpenAPI description of the HTTP interface, generated from the registry.

``python -m dlgmgmt.commands.openapi [FOLDER]`` writes openapi.yaml (OpenAPI 3.1) and
openrpc.json (OpenRPC 1.3) into FOLDER, by default ``openapi`` below the working directory.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from dlgmgmt import __version__
from dlgmgmt.commands.contract import STATUSES, TITLE, described, methods, params_schema
from dlgmgmt.commands.openrpc import openrpc_document
from dlgmgmt.commands.registry import Command, Registry
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.commands.schemas import SCHEMAS, Schema, ref
from dlgmgmt.commands.schemas_database import HEALTH
from dlgmgmt.commands.yaml import to_yaml

_ENVELOPE: Final[Schema] = {"jsonrpc": {"const": "2.0"}}
_ID: Final[Schema] = {
    "anyOf": [
        {"type": ["string", "null"]},
        {"type": "number", "minimum": -(2**63), "maximum": 2**64 - 1},
    ]
}
_MAX_BATCH: Final = 100

_DESCRIPTION: Final = (
    "Lists, looks up and ends SIP dialogs by JSON-RPC 2.0 over HTTP, in JSON or msgpack. What a "
    "command answers, an error included, stands in the JSON-RPC response under status 200; other "
    "statuses say that the message was not understood or not let in. A path that is not described "
    "here is answered 404. A WebSocket at /RPC carries the same requests and answers, one a "
    "message: text is JSON, binary is msgpack."
)

_TEXT: Final = {"text/plain": {"schema": {"type": "string"}}}
_RETRY: Final = {
    "Retry-After": {
        "description": "seconds to wait",
        "schema": {"type": "integer", "minimum": 0},
    }
}

_HEADERS: Final[dict[int, dict[str, Any]]] = {
    401: {"WWW-Authenticate": {"description": "how to show it", "schema": {"type": "string"}}},
    405: {"Allow": {"description": "the methods that it takes", "schema": {"type": "string"}}},
    429: _RETRY,
    503: _RETRY,
}
_ANYWHERE: Final = ("400", "401", "403", "408", "429", "431", "503")


def _component(name: str) -> str:
    return name.replace(".", "_")


def _request_schema(name: str, command: Command) -> Schema:
    required = ["jsonrpc", "method"]
    if any(param.required for param in command.params):
        required.append("params")
    return {
        "type": "object",
        "description": described(command),
        "required": required,
        "properties": {
            **_ENVELOPE,
            "method": {"const": name},
            "params": params_schema(command),
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


_ERROR: Final[Schema] = {
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
                "data": {
                    "description": "what exactly was wrong, or the dialogs that may be meant",
                    "anyOf": [{"type": "string"}, ref("Candidates")],
                },
            },
        },
        "id": _ID,
    },
}


def _schemas(registry: Registry) -> dict[str, Schema]:
    found = list(methods(registry))
    schemas: dict[str, Schema] = dict(SCHEMAS)
    for name, command in found:
        schemas[f"{_component(name)}_request"] = _request_schema(name, command)
        schemas[f"{_component(name)}_response"] = _response_schema(name, command)
    schemas["Error"] = _ERROR
    schemas["Health"] = HEALTH
    schemas["Request"] = {"oneOf": [ref(f"{_component(name)}_request") for name, _ in found]}
    schemas["Response"] = {
        "anyOf": [*(ref(f"{_component(name)}_response") for name, _ in found), ref("Error")]
    }
    return schemas


def _examples(registry: Registry) -> dict[str, Any]:
    return {
        _component(name): {
            "summary": command.doc,
            "value": {
                "jsonrpc": "2.0",
                "method": name,
                "params": [*command.example.params],
                "id": 1,
            },
        }
        for name, command in methods(registry)
    }


def _answers(ok: dict[str, Any], *further: str) -> dict[str, Any]:
    refused = {
        code: {"$ref": f"#/components/responses/{code}"} for code in sorted((*_ANYWHERE, *further))
    }
    return {**ok, **refused}


def _call(registry: Registry, operation: str) -> dict[str, Any]:
    one = ref("Request")
    body = {"oneOf": [one, {"type": "array", "minItems": 1, "maxItems": _MAX_BATCH, "items": one}]}
    reply = {"oneOf": [ref("Response"), {"type": "array", "items": ref("Response")}]}
    return {
        "operationId": operation,
        "summary": "One JSON-RPC 2.0 request, or a batch",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": body, "examples": _examples(registry)},
                "application/msgpack": {"schema": body},
            },
        },
        "responses": _answers(
            {
                "200": {
                    "description": STATUSES[200],
                    "content": {
                        "application/json": {"schema": reply},
                        "application/msgpack": {"schema": reply},
                    },
                },
                "204": {"description": STATUSES[204]},
            },
            "413",
            "415",
        ),
    }


def _refusals() -> Iterator[tuple[str, dict[str, Any]]]:
    for code, meaning in STATUSES.items():
        if code >= 400:
            headers = {"headers": _HEADERS[code]} if code in _HEADERS else {}
            yield str(code), {"description": meaning, **headers, "content": _TEXT}


def _page(operation: str, summary: str, kind: str, schema: Schema) -> dict[str, Any]:
    ok = {"200": {"description": summary, "content": {kind: {"schema": schema}}}}
    return {
        "get": {"operationId": operation, "summary": summary, "responses": _answers(ok)},
    }


def _health() -> dict[str, Any]:
    """The page of those who watch; 503 may come from the limits too, as text."""
    summary = "Whether the daemon does all that it should"
    content = {"application/json": {"schema": ref("Health")}}
    answers = _answers({"200": {"description": summary, "content": content}})
    answers["503"] = {
        "description": f"something is amiss, or {STATUSES[503]}",
        "headers": _RETRY,
        "content": {**content, **_TEXT},
    }
    return {
        "get": {
            "operationId": "health",
            "summary": summary,
            "description": "Needs no token, and says nothing of calls.",
            "responses": answers,
        }
    }


def openapi_document(registry: Registry) -> dict[str, Any]:
    """The OpenAPI 3.1 description of all that is served over HTTP."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:8080"}],
        # The first: on the machine itself nothing needs to be shown unless tokens are given out.
        "security": [{}, {"token": []}, {"certificate": []}],
        "paths": {
            "/RPC": {"post": _call(registry, "rpc")},
            "/jsonrpc": {"post": _call(registry, "jsonrpc")},
            "/openapi.json": _page(
                "openapi", "This description", "application/json", {"type": "object"}
            ),
            "/docs": _page("docs", "All commands, as a page", "text/html", {"type": "string"}),
            "/health": _health(),
        },
        "components": {
            "schemas": _schemas(registry),
            "responses": dict(_refusals()),
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "certificate": {"type": "mutualTLS"},
            },
        },
    }


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
