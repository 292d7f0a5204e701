"""Results of commands as MI reply trees, whatever door they leave by.

The layout is that of Kamailio 4.4's ims_dialog; ``timeout_left`` and ``state_name`` are added to
the end of a dialog's fields, where clients that read by name do not trip over them. ``render`` has
one function for each type of result; a type without one is a TypeError.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from dlgmgmt.commands.results import (
    ActiveStats,
    Alive,
    AllOrdered,
    BridgeList,
    BridgeOrdered,
    BridgeView,
    BriefListing,
    ChosenListing,
    ContextListing,
    ContextMatches,
    ContextView,
    DialogListing,
    DialogMatches,
    ImsListing,
    Pending,
    ProfileSize,
    Result,
    StateSet,
    TerminationOrdered,
    TerminationStatus,
    Traced,
    TraceLog,
    TraceStatus,
    Working,
)
from dlgmgmt.commands.results_database import Adoption, DatabaseStatus, Flushed
from dlgmgmt.commands.results_query import Changed, Flag, QueryPage, SweepStatus, Variables
from dlgmgmt.commands.results_system import SystemResult
from dlgmgmt.dialog.states import STATE_NAMES
from dlgmgmt.dialog.views import DialogView
from dlgmgmt.interfaces.mi_query import query_items
from dlgmgmt.interfaces.mi_system import system_items
from mi_fifo import MiNode, MiRendered, MiText, escape

MiItem = MiNode | MiText | MiRendered

_NAMES = {int(state): name for state, name in STATE_NAMES.items()}


@functools.singledispatch
def render(result: Result) -> Iterable[MiItem]:
    """The tree of a result; that of a listing is made while it is read."""
    raise TypeError(type(result))


@render.register
def _(result: DialogListing | ChosenListing) -> Iterable[MiItem]:
    now = result.now
    return (_dialog(view, now) for batch in result.batches for view in batch)


@render.register
def _(result: BriefListing | ImsListing) -> Iterable[MiItem]:
    return (
        MiNode("dialog", None, (("hash", f"{view.h_entry}:{view.h_id}"),))
        for batch in result.batches
        for view in batch
    )


@render.register
def _(result: ContextListing) -> Iterable[MiItem]:
    now = result.now
    return (_with_context(each, now) for batch in result.batches for each in batch)


@render.register
def _(result: DialogMatches) -> Iterable[MiItem]:
    return [_dialog(view, result.now) for view in result.views]


@render.register
def _(result: ContextMatches) -> Iterable[MiItem]:
    return [_with_context(each, result.now) for each in result.found]


@render.register
def _(_result: TerminationOrdered | Pending | Alive | StateSet) -> Iterable[MiItem]:
    return ()


@render.register
def _(result: TerminationStatus) -> Iterable[MiItem]:
    return [
        MiNode(side.side, side.outcome, (("method", side.method),)) for side in result.record.sides
    ]


@render.register
def _(result: AllOrdered) -> Iterable[MiItem]:
    return [MiNode("ordered", result.count)]


@render.register
def _(result: ProfileSize) -> Iterable[MiItem]:
    attrs = (("name", result.profile), ("value", result.value), ("count", result.count))
    return [MiNode("profile", None, attrs)]


@render.register
def _(result: BridgeOrdered) -> Iterable[MiItem]:
    return [MiNode("id", result.number)]


@render.register
def _(result: BridgeList) -> Iterable[MiItem]:
    return [_bridge(each) for each in result.bridges]


def _bridge(view: BridgeView) -> MiNode:
    fields = view._asdict()
    del fields["id"]
    return MiNode("bridge", view.id, (), [MiNode(name, value) for name, value in fields.items()])


@render.register
def _(result: ActiveStats) -> Iterable[MiItem]:
    return [MiNode(name, value) for name, value in result._asdict().items()]


@render.register
def _(result: TraceStatus) -> Iterable[MiItem]:
    return [MiText("on" if result.enabled else "off")]


@render.register
def _(result: QueryPage) -> Iterable[MiItem]:
    yield from (_dialog(view, result.now) for view in result.views)
    yield MiNode("total", result.total)
    if result.cursor is not None:
        yield MiNode("cursor", result.cursor)


@render.register
def _(result: SweepStatus | Variables | Flag | Changed) -> Iterable[MiItem]:
    return query_items(result)


@render.register
def _(result: DatabaseStatus) -> Iterable[MiItem]:
    return _fields(result._asdict())


@render.register
def _(result: Adoption | Flushed) -> Iterable[MiItem]:
    return _fields(asdict(result))


@render.register
def _(result: Working) -> Iterable[MiItem]:
    return render(result.begun)


def _fields(fields: dict[str, Any]) -> Iterable[MiItem]:
    return [
        MiNode(name, int(value) if isinstance(value, bool) else value)
        for name, value in fields.items()
    ]


@render.register
def _(result: SystemResult) -> Iterable[MiItem]:
    return system_items(result)


@render.register
def _(result: TraceLog) -> Iterable[MiItem]:
    return (_traced(message) for message in result.messages)


def _traced(message: Traced) -> MiNode:
    """A message; its lines stand in quotes, for some begin with a space that would not be seen."""
    text = message.data.decode("utf-8", "surrogateescape")
    return MiNode(
        "message",
        message.number,
        (),
        [
            MiNode("time", f"{message.time:.6f}"),
            MiNode("direction", message.direction),
            MiNode("transport", message.transport),
            MiNode("local", message.local_text),
            MiNode("remote", message.remote_text),
            MiNode("size", len(message.data)),
            *(MiNode("line", f'"{line}"') for line in text.replace("\r\n", "\n").split("\n")),
        ],
    )


# One format with % takes less time than an f-string with as many fields.
_DIALOG = (
    "dialog::  hash=%d:%d\n"
    "\tstate:: %d\n"
    "\tref_count:: %d\n"
    "\ttimestart:: %d\n"
    "\ttimeout:: %d\n"
    "\tcallid:: %s\n"
    "\tfrom_uri:: %s\n"
    "\tfrom_tag:: %s\n"
    "\tdid:: \n"
    "\tcaller_contact:: %s\n"
    "\tfirst_req_cseq:: %d\n"
    "\tcaller_route_set:: %s\n"
    "\tcaller_bind_addr:: %s\n"
    "\ttimeout_left:: %d\n"
    "\tstate_name:: %s\n"
)
_OUT_LEG = (
    "dialog_out::  hash=%d:%d\n"
    "\tto_tag:: %s\n"
    "\tdid:: \n"
    "\tcallee_contact:: %s\n"
    "\tcaller_cseq:: %d\n"
    "\tcallee_cseq:: %d\n"
    "\tcallee_route_set:: %s\n"
    "\tcallee_bind_addr:: %s\n"
)


def _printable(texts: Sequence[str]) -> Sequence[str]:
    """The texts, escaped where one of them needs it: nearly none ever does."""
    return texts if "".join(texts).isprintable() else [escape(text) for text in texts]


def dialogs(views: Iterable[DialogView], now: int) -> list[MiItem]:
    """Dialogs as a listing shows them; now: Unix seconds."""
    return [_dialog(view, now) for view in views]


def _with_context(found: ContextView, now: int) -> MiRendered:
    """A dialog whose own fields end with its context, a line of it deeper than ``context::``."""
    lines = "".join(f"\t\t{escape(line)}\n" for line in found.context)
    return _dialog(found.view, now, f"\tcontext:: \n{lines}")


def _dialog(view: DialogView, now: int, more: str = "") -> MiRendered:
    """The lines of a dialog and of its out legs. more: lines that end the dialog's own."""
    # Unpacked once: a listing reads these fields of every dialog.
    (
        h_entry,
        h_id,
        _did,
        state,
        ref_count,
        callid,
        from_uri,
        from_tag,
        _to_uri,
        _req_uri,
        first_req_cseq,
        contact,
        route_set,
        bind_addr,
        _init_ts,
        start_ts,
        _end_ts,
        _lifetime,
        timeout,
        _toroute,
        _dflags,
        _sflags,
        _profiles,
        _variables,
        legs,
        _history,
    ) = view
    callid, from_uri, from_tag, contact, route_set, bind_addr = _printable(
        (callid, from_uri, from_tag, contact, route_set, bind_addr)
    )
    block = _DIALOG % (
        h_entry,
        h_id,
        state,
        ref_count,
        start_ts,
        timeout,
        callid,
        from_uri,
        from_tag,
        contact,
        first_req_cseq,
        route_set,
        bind_addr,
        timeout - now if timeout > now else 0,
        _NAMES[state],
    )
    block += more
    for leg in legs:
        to_tag, contact, route_set, bind_addr = _printable(
            (leg.to_tag, leg.callee_contact, leg.callee_route_set, leg.callee_bind_addr)
        )
        block += _OUT_LEG % (
            leg.h_entry,
            leg.h_id,
            to_tag,
            contact,
            leg.caller_cseq,
            leg.callee_cseq,
            route_set,
            bind_addr,
        )
    return MiRendered(block)
