"""Between the proxy and the script: runs go to worker threads, decisions come back as plans.

Everything here but :class:`_RunEnv` is used on the signalling thread.
"""

from __future__ import annotations

import functools
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol, TypeVar

from dlgmgmt.dialog.events import DialogEvent, EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.routing.decision import Action, BranchPlan, Decision, HeaderEdits, Session
from dlgmgmt.routing.env import RouteSettings, RouteTable, RunInput
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.routes import (
    function,
    run_event,
    run_failure,
    run_reply,
    run_request,
    run_timeout,
)
from dlgmgmt.routing.runner import Outcome
from dlgmgmt.sip.forward import Forwarder
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.hooks import DropPlan, Failed, Plan, RelayPlan, ReplyPlan
from dlgmgmt.sip.hop import Target
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.pending import PendingRequest
from dlgmgmt.sip.quiet import Quiet

_QUIET = Quiet(logging.getLogger(__name__))

T = TypeVar("T")

_BUSY = ReplyPlan(503, headers="Retry-After: 5\r\n")

_EVENTS = {
    EventType.CONFIRMED: "dialog:start",
    EventType.TERMINATED: "dialog:end",
    EventType.FAILED: "dialog:failed",
    EventType.EXPIRED: "dialog:expired",
}


class Runner(Protocol):
    """Runs scripts; see dlgmgmt.routing.runner."""

    def submit(
        self, key: str, work: Callable[[], T], done: Callable[[Outcome[T]], None], what: str, /
    ) -> bool:
        """Run ``work`` and then ``done``, on the signalling thread; False if it is overloaded."""


class Calls(Protocol):
    """What scripts may do to calls; see dlgmgmt.sip.calls."""

    def terminate(self, dialog: Dialog, side: str, reason: str) -> bool:
        """End a dialog; False if it has ended."""

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        """Send one side elsewhere."""

    def bridge(self, from_uri: str, to_uri: str, op: str) -> int:
        """Call one party and refer it to another."""


class _State:
    """One request on its way through the script. opened: the dialog that was made for it.

    pending: the request, until it is decided. announced: the listeners have heard of ``opened``.
    closed: the run has been given up; what the script still does comes to nothing.
    """

    __slots__ = ("announced", "closed", "given", "lock", "opened", "parallel", "pending", "session")

    def __init__(
        self,
        session: Session,
        given: RunInput | None = None,
        pending: PendingRequest | None = None,
    ) -> None:
        self.session = session
        self.given = given
        self.pending = pending
        self.opened: Dialog | None = None
        self.announced = False
        self.parallel = True
        self.closed = False
        self.lock = threading.Lock()

    def close(self) -> Dialog | None:
        """Nothing may be opened from now on; what was."""
        with self.lock:
            self.closed = True
            self.pending = None
            return self.opened


class ScriptRouting:
    """A :class:`~dlgmgmt.sip.hooks.Routing` that asks an operator's script.

    script: see dlgmgmt.routing.script; it can be replaced at run time. wall: Unix time, seconds.
    """

    def __init__(
        self,
        script: object,
        runner: Runner,
        forwarder: Forwarder,
        table: DialogTable,
        calls: Calls,
        wall: Callable[[], float],
    ) -> None:
        self.runner = runner
        self.forwarder = forwarder
        self.table = table
        self.calls = calls
        self.wall = wall
        self.requests = True
        self.use(script)
        for kind in _EVENTS:
            table.add_listener(self._on_event, kind)

    def use(self, script: object) -> None:
        """Take ``script`` for everything that begins from now on."""
        self._script = script
        self.replies = function(script, "onreply_route") is not None
        self.failures = function(script, "failure_route") is not None
        self._events = function(script, "event_route") is not None

    # -- requests --------------------------------------------------------------------------------

    def request(self, pending: PendingRequest) -> None:
        """Run ``request_route`` and ``branch_route``."""
        msg, hop, _, server, _ = pending.incoming
        session = Session()
        given = RunInput(
            message=msg.edited(Edits()),
            session=session,
            source=msg.source,
            socket=server.flow.transport.name,
            uri=hop.uri if hop.uri != msg.uri else None,
            routed=hop.changed,
            routes=hop.routes,
        )
        pending.state = state = _State(session, given, pending)
        env = _RunEnv(self, state)
        work = functools.partial(run_request, given, env, self._script)
        done = functools.partial(self._requested, pending, state)
        what = f"request_route {msg.method} callid={msg.callid!r}"
        if not self.runner.submit(msg.callid, work, done, what):
            pending.decide(_BUSY, None)

    def _requested(
        self, pending: PendingRequest, state: _State, outcome: Outcome[Decision]
    ) -> None:
        opened = state.close()
        if opened is not None and not state.announced:
            self.table.publish(EventType.CREATED, opened)
        decision = outcome.value
        if decision is None:
            # A daemon that ends has not failed: the caller may try another one.
            pending.decide(_BUSY if outcome.stopped else ReplyPlan(500), opened)
            return
        for code, reason in decision.provisional:
            pending.provisional(code, reason)
        pending.decide(self._plan(decision, state), opened)

    def _plan(self, decision: Decision, state: _State) -> Plan:
        if decision.action is Action.REPLY:
            return _reply_plan(decision)
        if decision.action is Action.DROP:
            return DropPlan()
        if decision.action is Action.NONE:
            _QUIET.warning("request_route neither relayed nor answered a request: answered 500")
            return ReplyPlan(500, "No Decision")
        given = state.given
        sequential = given is not None and bool(given.message.to_tag)
        unmoved = given.uri or given.message.uri if sequential and given is not None else ""
        targets = _targets(decision.branches, unmoved)
        if decision.branches and not targets:
            return ReplyPlan(480)
        if not targets and decision.uri is not None:
            targets = (Target(decision.uri),)
        return RelayPlan(
            targets,
            decision.parallel and state.parallel,
            decision.record_route,
            _edits(decision.headers),
            None if sequential else state.session.dialog,
        )

    # -- replies and failures --------------------------------------------------------------------

    def reply(
        self, state: object, branch: int, reply: Message, then: Callable[[Message | None], None]
    ) -> None:
        """Run ``onreply_route``; what it says comes after what it said of earlier replies."""
        if not isinstance(state, _State) or state.given is None:
            then(reply)
            return
        given = RunInput(
            message=reply.edited(Edits()),
            session=state.session,
            source=reply.source,
            socket=state.given.socket,
            branch=branch,
        )
        callid = state.given.message.callid
        work = functools.partial(run_reply, given, _RunEnv(self, state), self._script)

        def done(outcome: Outcome[Decision]) -> None:
            decision = outcome.value
            if decision is None:
                then(reply)
            elif decision.action is Action.DROP and reply.status < 200:
                then(None)
            else:
                then(_edited(reply, _edits(decision.headers)))

        what = f"onreply_route {reply.status} callid={callid!r}"
        if not self.runner.submit(callid, work, done, what):
            then(reply)

    def failed(self, state: object, codes: tuple[int, ...], best: int, then: Failed) -> None:
        """Run ``failure_route``, and ``branch_route`` on the branches that it adds."""
        if not isinstance(state, _State) or state.given is None:
            then(None)
            return
        was = state.given
        given = replace(was, codes=codes, best=best)
        work = functools.partial(run_failure, given, _RunEnv(self, state), self._script)

        def done(outcome: Outcome[Decision]) -> None:
            decision = outcome.value
            if decision is None:
                then(None)
                return
            plan: Plan | None = None
            if decision.action is Action.REPLY:
                plan = _reply_plan(decision)
            elif decision.action is Action.RELAY:
                targets = _targets(decision.branches, "", decision.headers)
                plan = RelayPlan(targets, decision.parallel)
            then(plan, decision.provisional)

        what = f"failure_route {best} callid={was.message.callid!r}"
        if not self.runner.submit(was.message.callid, work, done, what):
            then(None)

    # -- dialogs ---------------------------------------------------------------------------------

    def _on_event(self, event: DialogEvent) -> None:
        if not self._events:
            return
        dialog, name = event.dialog, _EVENTS[event.type]
        env = _RunEnv(self, _State(Session(dialog=dialog)))
        work = functools.partial(run_event, name, dialog, env, self._script, detail=event.detail)
        self.runner.submit(
            event.callid, work, _ignore, f"event_route {name} callid={event.callid!r}"
        )

    def timed_out(self, dialog: Dialog, then: Callable[[], None]) -> bool:
        """Run the dialog's timeout route, if it has one, before ``then``."""
        if not dialog.toroute or function(self._script, dialog.toroute) is None:
            return False
        env = _RunEnv(self, _State(Session(dialog=dialog)))
        work = functools.partial(run_timeout, dialog, env, self._script)

        def done(outcome: Outcome[bool]) -> None:
            del outcome
            then()

        what = f"{dialog.toroute} (timeout) callid={dialog.callid!r}"
        return self.runner.submit(dialog.callid, work, done, what)


class _RunEnv:
    """The daemon as one run sees it; used on worker threads."""

    __slots__ = ("_routing", "_state")

    def __init__(self, routing: ScriptRouting, state: _State) -> None:
        self._routing = routing
        self._state = state

    @property
    def table(self) -> RouteTable:
        """The dialog table."""
        return self._routing.table

    @property
    def settings(self) -> RouteSettings:
        """The dialog parameters."""
        return self._routing.table.settings

    def open_dialog(self, message: Message, session: Session, *, req_uri: str) -> Dialog:
        """Make and hold the dialog of an initial INVITE, or join it to its spiral's."""
        del session
        state = self._state
        bind_addr = state.given.socket if state.given is not None else ""
        inscript = self._routing.table.settings.initial_cbs_inscript
        dialog, new = self._routing.forwarder.open(
            message, bind_addr, req_uri, announce=inscript, pending=state.pending
        )
        with state.lock:
            late = state.closed
            if new and not late:
                state.opened = dialog
                # As it was done: a reload may change the parameter before the run ends.
                state.announced = inscript
        if late:
            self._routing.forwarder.undo(dialog if new else None, 0)
            raise RouteError("this run has been given up")
        return dialog

    def find_dialog(self, message: Message) -> tuple[Dialog, bool] | None:
        """The dialog of a sequential request, and whether it goes to the caller."""
        return self._routing.forwarder.find(message)

    def targets(self, uri: str) -> list[str]:
        """Where a Request-URI leads."""
        found, self._state.parallel = self._routing.forwarder.targets_of(uri)
        return found

    def terminate(self, dialog: Dialog, side: str, reason: str) -> bool:
        """End a dialog; False if there is nothing to end."""
        return self._routing.calls.terminate(dialog, side, reason)

    def refer(self, dialog: Dialog, side: str, address: str) -> bool:
        """Send one side elsewhere by REFER."""
        return self._routing.calls.refer(dialog, side, address)

    def bridge(self, caller: str, callee: str, proxy: str) -> bool:
        """Call ``caller`` and refer it to ``callee``."""
        return bool(self._routing.calls.bridge(caller, callee, proxy))

    def clock(self) -> float:
        """Unix time in seconds."""
        return self._routing.wall()


def _ignore(outcome: Outcome[None]) -> None:
    """The runner has logged what there was to say."""
    del outcome


def _edits(edits: HeaderEdits) -> Edits | None:
    return Edits(tuple(edits.added), frozenset(edits.removed)) if edits else None


def _edited(reply: Message, edits: Edits | None) -> Message:
    if edits is None:
        return reply
    edited = reply.edited(edits)
    edited.as_received = reply
    return edited


def _reply_plan(decision: Decision) -> ReplyPlan:
    headers = "".join(f"{line}\r\n" for line in decision.reply_headers)
    return ReplyPlan(decision.code, decision.reason, headers)


def _targets(
    branches: list[BranchPlan], unmoved: str, common: HeaderEdits | None = None
) -> tuple[Target, ...]:
    """unmoved: the Request-URI that the proxy would take where its dialog or Route leads.

    common: header changes for these branches, and not for those of a later run.
    """
    return tuple(
        Target(
            "" if plan.uri == unmoved else plan.uri,
            destination=plan.destination,
            edits=_edits(plan.headers if common is None else common.plus(plan.headers)),
        )
        for plan in branches
        if not plan.dropped
    )
