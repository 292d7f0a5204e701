"""What the parts of the proxy core need of each other."""

from __future__ import annotations

from typing import Protocol

from dlgmgmt.sip.locate import Locator
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.settings import SipSettings
from dlgmgmt.sip.stack import TransactionStack


class Core(Protocol):
    """What a context needs of the proxy."""

    settings: SipSettings
    stack: TransactionStack
    locator: Locator


class Observer(Protocol):
    """Who follows a request for the dialog's sake. Branches are numbered from 0."""

    def on_reply(self, branch: int, reply: Message, sent_from: str) -> bool:
        """A 101-299 reply is about to be forwarded; False keeps it from the caller."""

    def on_branch_failed(self, branch: int, status: int, to_tag: str, cause: str) -> None:
        """A branch ended without a 2xx; cause: "rejected", "cancelled" or "timeout"."""

    def on_failed(self, status: int, reply: Message | None) -> None:
        """The caller was sent a final failure; reply: None for one of the proxy's own."""

    def on_finished(self) -> None:
        """Every branch has its final reply; called once."""
