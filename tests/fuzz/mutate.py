"""Changed messages: a small mutator, and the messages that it begins with."""

from __future__ import annotations

import random
from pathlib import Path

_DATA = Path(__file__).parent.parent / "data" / "rfc4475"

MAX_INPUT = 65_536

_WORDS = (
    b"\r\n\r\n", b"\r\n", b"\n\n", b"\n", b"\r", b"\r\n ", b"\n\t", b"\0", b" ", b"\t", b'"', b"\\",
    b'\\"', b"<", b">", b"<>", b";", b";;", b",", b",,", b":", b"=", b"?", b"@", b"%00", b"%41",
    b"*", b"[", b"]", b"[::1]", b"[::", b"/", b"SIP/2.0", b" SIP/2.0", b"SIP/3.0",
    b"SIP/2.0 200 OK",
    b"Via: SIP/2.0/UDP h:5060;branch=z9hG4bK1\r\n", b"v: ", b"l: 0\r\n", b"Content-Length: 5\r\n",
    b"CSeq: 1 INVITE\r\n", b"To: <sip:a@b>;tag=x\r\n", b"m: *\r\n", b"Contact: ", b"Route: ",
    b"Record-Route: <sip:10.0.0.1:5060;lr;did=1.1>\r\n", b"Max-Forwards: ", b";tag=", b";branch=",
    b"z9hG4bK", b";rport", b";received=", b";maddr=10.0.0.1", b";lr", b";did=", b";transport=tcp",
    b";alias=10.0.0.1~5060~1", b";r2=on", b"sip:", b"sips:", b"tel:", b"INVITE", b"ACK", b"BYE",
    b"CANCEL", b"PRACK", b"RAck: 1 1 INVITE\r\n", b"Event: refer;id=1\r\n", b"\xff", b"\x80",
    b"\xc3\xa9", b"\xe2\x80\xa8", b"\xc2\xa0", b"\xd9\xa3", b"\xc2\x85", b"\x0b", b"\x0c", b"\x1c",
)  # fmt: skip
_NUMBERS = (
    b"0", b"1", b"-1", b"00", b"255", b"256", b"65535", b"65536", b"2147483647", b"2147483648",
    b"4294967296", b"999999999", b"9999999999", b"9" * 40, b"1e3", b"\xd9\xa3", b"\xb2", b"+1",
)  # fmt: skip
_DIGITS = frozenset(b"0123456789")

_REQUEST = (
    b"INVITE sip:bob@10.0.1.1:5060;user=phone SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.9.1:5060;branch=z9hG4bKabc;rport\r\n"
    b"Via: SIP/2.0/TCP [2001:db8::1]:5060;branch=z9hG4bKdef, SIP/2.0/TLS host;branch=z9hG4bKghi\r\n"
    b"Max-Forwards: 70\r\n"
    b"Route: <sip:10.0.0.1:5060;lr;did=a1.b2>, <sip:10.0.0.2;lr>\r\n"
    b"Record-Route: <sip:10.0.0.3;lr>\r\n"
    b'From: "A \\"quoted\\" <name>, with; marks" <sip:alice@a.example;user=phone>;tag=a-1;x=y\r\n'
    b"To: sip:bob@b.example;tag=b\r\n"
    b"Call-ID: 1@10.0.9.1\r\n"
    b"CSeq: 17 INVITE\r\n"
    b'Contact: "Alice, or; not" <sip:alice@10.0.9.1:5060?Subject=x>;expires=5\r\n'
    b"Session-Expires: 1800;refresher=uac\r\n"
    b"Subject: one\r\n  two\r\n\tthree\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 5\r\n\r\nv=0\r\n"
)
_REPLY = (
    b"SIP/2.0 200 OK\r\n"
    b"v: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1.2\r\n"
    b"v: SIP/2.0/UDP 10.0.9.1:5060;branch=z9hG4bKabc;rport=5060;received=10.0.9.1\r\n"
    b"f: <sip:alice@a.example>;tag=a\r\n"
    b"t: <sip:bob@b.example>;tag=b\r\n"
    b"i: 1@10.0.9.1\r\n"
    b"CSeq: 17 INVITE\r\n"
    b"m: <sip:bob@10.0.1.1>\r\n"
    b"Record-Route: <sip:10.0.0.1:5060;lr;did=a1.b2>,<sip:10.0.0.3;lr>\r\n"
    b"Retry-After: 5 (later);duration=1\r\n"
    b"x: 90\r\n"
    b"l: 0\r\n\r\n"
)
_SHORT = b"BYE sip:a SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: a:b\r\nt: a:b\r\ni: 1\r\nCSeq: 1 BYE\r\n\r\n"


def valid() -> list[bytes]:
    """Messages with a Content-Length that fits."""
    return [_REQUEST, _REPLY]


def seeds() -> list[bytes]:
    """Valid messages, and those of RFC 4475."""
    return [*valid(), _SHORT, *(path.read_bytes() for path in sorted(_DATA.glob("*.dat")))]


class Mutator:
    """Changes one of ``corpus`` in a few places; rng decides everything."""

    def __init__(self, rng: random.Random, corpus: list[bytes]) -> None:
        self.rng = rng
        self.corpus = corpus
        self._ways = (
            self._flip, self._word, self._word, self._word, self._number, self._cut, self._copy,
            self._splice, self._line_out, self._line_twice, self._line_from, self._lines_swapped,
            self._ends, self._fold, self._case, self._many,
        )  # fmt: skip

    def make(self) -> bytes:
        """Another input, of at most MAX_INPUT bytes."""
        data = self.rng.choice(self.corpus)
        for _ in range(1 + int(self.rng.expovariate(0.5))):
            data = self.rng.choice(self._ways)(data)
        return data[:MAX_INPUT]

    def change(self, data: bytes) -> bytes:
        """``data``, changed in one place."""
        return self.rng.choice(self._ways)(data)[:MAX_INPUT]

    def _span(self, data: bytes, most: int = 40) -> tuple[int, int]:
        start = self.rng.randint(0, len(data))
        return start, min(len(data), start + self.rng.randint(0, most))

    def _flip(self, data: bytes) -> bytes:
        if not data:
            return data
        at = self.rng.randrange(len(data))
        return data[:at] + bytes([self.rng.randrange(256)]) + data[at + 1 :]

    def _word(self, data: bytes) -> bytes:
        start, end = self._span(data, 8)
        if self.rng.random() < 0.6:
            end = start
        return data[:start] + self.rng.choice(_WORDS) + data[end:]

    def _number(self, data: bytes) -> bytes:
        places = [i for i, byte in enumerate(data) if byte in _DIGITS]
        if not places:
            return data
        start = end = self.rng.choice(places)
        while start and data[start - 1] in _DIGITS:
            start -= 1
        while end < len(data) and data[end] in _DIGITS:
            end += 1
        return data[:start] + self.rng.choice(_NUMBERS) + data[end:]

    def _cut(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] if self.rng.random() < 0.1 else data[:start] + data[end:]

    def _copy(self, data: bytes) -> bytes:
        start, end = self._span(data)
        at = self.rng.randint(0, len(data))
        return data[:at] + data[start:end] + data[at:]

    def _splice(self, data: bytes) -> bytes:
        other = self.rng.choice(self.corpus)
        return data[: self.rng.randint(0, len(data))] + other[self.rng.randint(0, len(other)) :]

    def _pick_line(self, data: bytes) -> tuple[list[bytes], int]:
        lines = data.split(b"\r\n")
        return lines, self.rng.randrange(len(lines))

    def _line_out(self, data: bytes) -> bytes:
        lines, at = self._pick_line(data)
        del lines[at]
        return b"\r\n".join(lines)

    def _line_twice(self, data: bytes) -> bytes:
        lines, at = self._pick_line(data)
        lines.insert(self.rng.randint(0, len(lines)), lines[at])
        return b"\r\n".join(lines)

    def _line_from(self, data: bytes) -> bytes:
        lines, at = self._pick_line(data)
        others, which = self._pick_line(self.rng.choice(self.corpus))
        lines.insert(at, others[which])
        return b"\r\n".join(lines)

    def _lines_swapped(self, data: bytes) -> bytes:
        lines, at = self._pick_line(data)
        to = self.rng.randrange(len(lines))
        lines[at], lines[to] = lines[to], lines[at]
        return b"\r\n".join(lines)

    def _ends(self, data: bytes) -> bytes:
        return data.replace(b"\r\n", b"\n", self.rng.choice((1, 3, -1)))

    def _fold(self, data: bytes) -> bytes:
        places = [i for i, byte in enumerate(data) if byte == 32]
        if not places:
            return data
        at = self.rng.choice(places)
        return data[:at] + self.rng.choice((b"\r\n ", b" \r\n\t", b"\n ")) + data[at + 1 :]

    def _case(self, data: bytes) -> bytes:
        start, end = self._span(data)
        return data[:start] + data[start:end].swapcase() + data[end:]

    def _many(self, data: bytes) -> bytes:
        """One short piece very often: what takes quadratic time shows itself."""
        start, end = self._span(data, 12)
        piece = self.rng.choice(_WORDS) if self.rng.random() < 0.5 else data[start:end]
        if self.rng.random() < 0.3:
            piece += self.rng.choice(_WORDS)
        times = self.rng.choice((3, 30, 300, MAX_INPUT // max(len(piece), 1)))
        if times > 30 and self.rng.random() < 0.8:
            # Long ones are rare, or nothing else would be tried.
            times = 10
        return data[:start] + piece * times + data[start:]
