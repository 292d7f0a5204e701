"""How dlgctl shows dialogs: a table of many, every field of one, the outcome of a kill."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence

from dlgmgmt.cli.backend import Dialog, identity, number, text
from dlgmgmt.cli.text import duration, table, visible

_HEADINGS = ("ID", "STATE", "AGE", "DURATION", "CALL-ID", "FROM", "TO", "LEGS")
_MOMENTS = frozenset({"start_ts", "init_ts", "end_ts", "ordered_ts", "timeout"})
_INDENT = "  "


def listing(dialogs: Sequence[Dialog], now: int, room: int | None) -> list[str]:
    """One line per dialog under its headings. now: Unix seconds; room: columns, None for any."""
    return table(_HEADINGS, [_row(dialog, now) for dialog in dialogs], room=room)


def _row(dialog: Dialog, now: int) -> tuple[str, ...]:
    began = number(dialog.get("init_ts")) or number(dialog.get("start_ts"))
    legs = dialog.get("legs")
    return (
        identity(dialog),
        text(dialog.get("state_name")) or text(dialog.get("state")),
        duration(now - began) if began else "-",
        duration(number(dialog.get("duration"))) if number(dialog.get("start_ts")) else "-",
        text(dialog.get("call-id")),
        text(dialog.get("from_uri")) or "-",
        text(dialog.get("to_uri")) or "-",
        str(len(legs)) if isinstance(legs, list) else "-",
    )


def details(dialog: Dialog) -> Iterator[str]:
    """Every field of a dialog, each leg and each ended leg, line by line."""
    yield f"dialog {visible(identity(dialog))}"
    yield from _fields(dialog, _INDENT)


def _fields(record: Mapping[str, object], indent: str) -> Iterator[str]:
    plain = {name: value for name, value in record.items() if not isinstance(value, dict | list)}
    wide = max((len(visible(name)) for name in plain), default=0)
    for name, value in plain.items():
        yield f"{indent}{visible(name).ljust(wide)}  {_value(name, value)}".rstrip()
    for name, value in record.items():
        if isinstance(value, dict):
            yield f"{indent}{visible(name)}"
            yield from _fields(value, indent + _INDENT)
        elif isinstance(value, list):
            yield from _items(name, value, indent)


def _items(name: str, values: Sequence[object], indent: str) -> Iterator[str]:
    if not values:
        yield f"{indent}{visible(name)}  none"
        return
    for place, value in enumerate(values, 1):
        if isinstance(value, dict):
            yield f"{indent}{visible(name)} {place} of {len(values)}"
            yield from _fields(value, indent + _INDENT)
        else:
            yield f"{indent}{visible(name)}  {visible(text(value))}"


def _value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if name in _MOMENTS and value:
            return f"{value}  {_moment(value)}"
        if name in ("duration", "lifetime", "timeout_left") and value:
            return f"{value}  {duration(value)}"
        return str(value)
    return "-" if value is None else visible(text(value))


def _moment(seconds: int) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, OSError, ValueError):
        return "(no date)"


def outcome(termination: Mapping[str, object]) -> list[str]:
    """What each side of a killed dialog was sent and what came back."""
    legs = termination.get("legs")
    rows = [
        (
            text(leg.get("side")),
            text(leg.get("to_tag")) or "-",
            text(leg.get("method")),
            text(leg.get("outcome")),
        )
        for leg in (legs if isinstance(legs, list) else [])
        if isinstance(leg, dict)
    ]
    return table(("SIDE", "TO-TAG", "SENT", "OUTCOME"), rows, room=None) if rows else []


def json_lines(dialogs: Sequence[Dialog]) -> Iterator[str]:
    """A JSON array with one dialog a line; ASCII, so that no terminal is steered by it."""
    if not dialogs:
        yield "[]"
        return
    last = len(dialogs) - 1
    for place, dialog in enumerate(dialogs):
        head = "[" if place == 0 else " "
        yield head + json.dumps(dialog) + ("]" if place == last else ",")
