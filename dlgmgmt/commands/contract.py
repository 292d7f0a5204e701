"""What the registry says of a command over JSON-RPC, for the two descriptions of the interface."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.registry import Command, Param, Registry
from dlgmgmt.commands.schemas import Schema

TITLE: Final = "dlgmgmt"

STATUSES: Final[Mapping[int, str]] = MappingProxyType(
    {
        200: "the answer, or the answers to a batch in its order; errors of commands too",
        204: "nothing but notifications was sent",
        400: "no HTTP request",
        401: "a token is needed, or the one that was shown is unknown",
        403: "the Host or Origin header names another site",
        404: "nothing is served at this path",
        405: "the path does not take this method",
        408: "the request did not arrive in time",
        413: "the body is too large",
        415: "neither JSON nor msgpack, or compressed",
        429: "too many requests or connections of this client",
        431: "the request line or the headers are too long, or too many",
        503: "too many connections",
    }
)
"""What a status of HTTP means here; the answer to a command says the rest."""

_RPC = MgmtProtocol.RPC


def methods(registry: Registry) -> Iterator[tuple[str, Command]]:
    """Each name of each command, in the order of the registry."""
    for name in registry.names(_RPC):
        command = registry.lookup(_RPC, name)
        if command is not None:
            yield name, command


def described(command: Command) -> str:
    """What a command does and who may use it."""
    return f"{command.doc} Permission: {command.permission}."


def errors(command: Command) -> list[dict[str, object]]:
    """Codes and messages of the errors that a command may answer with."""
    texts: dict[tuple[int, str], None] = {}
    for failure in _failures(command):
        texts[command.error_text(_RPC, failure)] = None
    return [{"code": code, "message": text} for code, text in texts]


def _failures(command: Command) -> Iterator[Failure]:
    yield Failure.FORBIDDEN
    if command.params:
        if any(param.required for param in command.params):
            yield Failure.TOO_FEW
        yield Failure.BAD_VALUE
    if not _takes_more(command):
        yield Failure.TOO_MANY
    yield Failure.UNKNOWN_PARAMETER
    yield from command.failures


def _takes_more(command: Command) -> bool:
    """Whether further positional values are taken, or dropped."""
    variadic = any(param.variadic for param in command.params)
    return variadic or _RPC in command.ignore_extra


def value_schema(param: Param) -> Schema:
    """All values that a parameter takes: clients that read them from a command line mix types."""
    if param.type == "boolean":
        return {
            "description": param.doc,
            "anyOf": [
                {"type": "boolean"},
                {"enum": [0, 1, "0", "1", "true", "false", "yes", "no", "on", "off"]},
            ],
        }
    kinds: Schema = (
        {
            "anyOf": [
                {"type": "integer"},
                {"type": "string", "pattern": r"^[ \t]*[+-]?[0-9]{1,20}[ \t]*$"},
            ]
        }
        if param.type == "integer"
        else {
            "anyOf": [
                {"type": "string"},
                {"type": "integer", "minimum": 1 - 2**64, "maximum": 2**64 - 1},
            ]
        }
    )
    return {"description": param.doc, **kinds}


def params_schema(command: Command) -> Schema:
    """The member ``params``: by position or by name."""
    return {"oneOf": [_positional(command), _named(command)]}


def _positional(command: Command) -> Schema:
    params = command.params
    schema: Schema = {
        "type": "array",
        "minItems": max((at for at, param in enumerate(params, 1) if param.required), default=0),
    }
    if params:
        schema["prefixItems"] = [value_schema(param) for param in params]
    if params and params[-1].variadic:
        schema["items"] = value_schema(params[-1])
    elif not _takes_more(command):
        schema["maxItems"] = len(params)
    return schema


def _named(command: Command) -> Schema:
    schema: Schema = {
        "type": "object",
        "properties": {
            name: value_schema(param)
            for param in command.params
            for name in (param.name, *param.aliases)
        },
        "additionalProperties": False,
    }
    needed = [(param.name, *param.aliases) for param in command.params if param.required]
    plain = [names[0] for names in needed if len(names) == 1]
    if plain:
        schema["required"] = plain
    choices = [
        {"anyOf": [{"required": [name]} for name in names]} for names in needed if len(names) > 1
    ]
    if choices:
        schema["allOf"] = choices
    return schema
