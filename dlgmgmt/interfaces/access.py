"""Who a request comes from, and what he may do.

Where the system has decided already, at a FIFO or a unix socket, by its mode and owner, nothing is
asked for. Everybody else shows a token or, over TLS, a certificate; whoever is on this machine
needs none as long as nobody has one.
"""

from __future__ import annotations

import functools
import logging
import pwd
import socket
import struct
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from dlgmgmt.commands.dispatcher import ALL_PERMISSIONS, Caller
from dlgmgmt.commands.registry import Permission
from dlgmgmt.interfaces.settings import is_loopback
from dlgmgmt.interfaces.tokens import Credentials, subjects_of

_LOG = logging.getLogger(__name__)

PERMISSIONS: Final[Mapping[str, frozenset[Permission]]] = MappingProxyType(
    {
        "viewer": frozenset({"view"}),
        "operator": frozenset({"view", "operate"}),
        "admin": ALL_PERMISSIONS,
    }
)

UNAUTHORIZED = (401, "Unauthorized")
"""Code and text of the JSON-RPC error that answers a request without a caller."""
UNAUTHORIZED_HINT = "a valid token is needed"

UNKNOWN = "unknown"
"""The address of a peer that cannot be told: no loopback, and no unix socket."""

_QUIET = 1.0
# struct ucred (unix(7)): pid, uid, gid.
_UCRED = struct.Struct("3i")


class Access:
    """Decides for all doors; any thread.

    credentials: who is known; None where the operator has named nobody at all. loopback: the role
    of those on this machine who show nothing, or "none"; None for "admin" if the operator has named
    nobody, and else for "none". monotonic: clock in seconds.
    """

    def __init__(
        self,
        credentials: Credentials | None = None,
        loopback: str | None = None,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.refused = 0
        self._monotonic = monotonic
        self._logged_at = monotonic() - _QUIET
        self._logged = 0
        self.use(credentials, loopback)

    def use(self, credentials: Credentials | None, loopback: str | None = None) -> None:
        """Decide by these from now on."""
        fallback = "admin" if credentials is None else "none"
        # One assignment: another thread may decide meanwhile.
        self._rules = (credentials or Credentials(), loopback or fallback)

    def counters(self) -> list[tuple[str, int]]:
        """For the statistics group "access"."""
        return [("known", len(self._rules[0])), ("refused", self.refused)]

    def caller(
        self,
        door: str,
        address: str,
        token: str | None = None,
        *,
        certificate: object = None,
        user: str = "",
        label: str = "",
    ) -> Caller | None:
        """Who asks; None if he may not even ask.

        door: name of the interface, such as "http". address: host and port of the peer, "" at a
        FIFO or unix socket. token: what he has shown; it counts even where none is needed, so that
        one can ask for less than one may have. certificate: what ``getpeercert()`` gave of a
        verified one. user: the account at the other end of a unix socket, if that is known. label:
        what the log calls him, with the name that his token has.
        """
        credentials, loopback = self._rules
        known, why = None, "no token"
        if token is not None:
            known, why = credentials.by_token(token), "wrong token"
        elif certificate:
            known, why = credentials.by_certificate(subjects_of(certificate)), "unknown certificate"
        elif not address:
            return Caller(label or _label(door, user), ALL_PERMISSIONS, user, door)
        elif loopback != "none" and is_loopback(address):
            label = label or _label(door, address)
            return Caller(label, PERMISSIONS[loopback], "", door, address, loopback)
        if known is None:
            self._refuse(door, address, why)
            return None
        label = f"{label or _label(door, address)} ({known.name})"
        return Caller(label, PERMISSIONS[known.role], known.name, door, address, known.role)

    def _refuse(self, door: str, address: str, why: str) -> None:
        """Count it, and log it once a second: strangers can do it as often as they like."""
        self.refused += 1
        now = self._monotonic()
        if now - self._logged_at < _QUIET:
            return
        more = self.refused - self._logged - 1
        _LOG.warning(
            "%s refused: %s%s",
            _label(door, address),
            why,
            f" (and {more} others since the last line)" if more else "",
        )
        self._logged_at, self._logged = now, self.refused


def token_in(decoded: object) -> str | None:
    """Take the member "token" out of a JSON-RPC request, or out of all members of a batch.

    None if there is none; "", which is nobody's, for what is no text, and for a batch whose
    members show different ones: a batch comes from one caller.
    """
    requests = decoded if isinstance(decoded, list) else [decoded]
    found = None
    for request in requests:
        if not isinstance(request, dict) or "token" not in request:
            continue
        token = request.pop("token")
        if not isinstance(token, str) or (found is not None and found != token):
            token = ""
        found = token if found != "" else ""
    return found


def address_text(peer: object) -> str:
    """Host and port of a socket's peer as it is shown; "" for that of a unix socket.

    None is the peer of a connection that was reset before its address was asked for. What he has
    sent is still read, so he is a stranger, and not somebody whom a socket's mode has let in.
    """
    if peer is None:
        return UNKNOWN
    if not isinstance(peer, tuple) or len(peer) < 2:
        return ""
    host, port = str(peer[0]), peer[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def account_of(sock: socket.socket) -> str:
    """The account at the other end of a connected unix socket, "" if it cannot be told."""
    try:
        data = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)
    except OSError:
        return ""
    uid = _UCRED.unpack(data)[1]
    return _account(uid)


@functools.lru_cache(maxsize=256)
def _account(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _label(door: str, who: str) -> str:
    return f"{door} {who}".rstrip()
