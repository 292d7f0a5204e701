"""The parameters of doors that are no plain numbers, and what a reload makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlgmgmt.config.changes import compare
from dlgmgmt.interfaces.settings import BinrpcSettings, SocketAddress
from tests.unit.config.harness import problems, read


def test_no_door_of_binrpc_is_open_by_default(tmp_path: Path) -> None:
    assert read(tmp_path, "").binrpc == BinrpcSettings()
    assert read(tmp_path, "").binrpc.listen == ()


def test_every_parameter_of_binrpc(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[binrpc]\nlisten = ["unixs:/run/d/ctl", "unixd:/run/d/ctld", "tcp:127.0.0.1:2049", '
        '"udp:[::1]:0"]\nsocket_mode = "0600"\nsocket_user = 0\nsocket_group = "root"\n'
        "max_request = 2048\nmax_reply = 4096\nmax_connections = 2\nrequest_deadline = 1\n"
        "write_deadline = 2\nidle_timeout = 3\n",
    )
    assert config.binrpc == BinrpcSettings(
        listen=(
            SocketAddress("unixs", path="/run/d/ctl"),
            SocketAddress("unixd", path="/run/d/ctld"),
            SocketAddress("tcp", host="127.0.0.1", port=2049),
            SocketAddress("udp", host="::1", port=0),
        ),
        socket_mode=0o600,
        socket_user="0",
        socket_group="root",
        max_request=2048,
        max_reply=4096,
        max_connections=2,
        request_deadline=1.0,
        write_deadline=2.0,
        idle_timeout=3.0,
    )
    assert " ".join(map(str, config.binrpc.listen)) == (
        "unixs:/run/d/ctl unixd:/run/d/ctld tcp:127.0.0.1:2049 udp:[::1]:0"
    )


@pytest.mark.parametrize(
    "listen",
    [
        '"unixs:/run/ctl"',
        "[1]",
        '["/run/ctl"]',
        '["unix:/run/ctl"]',
        '["unixs:run/ctl"]',
        '["unixs:"]',
        '["tcp:localhost:2049"]',
        '["tcp:127.0.0.1"]',
        '["tls:127.0.0.1:2049"]',
        '["tcp:127.0.0.1:2049", "tcp:127.0.0.1:2049"]',
        '["unixs:/run/ctl", "unixd:/run/ctl"]',
        f'["unixs:/{"x" * 107}"]',
    ],
)
def test_what_is_no_socket_is_refused(tmp_path: Path, listen: str) -> None:
    (problem,) = problems(tmp_path, f"[binrpc]\nlisten = {listen}\n")
    assert problem.startswith("dlgmgmt.toml:2: binrpc.listen = ")
    assert "allowed: a list of at most 32 different sockets, unixs or unixd and" in problem


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "[::]"])
def test_an_address_that_others_reach_is_refused(tmp_path: Path, host: str) -> None:
    (problem,) = problems(tmp_path, f'[binrpc]\nlisten = ["udp:{host}:2049"]\n')
    assert "is not a loopback address, and clients cannot show who they are" in problem


def test_what_a_reload_brings_waits_for_a_restart(tmp_path: Path) -> None:
    old = read(tmp_path, "[binrpc]\n")
    new = read(
        tmp_path,
        '[binrpc]\nlisten = ["unixs:/run/ctl", "tcp:127.0.0.1:1"]\nsocket_mode = "0600"\n'
        "max_reply = 4096\n",
    )
    changes = compare(old, new)
    assert changes.applied == ()
    assert changes.config.binrpc == old.binrpc
    assert [str(change) for change in changes.restart] == [
        "binrpc.listen: '' -> 'unixs:/run/ctl tcp:127.0.0.1:1'",
        "binrpc.socket_mode: '0660' -> '0600'",
        "binrpc.max_reply: 131072 -> 4096",
    ]
