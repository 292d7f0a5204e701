"""The address that a listener is bound to, and how peers see it."""

from __future__ import annotations

import socket
from collections import OrderedDict

from dlgmgmt.sip.errors import ListenError
from dlgmgmt.sip.settings import Listener

_LOCAL_CACHE = 1024


class Bound:
    """Part of every listener: what it is bound to. kind: see ``flow.Transport``."""

    kind = "udp"
    via = "UDP"
    via_params = ""
    reliable = False

    family: socket.AddressFamily
    host: str
    port: int
    wildcard: bool
    _sent_by: str
    _local: OrderedDict[str, str]

    def bind(self, listener: Listener, sock: socket.socket) -> None:
        """Bind ``sock``; raises ListenError, and closes it, if that fails."""
        try:
            if sock.family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setblocking(False)
            sock.bind((listener.host, listener.port))
            if sock.type == socket.SOCK_STREAM:
                # Two daemons may bind the same port, with SO_REUSEADDR; only one may listen.
                sock.listen(1024)
        except OSError as error:
            sock.close()
            where = f"{listener.transport}:{host_text(listener.host)}:{listener.port}"
            msg = f"cannot listen on {where}: {error.strerror or error}"
            raise ListenError(msg) from error
        bound = sock.getsockname()
        self.family = sock.family
        self.host = bound[0]
        self.port = bound[1]
        self.wildcard = self.host in ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
        self._sent_by = f"{host_text(self.host)}:{self.port}"
        self._local = OrderedDict()

    @property
    def name(self) -> str:
        """As operators write it: ``udp:host:port``."""
        return f"{self.kind}:{host_text(self.host)}:{self.port}"

    def address_towards(self, host: str) -> str:
        """The own address that a peer at ``host`` sees; the bound one unless it is a wildcard."""
        if not self.wildcard:
            return self.host
        known = self._local.get(host)
        if known is None:
            with socket.socket(self.family, socket.SOCK_DGRAM) as probe:
                # Connecting a UDP socket sends nothing; it only asks for a route.
                try:
                    probe.connect((host, 9))
                    known = probe.getsockname()[0]
                except OSError:
                    known = "::1" if self.family == socket.AF_INET6 else "127.0.0.1"
            self._local[host] = known
            if len(self._local) > _LOCAL_CACHE:
                self._local.popitem(last=False)
        return known

    def sent_by(self, host: str) -> str:
        """Host and port of the own Via towards a peer at ``host`` (RFC 3261 18.1.1)."""
        if not self.wildcard:
            return self._sent_by
        return f"{host_text(self.address_towards(host))}:{self.port}"

    def is_own(self, host: str, port: int) -> bool:
        """Whether ``host:port`` (numeric host) is this listener."""
        if port != self.port:
            return False
        if host == self.host:
            return True
        return self.wildcard and is_local_address(host)


def family_of(host: str) -> socket.AddressFamily:
    """The address family of a numeric host."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def host_text(host: str) -> str:
    """A host as it stands in a URI or Via: IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host


_OWN: OrderedDict[str, bool] = OrderedDict()


def is_local_address(host: str) -> bool:
    """Whether ``host`` is a numeric address of this machine, found by binding to it."""
    known = _OWN.get(host)
    if known is None:
        with socket.socket(family_of(host), socket.SOCK_DGRAM) as probe:
            try:
                probe.bind((host, 0))
                known = True
            except OSError:
                known = False
        _OWN[host] = known
        if len(_OWN) > _LOCAL_CACHE:
            _OWN.popitem(last=False)
    return known
