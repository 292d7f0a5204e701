"""Handlers of the commands that end a dialog, and that count them."""

from __future__ import annotations

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import (
    ActiveStats,
    Pending,
    TerminationOrdered,
    TerminationStatus,
)
from dlgmgmt.commands.waiting import ordered, reason_of, wait_of
from dlgmgmt.dialog.errors import BadExtraHeaders, NoSuchDialog


def terminate_by_tags(call: Call) -> TerminationOrdered | Pending:
    """End the dialog that Call-ID and both tags name."""
    reason, wait = reason_of(call), wait_of(call)
    try:
        record = call.context.terminator.by_tags(
            call.text("callid"),
            call.text("from_tag"),
            call.text("to_tag"),
            reason=reason,
            extra_headers=call.optional_text("headers") or "",
        )
    except NoSuchDialog as error:
        raise Refused(Failure.NO_DIALOG if error.callid_known else Failure.NO_CALLID) from None
    except BadExtraHeaders as error:
        raise Refused(Failure.BAD_HEADERS, str(error)) from None
    return ordered(call, record, wait)


def terminate_by_id(call: Call) -> TerminationOrdered | Pending:
    """End the dialog ``h_entry:h_id``."""
    return end(call, call.number("h_entry"), call.number("h_id"))


def end(call: Call, h_entry: int, h_id: int) -> TerminationOrdered | Pending:
    """End a dialog, with the parameters that all commands have which end one."""
    reason, wait = reason_of(call), wait_of(call)
    try:
        record = call.context.terminator.by_id(
            h_entry, h_id, reason=reason, extra_headers=call.optional_text("headers") or ""
        )
    except NoSuchDialog:
        raise Refused(Failure.NO_DIALOG) from None
    except BadExtraHeaders as error:
        raise Refused(Failure.BAD_HEADERS, str(error)) from None
    return ordered(call, record, wait)


def termination(call: Call) -> TerminationStatus:
    """What has become of a termination."""
    record = call.context.table.termination(call.number("id"))
    if record is None:
        raise Refused(Failure.NO_TERMINATION)
    return TerminationStatus(record)


def stats_active(call: Call) -> ActiveStats:
    """Live dialogs by phase; deleted ones are not counted."""
    counts = call.context.table.counts()
    ongoing = counts.confirmed + counts.concurrent
    return ActiveStats(
        counts.unconfirmed,
        counts.early,
        counts.confirmed_no_ack,
        ongoing,
        counts.unconfirmed + counts.early + counts.confirmed_no_ack + ongoing,
    )
