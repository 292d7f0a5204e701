"""Handlers of the commands that show counters, and begin them again."""

from __future__ import annotations

from collections.abc import Iterator

from dlgmgmt.commands.baselines import GAUGES
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results_system import (
    Statistic,
    Statistics,
    StatisticsReset,
    StatisticValues,
    Words,
)

_DIALOG, _NG = "dialog", "dialog_ng"
_SHORT = {
    "active": "active_dialogs",
    "early": "early_dialogs",
    "expired": "expired_dialogs",
    "processed": "processed_dialogs",
}


def get_statistics(call: Call) -> Statistics:
    """Counters by ``all``, ``group:`` or name; names that are unknown among others are left out.

    The manual's names are also found as ``dialog:name`` and ``dialog_ng:name``. Refused
    (NO_STATISTICS) when nothing at all was found.
    """
    rows = tuple(_wanted(call))
    if not rows:
        raise Refused(Failure.NO_STATISTICS)
    return Statistics(rows)


def fetch(call: Call) -> StatisticValues:
    """As get_statistics, in an object; one without members when nothing was found."""
    return StatisticValues(tuple(_wanted(call)), numeric=False)


def fetch_numbers(call: Call) -> StatisticValues:
    """As fetch, with numbers."""
    return StatisticValues(tuple(_wanted(call)), numeric=True)


def reset(call: Call) -> StatisticsReset:
    """Begin counters again; those that say how much there is now are left out.

    Refused (NO_STATISTICS) when nothing at all was found.
    """
    return StatisticsReset(_reset(call), shown=False)


def clear(call: Call) -> StatisticsReset:
    """As reset, and show what they were."""
    return StatisticsReset(_reset(call), shown=True)


def groups(call: Call) -> Words:
    """The names of the groups."""
    return Words(tuple(_groups(call)))


def names(call: Call) -> Words:
    """The names of a group's counters; none if there is no such group."""
    return Words(tuple(row.name for row in _groups(call).get(call.text("group"), ())))


def _reset(call: Call) -> tuple[Statistic, ...]:
    rows = tuple(_wanted(call))
    if not rows:
        raise Refused(Failure.NO_STATISTICS)
    counters = tuple(dict.fromkeys(row for row in rows if row.name not in GAUGES))
    chosen = {_counted(row) for row in counters}
    call.context.baselines.reset(row for row in _raw(call) if (row.group, row.name) in chosen)
    return counters


def _counted(row: Statistic) -> tuple[str, str]:
    """Group and name under which what is shown is counted."""
    return (_DIALOG, _SHORT.get(row.name, row.name)) if row.group == _NG else (row.group, row.name)


def _wanted(call: Call) -> Iterator[Statistic]:
    known = _groups(call)
    dialogs = {row.name: row for row in known.get(_DIALOG, ())}
    for wanted in (call.text("name"), *call.further):
        group, colon, name = wanted.partition(":")
        if wanted == "all":
            for rows in known.values():
                yield from rows
        elif colon and not name:
            yield from known.get(group, ())
        elif group in (_DIALOG, _NG) and name in dialogs:
            yield dialogs[name]._replace(group=group)
        else:
            for rows in known.values():
                yield from (row for row in rows if row.name == wanted)


def _groups(call: Call) -> dict[str, list[Statistic]]:
    """All that is shown, the groups in the order of their names."""
    baselines = call.context.baselines
    groups: dict[str, list[Statistic]] = {}
    for row in _raw(call):
        groups.setdefault(row.group, []).append(baselines.shown(row))
    dialogs = {row.name: row.value for row in groups.get(_DIALOG, ())}
    if dialogs:
        # dialog_ng lists what it does in Kamailio 4.4.
        groups[_NG] = [Statistic(_NG, short, dialogs[name]) for short, name in _SHORT.items()]
    return {group: groups[group] for group in sorted(groups)}


def _raw(call: Call) -> Iterator[Statistic]:
    """What is counted, whatever has been reset."""
    yield from _dialogs(call)
    for group, provider in call.context.statistics.items():
        for name, value in provider():
            yield Statistic(group, name, value)


def _dialogs(call: Call) -> Iterator[Statistic]:
    """The five of the manual's chapter 7; none without ``enable_stats``.

    The first two are the present sizes of states, and the others grow where a dialog changes its
    state: so they always equal a count of the table.
    """
    table = call.context.table
    if not table.settings.enable_stats:
        return
    counts = table.counts()
    active = counts.confirmed + counts.confirmed_no_ack + counts.concurrent
    # Order of the dialog module's replies.
    yield Statistic(_DIALOG, "active_dialogs", active)
    yield Statistic(_DIALOG, "early_dialogs", counts.early)
    yield Statistic(_DIALOG, "expired_dialogs", counts.expired)
    yield Statistic(_DIALOG, "failed_dialogs", counts.failed)
    yield Statistic(_DIALOG, "processed_dialogs", counts.processed)
