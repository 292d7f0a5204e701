"""What became of changes, and of many dialogs that are ended, as MI reply trees."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dlgmgmt.commands.results_query import Changed, Flag, SweepStatus, SweptDialog, Variables
from mi_fifo import MiNode


def query_items(result: SweepStatus | Variables | Flag | Changed) -> Iterable[MiNode]:
    """The tree of a result."""
    match result:
        case SweepStatus():
            return _sweep(result)
        case Variables(values):
            pairs = values.items()
            return [MiNode("variable", value, (("name", name),)) for name, value in pairs]
        case Flag(number, on):
            return [MiNode("flag", int(on), (("number", number),))]
        case Changed():
            return ()


def _sweep(status: SweepStatus) -> Iterator[MiNode]:
    """Its numbers, then its dialogs with their legs under them."""
    for name, value in (
        ("id", status.number),
        ("done", int(status.done)),
        ("matched", status.matched),
        ("ended", status.ended),
        ("gone", status.gone),
        ("changed", status.changed),
        ("answered", status.answered),
    ):
        yield MiNode(name, value)
    yield from map(_swept, status.dialogs)
    if status.after is not None:
        yield MiNode("after", status.after)


def _swept(dialog: SweptDialog) -> MiNode:
    return MiNode(
        "dialog",
        None,
        (("hash", f"{dialog.h_entry}:{dialog.h_id}"),),
        [
            MiNode("callid", dialog.callid),
            MiNode("from_tag", dialog.from_tag),
            MiNode("outcome", dialog.outcome),
            *(MiNode(side.side, side.outcome, (("method", side.method),)) for side in dialog.sides),
        ],
    )
