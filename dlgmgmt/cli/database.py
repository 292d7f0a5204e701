"""dlgctl db: how the daemon's database is; another daemon's calls taken over."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from dlgmgmt.cli.backend import Backend, NotAsExpected, number, text
from dlgmgmt.cli.codes import FAILED, OK
from dlgmgmt.cli.text import complain, visible

DEFAULT_WAIT = 30


def add_options(parser: argparse.ArgumentParser) -> None:
    """What may stand after ``dlgctl db``."""
    parser.add_argument(
        "action",
        nargs="?",
        choices=("status", "adopt", "flush"),
        default="status",
        help="how it is (default); take over another daemon's calls; write what waits",
    )
    parser.add_argument(
        "owner", nargs="?", metavar="OWNER", help='adopt: whose calls; "" for those of nobody'
    )
    parser.add_argument(
        "--wait",
        type=int,
        choices=range(51),
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help=f"adopt, flush: for the end of it (default: {DEFAULT_WAIT})",
    )


def database(backend: Backend, options: argparse.Namespace) -> int:
    """Do what is asked; returns the exit code. Raises BackendError."""
    params: dict[str, str] = {}
    if options.action != "status":
        params["wait"] = str(options.wait)
    if options.action == "adopt":
        params["owner"] = options.owner
    try:
        answer = backend.database(options.action, params)
    except NotAsExpected as error:
        complain("dlgctl", f"nothing was taken over: {error}")
        return FAILED
    if options.json:
        print(json.dumps(answer, indent=2))
    elif options.action == "status":
        wide = max((len(visible(name)) for name in answer), default=0)
        for name, value in answer.items():
            print(f"{visible(name).ljust(wide)}  {visible(text(value))}".rstrip())
    else:
        _tell(options, answer)
    return OK if answer.get("done", True) else FAILED


def _tell(options: argparse.Namespace, answer: Mapping[str, Any]) -> None:
    if options.action == "flush":
        if answer.get("done"):
            print("all is written")
        else:
            complain(
                "dlgctl", f"not written yet: the changes of {number(answer.get('waiting'))} calls"
            )
        return
    if not answer.get("done"):
        complain("dlgctl", "it goes on: dlgctl db tells how many calls were adopted")
        return
    further = ", ".join(
        f"{number(answer.get(name))} {name}"
        for name in ("early", "expired", "purged", "skipped")
        if number(answer.get(name))
    )
    whose = f"of {visible(options.owner)}" if options.owner else "without an owner"
    more = f"; {further}" if further else ""
    print(f"{number(answer.get('loaded'))} calls {whose} taken over{more}")
