"""What a thread waits on until it is rung for."""

from __future__ import annotations

import contextlib
import threading


class Bell:
    """As threading.Event, but that a wait takes the signal back: one lock, and nothing in Python.

    It is rung by the thread that carries the calls, under an entry lock.
    """

    __slots__ = ("_silent",)

    def __init__(self) -> None:
        self._silent = threading.Lock()
        self._silent.acquire()

    def set(self) -> None:
        """End the wait, or the next one; one signal is like many."""
        with contextlib.suppress(RuntimeError):
            self._silent.release()

    def is_set(self) -> bool:
        """Whether the next wait ends at once."""
        return not self._silent.locked()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until it is set, or for so many seconds; whether it was set."""
        return self._silent.acquire(timeout=-1 if timeout is None else max(timeout, 0.0))
