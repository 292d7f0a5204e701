"""Which doors a demo opens, and what is said of one that cannot be opened."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from dlgmgmt.doors import DoorError, Doors, DoorSettings
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.settings import (
    BinrpcSettings,
    JsonFifoSettings,
    JsonSockSettings,
    MiDatagramSettings,
    SocketAddress,
)
from tests.unit.commands.harness import House

CLOSED = DoorSettings(
    BinrpcSettings(), JsonFifoSettings(), JsonSockSettings(), MiDatagramSettings()
)


def doors(settings: DoorSettings) -> Doors:
    dispatcher = House().dispatcher
    rpc = JsonRpc(dispatcher, max_batch=10, max_depth=10)
    return Doors(settings, dispatcher, rpc, Access())


def test_a_demo_opens_every_door_of_json_rpc_in_its_directory(tmp_path: Path) -> None:
    settings = CLOSED.for_demo(tmp_path)
    assert settings.jsonrpc_fifo.fifo_name == f"{tmp_path}/rpc.fifo"
    assert [str(each) for each in settings.jsonrpc_sock.listen] == [
        f"unixs:{tmp_path}/rpcs.sock",
        f"unixd:{tmp_path}/rpc.sock",
    ]


def test_a_demo_takes_mi_in_datagrams_there_too(tmp_path: Path) -> None:
    settings = CLOSED.for_demo(tmp_path)
    assert [str(each) for each in settings.mi_datagram.listen] == [f"unix:{tmp_path}/mi.sock"]


def test_a_demo_leaves_what_is_configured(tmp_path: Path) -> None:
    fifo = JsonFifoSettings(fifo_name="/run/x", reply_dir="/run/y")
    sock = JsonSockSettings(listen=(SocketAddress("unixd", path="/run/z"),))
    settings = replace(CLOSED, jsonrpc_fifo=fifo, jsonrpc_sock=sock).for_demo(tmp_path)
    assert (settings.jsonrpc_fifo, settings.jsonrpc_sock) == (fifo, sock)


async def test_nothing_is_open_unless_it_is_configured() -> None:
    closed = doors(CLOSED)
    await closed.start()
    assert closed.jsonrpc == ()
    assert "jsonrpc_fifo" not in closed.statistics()
    await closed.stop()


async def test_what_cannot_be_opened_is_named_and_nothing_stays_open(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("precious")
    good = JsonFifoSettings(fifo_name=f"{tmp_path}/rpc.fifo", reply_dir=str(tmp_path))
    sock = JsonSockSettings(listen=(SocketAddress("unixs", path=str(taken)),))
    some = doors(replace(CLOSED, jsonrpc_fifo=good, jsonrpc_sock=sock))
    with pytest.raises(DoorError, match=r"jsonrpc_sock: cannot listen on unixs:.*no socket"):
        await some.start()
    await some.stop()
    bad = doors(replace(CLOSED, jsonrpc_fifo=replace(good, fifo_name=str(taken))))
    with pytest.raises(DoorError, match=r"jsonrpc_fifo: .*/taken: exists and is not a FIFO"):
        await bad.start()
    await bad.stop()
    assert os.listdir(tmp_path) == ["taken"]  # noqa: PTH208 - names alone
    assert taken.read_text() == "precious"
