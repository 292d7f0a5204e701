"""The composition root: every wire between the rooms is here, and nowhere else.

Two threads: the SIP engine's own, and the caller's, which runs the management loop with the MI
FIFO and HTTP. They meet in the dialog table alone.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from dlgmgmt import __version__
from dlgmgmt.api import DialogApi
from dlgmgmt.cli.text import complain
from dlgmgmt.commands.context import CommandContext, StatisticsProvider
from dlgmgmt.commands.dispatcher import Dispatcher
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.commands.system import SipSocket, System
from dlgmgmt.config import Config, ConfigError, Problem
from dlgmgmt.config.reload import Reloader
from dlgmgmt.config.rundir import RunDirectoryError, private_directory
from dlgmgmt.config.schema import PARAMETERS
from dlgmgmt.demo import Demo
from dlgmgmt.dialog.callbacks import Callbacks, DialogHandle
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.forced import force
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.doors import DoorError, Doors, DoorSettings
from dlgmgmt.interfaces.access import Access
from dlgmgmt.interfaces.audit import AuditError, AuditLog
from dlgmgmt.interfaces.http import HttpServer
from dlgmgmt.interfaces.http_tls import TlsError
from dlgmgmt.interfaces.jsonrpc import JsonRpc
from dlgmgmt.interfaces.listing import render_early
from dlgmgmt.interfaces.mi_fifo import MiBinding
from dlgmgmt.routing.host import ScriptHost
from dlgmgmt.routing.script import ScriptError
from dlgmgmt.sip.engine import SipEngine, tune_gc, tune_memory, tune_threads
from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.settings import Route, SipSettings
from mi_fifo import FifoError, FifoServer

_LOG = logging.getLogger(__name__)


class StartError(Exception):
    """A part of the daemon could not start; the text says which and why."""


def run(config: Config, *, demo: bool = False, hangups: Sequence[object] = ()) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code, 0 after a clean end.

    hangups: the SIGHUPs that have come since the configuration was read; it is read again then.
    """
    try:
        asyncio.run(_main(config, demo=demo, hangups=hangups))
    except StartError as error:
        complain("dlgmgmt", str(error))
        return 1
    return 0


async def _main(config: Config, *, demo: bool, hangups: Sequence[object]) -> None:
    loop = asyncio.get_running_loop()
    # A script may take its time to load. The loop does not run before it has its real handler,
    # which is then told of what has come meanwhile.
    loop.add_signal_handler(signal.SIGHUP, _ignore)
    rng = random.SystemRandom()
    phones = _phones(config, rng) if demo else None
    sip = _with_phones(config, phones)
    table = DialogTable(config.dialog, wall=time.time, monotonic=time.monotonic, rng=rng)
    try:
        engine = SipEngine(sip, config.dialog, table, rng=rng)
    except ListenError as error:
        raise StartError(str(error)) from error
    table.give_way = engine.give_way
    callbacks = Callbacks(table)
    host = _script_host(config, engine, table, callbacks)
    statistics: dict[str, StatisticsProvider] = {
        "calls": lambda: _call_statistics(engine, table),
        "core": lambda: _core_statistics(engine),
        "dns": engine.locator.statistics,
        "memory": _memory_statistics,
        "trace": engine.tracer.statistics,
    }
    if host is not None:
        statistics["script"] = host.statistics
    table.add_listener(render_early(table.snapshot), EventType.CONFIRMED)
    management = _Management(
        config,
        CommandContext(
            table=table,
            terminator=engine.terminator,
            clock=time.time,
            start_time=time.time(),
            version=__version__,
            statistics=statistics,
            tracing=engine.tracer,
            describe=lambda dialog: callbacks.context(DialogHandle(dialog)),
            force=functools.partial(force, table),
            bridging=engine.calls,
            system=System(lambda: _sip_sockets(engine), parameters=PARAMETERS),
        ),
        demo=demo,
    )
    statistics |= management.statistics()

    def apply(new: Config) -> None:
        engine.reload(_with_phones(new, phones), new.dialog)
        loop.call_soon_threadsafe(management.apply, new)

    reloader = Reloader(
        config, os.environ, prepare=lambda new: _reload_routing(new, host), apply=apply
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, reloader.request)
    if hangups:
        loop.call_soon(reloader.request)
    try:
        await management.start()
        tune_gc()
        tune_memory()
        tune_threads()
        engine.start()
        if phones is not None:
            await phones.start()
        _announce(config, engine, management, demo=demo)
        await stopping.wait()
        _LOG.info("stopping")
    finally:
        reloader.stop()
        if phones is not None:
            await phones.stop()
        await management.stop()
        if host is not None:
            # While requests that wait for the script can still be answered.
            host.stop()
        engine.stop()
        callbacks.clear()
        management.end_audit()


def _ignore() -> None:
    """Never called; it is there."""


def _audit_log(config: Config) -> AuditLog | None:
    """What commands are written to, if there is a file for it."""
    settings = config.access
    if settings.audit_log is None:
        return None
    try:
        return AuditLog(settings.audit_log, settings.audit_max_bytes, settings.audit_files)
    except AuditError as error:
        raise StartError(str(error)) from error


def _script_host(
    config: Config, engine: SipEngine, table: DialogTable, callbacks: Callbacks
) -> ScriptHost | None:
    """The operator's script, if there is one."""
    if config.routing.script is None:
        return None
    forwarder = engine.proxy.forwarder
    try:
        return ScriptHost(
            config.routing,
            forwarder,
            table,
            engine.calls,
            engine.post,
            time.time,
            functools.partial(DialogApi, table, engine.terminator),
            callbacks,
        )
    except ScriptError as error:
        raise StartError(str(error)) from error


def _reload_routing(config: Config, host: ScriptHost | None) -> None:
    """Load the operator's script again; ConfigError, and the old one goes on, if it is bad."""
    if host is None:
        return
    try:
        host.reload(config.routing)
    except ScriptError as error:
        where = error.message if error.line else f"{error.file}: {error.message}"
        raise ConfigError([Problem(error.file, error.line, where)]) from error


class _Management:
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


def _phones(config: Config, rng: random.Random) -> Demo:
    listener = next((one for one in config.sip.listen if one.transport == "udp"), None)
    if listener is None:
        raise StartError("the demo phones speak UDP: sip.listen needs a udp listener")
    return Demo((listener.host, listener.port), rng=rng, logger=logging.getLogger("dlgmgmt.demo"))


def _with_phones(config: Config, phones: Demo | None) -> SipSettings:
    """The SIP settings, with the routes to the demo phones before the operator's own."""
    if phones is None:
        return config.sip
    shown = [
        Route(targets=route.targets, user_prefix=route.user_prefix, fork=route.fork)
        for route in phones.routes()
    ]
    return replace(config.sip, routes=(*shown, *config.sip.routes))


def _announce(config: Config, engine: SipEngine, management: _Management, *, demo: bool) -> None:
    """The one line that scripts wait for; ``run`` adds what a person wants to try next."""
    host, port = management.http.address
    doors = management.doors
    scheme = "http" if config.http.certificate is None else "https"
    url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/RPC"
    sip = " ".join(f"sip={name}" for name in engine.listeners)
    more = "".join(f" mi={address}" for address in doors.mi_datagram.addresses)
    more += "".join(f" binrpc={address}" for address in doors.binrpc.addresses)
    more += "".join(f" jsonrpc={address}" for address in doors.jsonrpc)
    print(f"ready {sip} fifo={config.fifo.fifo_name} http={url}{more}", flush=True)  # noqa: T201 - the contract
    if demo:
        for line in (
            "",
            f"  SIP    {', '.join(engine.listeners)}",
            f"  FIFO   {config.fifo.fifo_name} (replies in {config.fifo.reply_dir})",
            f"  MI     {', '.join(map(str, doors.mi_datagram.addresses))}",
            f"  HTTP   {url}",
            f"  JSON   {', '.join(doors.jsonrpc)}",
            f"  BINRPC {', '.join(map(str, doors.binrpc.addresses))}",
            "",
            "Demo phones are calling each other. In another terminal:",
            "  .venv/bin/dlgctl list",
            "  .venv/bin/dlgctl kill CALL-ID",
            f"  kamcmd -s {doors.binrpc.addresses[0]} dlg.list",
            f"  RPCFIFOPATH={doors.settings.jsonrpc_fifo.fifo_name} kamctl dialog show",
            "Ctrl-C ends the daemon.",
            "",
        ):
            print(line, flush=True)  # noqa: T201 - for a person


def _sip_sockets(engine: SipEngine) -> list[SipSocket]:
    return [SipSocket(sock.kind, sock.host, sock.port) for sock in engine.sockets]


def _call_statistics(engine: SipEngine, table: DialogTable) -> Sequence[tuple[str, int]]:
    """What the daemon does to calls by itself."""
    keepalive = engine.calls.keepalive
    return (
        ("bridges", len(engine.calls.bridges)),
        ("forced_dialogs", table.counters.forced),
        ("keepalives_deferred", keepalive.deferred),
        ("keepalives_ended", keepalive.ended),
        ("keepalives_failed", keepalive.failed),
        ("keepalives_sent", keepalive.sent),
        ("refers", len(engine.calls.referrals)),
    )


def _core_statistics(engine: SipEngine) -> Sequence[tuple[str, int]]:
    counters, guard = engine.proxy.counters, engine.proxy.guard
    dropped = counters.not_sip + counters.stray_acks + counters.overload
    refused = guard.counters
    return (
        ("bad_msg_hdr", counters.bad_requests + counters.bad_replies),
        ("drop_replies", counters.stray_replies),
        ("drop_requests", dropped + refused.dropped + refused.refused + refused.forbidden),
        ("err_requests", counters.errors),
        ("flood_dropped", refused.dropped),
        ("flood_refused", refused.refused),
        ("flood_sources", len(guard)),
        ("forbidden", refused.forbidden),
        ("not_sip", counters.not_sip),
        ("overload", counters.overload),
        ("rcv_replies", counters.replies),
        ("rcv_requests", counters.requests),
        ("retransmissions", counters.retransmissions),
        ("tcp_connections", engine.connections),
        ("tcp_refused", engine.refused_connections),
        ("transactions", engine.transactions),
        ("unsent", sum(sock.unsent for sock in engine.sockets)),
    )


def _memory_statistics() -> Sequence[tuple[str, int]]:
    """What is in use, and what the system has given.

    The two differ: what calls leave behind is kept for the next ones rather than given back.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        ("blocks", sys.getallocatedblocks()),
        ("resident", pages * os.sysconf("SC_PAGE_SIZE")),
    )
