"""Results of commands as what JSON-RPC clients read, and its encoding.

``render`` has one function for each type of result; a type without one is a TypeError.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import msgspec

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
from dlgmgmt.commands.results_query import QueryResult
from dlgmgmt.commands.results_system import SystemResult
from dlgmgmt.dialog.views import SideOutcome, TerminationView
from dlgmgmt.interfaces.packed import Packer
from dlgmgmt.interfaces.rpc_items import DialogItem, context_item, dialog_item
from dlgmgmt.interfaces.rpc_query import query_value
from dlgmgmt.interfaces.rpc_system import system_value

_SURROGATE = re.compile("[\ud800-\udfff]")


@functools.singledispatch
def render(result: Result) -> object:
    """What stands as ``result`` in the response.

    A listing is returned unchanged, to be rendered while it is sent, and so is what is still to be
    waited for (see pending.py).
    """
    raise TypeError(type(result))


@render.register
def _(
    result: DialogListing
    | ChosenListing
    | ContextListing
    | BriefListing
    | ImsListing
    | Pending
    | Working,
) -> object:
    return result


@render.register
def _(result: DialogMatches) -> object:
    return _few([dialog_item(view, result.now) for view in result.views])


@render.register
def _(result: ContextMatches) -> object:
    return _few([context_item(each, result.now) for each in result.found])


def _few(items: Sequence[DialogItem]) -> object:
    """What a look-up answers: nothing is an empty object, one thing stands by itself."""
    if not items:
        return {}
    return items[0] if len(items) == 1 else items


@render.register
def _(result: TerminationOrdered) -> object:
    return {"id": result.record.id, "legs": _sides(result.record)}


@render.register
def _(result: TerminationStatus) -> object:
    record = result.record
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


def _sides(record: TerminationView) -> list[dict[str, str]]:
    return [SideOutcome._asdict(side) for side in record.sides]


@render.register
def _(result: AllOrdered) -> object:
    return {"ordered": result.count}


@render.register
def _(result: ProfileSize) -> object:
    return result.count


@render.register
def _(_result: Alive) -> object:
    return "Alive"


@render.register
def _(_result: StateSet) -> object:
    return "Done"


@render.register
def _(result: BridgeOrdered) -> object:
    return {"id": result.number}


@render.register
def _(result: BridgeList) -> object:
    return [_bridge(each) for each in result.bridges]


def _bridge(view: BridgeView) -> dict[str, object]:
    return {
        "id": view.id,
        "call-id": view.callid,
        "from": view.from_uri,
        "to": view.to_uri,
        "op": view.proxy,
        "state": view.state,
        "detail": view.detail,
        "ordered_ts": view.ordered_ts,
        "ended_ts": view.ended_ts,
    }


@render.register
def _(result: ActiveStats) -> object:
    return result._asdict()


@render.register
def _(result: TraceLog) -> object:
    return [_traced(message) for message in result.messages]


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


@render.register
def _(result: TraceStatus) -> object:
    return "Enabled" if result.enabled else "Disabled"


@render.register
def _(result: SystemResult) -> object:
    return system_value(result)


@render.register
def _(result: QueryResult) -> object:
    return query_value(result)


@render.register
def _(result: DatabaseStatus) -> object:
    return result._asdict()


@render.register
def _(result: Adoption | Flushed) -> object:
    return asdict(result)


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


JSON = Encoder(msgspec.json.Encoder())
MSGPACK = Encoder(Packer())
