"""What can happen to a dialog, step by step, for tests that play it at random."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.forced import force
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import IllegalEvent, State
from dlgmgmt.dialog.termination import Terminations
from dlgmgmt.dialog.tracker import Match
from dlgmgmt.sip.own_requests import take_cseq
from tests.unit.dialog.harness import SETTINGS, Core

TAG_NAMES = ("bob", "carol")
METHOD_NAMES = ("ACK", "INVITE", "INFO", "REFER", "BYE")
TAGS = st.sampled_from(TAG_NAMES)
METHODS = st.sampled_from(METHOD_NAMES)
WITH_PROFILES = replace(
    SETTINGS,
    early_timeout=900,
    profiles_with_value=("caller",),
    profiles_no_value=("inbound",),
)


def steps(core: Core, dialog: Dialog) -> dict[str, Callable[[str, str, int], object]]:
    orders = Terminations(core.table)
    table, profiles = core.table, core.table.profiles

    def release(_tag: str, _method: str, _number: int) -> None:
        if dialog.holds:
            core.table.release(dialog)

    def moved(tag: str, method: str, number: int) -> None:
        match = core.down(method, number, tag)
        if match is not None:
            core.tracker.response(match, method, 200, f"sip:a@{number}", f"sip:b@{number}")

    def refreshed(tag: str, method: str, number: int) -> None:
        match = core.down(method, number, tag)
        if match is not None:
            core.tracker.response(match, method, 200, "", "", cseq=number, session=number * 40)

    last: list[Match] = []

    def down(tag: str, method: str, number: int) -> None:
        match = core.down(method, number, tag)
        if match is not None:
            last[:] = [match]

    def accepted(_tag: str, method: str, number: int) -> None:
        for match in last:
            core.tracker.response(
                match, method, 200, f"sip:c@{number}", f"sip:d@{number}", cseq=number, session=900
            )

    def wait(seconds: float) -> None:
        core.advance(seconds)
        due, core.expired[:] = core.expired[:], []
        for expired in due:
            orders.expired(expired)

    def enter(tag: str, _method: str, number: int) -> None:
        profiles.insert(dialog, ("caller", "inbound")[number % 2], tag)

    def leave(tag: str, _method: str, number: int) -> None:
        profiles.remove(dialog, ("caller", "inbound")[number % 2], tag)

    def own(tag: str, _method: str, number: int) -> None:
        leg = dialog.legs.get(tag)
        if leg is not None:
            take_cseq(dialog, leg, to_caller=number % 2 == 0)

    return {
        "ring": lambda tag, _, number: core.reply(dialog, 180, tag, contact=f"sip:{number}"),
        "answer": lambda tag, _, number: core.reply(dialog, 200, tag, branch=number % 3),
        "branch failed": lambda tag, _, number: core.tracker.branch_failed(
            dialog, number % 3, 486, tag, "rejected"
        ),
        "failed": lambda _tag, _, _number: core.tracker.invite_failed(dialog, 486),
        "invite ended": lambda _tag, _, _number: core.tracker.invite_ended(dialog),
        "down": down,
        "accepted": accepted,
        "up": lambda tag, method, number: core.up(method, number, tag),
        "moved": moved,
        "refreshed": refreshed,
        "early ended": lambda tag, _, _number: core.reply(dialog, 199, tag),
        "hold": lambda _tag, _, _number: core.table.hold(dialog),
        "release": release,
        "kill": lambda tag, _, _number: orders.by_tags("c1", "alice", tag, reason="x"),
        "kill by id": lambda _tag, _, _number: orders.by_id(
            dialog.entry.index, dialog.h_id, reason="x", only="callee"
        ),
        "wait": lambda _tag, _, number: wait(number * 100.0),
        "pause": lambda _tag, _, number: wait(float(number // 2)),
        "own request": own,
        "forced": lambda _tag, _, number: force(
            table, dialog, State.DELETED if number > 45 else State.CONFIRMED
        ),
        "unacked": lambda _tag, _, _number: orders.legs_due(dialog),
        "enter": enter,
        "leave": leave,
        "set variable": lambda tag, method, number: table.set_var(dialog, tag, f"{method}{number}"),
        "unset variable": lambda tag, _, _number: table.set_var(dialog, tag, None),
        "set flag": lambda _tag, _, number: table.set_flag(dialog, number % 32),
        "reset flag": lambda _tag, _, number: table.reset_flag(dialog, number % 32),
        "lifetime": lambda _tag, _, number: table.set_lifetime(dialog, 1 + number),
        "timeout route": lambda tag, _, _number: table.set_toroute(dialog, tag),
        "timeout bye": lambda _tag, _, number: table.set_timeout_bye(dialog, number % 2 == 0),
        "timeout noreset": lambda _tag, _, number: table.set_timeout_noreset(
            dialog, number % 2 == 0
        ),
        "keepalive": lambda _tag, _, number: table.set_keepalive(
            dialog, number % 2 == 0, number % 3 == 0
        ),
    }


STEPS = sorted(steps(Core(), Core().invite()))
Script = list[tuple[str, str, str, int]]
SCRIPTS = st.lists(
    st.tuples(st.sampled_from(STEPS), TAGS, METHODS, st.integers(0, 50)), max_size=25
)
_ENDS = ("failed", "forced", "invite ended", "kill", "kill by id", "unacked", "wait")
LIVELY = st.lists(
    st.tuples(
        st.sampled_from([*(step for step in STEPS if step not in _ENDS), "answer", "down", "down"]),
        TAGS,
        st.sampled_from(["ACK", "ACK", "INVITE", "INFO", "REFER"]),
        st.integers(0, 50),
    ),
    max_size=25,
)
"""Scripts that a call mostly outlives."""
_REFUSED = (
    "up",
    "down",
    "moved",
    "refreshed",
    "failed",
    "invite ended",
    "answer",
    "ring",
    "kill",
    "kill by id",
)


def void(function: Callable[[Dialog], object]) -> Callable[[Dialog], None]:
    def call(dialog: Dialog) -> None:
        function(dialog)

    return call


def play(core: Core, script: Script, seen: Callable[[Dialog], object]) -> Dialog:
    """A dialog to which all of ``script`` has happened; seen: called before and after each step."""
    core.table.on_legs_due = void(core.orders.legs_due)
    dialog = core.invite()
    known = steps(core, dialog)
    seen(dialog)
    for name, tag, method, number in script:
        try:
            known[name](tag, method, number)
        except (IllegalEvent, NoSuchDialog):
            # What the state does not allow changes nothing.
            assert name in _REFUSED
        seen(dialog)
    return dialog
