"""Rows of the commands about the daemon itself."""

from __future__ import annotations

from dlgmgmt.commands import handlers_core as core
from dlgmgmt.commands.errors import Failure
from dlgmgmt.commands.registry import Command, Example, Param

CORE = (
    Command(
        ("uptime",),
        ("core.uptime",),
        (),
        "view",
        "Since when the daemon runs.",
        core.uptime,
        "Uptime",
        Example(
            (),
            {
                "now": "Mon Nov 23 04:04:58 2026",
                "up_since": "Mon Nov 23 04:01:18 2026",
                "uptime": 220,
            },
        ),
    ),
    Command(
        ("version",),
        ("core.version",),
        (),
        "view",
        "Name and version of the daemon.",
        core.version,
        "Version",
        Example((), "dlgmgmt 0.1.0 (x86_64/linux)"),
    ),
    Command(
        ("which",),
        ("system.listMethods",),
        (),
        "view",
        "Names of all commands.",
        core.which,
        "CommandNames",
        Example((), ["core.uptime", "core.version"]),
    ),
    Command(
        ("get_statistics",),
        ("stats.get_statistics",),
        (
            Param(
                "name",
                "string",
                "a counter's name, for dialogs also GROUP:NAME, a group's name with a colon after "
                "it, or the word all; several",
                variadic=True,
            ),
        ),
        "view",
        "Counters of the daemon.",
        core.get_statistics,
        "Statistics",
        Example(("active_dialogs",), ["dialog:active_dialogs = 2"]),
        failures=(Failure.NO_STATISTICS,),
    ),
)
