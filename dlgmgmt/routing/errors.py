"""What a script did wrong, as types. The runner logs them with the script's line."""

from __future__ import annotations


class ScriptFault(Exception):
    """Base of the errors that a script's own call causes."""


class RouteError(ScriptFault):
    """A function that this route does not allow, or an argument that it cannot take."""


class ScriptLimit(ScriptFault, ValueError):
    """More AVPs, headers, branches or text than one transaction may have."""


class PvError(ScriptFault, ValueError):
    """A pseudo-variable that cannot be read.

    position: where it starts in the text, counted from 0.
    """

    def __init__(self, reason: str, text: str, position: int) -> None:
        shown = text if len(text) <= 80 else text[:77] + "..."
        super().__init__(f"{reason}, at character {position} of {shown!r}")
        self.position = position
