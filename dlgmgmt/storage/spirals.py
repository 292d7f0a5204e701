"""Two dialogs of one call: it has passed through the daemon twice, and detect_spirals is off.

They have Call-ID and tags in common, and so has a dialog that is stored twice by mistake. Rows of
one owner tell them apart: two passes have the same hash_entry, for that is made of the Call-ID, and
each a hash_id of its own. A row that was left where a dialog was before has another hash_entry, and
one that somebody has copied under another hash_id has the did of the first.
"""

from __future__ import annotations

from dlgmgmt.dialog.did import encode_did
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.record import DialogRecord


def is_itself(record: DialogRecord) -> bool:
    """Whether a record has the name of its place, as each dialog is written."""
    return record.did == encode_did(record.h_entry, record.h_id)


class Spirals:
    """What was restored of one owner, for ``restore(beside=)``."""

    __slots__ = ("_places",)

    def __init__(self) -> None:
        # Where a dialog was stored, of those that have another place now.
        self._places: dict[Dialog, tuple[int, int]] = {}

    def note(self, dialog: Dialog, record: DialogRecord) -> None:
        """A dialog was made of a record."""
        place = record.h_entry, record.h_id
        if place != (dialog.entry.index, dialog.h_id):
            self._places[dialog] = place

    def beside(self, known: Dialog, record: DialogRecord) -> bool:
        """Whether ``record`` is another pass of the call that ``known`` belongs to."""
        if not is_itself(record):
            return False
        now = known.entry.index, known.h_id
        then = self._places.get(known, now)
        return then[0] == record.h_entry and (record.h_entry, record.h_id) not in (now, then)
