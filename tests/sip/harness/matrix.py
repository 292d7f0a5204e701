"""The same calls of all commands, for one door after the other, and what makes answers comparable.

Each door has calls of its own, whose names differ in the door's alone, and ends them all at last.
What differs by its nature from call to call or from second to second is masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.registry import Command, Registry

from .crowd import Crowd
from .doors import Answer, Door, Params
from .rpc import Rpc

_MI, _RPC = MgmtProtocol.MI, MgmtProtocol.RPC

DOMAIN = ".matrix"
STAY, ENDED = "stay", "ended"
WHO_ASKS = "ctl.who"
LAST = "dlg2.end_all_active_dlg"

# What these tell is never the same twice: threads, connections, counters.
MOVING = frozenset(
    [
        *("core.info", "core.ps", "core.psa", "core.psx", "dlg.db_status"),
        *("stats.clear_statistics", "stats.fetch", "stats.fetchn"),
        *("stats.get_statistics", "stats.reset_statistics"),
    ]
)
# Values that depend on the clock, on chance, or on what was done before.
_VOLATILE = frozenset(
    [
        "h_entry",
        "h_id",
        "hash",
        "id",
        "ref",
        "start_ts",
        "init_ts",
        "end_ts",
        "ordered_ts",
        "ended_ts",
        "finished_ts",
        "duration",
        "timeout",
        "timeout_left",
        "now",
        "up_since",
        "uptime",
        "outcome",
        "did",
        "Entry",
        "Id",
        "Dialog-ID",
        "Ref",
        "number",
        "time",
        "size",
        "message",
        "cursor",
        "age",
    ]
)
_CHANCE = re.compile(r"(?:did|branch)=[^;>\s\"]+")
_NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Step:
    """A call of a command. kind: what is tried. failure: why it must be refused, None if not."""

    command: Command
    name: str
    kind: str
    params: Params
    failure: Failure | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.kind})"


@dataclass
class Plan:
    """The steps for one door. given: values for a command where the usual ones will not do.

    termination: the number of one that was ordered for the door before.
    """

    registry: Registry
    crowd: Crowd
    rpc: Rpc
    given: Mapping[str, Sequence[object]] = field(default_factory=dict)
    termination: int = 0

    def callid(self, door: str, victim: str = STAY) -> str:
        return f"{victim}@{door}{DOMAIN}"

    def victims(self) -> list[str]:
        """Who is changed or ended: one call for each name of such a command."""
        return [
            name
            for command in self.registry.commands
            if command.permission != "view"
            for name in (*command.mi_names, *command.rpc_names)
        ]

    def place(self, door: str) -> None:
        """Set up the calls of a door, and end one of them."""
        self.crowd.place([self.callid(door, name) for name in (STAY, ENDED, *self.victims())])
        ended = self.callid(door, ENDED)
        ordered = self.rpc.call("dlg.terminate_dlg", ended, *self.crowd.tags(ended))
        self.termination = int(ordered["id"])

    def steps(self, protocol: MgmtProtocol, door: str, *, named: bool) -> Iterator[Step]:
        """First what is refused and changes nothing; at last what ends all calls."""
        yield from self.refused(protocol, named=named)
        for name, command in self._rows(protocol):
            values = self.values(door, name, command)
            yield Step(command, name, "valid", values)
            if named and values and command.permission == "view":
                params = zip((param.name for param in command.params), values, strict=False)
                yield Step(command, name, "named", dict(params))

    def _rows(self, protocol: MgmtProtocol) -> Iterator[tuple[str, Command]]:
        names = self.registry.names(protocol)
        for name in sorted(names, key=lambda name: name == LAST):
            command = self.registry.lookup(protocol, name)
            assert command is not None
            yield name, command

    def refused(self, protocol: MgmtProtocol, *, named: bool) -> Iterator[Step]:
        """What changes nothing."""
        for name, command in self._rows(protocol):
            yield from self._refused(protocol, name, command, named=named)

    def _refused(
        self, protocol: MgmtProtocol, name: str, command: Command, *, named: bool
    ) -> Iterator[Step]:
        # Over MI, what is given by its name has no place.
        params = [each for each in command.params if protocol is _RPC or not each.by_name]
        required = _required(command)
        usual: list[object] = ["1"] * len(params)
        variadic = bool(params) and params[-1].variadic
        if required:
            yield Step(command, name, "missing", usual[: required - 1], Failure.TOO_FEW)
        if not variadic and protocol not in command.ignore_extra:
            yield Step(command, name, "surplus", [*usual, "1"], Failure.TOO_MANY)
        wrong: object = "x" if protocol is _MI else 1.5
        for at, param in enumerate(params):
            if protocol is _RPC or param.type == "integer":
                values = [*usual[:at], wrong, *usual[at + 1 : required]]
                yield Step(command, name, f"wrong {param.name}", values, Failure.BAD_VALUE)
        if named:
            yield Step(command, name, "unknown name", {"bogus": 1}, Failure.UNKNOWN_PARAMETER)

    def values(self, door: str, name: str, command: Command) -> Sequence[object]:
        """What a valid call is given."""
        victim = STAY if command.permission == "view" else name
        callid = self.callid(door, victim)
        if name in self.given:
            return [
                value.format(callid=callid) if isinstance(value, str) else value
                for value in self.given[name]
            ]
        from_tag, to_tag = self.crowd.tags(callid)
        known: dict[str, object] = {
            "callid": callid,
            "from_tag": from_tag,
            "to_tag": to_tag,
            "profile": "all",
            "state": 4,
            "id": self.termination,
        }
        needed = [param.name for param in command.params[: _required(command)]]
        if "h_entry" in needed:
            found = self.rpc.call("dlg.dlg_list", callid)
            known |= {"h_entry": found["h_entry"], "h_id": found["h_id"]}
        shown = dict(zip(needed, command.example.params, strict=False))
        return [known.get(param, shown.get(param)) for param in needed]


def _required(command: Command) -> int:
    """Up to the place of the last parameter that is required."""
    return max((at for at, each in enumerate(command.params, 1) if each.required), default=0)


Outcomes = dict[str, object]


def outcomes(plan: Plan, door: Door) -> Outcomes:
    """What a door has answered to each step, comparable."""
    protocol = _MI if door.protocol == "mi" else _RPC
    found: Outcomes = {}
    for step in plan.steps(protocol, door.name, named=protocol is _RPC):
        answer = door.call(step.name, step.params)
        refused = answer.error is not None
        assert refused == (step.failure is not None), f"{door.name}: {step}: {answer}"
        if step.name == WHO_ASKS and isinstance(answer.result, list):
            # BINRPC's own connections: the asker is among them, or nobody is.
            answer = Answer([])
        if step.name in MOVING and answer.error is None and door.protocol != "mi":
            answer = Answer(shape(answer.result))
        found[str(step)] = comparable(answer, door)
    unknown = door.call("no.such_command", ["1"])
    assert unknown.error is not None
    found["unknown command"] = comparable(unknown, door)
    return found


def comparable(answer: Answer, door: Door) -> object:
    """An answer without what differs from door to door and from second to second."""
    if answer.error is not None:
        return answer.error, answer.detail
    if door.protocol == "mi":
        return _masked_text(answer.result, door.name)
    return masked(answer.result, door.name)


def _masked_text(text: str, door: str) -> list[str]:
    """The nodes of an MI reply, without the calls of other doors."""
    nodes = re.split(r"\n(?=[^\t])", text.rstrip("\n"))
    own = [node for node in nodes if DOMAIN not in node or f"@{door}{DOMAIN}" in node]
    texts = [_CHANCE.sub("~", node.replace(f"@{door}{DOMAIN}", "@DOOR")) for node in own]
    return sorted(_NUMBER.sub("N", text) for text in texts)


def masked(value: Any, door: str) -> Any:
    """A value without what is volatile, and lists without the calls of other doors."""
    if isinstance(value, dict):
        return {
            key: "~" if key in _VOLATILE else masked(member, door) for key, member in value.items()
        }
    if isinstance(value, list):
        own = [each for each in value if not _of_another(each, door)]
        members = [masked(each, door) for each in own]
        return sorted(members, key=json.dumps) if len(own) > 1 else members
    if isinstance(value, str):
        text = value.replace(f"@{door}{DOMAIN}", "@DOOR")
        return _NUMBER.sub("N", text) if " = " in text or "\n" in text else text
    return value


def shape(value: Any) -> Any:
    """The types in a value, and how they are nested."""
    if isinstance(value, dict):
        return {key: shape(member) for key, member in value.items()}
    if isinstance(value, list):
        shapes = {json.dumps(shape(member)): shape(member) for member in value}
        return [shapes[text] for text in sorted(shapes)]
    return type(value).__name__


def _of_another(value: object, door: str) -> bool:
    text = json.dumps(value)
    return DOMAIN in text and f"@{door}{DOMAIN}" not in text


def difference(one: Any, other: Any, where: str = "") -> str:
    """The first place where two values differ, "" if there is none."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        pairs = [(f"{where}.{key}", one[key], other[key]) for key in one]
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = [(f"{where}[{at}]", each, other[at]) for at, each in enumerate(one)]
    else:
        same = one == other and type(one) is type(other)
        return "" if same else f"{where}: {str(one)[:300]} is not {str(other)[:300]}"
    return next((found for at, a, b in pairs if (found := difference(a, b, at))), "")
