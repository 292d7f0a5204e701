"""The engine: sockets, transactions and proxy on a thread and loop of their own."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import functools
import gc
import logging
import random
import sys
import threading
import time
from collections.abc import Callable

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.store import TICK as DIALOG_TICK
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import Tracker
from dlgmgmt.sip import quiet
from dlgmgmt.sip.calls import Calls
from dlgmgmt.sip.carrier import Uses
from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.flow import Tap
from dlgmgmt.sip.held import Done, Hold
from dlgmgmt.sip.keepalive import LOOK
from dlgmgmt.sip.listeners import Listeners
from dlgmgmt.sip.loading import LoadGate
from dlgmgmt.sip.locate import Locator
from dlgmgmt.sip.loop import new_loop
from dlgmgmt.sip.proxy import Proxy
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.sip.stack import TICK, TransactionStack
from dlgmgmt.sip.terminate import Terminator
from dlgmgmt.sip.trace import Tracer

_LOG = logging.getLogger(__name__)

GIVE_WAY = 0.02

_M_MMAP_THRESHOLD = -3
LARGE = 65_536
"""Bytes of a buffer that is taken from the system by itself (mallopt(3))."""

SWITCH_INTERVAL = 0.0001
"""Seconds that a thread may keep the interpreter while the other wants it."""


class SipEngine:
    """Binds the listeners at construction (raises ListenError) and runs from start() to stop().

    table: the dialogs. rng: where branches and tags come from; it must not be predictable in
    production. ``terminator``, ``calls`` and ``tracer`` may be used from any thread.
    """

    def __init__(
        self,
        settings: SipSettings,
        dialog_settings: DialogSettings,
        table: DialogTable,
        *,
        rng: random.Random,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._loop, self._selector = new_loop()
        self._thread = threading.Thread(target=self._run, name="dlgmgmt-sip", daemon=True)
        self._table = table
        self._hold_answers: Hold | None = None
        try:
            self._listeners = Listeners(settings, lambda: self.proxy, monotonic)
        except ListenError:
            self._loop.close()
            raise
        self.sockets = self._listeners.transports
        self._stack = TransactionStack(settings, monotonic=monotonic, rng=rng)
        self.tracer = Tracer(settings.trace, self._set_taps, self.post)
        self.locator = Locator(self.sockets, monotonic, settings.dns, rng)
        tracker = Tracker(table, self._expired)
        self.proxy = Proxy(settings, dialog_settings, self._stack, self.locator, tracker)
        self._listeners.ask(self.proxy.guard.admits)
        self._listeners.need(Uses(self._stack, table).needs)
        self.terminator = Terminator(
            self.proxy, Terminations(table), self._submit, dialog_settings.dlg_extra_hdrs
        )
        self.proxy.terminator = self.terminator
        self.calls = Calls(self.proxy, table, self.terminator, self._submit, dialog_settings)

    @property
    def loading(self) -> LoadGate:
        """Whether dialogs are being loaded, and what happens to requests meanwhile."""
        return self.proxy.loading

    @property
    def hold_answers(self) -> Hold | None:
        """Who says when a call's answer may go to the caller; None, as at first: at once.

        Called on the signalling thread after the dialog has been told of the answer. It calls its
        second argument once, from any thread: with False if the dialog is not durable, but has
        been waited for long enough.
        """
        return self._hold_answers

    @hold_answers.setter
    def hold_answers(self, hold: Hold | None) -> None:
        self._hold_answers = hold
        self.proxy.holder.hold = None if hold is None else functools.partial(self._ask, hold)

    def _ask(self, hold: Hold, dialog: Dialog, done: Done) -> None:
        def tell(durable: bool) -> None:  # noqa: FBT001 - see Done
            # After the end of the loop nobody is left who could be answered.
            with contextlib.suppress(RuntimeError):
                self.post(functools.partial(done, durable))

        hold(dialog, tell)

    @property
    def transactions(self) -> int:
        """Transactions alive."""
        return len(self._stack)

    @property
    def connections(self) -> int:
        """Connections of stream listeners alive, accepted and own."""
        return len(self._listeners.census)

    @property
    def refused_connections(self) -> int:
        """Connections that were refused, or not made, for there were too many."""
        return self._listeners.census.refused

    @property
    def listeners(self) -> list[str]:
        """The bound listeners, as ``udp:host:port``."""
        return [sock.name for sock in self.sockets]

    def give_way(self) -> None:
        """Sleep while datagrams are being worked on, GIVE_WAY seconds at most.

        For other threads, between pieces of long work: what they do there costs signalling the
        interpreter.
        """
        deadline = time.monotonic() + GIVE_WAY
        while self._selector.serving and time.monotonic() < deadline:
            time.sleep(0.0003)

    def start(self) -> None:
        """Begin to read, on a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading, end the thread and close the sockets."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        else:
            self._close()

    def reload(self, settings: SipSettings, dialog_settings: DialogSettings) -> None:
        """Work with other settings from the next datagram on. Any thread.

        What sockets, transactions and the table were made with stays: the caller leaves it alone.
        """
        self.post(functools.partial(self._use, settings, dialog_settings))

    def _use(self, settings: SipSettings, dialog_settings: DialogSettings) -> None:
        self._table.profiles.declare(
            dialog_settings.profiles_with_value, dialog_settings.profiles_no_value
        )
        self._table.settings = dialog_settings
        self.proxy.use(settings)
        self.tracer.use(settings.trace)
        try:
            self._listeners.use(settings)
        except ListenError as error:
            # The files were there when the configuration was read; the old certificates go on.
            _LOG.error("%s", error)
        self.locator.use(settings.dns)
        self.terminator.configure(dialog_settings.dlg_extra_hdrs)
        self.calls.configure(dialog_settings)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._listeners.start(self._loop, self._selector)
        self._tick()
        self._dialog_tick()
        self._look()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(self._listeners.stop())
            self._close()

    def _close(self) -> None:
        self._listeners.close()
        self.locator.close()
        self.tracer.close()
        self._loop.close()

    def _set_taps(self, tap: Tap | None) -> None:
        for sock in self.sockets:
            sock.tap = tap

    def _submit(self, work: Callable[[], None]) -> None:
        if threading.current_thread() is self._thread:
            work()
        else:
            self._loop.call_soon_threadsafe(work)

    def _expired(self, dialog: Dialog) -> None:
        self.proxy.expired(dialog)

    def post(self, work: Callable[[], None]) -> None:
        """Have ``work`` run on the signalling thread, later."""
        self._loop.call_soon_threadsafe(work)

    def _tick(self) -> None:
        self._loop.call_later(TICK, self._tick)
        self._stack.run_timers()

    def _look(self) -> None:
        self._loop.call_later(LOOK, self._look)
        quiet.flush()
        try:
            self.calls.keepalive.look()
        except Exception:  # noqa: BLE001 - logged
            # The timer must go on.
            _LOG.exception("keep-alive failed")

    def _dialog_tick(self) -> None:
        self._loop.call_later(DIALOG_TICK, self._dialog_tick)
        for fire in self._table.due():
            try:
                fire()
            except Exception:  # noqa: BLE001 - logged
                # The dialogs that expire with it must still be ended.
                _LOG.exception("dialog timeout failed")


def tune_gc() -> None:
    """Collect what is young often, and all of it rarely.

    Transactions and dialogs are freed by reference count, and a full collection over tens of
    thousands of live ones would stall signalling. But each connection that asyncio has closed is a
    cycle: while the number of dialogs stays about the same, little else counts for the collector.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(2_000, 50, 500)


def tune_memory() -> None:
    """Have large buffers taken from the system, and given back to it, where the C library can.

    The pieces of a listing are some 128 KiB. Between the small blocks that live on they would
    leave gaps, and the process would grow though it holds no more than before.
    """
    try:
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)
    except (AttributeError, OSError) as error:
        # Another C library than glibc.
        _LOG.debug("memory is not tuned: %s", error)


def tune_threads() -> None:
    """Let the signalling thread back in quickly.

    It gives up the interpreter with every datagram that it reads or sends, and gets it back from
    a busy management thread only after the switch interval: with the default of 5 ms a long
    listing would hold signalling to some fifty messages a second.
    """
    sys.setswitchinterval(SWITCH_INTERVAL)
