"""The developer API (manual part 2), for scripts and for programs that embed the daemon.

A routing script gets it by defining ``mod_init(api)``; see docs/api.md for examples.
"""

from __future__ import annotations

from typing import Protocol

from dlgmgmt.dialog.callbacks import Callback, DialogHandle, DlgCb, Free
from dlgmgmt.dialog.errors import BadExtraHeaders, NoSuchDialog
from dlgmgmt.dialog.model import Dialog
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.dialog.views import TerminationView

_REASON = "call failed"


class Terminator(Protocol):
    """Ends dialogs; the sending is the signalling thread's."""

    def by_tags(
        self, callid: str, from_tag: str, to_tag: str, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        """End the dialog with these tags."""

    def by_id(
        self, h_entry: int, h_id: int, *, reason: str, extra_headers: str = ""
    ) -> TerminationView:
        """End the dialog ``h_entry:h_id``."""


class Register(Protocol):
    """Where callbacks are registered: Callbacks, or the register of one script."""

    def register(
        self,
        dialog: DialogHandle | None,
        types: DlgCb,
        callback: Callback,
        param: object = None,
        free: Free | None = None,
    ) -> bool:
        """See Callbacks.register."""


class HasDialog(Protocol):
    """A message of a routing script."""

    @property
    def dialog(self) -> Dialog | None:
        """The dialog that it belongs to."""


class DialogApi:
    """Every method may be called from any thread, and none waits for the network."""

    DLGCB_CREATED = DlgCb.CREATED
    DLGCB_FAILED = DlgCb.FAILED
    DLGCB_CONFIRMED_NA = DlgCb.CONFIRMED_NA
    DLGCB_CONFIRMED = DlgCb.CONFIRMED
    DLGCB_REQ_WITHIN = DlgCb.REQ_WITHIN
    DLGCB_TERMINATED = DlgCb.TERMINATED
    DLGCB_TERMINATED_CONFIRMED = DlgCb.TERMINATED_CONFIRMED
    DLGCB_EXPIRED = DlgCb.EXPIRED
    DLGCB_EARLY = DlgCb.EARLY
    DLGCB_RESPONSE_FWDED = DlgCb.RESPONSE_FWDED
    DLGCB_RESPONSE_WITHIN = DlgCb.RESPONSE_WITHIN
    DLGCB_MI_CONTEXT = DlgCb.MI_CONTEXT
    DLGCB_RPC_CONTEXT = DlgCb.RPC_CONTEXT
    DLGCB_SPIRALED = DlgCb.SPIRALED
    DLGCB_LOADED = DlgCb.LOADED

    def __init__(self, table: DialogTable, terminator: Terminator, callbacks: Register) -> None:
        self._table = table
        self._terminator = terminator
        self._callbacks = callbacks

    def register_dlgcb(
        self,
        dialog: DialogHandle | None,
        types: DlgCb,
        callback: Callback,
        param: object = None,
        free_param_cb: Free | None = None,
    ) -> bool:
        """Register a callback (manual 1.1); see Callbacks.register. Raises ValueError."""
        return self._callbacks.register(dialog, types, callback, param, free_param_cb)

    def terminate_dlg(self, callid: str, ftag: str, ttag: str, hdrs: str = "") -> bool:
        """End the dialog with these tags, early or answered (manual 1.2).

        hdrs: whole header lines for the BYEs. False if there is no such dialog; ValueError for
        lines that are no headers.
        """
        try:
            self._terminator.by_tags(callid, ftag, ttag, reason=_REASON, extra_headers=hdrs)
        except NoSuchDialog:
            return False
        except BadExtraHeaders as error:
            raise ValueError(str(error)) from None
        return True

    def lookup_terminate_dlg(self, h_entry: int, h_id: int, hdrs: str = "") -> bool:
        """End the dialog ``h_entry:h_id`` (manual 1.3); as :meth:`terminate_dlg`."""
        try:
            self._terminator.by_id(h_entry, h_id, reason=_REASON, extra_headers=hdrs)
        except NoSuchDialog:
            return False
        except BadExtraHeaders as error:
            raise ValueError(str(error)) from None
        return True

    def set_dlg_var(self, dialog: DialogHandle, key: str, val: str | None) -> None:
        """Set a variable of a dialog (manual 1.4), None removes it. Raises ValueError."""
        self._table.set_var(dialog.dialog, key, val)

    def get_dlg_var(self, dialog: DialogHandle, key: str) -> str | None:
        """A variable of a dialog (manual 1.5), None if it is unset."""
        return self._table.get_var(dialog.dialog, key)

    def get_current_dialog(self, msg: HasDialog) -> DialogHandle | None:
        """The dialog that a script's message belongs to (manual 1.6), None without one."""
        found = msg.dialog
        return DialogHandle(found) if found is not None else None
