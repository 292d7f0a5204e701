"""The default script: what the daemon does without one, in a file that can be copied."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dlgmgmt.routing import default_script
from dlgmgmt.routing.decision import Action, Decision, Session
from dlgmgmt.routing.env import RunInput
from dlgmgmt.routing.routes import run_request
from dlgmgmt.sip.message import Message
from tests.unit.routing.harness import SOURCE, Env, invite, request, script, within


def run(message: Message, env: Env, functions: object = default_script) -> tuple[Decision, Session]:
    session = Session()
    return run_request(RunInput(message, session, SOURCE), env, functions), session


def test_an_invite_is_tracked_record_routed_and_relayed() -> None:
    env = Env()
    decision, session = run(invite(), env)
    assert (decision.action, decision.record_route) == (Action.RELAY, "")
    assert session.dialog is not None


@pytest.mark.parametrize(
    ("method", "recorded"), [("SUBSCRIBE", True), ("REFER", True), ("OPTIONS", False)]
)
def test_other_requests_are_relayed(method: str, recorded: bool) -> None:  # noqa: FBT001
    env = Env()
    decision, session = run(request(method), env)
    assert decision.action is Action.RELAY
    assert (decision.record_route is not None) is recorded
    assert session.dialog is None


def test_a_sequential_request_is_relayed_within_its_dialog() -> None:
    env = Env()
    dialog = env.call()
    decision, session = run(within(), env)
    assert (decision.action, decision.record_route) == (Action.RELAY, None)
    assert session.dialog is dialog


def test_a_full_table_answers_503() -> None:
    decision, _ = run(invite(), Env(max_dialogs=0))
    assert (decision.action, decision.code) == (Action.REPLY, 503)


def test_it_is_the_request_route_of_a_script_without_one() -> None:
    decision, session = run(invite(), Env(), script(event_route=print))
    assert decision.action is Action.RELAY
    assert session.dialog is not None


def test_a_copy_of_it_runs_by_itself() -> None:
    path = Path(default_script.__file__)
    source = path.read_text(encoding="utf-8")
    imported = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert all(isinstance(n, ast.ImportFrom) and n.module == "typing" for n in imported)
    names: dict[str, object] = {}
    exec(compile(source, "copy.py", "exec"), names)  # noqa: S102 - as a script is loaded
    decision, session = run(invite(), Env(), script(request_route=names["request_route"]))
    assert decision.action is Action.RELAY
    assert session.dialog is not None
