"""Ending many dialogs at a rate that was asked for, and remembering what became of each."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence

from dlgmgmt.commands.results_query import SweepStatus, SweptDialog
from dlgmgmt.dialog.views import DialogView, SideOutcome, TerminationView

_LOG = logging.getLogger(__name__)

MAX_SWEEPS = 100
MAX_DIALOGS = 200_000
"""Orders of which the outcome stays known, and dialogs of them all: the oldest are forgotten."""
MAX_ACTIVE = 4
"""At the same time."""
MAX_OPEN = 500
"""Ended dialogs of one sweep whose parties have not answered yet: no more are ended meanwhile.

The table remembers the outcome of some 2,000 terminations, and phones that do not answer a BYE keep
theirs open for half a minute.
"""
PATIENCE = 40.0
"""Seconds after which the answers of a dialog's parties are waited for no more."""

_TICK = 0.05
_OPEN = frozenset({"pending", "waiting for ACK", "sent"})

End = Callable[[SweptDialog], TerminationView | str]
"""Ends a dialog; "gone" or "changed" if it does not."""
Look = Callable[[int], TerminationView | None]
"""How a termination goes."""


def is_open(sides: Sequence[SideOutcome]) -> bool:
    """Whether anything may still come back."""
    return any(side.outcome in _OPEN for side in sides)


def swept(view: DialogView) -> SweptDialog:
    """A dialog whose turn is still to come."""
    return SweptDialog(view.h_entry, view.h_id, view.callid, view.from_tag, "waiting", 0, ())


class Sweep:
    """One order to end many dialogs. Its thread alone changes it; any thread reads it."""

    def __init__(
        self, number: int, dialogs: Sequence[SweptDialog], rate: int, ordered_ts: int
    ) -> None:
        self.number = number
        self.rate = rate
        self.ordered_ts = ordered_ts
        self.finished_ts = 0
        self._dialogs = list(dialogs)
        self._next = 0
        self._open: deque[tuple[float, int]] = deque()

    def __len__(self) -> int:
        """How many dialogs it is about."""
        return len(self._dialogs)

    @property
    def answered(self) -> bool:
        """Whether everyone's turn has come, and nothing is waited for any more."""
        return self._next == len(self._dialogs) and not self._open

    def advance(self, end: End, now: float, most: int) -> None:
        """End some more."""
        last = min(self._next + min(most, MAX_OPEN - len(self._open)), len(self._dialogs))
        while self._next < last:
            at, self._next = self._next, self._next + 1
            dialog = self._dialogs[at]
            done = end(dialog)
            if isinstance(done, str):
                self._dialogs[at] = dialog._replace(outcome=done)
            else:
                self._dialogs[at] = dialog._replace(
                    outcome="ended", termination=done.id, sides=done.sides
                )
                self._open.append((now, at))

    def look(self, look: Look, now: float) -> None:
        """Take what has come back."""
        for _ in range(len(self._open)):
            ended, at = self._open.popleft()
            view = look(self._dialogs[at].termination)
            if view is not None:
                self._dialogs[at] = self._dialogs[at]._replace(sides=view.sides)
                if is_open(view.sides) and now - ended < PATIENCE:
                    self._open.append((ended, at))

    def status(self, after: int, limit: int) -> SweepStatus:
        """How it goes, with some of its dialogs. after: how many to leave out."""
        return status(
            self._dialogs[:],
            after,
            limit,
            number=self.number,
            waiting=len(self._open),
            ordered_ts=self.ordered_ts,
            finished_ts=self.finished_ts,
        )


def status(
    dialogs: Sequence[SweptDialog],
    after: int,
    limit: int,
    *,
    number: int = 0,
    waiting: int = 0,
    ordered_ts: int = 0,
    finished_ts: int = 0,
) -> SweepStatus:
    """A status of these dialogs; number 0 says that it was a dry run."""
    count = dict.fromkeys(("waiting", "ended", "gone", "changed"), 0)
    for dialog in dialogs:
        count[dialog.outcome] += 1
    last = min(after + limit, len(dialogs))
    return SweepStatus(
        number=number,
        dry_run=not number,
        done=not number or bool(finished_ts),
        matched=len(dialogs),
        ended=count["ended"],
        gone=count["gone"],
        changed=count["changed"],
        answered=count["ended"] - waiting,
        ordered_ts=ordered_ts,
        finished_ts=finished_ts,
        dialogs=tuple(dialogs[after:last]),
        after=last if last < len(dialogs) else None,
    )


class Sweeps:
    """All of them, each on a thread of its own as long as it is not done.

    wall: Unix time. monotonic, wait: the clock, and how its threads sleep.
    """

    def __init__(
        self,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._stopping = threading.Event()
        self._wall = wall
        self._monotonic = monotonic
        self._wait = wait or self._stopping.wait
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._known: OrderedDict[int, Sweep] = OrderedDict()

    def get(self, number: int) -> Sweep | None:
        """The one with this number, None if unknown or forgotten."""
        with self._lock:
            return self._known.get(number)

    def add(self, dialogs: Sequence[SweptDialog], rate: int) -> Sweep | None:
        """An order to end these; None if too many others are under way. rate: a second."""
        with self._lock:
            if sum(not each.finished_ts for each in self._known.values()) >= MAX_ACTIVE:
                return None
            sweep = Sweep(next(self._numbers), dialogs, rate, int(self._wall()))
            self._known[sweep.number] = sweep
            self._forget()
        return sweep

    def _forget(self) -> None:
        """Lock held."""
        dialogs = sum(map(len, self._known.values()))
        for number, each in list(self._known.items()):
            if len(self._known) <= MAX_SWEEPS and dialogs <= MAX_DIALOGS:
                return
            if each.finished_ts:
                dialogs -= len(each)
                del self._known[number]

    def begin(self, sweep: Sweep, end: End, look: Look) -> None:
        """Begin to end them; end and look are called on a thread of its own."""
        threading.Thread(
            target=self._run, args=(sweep, end, look), name=f"sweep-{sweep.number}", daemon=True
        ).start()

    def stop(self) -> None:
        """End no more dialogs."""
        self._stopping.set()

    def _run(self, sweep: Sweep, end: End, look: Look) -> None:
        try:
            self._work(sweep, end, look)
        except Exception:  # noqa: BLE001 - who asks how it goes shall see that it is over
            _LOG.exception("ending many dialogs (%d) broke off", sweep.number)
        finally:
            sweep.finished_ts = int(self._wall())
            _LOG.info("ending many dialogs (%d): done", sweep.number)

    def _work(self, sweep: Sweep, end: End, look: Look) -> None:
        begun = self._monotonic()
        credit = 1.0
        while not self._stopping.is_set():
            if credit >= 1:
                sweep.advance(end, self._monotonic(), int(credit))
                credit %= 1
            sweep.look(look, self._monotonic())
            if sweep.answered:
                return
            self._wait(_TICK)
            now = self._monotonic()
            # What could not be used because of open answers is not made up for.
            credit = min(credit + (now - begun) * sweep.rate, max(sweep.rate * 2 * _TICK, 1.0))
            begun = now
