"""The recorded JSON-RPC requests sent to the daemon, and the phones of the recordings."""

from __future__ import annotations

import http.client
import json
import os
import re
import select
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from .daemon import Daemon
from .message import Message
from .peer import Callee, Caller, Leg, response
from .phones import Phones
from .rpc_captures import DATA, Reply, compare, replayed

# -- sending ---------------------------------------------------------------------------------------


def _split(message: bytes) -> tuple[str, dict[str, str], bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = dict(line.split(": ", 1) for line in lines if ": " in line)
    return first, fields, body


def _decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", "replace")


def read_recorded(case: str) -> Reply:
    data = (DATA / f"{case}.rep").read_bytes()
    if "/fifo/" in case or not data.startswith(b"HTTP/"):
        return 200, _decoded(data)
    first, _, body = _split(data)
    return int(first.split()[1]), _decoded(body)


class Doors:
    """The daemon's HTTP server and JSON FIFO."""

    def __init__(self, daemon: Daemon, fifo: Path, replies: Path) -> None:
        self.daemon = daemon
        self.fifo, self.replies = fifo, replies

    def send(self, case: str, change: Callable[[bytes], bytes]) -> Reply:
        request = (DATA / f"{case}.req").read_bytes()
        return self._fifo(change(request)) if "/fifo/" in case else self._http(request, change)

    def _http(self, request: bytes, change: Callable[[bytes], bytes]) -> Reply:
        first, fields, body = _split(request)
        method, path, _ = first.split()
        kept = {
            key: value for key, value in fields.items() if key not in ("Host", "Content-Length")
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.daemon.http_port, timeout=20)
        try:
            connection.request(method, path, change(body) if body else None, kept)
            answer = connection.getresponse()
            return answer.status, _decoded(answer.read())
        finally:
            connection.close()

    def _fifo(self, request: bytes) -> Reply:
        reply = self.replies / "ref56_reply"
        os.mkfifo(reply, 0o660)
        handle = os.open(reply, os.O_RDONLY | os.O_NONBLOCK)
        try:
            with self.fifo.open("wb", buffering=0) as fifo:
                fifo.write(request.rstrip(b"\n") + b"\n")
            quiet = b'"id"' not in request
            return 200, _decoded(_read(handle, 0.5 if quiet else 10.0))
        finally:
            os.close(handle)
            reply.unlink()


def _read(handle: int, patience: float) -> bytes:
    """All that is written before the other end is closed; nothing if nothing comes."""
    end = time.monotonic() + patience
    data = b""
    while time.monotonic() < end:
        ready, _, _ = select.select([handle], [], [], 0.05)
        if not ready:
            continue
        piece = os.read(handle, 65536)
        if piece:
            data += piece
        elif data:
            return data
        else:
            # Nobody has opened it yet.
            time.sleep(0.01)
    return data


# -- the situations --------------------------------------------------------------------------------


class RpcStage:
    """The phones of the recordings, under their names."""

    def __init__(self, doors: Doors, phones: Phones, hold: int, early: int) -> None:
        self.daemon = daemon = doors.daemon
        self.doors = doors
        self._phones = phones
        self._callees = {
            user: phones.callee(daemon, callid="?", port=port)
            for user, port in (("hold", hold), ("early", early))
        }
        self.legs: dict[str, Leg] = {}
        self.callers: dict[str, Caller] = {}

    def _dial(self, user: str, callid: str, from_tag: str, to_tag: str) -> tuple[Caller, Callee]:
        caller = self._phones.caller(self.daemon, callid=callid, tag=from_tag)
        callee = self._callees[user]
        callee.callid, callee.tag = callid, to_tag
        caller.invite(f"sip:{user}@{self.daemon.hostport}")
        callee.take()
        callee.ring()
        caller.expect(180)
        self.callers[callid] = caller
        return caller, callee

    def hold(self, callid: str, from_tag: str, to_tag: str) -> None:
        """A call that is answered."""
        caller, callee = self._dial("hold", callid, from_tag, to_tag)
        callee.answer()
        self.legs[callid] = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        self.daemon.wait_state(callid, 4)

    def early(self, callid: str, from_tag: str, to_tag: str) -> Message:
        """A call that rings."""
        _, callee = self._dial("early", callid, from_tag, to_tag)
        return callee.invite

    def refuse(self, callid: str) -> None:
        """The ringing call is refused."""
        self._callees["early"].refuse(486)
        self.callers[callid].ack_failure(self.callers[callid].expect(486))
        self.daemon.wait_gone(callid, 15)

    def callee(self, callid: str) -> Callee:
        """The phone that has answered a call."""
        self._callees["hold"].callid = callid
        return self._callees["hold"]

    def byes(self, callid: str) -> None:
        """Both sides of an answered call are told its end, and agree."""
        for phone in (self.callers[callid], self.callee(callid)):
            phone.send(response(phone.expect("BYE"), 200))
        self.daemon.wait_gone(callid, 15)

    def cancelled(self, callid: str) -> None:
        """Both sides of a ringing call are told its end."""
        self._callees["early"].take_cancel()
        self.callers[callid].ack_failure(self.callers[callid].expect(488))
        self.daemon.wait_gone(callid, 15)

    def hang_up(self, callid: str) -> None:
        self.legs[callid].bye(self.callee(callid))
        self.daemon.wait_gone(callid, 15)

    def numbers(self, callid: str) -> bytes:
        """h_entry and h_id of a call as parameters."""
        found = self.daemon.dialog(callid)
        assert found is not None
        h_entry, h_id = found.hash.split(":")
        return f"{h_entry}, {h_id}".encode()

    def replay(self, folder: str, names: Iterable[str] = (), numbers: bytes = b"") -> None:
        """Send recorded requests (all of a folder without names) and compare the replies."""
        problems: list[str] = []
        for name in names or sorted(path.stem for path in (DATA / folder).glob("*.req")):
            case = f"{folder}/{name}"
            replayed.add(case)

            def change(request: bytes) -> bytes:
                if numbers:
                    request = re.sub(rb'"params": \[\d+, \d+', b'"params": [' + numbers, request)
                return request.replace(b"ALICE.*5071", b"ALICE.*example")

            reply = self.doors.send(case, change)
            try:
                compare(case, read_recorded(case), reply)
            except (AssertionError, KeyError, TypeError) as error:
                problems.append(f"{case}: {error}\nrecorded {read_recorded(case)}\nhere {reply}")
        assert not problems, "\n\n".join(problems)
