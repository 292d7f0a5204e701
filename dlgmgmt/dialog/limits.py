"""What bounds an answered call besides its dialog timeout: missing ACKs and session timers."""

from __future__ import annotations

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.table import DialogTable


def set_limits(table: DialogTable, dialog: Dialog) -> None:
    """Set the timers of ACKs that have not come and of sessions. Entry lock held.

    A single leg is the call: its dialog timeout is short until the ACK (``noack_timeout``), and its
    session timer ends the dialog. Among several, a leg is ended without the others, and the dialog
    timeout runs on.
    """
    acks, session = table.ack_left(dialog), table.session_left(dialog)
    if dialog.state is State.CONCURRENT:
        waits = [left for left in (acks, session) if left is not None]
        if waits:
            table.limit_legs(dialog, min(waits))
        else:
            table.unlimit(dialog)
        return
    if session is not None:
        table.limit_session(dialog, session)
    else:
        table.unlimit(dialog)
    if acks is not None:
        table.arm(dialog, min(dialog.lifetime, acks))


def grace(session: int) -> float:
    """Seconds between the end of a session and that of its call.

    RFC 4028 10: the party that is to refresh hangs up so long before the end; its BYE, or a late
    refresh, then still finds the dialog.
    """
    return min(32.0, session / 3)
