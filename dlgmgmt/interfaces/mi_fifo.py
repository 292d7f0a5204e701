"""The MI FIFO's binding: a request to the dispatcher, its result to a reply tree.

The layout is that of Kamailio 4.4's ims_dialog; ``timeout_left`` and ``state_name`` are added to
the end of a dialog's fields, where clients that read by name do not trip over them.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator

from dlgmgmt.commands.dispatcher import Caller, Dispatcher
from dlgmgmt.commands.errors import CommandError, Failure, MgmtProtocol
from dlgmgmt.commands.results import (
    ActiveStats,
    CommandNames,
    DialogListing,
    DialogMatches,
    Result,
    Statistics,
    TerminationOrdered,
    TerminationStatus,
    Uptime,
    Version,
)
from dlgmgmt.dialog.states import STATE_NAMES
from dlgmgmt.dialog.views import DialogView
from mi_fifo import MiNode, MiRendered, MiReply, MiRequest, MiText, escape

MiItem = MiNode | MiText | MiRendered

_CALLER = Caller("MI FIFO")
_NAMES = {int(state): name for state, name in STATE_NAMES.items()}
# The framing's own errors, whose replies do not end with an empty line.
_FRAMING = frozenset({Failure.UNKNOWN_COMMAND, Failure.INTERNAL})


class MiBinding:
    """Answers MI requests; call it on the management thread."""

    def __init__(self, dispatcher: Dispatcher, caller: Caller = _CALLER) -> None:
        self._dispatcher = dispatcher
        self._caller = caller

    def __call__(self, request: MiRequest) -> MiReply:
        """Run the command; a listing is taken from the table while the reply is written."""
        try:
            result = self._dispatcher.call(
                MgmtProtocol.MI, request.command, request.params, self._caller
            )
        except CommandError as error:
            return MiReply(error.code, error.text, (), error.failure not in _FRAMING)
        return MiReply(200, "OK", _render(result))


def _render(result: Result) -> Iterable[MiItem]:
    """The tree of a result."""
    match result:
        case DialogListing(batches, now):
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


def _dialog(view: DialogView, now: int) -> MiRendered:
    """The lines of a dialog and of its out legs."""
    texts = (
        view.callid,
        view.from_uri,
        view.from_tag,
        view.caller_contact,
        view.caller_route_set,
        view.caller_bind_addr,
    )
    if not "".join(texts).isprintable():
        texts = tuple(map(escape, texts))  # type: ignore[assignment] # as many as before
    callid, from_uri, from_tag, contact, route_set, bind_addr = texts
    left = max(view.timeout - now, 0) if view.timeout else 0
    block = (
        f"dialog::  hash={view.h_entry}:{view.h_id}\n"
        f"\tstate:: {view.state:d}\n"
        f"\tref_count:: {view.ref_count}\n"
        f"\ttimestart:: {view.start_ts}\n"
        f"\ttimeout:: {view.timeout}\n"
        f"\tcallid:: {callid}\n"
        f"\tfrom_uri:: {from_uri}\n"
        f"\tfrom_tag:: {from_tag}\n"
        "\tdid:: \n"
        f"\tcaller_contact:: {contact}\n"
        f"\tfirst_req_cseq:: {view.first_req_cseq}\n"
        f"\tcaller_route_set:: {route_set}\n"
        f"\tcaller_bind_addr:: {bind_addr}\n"
        f"\ttimeout_left:: {left}\n"
        f"\tstate_name:: {_NAMES[view.state]}\n"
    )
    for leg in view.legs:
        leg_texts = (leg.to_tag, leg.callee_contact, leg.callee_route_set, leg.callee_bind_addr)
        if not "".join(leg_texts).isprintable():
            leg_texts = tuple(map(escape, leg_texts))  # type: ignore[assignment] # as above
        to_tag, contact, route_set, bind_addr = leg_texts
        block += (
            f"dialog_out::  hash={leg.h_entry}:{leg.h_id}\n"
            f"\tto_tag:: {to_tag}\n"
            "\tdid:: \n"
            f"\tcallee_contact:: {contact}\n"
            f"\tcaller_cseq:: {leg.caller_cseq}\n"
            f"\tcallee_cseq:: {leg.callee_cseq}\n"
            f"\tcallee_route_set:: {route_set}\n"
            f"\tcallee_bind_addr:: {bind_addr}\n"
        )
    return MiRendered(block)
