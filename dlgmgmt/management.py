"""All that operators reach the daemon by: the doors, who gets in, what is written of it."""

from __future__ import annotations

import logging

from dlgmgmt.commands.context import CommandContext, StatisticsProvider
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.config import Config
from dlgmgmt.config.rundir import RunDirectoryError, private_directory
from dlgmgmt.doors import DoorError, Doors, DoorSettings
from dlgmgmt.errors import StartError
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.audit import AuditError, AuditLog
from dlgmgmt.interfaces.http import HttpServer
from dlgmgmt.interfaces.http_tls import TlsError
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.mi_fifo import MiBinding
from mi_fifo import FifoError, FifoServer

_LOG = logging.getLogger(__name__)


class Management:
    """All that operators reach the daemon by. Everything on the management loop."""

    def __init__(self, config: Config, context: CommandContext, *, demo: bool) -> None:
        self._config = config
        self._audit = _audit_log(config)
        self._access = Access(config.credentials, config.access.loopback_role)
        self._pacer, self._sweeps = context.pacer, context.sweeps
        dispatcher = Dispatcher(build_registry(), context, self._audit)
        self.fifo = FifoServer(config.fifo, MiBinding(dispatcher))
        self.http = HttpServer(config.http, dispatcher, access=self._access)
        settings, rpc = _door_settings(config, demo=demo), _json_rpc(config, dispatcher)
        self.doors = Doors(settings, dispatcher, rpc, self._access)
        context.system.control_sockets = self.doors.binrpc.sockets
        context.system.control_clients = self.doors.binrpc.clients

    def statistics(self) -> dict[str, StatisticsProvider]:
        """Their groups."""
        groups = self.doors.statistics()
        groups |= {"access": self._access.counters, "http": self.http.counters}
        return groups if self._audit is None else {**groups, "audit": self._audit.counters}

    def apply(self, config: Config) -> None:
        """Put what has been read again in force."""
        self._access.use(config.credentials, config.access.loopback_role)
        if config.credentials is not None:
            _LOG.info("tokens and certificates that are known: %d", len(config.credentials))
        self.http.reload_certificates()
        if self._audit is not None:
            self._audit.reopen()

    async def start(self) -> None:
        """Open every door; raises StartError."""
        try:
            await self.fifo.start()
        except (FifoError, OSError) as error:
            raise StartError(str(error)) from error
        try:
            await self.http.start()
        except OSError as error:
            where = f"{self._config.http.host}:{self._config.http.port}"
            msg = f"cannot listen on http {where}: {error.strerror or error}"
            raise StartError(msg) from error
        except TlsError as error:
            raise StartError(str(error)) from error
        try:
            await self.doors.start()
        except DoorError as error:
            raise StartError(str(error)) from error

    async def stop(self) -> None:
        """Close every door."""
        self._pacer.stop()
        self._sweeps.stop()
        await self.doors.stop()
        await self.http.stop()
        await self.fifo.stop()

    def end_audit(self) -> None:
        """Write down what is still to be written."""
        if self._audit is not None:
            self._audit.stop()


def _json_rpc(config: Config, dispatcher: Dispatcher) -> JsonRpc:
    """JSON-RPC for the doors beside HTTP, with its limits."""
    return JsonRpc(dispatcher, max_batch=config.http.max_batch, max_depth=config.http.max_depth)


def _door_settings(config: Config, *, demo: bool) -> DoorSettings:
    """The settings of the doors; a demo opens them all without being told to."""
    settings = DoorSettings(
        config.binrpc, config.jsonrpc_fifo, config.jsonrpc_sock, config.mi_datagram
    )
    if not demo:
        return settings
    if not config.fifo.fifo_name.startswith(f"{config.run_dir}/"):
        # The FIFO's server makes the directory only for itself.
        try:
            private_directory(config.run_dir)
        except RunDirectoryError as error:
            raise StartError(str(error)) from error
    return settings.for_demo(config.run_dir)


def _audit_log(config: Config) -> AuditLog | None:
    """What commands are written to, if there is a file for it."""
    settings = config.access
    if settings.audit_log is None:
        return None
    try:
        return AuditLog(settings.audit_log, settings.audit_max_bytes, settings.audit_files)
    except AuditError as error:
        raise StartError(str(error)) from error
