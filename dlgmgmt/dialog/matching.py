"""Whether a request within a dialog is one of this dialog, and who has sent it."""

from __future__ import annotations

from dlgmgmt.dialog.model import Dialog, Direction, OutLeg


def side_of(
    dialog: Dialog, from_tag: str, to_tag: str
) -> tuple[Dialog, OutLeg | None, Direction] | None:
    """Which direction a request with these tags goes within ``dialog``, None if it is not its.

    An ended leg still matches, without a leg, so that what is late stays attached to its call.
    """
    if from_tag == dialog.from_tag:
        leg = dialog.legs.get(to_tag)
        if leg is not None:
            return dialog, leg, Direction.DOWNSTREAM
        if any(ended.to_tag == to_tag for ended in dialog.history):
            return dialog, None, Direction.DOWNSTREAM
    if to_tag == dialog.from_tag:
        leg = dialog.legs.get(from_tag)
        if leg is not None:
            return dialog, leg, Direction.UPSTREAM
        if any(ended.to_tag == from_tag for ended in dialog.history):
            return dialog, None, Direction.UPSTREAM
    return None
