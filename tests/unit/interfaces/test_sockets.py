"""The sockets of the doors: their files, and what happens when one cannot be had."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from dlgmgmt.interfaces.binrpc import BinrpcServer
from dlgmgmt.interfaces.settings import BinrpcSettings, SocketAddress
from tests.unit.commands.harness import House
from tests.unit.interfaces.binrpc_doors import Open, eventually


@pytest.mark.parametrize("kind", ["unixs", "unixd"])
async def test_the_file_of_a_socket(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "ctl"
    address = SocketAddress(kind, path=str(path))  # type: ignore[arg-type]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(path))
    # Its process is gone: it is replaced.
    settings = BinrpcSettings(
        listen=(address,),
        socket_mode=0o620,
        socket_user=str(os.geteuid()),
        socket_group=str(os.getegid()),
    )
    server = BinrpcServer(settings, House().dispatcher)
    await server.start()
    assert stat.S_IMODE(path.stat().st_mode) == 0o620
    second = BinrpcServer(settings, House().dispatcher)
    with pytest.raises(OSError, match=f"cannot listen on {address}: another process listens there"):
        await second.start()
    assert path.exists()
    await server.stop()
    assert not path.exists()
    path.write_text("no socket")
    with pytest.raises(OSError, match="the file that is there is no socket"):
        await second.start()
    assert path.read_text() == "no socket"


async def test_when_one_door_cannot_open_none_stays_open(tmp_path: Path) -> None:
    good = SocketAddress("unixs", path=str(tmp_path / "ctl"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        bad = SocketAddress("tcp", host="127.0.0.1", port=taken.getsockname()[1])
        server = BinrpcServer(BinrpcSettings(listen=(good, bad)), House().dispatcher)
        with pytest.raises(OSError, match=f"cannot listen on {bad}: Address already in use"):
            await server.start()
    assert not (tmp_path / "ctl").exists()
    assert server.addresses == ()


async def test_a_file_that_another_has_put_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "ctl"
    server = BinrpcServer(
        BinrpcSettings(listen=(SocketAddress("unixs", path=str(path)),)), House().dispatcher
    )
    await server.start()
    path.unlink()
    path.write_text("mine")
    await server.stop()
    assert path.read_text() == "mine"


async def test_an_unknown_owner_is_named(tmp_path: Path) -> None:
    settings = BinrpcSettings(
        listen=(SocketAddress("unixs", path=str(tmp_path / "ctl")),), socket_group="no-such-group"
    )
    with pytest.raises(OSError, match="no-such-group"):
        await BinrpcServer(settings, House().dispatcher).start()


async def test_stopping_ends_what_is_under_way(doors: Open) -> None:
    async with doors() as open_doors:
        idle, begun = await open_doors.stream(), await open_doors.stream("tcp")
        await begun.send(b"\xa1\x03")
        await eventually(lambda: open_doors.counter("connections") == 2)
        await open_doors.server.stop()
        for client in (idle, begun):
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await client.receive()
        assert open_doors.server.addresses == ()
