"""The OpenRPC description of the commands, which rpc.discover answers too."""

from __future__ import annotations

import json
import re
from typing import Any, Final

from dlgmgmt import __version__
from dlgmgmt.commands.contract import TITLE, described, errors, methods
from dlgmgmt.commands.registry import Command, Registry
from dlgmgmt.commands.schemas import SCHEMAS, Schema, ref

_REFERENCE: Final = re.compile(r'"#/components/schemas/(\w+)"')


def openrpc_document(registry: Registry, of: str = "") -> dict[str, Any]:
    """The OpenRPC 1.3 description of all JSON-RPC methods.

    of: describe the method with this name alone, or those whose names begin so up to a dot.
    """
    shown = [
        _method(name, command)
        for name, command in methods(registry)
        if not of or name == of or name.startswith(f"{of}.")
    ]
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": TITLE,
            "version": __version__,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"name": "HTTP", "url": "http://127.0.0.1:8080/RPC"}],
        "methods": shown,
        "components": {"schemas": _schemas_of(shown) if of else SCHEMAS},
    }


def _schemas_of(described: object) -> dict[str, Schema]:
    """The schemas that something refers to, and those that they refer to."""
    found: dict[str, Schema] = {}
    queue = [described]
    while queue:
        # Strings of JSON: what refers to a schema can stand anywhere.
        names = _REFERENCE.findall(json.dumps(queue.pop()))
        queue += [SCHEMAS[name] for name in names if name not in found]
        found |= {name: SCHEMAS[name] for name in names}
    return found


def _method(name: str, command: Command) -> dict[str, Any]:
    example = command.example
    return {
        "name": name,
        "description": described(command),
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
        "errors": errors(command),
        "examples": [
            {
                "name": name,
                "params": [
                    {"name": param.name, "value": value}
                    for param, value in zip(command.params, example.params, strict=False)
                ],
                "result": {"name": "result", "value": example.result},
            }
        ],
    }
