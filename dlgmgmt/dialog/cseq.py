"""CSeq numbers that the daemon uses in a party's name, and how the party's own give way to them.

A request that the daemon sends to one party in the name of the other takes a number of which that
other knows nothing. Its own next request would carry the same number and be refused (RFC 3261
12.2.2), so from then on its numbers are moved up on their way: by one for each such request.
"""

from __future__ import annotations

MAX_CSEQ = 2**31 - 1
"""RFC 3261 8.1.1.5."""

ShiftState = tuple[tuple[tuple[int, int], ...], int, int, int]
"""What a Shift consists of: its moves, the oldest one's base, the last number sent, the floor."""

MAX_STEPS = 8
"""Moves that stay known: a late ACK needs the one of its INVITE, and none is later than that."""


class Shift:
    """One direction of a leg. "Own" numbers are the party's, "sent" ones what its peer sees."""

    __slots__ = ("_base", "_floor", "_last", "_steps")

    def __init__(self) -> None:
        # (own number, shift of the numbers above it), ascending in both.
        self._steps: list[tuple[int, int]] = []
        self._base = 0
        self._last = 0
        # Up to here every sent number was the daemon's: the party had not sent anything.
        self._floor = -1

    def state(self) -> ShiftState:
        """What it consists of."""
        return tuple(self._steps), self._base, self._last, self._floor

    @classmethod
    def restored(cls, state: ShiftState) -> Shift:
        """The one that ``state`` came of; ValueError for what none consists of."""
        steps, base, last, floor = state
        pairs = [(after, shift) for after, shift in steps]
        numbers = [number for pair in pairs for number in pair]
        if len(pairs) > MAX_STEPS or not all(-1 <= each <= MAX_CSEQ for each in numbers):
            raise ValueError("moves of CSeq numbers that cannot be")
        if sorted(pairs) != pairs or not (0 <= base <= MAX_CSEQ and 0 <= last <= 2 * MAX_CSEQ):
            raise ValueError("moves of CSeq numbers that cannot be")
        shift = cls()
        shift._steps, shift._base, shift._last, shift._floor = pairs, base, last, floor
        return shift

    @property
    def total(self) -> int:
        """By how much the next own number is moved."""
        return self._steps[-1][1] if self._steps else 0

    def take(self, own: int, *, seen: bool) -> int:
        """A number for a request of the daemon, above the last ``own`` number.

        seen: the party has really used ``own``; if not, all that it will use is moved.
        """
        total = self.total + 1
        after = own if seen else -1
        if self._steps and self._steps[-1][0] == after:
            self._steps[-1] = after, total
        else:
            self._steps.append((after, total))
            if len(self._steps) > MAX_STEPS:
                self._base = self._steps.pop(0)[1]
        self._last = own + total
        if not seen:
            self._floor = self._last
        return self._last

    def first(self, own: int) -> None:
        """The party's first number is ``own``, and the daemon has used some before."""
        # It may start lower than what was used in its name.
        self._steps = [(-1, max(self.total, self._last + 1 - own))]

    def sent(self, own: int) -> int:
        """What an own number is on the other side."""
        for after, shift in reversed(self._steps):
            if own > after:
                return own + shift
        return own + self._base

    def own(self, sent: int) -> int | None:
        """The own number that was sent as ``sent``; None for one that the daemon has used."""
        if sent <= self._floor:
            return None
        lower = [self._base, *(shift for _, shift in self._steps)]
        for (after, shift), before in zip(reversed(self._steps), lower[-2::-1], strict=True):
            if sent > after + shift:
                return sent - shift
            if sent > after + before:
                return None
        return sent - self._base


class Shifts:
    """Both directions of a leg: requests of the caller, and of the callee."""

    __slots__ = ("callee", "caller")

    def __init__(self, caller: Shift | None = None, callee: Shift | None = None) -> None:
        self.caller = caller or Shift()
        self.callee = callee or Shift()

    def state(self) -> tuple[ShiftState, ShiftState]:
        """What both consist of."""
        return self.caller.state(), self.callee.state()
