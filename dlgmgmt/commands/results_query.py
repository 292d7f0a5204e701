"""What the commands that choose among dialogs, and change them, answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from dlgmgmt.dialog.views import DialogView, SideOutcome


@dataclass(slots=True, frozen=True)
class QueryPage:
    """Some of the dialogs that fit. now: Unix seconds.

    cursor: with which the next page is asked for, None after the last. total: how many fitted when
    the first page was asked for.
    """

    views: tuple[DialogView, ...]
    cursor: str | None
    total: int
    now: int


class SweptDialog(NamedTuple):
    """A dialog that was to be ended with others.

    outcome: "waiting" (its turn has not come), "ended", "gone" (it had ended by itself) or
    "changed" (it did not fit any more). termination: the id of its end, 0 without one. sides: what
    each party was sent, and what came back.
    """

    h_entry: int
    h_id: int
    callid: str
    from_tag: str
    outcome: str
    termination: int
    sides: tuple[SideOutcome, ...]


@dataclass(slots=True, frozen=True)
class SweepStatus:
    """How the ending of many dialogs goes on. Times are Unix seconds, 0 for none.

    number: by which it is asked for, 0 for a dry run. matched: how many fitted. ended, gone,
    changed: how many had which outcome. answered: of those ended, whose parties have all answered,
    or will not. after: with which the further ``dialogs`` are asked for; None at the end.
    """

    number: int
    dry_run: bool
    done: bool
    matched: int
    ended: int
    gone: int
    changed: int
    answered: int
    ordered_ts: int
    finished_ts: int
    dialogs: tuple[SweptDialog, ...]
    after: int | None


@dataclass(slots=True, frozen=True)
class Variables:
    """Variables of a dialog."""

    values: Mapping[str, str]


@dataclass(slots=True, frozen=True)
class Flag:
    """A flag of a dialog."""

    number: int
    on: bool


@dataclass(slots=True, frozen=True)
class Changed:
    """A dialog is as it was asked for."""


QueryResult = QueryPage | SweepStatus | Variables | Flag | Changed
