"""The documentation page: all commands of the registry as HTML that needs nothing else.

No script, no font, no picture: it reads the same on a machine without a network and in a text
browser. The style stands in the page, and the Content-Security-Policy allows that one by its hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping
from html import escape
from types import MappingProxyType
from typing import Final

from dlgmgmt import __version__
from dlgmgmt.commands.contract import STATUSES, TITLE, errors
from dlgmgmt.commands.registry import Command, Param, Registry
from dlgmgmt.commands.schemas import SCHEMAS, Schema

_STYLE: Final = """
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
h2 { margin-top: 3rem; border-bottom: 1px solid; }
h3 { margin-top: 2.5rem; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9rem; }
pre { padding: 0.75rem; border: 1px solid; border-radius: 0.25rem; overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: 0.25rem 1rem 0.25rem 0; }
tr { border-bottom: 1px solid; }
nav ul { columns: 16rem; list-style: none; padding: 0; }
:target { outline: 2px solid; outline-offset: 0.5rem; }
"""
_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

TYPE: Final = "text/html; charset=utf-8"
HEADERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        "Referrer-Policy": "no-referrer",
        "Cross-Origin-Opener-Policy": "same-origin",
    }
)
"""What the page is to be sent with."""

# Without the icon a browser asks for /favicon.ico.
_HEAD: Final = f"""<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{TITLE}: commands</title>
<link rel="icon" href="data:,">
<style>{_STYLE}</style></head>
<body>
<h1>{TITLE} {escape(__version__)}</h1>
"""


def page(registry: Registry) -> str:
    """The whole page."""
    commands = registry.commands
    return "".join(
        (
            _HEAD,
            _introduction(),
            "<nav><h2>Commands</h2><ul>\n",
            *(
                f'<li><a href="#{_name(command)}"><code>{_name(command)}</code></a></li>\n'
                for command in commands
            ),
            "</ul></nav>\n<main>\n",
            *map(_section, commands),
            '<h2 id="types">Types of results</h2>\n',
            *(_type(name, schema) for name, schema in SCHEMAS.items()),
            "</main>\n</body></html>\n",
        )
    )


def _introduction() -> str:
    statuses = _table(
        ("status", "meaning"), ((str(code), escape(text)) for code, text in STATUSES.items())
    )
    return (
        "<p>Every command is called by JSON-RPC 2.0: POST to <code>/RPC</code> or "
        "<code>/jsonrpc</code> as <code>application/json</code> or "
        "<code>application/msgpack</code>, over a WebSocket at <code>/RPC</code>, or over the "
        "JSON FIFO and sockets; BINRPC takes the same names, and MI those that are given for it. "
        'For programs: <a href="/openapi.json">OpenAPI 3.1</a>, and the method '
        "<code>rpc.discover</code> for OpenRPC.</p>\n"
        '<pre>curl -d \'{"jsonrpc":"2.0","id":1,"method":"dlg.list"}\' '
        "-H 'Content-Type: application/json' http://127.0.0.1:8080/RPC</pre>\n"
        "<p>Where tokens are given out, the header <code>Authorization: Bearer TOKEN</code> is "
        "needed. A viewer may use the commands of the permission <em>view</em>, an operator those "
        "of <em>operate</em> too, an admin all.</p>\n"
        f"<h2>Statuses of HTTP</h2>\n{statuses}"
        "<p>Errors of JSON-RPC itself: -32700 for what cannot be decoded, -32600 for what is no "
        "request, -32601 for an unknown method, -32602 for wrong parameters, -32603 for a failure "
        "of the daemon, -32000 for a result that is too large for msgpack or for a datagram.</p>\n"
    )


def _name(command: Command) -> str:
    return escape((command.rpc_names or command.mi_names)[0])


def _section(command: Command) -> str:
    parts = [
        f'<h3 id="{_name(command)}"><code>{_name(command)}</code></h3>\n',
        f"<p>{escape(command.doc)}</p>\n<p>",
        _names("JSON-RPC, BINRPC", command.rpc_names),
        _names("MI", command.mi_names),
        f"Permission: <em>{escape(command.permission)}</em>.</p>\n",
    ]
    if command.params:
        parts.append(_table(("parameter", "type", "", "meaning"), map(_parameter, command.params)))
    if command.rpc_names:
        rows = ((str(each["code"]), escape(str(each["message"]))) for each in errors(command))
        parts.append(_example(command))
        parts.append(
            f"<details><summary>Errors</summary>{_table(('code', 'text'), rows)}</details>\n"
        )
    return "".join(parts)


def _names(protocol: str, names: tuple[str, ...]) -> str:
    if not names:
        return ""
    return f"{protocol}: {', '.join(f'<code>{escape(name)}</code>' for name in names)}. "


def _parameter(param: Param) -> tuple[str, ...]:
    names = ", ".join(f"<code>{escape(name)}</code>" for name in (param.name, *param.aliases))
    needed = "required" if param.required else "optional"
    return names, param.type, f"{needed}, several" if param.variadic else needed, escape(param.doc)


def _example(command: Command) -> str:
    request = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": command.rpc_names[0],
        "params": [*command.example.params],
    }
    answer = {"jsonrpc": "2.0", "result": command.example.result, "id": 1}
    result = f'<a href="#type-{escape(command.result)}">{escape(command.result)}</a>'
    return (
        f"<pre>{escape(json.dumps(request))}</pre>\n"
        f"<details><summary>Answer ({result})</summary>"
        f"<pre>{escape(json.dumps(answer, indent=2))}</pre></details>\n"
    )


def _type(name: str, schema: Schema) -> str:
    text = f'<h3 id="type-{escape(name)}">{escape(name)}</h3>\n<p>{_said(schema)}</p>\n'
    members = schema.get("properties", {})
    if not members:
        return text
    return text + _table(
        ("member", "type", "meaning"),
        (
            (f"<code>{escape(key)}</code>", _kind(member), escape(member.get("description", "")))
            for key, member in members.items()
        ),
    )


def _said(schema: Schema) -> str:
    doc = escape(str(schema.get("description", "")))
    kind = _kind(schema)
    return f"{kind}: {doc}" if doc else kind


def _kind(schema: Schema) -> str:
    """The type of a value in a few words."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#type-{name}">{name}</a>'
    for word in ("oneOf", "anyOf"):
        if word in schema:
            return " or ".join(map(_kind, schema[word]))
    if "enum" in schema:
        return "one of " + ", ".join(escape(json.dumps(value)) for value in schema["enum"])
    kind = schema.get("type", "anything")
    text = escape(kind if isinstance(kind, str) else " or ".join(kind))
    return f"{text} of {_kind(schema['items'])}" if "items" in schema else text


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table; heads and rows are HTML."""
    head = "".join(f"<th>{text}</th>" for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{text}</td>" for text in row) + "</tr>\n" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table>\n"
