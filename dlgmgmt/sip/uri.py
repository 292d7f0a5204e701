"""SIP URIs (RFC 3261 19.1), as far as a proxy must read them."""

from __future__ import annotations

import functools
import re
import sys
from typing import NamedTuple

from dlgmgmt.sip.errors import BadUri
from dlgmgmt.sip.grammar import param

DEFAULT_PORT = 5060
DEFAULT_PORTS = {"tls": 5061, "ws": 80, "wss": 443}
MAX_CACHED = 256
"""The longest text whose reading is remembered."""
_REMEMBERED = 2048

_URI = re.compile(
    r"(sips?):(?:([^@\s]*)@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9\-._]+)(?::([0-9]{1,5}))?"
    r"((?:;[^?\s]*)?)((?:\?\S*)?)",
    re.IGNORECASE | re.ASCII,
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):", re.ASCII)


class Uri(NamedTuple):
    """scheme and host in lower case, host without brackets; user and params as they stood."""

    scheme: str
    user: str
    host: str
    port: int | None
    params: str
    headers: str

    @property
    def loose(self) -> bool:
        """Whether the ``lr`` parameter is there (RFC 3261 16.4)."""
        return param(self.params, "lr") is not None

    @property
    def transport(self) -> str:
        """udp, tcp, tls, ws or wss, by what the URI says (RFC 3261 26.2.2, RFC 7118)."""
        named = (self.param("transport") or "").lower()
        if self.scheme == "sips":
            return "wss" if named in ("ws", "wss") else "tls"
        return named or "udp"

    @property
    def default_port(self) -> int:
        """The port of a URI that names none (RFC 3261 19.1.2, RFC 7118 5.5)."""
        return DEFAULT_PORTS.get(self.transport, DEFAULT_PORT)

    def param(self, name: str) -> str | None:
        """A URI parameter's value, "" without a value, None if absent."""
        return param(self.params, name)

    def without_maddr(self) -> str:
        """The URI as text without port, maddr and transport, for the place that they name."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        params = [
            param
            for param in self.params.split(";")[1:]
            if param.partition("=")[0].lower() not in ("maddr", "transport")
        ]
        who = f"{self.user}@" if self.user else ""
        return ";".join([f"{self.scheme}:{who}{host}", *params]) + self.headers

    def with_user(self, user: str) -> str:
        """The URI as text, with ``user`` in place of its own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port is not None else ""
        who = f"{user}@" if user else ""
        return f"{self.scheme}:{who}{host}{port}{self.params}"


def parse_uri(text: str) -> Uri:
    """Read a sip: or sips: URI; BadUri with 416 for another scheme, else with 400."""
    # What is kept must be short: thousands of URIs as long as a datagram would fill the memory.
    return _cached(text) if len(text) <= MAX_CACHED else _parse(text)


def _parse(text: str) -> Uri:
    match = _URI.fullmatch(text)
    # No blank of any script: in a Request-URI it would end the URI for some reader.
    if match is None or len(text.split()) != 1:
        named = _SCHEME.match(text)
        if named is not None and named[1].lower() not in ("sip", "sips"):
            raise BadUri(416, "Unsupported URI Scheme")
        raise BadUri(400, "Bad URI")
    port = int(match[4]) if match[4] else None
    if port is not None and not 0 < port < 65536:
        raise BadUri(400, "Bad URI port")
    host = match[3].lower()
    if host[0] == "[":
        host = host[1:-1]
    # There are many users at few hosts, and what is read here is kept.
    scheme, host = sys.intern(match[1].lower()), sys.intern(host)
    return Uri(scheme, match[2] or "", host, port, match[5], match[6])


_cached = functools.lru_cache(maxsize=_REMEMBERED)(_parse)
