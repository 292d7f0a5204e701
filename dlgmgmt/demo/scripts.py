"""Who calls whom in the demo, and how each phone behaves. Times in seconds."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass

from dlgmgmt.demo.call import Call
from dlgmgmt.demo.phone import OnCall

Range = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Line:
    """One caller's endless series of calls to one user.

    talk: how long an answered call lasts before the caller hangs up. patience: how long the
    caller lets it ring before cancelling. pause: between two calls. hold: whether the caller
    puts the call on hold once.
    """

    caller: str
    callee: str
    talk: Range
    patience: float = 20.0
    pause: Range = (0.3, 1.0)
    hold: bool = False


@dataclass(frozen=True, slots=True)
class Answering:
    """What a phone does with a call.

    ring: how long it rings before it does so. action: "answer", "busy" (486) or "ignore".
    hold: whether it puts the caller on hold once. talk: when it hangs up itself, None for never.
    """

    ring: Range
    action: str = "answer"
    hold: bool = False
    talk: Range | None = None


# Four conversations, one call that always rings and one that is refused now and then: four to
# six calls to be seen at any moment.
LINES = (
    Line("alice", "bob", talk=(20.0, 60.0), hold=True),
    Line("carol", "dave", talk=(90.0, 90.0)),
    Line("erin", "judy", talk=(20.0, 60.0)),
    Line("alice", "sales", talk=(20.0, 60.0)),
    Line("carol", "frank", talk=(20.0, 60.0), patience=10.0),
    Line("erin", "ivan", talk=(20.0, 60.0), pause=(4.0, 8.0)),
)

ANSWERING = {
    "bob": Answering(ring=(1.0, 3.0)),
    "dave": Answering(ring=(1.0, 4.0), talk=(20.0, 60.0)),
    "judy": Answering(ring=(2.0, 4.0), hold=True),
    "grace": Answering(ring=(2.0, 5.0)),
    "heidi": Answering(ring=(2.0, 5.0)),
    "frank": Answering(ring=(0.0, 0.0), action="ignore"),
    "ivan": Answering(ring=(2.0, 4.0), action="busy"),
}

# Users that are reached at more than one phone: all of them ring.
GROUPS = {"sales": ("grace", "heidi")}


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the people are: every human time is drawn from a range and multiplied."""

    rng: random.Random
    factor: float = 1.0

    def draw(self, times: Range) -> float:
        """A time from the range."""
        return self.rng.uniform(*times) * self.factor


async def within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; whether it came within ``seconds``."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


def answering(behaviour: Answering, pace: Pace) -> OnCall:
    """The phone's handler of incoming calls for a behaviour."""

    async def on_call(call: Call) -> None:
        call.ring()
        if behaviour.action == "ignore" or await within(call.ended, pace.draw(behaviour.ring)):
            await call.ended.wait()
            return
        if behaviour.action == "busy":
            call.reject()
            return
        call.answer()
        if behaviour.hold and not await within(call.ended, pace.draw((4.0, 8.0))):
            await _hold_a_while(call, pace)
        if behaviour.talk is not None:
            if not await within(call.ended, pace.draw(behaviour.talk)):
                call.hang_up()
        else:
            await call.ended.wait()

    return on_call


async def place(line: Line, pace: Pace, dial: Callable[[], Call]) -> Call:
    """One call of a line, from dialling to its end."""
    call = dial()
    try:
        if not await _answered(call, line.patience * pace.factor):
            call.hang_up()
        elif line.hold and not await within(call.ended, pace.draw((4.0, 8.0))):
            await _hold_a_while(call, pace)
        if call.answered.is_set() and not await within(call.ended, pace.draw(line.talk)):
            call.hang_up()
        # Bounded: a transaction reports 408 when nothing comes, a cancelled one as well.
        await call.ended.wait()
    finally:
        call.hang_up()
    return call


async def _answered(call: Call, patience: float) -> bool:
    waits = [asyncio.ensure_future(event.wait()) for event in (call.answered, call.ended)]
    try:
        await asyncio.wait(waits, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
    return call.answered.is_set()


async def _hold_a_while(call: Call, pace: Pace) -> None:
    if await call.hold() == 200 and not await within(call.ended, pace.draw((3.0, 8.0))):
        await call.resume()
