"""The dialog table: hash entries, each with its own lock, and what can be read from them.

Lock order, for the whole package: at most one entry lock at a time; under it one of the leaf
locks (the timing wheel's, the counters'), never two of those, and nothing under a leaf lock.
Listeners run when no lock is held.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

from dlgmgmt.dialog.attributes import Attributes
from dlgmgmt.dialog.counters import Counters
from dlgmgmt.dialog.did import decode_did
from dlgmgmt.dialog.errors import TableFull
from dlgmgmt.dialog.events import DialogEvent, EventType, Listener
from dlgmgmt.dialog.init import DialogInit
from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.matching import side_of
from dlgmgmt.dialog.model import Dialog, Direction, Entry, OutLeg
from dlgmgmt.dialog.orders import OrderLog, Termination
from dlgmgmt.dialog.profiles import Profiles
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.dialog.states import ANSWERED, Event, IllegalEvent, State, next_state
from dlgmgmt.dialog.views import DialogView, Snapshot, TableCounts, TerminationView

_LOG = logging.getLogger(__name__)

BATCH = 50
"""Dialogs that a listing copies before it yields: few enough to be rendered from the cache."""

_Copy = TypeVar("_Copy")

MAX_ID = 0xFFFFFFFF
"""The largest number of a dialog in its entry."""


class DialogTable(Attributes):
    """All dialogs of the daemon. Every method may be called from any thread.

    settings: see DialogSettings; ``hash_size`` must be a power of two (ValueError otherwise).
    wall: Unix time in seconds, for what is shown. monotonic: the clock of the timeouts, which a
    correction of the wall clock must not move. rng: where each entry's first id comes from.

    ``give_way`` is called between the batches of a listing, with no lock held, so that a long
    one can let signalling go first.
    """

    def __init__(
        self,
        settings: DialogSettings,
        *,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
        rng: random.Random,
    ) -> None:
        super().__init__(settings, wall=wall, monotonic=monotonic, rng=rng)
        self.counters = Counters()
        self.profiles = Profiles(settings.profiles_with_value, settings.profiles_no_value)
        self.on_overdue = self._overdue
        self.give_way: Callable[[], None] | None = None
        self._listeners: dict[EventType, tuple[Listener, ...]] = {}
        self._listeners_lock = threading.Lock()
        self._orders = OrderLog()

    # -- reading -----------------------------------------------------------------------------

    def iter_views(self) -> Iterator[list[DialogView]]:
        """Copy every dialog, batch by batch, entry by entry.

        Each dialog is copied whole under its entry's lock; no lock is held while the caller has
        a batch. A dialog that lives through the whole listing is in it exactly once.
        """
        return self._iter(Dialog.view)

    def iter_snapshots(self) -> Iterator[list[Snapshot]]:
        """As :meth:`iter_views`, with the copies that the dialogs keep until they change."""
        return self._iter(Dialog.show)

    def iter_pairs(self) -> Iterator[list[tuple[Dialog, DialogView]]]:
        """As :meth:`iter_views`, each copy with the dialog itself."""
        return self._iter(_pair)

    def _iter(self, copy: Callable[[Dialog], _Copy]) -> Iterator[list[_Copy]]:
        batch: list[_Copy] = []
        for entry in self._entries:
            if not entry.by_id:
                continue
            with entry.lock:
                dialogs = list(entry.by_id.values())
            for start in range(0, len(dialogs), BATCH):
                with entry.lock:
                    batch += [copy(d) for d in dialogs[start : start + BATCH] if not d.removed]
                if len(batch) >= BATCH:
                    yield batch
                    batch = []
                    if self.give_way is not None:
                        self.give_way()
        if batch:
            yield batch

    def find(self, callid: str, from_tag: str | None = None) -> list[DialogView]:
        """Copies of the dialogs with this Call-ID, and with this From tag unless it is None."""
        entry = self.entry_of(callid)
        with entry.lock:
            return [
                dialog.view()
                for dialog in entry.by_callid.get(callid, ())
                if from_tag is None or dialog.from_tag == from_tag
            ]

    def find_pairs(
        self, callid: str, from_tag: str | None = None
    ) -> list[tuple[Dialog, DialogView]]:
        """As :meth:`find`, each copy with the dialog itself."""
        entry = self.entry_of(callid)
        with entry.lock:
            same = entry.by_callid.get(callid, ())
            return [_pair(d) for d in same if from_tag is None or d.from_tag == from_tag]

    def get(self, h_entry: int, h_id: int) -> DialogView | None:
        """A copy of the dialog ``h_entry:h_id``, None if there is none."""
        if not 0 <= h_entry < self.size:
            return None
        entry = self._entries[h_entry]
        with entry.lock:
            dialog = entry.by_id.get(h_id)
            return dialog.view() if dialog is not None else None

    def snapshot(self, h_entry: int, h_id: int) -> Snapshot | None:
        """The kept copy of the dialog ``h_entry:h_id``, None if there is none."""
        entry = self.entry_at(h_entry)
        if entry is None:
            return None
        with entry.lock:
            dialog = entry.by_id.get(h_id)
            return dialog.show() if dialog is not None else None

    def counts(self) -> TableCounts:
        """Dialogs per state and the totals since the start."""
        return self.counters.view()

    def remember(self, order: Termination) -> None:
        """Keep the outcome of a termination; the oldest beyond MAX_ORDERS is forgotten."""
        self._orders.remember(order)

    def settle(self, order: Termination) -> None:
        """Keep a copy of a termination once all is said. Entry lock held."""
        self._orders.settle(order)

    def termination(self, number: int) -> TerminationView | None:
        """The termination with this id, None if unknown or forgotten."""
        return self._orders.find(number)

    def terminations(self) -> list[TerminationView]:
        """All remembered terminations, oldest first."""
        return self._orders.all()

    def __len__(self) -> int:
        """How many dialogs the table holds, deleted ones included."""
        return sum(len(entry.by_id) for entry in self._entries)

    # -- events ------------------------------------------------------------------------------

    def add_listener(self, listener: Listener, *kinds: EventType) -> None:
        """Call ``listener`` with every event of these kinds (all, without any) from now on."""
        with self._listeners_lock:
            for kind in kinds or EventType:
                self._listeners[kind] = (*self._listeners.get(kind, ()), listener)

    def heard(self, kind: EventType) -> bool:
        """Whether anybody listens to events of this kind."""
        return kind in self._listeners

    def publish(
        self,
        kind: EventType,
        dialog: Dialog,
        to_tag: str = "",
        detail: str = "",
        *,
        direction: Direction | None = None,
        message: object | None = None,
    ) -> None:
        """Tell the listeners. The caller holds no lock; a listener that raises is logged."""
        listeners = self._listeners.get(kind)
        if not listeners:
            return
        event = DialogEvent(
            kind,
            dialog.entry.index,
            dialog.h_id,
            dialog.callid,
            dialog.from_tag,
            to_tag,
            dialog.state,
            detail,
            dialog,
            direction,
            message,
        )
        for listener in listeners:
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - logged
                _LOG.exception("listener failed on %s", kind.value)

    # -- creating and removing ----------------------------------------------------------------

    def open(
        self, init: DialogInit, *, announce: bool = True, transaction: object | None = None
    ) -> tuple[Dialog, bool]:
        """Make the dialog of an initial INVITE, or find the one that it spirals through.

        Returns the dialog and whether it is new. A new one carries one hold, which the INVITE
        transaction releases when it has ended. announce: whether the listeners hear of a new one
        now. transaction: the handle of a new one. Raises TableFull at ``max_dialogs``.
        """
        entry = self.entry_of(init.callid)
        with entry.lock:
            known = None
            if self.settings.detect_spirals:
                known = self._live(entry, init.callid, init.from_tag)
            dialog = known if known is not None else self._create(entry, init)
            if known is None:
                dialog.transaction = transaction
        if known is not None:
            self.publish(EventType.SPIRALED, dialog)
        elif announce:
            self.publish(EventType.CREATED, dialog)
        return dialog, known is None

    def has_room(self, callid: str) -> bool:
        """Whether :meth:`open` would find a place; False is counted as a rejection."""
        if not self.counters.is_full(self.settings.max_dialogs):
            return True
        entry = self.entry_of(callid)
        with entry.lock:
            # It may spiral through a dialog that is there.
            known = callid in entry.by_callid
        if not known:
            self.counters.add_rejected()
        return known

    def _create(self, entry: Entry, init: DialogInit) -> Dialog:
        if not self.counters.reserve(self.settings.max_dialogs):
            msg = f"{self.settings.max_dialogs} dialogs exist"
            raise TableFull(msg)
        dialog = Dialog(entry, self.free_id(entry), init, self.wall())
        dialog.holds = 1
        self.limit_ringing(dialog)
        entry.by_id[dialog.h_id] = dialog
        entry.by_callid[init.callid] = (*entry.by_callid.get(init.callid, ()), dialog)
        return dialog

    @staticmethod
    def free_id(entry: Entry) -> int:
        """A number that no dialog of ``entry`` has. Entry lock held."""
        h_id = entry.next_id
        while h_id in entry.by_id:
            h_id = h_id % MAX_ID + 1
        entry.next_id = h_id % MAX_ID + 1
        return h_id

    def put(self, dialog: Dialog) -> None:
        """Take in a dialog that was made elsewhere, and count it. Entry lock held."""
        entry = dialog.entry
        entry.by_id[dialog.h_id] = dialog
        entry.by_callid[dialog.callid] = (*entry.by_callid.get(dialog.callid, ()), dialog)
        self.counters.restored(dialog.state)

    def use_journal(self, journal: Journal | None) -> None:
        """Tell ``journal`` from now on which dialogs have changed what is stored of them."""
        for entry in self._entries:
            with entry.lock:
                entry.journal = journal

    def iter_answered(self) -> Iterator[list[Dialog]]:
        """The answered dialogs themselves, batch by batch."""
        for pairs in self._iter(_with_state):
            yield [dialog for dialog, state in pairs if state in ANSWERED]

    @staticmethod
    def _live(entry: Entry, callid: str, from_tag: str) -> Dialog | None:
        for dialog in entry.by_callid.get(callid, ()):
            if dialog.from_tag == from_tag and dialog.state is not State.DELETED:
                return dialog
        return None

    def hold(self, dialog: Dialog) -> None:
        """Keep a dialog in the table until a matching :meth:`release`."""
        with dialog.entry.lock:
            dialog.holds += 1
            dialog.snapshot = None

    def release(self, dialog: Dialog) -> None:
        """Give back a hold; a deleted dialog leaves with its last one."""
        entry = dialog.entry
        with entry.lock:
            dialog.holds -= 1
            dialog.snapshot = None
            gone = self.drop_if_done(dialog)
        if gone:
            self.publish(EventType.DESTROYED, dialog)

    def drop_if_done(self, dialog: Dialog) -> bool:
        """Take out a deleted dialog that nothing holds; True if it left. Entry lock held."""
        if dialog.state is not State.DELETED or dialog.holds > 0 or dialog.removed:
            return False
        entry = dialog.entry
        dialog.removed = True
        self.disarm(dialog)
        del entry.by_id[dialog.h_id]
        others = tuple([d for d in entry.by_callid[dialog.callid] if d is not dialog])
        if others:
            entry.by_callid[dialog.callid] = others
        else:
            del entry.by_callid[dialog.callid]
        dialog.transaction = None
        if dialog.termination is not None:
            self.settle(dialog.termination)
        self.counters.gone()
        return True

    def _overdue(self, dialog: Dialog) -> None:
        """A deleted dialog is still held after ``end_timeout``: it leaves all the same."""
        with dialog.entry.lock:
            dialog.holds = 0
            gone = self.drop_if_done(dialog)
        if gone:
            self.counters.add_forced()
            _LOG.warning("callid=%r: kept for end_timeout, taken out", dialog.callid)
            self.publish(EventType.DESTROYED, dialog)

    # -- for the state-changing half of the package --------------------------------------------

    def match(
        self, entry: Entry, did: str | None, callid: str, from_tag: str, to_tag: str
    ) -> tuple[Dialog, OutLeg | None, Direction] | None:
        """Match a sequential request: by did, else by Call-ID and tags. Entry lock held.

        The leg is None when the dialog is known but the To-tag belongs to none of its legs (an
        ended leg of a fork, say) and ``did`` named the dialog.
        """
        if did is not None:
            ids = decode_did(did)
            if ids is not None and ids[0] == entry.index:
                dialog = entry.by_id.get(ids[1])
                if dialog is not None and dialog.callid == callid:
                    found = side_of(dialog, from_tag, to_tag)
                    if found is not None:
                        return found
        best: tuple[Dialog, OutLeg | None, Direction] | None = None
        for dialog in entry.by_callid.get(callid, ()):
            found = side_of(dialog, from_tag, to_tag)
            if found is not None and (best is None or best[1] is None):
                best = found
        return best

    def change(self, dialog: Dialog, event: Event) -> State:
        """Apply ``event``; raises IllegalEvent (and counts it). Entry lock held."""
        old = dialog.state
        try:
            new = next_state(old, event)
        except IllegalEvent:
            self.counters.add_illegal()
            raise
        if new is not old:
            dialog.state = new
            self.counters.move(old, new)
            if new is State.DELETED:
                dialog.end_ts = int(self.wall())
                self.disarm(dialog)
                self.profiles.leave(dialog)
                self.limit_end(dialog)
        # By its state a dialog is known to be worth storing, or to have ended.
        dialog.touch()
        return new


def _with_state(dialog: Dialog) -> tuple[Dialog, State]:
    """A dialog and its state. Entry lock held."""
    return dialog, dialog.state


def _pair(dialog: Dialog) -> tuple[Dialog, DialogView]:
    """A dialog and its copy. Entry lock held."""
    return dialog, dialog.view()
