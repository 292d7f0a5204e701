"""Running the functions of a script: from a message to a decision, and nothing else.

routes is the script: anything that has some of ``request_route``, ``branch_route``,
``onreply_route``, ``failure_route`` and ``event_route`` as attributes. What a script raises comes
out as it is. A script without a request route has that of the default script.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.routing import default_script, restrictions
from dlgmgmt.routing.decision import Action, BranchPlan, Decision, Session
from dlgmgmt.routing.dialog import EventInfo, ScriptDialog
from dlgmgmt.routing.env import RouteEnv, RunInput
from dlgmgmt.routing.message import ScriptMessage
from dlgmgmt.routing.opening import apply_timeout, open_dialog
from dlgmgmt.routing.run import Run

FUNCTIONS = ("request_route", "branch_route", "onreply_route", "failure_route", "event_route")
"""What a script may define for the daemon to call."""

EVENTS = ("dialog:start", "dialog:end", "dialog:failed", "dialog:expired")
"""Events that an event route is told of."""

_RETRY_AFTER = "Retry-After: 5"


def function(routes: object, name: str) -> Callable[..., Any] | None:
    """The script's function of that name, None if it has none."""
    found = getattr(routes, name, None)
    return found if callable(found) else None


def run_request(given: RunInput, env: RouteEnv, routes: object) -> Decision:
    """Run ``request_route`` on a request, and ``branch_route`` on each of its branches."""
    run = Run(restrictions.REQUEST, env, given, functions=routes)
    route = function(routes, "request_route") or default_script.request_route
    route(ScriptMessage(run), ScriptDialog(run))
    decision = run.decision
    if decision.action is Action.RELAY and run.initial_invite and _flagged(run):
        open_dialog(run)
    apply_timeout(run)
    if run.moved:
        decision.uri = run.uri
    if decision.action is Action.RELAY:
        if run.refused is not None:
            # Relaying it untracked would break the promise of max_dialogs.
            decision.action = Action.REPLY
            decision.code, decision.reason = run.refused
            if decision.code == 503:
                decision.reply_headers.append(_RETRY_AFTER)
        else:
            _branches(run, given, routes)
    return decision


def _flagged(run: Run) -> bool:
    flag = run.env.settings.dlg_flag
    return flag is not None and bool(run.session.flags >> flag & 1)


def run_failure(given: RunInput, env: RouteEnv, routes: object) -> Decision:
    """Run ``failure_route`` on a request all of whose branches have failed."""
    route = function(routes, "failure_route")
    if route is None:
        return Decision()
    run = Run(restrictions.FAILURE, env, given, functions=routes)
    run.status = best_code(given.codes) if given.best is None else given.best
    route(ScriptMessage(run), ScriptDialog(run))
    if run.moved:
        run.decision.uri = run.uri
    if run.decision.action is Action.RELAY:
        _branches(run, given, routes)
    return run.decision


def _branches(run: Run, given: RunInput, routes: object) -> None:
    """Plan the branches, and let ``branch_route`` change each."""
    decision = run.decision
    decision.branches = _plans(run, given)
    route = function(routes, "branch_route")
    if route is None:
        return
    for index, plan in enumerate(decision.branches):
        branch = Run(restrictions.BRANCH, run.env, given, functions=routes)
        branch.plan = plan
        branch.index = index
        branch.edits = plan.headers
        route(ScriptMessage(branch), ScriptDialog(branch))


def _plans(run: Run, given: RunInput) -> list[BranchPlan]:
    if run.branches:
        # A Request-URI that the script has set, and not appended, is the first branch.
        first = [BranchPlan(run.uri, run.destination)] if run.moved else []
        return first + run.branches
    if run.destination is not None or run.sequential or given.routes or run.route != "request":
        return [BranchPlan(run.uri, run.destination)]
    return [BranchPlan(uri) for uri in run.env.targets(run.uri)]


def run_reply(given: RunInput, env: RouteEnv, routes: object) -> Decision:
    """Run ``onreply_route`` on a reply: DROP for a provisional one, else it passes."""
    route = function(routes, "onreply_route")
    if route is None:
        return Decision()
    run = Run(restrictions.ONREPLY, env, given, functions=routes)
    route(ScriptMessage(run), ScriptDialog(run))
    return run.decision


def run_event(
    name: str, dialog: Dialog, env: RouteEnv, routes: object, *, detail: str = ""
) -> None:
    """Tell ``event_route`` what has become of a dialog (EVENTS)."""
    route = function(routes, "event_route")
    if route is not None:
        _event(route, name, dialog, env, routes, detail)


def run_timeout(dialog: Dialog, env: RouteEnv, routes: object) -> bool:
    """Run the dialog's timeout route, ``$dlg_ctx(timeout_route)``; False if it has none."""
    with dialog.entry.lock:
        name = dialog.toroute
    route = function(routes, name) if name.isidentifier() and name[0] != "_" else None
    if route is None:
        return False
    _event(route, "dialog:expired", dialog, env, routes, "dialog_timeout")
    return True


def _event(
    route: Callable[..., Any],
    name: str,
    dialog: Dialog,
    env: RouteEnv,
    routes: object,
    detail: str,
) -> None:
    session = Session(dialog=dialog)
    run = Run(restrictions.EVENT, env, session=session, functions=routes)
    route(EventInfo(run, name, detail), ScriptDialog(run))


def best_code(codes: tuple[int, ...]) -> int:
    """The failure that the caller would be told (RFC 3261 16.7 point 6); 408 if none came."""
    return min(codes, key=_rank, default=408)


def _rank(code: int) -> tuple[int, int, int]:
    group = 0 if code >= 600 else code // 100
    if code in (401, 407, 415, 420, 484):
        return group, 0, code
    return group, 2 if code in (408, 487) else 1, code
