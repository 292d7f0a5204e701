"""From the arguments of a request to the values of a command's parameters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from dlgmgmt.commands.errors import Failure, MgmtProtocol, Refused
from dlgmgmt.commands.registry import Command, Param, Value

Argument = tuple[str | None, object]
"""An argument as it came: its name (None when positional) and its value."""

_UNSET = object()
_INTEGER = re.compile(r"[+-]?[0-9]{1,20}")
_SHOWN = 40


def quoted(text: str) -> str:
    """``text`` for a message: short, and ASCII whatever it holds."""
    return ascii(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")


def bind(
    command: Command, protocol: MgmtProtocol, arguments: Sequence[Argument]
) -> tuple[dict[str, Value], tuple[str, ...]]:
    """Give each argument to its parameter and check types; raises Refused.

    Returns the values by parameter name, and the further values of a variadic parameter.
    """
    params = command.params
    slots: list[object] = [_UNSET] * len(params)
    rest = _bind_named(command, protocol, arguments, slots)
    by_place = [protocol is not MgmtProtocol.MI or not param.by_name for param in params]
    free = [i for i, value in enumerate(slots) if value is _UNSET and by_place[i]]
    further: list[str] = []
    for place, value in zip(free, rest, strict=False):
        slots[place] = value
    surplus = rest[len(free) :]
    if surplus:
        if params and params[-1].variadic:
            further = [_text(params[-1], value, protocol) for value in surplus]
        elif protocol not in command.ignore_extra:
            raise Refused(
                Failure.TOO_MANY, f"at most {len(params)} parameters, not {len(arguments)}"
            )
    for param, value in zip(params, slots, strict=True):
        if param.required and value is _UNSET:
            raise Refused(Failure.TOO_FEW, f"parameter {param.name} is missing")
    values: dict[str, Value] = {}
    gap = False
    for param, value, placed in zip(params, slots, by_place, strict=True):
        if value is _UNSET:
            gap = gap or placed
            continue
        if gap and placed and protocol is MgmtProtocol.MI:
            # An optional MI parameter narrows the one before it; alone it means nothing.
            raise Refused(Failure.BAD_VALUE, f"{param.name} without what stands before it")
        values[param.name] = _value(param, value, protocol)
    return values, tuple(further)


def _bind_named(
    command: Command,
    protocol: MgmtProtocol,
    arguments: Sequence[Argument],
    slots: list[object],
) -> list[object]:
    """Fill ``slots`` from the named arguments; returns the values of the others, in order."""
    places = {
        name: i for i, param in enumerate(command.params) for name in (param.name, *param.aliases)
    }
    rest: list[object] = []
    for name, value in arguments:
        if name is None:
            rest.append(value)
            continue
        place = places.get(name)
        if place is None:
            if protocol is MgmtProtocol.MI and not all(p.by_name for p in command.params):
                # MI clients put any label before a value; only its place counts then.
                rest.append(value)
                continue
            raise Refused(Failure.UNKNOWN_PARAMETER, f"no parameter is called {quoted(name)}")
        if slots[place] is not _UNSET:
            raise Refused(Failure.BAD_VALUE, f"{command.params[place].name} is given twice")
        slots[place] = value
    return rest


def _value(param: Param, value: object, protocol: MgmtProtocol) -> Value:
    if param.type == "integer":
        return _integer(param, value)
    if param.type == "boolean":
        return _boolean(param, value)
    return _text(param, value, protocol)


_BOOLEANS = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def _boolean(param: Param, value: object) -> bool:
    if isinstance(value, bool):
        return value
    known = _BOOLEANS.get(str(value).strip(" \t").lower()) if type(value) in (str, int) else None
    if known is None:
        raise Refused(Failure.BAD_VALUE, f"{param.name} must be true or false")
    return known


def _text(param: Param, value: object, protocol: MgmtProtocol) -> str:
    if type(value) is int:
        # Clients that read parameters from a command line send digits as a number.
        return _decimal(param, value)
    if not isinstance(value, str):
        raise Refused(Failure.BAD_VALUE, f"{param.name} must be a string, not {_kind(value)}")
    if not value and protocol is MgmtProtocol.MI:
        raise Refused(Failure.BAD_VALUE, f"{param.name} is empty")
    try:
        value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise Refused(Failure.BAD_VALUE, f"{param.name} is no Unicode text") from None
    return value


def _decimal(param: Param, value: int) -> str:
    if value.bit_length() > 64:
        raise Refused(Failure.BAD_VALUE, f"{param.name} is out of range")
    return str(value)


def _integer(param: Param, value: object) -> int:
    if isinstance(value, str):
        value = value.strip(" \t")
        if _INTEGER.fullmatch(value) is None:
            raise Refused(
                Failure.BAD_VALUE, f"{param.name} must be an integer, not {quoted(value)}"
            )
        return int(value)
    if type(value) is not int:
        raise Refused(Failure.BAD_VALUE, f"{param.name} must be an integer, not {_kind(value)}")
    return value


_KINDS = {bool: "a boolean", float: "a fraction", list: "an array", dict: "an object"}


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), "another type")
