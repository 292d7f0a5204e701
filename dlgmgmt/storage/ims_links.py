"""Which legs belong to which dialog, in the tables of ims_dialog.

They do not say it: the did of both is NULL, and the hash of a leg is that of its own To-tag. But
both tables are written in step, dialog by dialog, each leg after its dialog's row. So legs are
dealt out in the order of the rows, in runs of calls to the same party: a run of as many legs as
dialogs, or of one dialog, leaves no doubt. Where there is doubt nothing is dealt out: to hang up
the wrong call is worse than to miss one.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_AHEAD = 64
"""Runs that are looked through for the next one that fits; beyond it rows are taken for lost."""

_USER = re.compile(r"<?\s*(?:sips?|tel):([^@;>?]+)", re.IGNORECASE)
_MIN_DIGITS = 6


class DialogRow(NamedTuple):
    """A row of dialog_in; uri: the Request-URI."""

    id: int
    uri: str


class LegRow(NamedTuple):
    """A row of dialog_out; uri: of the To header, the same in all legs of a call."""

    id: int
    uri: str


class _Run(NamedTuple):
    party: str
    rows: list[int]


def link(dialogs: Iterable[DialogRow], legs: Iterable[LegRow]) -> dict[int, list[int]]:
    """The ids of the legs of each dialog that is sure of them, by its id.

    Both in the order of their ids, and of all dialogs, the ended ones too.
    """
    callers, callees = _runs(dialogs), _runs(legs)
    found: dict[int, list[int]] = {}
    left_dialogs: list[_Run] = []
    left_legs: list[_Run] = []
    first = second = 0
    drift = 0
    while first < len(callers) and second < len(callees):
        if not _alike(callers[first].party, callees[second].party):
            skip_first, skip_second = _resync(callers, callees, first, second)
            passed = callers[first : first + skip_first], callees[second : second + skip_second]
            first, second = first + skip_first, second + skip_second
            # Step by step, but called by another name than asked for: the ids have to agree, or
            # it is so in all of the table.
            everywhere = len(passed[0]) == len(callers) and len(passed[1]) == len(callees)
            if skip_first == skip_second and all(
                _in_step(run.rows, other.rows, None if everywhere else drift)
                for run, other in zip(*passed, strict=True)
            ):
                for run, other in zip(*passed, strict=True):
                    drift = _deal(run.rows, other.rows, drift, found)
            else:
                left_dialogs += passed[0]
                left_legs += passed[1]
            continue
        drift = _deal(callers[first].rows, callees[second].rows, drift, found)
        first, second = first + 1, second + 1
    _swapped([*left_dialogs, *callers[first:]], [*left_legs, *callees[second:]], found)
    return found


def _runs(rows: Iterable[DialogRow | LegRow]) -> list[_Run]:
    grouped = itertools.groupby(rows, key=lambda row: _party(row.uri))
    return [_Run(party, [row.id for row in group]) for party, group in grouped]


def _party(uri: str) -> str:
    match = _USER.match(uri)
    return match[1].lower() if match else uri.lower()


def _alike(first: str, second: str) -> bool:
    """Whether both name one party; numbers are often written with and without their prefix."""
    if first == second:
        return True
    short, long = sorted(
        (first.lstrip("+0").replace("-", ""), second.lstrip("+0").replace("-", "")), key=len
    )
    return len(short) >= _MIN_DIGITS and short.isdigit() and long.endswith(short)


def _resync(
    callers: Sequence[_Run], callees: Sequence[_Run], first: int, second: int
) -> tuple[int, int]:
    """How many runs of each to pass by until two are alike again, as few as possible."""
    rest = len(callers) - first, len(callees) - second
    for total in range(1, 2 * _AHEAD):
        # Equal steps first: then nothing is missing.
        for step in sorted(range(total + 1), key=lambda step: abs(2 * step - total)):
            other = total - step
            if (
                step < rest[0]
                and other < rest[1]
                and _alike(callers[first + step].party, callees[second + other].party)
            ):
                return step, other
    return rest


def _in_step(dialogs: list[int], legs: list[int], drift: int | None) -> bool:
    return len(dialogs) == len(legs) and (
        drift is None
        or all(leg - dialog == drift for dialog, leg in zip(dialogs, legs, strict=True))
    )


def _deal(dialogs: list[int], legs: list[int], drift: int, found: dict[int, list[int]]) -> int:
    """Give a run of legs to a run of dialogs; returns how far the ids of both are apart after."""
    if len(dialogs) == 1:
        found[dialogs[0]] = legs
    elif len(dialogs) == len(legs):
        found.update((dialog, [leg]) for dialog, leg in zip(dialogs, legs, strict=True))
    elif len(legs) < len(dialogs):
        # Legs are missing. The gaps between the ids tell which, if both tables counted alike.
        wanted = set(dialogs)
        owners = [leg - drift for leg in legs]
        if not wanted.issuperset(owners):
            return drift
        found.update((dialog, [leg]) for dialog, leg in zip(owners, legs, strict=True))
        return drift
    else:
        return drift
    return legs[-1] - dialogs[-1]


def _swapped(dialogs: list[_Run], legs: list[_Run], found: dict[int, list[int]]) -> None:
    """Runs that stand in another order, as several workers may write them: by their party."""
    by_party: dict[str, list[_Run]] = {}
    for run in legs:
        by_party.setdefault(run.party, []).append(run)
    wanted: dict[str, list[_Run]] = {}
    for run in dialogs:
        wanted.setdefault(run.party, []).append(run)
    for party, runs in wanted.items():
        others = by_party.get(party, [])
        if len(runs) == len(others) == 1 and (
            len(runs[0].rows) == 1 or len(runs[0].rows) == len(others[0].rows)
        ):
            _deal(runs[0].rows, others[0].rows, 0, found)
