"""Handlers of the commands about the daemon itself: names, version, uptime, counters."""

from __future__ import annotations

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import CommandNames, Statistic, Statistics, Uptime, Version

_GROUPS = ("dialog", "dialog_ng")
_SHORT = ("active", "early", "expired", "processed")


def which(call: Call) -> CommandNames:
    """The commands that there are."""
    return CommandNames(call.names)


def uptime(call: Call) -> Uptime:
    """Since when the daemon runs."""
    return Uptime(int(call.context.clock()), int(call.context.start_time))


def version(call: Call) -> Version:
    """Which program this is."""
    context = call.context
    return Version(context.program, context.version, context.platform, context.runtime)


def get_statistics(call: Call) -> Statistics:
    """Counters by ``all``, ``group:`` or name; names that are unknown among others are left out.

    The manual's names are also found as ``dialog:name`` and ``dialog_ng:name``. Refused
    (NO_STATISTICS) when nothing at all was found.
    """
    dialogs = _dialog_statistics(call)
    known = _all_statistics(call, dialogs)
    qualified = {f"{group}:{name}": value for group in _GROUPS for name, value in dialogs.items()}
    rows: list[Statistic] = []
    for wanted in (call.text("name"), *call.further):
        if wanted == "all":
            rows += known
        elif wanted.endswith(":"):
            rows += [row for row in known if row.group == wanted[:-1]]
        elif wanted in qualified:
            group, _, name = wanted.partition(":")
            rows.append(Statistic(group, name, qualified[wanted]))
        else:
            rows += [row for row in known if row.name == wanted]
    if not rows:
        raise Refused(Failure.NO_STATISTICS)
    return Statistics(tuple(rows))


def _dialog_statistics(call: Call) -> dict[str, int]:
    """The five of the manual's chapter 7; none without ``enable_stats``.

    The first two are the present sizes of states, and the others grow where a dialog changes its
    state: so they always equal a count of the table.
    """
    table = call.context.table
    if not table.settings.enable_stats:
        return {}
    counts = table.counts()
    return {
        "active_dialogs": counts.confirmed + counts.confirmed_no_ack + counts.concurrent,
        "early_dialogs": counts.early,
        "expired_dialogs": counts.expired,
        "failed_dialogs": counts.failed,
        "processed_dialogs": counts.processed,
    }


def _all_statistics(call: Call, dialogs: dict[str, int]) -> list[Statistic]:
    # Order of the dialog module's replies; dialog_ng lists what it does in Kamailio 4.4.
    groups: dict[str, list[Statistic]] = {}
    if dialogs:
        groups["dialog"] = [Statistic("dialog", name, value) for name, value in dialogs.items()]
        groups["dialog_ng"] = [
            Statistic("dialog_ng", short, dialogs[f"{short}_dialogs"]) for short in _SHORT
        ]
    for group, provider in call.context.statistics.items():
        groups.setdefault(group, []).extend(
            Statistic(group, name, value) for name, value in provider()
        )
    return [row for group in sorted(groups) for row in groups[group]]
