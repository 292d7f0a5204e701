"""dlgctl trace: the messages of a call, as they came and went."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator

from dlgmgmt.cli.backend import Backend, BackendError, NotFound, Traced, number, text
from dlgmgmt.cli.codes import NOT_FOUND, OK
from dlgmgmt.cli.text import complain, visible

_BETWEEN_LOOKS = 0.5
_INDENT = "    "


def trace(backend: Backend, callid: str, *, follow: bool, as_json: bool) -> int:
    """Print what is kept, and with ``follow`` what comes; the exit code. Raises BackendError."""
    try:
        found = backend.trace(callid, 0)
    except NotFound:
        complain("dlgctl", f"no message with the Call-ID {callid} is kept")
        return NOT_FOUND
    last = 0
    first = True
    while found or follow:
        before = last
        for message in found:
            last = max(last, number(message.get("number")))
            if not first and not as_json:
                print()
            first = False
            for line in [json.dumps(message)] if as_json else shown(message):
                print(line)
        if found and last <= before:
            raise BackendError("the answer is not a list of messages in their order")
        if not found:
            sys.stdout.flush()
            time.sleep(_BETWEEN_LOOKS)
        try:
            found = backend.trace(callid, last)
        except NotFound:
            # All of them have made room for others: there may be more yet.
            found = []
    return OK


def shown(message: Traced) -> Iterator[str]:
    """A line about a message and, indented, all of its own: none can pass for the first kind."""
    outgoing = message.get("direction") == "out"
    local, remote = text(message.get("local")), text(message.get("remote"))
    ends = f"{local} -> {remote}" if outgoing else f"{remote} -> {local}"
    way = f"{text(message.get('direction')):<3}  {text(message.get('transport'))}"
    size = number(message.get("size"))
    yield visible(f"{_moment(message.get('time'))}  {way}  {ends}  {size} bytes")
    body = text(message.get("message")).removesuffix("\n").removesuffix("\r")
    for line in body.split("\n"):
        # A blank at the end of a line is not to be seen, and that of the last one is the sender's.
        yield (_INDENT + visible(line.removesuffix("\r"))).rstrip()


def _moment(value: object) -> str:
    seconds = value if isinstance(value, int | float) else 0.0
    try:
        # Rounded as the daemon rounds it for the FIFO.
        whole, _, fraction = f"{seconds:.6f}".partition(".")
        return f"{time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(int(whole)))}.{fraction}"
    except (OverflowError, OSError, ValueError):
        return "(no date)"
