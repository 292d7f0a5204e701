"""dlgctl kill: never more than one dialog, never without a yes."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from dlgmgmt.cli import render
from dlgmgmt.cli.backend import (
    DELETED,
    EARLY,
    OPEN_OUTCOMES,
    Backend,
    BackendError,
    Dialog,
    NotFound,
    Tags,
    identity,
    ims_state,
    text,
)
from dlgmgmt.cli.codes import AMBIGUOUS, NOT_CONFIRMED, NOT_FOUND, OK
from dlgmgmt.cli.text import complain, terminal_width, visible

_FIRST_LOOK = 0.05
_BETWEEN_LOOKS = 0.5


class Order(NamedTuple):
    """What the operator asked for. tags: None for the single dialog with this Call-ID.

    wait: seconds to wait for the answers of both sides. reason: "" for the daemon's own.
    """

    callid: str
    tags: Tags | None
    yes: bool
    reason: str
    wait: float
    json: bool


def kill(backend: Backend, order: Order) -> int:
    """Find, ask, end, and tell what came back; returns the exit code. Raises BackendError."""
    alive = [dialog for dialog in backend.find(order.callid) if ims_state(dialog) != DELETED]
    if not alive:
        complain("dlgctl", f"no dialog has the Call-ID {order.callid}")
        return NOT_FOUND
    if order.tags is None and len(alive) > 1:
        _show(alive, order)
        complain(
            "dlgctl",
            f"{len(alive)} dialogs have the Call-ID {order.callid}, none was killed; "
            "give FTAG and TTAG of the one that is meant",
        )
        return AMBIGUOUS
    dialog = alive[0] if order.tags is None else _with_tags(alive, order.tags)
    if not order.yes and not _confirmed(dialog, order):
        return NOT_CONFIRMED
    try:
        record = backend.end(order.callid, order.tags, dialog, _reason_header(order, dialog))
    except NotFound as error:
        complain("dlgctl", f"nothing was killed, the daemon answered {error}")
        return NOT_FOUND
    record = _wait(backend, record, order.wait)
    if order.json:
        print(json.dumps(record, indent=2))
    else:
        shown = order.callid if dialog is None else f"{identity(dialog)} {order.callid}"
        print(f"killed {visible(shown)}")
        for line in render.outcome(record):
            print(line)
        if not record:
            print("this way tells nothing about what both sides answered")
    return OK


def _show(dialogs: Sequence[Dialog], order: Order) -> None:
    if order.json:
        lines = list(render.json_lines(dialogs))
    else:
        lines = render.listing(dialogs, int(time.time()), terminal_width(sys.stdout))
        for dialog in dialogs:
            lines.append(f"tags of {visible(identity(dialog))}: {visible(_tags_of(dialog))}")
    print("\n".join(lines), flush=True)


def _tags_of(dialog: Dialog) -> str:
    caller = dialog.get("caller")
    first = text(caller.get("tag")) if isinstance(caller, dict) else ""
    return " ".join([first, *(_leg_tags(dialog) or ["(no To-tag yet)"])])


def _leg_tags(dialog: Dialog) -> list[str]:
    legs = dialog.get("legs")
    return [text(leg.get("to_tag")) for leg in legs or () if isinstance(leg, dict)]


def _with_tags(dialogs: Sequence[Dialog], tags: Tags) -> Dialog | None:
    """The dialog that the tags mean, for the question alone: the daemon decides."""
    for dialog in dialogs:
        caller = dialog.get("caller")
        first = text(caller.get("tag")) if isinstance(caller, dict) else ""
        if first in tags and any(tag in tags for tag in _leg_tags(dialog)):
            return dialog
    return None


def _confirmed(dialog: Dialog | None, order: Order) -> bool:
    what = f"call {order.callid}"
    if dialog is not None:
        what += f" ({text(dialog.get('state_name'))}, from {text(dialog.get('from_uri'))}"
        what += f" to {text(dialog.get('to_uri'))})" if dialog.get("to_uri") else ")"
    elif order.tags is not None:
        what += f" with the tags {order.tags.first} and {order.tags.second}"
    if not sys.stdin.isatty():
        complain("dlgctl", "not killed: there is no terminal to ask on; --yes kills without asking")
        return False
    print(f"Kill {visible(what)}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    complain("dlgctl", "not killed")
    return False


def _reason_header(order: Order, dialog: Dialog | None) -> str:
    """RFC 3326; the cause is the one that the daemon gives itself."""
    if not order.reason:
        return ""
    cause = 488 if dialog is not None and ims_state(dialog) in EARLY else 200
    quoted = order.reason.replace("\\", "\\\\").replace('"', '\\"')
    return f'Reason: SIP;cause={cause};text="{quoted}"\r\n'


def _wait(backend: Backend, record: dict[str, Any], wait: float) -> dict[str, Any]:
    """The record once both sides have answered, or as it is after ``wait`` seconds."""
    number = record.get("id")
    if not isinstance(number, int):
        return record
    deadline = time.monotonic() + wait
    pause = _FIRST_LOOK
    while _open(record) and (left := deadline - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(pause * 2, _BETWEEN_LOOKS)
        try:
            record = backend.termination(number)
        except (BackendError, NotFound) as error:
            # The call is ended already: what is known of it is still told.
            complain("dlgctl", f"what became of it is not known: {error}")
            return record
    return record


def _open(record: Mapping[str, Any]) -> bool:
    legs = record.get("legs")
    return isinstance(legs, list) and any(
        isinstance(leg, dict) and leg.get("outcome") in OPEN_OUTCOMES for leg in legs
    )
