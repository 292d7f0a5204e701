"""Readers of what only the tables within ``[sip]``, and ``[trace]``, have."""

from __future__ import annotations

import ipaddress
import os
from pathlib import Path

from dlgmgmt.config import values as v
from dlgmgmt.config.values import Reader, Refused, as_text, require
from dlgmgmt.interfaces.settings import MAX_UNIX_PATH, Kind, SocketAddress
from dlgmgmt.sip.settings import Listener, Network

MAX_NETWORKS = 1024

_DNS_PORT = 53
_DOOR_KINDS: tuple[Kind, ...] = ("unixs", "unixd", "tcp", "udp")


def one_listener() -> Reader:
    """A SIP socket, one of those that ``sip.listen`` has."""

    def read(value: object) -> Listener:
        return v.listener(value)

    return Reader(read, 'a socket of sip.listen, such as "udp:127.0.0.1:5060"')


def networks(least: int = 0) -> Reader:
    """Ranges of addresses, ``least`` at least."""

    def one(value: object) -> Network:
        text = as_text(value)
        try:
            return ipaddress.ip_network(text)
        except ValueError:
            # A host's address before the length is a slip that would let in more than was meant.
            if "/" in text and _is_network(text):
                raise Refused(f"{text} has bits set beyond its length") from None
            raise

    def read(value: object) -> tuple[Network, ...]:
        if not isinstance(value, list):
            raise TypeError
        require(least <= len(value) <= MAX_NETWORKS)
        return tuple(one(item) for item in value)

    return Reader(
        read,
        f"a list of {least} to {MAX_NETWORKS} networks or numeric addresses, "
        'such as ["10.0.0.0/8", "2001:db8::/32"]',
    )


def _is_network(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return True


def name_servers() -> Reader:
    """DNS servers; the port is 53 unless it is told."""

    def one(value: object) -> tuple[str, int]:
        text = as_text(value)
        try:
            return str(ipaddress.ip_address(text.removeprefix("[").removesuffix("]"))), _DNS_PORT
        except ValueError:
            host, port = v.numeric_host_port(text)
            require(port)
            return host, port

    def read(value: object) -> tuple[tuple[str, int], ...]:
        if not isinstance(value, list):
            raise TypeError
        require(len(value) <= 8)
        return tuple(one(item) for item in value)

    return Reader(
        read,
        "a list of at most 8 numeric addresses, each with a port if it is not 53, "
        'such as ["127.0.0.1", "127.0.0.1:5353"]',
    )


def collector() -> Reader:
    """Where HEP goes."""

    def read(value: object) -> tuple[str, int] | None:
        text = as_text(value)
        if not text:
            return None
        transport, colon, rest = text.partition(":")
        require(colon and transport == "udp")
        host, port = v.numeric_host_port(rest)
        require(port)
        return host, port

    return Reader(read, 'a numeric address and a port, such as "udp:127.0.0.1:9060", or ""')


def password() -> Reader:
    """A shared key, or none."""

    def read(value: object) -> str:
        text = as_text(value)
        require(text.isprintable() and len(text.encode()) <= 255)
        return text

    return Reader(read, 'at most 255 bytes of printable text, or ""')


def pem_path() -> Reader:
    """A file of certificates or a key; what is in it is seen when the path is complete."""
    return Reader(_path, "the path of a PEM file, relative to the configuration file")


def host_names() -> Reader:
    """Names of this machine."""
    name = v.domain()

    def read(value: object) -> tuple[str, ...]:
        if not isinstance(value, list):
            raise TypeError
        require(len(value) <= 64)
        return tuple(name.read(item) for item in value)

    return Reader(read, 'a list of at most 64 host names, such as ["sip.example.com"]')


def file_path() -> Reader:
    """Another file; what is in it is seen when the path is complete."""
    return Reader(_path, "the path of a file, relative to the configuration file")


def _path(value: object) -> str:
    text = as_text(value)
    require(0 < len(text) < 4096 and text.isprintable() and Path(text).name)
    return text


def door_sockets(
    *,
    loopback: bool = True,
    kinds: tuple[Kind, ...] = _DOOR_KINDS,
    names: tuple[str, int] = ("ctl", 2049),
) -> Reader:
    """Sockets of a door: files with rights, and addresses.

    loopback: those of this machine alone, for the door asks nobody who he is. kinds: the door's.
    names: of a file and a port, for an example.
    """
    known: dict[str, Kind] = {kind: kind for kind in kinds}
    files = [kind for kind in kinds if kind.startswith("unix")]
    inet = [kind for kind in kinds if kind not in files]
    examples = f'["{files[0]}:/run/dlgmgmt/{names[0]}", "{inet[0]}:127.0.0.1:{names[1]}"]'

    def one(value: object) -> SocketAddress:
        text, _, rest = as_text(value).partition(":")
        kind = known.get(text)
        if kind is None:
            raise ValueError
        if kind in files:
            path = v.absolute_path().read(rest)
            require(len(os.fsencode(path)) <= MAX_UNIX_PATH)
            return SocketAddress(kind, path=path)
        host, port = v.numeric_host_port(rest)
        if loopback and not ipaddress.ip_address(host).is_loopback:
            raise Refused(f"{host} is not a loopback address, and clients cannot show who they are")
        return SocketAddress(kind, host=host, port=port)

    def read(value: object) -> tuple[SocketAddress, ...]:
        if not isinstance(value, list):
            raise TypeError
        found = tuple(one(item) for item in value)
        require(len(found) <= 32)
        fixed = [str(each) for each in found if each.path or each.port]
        paths = [each.path for each in found if each.path]
        require(len(set(fixed)) == len(fixed) and len(set(paths)) == len(paths))
        return found

    return Reader(
        read,
        f"a list of at most 32 different sockets, {' or '.join(files)} and an absolute path of at "
        f"most {MAX_UNIX_PATH} bytes, {' or '.join(inet)} and a numeric address"
        f"{' of this machine' if loopback else ''}, such as {examples}",
    )
