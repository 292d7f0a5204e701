"""What the dialog core refuses, as types."""

from __future__ import annotations


class DialogError(Exception):
    """Base of the dialog core's errors."""


class NoSuchDialog(DialogError):
    """No live dialog has the given identity.

    callid_known: whether a dialog with that Call-ID exists, so that only the tags were wrong or
    the dialog has ended already.
    """

    def __init__(self, *, callid_known: bool = False) -> None:
        super().__init__("no such dialog")
        self.callid_known = callid_known


class BadExtraHeaders(DialogError):
    """Extra headers for a generated request are malformed or name a header that is not theirs."""


class TableFull(DialogError):
    """The table holds ``max_dialogs`` dialogs already."""
