"""What keeps other sites off the HTTP interface.

On loopback it may need no token: a web page in the operator's browser must not reach it, neither
by a cross-site request (Origin) nor by DNS rebinding (Host).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:/@\s]+))(?::[0-9]{1,5})?")


def host_allowed(host: str, names: frozenset[str]) -> bool:
    """Whether the Host header names this server: by an address, as localhost, or by ``names``.

    An address cannot be rebound to another machine, a name can.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    name = (match["v6"] or match["name"]).lower().rstrip(".")
    if name == "localhost" or name in names:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def origin_allowed(origin: str | None, fetch_site: str | None, host: str) -> bool:
    """Whether a request comes from no page, or from one that this server itself gave out.

    origin, fetch_site: the headers Origin and Sec-Fetch-Site, None where absent.
    """
    if fetch_site is not None and fetch_site not in {"same-origin", "none"}:
        return False
    if origin is None:
        return True
    try:
        # Without a Host header there is nothing that "null" could be the same as.
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False


def refusal(request: web.Request, names: frozenset[str]) -> str | None:
    """Why ``request`` is to be answered 403, None if it may pass."""
    host = request.headers.get("Host")
    if host is not None and not host_allowed(host, names):
        return "the Host header names another server"
    if not origin_allowed(
        request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site"), host or ""
    ):
        return "requests from pages of other sites are refused"
    return None


def lower_names(names: Iterable[str]) -> frozenset[str]:
    """Host names as :func:`host_allowed` compares them."""
    return frozenset(name.lower().rstrip(".") for name in names)
