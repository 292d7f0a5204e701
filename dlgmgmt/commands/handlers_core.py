"""Handlers of the commands about the daemon itself: names, version, uptime, counters."""

from __future__ import annotations

from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import CommandNames, Statistic, Statistics, Uptime, Version


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

    Refused(NO_STATISTICS) when nothing at all was found.
    """
    known = _all_statistics(call)
    rows: list[Statistic] = []
    for wanted in (call.text("name"), *call.further):
        if wanted == "all":
            rows += known
        elif wanted.endswith(":"):
            rows += [row for row in known if row.group == wanted[:-1]]
        else:
            rows += [row for row in known if row.name == wanted]
    if not rows:
        raise Refused(Failure.NO_STATISTICS)
    return Statistics(tuple(rows))


def _all_statistics(call: Call) -> list[Statistic]:
    counts = call.context.table.counts()
    answered = counts.confirmed + counts.confirmed_no_ack + counts.concurrent
    groups: dict[str, list[Statistic]] = {
        # Names of the manual, chapter 7; order of the dialog module's replies.
        "dialog": [
            Statistic("dialog", "active_dialogs", answered),
            Statistic("dialog", "early_dialogs", counts.early),
            Statistic("dialog", "expired_dialogs", counts.expired),
            Statistic("dialog", "failed_dialogs", counts.failed),
            Statistic("dialog", "processed_dialogs", counts.processed),
        ],
        "dialog_ng": [
            Statistic("dialog_ng", "active", answered),
            Statistic("dialog_ng", "early", counts.early),
            Statistic("dialog_ng", "expired", counts.expired),
            Statistic("dialog_ng", "processed", counts.processed),
        ],
    }
    for group, provider in call.context.statistics.items():
        groups.setdefault(group, []).extend(
            Statistic(group, name, value) for name, value in provider()
        )
    return [row for group in sorted(groups) for row in groups[group]]
