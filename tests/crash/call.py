"""One call as its two phones know it: what they have sent, what has come, and since when."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.sip.harness.message import Message

Side = Literal["caller", "callee"]
SIDES: tuple[Side, Side] = ("caller", "callee")


@dataclass(frozen=True)
class Plan:
    """What will happen in a call.

    legs: phones that answer; 0: the callee is busy. ring: seconds until the answer. within: a
    request within the call, with its sender, so many seconds after the answer. stay: seconds until
    somebody (``hangs_up``) ends it, for ever if nobody does.
    """

    legs: int = 1
    ring: float = 0.0
    within: tuple[tuple[float, Side, str], ...] = ()
    stay: float = math.inf
    hangs_up: Side = "caller"


def mixed(rng: random.Random, *, held: float = 0.1) -> Plan:
    """A call of a busy hour. held: how many of them stay until they are killed."""
    if rng.random() < 0.04:
        return Plan(legs=0)
    legs = 2 if rng.random() < 0.1 else 1
    ring = 0.0 if rng.random() < 0.7 else rng.uniform(0.02, 0.5)
    hangs_up: Side = rng.choice(SIDES)
    if rng.random() < 0.3:
        # Many end at once: such a call need not see the database at all.
        return Plan(legs, ring, (), rng.uniform(0.0, 0.15), hangs_up)
    within = tuple(
        (rng.uniform(0.0, 3.0), rng.choice(SIDES), rng.choice(("INVITE", "INVITE", "INFO")))
        for _ in range(rng.choice((0, 0, 0, 1, 2)))
    )
    stay = math.inf if rng.random() < held else 0.3 + rng.expovariate(1 / 4.0)
    return Plan(legs, ring, within, stay, hangs_up)


@dataclass
class Leg:
    """One answer to the INVITE. cseq: of the last request that each party has sent, 0: of none.

    killed: the CSeq of the daemon's own BYEs, by the party that got them.
    """

    to_tag: str
    cseq: dict[Side, int]
    acked: bool = False
    ended: bool = False
    killed: dict[Side, list[int]] = field(default_factory=lambda: {"caller": [], "callee": []})

    def right_cseq(self, to: Side, invite: int) -> int:
        """What a BYE of the daemon's own to a party has to carry: one more than the other's."""
        sent = self.cseq["caller" if to == "callee" else "callee"]
        return (sent or invite) + 1


@dataclass
class Call:
    """phase: "calling", "up", "ended" or "lost" (the daemon died before it was up).

    busy: what is under way. unacked: INVITEs within the call that a party has answered, and whose
    ACK has not come to it. settled: when the last of it had been seen by the other party, which is
    after the daemon had seen it. began: when the last of it began. known: the daemon must have it
    as the phones have it; it need not once it was ended too soon after a change.
    """

    callid: str
    plan: Plan
    cseq: int
    name: str
    phase: str = "calling"
    legs: dict[str, Leg] = field(default_factory=dict)
    invite: Message | None = None
    routes: list[str] = field(default_factory=list)
    busy: set[tuple[object, ...]] = field(default_factory=set)
    unacked: set[tuple[Side, int]] = field(default_factory=set)
    began: float = 0.0
    settled: float = 0.0
    ended_at: float = 0.0
    killed: bool = False
    known: bool = True

    @property
    def from_tag(self) -> str:
        return f"f-{self.name}"

    def to_tag(self, number: int) -> str:
        return f"t{number}-{self.name}"

    def up(self) -> list[Leg]:
        """The legs that go on."""
        return [leg for leg in self.legs.values() if not leg.ended]

    def differs(self, item: dict[str, Any]) -> list[str]:
        """What the daemon's listing says otherwise than the phones."""
        found = [f"{self.callid}: {text}" for text in self._differs(item)]
        shown = {leg["to_tag"]: leg for leg in item["legs"]}
        for leg in self.up():
            if leg.to_tag not in shown:
                found.append(f"{self.callid}: leg {leg.to_tag} is not there")
                continue
            theirs = shown[leg.to_tag]
            numbers = theirs["caller_cseq"], theirs["callee_cseq"]
            right = leg.cseq["caller"], leg.cseq["callee"] or self.cseq
            if numbers != right:
                found.append(f"{self.callid} {leg.to_tag}: CSeqs {numbers}, not {right}")
        return found

    def _differs(self, item: dict[str, Any]) -> Iterator[str]:
        state = 7 if len(self.up()) > 1 else 4
        if item["ims_state"] != state:
            yield f"state {item['ims_state']}, not {state}"
        if item["caller"]["tag"] != self.from_tag:
            yield f"From tag {item['caller']['tag']}"
        if len(item["legs"]) != len(self.up()):
            yield f"legs {[leg['to_tag'] for leg in item['legs']]}"

    def wrong_byes(self) -> str:
        """What is wrong with the BYEs by which the daemon has ended it; "" if all is right."""
        for leg in self.up():
            for side in SIDES:
                right, got = leg.right_cseq(side, self.cseq), leg.killed[side]
                if got != [right]:
                    return f"{self.callid} {leg.to_tag}: BYE {got} at the {side}, not [{right}]"
        return ""
