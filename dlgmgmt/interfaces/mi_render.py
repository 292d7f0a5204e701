"""Results of commands as MI reply trees, whatever door they leave by.

The layout is that of Kamailio 4.4's ims_dialog; ``timeout_left`` and ``state_name`` are added to
the end of a dialog's fields, where clients that read by name do not trip over them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from dlgmgmt.commands.results import (
    ActiveStats,
    CommandNames,
    DialogListing,
    DialogMatches,
    Result,
    Statistics,
    TerminationOrdered,
    TerminationStatus,
    Traced,
    TraceLog,
    TraceStatus,
    Uptime,
    Version,
)
from dlgmgmt.dialog.states import STATE_NAMES
from dlgmgmt.dialog.views import DialogView
from mi_fifo import MiNode, MiRendered, MiText, escape

MiItem = MiNode | MiText | MiRendered

_NAMES = {int(state): name for state, name in STATE_NAMES.items()}


def render(result: Result) -> Iterable[MiItem]:
    """The tree of a result."""
    match result:
        case DialogListing(batches, _, now):
            return _listing(batches, now)
        case DialogMatches(views, now):
            return [_dialog(view, now) for view in views]
        case TerminationOrdered():
            return ()
        case TerminationStatus(record):
            return [
                MiNode(side.side, side.outcome, (("method", side.method),)) for side in record.sides
            ]
        case ActiveStats():
            return [MiNode(name, value) for name, value in result._asdict().items()]
        case Statistics(rows):
            return [MiText(f"{row.group}:{row.name} = {row.value}") for row in rows]
        case TraceLog(messages):
            return (_traced(message) for message in messages)
        case TraceStatus(enabled):
            return [MiText("on" if enabled else "off")]
        case CommandNames(names):
            return [MiText(name) for name in names]
        case Uptime(now, up_since):
            return [
                MiNode("Now", time.ctime(now)),
                MiNode("Up since", time.ctime(up_since)),
                MiNode("Up time", f"{now - up_since} [sec]"),
            ]
        case Version(program, version, platform, runtime):
            return [
                MiNode("Server", f"{program} ({version} ({platform}))"),
                MiNode("Build", runtime),
            ]


def _listing(batches: Iterator[list[DialogView]], now: int) -> Iterator[MiItem]:
    for batch in batches:
        for view in batch:
            yield _dialog(view, now)


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


def _dialog(view: DialogView, now: int) -> MiRendered:
    """The lines of a dialog and of its out legs."""
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
