"""Answers that come when both parties of an ended call have answered, or after some seconds."""

from __future__ import annotations

import functools

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.filters import bounded_number
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import Pending, TerminationOrdered
from dlgmgmt.commands.sweeps import is_open
from dlgmgmt.dialog.views import TerminationView

OPERATOR_REASON = "mi_terminated"
"""Reason text of a termination that an operator ordered and gave no reason for."""

MAX_WAIT = 32
"""Seconds: as long as a BYE is repeated (64*T1)."""
MAX_REASON = 200


def reason_of(call: Call) -> str:
    """Why a call is ended; raises Refused."""
    reason = call.optional_text("reason")
    if reason is None:
        return OPERATOR_REASON
    if not reason.isprintable() or not 0 < len(reason) <= MAX_REASON:
        raise Refused(
            Failure.BAD_VALUE, f"reason is a text of 1 to {MAX_REASON} printable characters"
        )
    return reason


def wait_of(call: Call) -> int:
    """For how long the answer waits; raises Refused."""
    return bounded_number(call, "wait", 0, 0, MAX_WAIT)


def ordered(call: Call, record: TerminationView, wait: int) -> TerminationOrdered | Pending:
    """The answer to an order, at once or when the parties have answered."""
    if not wait:
        return TerminationOrdered(record)
    return Pending(record, functools.partial(_answered, call, record), float(wait))


def _answered(call: Call, record: TerminationView) -> tuple[TerminationOrdered, bool]:
    """What is known now, and whether that is all."""
    now = call.context.table.termination(record.id)
    if now is None:
        return TerminationOrdered(record), True
    return TerminationOrdered(now), not is_open(now.sides)
