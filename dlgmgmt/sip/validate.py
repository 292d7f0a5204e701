"""Whether a request can be processed at all (RFC 3261 16.3, steps 1 and 2)."""

from __future__ import annotations

from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.hop import Hop
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.uri import parse_uri

_SINGLE = ("from", "to", "call-id", "cseq", "max-forwards")
# What has several lines in a message that came through other proxies.
_REPEATED = ("via", "record-route", "route")


def check_request(msg: Message) -> None:
    """Raise BadMessage unless a request has what every request needs (RFC 3261 8.1.1).

    The topmost Via is the caller's to read: without it there is nobody to answer. A From without
    a tag is one of RFC 2543 (8.1.1.3, 12.1.1): its tag counts as empty.
    """
    if msg.defect is not None:
        raise msg.defect
    msg.callid  # noqa: B018 - each of these raises when its header is malformed
    _, method = msg.cseq
    if method != msg.method:
        raise BadMessage(400, "CSeq method does not match")
    msg.from_tag  # noqa: B018
    msg.to_tag  # noqa: B018
    if msg.repeats:
        _check_repeats(msg.names, msg.repeats)


def _check_repeats(names: list[str | None], repeats: int) -> None:
    """Refuse a second value where only one may be: two readers could choose differently."""
    for name in _REPEATED:
        repeats -= max(names.count(name) - 1, 0)
        if not repeats:
            return
    for name in _SINGLE:
        if names.count(name) > 1:
            raise BadMessage(400, f"Several {name} headers")


def check_target(hop: Hop, *, scripted: bool = False) -> None:
    """Raise BadMessage unless the Request-URI is one that can be forwarded.

    A URI of another scheme passes if a Route says where it goes, as those of tel URIs do, or if a
    script is to say so. Headers have no place in a Request-URI (19.1.1), and must not be passed on
    in one.
    """
    try:
        uri = parse_uri(hop.uri)
    except BadMessage as error:
        if error.status == 416 and (scripted or hop.routes):
            return
        raise
    if uri.headers:
        raise BadMessage(400, "Headers in the Request-URI")
