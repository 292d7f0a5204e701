"""Results of commands as the records that JSON-RPC clients read, and their encoding.

The keys of a dialog are those of Kamailio's dialog module (dlg.list), then those of ims_dialog.
Text that came as bytes that are no UTF-8 is shown with U+FFFD in their place: such a dialog is
ended by its h_entry and h_id.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import Any

import msgspec

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
from dlgmgmt.dialog.states import STATE_NAMES, State
from dlgmgmt.dialog.views import DialogView, LegView, SideOutcome, TerminationView
from dlgmgmt.interfaces.packed import Packer


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

_SURROGATE = re.compile("[\ud800-\udfff]")


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


def _main_leg(legs: Sequence[LegView]) -> LegView:
    """The leg that a client with room for one is shown: the first answered one, else the first."""
    for leg in legs:
        if leg.state == "confirmed":
            return leg
    return legs[0]


def render(result: Result) -> object:
    """What stands as ``result`` in the response; a listing is returned unchanged."""
    match result:
        case DialogListing():
            return result
        case DialogMatches(views, now):
            items = [dialog_item(view, now) for view in views]
            if not items:
                return {}
            return items[0] if len(items) == 1 else items
        case TerminationOrdered(record):
            return {"id": record.id, "legs": _sides(record)}
        case TerminationStatus(record):
            return {
                "id": record.id,
                "h_entry": record.h_entry,
                "h_id": record.h_id,
                "call-id": record.callid,
                "from_tag": record.from_tag,
                "reason": record.reason,
                "ordered_ts": record.ordered_ts,
                "legs": _sides(record),
            }
        case ActiveStats():
            return result._asdict()
        case Statistics(rows):
            return [f"{row.group}:{row.name} = {row.value}" for row in rows]
        case TraceLog(messages):
            return [_traced(message) for message in messages]
        case TraceStatus(enabled):
            return "Enabled" if enabled else "Disabled"
        case CommandNames(names):
            return list(names)
        case Uptime(now, up_since):
            return {
                "now": time.ctime(now),
                "up_since": time.ctime(up_since),
                "uptime": now - up_since,
            }
        case Version(program, version, platform, _):
            return f"{program} {version} ({platform})"


def _sides(record: TerminationView) -> list[dict[str, str]]:
    return [SideOutcome._asdict(side) for side in record.sides]


def _traced(message: Traced) -> dict[str, object]:
    return {
        "number": message.number,
        "time": message.time,
        "direction": message.direction,
        "transport": message.transport,
        "local": message.local_text,
        "remote": message.remote_text,
        "size": len(message.data),
        "message": message.data.decode("utf-8", "replace"),
    }


def clean(value: Any) -> Any:
    """``value`` with U+FFFD for every surrogate in its texts; plain containers and records."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, dict):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, msgspec.Struct):
        return type(value)(*[clean(getattr(value, name)) for name in value.__struct_fields__])
    return value


class Encoder:
    """Encodes responses; text that cannot be encoded as it is, is cleaned first."""

    def __init__(self, encoder: msgspec.json.Encoder | Packer) -> None:
        self._encoder = encoder

    def encode(self, value: object) -> bytes:
        """The encoded ``value``."""
        try:
            return self._encoder.encode(value)
        except UnicodeEncodeError:
            return self._encoder.encode(clean(value))

    def items(self, views: Sequence[DialogView], now: int) -> bytes:
        """The dialogs as an encoded array."""
        return self.encode([dialog_item(view, now) for view in views])


JSON = Encoder(msgspec.json.Encoder())
MSGPACK = Encoder(Packer())
