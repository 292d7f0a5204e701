"""Arguments of script functions: variables expanded, and what came of it checked.

A literal that cannot be is the script's fault and raises RouteError. Where a variable was
expanded, the fault is that of a stranger's message: it is logged and the function returns False.
An assignment (``ruri``, ``set_pv``) has no result to tell it by, and raises in either case.
"""

from __future__ import annotations

import logging

from dlgmgmt.routing import pv_dialog
from dlgmgmt.routing.decision import Value
from dlgmgmt.routing.errors import RouteError, ScriptLimit
from dlgmgmt.routing.pv import compile_template
from dlgmgmt.routing.run import Run, valid_uri
from dlgmgmt.sip.quiet import Quiet

_QUIET = Quiet(logging.getLogger(__name__))

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
    _QUIET.warning("%s: not a SIP URI: %.200r, from %.200r", what, found, value)
    return None


def phrase(run: Run, value: str, what: str) -> str:
    """Text for a start line or a Reason, without anything that cannot be printed."""
    found = compile_template(value).expand(run, clean=True)
    if not found.isprintable():
        raise RouteError(f"{what}: not printable: {value[:200]!r}")
    return found[:MAX_PHRASE]


def number(run: Run, value: Value, what: str, limit: int, least: int = 0) -> int | None:
    """A number from ``least`` to below ``limit``, also as text; None if a variable made it none."""
    found = expand(run, value)
    try:
        return pv_dialog.number(found, what, limit, least)
    except RouteError as error:
        if not _has_variable(value):
            raise
        _QUIET.warning("%s, from %.200r", error, value)
        return None


def bounded(run: Run, value: str | int, what: str, limit: int) -> str | None:
    """Text of ``limit`` characters at most; None if a variable made it longer."""
    found = text(run, value)
    if len(found) <= limit:
        return found
    problem = f"{what}: {len(found)} characters, more than {limit}"
    if not _has_variable(value):
        raise ScriptLimit(problem)
    _QUIET.warning("%s, from %.200r", problem, value)
    return None


def flag(run: Run, value: str | int) -> int | None:
    """A flag's index, 0 to 31; a number, or text that is one; None if a variable made it none."""
    return number(run, value, "a flag", 32)


def _has_variable(value: Value) -> bool:
    return isinstance(value, str) and not compile_template(value).constant
