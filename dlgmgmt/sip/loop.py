"""An asyncio loop whose UDP sockets are read inside its selector.

An event loop that wakes for one datagram at a time spends more on handles and contexts than on
the datagram. Here the selector itself calls the readers and goes on waiting; it returns to the
loop only when something else is ready, when the loop's next timer is due, or after a bounded
number of rounds, so that a flood cannot keep the timers waiting.

Under load it also waits a few milliseconds between wake-ups, as network drivers do: what came
meanwhile is read in one go, with warm caches. A quiet line is answered at once.
"""

from __future__ import annotations

import asyncio
import contextvars
import selectors
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVarTuple, Unpack

if TYPE_CHECKING:
    from _typeshed import FileDescriptorLike

_Ts = TypeVarTuple("_Ts")

ROUNDS = 32
"""Wake-ups served before the loop's own work gets its turn."""

PAUSE = 0.004
"""Seconds between wake-ups under load: the most that a datagram waits."""

BUSY = 0.002
"""Load begins when wake-ups come closer together than this, on average, in seconds."""


class _Reader:
    __slots__ = ("read",)

    def __init__(self, read: Callable[[], None]) -> None:
        self.read = read


class DirectSelector(selectors.DefaultSelector):
    """A selector that serves the descriptors of add_direct itself."""

    serving = False
    """Whether datagrams are being worked on; read by other threads."""

    asked = False
    """Whether a reader has left work for the loop, which then must not wait in here."""

    _last = 0.0
    _spacing = 1.0

    def add_direct(self, fd: FileDescriptorLike, read: Callable[[], None]) -> None:
        """Call ``read`` whenever ``fd`` is readable; it must not raise or block."""
        self.register(fd, selectors.EVENT_READ, _Reader(read))

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        """As BaseSelector.select, but the direct readers are called and not returned."""
        poll, monotonic = super().select, time.monotonic
        deadline = None if timeout is None else monotonic() + timeout
        others: list[tuple[selectors.SelectorKey, int]] = []
        self.asked = False
        for _ in range(ROUNDS):
            served = False
            for item in poll(timeout):
                data = item[0].data
                if type(data) is _Reader:
                    self.serving = served = True
                    data.read()
                else:
                    others.append(item)
            if served:
                self.serving = False
                self._pace(monotonic())
            if others or self.asked:
                break
            if deadline is not None:
                timeout = deadline - monotonic()
                if timeout <= 0:
                    break
        return others

    def _pace(self, now: float) -> None:
        """Measure how close the wake-ups come, and pause between them when it is too close."""
        since = min(now - self._last, 1.0)
        paused = self._spacing < BUSY
        # Pauses of our own say nothing of the load: only what came beyond them counts.
        self._spacing += (max(since - PAUSE, 0.0) if paused else since) / 16 - self._spacing / 16
        if paused:
            time.sleep(PAUSE)
            now += PAUSE
        self._last = now


class DirectLoop(asyncio.SelectorEventLoop):
    """A loop that notices what the readers within its selector leave for it to do."""

    def __init__(self, selector: DirectSelector) -> None:
        super().__init__(selector)
        self._direct = selector

    def call_soon(
        self,
        callback: Callable[[Unpack[_Ts]], object],
        *args: *_Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """As asyncio has it."""
        self._direct.asked = True
        return super().call_soon(callback, *args, context=context)


def new_loop() -> tuple[asyncio.SelectorEventLoop, DirectSelector]:
    """A loop and its selector."""
    selector = DirectSelector()
    return DirectLoop(selector), selector
