"""Dialogs as the records that JSON-RPC clients read.

The keys of a dialog are those of Kamailio's dialog module (dlg.list), then those of ims_dialog.
Text that came as bytes that are no UTF-8 is shown with U+FFFD in their place: such a dialog is
ended by its h_entry and h_id.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dlgmgmt.commands.results import ContextView
from dlgmgmt.dialog.states import STATE_NAMES, State
from dlgmgmt.dialog.views import DialogView, LegView


class Party(msgspec.Struct, gc=False):
    """One end of a dialog; all None while there is no leg."""

    tag: str | None
    contact: str | None
    cseq: str | None
    route_set: str | None
    socket: str | None


class Leg(msgspec.Struct, gc=False):
    """An out leg."""

    to_tag: str
    to_uri: str
    state: str
    acked: bool
    branch: int
    caller_cseq: int
    callee_cseq: int
    contact: str
    route_set: str
    socket: str


class Ended(msgspec.Struct, gc=False):
    """A leg that has left its dialog."""

    branch: int
    to_tag: str
    code: int
    cause: str


class DialogItem(msgspec.Struct, gc=False):
    """A dialog; the fields are in the order in which they are written."""

    h_entry: int
    h_id: int
    ref: int
    callid: str = msgspec.field(name="call-id")
    from_uri: str
    to_uri: str
    state: int
    start_ts: int
    init_ts: int
    end_ts: int
    duration: int
    timeout: int
    lifetime: int
    dflags: int
    sflags: int
    iflags: int
    caller: Party
    callee: Party
    profiles: Sequence[str | dict[str, str]]
    variables: Sequence[dict[str, str]]
    ims_state: int
    state_name: str
    did: str
    req_uri: str
    timeout_left: int
    legs: Sequence[Leg]
    history: Sequence[Ended]


class ContextItem(DialogItem, gc=False):
    """A dialog with what its callbacks have written about it."""

    context: Sequence[str]


_NAMES = {int(state): name for state, name in STATE_NAMES.items()}

DIALOG_MODULE_STATES = {
    int(State.UNCONFIRMED): 1,
    int(State.EARLY): 2,
    int(State.CONFIRMED_NA): 3,
    int(State.CONFIRMED): 4,
    int(State.CONCURRENT): 4,
    int(State.DELETED): 5,
}
"""The dialog module's number for each state of ims_dialog."""

_NO_PARTY = Party(None, None, None, None, None)


def dialog_item(view: DialogView, now: int) -> DialogItem:
    """A dialog as it is shown at ``now`` (Unix seconds)."""
    # One unpacking instead of 26 attribute look-ups: a listing does this for every dialog.
    (
        h_entry,
        h_id,
        did,
        state,
        ref_count,
        callid,
        from_uri,
        from_tag,
        to_uri,
        req_uri,
        caller_cseq,
        caller_contact,
        caller_route_set,
        caller_bind_addr,
        init_ts,
        start_ts,
        end_ts,
        lifetime,
        timeout,
        _toroute,
        dflags,
        sflags,
        profiles,
        variables,
        legs,
        history,
    ) = view
    if legs:
        leg = legs[0] if len(legs) == 1 else _main_leg(legs)
        (_, _, _, _, _, _, _, tag, caller_cseq, callee_cseq, contact, route_set, socket, _) = leg
        callee = Party(tag, contact, str(callee_cseq), route_set, socket)
        shown_legs: Sequence[Leg] = [
            Leg(tag, uri, kind, acked, branch, sent, received, contact, route_set, socket)
            for (
                _,
                _,
                _,
                branch,
                kind,
                acked,
                uri,
                tag,
                sent,
                received,
                contact,
                route_set,
                socket,
                _,
            ) in legs
        ]
    else:
        callee = _NO_PARTY
        shown_legs = ()
    return DialogItem(
        h_entry,
        h_id,
        ref_count,
        callid,
        from_uri,
        to_uri,
        DIALOG_MODULE_STATES[state],
        start_ts,
        init_ts,
        end_ts,
        (end_ts or now) - start_ts if 0 < start_ts <= now else 0,
        timeout,
        lifetime,
        dflags,
        sflags,
        0,
        Party(from_tag, caller_contact, str(caller_cseq), caller_route_set, caller_bind_addr),
        callee,
        # An empty comprehension costs as much as a party: most dialogs have none of these.
        [name if value is None else {name: value} for name, value in profiles] if profiles else (),
        [{name: value} for name, value in variables] if variables else (),
        state,
        _NAMES[state],
        did,
        req_uri,
        timeout - now if timeout > now else 0,
        shown_legs,
        [Ended(*ended) for ended in history] if history else (),
    )


def context_item(found: ContextView, now: int) -> ContextItem:
    """A dialog with its context, as it is shown at ``now``."""
    fields = msgspec.structs.asdict(dialog_item(found.view, now))
    return ContextItem(**fields, context=found.context)


def brief_item(view: DialogView, fields: str) -> dict[str, str | int]:
    """The fields of a dialog that the letters name, in the order of the dialog module."""
    leg = _main_leg(view.legs) if view.legs else None
    known: tuple[tuple[str, str, str | int], ...] = (
        ("f", "from_uri", view.from_uri),
        ("t", "to_uri", view.to_uri),
        ("c", "call-id", view.callid),
        ("F", "from_tag", view.from_tag),
        ("T", "to_tag", leg.to_tag if leg else ""),
        ("I", "init_ts", view.init_ts),
        ("S", "start_ts", view.start_ts),
        ("E", "end_ts", view.end_ts),
        ("s", "state", DIALOG_MODULE_STATES[view.state]),
    )
    item: dict[str, str | int] = {"h_entry": view.h_entry, "h_id": view.h_id}
    item.update((name, value) for letter, name, value in known if letter in fields)
    return item


def ims_item(view: DialogView) -> dict[str, object]:
    """A dialog as ims_dialog's own RPC shows it."""
    return {
        "Dialog": {
            "Entry": view.h_entry,
            "Id": view.h_id,
            "RURI": view.req_uri,
            "From": view.from_uri,
            "Call-ID": view.callid,
            "Caller Contact": view.caller_contact,
            "Caller Route Set": view.caller_route_set or None,
            "Dialog-ID": view.did,
            "From Tag": view.from_tag,
            "State": _NAMES[view.state].capitalize(),
            "Ref": view.ref_count,
            "dlg_outs": [{"dlg_out": {"Entry": leg.h_entry, "Id": leg.h_id}} for leg in view.legs],
        }
    }


def _main_leg(legs: Sequence[LegView]) -> LegView:
    """The leg that a client with room for one is shown: the first answered one, else the first."""
    for leg in legs:
        if leg.state == "confirmed":
            return leg
    return legs[0]
