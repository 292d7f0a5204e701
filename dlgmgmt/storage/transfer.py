"""Dialogs from a file or from a kamailio into the rows of an owner: as one transaction.

A call is known by its Call-ID, From tag and To-tags. What a file says of one that is there replaces
it; a call that somebody else's place is taken by moves to another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.record import DialogRecord
from dlgmgmt.storage.batch import Key, WriteBatch
from dlgmgmt.storage.extras import clean
from dlgmgmt.storage.jsonl import Ended
from dlgmgmt.storage.odd import StoredDialog
from dlgmgmt.storage.rows import in_row, out_rows, var_rows
from dlgmgmt.storage.tables import IN_COLUMNS, OUT_COLUMNS

_CALLID, _FROM_TAG = IN_COLUMNS.index("callid"), IN_COLUMNS.index("from_tag")
_TO_TAG = OUT_COLUMNS.index("to_tag")
_MAX_ID = 0xFFFF_FFFF

_Place = tuple[object, object]
# Texts as the columns have them (extras.clean).
_Call = tuple[object, object]


class _There(NamedTuple):
    """A dialog that is in the database."""

    place: _Place
    call: _Call
    to_tags: frozenset[object]


@dataclass(slots=True)
class Plan:
    """What is to be written. Numbers of dialogs.

    added: new ones. replaced: those that were there. present: those that are there and stay.
    ended: rows of calls that are over. moved: those that got another place.
    """

    batch: WriteBatch = field(default_factory=WriteBatch)
    added: int = 0
    replaced: int = 0
    present: list[DialogRecord] = field(default_factory=list)
    ended: int = 0
    moved: int = 0


class Transfer:
    """Collects what comes for ``owner``. there: all rows that are that owner's now.

    replace: what comes is newer than what is there; otherwise it is left out if it is there.
    exact: what comes was written last by this owner, so that its places say which of two dialogs of
    one call is meant.
    """

    def __init__(
        self,
        owner: str,
        there: Iterable[StoredDialog],
        *,
        replace: bool,
        exact: bool = False,
    ) -> None:
        self._owner = owner
        self._exact = exact
        self._replace = replace
        self._places: dict[_Place, _There] = {}
        self._calls: dict[_Call, list[_There]] = {}
        for stored in there:
            self._note(stored)
        self._gone: dict[_Place, None] = {}
        self._coming: dict[_Place, DialogRecord] = {}
        self._plan = Plan()

    def _note(self, stored: StoredDialog) -> None:
        row = stored.in_row
        item = _There(
            (row[1], row[2]),
            (row[_CALLID], row[_FROM_TAG]),
            frozenset(leg[_TO_TAG] for leg in stored.out_rows),
        )
        self._places[item.place] = item
        self._calls.setdefault(item.call, []).append(item)

    def clear(self) -> None:
        """Nothing of what is there is to stay."""
        for place in list(self._places):
            self._remove(place)

    def end(self, ended: Ended) -> None:
        """A call of this owner is over, whether it is there or has come with the file."""
        place, call = (ended.h_entry, ended.h_id), _call(ended.callid, ended.from_tag)
        coming = self._coming.get(place)
        if coming is not None and _call(coming.callid, coming.from_tag) == call:
            del self._coming[place]
        there = self._places.get(place)
        if there is not None and there.call == call:
            self._remove(place)
            self._plan.ended += 1

    def add(self, record: DialogRecord, rows: dict[str, list[int]] | None = None) -> bool:
        """A dialog comes; False if it is there and stays as it is.

        rows: single rows that go with it, by table (WriteBatch.row_ids).
        """
        call = _call(record.callid, record.from_tag)
        tags = {clean(leg.to_tag) for leg in record.legs}
        same = [item for item in self._calls.get(call, ()) if not tags.isdisjoint(item.to_tags)]
        if self._exact:
            same = _same_dialog(same, (record.h_entry, record.h_id))
        if same and not self._replace:
            self._plan.present.append(record)
            return False
        for item in same:
            self._remove(item.place)
        self._plan.replaced += bool(same)
        self._plan.added += not same
        place = record.h_entry, record.h_id
        earlier = self._coming.get(place)
        again = earlier is not None and _call(earlier.callid, earlier.from_tag) == call
        if not again and (place in self._places or earlier is not None):
            record = self._elsewhere(record)
            self._plan.moved += 1
        self._coming[record.h_entry, record.h_id] = record
        for table, ids in (rows or {}).items():
            self._plan.batch.row_ids.setdefault(table, []).extend(ids)
        return True

    def plan(self) -> Plan:
        """All of it."""
        batch, owner = self._plan.batch, self._owner
        for record in self._coming.values():
            batch.dialogs.append(in_row(record, owner))
            batch.legs += out_rows(record, owner)
            batch.vars += var_rows(record, owner)
        # Of the place of a dialog that comes, whatever has been left behind there.
        places = {**self._gone, **dict.fromkeys(self._coming)}
        batch.deletes = [_key(owner, place) for place in places]
        return self._plan

    def _remove(self, place: _Place) -> None:
        item = self._places.pop(place, None)
        if item is None:
            return
        self._calls[item.call].remove(item)
        if all(isinstance(number, int) for number in place):
            self._gone[place] = None

    def _elsewhere(self, record: DialogRecord) -> DialogRecord:
        entry, number = record.h_entry, record.h_id
        while (entry, number) in self._places or (entry, number) in self._coming:
            number = number % _MAX_ID + 1
        return record._replace(h_id=number, did=encode_did(entry, number))


def _same_dialog(same: list[_There], place: _Place) -> list[_There]:
    """Of what has the Call-ID and tags of a dialog at ``place``, itself: see spirals.py."""
    here = [item for item in same if item.place == place]
    return here or [item for item in same if item.place[0] != place[0]]


def _call(callid: str, from_tag: str) -> _Call:
    return clean(callid), clean(from_tag)


def _key(owner: str, place: tuple[object, object]) -> Key:
    entry, number = place
    if not isinstance(entry, int) or not isinstance(number, int):
        raise TypeError(f"no place of a dialog: {place!r}")
    return owner, entry, number
