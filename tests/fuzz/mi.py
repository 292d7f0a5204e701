"""MI: a FIFO's stream says the same however it comes, a datagram is one request, all is answered.

Whatever went before on the FIFO, the command that comes next is found.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Callable
from pathlib import Path

from dlgmgmt.commands.errors import MgmtProtocol
from dlgmgmt.commands.rows import build_registry
from dlgmgmt.interfaces.mi_fifo import MiBinding
from mi_fifo import (
    MiBadRequest,
    MiReply,
    MiRequest,
    RequestParser,
    parse_datagram,
    render,
    render_datagram,
)
from mi_fifo.datagram import encode_datagram
from mi_fifo.errors import RequestUnsendable
from mi_fifo.grammar import Event, encode_request
from tests.unit.commands.harness import House

MODULES = (
    "mi_fifo.grammar",
    "mi_fifo.params",
    "mi_fifo.datagram",
    "mi_fifo.reply",
    "dlgmgmt.interfaces.mi_render",
)

_DATA = Path(__file__).parent.parent / "data" / "mi-4.4"
_MAX = 20_000
_MAX_DATAGRAM = 4096
_LATER = MiRequest("uptime", (), "later")
_FAILED = re.compile("500 command '.*' failed")
_STATUS = re.compile(r"[1-6][0-9]{2} .*")


def check(data: bytes) -> None:
    """Raise if ``data`` is read wrongly, from a FIFO or a datagram, or answered wrongly."""
    rng = random.Random(data)
    events = _read([data])
    assert _read(_pieces(data, rng)) == events
    assert _read([data, b"\n:uptime:later\n\n"])[-1] == _LATER
    binding = MiBinding(_house().dispatcher)
    for event in events:
        assert event.reply_name is None or _is_file_name(event.reply_name)
    for event in events[:6]:
        if isinstance(event, MiRequest):
            _check_reply(binding(event))
            _check_encoding(event)
    _check_datagram(data, binding)


def _read(pieces: list[bytes]) -> list[Event]:
    """What a FIFO's reader finds when nothing follows."""
    parser = RequestParser()
    events: list[Event] = []
    for piece in pieces:
        events += parser.feed(piece, 0.0)
    for _ in range(4):
        if parser.deadline is None:
            return events
        events += parser.expire(parser.deadline)
    raise AssertionError("it waits for ever")


def _is_file_name(name: str) -> bool:
    return 0 < len(name) <= 128 and "/" not in name and not name.startswith(".")


def _check_datagram(data: bytes, binding: MiBinding) -> None:
    found = parse_datagram(data, _MAX_DATAGRAM)
    if isinstance(found, MiBadRequest):
        # What looks like a reply is not answered, or two daemons would talk for ever.
        assert (found.reply_name is None) == bool(re.match(rb"[0-9]{3}(?![0-9])", data))
        text = b"".join(render_datagram(MiReply(400, found.text)))
        assert text.startswith(b"400 ")
        assert text.count(b"\n") == 1
        return
    assert found.reply_name == ""
    assert len(data) <= _MAX_DATAGRAM
    whole = b"".join(render_datagram(binding(found)))
    assert not whole.endswith(b"\n\n")
    _check_text(whole)
    try:
        again = encode_datagram(found.command, found.params, _MAX_DATAGRAM)
    except RequestUnsendable:
        return
    assert parse_datagram(again, _MAX_DATAGRAM) == found


def _check_encoding(request: MiRequest) -> None:
    """What the client would send for it is read as it."""
    try:
        data = encode_request(*request)
    except RequestUnsendable:
        return
    assert _read([data]) == [request]


def _check_reply(reply: MiReply) -> None:
    whole = b"".join(render(reply))
    assert whole.endswith(b"\n\n") == reply.final_blank
    _check_text(whole)


def _check_text(whole: bytes) -> None:
    """A status line, and lines without a character that a terminal obeys."""
    first, *lines = whole.decode().split("\n")
    assert _STATUS.fullmatch(first), first
    assert not _FAILED.fullmatch(first), first
    for line in (first, *lines):
        assert line.lstrip("\t").isprintable(), line


def _pieces(data: bytes, rng: random.Random) -> list[bytes]:
    most = rng.choice((1, 2, 7, 60, 5000) if len(data) < 2000 else (60, 5000))
    pieces = []
    while data:
        size = 1 + int(rng.random() * most)
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def _house() -> House:
    house = House(hash_size=16)
    house.call("call-0@ref", "uac-0")
    house.invite("call-1@ref", "uac-1", from_uri="sip:\x1b[2J\udcff@x", contact='sip:"\u202e')
    return house


@functools.cache
def seeds() -> list[bytes]:
    """The recorded requests."""
    return [path.read_bytes() for path in sorted(_DATA.glob("*/*.req"))]


_WORDS: tuple[bytes, ...] = (
    b"\n", b"\n\n", b"\r\n", b"\r", b":", b"::", b":::", b'"', b'\\"', b"\\", b'""', b" ", b"\t",
    b"\0", b"\x1b", b"\x7f", b"\xff", b"\xc3\xa9", b"/", b"..", b".", b"200 OK\n", b"404",
    b":dlg_list:", b":which:x\n\n", b":uptime:r1\n", b"callid::", b"x:: ", b'h_entry::"1"\n',
    b":a:b:c:d\n", b"\n:version:r2\n\n", b"y" * 130, b"z" * 1100, b"w" * 9000,
)  # fmt: skip
_VALUES = (
    "", "call-0@ref", "call-1@ref", "uac-0", "uas5190-1", "0", "1", "-1", "4095", "99999999999",
    "all", "dialog:", "x" * 300, 'a "b" c', "back\\", "two\nlines", ":uptime:x", "a::b", "\udcff",
    "X-Why: because\r\n", "sip:a@b", "on", "udp:127.0.0.1:9", "a\tb", " led", "trail ",
)  # fmt: skip


class Requests:
    """Good requests, whole or changed, one after the other."""

    def __init__(self, rng: random.Random, corpus: list[bytes]) -> None:
        self.rng = rng
        self._corpus = corpus
        self._names = build_registry().names(MgmtProtocol.MI)
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip, self._word, self._word, self._word, self._cut, self._copy, self._splice,
        )  # fmt: skip

    def make(self) -> bytes:
        """Another stream."""
        rng = self.rng
        data = b"".join(
            self._request() if rng.random() < 0.7 else rng.choice(self._corpus)
            for _ in range(rng.choice((1, 1, 1, 2, 5)))
        )
        if rng.random() < 0.2:
            return data[:_MAX]
        for _ in range(int(rng.expovariate(0.6))):
            data = rng.choice(self._ways)(data)
        return data[:_MAX]

    def _request(self) -> bytes:
        rng = self.rng
        lines = [f":{rng.choice(self._names)}:{rng.choice(('r1', 'r1', '', 'a/b', 'x' * 128))}"]
        for _ in range(rng.randrange(5)):
            value = rng.choice(_VALUES)
            if rng.random() < 0.4:
                value = '"' + value.replace('"', '\\"') + '"'
            lines.append(rng.choice(("", "", "callid::", "h_id:: ", "::")) + value)
        end = rng.choice(("\n\n", "\n\n", "\n", ""))
        return ("\n".join(lines) + end).encode("utf-8", "surrogateescape")

    def _at(self, data: bytes) -> int:
        return self.rng.randint(0, len(data))

    def _flip(self, data: bytes) -> bytes:
        at = self._at(data)
        return data[:at] + bytes([self.rng.randrange(256)]) + data[at + 1 :]

    def _word(self, data: bytes) -> bytes:
        at = self._at(data)
        over = self.rng.choice((0, 0, 1, 3))
        return data[:at] + self.rng.choice(_WORDS) + data[at + over :]

    def _cut(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:first] + data[last:]

    def _copy(self, data: bytes) -> bytes:
        first, last = sorted((self._at(data), self._at(data)))
        return data[:last] + data[first:last] * self.rng.choice((1, 1, 2, 40)) + data[last:]

    def _splice(self, data: bytes) -> bytes:
        return data[: self._at(data)] + self.rng.choice(self._corpus)[self._at(data) // 2 :]
