"""What commands about the daemon itself answer, as what JSON-RPC clients read."""

from __future__ import annotations

import functools
import time

from dlgmgmt.commands.results_system import (
    Build,
    CommandNames,
    ControlSockets,
    Directory,
    Document,
    MethodHelp,
    Signatures,
    SipSockets,
    Statistics,
    StatisticsReset,
    StatisticValues,
    SystemResult,
    Threads,
    Uptime,
    Version,
    Words,
)
from dlgmgmt.commands.system import ControlSocket, SipSocket

CONTROL_KINDS = {"unixs": "unix_stream", "unixd": "unix_dgram", "tcp": "tcp", "udp": "udp"}
_ANONYMOUS = "<anonymous unix socket>"


@functools.singledispatch
def system_value(result: SystemResult) -> object:
    """What stands as ``result`` in the response."""
    raise TypeError(type(result))


@system_value.register
def _(result: Statistics) -> object:
    return [f"{row.group}:{row.name} = {row.value}" for row in result.rows]


@system_value.register
def _(result: StatisticValues) -> object:
    rows = result.rows
    if result.numeric:
        return {f"{row.group}.{row.name}": row.value for row in rows}
    return {f"{row.group}.{row.name}": str(row.value) for row in rows}


@system_value.register
def _(result: StatisticsReset) -> object:
    return system_value(Statistics(result.rows)) if result.shown else {}


@system_value.register
def _(result: CommandNames) -> object:
    return list(result.names)


@system_value.register
def _(result: Words) -> object:
    return list(result.words)


@system_value.register
def _(result: Directory) -> object:
    return [result.path]


@system_value.register
def _(result: Uptime) -> object:
    return {
        "now": time.ctime(result.now),
        "up_since": time.ctime(result.up_since),
        "uptime": result.now - result.up_since,
    }


@system_value.register
def _(result: Version) -> object:
    return f"{result.program} {result.version} ({result.platform})"


@system_value.register
def _(result: Build) -> object:
    return {
        "version": f"{result.program} {result.version}",
        "id": result.platform,
        "compiler": result.runtime,
        "compiled": "",
        "flags": "",
    }


@system_value.register
def _(result: Threads) -> object:
    numbered = list(enumerate(result.threads))
    if result.form == "pairs":
        return [item for each in result.threads for item in (each.number, each.description)]
    if result.form == "indexed":
        return [{"IDX": at, "PID": each.number, "DSC": each.description} for at, each in numbered]
    return [
        {
            "index": at,
            "pid": each.number,
            "status": 1,
            "rank": each.rank,
            "description": each.description,
        }
        for at, each in numbered
    ]


@system_value.register
def _(result: SipSockets) -> object:
    return [_socket(each) for each in result.sockets]


def _socket(socket: SipSocket) -> dict[str, object]:
    return {
        "PROTO": socket.transport,
        "NAME": socket.host,
        "ADDRLIST": {"ADDR": socket.host},
        "PORT": str(socket.port),
        "MCAST": "no",
        "MHOMED": "no",
        "VIRTUAL": "no",
        "SOCKNAME": "-",
        "ADVERTISE": "-",
    }


@system_value.register
def _(result: ControlSockets) -> object:
    return [text for each in result.sockets for text in control_texts(each)]


def control_texts(socket: ControlSocket) -> tuple[str, ...]:
    """The texts of ctl.listen, or of ctl.who where there is a peer."""
    own = (socket.path, "") if socket.path else (socket.host, str(socket.port))
    kind = CONTROL_KINDS[socket.kind]
    if socket.peer is None:
        return ("binrpc", kind, *own)
    host, port = socket.peer
    peer = (_ANONYMOUS, "") if socket.path else (host, str(port))
    return ("binrpc", kind, *peer, *own)


@system_value.register
def _(result: MethodHelp) -> object:
    return result.text


@system_value.register
def _(result: Signatures) -> object:
    return [list(each) for each in result.signatures]


@system_value.register
def _(result: Document) -> object:
    return dict(result.document)
