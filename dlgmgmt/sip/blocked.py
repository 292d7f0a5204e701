"""Servers that are passed over for a while, because they were dead or asked for it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

MAX_BLOCKED = 4096
"""Servers remembered; beyond them the one that was blocked first is forgotten."""
MAX_SECONDS = 3600.0
"""The longest Retry-After that is heeded: the one who says it may not mean well."""

Key = tuple[str, str, int, str]
"""Transport, numeric host, port, and the domain that it is to be; "" where that is not proved."""


def server(transport: str, addr: tuple[str, int], name: str = "") -> Key:
    """The key of a server. name: what its certificate must show, if it shows one.

    That it lacks the one of a domain says nothing of the others that are hosted there.
    """
    return transport, *addr, name if transport == "tls" else ""


class _Keyed(Protocol):
    @property
    def key(self) -> Key:
        """Which server it is."""


K = TypeVar("K", bound=_Keyed)


class Blocked:
    """Remembers until when. back_off: seconds where nobody says how long.

    monotonic: clock in seconds. blocked, passed_over: how often each has happened.
    """

    __slots__ = ("_monotonic", "_until", "back_off", "blocked", "passed_over")

    def __init__(self, back_off: float, monotonic: Callable[[], float]) -> None:
        self.back_off = back_off
        self.blocked = 0
        self.passed_over = 0
        self._monotonic = monotonic
        self._until: OrderedDict[Key, float] = OrderedDict()

    def __len__(self) -> int:
        """Servers remembered, of which some may be back."""
        return len(self._until)

    def block(self, key: Key, seconds: float = 0) -> None:
        """Pass a server over from now on; seconds: 0 for the usual back-off."""
        if not seconds:
            seconds = self.back_off
        if seconds <= 0:
            return
        self.blocked += 1
        self._until.pop(key, None)
        self._until[key] = self._monotonic() + min(seconds, MAX_SECONDS)
        if len(self._until) > MAX_BLOCKED:
            self._until.popitem(last=False)

    def is_blocked(self, key: Key) -> bool:
        """Whether a server is passed over now."""
        until = self._until.get(key)
        if until is None:
            return False
        if until > self._monotonic():
            return True
        del self._until[key]
        return False

    def order(self, candidates: Sequence[K]) -> Sequence[K]:
        """The candidates without those that are blocked.

        All of them if all are: that a server was dead a minute ago is no proof that it still is,
        and a call with a poor chance is better than none.
        """
        if not self._until or len(candidates) < 2:
            return candidates
        alive = [each for each in candidates if not self.is_blocked(each.key)]
        if not alive:
            return candidates
        self.passed_over += len(candidates) - len(alive)
        return alive
