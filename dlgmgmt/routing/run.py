"""The state of one run of a script function: what it reads from, and what it has decided."""

from __future__ import annotations

import logging

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.views import DialogView, LegView
from dlgmgmt.routing import restrictions
from dlgmgmt.routing.decision import (
    MAX_AVPS,
    Action,
    BranchPlan,
    Decision,
    HeaderEdits,
    Session,
    Value,
)
from dlgmgmt.routing.env import RouteEnv, RunInput
from dlgmgmt.routing.errors import RouteError, ScriptLimit
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.quiet import Quiet
from dlgmgmt.sip.uri import parse_uri

_QUIET = Quiet(logging.getLogger(__name__))

MAX_VALUE = 4096
"""Characters of one value, and of one header line."""

MAX_BRANCHES = 64
"""Branches that one run may append."""

_MAX_INT = 2**63
_URI_LIMIT = set('<>" ')


class Run:
    """One call of one route function.

    route: its kind (restrictions.TITLES). message, given: None in an event route. uri, destination:
    as the script has set them so far; moved: whether it has. plan: the branch of a branch route.
    edits: the headers that this run changes. branches: what was appended. refused: code and
    reason with which the call is answered because its dialog could not be made. timeout: the AVP
    value that was applied. functions: the script's, by name.
    """

    __slots__ = (
        "_looked",
        "_other",
        "_tag",
        "_view",
        "branches",
        "decision",
        "destination",
        "edits",
        "env",
        "functions",
        "given",
        "index",
        "message",
        "moved",
        "plan",
        "refused",
        "route",
        "session",
        "status",
        "timeout",
        "uri",
    )

    def __init__(
        self,
        route: str,
        env: RouteEnv,
        given: RunInput | None = None,
        *,
        session: Session | None = None,
        functions: object = None,
    ) -> None:
        self.route = route
        self.env = env
        self.functions = functions
        self.given = given
        self.message: Message | None = given.message if given is not None else None
        self.session = session or (given.session if given is not None else Session())
        self.index = given.branch if given is not None else 0
        self.status = self.message.status if self.message is not None else 0
        self.decision = Decision()
        self.edits: HeaderEdits = self.decision.headers
        self.plan: BranchPlan | None = None
        self.branches: list[BranchPlan] = []
        self.uri = ""
        if self.message is not None and given is not None:
            self.uri = self.message.uri if given.uri is None else given.uri
        self.destination: str | None = None
        self.moved = False
        self.refused: tuple[int, str] | None = None
        self.timeout: Value = None
        # The dialog that dlg_get() has chosen: another call's, which the transaction never owns.
        self._other: Dialog | None = None
        self._tag = ""
        self._looked = False
        self._view: DialogView | None = None

    # -- the dialog ------------------------------------------------------------------------------

    @property
    def dialog(self) -> Dialog | None:
        """The current dialog; that of a sequential request is looked up when it is asked for."""
        if self._other is not None:
            return self._other
        if self.session.dialog is None and not self._looked and self.sequential:
            self._looked = True
            self.find_dialog()
        return self.session.dialog

    def find_dialog(self) -> bool:
        """Look up the dialog of a sequential request."""
        self._looked = True
        if self.message is None:
            return False
        try:
            found = self.env.find_dialog(self.message)
        except BadMessage:
            found = None
        if found is None:
            return False
        self.session.dialog, self.session.dir_upstream = found
        self._view = None
        return True

    def choose(self, dialog: Dialog, to_tag: str, from_tag: str) -> None:
        """Make another dialog the current one, for this run alone."""
        self._other = dialog
        self._tag = from_tag if to_tag == dialog.from_tag else to_tag
        self._view = None

    def choose_own(self) -> None:
        """Make the transaction's dialog the current one again."""
        self._other = None
        self._tag = ""
        self._view = None

    def view(self) -> DialogView | None:
        """A copy of the current dialog, the same one until :meth:`forget_view`."""
        dialog = self.dialog
        if dialog is not None and self._view is None:
            with dialog.entry.lock:
                self._view = dialog.view()
        return self._view

    def forget_view(self) -> None:
        """Let the next reading see what has changed."""
        self._view = None

    def leg(self) -> LegView | None:
        """The leg that the message belongs to; else the first answered one, else the first."""
        view = self.view()
        if view is None or not view.legs:
            return None
        tags = {self._tag} if self._tag else self._tags()
        by_tag = [leg for leg in view.legs if leg.to_tag in tags]
        answered = [leg for leg in view.legs if leg.state == "confirmed"]
        return (by_tag or answered or view.legs)[0]

    def _tags(self) -> set[str]:
        msg = self.message
        if msg is None or self._other is not None:
            return set()
        try:
            return {msg.to_tag, msg.from_tag} - {""}
        except BadMessage:
            return set()

    # -- the message -----------------------------------------------------------------------------

    @property
    def sequential(self) -> bool:
        """Whether the message is a request with a To tag."""
        msg = self.message
        if msg is None or msg.status:
            return False
        try:
            return bool(msg.to_tag)
        except BadMessage:
            return False

    @property
    def initial_invite(self) -> bool:
        """Whether the message may make a dialog."""
        msg = self.message
        return msg is not None and msg.method == "INVITE" and not self.sequential

    def check(self, function: str) -> None:
        """Raise RouteError unless ``function`` may be called in this route."""
        restrictions.check(function, self.route)

    def current_uri(self) -> str:
        """The Request-URI as it stands for this run."""
        return self.plan.uri if self.plan is not None else self.uri

    def current_destination(self) -> str | None:
        """The next hop that the script has set."""
        return self.plan.destination if self.plan is not None else self.destination

    def set_uri(self, text: str) -> None:
        """Change the Request-URI, of the branch in a branch route."""
        self.check("ruri")
        if not valid_uri(text):
            raise RouteError(f"not a Request-URI: {text[:200]!r}")
        if self.plan is not None:
            self.plan.uri = text
        else:
            self.uri = text
            self.moved = True

    def set_destination(self, text: str | None) -> None:
        """Change or forget the next hop."""
        self.check("set_destination")
        if text is not None and not valid_uri(text):
            raise RouteError(f"not a destination URI: {text[:200]!r}")
        if self.plan is not None:
            self.plan.destination = text
        else:
            self.destination = text
            self.moved = self.moved or text is not None

    def decide(self, action: Action, what: str) -> bool:
        """Decide for ``action``, unless something else was decided before."""
        was = self.decision.action
        if was not in (Action.NONE, action) or (was is action and action is Action.REPLY):
            _QUIET.warning("%s ignored: the script has decided to %s already", what, was.value)
            return False
        self.decision.action = action
        return True


def valid_uri(text: str) -> bool:
    """Whether text can be a URI that a request is sent to: sip or sips, one word, no quotes."""
    if len(text) > MAX_VALUE or not text.isascii() or not text.isprintable():
        return False
    if not _URI_LIMIT.isdisjoint(text):
        return False
    try:
        parse_uri(text)
    except BadMessage:
        return False
    return True


def store(values: dict[str, str | int], name: str, value: Value) -> None:
    """Set or remove (None) an AVP or script variable; raises ScriptLimit."""
    if value is None:
        values.pop(name, None)
        return
    if name not in values and len(values) >= MAX_AVPS:
        raise ScriptLimit(f"more than {MAX_AVPS} values in one transaction")
    values[name] = checked(value)


def checked(value: str | int) -> str | int:
    """``value`` if it is text or a number of a size that may be kept; raises otherwise."""
    if isinstance(value, int):
        if not -_MAX_INT <= value < _MAX_INT:
            raise ScriptLimit("a number of more than 64 bits")
        return int(value)
    if not isinstance(value, str):
        raise RouteError(f"a value is text, a number or None, not {type(value).__name__}")
    if len(value) > MAX_VALUE:
        raise ScriptLimit(f"a value of {len(value)} characters, more than {MAX_VALUE}")
    return value
