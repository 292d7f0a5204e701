"""The message parser: an input is parsed, or refused with NotSip or BadMessage; nothing else.

What it says of a message must not depend on which of its ways it took, and what is written from a
message must be read back as the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from dlgmgmt.sip import build, grammar
from dlgmgmt.sip.branch import retry_after
from dlgmgmt.sip.errors import BadMessage, NotSip
from dlgmgmt.sip.grammar import Via
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.hop import Router
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.outgoing import Outgoing, has_looped, loop_mark
from dlgmgmt.sip.session_timer import session_of
from dlgmgmt.sip.source import mark_source
from dlgmgmt.sip.stack import server_key
from dlgmgmt.sip.targets import followed, routed
from dlgmgmt.sip.uri import parse_uri
from dlgmgmt.sip.validate import check_request, check_target
from tests.unit.sip.harness import PROXY, World

MODULES = tuple(
    f"dlgmgmt.sip.{name}"
    for name in ("message", "grammar", "headers", "startline", "uri", "validate", "hop", "outgoing")
)

_T = TypeVar("_T")

_BRANCH = re.compile(r"[0-9A-Za-z.]+", re.ASCII)

_WORLD = World()
_SOCK = _WORLD.sockets[0]
_ROUTER = Router(_WORLD.sockets, _WORLD.proxy.settings.routes, "did")
_LISTS = ("via", "route", "record-route", "contact", "proxy-require", "subject")


def _read(what: Callable[[], _T]) -> _T | None:
    """What it gives, None if it is refused."""
    try:
        return what()
    except BadMessage:
        return None


def check(data: bytes) -> None:
    """Raise for an input that is neither read nor refused, or read in two ways."""
    try:
        msg = Message(data)
    except NotSip:
        return
    _properties(msg)
    if msg.defect is None:
        _alike(msg)
        _read_back(msg)
        _from_the_network(data)
    if msg.method:
        _answer(msg)


def _properties(msg: Message) -> None:
    assert bool(msg.method) != bool(msg.status)
    assert len(msg.names) == len(msg.header_lines)
    assert None not in msg.names or msg.defect is not None
    for name in ("callid", "cseq", "max_forwards", "from_uri", "from_tag", "to_uri", "to_tag"):
        _read(lambda name=name: getattr(msg, name))  # type: ignore[misc]
    uri = _read(lambda: msg.contact_uri)
    if uri:
        _read(lambda: parse_uri(uri))
        _read(lambda: build.next_hop_uri(uri, ()))
    for header in _LISTS:
        for value in _read(lambda header=header: msg.all(header)) or ():  # type: ignore[misc]
            _read(lambda value=value: grammar.name_addr(value, "Route"))  # type: ignore[misc]
            build.is_loose(value)
        msg.lines(header)
        msg.line(header)
    if msg.method:
        _read(lambda: parse_uri(msg.uri))
        _read(lambda: check_request(msg))
    else:
        retry_after(msg)
        session_of(msg)


def _alike(msg: Message) -> None:
    """The fast ways say what the patterns say, and no value has a line end."""
    for name in msg.names:
        value = msg.get(name or "")
        assert value is not None
        assert "\n" not in value
        assert "\r" not in value
    via = _read(msg.top_via)
    if via is not None:
        found = msg.via_branch(), grammar.branch_of(via.params)
        if all(map(_BRANCH.fullmatch, found)) and via.params.lower().count("branch") == 1:
            # The proxy's own are of this kind; others match nothing.
            assert found[0] == found[1]
        slow = grammar._VIA.fullmatch(msg.top_via_text())
        assert slow is not None
        port = int(slow[3]) if slow[3] else None
        assert via == Via(slow[1].upper(), slow[2].lower(), port, slow[4])
    for header in ("from", "to"):
        value = msg.get(header)
        tag = _read(lambda header=header: getattr(msg, f"{header}_tag"))  # type: ignore[misc]
        if value and tag is not None:
            assert tag.isprintable()
            # A display name with commas but without quotes passes where the tag is plain to see.
            slow_way = _read(lambda value=value: grammar.name_addr(value, "From"))  # type: ignore[misc]
            assert slow_way is None or tag == grammar.tag_of(slow_way.params)
    cseq = _read(lambda: msg.cseq)
    if cseq is not None:
        assert 0 <= cseq[0] < 2**31


def _read_back(msg: Message) -> None:
    """What is sent on says the same, but for what was to be changed."""
    start = (
        f"{msg.method} {msg.uri} SIP/2.0" if msg.method else f"SIP/2.0 {msg.status} {msg.reason}"
    )
    again = Message(msg.encode("\r\n".join([start, *msg.header_lines, ""])))
    assert again.defect is None
    assert (again.method, again.uri, again.status, again.reason) == (
        msg.method,
        msg.uri,
        msg.status,
        msg.reason,
    )
    assert (again.names, again.header_lines) == (msg.names, msg.header_lines)
    assert again.body == msg.body
    edited = msg.edited(Edits(("X-Added: 1",), frozenset({"subject"})))
    assert edited.get("x-added") is not None
    assert "subject" not in edited.names
    assert len(msg.header_lines) == len(again.header_lines)
    vias = _read(lambda: msg.all("via"))
    if not vias or _read(msg.top_via) is None or _read(lambda: msg.cseq) is None:
        return
    if msg.status:
        passed = Message(msg.without_top_via("X-Added: 1\r\n"))
        assert passed.defect is None
        assert passed.all("via") == vias[1:]
        assert [n for n in passed.names if n != "via"] == [
            *(n for n in msg.names if n != "via"),
            "x-added",
        ]
    else:
        mark_source(again, again.top_via(), ("192.0.2.77", 1234))
        sent = Message(again.encode("\r\n".join([start, *again.header_lines, ""])))
        assert sent.defect is None
        assert sent.top_via()[:3] == msg.top_via()[:3]
        assert grammar.param(sent.top_via().params, "received") is not None
        assert sent.all("via")[1:] == vias[1:]


def _from_the_network(data: bytes) -> None:
    """The request that would be forwarded is one that the next hop can read."""
    msg = Message(data)
    via = _read(msg.top_via)
    if not msg.method or via is None:
        return
    try:
        check_request(msg)
        server_key(msg, via, msg.method)
        hop = _ROUTER.preprocess(msg)
        check_target(hop)
        target = routed(hop) or followed(None)
        contact = msg.contact_uri
        hops = msg.max_forwards
    except BadMessage:
        return
    assert len(contact.split(None, 1)) <= 1
    mark = loop_mark(msg, hop)
    looped = _read(lambda: has_looped(msg, mark, _WORLD.sockets))
    if target is None or looped or hops == 0:
        return
    if _read(lambda: parse_uri(target.next_hop)) is None:
        # There is no way to it.
        return
    outgoing = Outgoing(msg, hop, _SOCK, "lr;did=1.2")
    sent = Message(outgoing.build(target, f"z9hG4bK1.{mark:x}", _SOCK, "10.0.1.1"))
    assert sent.defect is None
    check_request(sent)
    own = f"{PROXY[0]}:{PROXY[1]}"
    assert sent.top_via_text() == f"SIP/2.0/UDP {own};branch=z9hG4bK1.{mark:x}"
    assert sent.lines("via").partition("\r\n")[2] == msg.lines("via")
    record = (
        f"Record-Route: <{'sips' if sent.uri[:5].lower() == 'sips:' else 'sip'}:{own};lr;did=1.2>"
    )
    assert sent.lines("record-route") == f"{record}\r\n{msg.lines('record-route')}"
    assert (sent.callid, sent.cseq, sent.body) == (msg.callid, msg.cseq, msg.body)
    assert (sent.from_tag, sent.to_tag) == (msg.from_tag, msg.to_tag)
    for method in ("ACK", "CANCEL"):
        hop_by_hop = Message(build.hop_request(sent, method))
        assert hop_by_hop.defect is None
        assert hop_by_hop.top_via() == sent.top_via()


def _answer(msg: Message) -> None:
    """An answer to it, even to a bad one, can be read."""
    if "via" not in msg.names or _read(msg.top_via) is None or msg.repeats:
        return
    tag = _read(lambda: msg.to_tag)
    data = build.reply(msg, 400, server="dlgmgmt", to_tag="" if tag is None else "own")
    reply = Message(data)
    assert reply.status == 400
    if msg.defect is None:
        assert reply.defect is None
        assert reply.lines("via") == msg.lines("via")
        # One of no value, or that cannot be read, stays the first.
        clear = tag or "tag" not in (msg.get("to") or "").lower()
        if tag is not None and clear and "to" in msg.names:
            assert reply.to_tag == (tag or "own")
