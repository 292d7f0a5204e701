"""What is to be written: the journal, sorted into dialogs that live and dialogs that have ended.

The journal holds each changed dialog once; sorting it keeps of an ended one what its rows are found
by, and nothing of one that never was stored. So what waits for a database that is away is bounded
by the dialogs that there are and the rows that there were, however long it takes.

Any thread. One lock guards what is sorted; entry locks are taken under it, one at a time, so it is
never asked for by somebody who holds one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import NamedTuple

from dlgmgmt.dialog.journal import Journal
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import LOADED, DialogRecord, record_of
from dlgmgmt.dialog.states import State
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.tables import DIALOG_IN, DIALOG_OUT, DIALOG_VARS

SLICE = 256
"""Dialogs of one transaction: locks are short, and a large backlog gives way to signalling."""

MAX_DELETES = 1024
"""Deletions of one transaction."""

_PRUNE = 4096

Place = tuple[int, int]
"""h_entry and h_id."""

Gone = dict[Place, tuple[str, str]]
"""Ended dialogs whose rows are to go: Call-ID and From tag by place."""


class OldRows(NamedTuple):
    """Where a dialog's rows are that leave. ids: by the name of their table."""

    owner: str | None
    place: Place
    ids: dict[str, list[int]]

    @classmethod
    def of(cls, stored: StoredDialog) -> OldRows:
        """All rows of ``stored``."""
        owner, *place = stored.in_row[:3]
        ids = {
            DIALOG_IN.name: [stored.in_id],
            DIALOG_OUT.name: list(stored.out_ids),
            DIALOG_VARS.name: list(stored.var_ids),
        }
        return cls(owner, (place[0], place[1]), ids)


class Cut(NamedTuple):
    """What goes into one transaction. old: rows that dialogs had elsewhere."""

    dialogs: list[Dialog]
    gone: Gone
    old: dict[Dialog, OldRows]
    since: float | None

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.dialogs or self.gone or self.old)


class Part(NamedTuple):
    """What of a Cut is in the database. old: the dialogs whose rows elsewhere have gone.

    written: dialogs, and what to remember of each.
    """

    written: list[tuple[Dialog, object]]
    gone: Gone
    old: list[Dialog]


class Copy(NamedTuple):
    """A dialog as it is to be written; before: its ``stored`` until now."""

    dialog: Dialog
    record: DialogRecord
    before: object | None


class Changes:
    """See the module. What is cut off is ``under_way`` until it is done or has failed."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._lock = threading.Lock()
        self._live: dict[Dialog, None] = {}
        self._gone: Gone = {}
        self._old: dict[Dialog, OldRows] = {}
        # Of dialogs that are not stored: these wait for the next change, or the end.
        self._kept: dict[Dialog, OldRows] = {}
        self._under_way: Cut | None = None
        self._since: float | None = None
        self._prune_at = _PRUNE

    def __len__(self) -> int:
        """How many dialogs wait, those in the journal and under way included."""
        cut, under_way = self._under_way, 0
        if cut is not None:
            # Those that have died meanwhile are among the ended ones already.
            under_way = len(cut.gone) + sum(not self._is_over(dialog) for dialog in cut.dialogs)
        return len(self._live) + len(self._gone) + len(self._journal) + under_way

    @property
    def deletions(self) -> bool:
        """Whether rows of ended dialogs wait."""
        return bool(self._gone)

    @property
    def sorted(self) -> bool:
        """Whether anything waits outside of the journal."""
        return bool(self._live or self._gone or self._old)

    def since(self) -> float | None:
        """When the first of the sorted changes was made."""
        cut = self._under_way
        known = [at for at in (self._since, cut.since if cut else None) if at is not None]
        return min(known, default=None)

    def waits(self, dialog: Dialog) -> bool:
        """Whether a sorted change of ``dialog`` is still to be written."""
        return dialog in self._live

    def moved(self, dialog: Dialog, old: OldRows) -> None:
        """Write ``dialog``, and remove in the same transaction the rows that it had elsewhere."""
        with self._lock:
            self._old[dialog] = old
            self._live[dialog] = None

    def put(self, dialogs: Iterable[Dialog]) -> None:
        """Have ``dialogs`` written as if they had changed."""
        with self._lock:
            self._live.update(dict.fromkeys(dialogs))

    def unload(self, dialogs: Iterable[Dialog], since: float) -> None:
        """Have the rows of ``dialogs`` removed though these live on."""
        with self._lock:
            self._since = since if self._since is None else self._since
            for dialog in dialogs:
                with dialog.entry.lock:
                    stored, dialog.stored = dialog.stored, None
                if stored is not None:
                    self._end(dialog)
                self._live.pop(dialog, None)

    def sort(self, since: float) -> None:
        """Take what the journal has; since: when the first change in it was made."""
        with self._lock:
            dialogs = self._journal.take()
            if not dialogs:
                return
            if self._since is None:
                self._since = since
            live = self._live
            for dialog in dialogs:
                stored = None
                if dialog in self._kept:
                    self._old[dialog] = self._kept.pop(dialog)
                with dialog.entry.lock:
                    if not dialog.dirty:
                        # Its last change was written with an earlier one.
                        continue
                    dialog.dirty = False
                    ended = dialog.state is State.DELETED
                    if ended:
                        stored, dialog.stored = dialog.stored, None
                if not ended:
                    live[dialog] = None
                    continue
                live.pop(dialog, None)
                if stored is not None:
                    self._end(dialog)
            if len(live) >= self._prune_at:
                self._prune()
            if not self.sorted:
                self._since = None

    def _end(self, dialog: Dialog) -> None:
        self._gone[dialog.entry.index, dialog.h_id] = dialog.callid, dialog.from_tag

    def sweep(self) -> None:
        """Forget at once what need not be written any more: a backlog may get long."""
        with self._lock:
            self._prune()

    def _prune(self) -> None:
        """Forget those that died before they were stored: no change of theirs comes any more."""
        for dialog in list(self._live):
            if self._is_over(dialog):
                del self._live[dialog]
        self._prune_at = max(_PRUNE, 2 * len(self._live))

    def _is_over(self, dialog: Dialog) -> bool:
        return dialog.state is State.DELETED and dialog.stored is None and dialog not in self._old

    def cut(self, urgent: Iterable[Dialog], *, ready: bool) -> Cut:
        """The next transaction: deletions, ``urgent`` dialogs, and if ``ready`` any others.

        Deletions come before everything else, for a new dialog may have the place of an ended one;
        and moved dialogs before those, for a new one may have the place where one of them was.
        """
        with self._lock:
            live, gone = self._live, self._gone
            dialogs: list[Dialog] = []
            old: dict[Dialog, OldRows] = {}
            if len(gone) > MAX_DELETES:
                gone = {place: gone.pop(place) for place in list(islice(gone, MAX_DELETES))}
            else:
                self._gone = {}
                if self._old:
                    for dialog in list(islice(self._old, SLICE)):
                        old[dialog] = self._old.pop(dialog)
                        if dialog in live:
                            del live[dialog]
                            dialogs.append(dialog)
                elif live:
                    self._take(dialogs, urgent)
                    if ready and len(dialogs) < SLICE:
                        self._take(dialogs, list(islice(live, SLICE - len(dialogs))))
            cut = Cut(dialogs, gone, old, self._since)
            self._under_way = cut
            if not (live or self._gone or self._old):
                self._since = None
            return cut

    def _take(self, dialogs: list[Dialog], wanted: Iterable[Dialog]) -> None:
        for dialog in wanted:
            if dialog in self._live and len(dialogs) < SLICE:
                del self._live[dialog]
                dialogs.append(dialog)

    @staticmethod
    def copies(dialogs: Iterable[Dialog], offset: float) -> list[Copy]:
        """Copy those that still live; offset: wall clock minus monotonic clock.

        One that has died since is in the journal if it has rows, and that order will remove them.
        """
        found = []
        for dialog in dialogs:
            with dialog.entry.lock:
                if dialog.state is State.DELETED:
                    continue
                # A change that is still in the journal is in this copy already.
                dialog.dirty = False
                before, dialog.stored = dialog.stored, LOADED
                record = record_of(dialog, offset)
            found.append(Copy(dialog, record, before))
        return found

    def take_back(self, copies: Iterable[Copy]) -> None:
        """They were not written: who had no rows, and has ended since or will, leaves none."""
        with self._lock:
            for dialog, _, before in copies:
                with dialog.entry.lock:
                    sorted_ = dialog.stored is None
                    if not sorted_:
                        dialog.stored = before
                place = dialog.entry.index, dialog.h_id
                own = dialog.callid, dialog.from_tag
                if sorted_ and before is None and self._gone.get(place) == own:
                    del self._gone[place]

    def done(self, cut: Cut, parts: Sequence[Part]) -> None:
        """``parts`` is all of ``cut`` that the database takes."""
        self._written(parts)
        with self._lock:
            if cut.old:
                went = {dialog for part in parts for dialog in part.old}
                for dialog, rows in cut.old.items():
                    if dialog not in went:
                        # It may have changed or died while it was refused.
                        soon = dialog in self._live or dialog.state is State.DELETED
                        (self._old if soon else self._kept)[dialog] = rows
            self._under_way = None

    def failed(self, cut: Cut, parts: Sequence[Part]) -> None:
        """What was cut off, but for ``parts``, may be in the database or not: it waits again.

        What is there must not be done again: the ids of rows that have gone, and their places, may
        be those of new ones by now.
        """
        self._written(parts)
        written = {dialog for part in parts for dialog, _ in part.written}
        went = {dialog for part in parts for dialog in part.old}
        with self._lock:
            # What has come meanwhile stays behind.
            if not any(part.gone for part in parts):
                self._gone = {**cut.gone, **self._gone}
            self._old = {**{d: r for d, r in cut.old.items() if d not in went}, **self._old}
            waits = [d for d in cut.dialogs if d not in written and not self._is_over(d)]
            self._live = {**dict.fromkeys(waits), **self._live}
            if cut.since is not None:
                self._since = cut.since if self._since is None else min(self._since, cut.since)
            self._under_way = None

    @staticmethod
    def _written(parts: Iterable[Part]) -> None:
        for part in parts:
            for dialog, stored in part.written:
                with dialog.entry.lock:
                    # None: it has died meanwhile, and its end is sorted already.
                    if dialog.stored is not None:
                        dialog.stored = stored

    def left(self, since: float) -> Cut:
        """All that is not known to be written, what is under way included; nothing waits then."""
        self.sort(since)
        with self._lock:
            cut = self._under_way or Cut([], {}, {}, None)
            everything = Cut(
                list({**dict.fromkeys(cut.dialogs), **self._live}),
                {**cut.gone, **self._gone},
                {**cut.old, **self._kept, **self._old},
                self._since,
            )
            self._live, self._gone, self._old, self._under_way = {}, {}, {}, None
            self._kept = {}
            return everything
