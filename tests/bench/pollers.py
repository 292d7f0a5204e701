"""Clients of one door that list every dialog each second: a process of its own, so that they wait
for the daemon and not for each other.

Reads what to do as JSON from the standard input, and tells at the end what came.
"""

from __future__ import annotations

import json
import re
import statistics
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from tests.sip.harness import doors
from tests.sip.harness.mi import Fifo

_MI_CALLID = re.compile(rb"^\tcallid:: (.*)$", re.MULTILINE)


class Item(msgspec.Struct):
    """Of a dialog, what is looked at."""

    h_entry: int
    h_id: int
    callid: str = msgspec.field(name="call-id")
    history: list[Any]


class Reply(msgspec.Struct):
    id: int
    result: list[Item]


_REPLY = msgspec.json.Decoder(Reply)


@dataclass
class Told:
    """What a process tells. bytes, dialogs: of all listings together."""

    kind: str
    listings: int = 0
    bytes: int = 0
    dialogs: int = 0
    median: float = 0.0
    slowest: float = 0.0
    errors: list[str] = field(default_factory=list)


class Poller(threading.Thread):
    """One client. stay: Call-IDs that are in every listing, once."""

    def __init__(self, order: dict[str, Any], number: int) -> None:
        super().__init__()
        self.order = order
        self.number = number
        self.stay = frozenset(order["stay"])
        self.took: list[float] = []
        self.bytes = 0
        self.dialogs = 0
        self.error = ""

    def run(self) -> None:
        try:
            self._poll()
        except Exception as error:  # noqa: BLE001 - told at the end
            self.error = f"{self.order['kind']} {self.number}: {type(error).__name__}: {error}"

    def _poll(self) -> None:
        end = time.monotonic() + self.order["seconds"]
        turn = time.monotonic() + self.number / self.order["clients"]
        listing = _Mi(self.order) if self.order["kind"] == "mi-fifo" else _Json(self.order)
        while turn < end:
            time.sleep(max(0.0, turn - time.monotonic()))
            began = time.monotonic()
            data = listing.ask()
            self.took.append(time.monotonic() - began)
            self.bytes += len(data)
            self._check(listing.callids(data))
            # Whoever is late asks again at once.
            turn = max(turn + 1.0, time.monotonic())

    def _check(self, callids: list[str]) -> None:
        self.dialogs += len(callids)
        found = Counter(callid for callid in callids if callid in self.stay)
        assert found == dict.fromkeys(self.stay, 1), f"{len(self.stay)} calls stay: {found}"


class _Json:
    """Over a door that streams JSON."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._door = _door(order)

    def ask(self) -> bytes:
        return self._door.exchange({"jsonrpc": "2.0", "method": "dlg.list", "id": 1})

    def callids(self, data: bytes) -> list[str]:
        items = _REPLY.decode(data).result
        numbers = {(item.h_entry, item.h_id) for item in items}
        assert len(numbers) == len(items), "a dialog is listed twice"
        return [item.callid for item in items]


def _door(order: dict[str, Any]) -> doors.JsonRpcDoor:
    kind, where, folder = order["kind"], order["where"], Path(order["folder"])
    if kind == "http":
        return doors.Http(int(where), doors.JSON)
    if kind == "websocket":
        return doors.WebSocket(int(where), doors.JSON)
    if kind == "json-fifo":
        return doors.JsonFifo(Fifo(Path(where), folder), doors.JSON)
    return doors.JsonSocket(kind, where, doors.JSON, doors.own_path(folder))


class _Mi:
    """Over the MI FIFO."""

    def __init__(self, order: dict[str, Any]) -> None:
        self._fifo = Fifo(Path(order["where"]), Path(order["folder"]))

    def ask(self) -> bytes:
        return self._fifo.call("dlg_list", timeout=doors.TIMEOUT)

    def callids(self, data: bytes) -> list[str]:
        first, *nodes = re.split(rb"\n(?=dialog::)", data)
        assert first == b"200 OK", first[:200]
        assert not nodes or data.endswith(b"\n\n"), f"cut off: {data[-80:]!r}"
        for node in nodes:
            assert b"\n\tstate_name:: " in node, f"not whole: {node!r}"
        return [text.decode() for text in _MI_CALLID.findall(data)]


def main() -> int:
    """Poll, and tell."""
    order = json.load(sys.stdin)
    pollers = [Poller(order, number) for number in range(order["clients"])]
    for poller in pollers:
        poller.start()
    for poller in pollers:
        poller.join()
    took = [each for poller in pollers for each in poller.took]
    told = Told(
        order["kind"],
        len(took),
        sum(poller.bytes for poller in pollers),
        sum(poller.dialogs for poller in pollers),
        statistics.median(took or [0.0]),
        max(took, default=0.0),
        [poller.error for poller in pollers if poller.error],
    )
    print(msgspec.json.encode(told).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
