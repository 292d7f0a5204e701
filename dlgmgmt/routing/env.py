"""What routes need of the daemon, as protocols: the proxy and the dialog core provide it.

A run happens on a worker thread. Everything here may be called from there; what has to be sent is
handed to the signalling thread by whoever implements :class:`RouteEnv`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.views import TableCounts
from dlgmgmt.routing.decision import Session
from dlgmgmt.sip.message import Message

Route = Callable[..., object]
"""A function of the script."""


class RouteProfiles(Protocol):
    """The profiles of the dialog core."""

    def names(self) -> Iterable[str]:
        """All profiles that the configuration declares."""

    def has_value(self, name: str, /) -> bool:
        """Whether a profile is one with values."""

    def insert(self, dialog: Dialog, name: str, value: str | None, /) -> None:
        """One insertion more."""

    def remove(self, dialog: Dialog, name: str, value: str | None, /) -> bool:
        """One insertion less; False if there was none."""

    def contains(self, dialog: Dialog, name: str, value: str | None, /) -> bool:
        """Whether the dialog is in it; value None: with whatever value."""

    def size(self, name: str, value: str | None, /) -> int:
        """Insertions of all dialogs; value None: with whatever value."""


class RouteTable(Protocol):
    """What routes use of the dialog table."""

    @property
    def profiles(self) -> RouteProfiles:
        """The profiles of its dialogs."""

    def counts(self) -> TableCounts:
        """Dialogs per state."""

    def lookup(self, callid: str, from_tag: str, to_tag: str, /) -> Dialog | None:
        """The dialog that is alive and has these tags, in either order."""

    def set_var(self, dialog: Dialog, key: str, value: str | None, /) -> None:
        """Set or remove a variable; ValueError beyond its limits."""

    def get_var(self, dialog: Dialog, key: str, /) -> str | None:
        """A variable, None if unset."""

    def set_flag(self, dialog: Dialog, number: int, /) -> None:
        """Set dialog flag 0..31."""

    def reset_flag(self, dialog: Dialog, number: int, /) -> None:
        """Clear dialog flag 0..31."""

    def is_flag_set(self, dialog: Dialog, number: int, /) -> bool:
        """Read dialog flag 0..31."""

    def set_lifetime(self, dialog: Dialog, seconds: int, /) -> None:
        """Set the timeout; a running one starts again with it."""

    def set_toroute(self, dialog: Dialog, name: str, /) -> None:
        """Name the function that runs at the timeout."""

    def set_timeout_bye(self, dialog: Dialog, on: bool, /) -> None:  # noqa: FBT001 - the core's name
        """Whether the timeout sends BYE to both sides."""

    def set_keepalive(self, dialog: Dialog, caller: bool, callee: bool, /) -> None:  # noqa: FBT001
        """Who is sent keep-alives."""

    def set_timeout_noreset(self, dialog: Dialog, on: bool, /) -> None:  # noqa: FBT001
        """Whether sequential requests leave the timeout alone."""


class RouteSettings(Protocol):
    """The ``[ims_dialog]`` parameters that routes obey."""

    @property
    def rr_param(self) -> str:
        """The Record-Route parameter of the dialog id."""

    @property
    def dlg_flag(self) -> int | None:
        """The script flag that makes a relayed INVITE a dialog."""

    @property
    def timeout_avp(self) -> str | None:
        """The AVP that holds the timeout in seconds."""

    @property
    def ruri_pvar(self) -> str:
        """The pseudo-variable that gives a dialog its request URI."""


class RouteEnv(Protocol):
    """The daemon as a run sees it."""

    @property
    def table(self) -> RouteTable:
        """The dialog table."""

    @property
    def settings(self) -> RouteSettings:
        """The dialog parameters."""

    def open_dialog(self, message: Message, session: Session, *, req_uri: str) -> Dialog:
        """Make and hold the dialog of an initial INVITE, or join it to its spiral's.

        Raises TableFull; BadMessage for an INVITE that cannot make one.
        """

    def find_dialog(self, message: Message) -> tuple[Dialog, bool] | None:
        """The dialog of a sequential request, and whether it goes to the caller."""

    def targets(self, uri: str) -> list[str]:
        """Where the configured routes send a Request-URI; empty if they say nothing of it."""

    def terminate(self, dialog: Dialog, side: str, reason: str) -> bool:
        """End a dialog; side: "caller", "callee" or "all". False if there is nothing to end."""

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        """Send one side ("caller" or "callee") elsewhere by REFER."""

    def bridge(self, caller: str, callee: str, proxy: str) -> bool:
        """Call ``caller`` and refer it to ``callee``; proxy: the outbound proxy, "" for none."""

    def clock(self) -> float:
        """Unix time in seconds."""


@dataclass(slots=True, frozen=True)
class RunInput:
    """One message for the script.

    message: a copy that nobody else changes; for a failure route the original request. source:
    where it came from. socket: name of the own socket. uri: the Request-URI after Route
    preprocessing where it is another than the message's. routed: a Route value that named this
    proxy was taken off. routes: the values that remain. branch: of a reply. codes: final codes of
    the branches, for a failure route; best: the one that would be answered, by default 16.7's.
    """

    message: Message
    session: Session = field(default_factory=Session)
    source: tuple[str, int] = ("", 0)
    socket: str = ""
    uri: str | None = None
    routed: bool = False
    routes: tuple[str, ...] = ()
    branch: int = 0
    codes: tuple[int, ...] = ()
    best: int | None = None
