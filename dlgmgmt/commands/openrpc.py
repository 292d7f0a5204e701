"""The OpenRPC description of the commands, which rpc.discover answers too."""

from __future__ import annotations

from typing import Any

from dlgmgmt import __version__
from dlgmgmt.commands.contract import TITLE, described, errors, methods
from dlgmgmt.commands.registry import Command, Registry
from dlgmgmt.commands.schemas import SCHEMAS, ref


def openrpc_document(registry: Registry) -> dict[str, Any]:
    """The OpenRPC 1.3 description of all JSON-RPC methods."""
    return {
        "openrpc": "1.3.2",
        "info": {
            "title": TITLE,
            "version": __version__,
            "license": {"name": "Apache-2.0"},
        },
        "servers": [{"name": "HTTP", "url": "http://127.0.0.1:8080/RPC"}],
        "methods": [_method(name, command) for name, command in methods(registry)],
        "components": {"schemas": SCHEMAS},
    }


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
