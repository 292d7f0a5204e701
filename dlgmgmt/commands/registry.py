"""The registry: one row per command, the only place that knows its names and parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from dlgmgmt.commands.context import CommandContext
from dlgmgmt.commands.errors import DEFAULT_TEXTS, ErrorTexts, Failure, MgmtProtocol
from dlgmgmt.commands.results import Result
from dlgmgmt.dialog.views import TerminationView

Permission = Literal["view", "operate", "admin"]
Value = str | int


@dataclass(slots=True, frozen=True)
class Param:
    """One parameter.

    type: "string", "integer" or "boolean". aliases: further names that a client may use. variadic:
    takes every further positional value too (the last parameter alone, of type string). by_name:
    over MI it is given by its name alone, in any order.
    """

    name: str
    type: Literal["string", "integer", "boolean"]
    doc: str
    required: bool = True
    aliases: tuple[str, ...] = ()
    variadic: bool = False
    by_name: bool = False


@dataclass(slots=True, frozen=True)
class Example:
    """A call with positional ``params`` that the documentation shows, and its ``result``."""

    params: tuple[Value, ...]
    result: object


def _nobody(_view: TerminationView) -> None:
    """Nobody keeps a record."""


@dataclass(slots=True, frozen=True)
class Call:
    """A command whose parameters were bound and checked; what a handler gets."""

    context: CommandContext
    values: Mapping[str, Value]
    further: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    """Names of all commands of the protocol that asked."""
    registry: Registry | None = None
    ended: Callable[[TerminationView], object] = _nobody
    """To be told of each dialog that a command for many of them has ended, from any thread."""

    def text(self, name: str) -> str:
        """The value of a required string parameter."""
        value = self.values[name]
        if not isinstance(value, str):
            raise TypeError(name)
        return value

    def number(self, name: str) -> int:
        """The value of a required integer parameter."""
        value = self.values[name]
        if not isinstance(value, int):
            raise TypeError(name)
        return value

    def optional_text(self, name: str) -> str | None:
        """The value of an optional string parameter, None if it was not given."""
        return self.text(name) if name in self.values else None

    def optional_number(self, name: str) -> int | None:
        """The value of an optional integer parameter, None if it was not given."""
        return self.number(name) if name in self.values else None

    def flag(self, name: str) -> bool:
        """The value of an optional boolean parameter, False if it was not given."""
        return bool(self.number(name)) if name in self.values else False


Handler = Callable[[Call], Result]


@dataclass(slots=True, frozen=True)
class Command:
    """A row of the registry.

    mi_names, rpc_names: what each protocol calls it; empty where it is not offered. result: the
    schema of the JSON answer, by its name in schemas.py. errors: texts that differ from
    DEFAULT_TEXTS. failures: what the handler itself may refuse. ignore_extra: protocols whose
    superfluous positional parameters are dropped instead of refused.
    """

    mi_names: tuple[str, ...]
    rpc_names: tuple[str, ...]
    params: tuple[Param, ...]
    permission: Permission
    doc: str
    handler: Handler
    result: str
    example: Example
    errors: ErrorTexts = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    ignore_extra: frozenset[MgmtProtocol] = frozenset()

    def error_text(self, protocol: MgmtProtocol, failure: Failure) -> tuple[int, str]:
        """Code and text that ``protocol`` answers ``failure`` with."""
        return self.errors.get((protocol, failure)) or DEFAULT_TEXTS[protocol, failure]


class Registry:
    """The commands by protocol and name; raises ValueError if two share a name."""

    def __init__(self, commands: Iterable[Command]) -> None:
        self.commands = tuple(commands)
        self._by_name: dict[MgmtProtocol, dict[str, Command]] = {p: {} for p in MgmtProtocol}
        for command in self.commands:
            self._add(MgmtProtocol.MI, command.mi_names, command)
            self._add(MgmtProtocol.RPC, command.rpc_names, command)

    def _add(self, protocol: MgmtProtocol, names: tuple[str, ...], command: Command) -> None:
        table = self._by_name[protocol]
        for name in names:
            if name in table:
                msg = f"two {protocol.value} commands are called {name}"
                raise ValueError(msg)
            table[name] = command

    def lookup(self, protocol: MgmtProtocol, name: str) -> Command | None:
        """The command that ``protocol`` calls ``name``, None if there is none."""
        return self._by_name[protocol].get(name)

    def names(self, protocol: MgmtProtocol) -> tuple[str, ...]:
        """All names of one protocol, in the order of the registry."""
        return tuple(self._by_name[protocol])
