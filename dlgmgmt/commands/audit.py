"""What is written down of a command that may change something: who, where from, what, result."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from dlgmgmt.commands.binding import Argument
from dlgmgmt.commands.registry import Value
from dlgmgmt.commands.results import Result
from dlgmgmt.dialog.views import TerminationView

MAX_TEXT = 512
"""Characters of one value that are kept."""
MAX_ARGUMENTS = 32
"""Arguments of one command that are kept."""

_TARGET = ("callid", "from_tag", "to_tag", "h_entry", "h_id")


@dataclass(slots=True, frozen=True)
class AuditRecord:
    """One command. time: Unix seconds.

    user, role: "" where none is known. door: by which interface it came. address: of the peer.
    command: the name that the client used. target: which dialog it is about, as far as the command
    or its result names one. arguments: as they were understood or, when they were not, as they
    came. code, text: of the answer, as the protocol has it; 200 for a command that was done.
    terminations: ids under which dlg.termination tells what has become of the calls it ended.
    """

    time: float
    user: str
    role: str
    door: str
    address: str
    command: str
    target: Mapping[str, Value]
    arguments: Mapping[str, object]
    reason: str
    code: int
    text: str
    terminations: tuple[int, ...] = field(default=())


class Audit(Protocol):
    """Where records go."""

    def record(self, entry: AuditRecord, /) -> None:
        """Take a record; returns at once, and raises nothing."""


def shown_arguments(
    values: Mapping[str, Value] | None, further: Sequence[str], given: Sequence[Argument]
) -> dict[str, object]:
    """The arguments by name, bounded. values: None where they could not be bound."""
    pairs: Iterable[tuple[str, object]]
    if values is None:
        pairs = ((name or str(at), value) for at, (name, value) in enumerate(given, 1))
    else:
        pairs = [*values.items(), *((f"further{at}", text) for at, text in enumerate(further, 1))]
    found: dict[str, object] = {}
    for name, value in pairs:
        if len(found) == MAX_ARGUMENTS:
            found["..."] = "more"
            break
        found[bounded(name)] = _shown(value)
    return found


def target_of(values: Mapping[str, Value], ended: Sequence[TerminationView]) -> dict[str, Value]:
    """Which dialog a command is about: what it ended, else what its parameters name."""
    if len(ended) == 1:
        [view] = ended
        found: dict[str, Value] = {
            "callid": view.callid,
            "from_tag": view.from_tag,
            "h_entry": view.h_entry,
            "h_id": view.h_id,
        }
        if "to_tag" in values:
            found["to_tag"] = values["to_tag"]
    else:
        found = {name: values[name] for name in _TARGET if name in values}
    return {
        name: bounded(value) if isinstance(value, str) else value for name, value in found.items()
    }


def terminations_of(result: Result) -> tuple[TerminationView, ...]:
    """The terminations that a command has ordered."""
    record = getattr(result, "record", None)
    return (record,) if isinstance(record, TerminationView) else ()


def bounded(text: str) -> str:
    """``text``, or its beginning and how long it was."""
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}... ({len(text)} characters)"


def _shown(value: object) -> object:
    """A value that was refused may be anything that JSON or msgpack holds, of any size."""
    if isinstance(value, str):
        return bounded(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if value.bit_length() <= 64 else "a large number"
    if isinstance(value, float):
        return repr(value)  # JSON has no word for some of them
    return "an array" if isinstance(value, (list, tuple)) else "an object"
