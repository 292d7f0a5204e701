"""SIP messages as a test reads and writes them: plain, line by line, apart from the daemon's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

_SPLIT_URIS = re.compile(r',(?=\s*(?:"[^"]*"\s*)?<)')
_SPLIT_VIAS = re.compile(r",(?=\s*SIP/2\.0/)")
_TAG = re.compile(r";\s*tag=([^;,>\s]+)")


@dataclass(frozen=True)
class Message:
    """One received message; ``raw`` is the datagram."""

    raw: bytes

    @cached_property
    def _parts(self) -> tuple[str, tuple[tuple[str, str], ...], bytes]:
        head, _, body = self.raw.partition(b"\r\n\r\n")
        start, *lines = head.decode(errors="surrogateescape").split("\r\n")
        headers: list[tuple[str, str]] = []
        for line in lines:
            if line.startswith((" ", "\t")):
                name, value = headers[-1]
                headers[-1] = name, f"{value} {line.strip()}"
                continue
            name, colon, value = line.partition(":")
            assert colon, f"no header line: {line!r}"
            headers.append((name.strip(), value.strip()))
        return start, tuple(headers), body

    @property
    def start(self) -> str:
        return self._parts[0]

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return self._parts[1]

    @property
    def body(self) -> bytes:
        return self._parts[2]

    @property
    def status(self) -> int:
        """The status code, 0 for a request."""
        return int(self.start.split(" ")[1]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def reason_phrase(self) -> str:
        return self.start.split(" ", 2)[2]

    @property
    def method(self) -> str:
        """The request's method, or that of the request that a response answers."""
        return self.cseq_method if self.status else self.start.split(" ")[0]

    @property
    def uri(self) -> str:
        return self.start.split(" ")[1]

    def all(self, name: str) -> list[str]:
        """The values of a header in order, lists of Via, Route and Record-Route taken apart."""
        values = [value for key, value in self.headers if key.lower() == name.lower()]
        splitter = {"via": _SPLIT_VIAS, "route": _SPLIT_URIS, "record-route": _SPLIT_URIS}.get(
            name.lower()
        )
        if splitter is None:
            return values
        return [part.strip() for value in values for part in splitter.split(value)]

    def get(self, name: str) -> str:
        """The first value of a header, "" if there is none."""
        values = self.all(name)
        return values[0] if values else ""

    @property
    def callid(self) -> str:
        return self.get("Call-ID")

    @property
    def cseq(self) -> int:
        return int(self.get("CSeq").split()[0])

    @property
    def cseq_method(self) -> str:
        return self.get("CSeq").split()[1]

    @property
    def from_tag(self) -> str:
        return tag_of(self.get("From"))

    @property
    def to_tag(self) -> str:
        return tag_of(self.get("To"))

    @property
    def contact(self) -> str:
        """The Contact's URI."""
        return uri_of(self.get("Contact"))

    @property
    def branch(self) -> str:
        found = re.search(r";branch=([^;,\s]+)", self.get("Via"))
        return found[1] if found else ""

    def __str__(self) -> str:
        return self.raw.decode(errors="backslashreplace").replace("\r\n", "\n")


def tag_of(value: str) -> str:
    """The tag of a From or To header value, "" if there is none."""
    found = _TAG.search(value.partition(">")[2] or value)
    return found[1] if found else ""


def uri_of(value: str) -> str:
    """The URI of a name-addr, or the text itself."""
    found = re.search(r"<([^>]*)>", value)
    return found[1] if found else value


def build(start: str, headers: list[tuple[str, str]], body: bytes = b"") -> bytes:
    """A datagram; Content-Length is added."""
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body
