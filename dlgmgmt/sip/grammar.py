"""Pieces of SIP syntax: lists, parameters, name-addr and Via (RFC 3261 section 25).

All patterns are linear: no input makes them try more than one way (possessive quantifiers).
"""

from __future__ import annotations

import functools
import re
from typing import NamedTuple

from dlgmgmt.sip.errors import BadMessage

TOKEN = r"[A-Za-z0-9\-.!%*_+`'~]++"  # noqa: S105 - a pattern
_QUOTED = r'"(?:[^"\\]|\\.)*+"'

_TOKEN = re.compile(TOKEN, re.ASCII)
_NAME_ADDR = re.compile(rf"\s*+(?:{_QUOTED}|[^<\",;]*+)\s*+<([^>]*+)>([\s\S]*)", re.ASCII)
_ADDR_SPEC = re.compile(r"\s*+([^\s;<>\",]++)\s*+((?:;[\s\S]*)?)", re.ASCII)
_TAG = re.compile(rf";\s*+tag\s*+=\s*+({TOKEN})", re.ASCII | re.IGNORECASE)
_VIA = re.compile(
    r"\s*+SIP\s*+/\s*+2\.0\s*+/\s*+([A-Za-z0-9\-]++)\s++"
    r"(\[[0-9A-Fa-f:.]++\]|[A-Za-z0-9\-._]++)(?:\s*+:\s*+([0-9]{1,5}))?\s*+((?:;[\s\S]*)?)",
    re.ASCII | re.IGNORECASE,
)
_PARAM = re.compile(
    rf";\s*+([^\s;=]++)\s*+(?:=\s*+({_QUOTED}|\[[0-9A-Fa-f:.]*+\]|[^\s;\"]*+))?\s*+", re.ASCII
)
# Empty parameters are refused, but for a last one, which some send.
_VIA_PARAMS = re.compile(
    rf"(?:;\s*+[^\s;=]++\s*+(?:=\s*+(?:{_QUOTED}|[^\s;\"]*+)\s*+)?)*+;?\s*+", re.ASCII
)
_BRANCH = re.compile(r";\s*+branch\s*+=\s*+([^\s;,\"]++)", re.ASCII | re.IGNORECASE)
_LIST_PART = re.compile(rf"(?:{_QUOTED}|<[^>]*+>|[^,\"<])*+")


class NameAddr(NamedTuple):
    """``uri`` as it stands between the angle brackets (or alone); ``params`` with their ``;``."""

    uri: str
    params: str


class Via(NamedTuple):
    """One Via value: transport, sent-by host (IPv6 in brackets), port (None if absent)."""

    transport: str
    host: str
    port: int | None
    params: str


def split_list(value: str) -> list[str]:
    """Split a comma-separated header value; quotes and angle brackets protect their commas."""
    if "," not in value:
        return [value.strip()] if value else []
    parts = []
    pos = 0
    while pos <= len(value):
        match = _LIST_PART.match(value, pos)
        end = match.end() if match else pos
        if end < len(value) and value[end] != ",":
            raise BadMessage(400, "Bad header list")
        parts.append(value[pos:end].strip())
        pos = end + 1
    return [part for part in parts if part]


def first_part_end(value: str) -> int:
    """Where the first element of a comma-separated value ends."""
    if "," not in value:
        return len(value)
    match = _LIST_PART.match(value)
    return match.end() if match else len(value)


def name_addr(value: str, header: str) -> NameAddr:
    """Read a From, To, Contact, Route or Record-Route value; BadMessage names ``header``."""
    if '"' not in value:
        # The common form, without a pattern.
        start, end = value.find("<"), value.find(">")
        if 0 <= start < end and "," not in value[:start] and ";" not in value[:start]:
            return NameAddr(value[start + 1 : end].strip(), value[end + 1 :])
    match = _NAME_ADDR.fullmatch(value)
    if match is None:
        match = _ADDR_SPEC.fullmatch(value)
        if match is None:
            raise BadMessage(400, f"Bad {header} header")
    return NameAddr(match[1].strip(), match[2])


def tag_of(params: str) -> str:
    """The tag parameter, "" if there is none."""
    if not params:
        return ""
    if params.startswith(";tag="):
        tag = params[5:]
        if ";" in tag:
            tag = tag[: tag.find(";")]
        if tag.replace("-", "").isalnum() and tag.isascii():
            return tag
    if '"' in params:
        # What looks like a tag within quotes is none.
        match = _TOKEN.fullmatch(param(params, "tag") or "")
        return match[0] if match else ""
    match = _TAG.search(params)
    return match[1] if match else ""


def party_tag(value: str, header: str) -> str:
    """The tag of a From or To value, "" if there is none; BadMessage names ``header``."""
    if '"' not in value:
        # The common form, without a pattern: the tag is the last parameter.
        address, found, tag = value.partition(">;tag=")
        start = address.find("<") if found else -1
        if (
            start >= 0
            and tag.replace("-", "").isalnum()
            and tag.isascii()
            and ";" not in address[:start]
            and ">" not in address
        ):
            return tag
    return tag_of(name_addr(value, header).params)


def via(value: str) -> Via:
    """Read one Via value."""
    if (
        value.startswith("SIP/2.0/UDP ")
        and ";;" not in value
        and '"' not in value
        and value.find(" ", 12) < 0
    ):
        # The common form, without a pattern.
        end = value.find(";")
        where = _sent_by(value[12:end]) if 12 < end < 300 else None
        if where is not None:
            return Via("UDP", *where, value[end:])
    match = _VIA.fullmatch(value)
    if match is None or _VIA_PARAMS.fullmatch(match[4]) is None:
        raise BadMessage(400, "Bad Via header")
    port = int(match[3]) if match[3] else None
    if port is not None and not 0 < port < 65536:
        raise BadMessage(400, "Bad Via port")
    return Via(match[1].upper(), match[2].lower(), port, match[4])


@functools.lru_cache(maxsize=4096)
def _sent_by(text: str) -> tuple[str, int] | None:
    """Host and port of a plain sent-by; None for one that the pattern has to read."""
    host, _, number = text.partition(":")
    if (
        host.replace(".", "").replace("-", "").isalnum()
        and host.isascii()
        and number.isdecimal()
        and number.isascii()
        and len(number) < 6
        and 0 < int(number) < 65536
    ):
        return host.lower(), int(number)
    return None


def params(text: str) -> dict[str, str | None]:
    """Parameters by lower-case name, None for one without ``=``; the first of a name wins."""
    found: dict[str, str | None] = {}
    for match in _PARAM.finditer(text):
        found.setdefault(match[1].lower(), match[2])
    return found


def branch_of(text: str) -> str:
    """The branch parameter of a Via, "" without one: read from every message, so by itself."""
    match = _BRANCH.search(text)
    return match[1] if match else ""


def param(text: str, name: str) -> str | None:
    """One parameter's value; "" when it has none, None when it is absent."""
    if name not in text and name not in text.lower():
        return None
    found = params(text)
    if name not in found:
        return None
    return found[name] or ""
