"""[mi_datagram]: its parameters, what of it is refused, and what a reload makes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dlgmgmt.config.changes import compare
from dlgmgmt.interfaces.settings import MiDatagramSettings, SocketAddress
from tests.unit.config.harness import problems, read


def test_no_door_is_open_by_default(tmp_path: Path) -> None:
    assert read(tmp_path, "").mi_datagram == MiDatagramSettings()
    assert read(tmp_path, "").mi_datagram.listen == ()


def test_every_parameter(tmp_path: Path) -> None:
    config = read(
        tmp_path,
        '[mi_datagram]\nlisten = ["unix:/run/d/mi.sock", "udp:127.0.0.1:8033", "udp:[::1]:0"]\n'
        'socket_mode = "0600"\nsocket_user = 0\nsocket_group = "root"\nmax_request = 2048\n'
        "max_reply = 8192\nmax_pending = 2\nwrite_deadline = 3\n",
    )
    assert config.mi_datagram == MiDatagramSettings(
        listen=(
            SocketAddress("unix", path="/run/d/mi.sock"),
            SocketAddress("udp", host="127.0.0.1", port=8033),
            SocketAddress("udp", host="::1", port=0),
        ),
        socket_mode=0o600,
        socket_user="0",
        socket_group="root",
        max_request=2048,
        max_reply=8192,
        max_pending=2,
        write_deadline=3.0,
    )
    assert " ".join(map(str, config.mi_datagram.listen)) == (
        "unix:/run/d/mi.sock udp:127.0.0.1:8033 udp:[::1]:0"
    )


@pytest.mark.parametrize(
    "listen",
    [
        '["unixd:/run/mi.sock"]',
        '["tcp:127.0.0.1:8033"]',
        '["unix:mi.sock"]',
        '["udp:localhost:8033"]',
        '["unix:/run/mi.sock", "unix:/run/mi.sock"]',
    ],
)
def test_what_is_no_socket_is_refused(tmp_path: Path, listen: str) -> None:
    (problem,) = problems(tmp_path, f"[mi_datagram]\nlisten = {listen}\n")
    assert problem.startswith("dlgmgmt.toml:2: mi_datagram.listen = ")
    assert problem.endswith(
        "allowed: a list of at most 32 different sockets, unix and an absolute path of at most 107 "
        "bytes, udp and a numeric address of this machine, such as "
        '["unix:/run/dlgmgmt/mi.sock", "udp:127.0.0.1:8033"]'
    )


def test_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, '[mi_datagram]\nlisten = ["udp:0.0.0.0:8033"]\n')
    assert "is not a loopback address, and clients cannot show who they are" in problem


def test_mi_has_no_place_for_a_token(tmp_path: Path) -> None:
    (tmp_path / "tokens").touch(0o600)
    text = '[mi_datagram]\nlisten = ["unix:/run/mi.sock", "udp:127.0.0.1:8033"]\n'
    table = '[access]\ntokens_file = "tokens"\n'
    (fault,) = problems(tmp_path, text + table)
    assert "mi_datagram.listen = 'udp:127.0.0.1:8033' is refused: MI has no place for" in fault
    assert read(tmp_path, f'{text}{table}loopback_role = "viewer"\n').warnings == ()


def test_what_a_reload_brings_waits_for_a_restart(tmp_path: Path) -> None:
    old = read(tmp_path, "")
    new = read(tmp_path, '[mi_datagram]\nlisten = ["udp:127.0.0.1:1"]\nmax_reply = 8192\n')
    changes = compare(old, new)
    assert changes.applied == ()
    assert changes.config.mi_datagram == old.mi_datagram
    assert [str(change) for change in changes.restart] == [
        "mi_datagram.listen: '' -> 'udp:127.0.0.1:1'",
        "mi_datagram.max_reply: 65536 -> 8192",
    ]
