"""What the dialog core reports to the rest of the program."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from dlgmgmt.dialog.model import Dialog, Direction
from dlgmgmt.dialog.states import State


class EventType(Enum):
    """Kinds of dialog events; the names follow the manual's callback types (part 2, 1.1).

    LOADED: a dialog that was stored is back in the table.
    """

    CREATED = "created"
    EARLY = "early"
    CONFIRMED_NA = "confirmed_na"
    CONFIRMED = "confirmed"
    REQUEST_WITHIN = "request_within"
    LEG_ENDED = "leg_ended"
    FAILED = "failed"
    RESPONSE_FWDED = "response_fwded"
    RESPONSE_WITHIN = "response_within"
    TERMINATED = "terminated"
    TERMINATED_CONFIRMED = "terminated_confirmed"
    EXPIRED = "expired"
    SPIRALED = "spiraled"
    DESTROYED = "destroyed"
    LOADED = "loaded"

    # Each member is one object: no need to go through its name, as Enum does in Python.
    __hash__ = object.__hash__


class DialogEvent(NamedTuple):
    """One event: the dialog's identity and state after it, and a detail of the kind.

    detail: method of a request, status code of a reply or failure, reason of a termination, else
    "". dialog: the dialog itself, to be read under its lock. direction: of a request or reply
    within the dialog. message: what the SIP engine has at hand.
    """

    type: EventType
    h_entry: int
    h_id: int
    callid: str
    from_tag: str
    to_tag: str
    state: State
    detail: str
    dialog: Dialog
    direction: Direction | None = None
    message: object | None = None


Listener = Callable[[DialogEvent], None]
"""Called outside of every lock, on the thread that caused the event."""
