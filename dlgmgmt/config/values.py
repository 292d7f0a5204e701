"""Readers of single parameter values: each takes what TOML gave and returns it checked.

A reader raises TypeError or ValueError for a value that it does not take; what it does take is
said by its ``allowed`` text, which the error message shows. Those of the dialog core's own
parameters are in ``dialog_values.py``.
"""

from __future__ import annotations

import grp
import ipaddress
import os
import pwd
import re
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlgmgmt.dialog.errors import BadExtraHeaders
from dlgmgmt.sip.errors import BadUri
from dlgmgmt.sip.settings import Listener
from dlgmgmt.sip.uri import parse_uri

TRANSPORTS = ("udp", "tcp", "tls", "ws", "wss")

_TOKEN = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}", re.ASCII)
_ESCAPES = {"r": "\r", "n": "\n", "t": "\t", "\\": "\\"}
_ESCAPE = re.compile(r"\\([rnt\\])")
_HOST_NAME = re.compile(r"[a-z0-9](?:[a-z0-9\-.]{0,252}[a-z0-9])?")
_HOST_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([^:\[\]]+)):([0-9]{1,5})")


class Refused(ValueError):
    """A value that is not taken for a reason that the message is to tell."""


@dataclass(slots=True, frozen=True)
class Reader:
    """How a value is read, and what is allowed in words.

    from_text: makes of plain text, as a command line has it, what TOML would have given; text
    that is none of it stays as it is, and ``read`` refuses it.
    """

    read: Callable[[Any], Any]
    allowed: str
    from_text: Callable[[str], object] = str


def require(condition: object) -> None:
    """Raise ValueError unless it holds."""
    if not condition:
        raise ValueError


def as_text(value: object) -> str:
    """The value if it is text; TypeError otherwise."""
    if not isinstance(value, str):
        raise TypeError
    return value


def _number_in(text: str) -> object:
    return int(text) if _INTEGER.fullmatch(text) else text


def _switch_in(text: str) -> object:
    return {"true": True, "false": False}.get(text.lower(), _number_in(text))


def escapes_in(text: str) -> object:
    r"""Text with \r, \n, \t and \\ as the characters that they stand for."""
    return _ESCAPE.sub(lambda match: _ESCAPES[match[1]], text)


def integer(low: int, high: int) -> Reader:
    """A whole number in ``low..high``."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError
        require(low <= value <= high)
        return value

    return Reader(read, f"an integer from {low} to {high}", _number_in)


def seconds(low: float, high: float) -> Reader:
    """A time in seconds, whole or fractional."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise TypeError
        require(low <= value <= high)  # false for nan
        return float(value)

    return Reader(read, f"seconds, a number from {low:g} to {high:g}")


def one_of(*choices: str) -> Reader:
    """One of some words."""

    def read(value: object) -> str:
        require(as_text(value) in choices)
        return as_text(value)

    return Reader(read, " or ".join(f'"{choice}"' for choice in choices))


def switch() -> Reader:
    """On or off; the manual writes 1 and 0."""

    def read(value: object) -> bool:
        if not isinstance(value, int):
            raise TypeError
        require(value in (0, 1))
        return bool(value)

    return Reader(read, "true or false (or 1 or 0)", _switch_in)


def token() -> Reader:
    """An RFC 3261 token."""

    def read(value: object) -> str:
        require(len(as_text(value)) <= 64 and _TOKEN.fullmatch(as_text(value)))
        return as_text(value)

    return Reader(read, "an RFC 3261 token of at most 64 characters: letters, digits, -.!%*_+`'~")


def header_text() -> Reader:
    """The value of a header, on one line."""

    def read(value: object) -> str:
        text = as_text(value)
        require(0 < len(text) <= 200 and text.isprintable() and text == text.strip())
        return text

    return Reader(read, "1 to 200 printable characters on one line, no space at either end")


def header_lines() -> Reader:
    """Complete header lines, by the rule for those that an operator gives with a command."""

    def read(value: object) -> str:
        # Here, so that dlgctl, which needs only the run directory, does not load the SIP engine.
        from dlgmgmt.sip.terminate import check_extra_headers  # noqa: PLC0415

        try:
            return check_extra_headers(as_text(value))
        except BadExtraHeaders as error:
            raise ValueError from error

    return Reader(
        read,
        r'header lines, each "Name: value\r\n", of headers that the daemon does not set itself, '
        'at most 4096 characters, or ""',
        escapes_in,
    )


def octal_mode() -> Reader:
    """A file mode, written as chmod takes it."""

    def read(value: object) -> int:
        text = as_text(value)
        require(1 <= len(text) <= 4 and set(text) <= set(string.octdigits))
        mode = int(text, 8)
        require(mode <= 0o777)
        return mode

    return Reader(read, 'an octal file mode as a string, "0000" to "0777", such as "0660"')


def absolute_path() -> Reader:
    """A path that does not depend on where the daemon is started."""

    def read(value: object) -> str:
        text = as_text(value)
        require(text.isprintable() and len(os.fsencode(text)) < 4096)
        path = Path(text)
        require(path.is_absolute() and ".." not in path.parts and path.name)
        return str(path)

    return Reader(read, 'an absolute path without ".."')


def or_empty(reader: Reader) -> Reader:
    """What ``reader`` takes, or empty text for nothing."""

    def read(value: object) -> object:
        return value if value == "" else reader.read(value)

    return Reader(read, f'{reader.allowed}, or ""', reader.from_text)


def user() -> Reader:
    """A user by name or number, given back as text."""
    return Reader(
        lambda value: _account(value, pwd.getpwnam),
        "the name of a user of this machine, or a user id",
    )


def group() -> Reader:
    """A group by name or number, given back as text."""
    return Reader(
        lambda value: _account(value, grp.getgrnam),
        "the name of a group of this machine, or a group id",
    )


def _account(value: object, look_up: Callable[[str], object]) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = as_text(value)
    if text.isdecimal() and text.isascii():
        require(int(text) < 2**32 - 1)  # the last one means "unchanged" to chown
        return text
    try:
        look_up(text)
    except KeyError:
        raise ValueError from None
    return text


def numeric_host_port(text: str) -> tuple[str, int]:
    """A numeric address, IPv6 in brackets, and a port; ValueError for anything else."""
    match = _HOST_PORT.fullmatch(text)
    if match is None:
        raise ValueError
    address = ipaddress.ip_address(match[1] or match[2])
    require((address.version == 6) == (match[1] is not None))
    port = int(match[3])
    require(port < 65536)
    return str(address), port


def host_port() -> Reader:
    """An HTTP listener."""

    def read(value: object) -> tuple[str, int]:
        return numeric_host_port(as_text(value))

    return Reader(read, 'a numeric address and a port, such as "127.0.0.1:8080" or "[::1]:8080"')


def listener(value: object) -> Listener:
    """One SIP socket as it is written; ValueError or TypeError for what is none."""
    transport, colon, rest = as_text(value).partition(":")
    require(colon and transport in TRANSPORTS)
    host, port = numeric_host_port(rest)
    return Listener(transport, host, port)


def listeners() -> Reader:
    """SIP sockets."""

    def read(value: object) -> tuple[Listener, ...]:
        if not isinstance(value, list):
            raise TypeError
        found = tuple(listener(item) for item in value)
        require(0 < len(found) <= 32)
        # One port of TCP serves one of the four that are made of it.
        fixed = [(one.transport == "udp", one.host, one.port) for one in found if one.port]
        require(len(set(fixed)) == len(fixed))
        return found

    return Reader(
        read,
        "a list of 1 to 32 different sockets, udp, tcp, tls, ws or wss and a numeric address, "
        'such as ["udp:127.0.0.1:5060", "tls:[::1]:5061"]',
    )


def sip_targets() -> Reader:
    """Next hops."""

    def one(value: object) -> str:
        text = as_text(value)
        require(text.isprintable() and len(text) <= 1024)
        try:
            uri = parse_uri(text)
        except BadUri as error:
            raise ValueError from error
        require(uri.scheme == "sip" and not uri.headers)
        require((uri.param("transport") or "udp").lower() in TRANSPORTS)
        return text

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise TypeError
        require(0 < len(value) <= 64)
        return tuple(one(item) for item in value)

    return Reader(
        read,
        "a list of 1 to 64 sip: URIs, with ;transport=tcp, tls, ws or wss if need be, "
        'such as ["sip:127.0.0.1:5090"]',
    )


def domain() -> Reader:
    """A Request-URI's host, in lower case, IPv6 without brackets as the URI reader gives it."""

    def read(value: object) -> str:
        text = as_text(value).lower()
        if text.startswith("[") and text.endswith("]"):
            return str(ipaddress.IPv6Address(text[1:-1]))
        require(_HOST_NAME.fullmatch(text))
        return text

    return Reader(read, "a host name, an IPv4 address or an IPv6 address in brackets, no port")


def user_prefix() -> Reader:
    """The start of a Request-URI's user part."""

    def read(value: object) -> str:
        text = as_text(value)
        require(0 < len(text) <= 128 and text.isprintable() and not set(text) & set(" @<>"))
        return text

    return Reader(read, '1 to 128 characters of a SIP user part, such as "2" or "+49"')
