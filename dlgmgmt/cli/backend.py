"""What dlgctl asks of a daemon, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

Dialog = Mapping[str, Any]
"""A dialog as dlg.list shows it; over the FIFO with the keys that MI has."""

Traced = Mapping[str, Any]
"""A message as dlg.trace shows it."""

DELETED = 6
EARLY = frozenset({1, 2})
OPEN_OUTCOMES = frozenset({"pending", "waiting for ACK"})
"""Of a side that has not answered yet."""


class BackendError(Exception):
    """The daemon was not reached, or did not answer as it should."""


class Unreachable(BackendError):
    """Nobody listens there."""


class NotFound(Exception):
    """The daemon knows no such thing; the text is its own."""


class NotAsExpected(Exception):
    """Other dialogs fit than were expected; the text is the daemon's own."""


class Tags(NamedTuple):
    """The tags of a dialog, in either order."""

    first: str
    second: str


class Backend(Protocol):
    """One way to the daemon. Every method raises BackendError."""

    def dialogs(self) -> list[Dialog]:
        """All dialogs."""

    def find(self, callid: str) -> list[Dialog]:
        """The dialogs with a Call-ID, possibly none."""

    def stats(self) -> dict[str, int]:
        """Live dialogs: starting, connecting, answering, ongoing, all."""

    def end(
        self, callid: str, tags: Tags | None, dialog: Dialog | None, headers: str
    ) -> dict[str, Any]:
        """End the dialog with these tags or, without tags, ``dialog``; raises NotFound.

        headers: header lines for the requests that this sends, "" for none. Returns what
        dlg.end_dlg does, or an empty object where that is not told.
        """

    def query(self, params: Mapping[str, str]) -> dict[str, Any]:
        """A page of dialogs, as dlg.query answers it."""

    def end_match(self, params: Mapping[str, str]) -> dict[str, Any]:
        """End the dialogs that fit, as dlg.end_match does; raises NotAsExpected."""

    def match_status(self, params: Mapping[str, str]) -> dict[str, Any]:
        """How that goes, as dlg.match_status answers."""

    def database(self, action: str, params: Mapping[str, str]) -> dict[str, Any]:
        """As dlg.db_status, dlg.db_adopt or dlg.db_flush answers; raises NotAsExpected."""

    def trace(self, callid: str, after: int) -> list[Traced]:
        """Some messages with this Call-ID, those after the number ``after``; raises NotFound."""

    def termination(self, number: int) -> dict[str, Any]:
        """How a termination has gone so far; raises NotFound."""


def checked(items: object, what: str = "dialogs") -> list[Mapping[str, Any]]:
    """A list of objects out of decoded JSON; raises BackendError if it is none."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise BackendError(f"the answer is not a list of {what}")
    return items


def text(value: object) -> str:
    """A field of a dialog as text; what is absent or null is empty."""
    return "" if value is None else str(value)


def number(value: object) -> int:
    """A field of a dialog as a number, 0 if it is none."""
    return value if isinstance(value, int) else 0


def identity(dialog: Dialog) -> str:
    """``h_entry:h_id``."""
    return f"{text(dialog.get('h_entry'))}:{text(dialog.get('h_id'))}"


# Of Kamailio's dialog module, whose dlg.list has no ims_state.
_MODULE_STATES = {1: 1, 2: 2, 3: 5, 4: 4, 5: 6}


def ims_state(dialog: Dialog) -> int:
    """The state as ims_dialog numbers it."""
    return number(dialog.get("ims_state")) or _MODULE_STATES.get(number(dialog.get("state")), 0)
