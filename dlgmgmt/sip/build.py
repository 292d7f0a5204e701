"""Messages that the proxy makes itself: replies, ACK, CANCEL and in-dialog requests."""

from __future__ import annotations

from dlgmgmt.sip import grammar
from dlgmgmt.sip.message import Message

REASONS = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    300: "Multiple Choices",
    301: "Moved Permanently",
    302: "Moved Temporarily",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    407: "Proxy Authentication Required",
    408: "Request Timeout",
    416: "Unsupported URI Scheme",
    420: "Bad Extension",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    483: "Too Many Hops",
    484: "Address Incomplete",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    489: "Bad Event",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    504: "Server Time-out",
    505: "Version Not Supported",
    513: "Message Too Large",
    600: "Busy Everywhere",
    603: "Decline",
}
_CLASSES = ("", "Progress", "OK", "Moved", "Request Failure", "Server Failure", "Global Failure")


def reason_of(status: int) -> str:
    """The reason phrase of a status code, that of its class for one without a name here."""
    return REASONS.get(status) or _CLASSES[status // 100]


def reply(
    request: Message,
    status: int,
    *,
    server: str,
    to_tag: str = "",
    reason: str = "",
    extra: str = "",
) -> bytes:
    """A reply to ``request`` (RFC 3261 8.2.6.2): its Vias, From, To, Call-ID and CSeq as they are.

    to_tag: added if the request's To has none. extra: further header lines, each with CRLF.
    """
    to = request.line("to")
    if to_tag and to and not request.to_tag:
        to = f"{to[:-2]};tag={to_tag}\r\n"
    parts = [
        f"SIP/2.0 {status} {reason or reason_of(status)}\r\n",
        request.lines("via"),
        request.line("from"),
        to,
        request.line("call-id"),
        request.line("cseq"),
    ]
    if extra:
        parts.append(extra)
    if server:
        parts.append(f"Server: {server}\r\n")
    parts.append("Content-Length: 0\r\n\r\n")
    return "".join(parts).encode("utf-8", "surrogateescape")


def hop_request(sent: Message, method: str, *, to_line: str = "", extra: str = "") -> bytes:
    """The CANCEL of, or the ACK for a non-2xx to, a request that was sent.

    RFC 3261 9.1 and 17.1.1.3: the request's own topmost Via, Request-URI, Route, From, Call-ID
    and CSeq number. to_line: the reply's To line with CRLF, for an ACK; else the request's own.
    """
    parts = [
        f"{method} {sent.uri} SIP/2.0\r\nVia: {sent.top_via_text()}\r\n",
        sent.lines("route"),
        "Max-Forwards: 70\r\n",
        sent.line("from"),
        to_line or sent.line("to"),
        sent.line("call-id"),
        f"CSeq: {sent.cseq[0]} {method}\r\n{extra}Content-Length: 0\r\n\r\n",
    ]
    return "".join(parts).encode("utf-8", "surrogateescape")


def in_dialog_request(
    method: str,
    *,
    uri: str,
    via: str,
    from_uri: str,
    from_tag: str,
    to_uri: str,
    to_tag: str,
    callid: str,
    cseq: int,
    route_set: tuple[str, ...],
    agent: str,
    extra: str,
) -> bytes:
    """A request within a dialog in the name of one of its parties (RFC 3261 12.2.1.1).

    uri: the remote target. route_set: Route values, nearest hop first; a first one without
    ``lr`` is a strict router and takes the Request-URI's place. extra: header lines with CRLF.
    """
    target, routes = apply_route_set(uri, route_set)
    parts = [f"{method} {target} SIP/2.0\r\nVia: {via}\r\n"]
    parts += [f"Route: {route}\r\n" for route in routes]
    parts.append(
        f"Max-Forwards: 70\r\n"
        f"From: {_party(from_uri, from_tag)}\r\n"
        f"To: {_party(to_uri, to_tag)}\r\n"
        f"Call-ID: {callid}\r\n"
        f"CSeq: {cseq} {method}\r\n"
    )
    if agent:
        parts.append(f"User-Agent: {agent}\r\n")
    parts.append(f"{extra}Content-Length: 0\r\n\r\n")
    return "".join(parts).encode("utf-8", "surrogateescape")


def _party(uri: str, tag: str) -> str:
    # A caller of RFC 2543 has no tag.
    return f"<{uri}>;tag={tag}" if tag else f"<{uri}>"


def initial_request(
    method: str,
    *,
    uri: str,
    via: str,
    from_uri: str,
    from_tag: str,
    to_uri: str,
    callid: str,
    cseq: int,
    agent: str,
    extra: str,
    body: str,
) -> bytes:
    """A request outside of a dialog (RFC 3261 8.1.1); extra: header lines, Content-Type too."""
    head = (
        f"{method} {uri} SIP/2.0\r\nVia: {via}\r\n"
        f"Max-Forwards: 70\r\n"
        f"From: <{from_uri}>;tag={from_tag}\r\n"
        f"To: <{to_uri}>\r\n"
        f"Call-ID: {callid}\r\n"
        f"CSeq: {cseq} {method}\r\n"
    )
    if agent:
        head += f"User-Agent: {agent}\r\n"
    head += f"{extra}Content-Length: {len(body)}\r\n\r\n"
    return (head + body).encode("utf-8", "surrogateescape")


def apply_route_set(uri: str, route_set: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
    """Request-URI and Route values for a remote target and a route set (RFC 3261 12.2.1.1)."""
    if not route_set:
        return uri, ()
    first = grammar.name_addr(route_set[0], "Route").uri
    if is_loose(first):
        return uri, route_set
    return first, (*route_set[1:], f"<{uri}>")


def is_loose(uri: str) -> bool:
    """Whether a route URI carries ``lr``."""
    # What stands before the @ is no parameter (RFC 3261 19.1.1: a user may hold semicolons).
    at = uri.find(";", uri.rfind("@") + 1)
    return at >= 0 and grammar.param(uri[at:], "lr") is not None


def next_hop_uri(uri: str, route_set: tuple[str, ...]) -> str:
    """The URI that a request with this target and route set is sent to."""
    if not route_set:
        return uri
    return grammar.name_addr(route_set[0], "Route").uri


def quoted(text: str) -> str:
    """``text`` as a quoted-string (RFC 3261 25.1)."""
    clean = "".join(c if c >= " " and c != "\x7f" else " " for c in text)
    escaped = clean.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
