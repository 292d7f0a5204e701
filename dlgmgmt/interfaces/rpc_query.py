"""What commands that choose among dialogs, and change them, answer to JSON-RPC clients."""

from __future__ import annotations

import functools

from dlgmgmt.commands.results_query import (
    Changed,
    Flag,
    QueryPage,
    QueryResult,
    SweepStatus,
    SweptDialog,
    Variables,
)
from dlgmgmt.dialog.views import SideOutcome
from dlgmgmt.interfaces.rpc_items import dialog_item


@functools.singledispatch
def query_value(result: QueryResult) -> object:
    """What stands as ``result`` in the response."""
    raise TypeError(type(result))


@query_value.register
def _(result: QueryPage) -> object:
    return {
        "items": [dialog_item(view, result.now) for view in result.views],
        "cursor": result.cursor,
        "total": result.total,
    }


@query_value.register
def _(result: SweepStatus) -> object:
    return {
        "id": result.number,
        "dry_run": result.dry_run,
        "done": result.done,
        "matched": result.matched,
        "ended": result.ended,
        "gone": result.gone,
        "changed": result.changed,
        "answered": result.answered,
        "ordered_ts": result.ordered_ts,
        "finished_ts": result.finished_ts,
        "dialogs": [_swept(dialog) for dialog in result.dialogs],
        "after": result.after,
    }


def _swept(dialog: SweptDialog) -> dict[str, object]:
    return {
        "h_entry": dialog.h_entry,
        "h_id": dialog.h_id,
        "call-id": dialog.callid,
        "from_tag": dialog.from_tag,
        "outcome": dialog.outcome,
        "termination": dialog.termination,
        "legs": [SideOutcome._asdict(side) for side in dialog.sides],
    }


@query_value.register
def _(result: Variables) -> object:
    return dict(result.values)


@query_value.register
def _(result: Flag) -> object:
    return {"flag": result.number, "set": result.on}


@query_value.register
def _(_result: Changed) -> object:
    return "Done"
