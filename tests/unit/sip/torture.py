"""The messages of RFC 4475, and a proxy that they are sent to."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from dlgmgmt.sip.flow import Address
from dlgmgmt.sip.resolver import Resolver
from dlgmgmt.sip.settings import DnsSettings, Route
from tests.unit.sip.harness import SETTINGS, House, Mail

FOLDER = Path(__file__).parents[2] / "data" / "rfc4475"
NAMES = sorted(path.stem for path in FOLDER.glob("*.dat"))

# Nobody's address but that of the sender, wherever the message says that it comes from a name.
SENDER = "10.0.9.9", 5060
HOSTS = {
    "example.com": "10.0.2.1",
    "example.net": "10.0.2.2",
    "example.org": "10.0.2.3",
    "services.example.com": "10.0.2.4",
    "registrar.example.com": "10.0.2.5",
    "company.com": "10.0.2.6",
    "host28.example.com": "10.0.2.7",
    "host198.example.com": "10.0.2.7",
}
# Only what is for this proxy itself is routed: all else goes where its Request-URI says.
TORTURED = replace(SETTINGS, routes=(Route(("sip:10.0.1.1",), domain="10.0.0.1", user_prefix="1"),))


class Way(NamedTuple):
    """Where a message goes, and its Max-Forwards there."""

    host: str
    hops: int
    port: int = 5060

    @property
    def addr(self) -> Address:
        return HOSTS.get(self.host, self.host), self.port


FORWARDED = {
    "wsinv": Way("services.example.com", 67),
    "intmeth": Way("example.com", 254),
    "esc01": Way("example.net", 86),
    "escnull": Way("example.com", 69),
    "esc02": Way("registrar.example.com", 69),
    "lwsdisp": Way("example.com", 69),
    "longreq": Way("example.com", 69),
    "dblreq": Way("example.com", 7),
    "semiuri": Way("example.com", 2),
    "transports": Way("example.com", 69),
    "mpart01": Way("127.0.0.1", 69, 5080),
    "baddate": Way("example.com", 69),
    "regbadct": Way("example.com", 69),
    "badaspec": Way("example.org", 69),
    "badbranch": Way("example.com", 2),
    "unksm2": Way("example.com", 69),
    "invut": Way("example.com", 69),
    "regaut01": Way("example.com", 7),
    "cparam01": Way("example.com", 69),
    "cparam02": Way("example.com", 69),
    "regescrt": Way("example.com", 69),
    "sdp01": Way("example.com", 4),
    "inv2543": Way("example.com", 70),
}


class Answer(NamedTuple):
    """What a message is answered. port: of the reply, where the topmost Via says another."""

    status: int
    reason: str
    port: int = 5060


REFUSED = {
    # Its topmost Via has empty parameters.
    "badinv01": Answer(400, "Bad Via header"),
    "clerr": Answer(400, "Body shorter than Content-Length"),
    "ncl": Answer(400, "Bad Content-Length"),
    "scalar02": Answer(400, "Bad CSeq header"),
    "quotbal": Answer(400, "Bad To header", 5050),
    # What is wrong in a request line is not repaired: the next hop might repair it otherwise.
    "ltgtruri": Answer(400, "Bad URI"),
    "lwsruri": Answer(400, "Bad request line"),
    "lwsstart": Answer(400, "Bad request line"),
    "trws": Answer(400, "Bad request line"),
    "escruri": Answer(400, "Headers in the Request-URI"),
    # A proxy that understood it would have to forward it corrected.
    "baddn": Answer(400, "Bad To header"),
    "badvers": Answer(505, "Version Not Supported"),
    "mismatch01": Answer(400, "CSeq method does not match"),
    "mismatch02": Answer(400, "CSeq method does not match"),
    "insuf": Answer(400, "Missing call-id header"),
    "unkscm": Answer(416, "Unsupported URI Scheme"),
    "novelsc": Answer(416, "Unsupported URI Scheme"),
    "bext01": Answer(420, "Bad Extension", 5061),
    "multi01": Answer(400, "Several from headers"),
    "mcl01": Answer(400, "Several Content-Length headers"),
    # RFC 3261 11: an OPTIONS that may go no further is answered where it is.
    "zeromf": Answer(200, "OK"),
}
REPLIES = ("unreason", "noreason", "scalarlg", "bigcode", "bcast")

# The header fields that a proxy owns; all others keep their bytes.
_OWNED = {b"via", b"v", b"record-route", b"route", b"max-forwards"}


def read(name: str) -> bytes:
    return (FOLDER / f"{name}.dat").read_bytes()


def know_names(home: House, folder: Path) -> None:
    """Let the proxy know the hosts of the messages."""
    hosts = folder / "hosts"
    hosts.write_text("".join(f"{address} {name}\n" for name, address in HOSTS.items()))
    home.world.locator.resolver = Resolver(
        DnsSettings(), monotonic=lambda: home.world.now, rng=random.Random(3), hosts=str(hosts)
    )


@dataclass
class Raw:
    """A message as bytes: start line, header lines with their folds, body."""

    start: bytes
    lines: list[bytes]
    body: bytes

    @classmethod
    def of(cls, data: bytes) -> Raw:
        head, _, body = data.partition(b"\r\n\r\n")
        start, *rest = head.split(b"\r\n")
        lines: list[bytes] = []
        for line in rest:
            if line[:1] in (b" ", b"\t"):
                lines[-1] += b"\r\n" + line
            else:
                lines.append(line)
        return cls(start, lines, body)

    @staticmethod
    def name(line: bytes) -> bytes:
        return line.partition(b":")[0].strip().lower()

    def named(self, *names: bytes) -> list[bytes]:
        return [line for line in self.lines if self.name(line) in names]

    @property
    def vias(self) -> list[bytes]:
        return self.named(b"via", b"v")

    @property
    def kept(self) -> list[bytes]:
        """The lines that are not the proxy's."""
        return [line for line in self.lines if self.name(line) not in _OWNED]

    def hops(self) -> int | None:
        lines = self.named(b"max-forwards")
        return int(lines[0].partition(b":")[2]) if lines else None

    def cut(self) -> bytes:
        """The body as long as Content-Length says."""
        lengths = self.named(b"content-length", b"l")
        return self.body[: int(lengths[0].partition(b":")[2])] if lengths else self.body


def unfolded(line: bytes) -> bytes:
    """The value of a header line."""
    return re.sub(rb"[ \t]*\r\n[ \t]+", b" ", line.partition(b":")[2]).strip()


def send(home: House, data: bytes, source: Address = SENDER) -> list[Mail]:
    """Send one datagram; what the proxy sent on account of it."""
    home.world.take()
    home.world.receive(data, source)
    return home.world.take()


def answer(forwarded: bytes, status: bytes, tag: bytes = b"callee") -> bytes:
    """The answer of whom a request was forwarded to."""
    request = Raw.of(forwarded)
    to = request.named(b"to", b"t")[0]
    if b"tag" not in to.rpartition(b">")[2]:
        to += b";tag=" + tag
    lines = [b"SIP/2.0 " + status, *request.vias, *request.named(b"record-route"), to]
    lines += request.named(b"from", b"f") + request.named(b"call-id", b"i")
    lines += [*request.named(b"cseq"), b"Content-Length: 0", b"", b""]
    return b"\r\n".join(lines)


def serves(home: House) -> None:
    """A plain call goes through and ends."""
    call = home.talk()
    home.alice.within(call.caller, "BYE")
    home.bob.reply(home.bob.one("BYE"), 200)
    home.alice.one("200")
