"""The doors beside the MI FIFO and HTTP, as one: which there are, their start and their end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from dlgmgmt.commands.context import StatisticsProvider
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.binrpc import BinrpcServer
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.jsonrpc_fifo import DOOR as FIFO_DOOR
from dlgmgmt.interfaces.jsonrpc_fifo import JsonFifo
from dlgmgmt.interfaces.jsonrpc_sock import JsonSockets
from dlgmgmt.interfaces.mi_datagram import MiDatagrams
from dlgmgmt.interfaces.settings import (
    BinrpcSettings,
    JsonFifoSettings,
    JsonSockSettings,
    MiDatagramSettings,
    SocketAddress,
)
from mi_fifo import FifoError


class DoorError(Exception):
    """A door cannot be opened; the text says which and why."""


@dataclass(slots=True, frozen=True)
class DoorSettings:
    """What the configuration says of them."""

    binrpc: BinrpcSettings
    jsonrpc_fifo: JsonFifoSettings
    jsonrpc_sock: JsonSockSettings
    mi_datagram: MiDatagramSettings

    def for_demo(self, run_dir: Path) -> DoorSettings:
        """With every door open, in the run directory, unless the configuration opens others.

        No ports: another program may have them, such as NFS the one of kamcmd.
        """
        binrpc, fifo, sock = self.binrpc, self.jsonrpc_fifo, self.jsonrpc_sock
        if not binrpc.listen:
            listen = _demo_sockets(run_dir, "ctl", "ctld")
            binrpc = replace(binrpc, listen=listen)
        if not fifo.fifo_name:
            # kamctl makes its reply FIFOs in /tmp.
            fifo = replace(fifo, fifo_name=str(run_dir / "rpc.fifo"), reply_dir="/tmp")  # noqa: S108
        if not sock.listen:
            listen = _demo_sockets(run_dir, "rpcs.sock", "rpc.sock")
            sock = replace(sock, listen=listen)
        mi = self.mi_datagram
        if not mi.listen:
            mi = replace(mi, listen=(SocketAddress("unix", path=str(run_dir / "mi.sock")),))
        return DoorSettings(binrpc, fifo, sock, mi)


def _demo_sockets(run_dir: Path, stream: str, datagram: str) -> tuple[SocketAddress, ...]:
    return (
        SocketAddress("unixs", path=str(run_dir / stream)),
        SocketAddress("unixd", path=str(run_dir / datagram)),
    )


class Doors:
    """Start and stop them on the management loop. rpc: for those that speak JSON-RPC."""

    def __init__(
        self, settings: DoorSettings, dispatcher: Dispatcher, rpc: JsonRpc, access: Access
    ) -> None:
        self.settings = settings
        self.binrpc = BinrpcServer(settings.binrpc, dispatcher, access)
        self.jsonrpc_sock = JsonSockets(settings.jsonrpc_sock, rpc, access)
        self.mi_datagram = MiDatagrams(settings.mi_datagram, dispatcher, access)
        self.jsonrpc_fifo: JsonFifo | None = None
        if settings.jsonrpc_fifo.fifo_name:
            self.jsonrpc_fifo = JsonFifo(
                settings.jsonrpc_fifo,
                rpc,
                lambda token: access.caller(FIFO_DOOR, "", token, label="JSON FIFO"),
            )

    def statistics(self) -> dict[str, StatisticsProvider]:
        """Their groups of statistics."""
        groups: dict[str, StatisticsProvider] = {
            "binrpc": self.binrpc.counters,
            "jsonrpc_sock": self.jsonrpc_sock.counters,
            "mi_datagram": self.mi_datagram.counters,
        }
        if self.jsonrpc_fifo is not None:
            groups["jsonrpc_fifo"] = self.jsonrpc_fifo.statistics
        return groups

    @property
    def jsonrpc(self) -> tuple[str, ...]:
        """Where JSON-RPC is spoken."""
        fifo = self.settings.jsonrpc_fifo.fifo_name
        sockets = tuple(map(str, self.jsonrpc_sock.addresses))
        return (f"fifo:{fifo}", *sockets) if fifo else sockets

    async def start(self) -> None:
        """Open them; raises DoorError."""
        name = "binrpc"
        try:
            await self.binrpc.start()
            name = "jsonrpc_fifo"
            if self.jsonrpc_fifo is not None:
                await self.jsonrpc_fifo.start()
            name = "jsonrpc_sock"
            await self.jsonrpc_sock.start()
            name = "mi_datagram"
            await self.mi_datagram.start()
        except FifoError as error:
            raise DoorError(f"{name}: {error}") from error
        except OSError as error:
            raise DoorError(f"{name}: {error.strerror or error}") from error

    async def stop(self) -> None:
        """Close them, those too that were never opened."""
        await self.mi_datagram.stop()
        await self.jsonrpc_sock.stop()
        if self.jsonrpc_fifo is not None:
            await self.jsonrpc_fifo.stop()
        await self.binrpc.stop()
