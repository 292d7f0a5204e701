"""Where somebody else decides about routing: the proxy asks, and carries the answer out.

All of it happens on the signalling thread. Whoever decides may take his time on other threads;
what comes meanwhile for the same request (a CANCEL, a kill) is dealt with here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.hop import Target
from dlgmgmt.sip.message import Message

if TYPE_CHECKING:
    from dlgmgmt.sip.pending import PendingRequest


@dataclass(slots=True, frozen=True)
class RelayPlan:
    """Forward the request.

    targets: empty for what the proxy would choose itself; an empty URI in one stands for that
    too. parallel: how several of them fork. record: further Record-Route parameters ("" for none),
    None for no Record-Route. edits: header changes for all branches. dialog: the dialog of an
    initial INVITE, if it is tracked.
    """

    targets: tuple[Target, ...] = ()
    parallel: bool = True
    record: str | None = None
    edits: Edits | None = None
    dialog: Dialog | None = None


@dataclass(slots=True, frozen=True)
class ReplyPlan:
    """Answer the request; headers: whole lines, each with CRLF."""

    status: int
    reason: str = ""
    headers: str = ""


@dataclass(slots=True, frozen=True)
class DropPlan:
    """Neither forward nor answer."""


Plan = RelayPlan | ReplyPlan | DropPlan


class Failed(Protocol):
    """Carries out what is decided about a failed request."""

    def __call__(self, plan: Plan | None, provisional: Sequence[tuple[int, str]] = (), /) -> None:
        """provisional: 1xx replies (code, reason) that are sent before."""


class Routing(Protocol):
    """Decides in the place of the proxy about what it wants to see.

    requests, replies, failures: whether it wants to see these. ``state`` is what it has put into
    ``PendingRequest.state``, and gets back with everything that belongs to the same request.
    """

    requests: bool
    replies: bool
    failures: bool

    def request(self, pending: PendingRequest) -> None:
        """A request has come; ``pending.decide`` or ``pending.refuse`` is to be called once."""

    def reply(
        self, state: object, branch: int, reply: Message, then: Callable[[Message | None], None]
    ) -> None:
        """A reply has come; ``then`` gets what is to be passed on, None for nothing (1xx only)."""

    def failed(self, state: object, codes: tuple[int, ...], best: int, then: Failed) -> None:
        """All branches have failed; ``then`` gets what is to be done, None for the usual answer.

        codes: the final code of each branch. best: the one that would be answered. The targets of
        a RelayPlan are tried; its other fields mean nothing.
        """

    def timed_out(self, dialog: Dialog, then: Callable[[], None]) -> bool:
        """A dialog's timeout has come: True if ``then`` will be called to end it."""


@dataclass(slots=True)
class Asked:
    """What a response context remembers of who decided."""

    routing: Routing
    state: object = field(default=None)
