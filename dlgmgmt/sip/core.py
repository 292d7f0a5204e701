"""What the parts of the proxy core need of each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.sip.held import Holder
from dlgmgmt.sip.locate import Locator
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.sip.stack import TransactionStack
from dlgmgmt.sip.transaction import ServerTransaction


@dataclass(slots=True)
class Counters:
    """What the proxy has seen. Signalling thread only; others may read."""

    requests: int = 0
    replies: int = 0
    not_sip: int = 0
    bad_requests: int = 0
    bad_replies: int = 0
    stray_replies: int = 0
    stray_acks: int = 0
    retransmissions: int = 0
    overload: int = 0
    errors: int = 0


class Core(Protocol):
    """What a context needs of the proxy."""

    settings: SipSettings
    stack: TransactionStack
    locator: Locator
    holder: Holder


class Answerable(Protocol):
    """An INVITE that has no final answer yet, in whoever's hand: its dialog's transaction."""

    @property
    def server(self) -> ServerTransaction:
        """Its transaction."""

    @property
    def finished(self) -> bool:
        """Whether nothing more will come of it."""

    def respond(self, status: int, reason: str = "", extra: str = "") -> bool:
        """Answer it; False if it has its answer."""

    def cancel(self, extra: str) -> None:
        """Call nobody any more; extra: header lines for the CANCELs."""


class Observer(Protocol):
    """Who follows a request for the dialog's sake. Branches are numbered from 0."""

    @property
    def dialog(self) -> Dialog | None:
        """The dialog that the request makes; None if it makes none."""

    def on_reply(self, branch: int, reply: Message, sent_from: str) -> bool:
        """A 101-299 reply is about to be forwarded; False keeps it from the caller."""

    def on_branch_failed(self, branch: int, status: int, to_tag: str, cause: str) -> None:
        """A branch ended without a 2xx; cause: "rejected", "cancelled" or "timeout"."""

    def on_moved(self, branch: int, status: int) -> None:
        """A branch is tried elsewhere: who has answered ``status`` rings no more."""

    def on_failed(self, status: int, reply: Message | None) -> None:
        """The caller was sent a final failure; reply: None for one of the proxy's own."""

    def on_finished(self) -> None:
        """Every branch has its final reply; called once."""
