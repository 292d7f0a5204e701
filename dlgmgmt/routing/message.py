"""The message as a script sees it. Nothing is sent here: what a script asks for is written down.

Every text that a script passes may hold pseudo-variables. Text that came from the message itself
is put in by its variable (``$hdr(Subject)``) or through :meth:`ScriptMessage.escape`; a ``$`` of
a stranger's would be read as one otherwise.
"""

from __future__ import annotations

import logging
import re

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.routing import arguments, pv
from dlgmgmt.routing.decision import MAX_HEADER_EDITS, Action, BranchPlan, Value
from dlgmgmt.routing.errors import RouteError, ScriptLimit
from dlgmgmt.routing.pv_sip import long_name, method_of
from dlgmgmt.routing.restrictions import ONREPLY, restricted
from dlgmgmt.routing.run import MAX_BRANCHES, MAX_VALUE, Run
from dlgmgmt.sip import build
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.grammar import TOKEN
from dlgmgmt.sip.quiet import Quiet

_QUIET = Quiet(logging.getLogger(__name__))

OWNED = frozenset(
    {
        "via",
        "record-route",
        "route",
        "max-forwards",
        "content-length",
        "cseq",
        "call-id",
        "from",
        "to",
    }
)
"""Headers that the proxy writes, or that identify the dialog: no script adds or removes them."""

MAX_PROVISIONAL = 8
"""Provisional replies that one run may send."""

_TOKEN = re.compile(TOKEN, re.ASCII)
_FOLD = re.compile(r"\r?\n[ \t]++")
_PARAM = rf"{TOKEN}(?:=[A-Za-z0-9\-.!%*_+`'~:/\[\]]++)?"
_PARAMS = re.compile(rf"(?:;?{_PARAM}(?:;{_PARAM})*+)?", re.ASCII)


class ScriptMessage:
    """A request, or a reply in an onreply route; in a failure route the original request."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    # -- reading ---------------------------------------------------------------------------------

    @property
    def method(self) -> str:
        """The method; of a reply, that of the request which it answers."""
        msg = self._run.message
        try:
            return method_of(msg) if msg is not None else ""
        except BadMessage:
            return ""

    @property
    def status(self) -> int:
        """The code of a reply; in a failure route the best failure; 0 for a request."""
        return self._run.status

    @property
    def reason(self) -> str:
        """The reason phrase of a reply."""
        msg = self._run.message
        return msg.reason if msg is not None else ""

    @property
    def is_request(self) -> bool:
        """Whether it is a request."""
        return not self.is_reply

    @property
    def is_reply(self) -> bool:
        """Whether it is a reply."""
        msg = self._run.message
        return msg is not None and msg.status != 0

    @property
    def route(self) -> str:
        """The kind of route: "request", "branch", "onreply" or "failure"."""
        return self._run.route

    @property
    def dialog(self) -> Dialog | None:
        """The current dialog, None without one; for the developer API."""
        return self._run.dialog

    @property
    def branch_index(self) -> int:
        """The number of the branch in a branch or onreply route, from 0."""
        return self._run.index

    @property
    def ruri(self) -> str:
        """The Request-URI; in a branch route that of the branch; "" for a reply."""
        return self._run.current_uri()

    @ruri.setter
    def ruri(self, value: str) -> None:
        self._run.set_uri(arguments.text(self._run, value))

    def is_method(self, names: str) -> bool:
        """Whether the method is one of ``names`` ("INVITE|BYE")."""
        return self.method in [name.strip() for name in names.split("|")]

    def has_totag(self) -> bool:
        """Whether the To header has a tag."""
        msg = self._run.message
        try:
            return msg is not None and bool(msg.to_tag)
        except BadMessage:
            return False

    def get_header(self, name: str) -> str | None:
        """The value of the first header line of that name, None if there is none."""
        msg = self._run.message
        return msg.get(long_name(name)) if msg is not None else None

    def get_headers(self, name: str) -> list[str]:
        """The values of all header lines of that name, one per line."""
        msg = self._run.message
        if msg is None:
            return []
        wanted = long_name(name)
        return [
            _FOLD.sub(" ", line.partition(":")[2]).strip(" \t")
            for known, line in zip(msg.names, msg.header_lines, strict=False)
            if known == wanted
        ]

    # -- pseudo-variables and flags --------------------------------------------------------------

    def pv(self, text: str) -> str:
        """``text`` with its pseudo-variables expanded, ``<null>`` for one that is unset."""
        return pv.compile_template(text).expand(self._run)

    def get_pv(self, name: str) -> Value:
        """One pseudo-variable's value: text or a number, None if it is unset."""
        self._run.forget_view()
        return pv.compile_spec(name).get(self._run)

    def set_pv(self, name: str, value: Value) -> None:
        """Set a pseudo-variable; None unsets it. RouteError for one that is read-only."""
        spec = pv.writable(name)
        pv.assign(self._run, spec, arguments.expand(self._run, value))

    @staticmethod
    def escape(text: str) -> str:
        """``text`` so that a $ in it stands for itself."""
        return pv.escape(text)

    @restricted
    def setflag(self, flag: int | str) -> bool:
        """Set a script flag, 0 to 31, of the transaction."""
        n = arguments.flag(self._run, flag)
        if n is not None:
            self._run.session.flags |= 1 << n
        return n is not None

    @restricted
    def resetflag(self, flag: int | str) -> bool:
        """Clear a script flag."""
        n = arguments.flag(self._run, flag)
        if n is not None:
            self._run.session.flags &= ~(1 << n)
        return n is not None

    @restricted
    def isflagset(self, flag: int | str) -> bool:
        """Whether a script flag is set."""
        n = arguments.flag(self._run, flag)
        return n is not None and bool(self._run.session.flags >> n & 1)

    # -- headers ---------------------------------------------------------------------------------

    @restricted
    def append_hf(self, line: str) -> bool:
        """Add a header line, "Name: value", at the end of the headers."""
        return self._append(self._run.edits.added, line, "append_hf")

    @restricted
    def append_to_reply(self, line: str) -> bool:
        """Add a header line to the reply that send_reply() makes."""
        return self._append(self._run.decision.reply_headers, line, "append_to_reply")

    @restricted
    def remove_hf(self, name: str) -> bool:
        """Take every line of that header out of the message; False if it has none."""
        long = self._changeable(name, "remove_hf")
        msg = self._run.message
        if msg is None or msg.get(long) is None:
            return False
        removed = self._run.edits.removed
        if long not in removed and len(removed) >= MAX_HEADER_EDITS:
            raise ScriptLimit(f"more than {MAX_HEADER_EDITS} headers removed")
        removed.add(long)
        return True

    def _append(self, added: list[str], line: str, what: str) -> bool:
        if len(added) >= MAX_HEADER_EDITS:
            raise ScriptLimit(f"more than {MAX_HEADER_EDITS} headers added")
        text = self._header_line(line, what)
        if text is not None:
            added.append(text)
        return text is not None

    def _header_line(self, line: str, what: str) -> str | None:
        """The line with its variables expanded; None if they make it too long."""
        template = pv.compile_template(line)
        text = template.expand(self._run, clean=True)
        text = text.removesuffix("\n").removesuffix("\r")
        name, colon, _ = text.partition(":")
        if not colon:
            raise RouteError(f'{what}: not a header line "Name: value": {line[:200]!r}')
        self._changeable(name, what)
        if not text.isprintable():
            raise RouteError(f"{what}: not one printable line: {line[:200]!r}")
        if len(text) > MAX_VALUE:
            if template.constant:
                raise ScriptLimit(f"{what}: a line of more than {MAX_VALUE} characters")
            _QUIET.warning("%s: %d characters, from %.200r", what, len(text), line)
            return None
        return text

    @staticmethod
    def _changeable(name: str, what: str) -> str:
        if _TOKEN.fullmatch(name) is None:
            raise RouteError(f"{what}: not a header name: {name[:80]!r}")
        long = long_name(name)
        if long in OWNED:
            raise RouteError(f"{what}: {long} is not the script's to change")
        return long

    # -- where to --------------------------------------------------------------------------------

    @restricted
    def set_destination(self, uri: str | None) -> bool:
        """Set $du, the URI of the next hop; None forgets it. The Request-URI stays."""
        found = None if uri is None else arguments.uri(self._run, uri, "set_destination")
        if uri is not None and found is None:
            return False
        self._run.set_destination(found)
        return True

    @restricted
    def append_branch(self, uri: str | None = None) -> bool:
        """Add a branch; without ``uri``, one for the Request-URI and destination of now.

        Only what is appended is called then, besides a Request-URI that the script has set.
        """
        run = self._run
        if len(run.branches) >= MAX_BRANCHES:
            raise ScriptLimit(f"more than {MAX_BRANCHES} branches")
        if uri is None:
            run.branches.append(BranchPlan(run.uri, run.destination))
            run.moved = False
            return True
        found = arguments.uri(run, uri, "append_branch")
        if found is None:
            return False
        run.branches.append(BranchPlan(found))
        return True

    @restricted
    def serial(self) -> None:
        """Call one branch after the other, in their order."""
        self._run.decision.parallel = False

    @restricted
    def parallel(self) -> None:
        """Call all branches at once."""
        self._run.decision.parallel = True

    @restricted
    def record_route(self, params: str = "") -> bool:
        """Stay on the path of the dialog; params: further URI parameters, "a=b;c"."""
        template = pv.compile_template(params)
        text = template.expand(self._run)
        names = [part.partition("=")[0].lower() for part in text.split(";")]
        taken = {"lr", self._run.env.settings.rr_param.lower()}
        if len(text) > MAX_VALUE or not _PARAMS.fullmatch(text) or not taken.isdisjoint(names):
            if template.constant:
                raise RouteError(f"record_route: not further URI parameters: {params[:200]!r}")
            _QUIET.warning("record_route: not URI parameters: %.200r", text)
            return False
        self._run.decision.record_route = text.removeprefix(";")
        return True

    @restricted
    def loose_route(self) -> bool:
        """Whether this is a sequential request that came by our Route; finds its dialog."""
        run = self._run
        if run.given is None or not run.given.routed or not run.sequential:
            return False
        run.find_dialog()
        return True

    # -- what happens ----------------------------------------------------------------------------

    @restricted
    def t_relay(self) -> bool:
        """Relay the request when the route function has returned.

        In a failure route False, unless there is somewhere new to go.
        """
        run = self._run
        if run.route == "failure" and not run.branches and not run.moved:
            return False
        return run.decide(Action.RELAY, "t_relay()")

    @restricted
    def send_reply(self, code: int | str, reason: str = "") -> bool:
        """Answer the request. A 1xx does not end it: relay or answer as well."""
        run = self._run
        status = arguments.number(run, code, "send_reply", 700, least=100)
        if status is None:
            return False
        text = arguments.phrase(run, reason, "send_reply") or build.REASONS.get(status, "")
        if status < 200:
            if len(run.decision.provisional) >= MAX_PROVISIONAL:
                raise ScriptLimit(f"more than {MAX_PROVISIONAL} provisional replies")
            run.decision.provisional.append((status, text))
            return True
        if not run.decide(Action.REPLY, f"send_reply({status})"):
            return False
        run.decision.code, run.decision.reason = status, text
        return True

    @restricted
    def drop(self) -> None:
        """Request: neither relay nor answer. Branch: leave it out. Provisional reply: keep it."""
        run = self._run
        if run.plan is not None:
            run.plan.dropped = True
            return
        if run.route == ONREPLY and run.status >= 200:
            raise RouteError("drop: a final reply cannot be dropped")
        run.decide(Action.DROP, "drop()")

    @restricted
    def t_check_status(self, pattern: str) -> bool:
        """Whether the code of the reply, or of the best failure, matches a regular expression."""
        try:
            return re.search(pattern, str(self._run.status)) is not None
        except re.error as error:
            raise RouteError(f"t_check_status: {pattern[:80]!r}: {error}") from error
