"""Rows of the commands about counters."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_stats as stats
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.registry import Command, Example, Param

_RPC = MgmtProtocol.RPC

_WHICH = (
    Param(
        "name",
        "string",
        "a counter's name, for dialogs also GROUP:NAME, a group's name with a colon after it, or "
        "the word all; several",
        variadic=True,
    ),
)
_WHICH_ERRORS = MappingProxyType(
    {(_RPC, Failure.TOO_FEW): (400, "Please provide which stats to retrieve")}
)
_RESET_ERRORS = MappingProxyType({(_RPC, Failure.TOO_FEW): (400, "Please provide stats name")})
_RESET = "Counters begin at 0 again. What says how much there is at the moment stays as it is."

STATS = (
    Command(
        ("get_statistics",),
        ("stats.get_statistics",),
        _WHICH,
        "view",
        "Counters of the daemon.",
        stats.get_statistics,
        "Statistics",
        Example(("active_dialogs",), ["dialog:active_dialogs = 2"]),
        errors=_WHICH_ERRORS,
        failures=(Failure.NO_STATISTICS,),
    ),
    Command(
        (),
        ("stats.fetch",),
        _WHICH,
        "view",
        "Counters of the daemon, as an object; the numbers are strings.",
        stats.fetch,
        "StatisticTexts",
        Example(("active_dialogs",), {"dialog.active_dialogs": "2"}),
        errors=_WHICH_ERRORS,
    ),
    Command(
        (),
        ("stats.fetchn",),
        _WHICH,
        "view",
        "Counters of the daemon, as an object.",
        stats.fetch_numbers,
        "StatisticNumbers",
        Example(("active_dialogs",), {"dialog.active_dialogs": 2}),
        errors=_WHICH_ERRORS,
    ),
    Command(
        ("reset_statistics",),
        ("stats.reset_statistics",),
        _WHICH,
        "operate",
        _RESET,
        stats.reset,
        "StatisticsReset",
        Example(("processed_dialogs",), {}),
        errors=_RESET_ERRORS,
        failures=(Failure.NO_STATISTICS,),
    ),
    Command(
        ("clear_statistics",),
        ("stats.clear_statistics",),
        _WHICH,
        "operate",
        f"{_RESET} The answer is what they were.",
        stats.clear,
        "Statistics",
        Example(("processed_dialogs",), ["dialog:processed_dialogs = 7"]),
        errors=_RESET_ERRORS,
        failures=(Failure.NO_STATISTICS,),
    ),
    Command(
        (),
        ("cnt.grps_list",),
        (),
        "view",
        "Names of the groups of counters.",
        stats.groups,
        "Words",
        Example((), ["core", "dialog"]),
    ),
    Command(
        (),
        ("cnt.var_list",),
        (Param("group", "string", "name of a group"),),
        "view",
        "Names of the counters of a group; an empty array if there is no such group.",
        stats.names,
        "Words",
        Example(("dialog",), ["active_dialogs", "early_dialogs"]),
    ),
)
