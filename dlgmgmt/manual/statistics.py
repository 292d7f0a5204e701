"""Chapter 7: the statistics."""

from __future__ import annotations

from dlgmgmt.manual.entry import Entry, Kind

_S = Kind.STATISTIC

STATISTICS = (
    Entry(
        name="active_dialogs",
        chapter="7.1",
        kind=_S,
        summary="answered calls of now",
        signature="dialog:active_dialogs, dialog_ng:active_dialogs, dialog_ng:active",
        text="""
            Dialogs in the states 4 (confirmed), 5 (the ACK is awaited) and 7 (several answers).
            Not kept as a number of its own: it is the sum of what the table's entries hold, so
            it equals a count of the table. It falls as calls end.
            """,
        example="get_statistics active_dialogs -> dialog:active_dialogs = 2",
        aliases=("active",),
    ),
    Entry(
        name="early_dialogs",
        chapter="7.2",
        kind=_S,
        summary="ringing calls of now",
        signature="dialog:early_dialogs, dialog_ng:early_dialogs, dialog_ng:early",
        text="""
            Dialogs in state 2: a provisional reply with a To tag has passed and no final one. A
            call whose phones are silent still (state 1) is in none of the two; $DLG_count and
            dlg.stats_active count it too.
            """,
        example="get_statistics early_dialogs -> dialog:early_dialogs = 1",
        aliases=("early",),
    ),
    Entry(
        name="processed_dialogs",
        chapter="7.3",
        kind=_S,
        summary="calls tracked since the start",
        signature="dialog:processed_dialogs, dialog_ng:processed_dialogs, dialog_ng:processed",
        text="""
            Every dialog that was made counts once, whatever became of it; an INVITE that
            joined its spiral does not count again. It only grows.
            """,
        example="get_statistics dialog: -> all five",
        aliases=("processed",),
    ),
    Entry(
        name="expired_dialogs",
        chapter="7.4",
        kind=_S,
        summary="calls since the start that a timeout has ended",
        signature="dialog:expired_dialogs, dialog_ng:expired_dialogs, dialog_ng:expired",
        text="""
            Answered calls past their timeout or without their ACK, and ringing ones past
            early_timeout, which count as failed too. A call that an operator or a phone ends is
            not among them.
            """,
        example="get_statistics expired_dialogs -> dialog:expired_dialogs = 0",
        aliases=("expired",),
    ),
    Entry(
        name="failed_dialogs",
        chapter="7.5",
        kind=_S,
        summary="calls since the start that were never answered",
        signature="dialog:failed_dialogs, dialog_ng:failed_dialogs",
        text="""
            Rejected by the phone (3xx to 6xx), cancelled by the caller, ended while they rang,
            or left without any final reply. Among what "dialog_ng:" lists it is missing, as in
            the real module; asked for by its name it is there.
            """,
        example="get_statistics failed_dialogs -> dialog:failed_dialogs = 3",
        aliases=("failed",),
    ),
)
