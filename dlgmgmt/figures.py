"""What the signalling and the process count: groups of statistics, and the sockets."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dlgmgmt.commands.system import SipSocket
from dlgmgmt.dialog.table import DialogTable
from dlgmgmt.sip.engine import SipEngine


def sip_sockets(engine: SipEngine) -> list[SipSocket]:
    """Where SIP is listened for."""
    return [SipSocket(sock.kind, sock.host, sock.port) for sock in engine.sockets]


def call_statistics(engine: SipEngine, table: DialogTable) -> Sequence[tuple[str, int]]:
    """What the daemon does to calls by itself."""
    keepalive = engine.calls.keepalive
    return (
        ("bridges", len(engine.calls.bridges)),
        ("forced_dialogs", table.counters.forced),
        ("keepalives_deferred", keepalive.deferred),
        ("keepalives_ended", keepalive.ended),
        ("keepalives_failed", keepalive.failed),
        ("keepalives_sent", keepalive.sent),
        ("refers", len(engine.calls.referrals)),
    )


def core_statistics(engine: SipEngine) -> Sequence[tuple[str, int]]:
    """What has come by SIP, and what of it was left."""
    counters, guard = engine.proxy.counters, engine.proxy.guard
    dropped = counters.not_sip + counters.stray_acks + counters.overload
    refused = guard.counters
    return (
        ("bad_msg_hdr", counters.bad_requests + counters.bad_replies),
        ("drop_replies", counters.stray_replies),
        ("drop_requests", dropped + refused.dropped + refused.refused + refused.forbidden),
        ("err_requests", counters.errors),
        ("flood_dropped", refused.dropped),
        ("flood_refused", refused.refused),
        ("flood_sources", len(guard)),
        ("forbidden", refused.forbidden),
        ("not_sip", counters.not_sip),
        ("overload", counters.overload),
        ("rcv_replies", counters.replies),
        ("rcv_requests", counters.requests),
        ("retransmissions", counters.retransmissions),
        ("tcp_connections", engine.connections),
        ("tcp_refused", engine.refused_connections),
        ("transactions", engine.transactions),
        ("unsent", sum(sock.unsent for sock in engine.sockets)),
    )


def memory_statistics() -> Sequence[tuple[str, int]]:
    """What is in use, and what the system has given.

    The two differ: what calls leave behind is kept for the next ones rather than given back.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return (
        ("blocks", sys.getallocatedblocks()),
        ("resident", pages * os.sysconf("SC_PAGE_SIZE")),
    )
