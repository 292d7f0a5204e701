"""What the program itself knows of a name, asked for when the manual is read."""

from __future__ import annotations

import dataclasses
import functools
import json
import textwrap
from collections.abc import Iterable, Iterator

from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.registry import Command, Registry
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.dialog.settings import DialogSettings
from dlgmgmt.manual.entry import Entry, Kind
from dlgmgmt.routing import restrictions
from dlgmgmt.routing.settings import RoutingSettings
from dlgmgmt.storage.settings import StorageSettings

REFUSED = "tests/unit/test_manual.py::test_a_command_that_is_missing_is_refused"
"""The test that the daemon does not know the commands which the manual says are missing."""

_WIDTH = 88
_STORAGE_NAMES = {
    name: f"db_{name}" for name in ("commit_interval", "sync_confirm", "sync_timeout")
}
_ELSEWHERE = {"while_loading": "refuse"}
"""Of what is not the database's own business."""
_PROTOCOLS = {Kind.MI: MgmtProtocol.MI, Kind.RPC: MgmtProtocol.RPC}


@functools.cache
def registry() -> Registry:
    """The registry of this version."""
    return build_registry()


def command(entry: Entry) -> Command | None:
    """The registry's row of a command, None if this version has none."""
    protocol = _PROTOCOLS.get(entry.kind)
    return None if protocol is None else registry().lookup(protocol, entry.name)


def missing(entry: Entry) -> bool:
    """Whether this version does not have what the entry describes."""
    if entry.kind is Kind.PARAMETER:
        return entry.name not in _defaults()
    return entry.kind in _PROTOCOLS and command(entry) is None


def proofs(entry: Entry) -> tuple[str, ...]:
    """The tests of an entry; of a command that this version lacks, the one that says so."""
    return (REFUSED,) if entry.kind in _PROTOCOLS and missing(entry) else entry.tests


def default(entry: Entry) -> str | None:
    """A parameter's default as the configuration file would have it, None for anything else."""
    if entry.kind is not Kind.PARAMETER or entry.name not in _defaults():
        return None
    value = _defaults()[entry.name]
    if value is None:
        return "none"
    # TOML writes booleans, numbers, text and lists of text as JSON does.
    return json.dumps(list(value) if isinstance(value, tuple) else value)


@functools.cache
def _defaults() -> dict[str, object]:
    found = {
        field.name: field.default
        for settings in (DialogSettings, RoutingSettings)
        for field in dataclasses.fields(settings)
    }
    for field in dataclasses.fields(StorageSettings):
        value = None if field.default is dataclasses.MISSING else field.default
        found[_STORAGE_NAMES.get(field.name, field.name)] = value
    return {**found, **_ELSEWHERE}


def routes(entry: Entry) -> tuple[str, ...]:
    """The route functions in which a script may call it; empty for what no script calls."""
    if entry.kind is not Kind.FUNCTION:
        return ()
    allowed = restrictions.ALLOWED.get(entry.name, tuple(restrictions.TITLES))
    return tuple(restrictions.TITLES[route] for route in allowed)


def signature(entry: Entry) -> str:
    """How it is written: of a command by the registry, where it has it."""
    row = command(entry)
    return entry.signature if row is None else _usage(entry.name, row)


def _usage(name: str, row: Command) -> str:
    words = []
    for param in row.params:
        word = f"{param.name} ..." if param.variadic else param.name
        words.append(word if param.required else f"[{word}]")
    return " ".join([name, *words])


def further_commands(known: Iterable[Entry]) -> Iterator[Entry]:
    """Entries, in the registry's own words, for those of its commands that have none."""
    have = {(entry.kind, entry.name) for entry in known}
    for kind, protocol in _PROTOCOLS.items():
        for name in registry().names(protocol):
            row = registry().lookup(protocol, name)
            if row is None or (kind, name) in have:
                continue
            summary, _, more = row.doc.partition(". ")
            lines = textwrap.wrap(more, _WIDTH)
            lines += [f"{param.name}: {param.doc}." for param in row.params]
            yield Entry(
                name=name,
                chapter="8+" if kind is Kind.MI else "9+",
                kind=kind,
                summary=summary.removesuffix("."),
                text="\n".join(lines) or "It takes no parameters.",
            )
