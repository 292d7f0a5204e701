"""The messages of RFC 4475, and a proxy that they are sent to."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

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


def answer(mail: Mail, status: bytes, tag: bytes = b"callee") -> bytes:
    """The answer of whom a request was forwarded to."""
    request = Raw.of(mail.sip.raw)
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
