"""The parameters of [jsonrpc_fifo] and [jsonrpc_sock]."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dlgmgmt.config import schema
from dlgmgmt.config.changes import compare
from dlgmgmt.interfaces.settings import JsonFifoSettings, JsonSockSettings, SocketAddress
from tests.unit.config.harness import problems, read
from tests.unit.config.test_readme import listing


def test_no_door_is_open_by_default(tmp_path: Path) -> None:
    config = read(tmp_path, "")
    assert config.jsonrpc_sock == JsonSockSettings()
    assert config.jsonrpc_sock.listen == ()
    assert config.jsonrpc_fifo == JsonFifoSettings(reply_dir=config.fifo.reply_dir)
    assert config.jsonrpc_fifo.fifo_name == ""


def test_the_readme_has_every_parameter_of_the_fifo_with_its_default(tmp_path: Path) -> None:
    text = listing()
    part = text[text.index("[jsonrpc_fifo]") :].partition("\n\n")[0]
    assert re.findall(r"^(?:# )?(\w+) = ", part, re.MULTILINE) == [*schema.JSONRPC_FIFO]
    assert read(tmp_path, part).jsonrpc_fifo == JsonFifoSettings(reply_dir="/run/dlgmgmt/reply")


def test_every_parameter(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[jsonrpc_fifo]\nfifo_name = "/run/d/rpc.fifo"\nfifo_mode = "0600"\nfifo_user = 0\n'
        'fifo_group = "root"\nreply_dir = "/tmp"\nmax_request = 2048\nrequest_deadline = 1\n'
        "open_deadline = 2\nwrite_deadline = 3\nreply_deadline = 4\nmax_replies = 5\n"
        '[jsonrpc_sock]\nlisten = ["unixd:/run/d/rpc.sock", "unixs:/run/d/rpcs.sock", '
        '"udp:127.0.0.1:8090", "tcp:127.0.0.2:8091"]\nsocket_mode = "0600"\nsocket_user = 0\n'
        'socket_group = "root"\nmax_request = 2048\nmax_datagram = 4096\nmax_connections = 2\n'
        "max_connections_per_peer = 1\nmax_pending = 3\nrequest_deadline = 1\n"
        "write_deadline = 2\nidle_timeout = 3\n",
    )
    assert config.jsonrpc_fifo == JsonFifoSettings(
        fifo_name="/run/d/rpc.fifo",
        reply_dir="/tmp",
        fifo_mode=0o600,
        fifo_user="0",
        fifo_group="root",
        max_request=2048,
        request_deadline=1.0,
        open_deadline=2.0,
        write_deadline=3.0,
        reply_deadline=4.0,
        max_replies=5,
    )
    assert config.jsonrpc_sock == JsonSockSettings(
        listen=(
            SocketAddress("unixd", path="/run/d/rpc.sock"),
            SocketAddress("unixs", path="/run/d/rpcs.sock"),
            SocketAddress("udp", host="127.0.0.1", port=8090),
            SocketAddress("tcp", host="127.0.0.2", port=8091),
        ),
        socket_mode=0o600,
        socket_user="0",
        socket_group="root",
        max_request=2048,
        max_datagram=4096,
        max_connections=2,
        max_connections_per_peer=1,
        max_pending=3,
        request_deadline=1.0,
        write_deadline=2.0,
        idle_timeout=3.0,
    )


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        ('[jsonrpc_fifo]\nfifo_name = "rpc.fifo"', 'an absolute path without "..", or ""'),
        ("[jsonrpc_fifo]\nfifo_name = 1", 'an absolute path without "..", or ""'),
        ('[jsonrpc_fifo]\nreply_dir = ""', 'an absolute path without ".."'),
        ('[jsonrpc_sock]\nlisten = ["tls:127.0.0.1:1"]', "unixs or unixd and an absolute path"),
        ("[jsonrpc_sock]\nmax_datagram = 10", "an integer from 1024 to 16777216"),
    ],
)
def test_what_is_refused(tmp_path: Path, line: str, allowed: str) -> None:
    (problem,) = problems(tmp_path, line + "\n")
    assert problem.startswith("dlgmgmt.toml:2: jsonrpc_")
    assert allowed in problem


def test_what_a_reload_brings_waits_for_a_restart(tmp_path: Path) -> None:
    old = read(tmp_path, "")
    new = read(
        tmp_path,
        '[jsonrpc_fifo]\nfifo_name = "/run/rpc.fifo"\n'
        '[jsonrpc_sock]\nlisten = ["unixd:/run/rpc.sock"]\n',
    )
    changes = compare(old, new)
    assert changes.applied == ()
    assert [str(change) for change in changes.restart] == [
        "jsonrpc_fifo.fifo_name: '' -> '/run/rpc.fifo'",
        "jsonrpc_sock.listen: '' -> 'unixd:/run/rpc.sock'",
    ]
