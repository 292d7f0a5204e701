"""Turning a received request into the one that is sent on (RFC 3261 16.6)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from dlgmgmt.sip import grammar
from dlgmgmt.sip.flow import Transport, transport_param
from dlgmgmt.sip.headers import Edits
from dlgmgmt.sip.hop import Hop, Target
from dlgmgmt.sip.locate import is_numeric
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.uri import DEFAULT_PORT


class Outgoing:
    """A request ready to be sent to any number of targets.

    The part that all branches share is spliced once. record: Record-Route parameters of the own
    value (``lr;did=...``), "" for none. in_sock: the listener that the request came in on. edits:
    header changes for all branches.
    """

    __slots__ = ("_drop_route", "_host", "_in_sock", "_middle", "_msg", "_record", "hop", "method")

    def __init__(
        self, msg: Message, hop: Hop, in_sock: Transport, record: str, edits: Edits | None = None
    ) -> None:
        self._msg = msg if edits is None else msg.edited(edits)
        self.method = msg.method
        self.hop = hop
        self._in_sock = in_sock
        # Where the request came from: a wildcard listener has an address for each peer.
        self._host = msg.source[0] or in_sock.host
        self._record = record
        self._drop_route = hop.changed or bool(hop.routes)
        self._middle = _splice(self._msg, drop_route=self._drop_route)

    def build(self, target: Target, branch: str, sock: Transport, host: str) -> bytes:
        """The message for one branch, sent from ``sock`` to the numeric ``host``."""
        msg = self._msg
        own = sock.sent_by(host)
        via = f"Via: SIP/2.0/{sock.via} {own};branch={branch}{sock.via_params}\r\n"
        head = f"{msg.method} {target.uri} SIP/2.0\r\n{via}"
        if self._record:
            # 16.6 step 4: what was asked for with sips stays secure in both directions.
            scheme = "sips" if target.uri[:5].lower() == "sips:" else "sip"
            outer = f"<{scheme}:{own}{transport_param(sock)};{self._record}"
            came = self._in_sock
            own_there = came.sent_by(self._host)
            if sock is came and own_there == own:
                head += f"Record-Route: {outer}>\r\n"
            else:
                # Each side must find a value that it can reach: one per socket (RFC 5658), or per
                # address of one that is bound to all.
                inner = f"{own_there}{transport_param(came)};{self._record}"
                head += (
                    f"Record-Route: {outer};r2=on>\r\nRecord-Route: <{scheme}:{inner};r2=on>\r\n"
                )
        for route in target.routes:
            head += f"Route: {route}\r\n"
        if target.edits is None:
            return msg.encode(head + self._middle)
        edited = msg.edited(target.edits)
        return edited.encode(head + _splice(edited, drop_route=self._drop_route))


def _splice(msg: Message, *, drop_route: bool) -> str:
    """All header lines, Max-Forwards counted down, Route taken out if asked."""
    lines = msg.header_lines.copy()
    hops = msg.max_forwards
    first = ""
    if hops is None:
        first = "Max-Forwards: 70\r\n"
    else:
        lines[msg.names.index("max-forwards")] = f"Max-Forwards: {hops - 1}"
    if drop_route:
        both = zip(msg.names, lines, strict=True)
        lines = [line for name, line in both if name != "route"]
    lines.append("")
    return first + "\r\n".join(lines)


def loop_mark(msg: Message, hop: Hop) -> int:
    """What identifies a request that came back unchanged (RFC 3261 16.6 step 8, RFC 5393)."""
    key = f"{hop.uri} {hop.routes} {msg.callid} {msg.from_tag} {msg.to_tag} {msg.cseq[0]}"
    return zlib.crc32(key.encode("utf-8", "surrogateescape"))


def has_looped(msg: Message, mark: int, sockets: Sequence[Transport]) -> bool:
    """Whether one of the Vias is ours and carries ``mark``: the request has been here as it is."""
    text = f".{mark:x}"
    if text not in "\r\n".join(msg.header_lines):
        return False
    for value in msg.all("via"):
        via = grammar.via(value)
        branch = grammar.branch_of(via.params)
        if not branch.endswith(text):
            continue
        host, port = via.host.strip("[]"), via.port or DEFAULT_PORT
        # A name is never asked about: the own Vias are numeric, and a look-up would block.
        if is_numeric(host) and any(sock.is_own(host, port) for sock in sockets):
            return True
    return False
