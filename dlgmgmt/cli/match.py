"""dlgctl query and end-match: the dialogs that fit, page by page, and their end."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from dlgmgmt.cli import render
from dlgmgmt.cli.backend import Backend, NotAsExpected, checked, identity, number, text
from dlgmgmt.cli.codes import AMBIGUOUS, NOT_CONFIRMED, NOT_FOUND, OK
from dlgmgmt.cli.text import complain, terminal_width, visible

FILTERS = (
    ("callid", "CALLID", "with this Call-ID"),
    ("caller", "PATTERN", "whose From URI fits, such as 'sip:alice@*'"),
    ("callee", "PATTERN", "whose To URI fits"),
    ("state", "STATES", "in one of these states, such as early,confirmed"),
    ("min-age", "SECONDS", "answered, or else begun, so long ago"),
    ("max-age", "SECONDS", "answered, or else begun, no longer ago"),
    ("profile", "NAME[=VALUE]", "in this profile"),
    ("variable", "KEY[=VALUE]", "with this variable"),
    ("flag", "NUMBER", "with this flag, 0 to 31"),
    ("address", "HOST[:PORT]", "with a phone, or a socket of the daemon, there"),
)
_SHOWN = 20
_PAGE = 1000
_FIRST_LOOK, _BETWEEN_LOOKS = 0.05, 0.5


class EndMatch(NamedTuple):
    """What the operator asked for. expect: None for as many as there are when he is asked.

    wait: seconds to wait for what all sides answer, counted anew with every dialog that is ended.
    """

    filters: Mapping[str, str]
    expect: int | None
    dry_run: bool
    yes: bool
    rate: int | None
    reason: str
    wait: float
    json: bool


def add_filters(parser: argparse.ArgumentParser) -> None:
    """The options that choose dialogs; all that are given have to fit."""
    for name, metavar, doc in FILTERS:
        parser.add_argument(f"--{name}", metavar=metavar, help=f"calls {doc}")


def filters_of(options: argparse.Namespace) -> dict[str, str]:
    """Those that were given, by the names of the parameters."""
    names = [name.replace("-", "_") for name, _, _ in FILTERS]
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


def query(backend: Backend, params: Mapping[str, str], *, as_json: bool) -> int:
    """Show a page; returns the exit code. Raises BackendError."""
    page = backend.query(params)
    if as_json:
        print(json.dumps(page, indent=2))
        return OK
    items = checked(page.get("items"))
    for line in render.listing(items, int(time.time()), terminal_width(sys.stdout)):
        print(line)
    cursor = text(page.get("cursor"))
    if cursor:
        shown = f"{len(items)} of {number(page.get('total'))} calls; the next: --cursor {cursor}"
        print(visible(shown), file=sys.stderr)
    return OK


def end_match(backend: Backend, order: EndMatch) -> int:
    """Show, ask, end, and tell what came back; returns the exit code. Raises BackendError."""
    # How many, before anybody is asked; one dialog too many, and none is ended.
    seen = backend.end_match({**order.filters, "dry_run": "1", "limit": str(_SHOWN)})
    found = number(seen.get("matched"))
    if not order.json or order.dry_run:
        _show(seen, order, found)
    if order.expect is not None and order.expect != found:
        complain("dlgctl", f"{found} calls fit, not {order.expect}: none was ended")
        return AMBIGUOUS
    if order.dry_run:
        return OK if found else NOT_FOUND
    if not found:
        complain("dlgctl", "no call fits")
        return NOT_FOUND
    if not order.yes and not _confirmed(found):
        return NOT_CONFIRMED
    params = {**order.filters, "expect": str(found), "limit": "0"}
    if order.rate is not None:
        params["rate"] = str(order.rate)
    if order.reason:
        params["reason"] = order.reason
    try:
        status = _follow(backend, backend.end_match(params), order.wait)
    except NotAsExpected as error:
        complain("dlgctl", f"none was ended: {error}")
        return AMBIGUOUS
    _tell(backend, status, order)
    return OK


def _show(seen: Mapping[str, Any], order: EndMatch, found: int) -> None:
    if order.json:
        print(json.dumps(seen, indent=2))
        return
    dialogs = checked(seen.get("dialogs"))
    for dialog in dialogs:
        print(visible(f"{identity(dialog)} {text(dialog.get('call-id'))}"))
    if found > len(dialogs):
        print(f"... and {found - len(dialogs)} more")


def _confirmed(found: int) -> bool:
    if not sys.stdin.isatty():
        complain("dlgctl", "none was ended: there is no terminal to ask on; --yes does not ask")
        return False
    what = "this call" if found == 1 else f"these {found} calls"
    print(f"End {what}? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() in ("y", "yes"):
        return True
    complain("dlgctl", "none was ended")
    return False


def _follow(backend: Backend, status: dict[str, Any], wait: float) -> dict[str, Any]:
    """The status once all is done, or when nothing more has come for ``wait`` seconds."""
    progress, since = _progress(status), time.monotonic()
    pause = _FIRST_LOOK
    while not status.get("done"):
        now = time.monotonic()
        if _progress(status) != progress:
            progress, since = _progress(status), now
        if now - since >= wait:
            break
        time.sleep(pause)
        pause = min(pause * 2, _BETWEEN_LOOKS)
        status = backend.match_status({"id": str(status.get("id")), "limit": "0"})
    return status


def _progress(status: Mapping[str, Any]) -> list[int]:
    return [number(status.get(name)) for name in ("ended", "gone", "changed", "answered")]


def _tell(backend: Backend, status: Mapping[str, Any], order: EndMatch) -> None:
    dialogs: list[Mapping[str, Any]] = []
    after, last = -1, 0
    while last > after:
        after = last
        # The numbers are those of the moment at which the dialogs are shown.
        status = backend.match_status(
            {"id": str(status.get("id")), "after": str(after), "limit": str(_PAGE)}
        )
        dialogs += checked(status.get("dialogs"))
        last = number(status.get("after"))
    if order.json:
        print(json.dumps({**status, "dialogs": dialogs, "after": None}, indent=2))
        return
    for dialog in dialogs:
        shown = f"{text(dialog.get('outcome'))} {identity(dialog)} {text(dialog.get('call-id'))}"
        print(visible(shown))
        for line in render.outcome(dialog):
            print(line)
    ended, gone, changed, answered = _progress(status)
    print(
        f"ended {ended}, answered by both sides {answered}; gone before {gone}, changed {changed}"
    )
