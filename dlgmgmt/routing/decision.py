"""What a script decides: records that the signalling thread carries out.

A script runs on a worker thread over a copy of the message and touches no transaction. What it
calls (``t_relay``, ``append_branch``, ``send_reply``) fills in these records; the proxy acts on
them when the run has ended.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from dlgmgmt.dialog.model import Dialog

Value = str | int | None
"""What a pseudo-variable can hold; None is unset."""

MAX_HEADER_EDITS = 64
"""Headers that one run may add, and names that it may remove."""

MAX_AVPS = 256
"""AVPs of one transaction, and script variables of one."""

MAX_PENDING = 64
"""Profile insertions that wait for the dialog of a transaction."""


class Action(Enum):
    """What happens to the message after the run."""

    NONE = "nothing decided"
    RELAY = "relay"
    REPLY = "reply"
    DROP = "drop"


@dataclass(slots=True)
class HeaderEdits:
    """added: whole header lines without CRLF, put at the end. removed: lower-case long names."""

    added: list[str] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        """Whether there is anything to change."""
        return bool(self.added or self.removed)

    def plus(self, other: HeaderEdits) -> HeaderEdits:
        """Both changes in one."""
        return HeaderEdits(self.added + other.added, self.removed | other.removed)


@dataclass(slots=True)
class BranchPlan:
    """One branch of a relayed request.

    uri: Request-URI. destination: URI of the next hop, None for where the Request-URI (or its
    Route) leads. headers: what branch_route changed for this branch alone. dropped: branch_route
    called drop().
    """

    uri: str
    destination: str | None = None
    headers: HeaderEdits = field(default_factory=HeaderEdits)
    dropped: bool = False


@dataclass(slots=True)
class Decision:
    """What a request, failure or reply route decided.

    code, reason, reply_headers: for Action.REPLY; lines without CRLF. provisional: 1xx replies
    that are to be sent before anything else, whatever the action. headers: changes of the message
    for every branch. record_route: extra Record-Route parameters ("" for none), None when the
    script did not ask for Record-Route. uri: the Request-URI that the script chose, None when it
    left it alone. branches: where to, in the order of the script; empty when nothing leads
    anywhere, and the proxy decides as it does without a script. parallel: how several fork.
    """

    action: Action = Action.NONE
    code: int = 0
    reason: str = ""
    reply_headers: list[str] = field(default_factory=list)
    provisional: list[tuple[int, str]] = field(default_factory=list)
    headers: HeaderEdits = field(default_factory=HeaderEdits)
    record_route: str | None = None
    uri: str | None = None
    branches: list[BranchPlan] = field(default_factory=list)
    parallel: bool = True


@dataclass(slots=True)
class DialogContext:
    """What a script says of its dialog by ``$dlg_ctx(...)``, kept until the dialog exists.

    flags: dialog flags 0..31 as a bit mask. timeout: seconds, 0 for the default. timeout_route:
    name of the script's function, "" for none. keep_caller, keep_callee: who is sent keep-alives.
    timeout_noreset: sequential requests leave the timeout alone. variables: of ``$dlg_var(...)``.
    """

    on: int = 0
    flags: int = 0
    timeout: int = 0
    timeout_bye: bool = False
    timeout_route: str = ""
    keep_caller: bool = False
    keep_callee: bool = False
    timeout_noreset: bool = False
    variables: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """What the runs of one transaction share.

    avps: by spec text ("i:10", "s:name" is kept as "name"), most recent value alone. variables:
    those of ``$var(...)``. flags: the script flags 0..31 of the message, as a bit mask. dialog:
    the dialog of the transaction, None while it has none. dir_upstream: whether the request goes
    from callee to caller. pending: profile insertions made before the dialog existed (name,
    value). context: what else was said of it before.
    """

    avps: dict[str, str | int] = field(default_factory=dict)
    variables: dict[str, str | int] = field(default_factory=dict)
    flags: int = 0
    dialog: Dialog | None = None
    dir_upstream: bool = False
    pending: list[tuple[str, str | None]] = field(default_factory=list)
    context: DialogContext = field(default_factory=DialogContext)
