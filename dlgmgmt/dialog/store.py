"""The hash entries of the dialog table and the wheel that carries the dialogs' timeouts."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Sequence
from zlib import crc32

from dlgmgmt.dialog.model import Dialog, Entry
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.wheel import Timer, TimerWheel

TICK = 0.25
"""Resolution of the timeouts, seconds; whoever runs them does so as often."""

_FIRST_ID_SPAN = 0x3FFF


def _nobody(dialog: Dialog) -> None:
    """Timeouts before somebody takes them."""


class Store:
    """Entries by Call-ID, and timeouts. See DialogTable for the parameters."""

    def __init__(
        self,
        settings: DialogSettings,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        rng: random.Random,
    ) -> None:
        if settings.hash_size < 1 or settings.hash_size & (settings.hash_size - 1):
            msg = f"hash_size must be a power of two, not {settings.hash_size}"
            raise ValueError(msg)
        self.settings = settings
        self.size = settings.hash_size
        self.wall = wall
        self.monotonic = monotonic
        self._entries = [Entry(i, rng.randint(1, _FIRST_ID_SPAN)) for i in range(self.size)]
        self._mask = self.size - 1
        self._wheel = TimerWheel(TICK, monotonic())
        self._wheel_lock = threading.Lock()
        self.on_expiry: Callable[[Dialog], None] = _nobody
        # Bound once: each timer has it.
        self._ran_out: Callable[[Dialog], None] = self._expire
        self.on_overdue: Callable[[Dialog], None] = _nobody
        self.on_legs_due: Callable[[Dialog], None] = _nobody

    def entry_of(self, callid: str) -> Entry:
        """The hash entry that a Call-ID belongs to."""
        try:
            return self._entries[crc32(callid.encode()) & self._mask]
        except UnicodeEncodeError:
            return self._entries[self.hash_of(callid)]

    def hash_of(self, text: str) -> int:
        """The entry number of any identity text (Call-IDs; To-tags for out legs)."""
        try:
            return crc32(text.encode()) & self._mask
        except UnicodeEncodeError:
            # To name an error handler takes longer, and nearly no text needs one.
            return crc32(text.encode("utf-8", "surrogatepass")) & self._mask

    def entry_at(self, h_entry: int) -> Entry | None:
        """The entry with this number, None when out of range."""
        return self._entries[h_entry] if 0 <= h_entry < self.size else None

    def dialog(self, h_entry: int, h_id: int) -> Dialog | None:
        """The dialog ``h_entry:h_id`` itself; its fields are read under its entry's lock."""
        entry = self.entry_at(h_entry)
        if entry is None:
            return None
        with entry.lock:
            return entry.by_id.get(h_id)

    # -- timeouts --------------------------------------------------------------------------------

    def arm(self, dialog: Dialog, seconds: float) -> None:
        """(Re)start the dialog timeout. Entry lock held."""
        with self._wheel_lock:
            self._wheel.cancel(dialog.timer)
            dialog.timer = self._wheel.set(self.monotonic() + seconds, self._ran_out, dialog)
        dialog.timeout = int(self.wall() + seconds)
        dialog.touch()

    def arm_restored(self, dialog: Dialog, when: float) -> None:
        """Start the timeout of a dialog that has none, at a moment of the monotonic clock.

        What is shown of it stays. Entry lock held.
        """
        with self._wheel_lock:
            dialog.timer = self._wheel.set(when, self._ran_out, dialog)

    def timers_of(self, dialogs: Sequence[Dialog], offset: float) -> list[Timer]:
        """Start the timeouts of dialogs that nobody knows yet; they have to be given theirs.

        One that comes before that does nothing. offset: what to add to Unix seconds to get the
        monotonic clock.
        """
        whens = [dialog.timeout + offset for dialog in dialogs]
        with self._wheel_lock:
            return self._wheel.set_all(whens, self._ran_out, dialogs)

    def forget(self, timers: Sequence[Timer]) -> None:
        """Stop timers that no dialog has been given."""
        with self._wheel_lock:
            for timer in timers:
                self._wheel.cancel(timer)

    # What is to be called may be set later than the first timer.

    def _expire(self, dialog: Dialog) -> None:
        self.on_expiry(dialog)

    def _legs_due(self, dialog: Dialog) -> None:
        self.on_legs_due(dialog)

    def _end_due(self, dialog: Dialog) -> None:
        self.on_overdue(dialog)

    def disarm(self, dialog: Dialog) -> None:
        """Stop the dialog's timers. Entry lock held."""
        with self._wheel_lock:
            self._wheel.cancel(dialog.limit)
            self._wheel.cancel(dialog.timer)
        dialog.timer = None
        dialog.timeout = 0
        dialog.touch()

    def ack_left(self, dialog: Dialog) -> float | None:
        """Seconds until ``noack_timeout`` ends the wait for an ACK, None if none is awaited.

        Entry lock held.
        """
        waiting = [leg.confirmed_at for leg in dialog.confirmed_legs() if not leg.acked]
        if not waiting:
            return None
        return max(min(waiting) + self.settings.noack_timeout - self.monotonic(), 0.0)

    def limit_ringing(self, dialog: Dialog) -> None:
        """Bound how long a dialog may go unanswered (``early_timeout``)."""
        self._limit(dialog, self.settings.early_timeout, self._ran_out)

    def session_left(self, dialog: Dialog) -> float | None:
        """Seconds until the first session timer of an answered leg has run out, None without one.

        Entry lock held.
        """
        if not self.settings.session_timers:
            return None
        ends = [leg.session_end for leg in dialog.confirmed_legs() if leg.session_end]
        return max(min(ends) - self.monotonic(), 0.0) if ends else None

    def limit_session(self, dialog: Dialog, seconds: float) -> None:
        """End the dialog in ``seconds``, as its timeout would. Entry lock held."""
        self._limit(dialog, seconds, self._ran_out)
        dialog.session_ts = int(self.wall() + seconds)

    def limit_restored(self, dialog: Dialog) -> None:
        """As ``limit_session``, for a dialog of one leg that has its ``session_ts`` already."""
        if not self.settings.session_timers:
            dialog.session_ts = 0
            return
        (leg,) = dialog.legs.values()
        with self._wheel_lock:
            dialog.limit = self._wheel.set(leg.session_end, self._ran_out, dialog)

    def limit_legs(self, dialog: Dialog, seconds: float) -> None:
        """Look in ``seconds`` which legs of several have to go. Entry lock held."""
        self._limit(dialog, seconds, self._legs_due)

    def limit_end(self, dialog: Dialog) -> None:
        """Bound how long a deleted dialog is kept (``end_timeout``). Entry lock held."""
        self._limit(dialog, self.settings.end_timeout, self._end_due)

    def unlimit(self, dialog: Dialog) -> None:
        """Nothing but the dialog timeout bounds the dialog. Entry lock held."""
        with self._wheel_lock:
            self._wheel.cancel(dialog.limit)
        dialog.limit = None
        dialog.session_ts = 0
        dialog.touch()

    def _limit(self, dialog: Dialog, seconds: float, fire: Callable[[Dialog], None]) -> None:
        with self._wheel_lock:
            self._wheel.cancel(dialog.limit)
            dialog.limit = self._wheel.set(self.monotonic() + seconds, fire, dialog)
        dialog.session_ts = 0
        dialog.touch()

    def due(self) -> list[Callable[[], None]]:
        """The timeouts that have come; the caller runs them, holding no lock."""
        with self._wheel_lock:
            return self._wheel.advance(self.monotonic())
