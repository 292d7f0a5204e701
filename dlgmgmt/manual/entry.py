"""What the manual says of one name."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """What a name is."""

    PARAMETER = "parameter"
    FUNCTION = "script function"
    STATISTIC = "statistic"
    MI = "MI command"
    RPC = "RPC command"
    VARIABLE = "pseudo-variable"
    API = "API call"
    CALLBACK = "callback type"


@dataclass(slots=True, frozen=True)
class Entry:
    """One name.

    name: as the ims_dialog manual's heading has it, without its arguments. chapter: the number of
    that heading; "5+", "6+" and "10+" stand for what belongs to a chapter and is not in it, "2-1.1"
    for a number of the manual's second part. summary: one line without a full stop. text: lines of
    at most 88 columns, indented as the source needs it. signature: how it is written or called; of
    commands the registry says it while it has them. type: of a parameter, what is allowed.
    aliases: further spellings by which it is looked up. tests: pytest node ids of what proves it,
    from proofs.py.
    """

    name: str
    chapter: str
    kind: Kind
    summary: str
    text: str
    signature: str = ""
    type: str = ""
    example: str = ""
    aliases: tuple[str, ...] = ()
    tests: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """The text without the indentation of the source."""
        return inspect.cleandoc(self.text).splitlines()

    def example_lines(self) -> list[str]:
        """The example, likewise."""
        return inspect.cleandoc(self.example).splitlines()


def node_ids(path: str, *names: str) -> tuple[str, ...]:
    """The ids by which pytest knows some tests of one file."""
    return tuple(f"{path}::{name}" for name in names)
