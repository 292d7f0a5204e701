"""Answers whose transaction has gone with an earlier process (RFC 3261 16.11, in one case).

A phone says its 2xx again until it sees the ACK. If the daemon ends in between and comes back with
the dialog, the caller may never have heard of the answer; and then there is no ACK that could come.
RFC 6026 8.9 forbids to forward what no transaction has asked for. Here the dialog has: this very
answer has made it, and its ACK is missing.
"""

from __future__ import annotations

from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.sip import grammar
from dlgmgmt.sip.errors import BadMessage
from dlgmgmt.sip.flow import Address, Flow
from dlgmgmt.sip.grammar import Via
from dlgmgmt.sip.locate import Locator, is_numeric
from dlgmgmt.sip.message import Message
from dlgmgmt.sip.source import default_port


class Orphans:
    """Forwards such answers. passed: how many."""

    def __init__(self, table: DialogTable, locator: Locator) -> None:
        self.passed = 0
        self._table = table
        self._locator = locator

    def take(self, reply: Message) -> bool:
        """Forward a reply without a transaction; False if it has to be dropped."""
        if not 200 <= reply.status < 300 or not reply.to_tag:
            return False
        try:
            number, method = reply.cseq
            vias = [grammar.via(value) for value in reply.all("via")]
            if method != "INVITE" or len(vias) < 2 or not self._awaits_ack(reply, number):
                return False
        except BadMessage:
            return False
        flow = self._flow(vias[1]) if self._is_own(vias[0]) else None
        if flow is None or not flow.send(reply.without_top_via()):
            return False
        self.passed += 1
        return True

    def _awaits_ack(self, reply: Message, number: int) -> bool:
        entry = self._table.entry_of(reply.callid)
        with entry.lock:
            for dialog in entry.by_callid.get(reply.callid, ()):
                leg = dialog.legs.get(reply.to_tag)
                if leg is not None and dialog.from_tag == reply.from_tag:
                    # With a transaction it would have been forwarded, or was not to be.
                    return (
                        dialog.transaction is None
                        and leg.confirmed
                        and not leg.acked
                        and number == dialog.first_req_cseq
                    )
        return False

    def _is_own(self, via: Via) -> bool:
        host, port = via.host.strip("[]"), via.port or default_port(via)
        return is_numeric(host) and any(sock.is_own(host, port) for sock in self._locator.sockets)

    def _flow(self, via: Via) -> Flow | None:
        """The way to who has sent the request (18.2.2); a name is not looked up for it."""
        received = grammar.param(via.params, "received")
        host = (received or via.host).strip("[]")
        if not is_numeric(host):
            return None
        rport = grammar.param(via.params, "rport") or ""
        port = int(rport) if rport.isdecimal() and len(rport) < 6 else 0
        kind = via.transport.lower()
        if kind != "udp" or not port:
            port = via.port or default_port(via)
        addr: Address = host, port
        sock = self._locator.listener(kind, host, None)
        return sock.flow(addr) if sock is not None else None
