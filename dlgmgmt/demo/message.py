"""As much of SIP's text as a phone needs: take a message apart, put one together.

Text is held as Latin-1, so that what is sent back (Via, From, Record-Route) has the bytes that
came in, whatever they were.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass

MAX_HEADERS = 200
MAX_CSEQ = 2**31 - 1

_COMPACT = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "c": "content-type",
    "s": "subject",
    "k": "supported",
}
_NEEDED = ("via", "from", "to", "call-id", "cseq")


class BadMessage(ValueError):
    """A datagram that is not a usable SIP message; the text says why."""


@dataclass(slots=True)
class Message:
    """A request (``status`` 0) or a response (``method`` that of its CSeq, ``uri`` empty).

    ``headers`` holds lower-case long names and unfolded values, in order.
    """

    method: str
    uri: str
    status: int
    phrase: str
    cseq: int
    headers: list[tuple[str, str]]
    body: bytes

    def get(self, name: str) -> str:
        """The first value of a header, empty if there is none."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a header that is a comma-separated list, in order."""
        return [item for key, value in self.headers if key == name for item in split_list(value)]

    @property
    def via(self) -> str:
        """The topmost Via value."""
        return self.all("via")[0]

    @property
    def branch(self) -> str:
        """The branch parameter of the topmost Via, empty if it has none."""
        return params(self.via).get("branch") or ""


def parse(data: bytes) -> Message:
    """Take a datagram apart; raises BadMessage."""
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        raise BadMessage("no empty line after the headers")
    start, *lines = head.decode("latin-1").split("\r\n")
    if len(lines) > MAX_HEADERS:
        raise BadMessage(f"more than {MAX_HEADERS} header lines")
    headers = _headers(lines)
    first = dict(reversed(headers))
    for name in _NEEDED:
        if not first.get(name):
            raise BadMessage(f"no {name} header")
    number, _, method = first["cseq"].partition(" ")
    method = method.strip()
    cseq = _number(number, MAX_CSEQ, "CSeq")
    length = first.get("content-length")
    if length is not None:
        size = _number(length, 65_535, "Content-Length")
        if size > len(body):
            raise BadMessage("body shorter than its Content-Length")
        body = body[:size]
    if not split_list(first["via"]):
        raise BadMessage("empty Via")
    words = start.split(" ", 2)
    if len(words) == 3 and words[0] == "SIP/2.0":
        status = _number(words[1], 699, "status")
        if status < 100:
            raise BadMessage("status below 100")
        return Message(method, "", status, words[2], cseq, headers, body)
    if len(words) != 3 or words[2] != "SIP/2.0" or not words[0] or not words[1]:
        raise BadMessage("neither a request line nor a status line")
    if words[0] != method:
        raise BadMessage("CSeq names another method")
    return Message(method, words[1], 0, "", cseq, headers, body)


def _headers(lines: Iterable[str]) -> list[tuple[str, str]]:
    headers: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in (" ", "\t"):
            if not headers:
                raise BadMessage("a folded line before any header")
            name, value = headers[-1]
            headers[-1] = (name, f"{value} {line.strip()}")
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if not colon or not name:
            raise BadMessage("a header line without a name")
        headers.append((_COMPACT.get(name, name), value.strip()))
    return headers


def _number(text: str, limit: int, what: str) -> int:
    text = text.strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10) or int(text) > limit:
        raise BadMessage(f"{what} is not a number up to {limit}")
    return int(text)


def build(start: str, headers: Iterable[tuple[str, str]], body: str = "") -> bytes:
    """A message's bytes; Content-Type (SDP) and Content-Length are added."""
    lines = [start, *(f"{name}: {value}" for name, value in headers)]
    if body:
        lines.append("Content-Type: application/sdp")
    lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1", "replace")


def split_list(value: str) -> list[str]:
    """Split at the commas that stand outside quotes and angle brackets."""
    items: list[str] = []
    current: list[str] = []
    quoted = escaped = False
    depth = 0
    for char in value:
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char == "<":
            depth += 1
        elif char == ">":
            depth = max(0, depth - 1)
        elif char == "," and not depth:
            items.append("".join(current).strip())
            current = []
            continue
        current.append(char)
    items.append("".join(current).strip())
    return [item for item in items if item]


def params(value: str) -> dict[str, str | None]:
    """The header parameters of a From, To, Contact, Route or Via value, names in lower case."""
    _, bracket, rest = value.rpartition(">")
    if not bracket:
        rest = value
    found: dict[str, str | None] = {}
    for part in rest.split(";")[1:]:
        name, equals, text = part.partition("=")
        found.setdefault(name.strip().lower(), text.strip() if equals else None)
    return found


def tag(value: str) -> str:
    """The tag of a From or To value, empty if it has none."""
    return params(value).get("tag") or ""


def uri_of(value: str) -> str:
    """The URI of a name-addr or addr-spec."""
    _, bracket, rest = value.partition("<")
    if bracket:
        return rest.partition(">")[0].strip()
    return value.partition(";")[0].strip()


def user_of(value: str) -> str:
    """The user part of the URI in a header value, fit to be shown; "somebody" if none."""
    user, at, _ = uri_of(value).rpartition("@")
    return clean(user.partition(":")[2] if at else "") or "somebody"


def is_loose(route: str) -> bool:
    """Whether a Route value's URI has the ``lr`` parameter (RFC 3261 19.1.1)."""
    parts = uri_of(route).split(";")[1:]
    return any(part.partition("=")[0].strip().lower() == "lr" for part in parts)


def address(uri: str) -> tuple[str, int] | None:
    """Numeric host and port (default 5060) of a SIP URI; None for a name or nonsense."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "sip":
        return None
    return host_port(rest.partition(";")[0].partition("?")[0].rpartition("@")[2])


def host_port(text: str) -> tuple[str, int] | None:
    """Numeric ``host[:port]`` with IPv6 in brackets; None for a name or nonsense."""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
    else:
        host, _, rest = text.partition(":")
        rest = f":{rest}" if rest else ""
    port = rest[1:] if rest.startswith(":") else "5060"
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and 0 < int(port) < 65_536):
        return None
    return host, int(port)


def show(address: tuple[str, int]) -> str:
    """``host:port`` for a SIP URI or a Via, IPv6 in brackets."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def clean(text: str, limit: int = 120) -> str:
    """Text from the network made fit for a terminal: printable ASCII, cut to ``limit``."""
    shown = "".join(char if " " <= char <= "~" else "?" for char in text[:limit])
    return shown + ("..." if len(text) > limit else "")
