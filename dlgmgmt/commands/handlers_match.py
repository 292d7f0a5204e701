"""Handlers of dlg.list_match and dlg.list_match_ctx: the dialogs of which one field fits."""

from __future__ import annotations

import itertools
import sys
import time
from collections.abc import Callable, Iterable, Iterator

from dlgmgmt.commands.ere import BadPattern, Pattern
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.handlers_listing import Pair, with_context
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import ChosenListing, ContextListing
from dlgmgmt.dialog.views import DialogView

MAX_SECONDS = 5.0
"""Time that one command may spend on comparing; the sending does not count."""

_KEYS: dict[str, Callable[[DialogView], str]] = {
    "ruri": lambda view: view.req_uri,
    "furi": lambda view: view.from_uri,
    "turi": lambda view: view.to_uri,
    "callid": lambda view: view.callid,
}
_START = "start_ts"
_OPERATORS = frozenset({"eq", "re", "sw", "lt", "gt"})

_Fits = Callable[[DialogView], bool]


def list_match(call: Call) -> ChosenListing:
    """The dialogs that fit; Refused(NO_MATCH) if none does."""
    batches = ([view for _, view in batch] for batch in _found(call))
    return ChosenListing(batches, int(call.context.clock()))


def list_match_ctx(call: Call) -> ContextListing:
    """As list_match, with their context."""
    return ContextListing(with_context(call, _found(call)), int(call.context.clock()))


def _found(call: Call) -> Iterator[list[Pair]]:
    key, operator, value = call.text("mkey"), call.text("mop"), call.text("mval")
    limit = call.number("limit") if "limit" in call.values else 0
    if limit < 0:
        raise Refused(Failure.BAD_VALUE, "limit is negative")
    fits = _condition(key, operator, value)
    table = call.context.table
    batches: Iterable[list[Pair]]
    if (key, operator) == ("callid", "eq"):
        batches = [table.find_pairs(value)]
    else:
        batches = table.iter_pairs()
    chosen = _choose(batches, fits, limit)
    # Whether there is any at all is known before anything is sent.
    first = next(chosen, None)
    if first is None:
        raise Refused(Failure.NO_MATCH)
    return itertools.chain([first], chosen)


def _choose(batches: Iterable[list[Pair]], fits: _Fits, limit: int) -> Iterator[list[Pair]]:
    """The dialogs that fit, ``limit`` at most unless it is 0; no batch is empty."""
    left = limit or sys.maxsize
    spent = 0.0
    for batch in batches:
        begun = time.perf_counter()
        chosen = [pair for pair in batch if fits(pair[1])][:left]
        spent += time.perf_counter() - begun
        if spent > MAX_SECONDS:
            raise Refused(Failure.BAD_MATCH, "Matching takes too long")
        if chosen:
            yield chosen
        left -= len(chosen)
        if not left:
            return


def _condition(key: str, operator: str, value: str) -> _Fits:
    if key not in _KEYS and key != _START:
        raise Refused(Failure.BAD_MATCH, "Invalid matching key parameter")
    if operator not in _OPERATORS:
        raise Refused(Failure.BAD_MATCH, "Invalid matching operator parameter")
    if key == _START:
        return _by_time(operator, value)
    field = _KEYS[key]
    if operator == "eq":
        return lambda view: field(view) == value
    if operator == "sw":
        return lambda view: field(view).startswith(value)
    if operator != "re":
        raise Refused(Failure.BAD_MATCH, "Matching operator not supported")
    try:
        pattern = Pattern(value)
    except BadPattern:
        raise Refused(Failure.BAD_MATCH, "Invalid matching value parameter") from None
    return lambda view: pattern.found_in(field(view))


def _by_time(operator: str, value: str) -> _Fits:
    if operator not in ("lt", "gt"):
        raise Refused(Failure.BAD_MATCH, f"Matching operator not supported with {_START} key")
    if not (value.isascii() and value.isdecimal()) or len(value) > 20:
        raise Refused(Failure.BAD_MATCH, "Invalid matching value parameter")
    moment = int(value)
    if operator == "lt":
        return lambda view: view.start_ts < moment
    return lambda view: view.start_ts > moment
