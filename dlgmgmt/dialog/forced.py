"""Moving a dialog to a state that only messages lead to otherwise, on an operator's order.

Nothing is sent: the phones know nothing of it. It is for calls whose messages have gone another
way, so that the table says what is true.
"""

from __future__ import annotations

from dlgmgmt.dialog.events import EventType
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import ANSWERED, Event, State
from dlgmgmt.dialog.table import DialogTable

REASON = "set_state"


def force(table: DialogTable, dialog: Dialog, wanted: State) -> bool:
    """Move ``dialog`` to ``wanted``; False if it cannot go there.

    An answered dialog can be DELETED, which takes it out of its profiles and of the table, and one
    whose ACK has not been seen can be CONFIRMED. The state that a dialog has already is no change.
    A ringing one has a transaction that goes on: it has to be ended, not forgotten.
    """
    gone = False
    with dialog.entry.lock:
        state = dialog.state
        if state is wanted:
            return True
        if wanted is State.DELETED and state in ANSWERED:
            table.change(dialog, Event.TERMINATE)
            gone = table.drop_if_done(dialog)
            kind = EventType.TERMINATED
        elif wanted is State.CONFIRMED and state is State.CONFIRMED_NA:
            for leg in dialog.confirmed_legs():
                leg.acked = True
            table.change(dialog, Event.ACK)
            table.arm(dialog, dialog.lifetime)
            kind = EventType.CONFIRMED
        else:
            return False
    table.publish(kind, dialog, detail=REASON)
    if gone:
        table.publish(EventType.DESTROYED, dialog)
    return True
