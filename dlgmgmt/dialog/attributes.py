"""What scripts and operators attach to a dialog: variables, flags, timeout and its ways.

Each method takes the entry lock for itself and may be called from any thread.
"""

from __future__ import annotations

from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.store import Store

MAX_VARIABLES = 64
MAX_KEY = 64
MAX_VALUE = 4096
"""Variables of one dialog, characters of a name and of a value."""

MAX_LIFETIME = 2_147_483_647

CALLER, CALLEE = 1, 2
"""Bits of ``Dialog.keepalive``."""


class Attributes(Store):
    """The half of the dialog table that deals with single dialogs in the hand of a caller."""

    # -- variables -------------------------------------------------------------------------------

    def set_var(self, dialog: Dialog, key: str, value: str | None) -> None:
        """Set a variable, or remove it with None. ValueError beyond the limits of this module."""
        if not key or len(key) > MAX_KEY:
            raise ValueError(f"a variable's name has 1 to {MAX_KEY} characters")
        if value is not None and len(value) > MAX_VALUE:
            raise ValueError(f"a variable's value has at most {MAX_VALUE} characters")
        with dialog.entry.lock:
            found = dict(dialog.variables)
            if value is None:
                found.pop(key, None)
            elif key not in found and len(found) >= MAX_VARIABLES:
                raise ValueError(f"a dialog has at most {MAX_VARIABLES} variables")
            else:
                found[key] = value
            dialog.variables = tuple(found.items())
            dialog.touch()

    def get_var(self, dialog: Dialog, key: str) -> str | None:
        """A variable's value, None if it is unset."""
        with dialog.entry.lock:
            return dict(dialog.variables).get(key)

    def vars(self, dialog: Dialog) -> dict[str, str]:
        """All variables."""
        with dialog.entry.lock:
            return dict(dialog.variables)

    # -- flags -----------------------------------------------------------------------------------

    def set_flag(self, dialog: Dialog, number: int) -> None:
        """Set flag 0 to 31 (manual 6.6); ValueError for another number."""
        bit = _bit(number)
        with dialog.entry.lock:
            dialog.sflags |= bit
            dialog.touch()

    def reset_flag(self, dialog: Dialog, number: int) -> None:
        """Clear flag 0 to 31 (manual 6.7); ValueError for another number."""
        bit = _bit(number)
        with dialog.entry.lock:
            dialog.sflags &= ~bit
            dialog.touch()

    def is_flag_set(self, dialog: Dialog, number: int) -> bool:
        """Whether flag 0 to 31 is set (manual 6.5); ValueError for another number."""
        bit = _bit(number)
        with dialog.entry.lock:
            return bool(dialog.sflags & bit)

    # -- timeout ---------------------------------------------------------------------------------

    def set_lifetime(self, dialog: Dialog, seconds: int) -> None:
        """The dialog timeout in seconds; one that runs begins again. ValueError unless > 0.

        It does not lengthen the wait for the ACK of the answer.
        """
        if not 0 < seconds <= MAX_LIFETIME:
            raise ValueError(f"a timeout is a number of seconds from 1 to {MAX_LIFETIME}")
        with dialog.entry.lock:
            if dialog.state is State.DELETED:
                return
            dialog.lifetime = seconds
            dialog.touch()
            if dialog.state in (State.CONFIRMED, State.CONCURRENT):
                self.arm(dialog, seconds)
            elif dialog.state is State.CONFIRMED_NA:
                left = self.ack_left(dialog)
                self.arm(dialog, seconds if left is None else min(seconds, left))

    def set_toroute(self, dialog: Dialog, name: str) -> None:
        """Name the script function that runs when the timeout comes, "" for none."""
        if len(name) > MAX_KEY:
            raise ValueError(f"a route's name has at most {MAX_KEY} characters")
        with dialog.entry.lock:
            dialog.toroute = name
            dialog.touch()

    def set_timeout_bye(self, dialog: Dialog, on: bool) -> None:  # noqa: FBT001 - one of a family
        """Whether the timeout sends BYE to both sides though ``send_bye`` is off."""
        with dialog.entry.lock:
            dialog.timeout_bye = on
            dialog.mark()

    def set_timeout_noreset(self, dialog: Dialog, on: bool) -> None:  # noqa: FBT001 - as above
        """Whether requests within this dialog leave its timeout alone."""
        with dialog.entry.lock:
            dialog.timeout_noreset = on
            dialog.mark()

    def set_keepalive(self, dialog: Dialog, caller: bool, callee: bool) -> None:  # noqa: FBT001
        """Have keep-alives sent to these sides besides those that were marked before."""
        with dialog.entry.lock:
            dialog.keepalive |= (CALLER if caller else 0) | (CALLEE if callee else 0)
            dialog.mark()

    # -- finding ---------------------------------------------------------------------------------

    def lookup(self, callid: str, from_tag: str, to_tag: str) -> Dialog | None:
        """The dialog that is alive and has these tags, in either order.

        An empty ``to_tag`` takes any dialog of this Call-ID and From tag.
        """
        entry = self.entry_of(callid)
        with entry.lock:
            for dialog in entry.by_callid.get(callid, ()):
                if dialog.state is State.DELETED:
                    continue
                if dialog.from_tag == from_tag and (not to_tag or to_tag in dialog.legs):
                    return dialog
                if dialog.from_tag == to_tag and from_tag in dialog.legs:
                    return dialog
        return None


def _bit(number: int) -> int:
    if not 0 <= number <= 31:
        raise ValueError("a dialog flag is a number from 0 to 31")
    return 1 << number
