"""The composition root: every wire between the rooms is here, and nowhere else.

Two threads: the SIP engine's own, and the caller's, which runs the management loop with the MI
FIFO and HTTP. They meet in the dialog table alone. With a database there are those that read and
write it (storing.py).
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from dlgmgmt import __version__
from dlgmgmt.announce import announce, introduce
from dlgmgmt.api import DialogApi
from dlgmgmt.cli.text import complain
from dlgmgmt.commands.context import CommandContext, StatisticsProvider
from dlgmgmt.commands.system import System
from dlgmgmt.config import Config, ConfigError, Problem
from dlgmgmt.config.reload import Reloader
from dlgmgmt.config.schema import PARAMETERS
from dlgmgmt.demo import Demo
from dlgmgmt.dialog.callbacks import Callbacks, DialogHandle
from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.forced import force
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.errors import StartError
from dlgmgmt.figures import (
    call_statistics,
    core_statistics,
    memory_statistics,
    sip_sockets,
)
from dlgmgmt.interfaces.listing import render_early
from dlgmgmt.management import Management
from dlgmgmt.routing.host import ScriptHost
from dlgmgmt.routing.script import ScriptError
from dlgmgmt.sip.engine import SipEngine, tune_gc, tune_memory, tune_threads
from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.settings import Route, SipSettings

if TYPE_CHECKING:
    from dlgmgmt.storing import Storing

_LOG = logging.getLogger(__name__)


def run(config: Config, *, demo: bool = False, hangups: Sequence[object] = ()) -> int:
    """Run until SIGTERM or SIGINT; returns the exit code, 0 after a clean end.

    It is 1 if what has changed could not be written to the database.

    hangups: the SIGHUPs that have come since the configuration was read; it is read again then.
    """
    try:
        clean = asyncio.run(_main(config, demo=demo, hangups=hangups))
    except StartError as error:
        complain("dlgmgmt", str(error))
        return 1
    return 0 if clean else 1


async def _main(config: Config, *, demo: bool, hangups: Sequence[object]) -> bool:
    """Whether it ended cleanly."""
    loop = asyncio.get_running_loop()
    # A script may take its time to load. The loop does not run before it has its real handler,
    # which is then told of what has come meanwhile.
    loop.add_signal_handler(signal.SIGHUP, _ignore)
    daemon = _Daemon(config, demo=demo)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, daemon.reloader.request)
    if hangups:
        loop.call_soon(daemon.reloader.request)
    try:
        await daemon.start(stopping)
        await stopping.wait()
        _LOG.info("stopping")
    finally:
        clean = await daemon.stop()
    return clean


class _Daemon:
    """Its parts, each made and none started. Made and used on the management loop."""

    def __init__(self, config: Config, *, demo: bool) -> None:
        self._config, self._demo = config, demo
        self._loop = asyncio.get_running_loop()
        rng = random.SystemRandom()
        self._phones = _phones(config, rng) if demo else None
        sip = _with_phones(config, self._phones)
        table = DialogTable(config.dialog, wall=time.time, monotonic=time.monotonic, rng=rng)
        try:
            self._engine = engine = SipEngine(sip, config.dialog, table, rng=rng)
        except ListenError as error:
            raise StartError(str(error)) from error
        table.give_way = engine.give_way
        self._storing = _storing(config, table, engine)
        self._callbacks = callbacks = Callbacks(table)
        self._host = _script_host(config, engine, table, callbacks)
        statistics: dict[str, StatisticsProvider] = {
            "calls": lambda: call_statistics(engine, table),
            "core": lambda: core_statistics(engine),
            "dns": engine.locator.statistics,
            "memory": memory_statistics,
            "trace": engine.tracer.statistics,
        }
        if self._host is not None:
            statistics["script"] = self._host.statistics
        if self._storing is not None:
            statistics["database"] = self._storing.statistics
        table.add_listener(render_early(table.snapshot), EventType.CONFIRMED)
        self._management = Management(
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
                system=System(lambda: sip_sockets(engine), parameters=PARAMETERS),
                database=self._storing,
            ),
            demo=demo,
        )
        statistics |= self._management.statistics()
        self.reloader = Reloader(
            config,
            os.environ,
            prepare=lambda new: _reload_routing(new, self._host),
            apply=self._apply,
        )

    def _apply(self, new: Config) -> None:
        self._engine.reload(_with_phones(new, self._phones), new.dialog)
        if self._storing is not None:
            self._storing.reload(new.storage)
        self._loop.call_soon_threadsafe(self._management.apply, new)

    async def start(self, stopping: asyncio.Event) -> None:
        """Start all parts and say so; raises StartError. ``stopping`` may be set meanwhile."""
        config, engine, management = self._config, self._engine, self._management
        await management.start()
        tune_gc()
        tune_memory()
        tune_threads()
        engine.start()
        restored = 0
        if self._storing is not None:
            announce("loading", config, engine, management)
            report = await self._storing.load(stopping)
            if report is None:
                return
            restored = report.loaded
        if self._phones is not None:
            await self._phones.start()
        announce("ready", config, engine, management)
        if self._demo:
            introduce(config, engine, management, restored)

    async def stop(self) -> bool:
        """Stop what was started, in the order in which one part needs the other.

        False if the database has not got all that changed.
        """
        written = True
        self.reloader.stop()
        if self._phones is not None:
            await self._phones.stop()
        await self._management.stop()
        if self._host is not None:
            # While requests that wait for the script can still be answered.
            self._host.stop()
        self._engine.stop()
        if self._storing is not None:
            # When no dialog changes any more. The loop goes on, for signals.
            written = await asyncio.to_thread(self._storing.stop)
        self._callbacks.clear()
        self._management.end_audit()
        return written


def _storing(config: Config, table: DialogTable, engine: SipEngine) -> Storing | None:
    """The database, if dialogs are kept in one."""
    settings = config.storage
    if not settings.mode:
        return None
    from dlgmgmt.storing import Storing  # noqa: PLC0415 - loads SQLAlchemy

    return Storing(
        settings,
        table,
        engine,
        policy=config.while_loading,
        retry_after=config.sip.limits.retry_after,
    )


def _ignore() -> None:
    """Never called; it is there."""


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
