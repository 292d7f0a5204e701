"""What commands about the daemon itself answer, as MI reply trees."""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable

from dlgmgmt.commands.results_system import (
    CommandNames,
    Directory,
    Statistics,
    StatisticsReset,
    SystemResult,
    Threads,
    Uptime,
    Version,
    Words,
)
from mi_fifo import MiNode, MiText

SystemItem = MiNode | MiText


@functools.singledispatch
def system_items(result: SystemResult) -> Iterable[SystemItem]:
    """The tree of a result; a TypeError for what MI has no command for."""
    raise TypeError(type(result))


@system_items.register
def _(result: Statistics) -> Iterable[SystemItem]:
    return [MiText(f"{row.group}:{row.name} = {row.value}") for row in result.rows]


@system_items.register
def _(result: StatisticsReset) -> Iterable[SystemItem]:
    return system_items(Statistics(result.rows)) if result.shown else ()


@system_items.register
def _(result: CommandNames) -> Iterable[SystemItem]:
    return [MiText(name) for name in result.names]


@system_items.register
def _(result: Words) -> Iterable[SystemItem]:
    return [MiText(word) for word in result.words]


@system_items.register
def _(result: Directory) -> Iterable[SystemItem]:
    return [MiNode("WD", result.path)]


@system_items.register
def _(result: Threads) -> Iterable[SystemItem]:
    return [
        MiNode("Process", None, (("ID", at), ("PID", each.number), ("Type", each.description)))
        for at, each in enumerate(result.threads)
    ]


@system_items.register
def _(result: Uptime) -> Iterable[SystemItem]:
    return [
        MiNode("Now", time.ctime(result.now)),
        MiNode("Up since", time.ctime(result.up_since)),
        MiNode("Up time", f"{result.now - result.up_since} [sec]"),
    ]


@system_items.register
def _(result: Version) -> Iterable[SystemItem]:
    return [
        MiNode("Server", f"{result.program} ({result.version} ({result.platform}))"),
        MiNode("Build", result.runtime),
    ]
