"""Which dialogs have changed since they were written last."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dlgmgmt.dialog.model import Dialog


def _nobody() -> None:
    """Who is woken before somebody takes what has changed."""


class Journal:
    """Changed dialogs in the order of their first change, each once. Its lock is a leaf.

    So it never holds more than there are dialogs, and those that ended and have not been deleted
    from where they are stored.

    wake: called when there is something after there was nothing. Entry locks may be held: it must
    do no more than set a mark.
    """

    def __init__(self, wake: Callable[[], None] = _nobody) -> None:
        self.wake = wake
        self._lock = threading.Lock()
        self._changed: list[Dialog] = []

    def add(self, dialog: Dialog) -> None:
        """Put in a dialog that is not in it: ``Dialog.dirty`` says so. Entry lock held."""
        with self._lock:
            first = not self._changed
            self._changed.append(dialog)
        if first:
            self.wake()

    def take(self) -> list[Dialog]:
        """All of them; whoever takes them sets ``dirty`` back under each one's entry lock."""
        with self._lock:
            changed, self._changed = self._changed, []
        return changed

    def __len__(self) -> int:
        """How many wait."""
        return len(self._changed)
