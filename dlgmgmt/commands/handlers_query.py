"""Handlers of the commands that choose among all dialogs: pages of them, and their ends."""

from __future__ import annotations

from collections.abc import Sequence

from dlgmgmt.commands.binding import quoted
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.filters import (
    Cursor,
    bounded_number,
    has_filter,
    read_cursor,
    selection,
)
from dlgmgmt.commands.handlers_dialog import end
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import Pending, TerminationOrdered
from dlgmgmt.commands.results_query import QueryPage, SweepStatus, SweptDialog
from dlgmgmt.commands.sweeps import status, swept
from dlgmgmt.commands.waiting import reason_of
from dlgmgmt.dialog import query
from dlgmgmt.dialog.errors import BadExtraHeaders, NoSuchDialog
from dlgmgmt.dialog.query import MAX_LIMIT, ORDERS, Selection
from dlgmgmt.dialog.states import State
from dlgmgmt.dialog.views import DialogView, TerminationView

DEFAULT_LIMIT = 100
DEFAULT_RATE = 100
MAX_RATE = 1000
_MAX_SHOWN = 10
_MAX_CANDIDATES = 100


def dialog_query(call: Call) -> QueryPage:
    """A page of the dialogs that fit."""
    chosen = selection(call)
    sort = call.optional_text("sort") or ""
    order = ORDERS.get(sort)
    if order is None:
        known = ", ".join(filter(None, ORDERS))
        raise Refused(Failure.BAD_VALUE, f"sort is one of {known}, not {quoted(sort)}")
    limit = bounded_number(call, "limit", DEFAULT_LIMIT, 1, MAX_LIMIT)
    given = call.optional_text("cursor")
    # An empty one is that of the first page: clients need not tell it from the others.
    cursor = read_cursor(given, sort) if given else None
    found = query.page(call.context.table, chosen, order, limit, cursor.place if cursor else None)
    total = found.total if cursor is None else cursor.total
    more = None if found.last is None else Cursor(sort, found.last, total).text()
    return QueryPage(found.views, more, total, int(call.context.clock()))


def kill(call: Call) -> TerminationOrdered | Pending:
    """End the one dialog with a Call-ID; Refused(AMBIGUOUS) with the candidates of several."""
    view = the_one(call)
    return end(call, view.h_entry, view.h_id)


def the_one(call: Call) -> DialogView:
    """The one dialog that has not ended, and has the Call-ID and the tags that are given.

    Refused: NO_CALLID, NO_DIALOG, AMBIGUOUS.
    """
    callid, from_tag = call.text("callid"), call.optional_text("from_tag")
    to_tag = call.optional_text("to_tag")
    same = call.context.table.find(callid)
    alive = [view for view in same if view.state != State.DELETED and _has(view, from_tag, to_tag)]
    if not same:
        raise Refused(Failure.NO_CALLID)
    if not alive:
        raise Refused(Failure.NO_DIALOG)
    if len(alive) > 1:
        raise Refused(Failure.AMBIGUOUS, _candidates(alive), alive[:_MAX_CANDIDATES])
    return alive[0]


def _has(view: DialogView, from_tag: str | None, to_tag: str | None) -> bool:
    """Whether these are its tags, in either order; None: any."""
    to_tags = {leg.to_tag for leg in view.legs}
    return any(
        (one is None or one == view.from_tag) and (other is None or other in to_tags)
        for one, other in ((from_tag, to_tag), (to_tag, from_tag))
    )


def _candidates(views: Sequence[DialogView]) -> str:
    shown = " ".join(f"{view.h_entry}:{view.h_id}" for view in views[:_MAX_SHOWN])
    more = " ..." if len(views) > _MAX_SHOWN else ""
    return f"{len(views)} dialogs have this Call-ID: {shown}{more}"


def end_match(call: Call) -> SweepStatus:
    """End all dialogs that fit, or show which they would be.

    Refused: BAD_VALUE without a filter, UNEXPECTED if they are not as many as expected, NO_ROOM.
    """
    if not has_filter(call):
        raise Refused(Failure.BAD_VALUE, "at least one of the filters is needed")
    context = call.context
    chosen = selection(call, alive=True)
    reason = reason_of(call)
    headers = call.optional_text("headers") or ""
    rate = bounded_number(call, "rate", DEFAULT_RATE, 1, MAX_RATE)
    limit = _shown(call)
    dry_run = call.flag("dry_run")
    expect = call.optional_number("expect")
    dialogs = [swept(view) for view in query.matches(context.table, chosen)]
    if expect is None and not dry_run:
        raise Refused(Failure.TOO_FEW, f"expect is missing: {len(dialogs)} dialogs fit")
    if expect is not None and expect != len(dialogs):
        raise Refused(Failure.UNEXPECTED, f"{len(dialogs)} dialogs fit, not {expect}")
    if dry_run:
        return status(dialogs, 0, limit)
    _check_headers(call, headers)

    def finish(dialog: SweptDialog) -> TerminationView | str:
        return _end(call, chosen, dialog, reason, headers)

    sweep = context.sweeps.add(dialogs, rate)
    if sweep is None:
        raise Refused(Failure.NO_ROOM, "others are being ended")
    # As it is before the first one's turn: the answer is the same however fast that comes.
    begun = sweep.status(0, limit)
    context.sweeps.begin(sweep, finish, context.table.termination)
    return begun


def match_status(call: Call) -> SweepStatus:
    """How the ending of many dialogs goes on."""
    sweep = call.context.sweeps.get(call.number("id"))
    if sweep is None:
        raise Refused(Failure.NO_SWEEP)
    after = bounded_number(call, "after", 0, 0, 2**31)
    return sweep.status(after, _shown(call))


def _shown(call: Call) -> int:
    return bounded_number(call, "limit", DEFAULT_LIMIT, 0, MAX_LIMIT)


def _check_headers(call: Call, headers: str) -> None:
    """Refuse what cannot be sent before anything is ended: no dialog has these numbers."""
    try:
        call.context.terminator.by_id(-1, -1, reason=reason_of(call), extra_headers=headers)
    except BadExtraHeaders as error:
        raise Refused(Failure.BAD_HEADERS, str(error)) from None
    except NoSuchDialog:
        return


def _end(
    call: Call, chosen: Selection, dialog: SweptDialog, reason: str, headers: str
) -> TerminationView | str:
    """End a dialog whose turn has come, unless it has become another than was chosen."""
    context = call.context
    found = context.table.dialog(dialog.h_entry, dialog.h_id)
    if found is None or found.callid != dialog.callid or not query.is_alive(found):
        return "gone"
    with found.entry.lock:
        view = found.view()
    if not chosen.fits(view):
        return "changed"
    try:
        record = context.terminator.by_id(
            dialog.h_entry, dialog.h_id, reason=reason, extra_headers=headers
        )
    except NoSuchDialog:
        return "gone"
    call.ended(record)
    return record
