"""Where a request goes: Route preprocessing and the choice of targets (RFC 3261 16.4 to 16.6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from dlgmgmt.sip import build, grammar
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Transport
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.locate import is_numeric
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.nat import NAT_PARAM, take_alias
from dlgmgmt.sip.settings import Route
from dlgmgmt.sip.uri import Uri, parse_uri


class Target(NamedTuple):
    """One place to forward to: the Request-URI and the Route values to send it with.

    destination: URI of the next hop where it is not what these say. edits: header changes of this
    branch alone. stay: no other transport leads there, however long the request is.
    """

    uri: str
    routes: tuple[str, ...] = ()
    destination: str | None = None
    edits: Edits | None = None
    stay: bool = False

    @property
    def next_hop(self) -> str:
        """The URI that is looked up."""
        return self.destination or build.next_hop_uri(self.uri, self.routes)


class Hop(NamedTuple):
    """A request after Route preprocessing.

    uri: Request-URI. routes: Route values that remain. changed: whether they differ from the
    message's. did: the dialog id that the own Route value carried, None without one. own_uri:
    the parsed Request-URI if it names this proxy and no Route remains. out: the listener that the
    last own Route value names, None without one: it was put there as the one to send from. nat:
    whether an own Route value says that Contacts of this dialog are marked.
    """

    uri: str
    routes: tuple[str, ...]
    changed: bool
    did: str | None
    own_uri: Uri | None
    out: Transport | None = None
    nat: bool = False


class Router:
    """Knows the own sockets and the configured routes. rr_param: the dialog id's parameter."""

    def __init__(
        self, sockets: Sequence[Transport], routes: tuple[Route, ...], rr_param: str
    ) -> None:
        self._sockets = sockets
        self._bound = {(sock.host, sock.port) for sock in sockets if not sock.wildcard}
        self._wildcard_ports = {sock.port for sock in sockets if sock.wildcard}
        self.rr_param = rr_param
        self.use(routes)

    def use(self, routes: tuple[Route, ...]) -> None:
        """Choose targets by these routes from now on."""
        self._fixing = any(route.fix_contact for route in routes)
        # One assignment: scripts ask for targets on their own threads.
        self._routes = [(route, [parse_uri(uri) for uri in route.targets]) for route in routes]

    def is_own(self, uri: Uri) -> bool:
        """Whether what a URI's host, or its maddr, and port lead to is one of the own sockets."""
        host = uri.host
        if uri.params:
            host = (uri.param("maddr") or host).strip("[]")
        where = host, uri.port or uri.default_port
        if where in self._bound:
            return True
        if where[1] not in self._wildcard_ports or not is_numeric(where[0]):
            return False
        return any(sock.is_own(*where) for sock in self._sockets)

    def preprocess(self, msg: Message) -> Hop:
        """Take the own values off the Route (16.4); repairs what a strict router sent."""
        uri = msg.uri
        scheme = uri[:5].lower()
        parsed = parse_uri(uri) if scheme[:4] == "sip:" or scheme == "sips:" else None
        own = parsed is not None and self.is_own(parsed)
        if own and parsed is not None and parsed.params and parsed.param("maddr"):
            # 16.4: it has come to where maddr led it.
            uri = parsed.without_maddr()
            own = self.is_own(parsed._replace(params=""))
            parsed = parse_uri(uri)
            own = own or self.is_own(parsed)
        routes = msg.all("route")
        did: str | None = None
        out: Transport | None = None
        changed = nat = False
        if not routes:
            return Hop(uri, (), False, None, parsed if own else None)
        if own and parsed is not None and not parsed.user and self._is_record(parsed):
            # A strict router put our Record-Route value into the Request-URI.
            did = parsed.param(self.rr_param)
            nat = parsed.param(NAT_PARAM) is not None
            out = self._listener(parsed)
            uri = grammar.name_addr(routes.pop(), "Route").uri
            changed = True
            parsed = parse_uri(uri)
            own = self.is_own(parsed)
        while routes:
            route = _route_uri(routes[0])
            if route is None or not self.is_own(route):
                break
            did = did or route.param(self.rr_param)
            nat = nat or route.param(NAT_PARAM) is not None
            out = self._listener(route)
            del routes[0]
            changed = True
        here = parsed if own and not routes else None
        return Hop(uri, tuple(routes), changed, did, here, out, nat)

    def _listener(self, uri: Uri) -> Transport | None:
        """The listener that an own URI names."""
        if len(self._sockets) == 1:
            return self._sockets[0]
        port = uri.port or uri.default_port
        numeric = is_numeric(uri.host)
        kind = uri.transport
        for sock in self._sockets:
            # Both kinds of WebSocket are called ``ws`` in a URI (RFC 7118 5).
            if (sock.kind == kind or (sock.kind == "wss" and kind == "ws")) and (
                sock.is_own(uri.host, port) if numeric else sock.port == port
            ):
                return sock
        return None

    def _is_record(self, uri: Uri) -> bool:
        return uri.loose or uri.param(self.rr_param) is not None

    def targets(self, uri: Uri) -> tuple[list[str], bool] | None:
        """The configured targets of an initial request, and whether to fork in parallel.

        None when no route matches. Each target keeps the request's user part.
        """
        found = self._find(uri)
        if found is None:
            return None
        route, parsed = found
        uris = [target.with_user(uri.user or target.user) for target in parsed]
        return uris, route.fork == "parallel"

    def _find(self, uri: Uri) -> tuple[Route, list[Uri]] | None:
        """The first route that matches, with its targets."""
        if uri.params and uri.param("maddr"):
            # 16.5: the URI itself is the only target.
            return None
        for route, parsed in self._routes:
            if route.domain is not None and route.domain != uri.host:
                continue
            if route.user_prefix is not None and not uri.user.startswith(route.user_prefix):
                continue
            return route, parsed
        return None

    def fixes(self, hop: Hop) -> bool:
        """Whether the route of a request outside of dialogs has Contacts marked."""
        if not self._fixing or hop.routes:
            return False
        try:
            found = self._find(hop.own_uri or parse_uri(hop.uri))
        except BadMessage:
            return False
        return found is not None and found[0].fix_contact

    def is_own_record(self, value: str) -> bool:
        """Whether a Record-Route value leads here."""
        route = _route_uri(value)
        return route is not None and self.is_own(route)

    def own_record_index(self, record_route: list[str], did: str) -> tuple[int, int] | None:
        """First and last index of the own values in a Record-Route list, None if not there."""
        # The id was drawn here: a value that carries it is the own one.
        marks = f"{self.rr_param}={did}>", f"{self.rr_param}={did};"
        own = [i for i, v in enumerate(record_route) if marks[0] in v or marks[1] in v]
        return (own[0], own[-1]) if own else None


def _route_uri(value: str) -> Uri | None:
    try:
        return parse_uri(grammar.name_addr(value, "Route").uri)
    except BadMessage:
        return None


def forward_target(uri: str, routes: tuple[str, ...]) -> Target:
    """Apply remaining Route values; a strict next router gets the Request-URI (16.6 step 6).

    Without any, an alias in the Request-URI says where to send it.
    """
    if not routes:
        aliased = take_alias(uri)
        if aliased is None:
            return Target(uri, ())
        plain, destination = aliased
        return Target(plain, (), destination, stay=True)
    target, rest = build.apply_route_set(uri, routes)
    return Target(uri, routes) if rest is routes else _StrictTarget(target, rest)


class _StrictTarget(Target):
    """The first route was strict: it is the Request-URI now, and the next hop."""

    @property
    def next_hop(self) -> str:
        return self.destination or self.uri
