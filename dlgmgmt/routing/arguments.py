"""Arguments of script functions: variables expanded, and what came of it checked.

A literal that cannot be is the script's fault and raises RouteError. Where a variable was
expanded, the fault is that of a stranger's message: it is logged and the function returns False.
"""

from __future__ import annotations

import logging

from dlgmgmt.routing.decision import Value
from dlgmgmt.routing.errors import RouteError
from dlgmgmt.routing.pv import compile_template
from dlgmgmt.routing.pv_dialog import number
from dlgmgmt.routing.run import Run, valid_uri

_LOG = logging.getLogger(__name__)

MAX_PHRASE = 256
"""Characters of a reason; what is longer is cut."""


def expand(run: Run, value: Value) -> Value:
    """Text with its variables expanded; a single variable keeps its type, and None."""
    return compile_template(value).value(run) if isinstance(value, str) else value


def text(run: Run, value: str | int) -> str:
    """Text with its variables expanded."""
    return compile_template(value).expand(run) if isinstance(value, str) else str(value)


def uri(run: Run, value: str, what: str) -> str | None:
    """A SIP URI; None if a variable made it none."""
    template = compile_template(value)
    found = template.expand(run)
    if valid_uri(found):
        return found
    if template.constant:
        raise RouteError(f"{what}: not a SIP URI: {value[:200]!r}")
    _LOG.warning("%s: not a SIP URI: %.200r, from %.200r", what, found, value)
    return None


def phrase(run: Run, value: str, what: str) -> str:
    """Text for a start line or a Reason, without anything that cannot be printed."""
    found = compile_template(value).expand(run, clean=True)
    if not found.isprintable():
        raise RouteError(f"{what}: not printable: {value[:200]!r}")
    return found[:MAX_PHRASE]


def flag(run: Run, value: str | int) -> int:
    """A flag's index, 0 to 31; a number, or text that is one, or a variable."""
    return number(expand(run, value), "a flag", 32)
