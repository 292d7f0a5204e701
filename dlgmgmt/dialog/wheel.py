"""A timing wheel: timers in buckets of one tick each.

Setting and cancelling cost one dictionary operation each, whatever the number of timers, and a
cancelled timer leaves nothing behind: a dialog of twelve hours must not stay in memory because
its timeout was moved. Time is a parameter; the wheel has no clock and takes no lock.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

# A start sets a hundred thousand timers, and this takes less than a call of the class.
_new = object.__new__


class Timer:
    """A timer that was set: ``tick`` is its bucket, None once it was taken out or cancelled."""

    __slots__ = ("callback", "subject", "tick")

    tick: int | None
    callback: Callable[..., None]
    # What the callback is called with, if it is not None: a closure for each would take more.
    subject: object

    @property
    def active(self) -> bool:
        """Whether the timer is still to fire."""
        return self.tick is not None

    def fire(self) -> None:
        """Run the callback, unless the timer was cancelled since it was taken out of the wheel."""
        callback, self.callback = self.callback, _nothing
        subject, self.subject = self.subject, None
        if subject is None:
            callback()
        else:
            callback(subject)


def _nothing(*_: object) -> None:
    """What a timer that fired or was cancelled does."""


class TimerWheel:
    """Timers with a resolution of ``tick`` seconds; ``now`` is the clock's present value.

    A timer never fires early, and at most one tick plus the time between two calls of
    :meth:`advance` late.
    """

    def __init__(self, tick: float, now: float) -> None:
        self._tick = tick
        self._slots: dict[int, dict[Timer, None]] = {}
        self._done = int(now / tick)
        self._count = 0

    def __len__(self) -> int:
        """How many timers are set."""
        return self._count

    def set(self, when: float, callback: Callable[..., None], subject: object = None) -> Timer:
        """Call ``callback`` at the first :meth:`advance` at or after ``when``.

        subject: what to call it with; None: with nothing.
        """
        tick = math.ceil(when / self._tick)
        if tick <= self._done:
            tick = self._done + 1
        timer = _new(Timer)
        timer.tick = tick
        timer.callback = callback
        timer.subject = subject
        slot = self._slots.get(tick)
        if slot is None:
            self._slots[tick] = {timer: None}
        else:
            slot[timer] = None
        self._count += 1
        return timer

    def set_all(
        self, whens: Iterable[float], callback: Callable[..., None], subjects: Iterable[object]
    ) -> list[Timer]:
        """As :meth:`set`, for each moment and its subject, and without a call for each."""
        resolution, slots, ceil, done = self._tick, self._slots, math.ceil, self._done
        timers: list[Timer] = []
        for when, subject in zip(whens, subjects, strict=True):
            tick = ceil(when / resolution)
            if tick <= done:
                tick = done + 1
            timer = _new(Timer)
            timer.tick = tick
            timer.callback = callback
            timer.subject = subject
            slot = slots.get(tick)
            if slot is None:
                slots[tick] = {timer: None}
            else:
                slot[timer] = None
            timers.append(timer)
        self._count += len(timers)
        return timers

    def cancel(self, timer: Timer | None) -> None:
        """Forget ``timer``; one that fired, was cancelled, or is None is left alone.

        One that :meth:`advance` has taken out and that has not run yet does not run: another timer
        of the same batch may just have ended what it belongs to.
        """
        if timer is None:
            return
        timer.callback = _nothing
        timer.subject = None
        if timer.tick is None:
            return
        slot = self._slots[timer.tick]
        del slot[timer]
        if not slot:
            del self._slots[timer.tick]
        timer.tick = None
        self._count -= 1

    def advance(self, now: float) -> list[Callable[[], None]]:
        """Take out every timer that is due at ``now`` and return their callbacks in order.

        The caller runs them, so that it can do so outside of a lock that guards the wheel.
        """
        target = int(now / self._tick)
        if target <= self._done:
            return []
        due: list[Callable[[], None]] = []
        if target - self._done > len(self._slots):
            # The clock jumped over more ticks than there are buckets: visit the buckets instead.
            ticks = sorted(tick for tick in self._slots if tick <= target)
        else:
            ticks = [tick for tick in range(self._done + 1, target + 1) if tick in self._slots]
        for tick in ticks:
            for timer in self._slots.pop(tick):
                timer.tick = None
                self._count -= 1
                due.append(timer.fire)
        self._done = target
        return due
