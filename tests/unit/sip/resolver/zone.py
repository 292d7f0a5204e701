"""Records as data, and the procedure that reads them."""

from __future__ import annotations

import random
import socket

from dlgmgmt.sip.selection import (
    Candidate,
    Listening,
    Naptr,
    Question,
    Records,
    Srv,
    find,
    plan,
)
from dlgmgmt.sip.uri import parse_uri

V4 = (socket.AF_INET,)
BOTH = (socket.AF_INET, socket.AF_INET6)
UDP: Listening = {"udp": V4}
PLAIN: Listening = {"udp": V4, "tcp": V4}
ALL: Listening = {"udp": V4, "tcp": V4, "tls": V4, "ws": V4, "wss": V4}


class Zone:
    """Records by name and kind; what is asked is written down."""

    def __init__(self) -> None:
        self.known: dict[Question, Records] = {}
        self.asked: list[Question] = []

    def has(self, name: str, kind: str, *records: Naptr | Srv | str) -> Zone:
        self.known[Question(name, kind)] = records
        return self

    def find(
        self, uri: str, listening: Listening = ALL, rng: random.Random | None = None
    ) -> list[Candidate]:
        asked = plan(parse_uri(uri), listening)
        if asked is None:
            return []
        steps = find(asked, listening, rng or random.Random(1))
        try:
            questions = next(steps)
            while True:
                self.asked += questions
                questions = steps.send({each: self.known.get(each, ()) for each in questions})
        except StopIteration as stop:
            found: list[Candidate] = stop.value
            return found

    @property
    def kinds(self) -> list[str]:
        return [f"{kind} {name}" for name, kind in self.asked]


def naptr(order: int, preference: int, service: str, target: str, flags: str = "s") -> Naptr:
    return Naptr(order, preference, flags, service, target)


def srv(priority: int, weight: int, port: int, target: str) -> Srv:
    return Srv(priority, weight, port, target)
