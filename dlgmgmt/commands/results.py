"""What commands answer, as typed records that know nothing of how they will be shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from dlgmgmt.commands.results_database import DatabaseResult
from dlgmgmt.commands.results_query import QueryResult
from dlgmgmt.commands.results_system import SystemResult
from dlgmgmt.dialog.views import DialogView, Snapshot, TerminationView
from dlgmgmt.sip.bridges import BridgeView as BridgeView  # noqa: PLC0414 - part of a result
from dlgmgmt.sip.trace import Traced as Traced  # noqa: PLC0414 - part of a result


@dataclass(slots=True, frozen=True)
class DialogListing:
    """All dialogs, batch by batch. now: Unix seconds.

    An interface consumes one of the two, once: ``batches`` are copies made for it, ``snapshots``
    are kept until their dialog changes and keep what was rendered of them.
    """

    batches: Iterator[list[DialogView]]
    snapshots: Iterator[list[Snapshot]]
    now: int


class ContextView(NamedTuple):
    """A dialog, and the lines that its callbacks of type MI_CONTEXT have written about it."""

    view: DialogView
    context: tuple[str, ...]


@dataclass(slots=True, frozen=True)
class ChosenListing:
    """The dialogs that fit a question, batch by batch. now: Unix seconds."""

    batches: Iterator[list[DialogView]]
    now: int


@dataclass(slots=True, frozen=True)
class ContextListing:
    """Dialogs with their context, batch by batch. now: Unix seconds."""

    batches: Iterator[list[ContextView]]
    now: int


@dataclass(slots=True, frozen=True)
class BriefListing:
    """All dialogs, batch by batch, with some of their fields. fields: letters of dlg.briefing."""

    batches: Iterator[list[DialogView]]
    fields: str


@dataclass(slots=True, frozen=True)
class ImsListing:
    """All dialogs, batch by batch, with the fields of ims_dialog's RPC. size: of the table."""

    batches: Iterator[list[DialogView]]
    size: int


Listing = DialogListing | ChosenListing | ContextListing | BriefListing | ImsListing
"""What is rendered while it is sent; see dlgmgmt.interfaces.listing."""


@dataclass(slots=True, frozen=True)
class DialogMatches:
    """The dialogs that a Call-ID and perhaps a From tag name. now: Unix seconds."""

    views: tuple[DialogView, ...]
    now: int


@dataclass(slots=True, frozen=True)
class ContextMatches:
    """As DialogMatches, with their context."""

    found: tuple[ContextView, ...]
    now: int


@dataclass(slots=True, frozen=True)
class TerminationOrdered:
    """A dialog was ended; its parties are being told."""

    record: TerminationView


@dataclass(slots=True, frozen=True)
class TerminationStatus:
    """How a termination ordered before has gone so far."""

    record: TerminationView


class ActiveStats(NamedTuple):
    """Live dialogs by what they are doing, as the dialog module counts them."""

    starting: int
    connecting: int
    answering: int
    ongoing: int
    all: int


@dataclass(slots=True, frozen=True)
class ProfileSize:
    """How many insertions a profile has; value: "" for all of them."""

    profile: str
    value: str
    count: int


@dataclass(slots=True, frozen=True)
class Alive:
    """The dialog that was asked for is answered and has not ended."""


@dataclass(slots=True, frozen=True)
class StateSet:
    """A dialog is in the state that was asked for."""


@dataclass(slots=True, frozen=True)
class AllOrdered:
    """All answered dialogs were ended. count: how many."""

    count: int


@dataclass(slots=True, frozen=True)
class BridgeOrdered:
    """A bridge was begun. number: by which its way is asked for."""

    number: int


@dataclass(slots=True, frozen=True)
class BridgeList:
    """Bridges, oldest first."""

    bridges: tuple[BridgeView, ...]


@dataclass(slots=True, frozen=True)
class TraceLog:
    """Messages of a call, in their order."""

    messages: tuple[Traced, ...]


@dataclass(slots=True, frozen=True)
class TraceStatus:
    """Whether copies of the messages are sent."""

    enabled: bool


@dataclass(slots=True, frozen=True)
class Pending:
    """An answer that an interface may wait for; see dlgmgmt.interfaces.pending.

    record: what was ordered. look: what is known now, and whether that is all; it may be called
    from any thread. seconds: after which what is known then is the answer.
    """

    record: TerminationView
    look: Callable[[], tuple[TerminationOrdered, bool]]
    seconds: float


@dataclass(slots=True, frozen=True)
class Working:
    """Work of another thread that an interface may wait for; see dlgmgmt.interfaces.pending.

    begun: what is shown where nobody waits. look: what has come of it, and whether that is all; a
    handler's raises Refused if nothing has, the dispatcher's CommandError. It may be called from
    any thread. seconds: after which what is known then is the answer.
    """

    begun: DatabaseResult
    look: Callable[[], tuple[DatabaseResult, bool]]
    seconds: float


Result = (
    Listing
    | DialogMatches
    | ContextMatches
    | TerminationOrdered
    | TerminationStatus
    | ProfileSize
    | Alive
    | StateSet
    | AllOrdered
    | BridgeOrdered
    | BridgeList
    | ActiveStats
    | SystemResult
    | QueryResult
    | DatabaseResult
    | Pending
    | Working
    | TraceLog
    | TraceStatus
)
