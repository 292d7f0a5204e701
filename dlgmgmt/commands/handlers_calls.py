"""Handlers of commands that do more than end one call: all of them, their states, bridges.

What ends a single dialog is in handlers_dialog.py.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

from dlgmgmt.commands.context import Bridging
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import Alive, AllOrdered, BridgeList, BridgeOrdered, StateSet
from dlgmgmt.commands.waiting import OPERATOR_REASON
from dlgmgmt.dialog.errors import NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import ANSWERED, State
from dlgmgmt.sip.calls import check_address

_WANTED = {
    1: State.UNCONFIRMED,
    2: State.EARLY,
    3: State.CONFIRMED_NA,
    4: State.CONFIRMED,
    5: State.DELETED,
}
"""States by the numbers of the dialog module."""


def _named(call: Call) -> Dialog:
    """The dialog that lives and has exactly these tags."""
    to_tag = call.text("to_tag")
    dialog = None
    if to_tag:
        dialog = call.context.table.lookup(call.text("callid"), call.text("from_tag"), to_tag)
    if dialog is None:
        raise Refused(Failure.NO_DIALOG)
    return dialog


def is_alive(call: Call) -> Alive:
    """Whether a dialog is answered and has not ended; Refused(NO_DIALOG) if not."""
    dialog = _named(call)
    with dialog.entry.lock:
        answered = dialog.state in ANSWERED
    if not answered:
        raise Refused(Failure.NO_DIALOG, "it is not answered")
    return Alive()


def set_state(call: Call) -> StateSet:
    """Say which state a dialog is in; see dlgmgmt.dialog.forced."""
    wanted = _WANTED.get(call.number("state"))
    if wanted is None:
        raise Refused(Failure.BAD_STATE, "states are numbered from 1 to 5")
    dialog = _named(call)
    with dialog.entry.lock:
        if dialog.state is State.CONCURRENT and wanted is State.CONFIRMED:
            # The dialog module has one number for both.
            return StateSet()
        now = dialog.state
    if not call.context.force(dialog, wanted):
        raise Refused(Failure.BAD_STATE, f"not from the state {now.name.lower()}")
    return StateSet()


def end_all(call: Call) -> AllOrdered:
    """End every answered dialog, many of them at a steady rate."""
    context = call.context
    jobs = [
        _End(view.h_entry, view.h_id, call)
        for batch in context.table.iter_views()
        for view in batch
        if view.state in ANSWERED
    ]
    context.pacer.run(jobs)
    return AllOrdered(len(jobs))


@dataclass(slots=True, frozen=True)
class _End:
    """Ends one dialog; equal to any other that ends the same."""

    h_entry: int
    h_id: int
    call: Call = field(compare=False)

    def __call__(self) -> None:
        call = self.call
        # It may have ended by itself meanwhile.
        with contextlib.suppress(NoSuchDialog):
            call.ended(
                call.context.terminator.by_id(self.h_entry, self.h_id, reason=OPERATOR_REASON)
            )


def _bridging(call: Call) -> Bridging:
    if call.context.bridging is None:
        raise Refused(Failure.NO_ROOM, "no calls can be made here")
    return call.context.bridging


def bridge(call: Call) -> BridgeOrdered:
    """Call one party and refer it to another."""
    from_uri, to_uri = call.text("from"), call.text("to")
    bridging = _bridging(call)
    try:
        check_address(to_uri, "to")
    except ValueError as error:
        raise Refused(Failure.BAD_TO, str(error)) from None
    try:
        number = bridging.bridge(from_uri, to_uri, call.optional_text("op") or "")
    except ValueError as error:
        raise Refused(Failure.BAD_ADDRESS, str(error)) from None
    if not number:
        raise Refused(Failure.NO_ROOM)
    return BridgeOrdered(number)


def bridges(call: Call) -> BridgeList:
    """What is known of all bridges, or of one."""
    known = tuple(_bridging(call).bridges.views())
    if "id" in call.values:
        number = call.number("id")
        known = tuple(view for view in known if view.id == number)
        if not known:
            raise Refused(Failure.NO_BRIDGE)
    return BridgeList(known)
