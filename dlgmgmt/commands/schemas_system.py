"""JSON schemas of what the commands about the daemon itself answer; see schemas.py."""

from __future__ import annotations

from typing import Any

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_NUMBER: Schema = {"type": "integer"}


def _record(doc: str, **properties: Schema) -> Schema:
    return {
        "type": "object",
        "description": doc,
        "required": [*properties],
        "properties": properties,
    }


def _list(items: Schema, doc: str) -> Schema:
    return {"type": "array", "description": doc, "items": items}


_SOCKET = _record(
    "a socket; MCAST, MHOMED, VIRTUAL, SOCKNAME and ADVERTISE are for Kamailio's clients",
    PROTO={"type": "string", "enum": ["udp", "tcp", "tls", "ws", "wss"]},
    NAME=_TEXT,
    ADDRLIST=_record("its address", ADDR=_TEXT),
    PORT=_TEXT,
    MCAST={"const": "no"},
    MHOMED={"const": "no"},
    VIRTUAL={"const": "no"},
    SOCKNAME={"const": "-"},
    ADVERTISE={"const": "-"},
)

SYSTEM: dict[str, Schema] = {
    "Words": _list(_TEXT, "texts"),
    "MethodHelp": {"type": "string", "description": "lines of text"},
    "Signatures": _list(
        {"type": "array", "minItems": 1, "items": _TEXT},
        "for each number of parameters: the answer's type, then theirs",
    ),
    "OpenRpc": {
        **_record(
            "an OpenRPC document",
            openrpc=_TEXT,
            info={"type": "object"},
            methods={"type": "array", "items": {"type": "object"}},
        ),
        "externalDocs": {"url": "https://spec.open-rpc.org"},
    },
    "Build": _record(
        "What the daemon is, under the names of Kamailio's client.",
        version={"type": "string", "description": "program and version"},
        id={"type": "string", "description": "the platform"},
        compiler={"type": "string", "description": "what runs it"},
        compiled={"type": "string", "description": "always empty"},
        flags={"type": "string", "description": "always empty"},
    ),
    "ThreadPairs": _list(
        {"type": ["integer", "string"]}, "the number of a thread, then its description"
    ),
    "Threads": _list(
        _record("a thread", IDX=_NUMBER, PID=_NUMBER, DSC=_TEXT), "all threads, the main one first"
    ),
    "RankedThreads": _list(
        _record(
            "a thread",
            index=_NUMBER,
            pid=_NUMBER,
            status={"const": 1},
            rank={"type": "integer", "enum": [0, 1, -1]},
            description=_TEXT,
        ),
        "all threads, the main one first",
    ),
    "SipSockets": _list(_SOCKET, "the sockets"),
    "StatisticTexts": {
        "type": "object",
        "description": "counters by group.name",
        "additionalProperties": {"type": "string", "pattern": "^-?[0-9]+$"},
    },
    "StatisticNumbers": {
        "type": "object",
        "description": "counters by group.name",
        "additionalProperties": {"type": "integer"},
    },
    "StatisticsReset": {"type": "object", "maxProperties": 0},
}
