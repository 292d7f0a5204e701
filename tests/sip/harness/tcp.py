"""Calls over TCP between scripted phones: what the tests of streams have in common."""

from __future__ import annotations

from .daemon import Daemon
from .message import build
from .peer import new_branch
from .phones import Phones
from .stream import OverStream, StreamCallee, StreamCaller


def tcp_phones(daemon: Daemon, phones: Phones) -> tuple[StreamCaller, StreamCallee]:
    caller, callee = phones.caller(daemon, kind="tcp"), phones.callee(daemon, kind="tcp")
    assert isinstance(caller, StreamCaller)
    assert isinstance(callee, StreamCallee)
    return caller, callee


def invite(caller: StreamCaller, callee: StreamCallee, **more: bytes) -> None:
    caller.invite(f"sip:bob@{callee.hostport};transport=tcp", **more)  # type: ignore[arg-type]
    callee.take()


def options(peer: OverStream, daemon: Daemon, callid: str, *, extra: str = "") -> bytes:
    return build(
        f"OPTIONS sip:{daemon.at('tcp')} SIP/2.0",
        [
            ("Via", f"SIP/2.0/TCP {peer.hostport};branch={new_branch()}{extra}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{peer.hostport}>;tag=1"),
            ("To", f"<sip:{daemon.hostport}>"),
            ("Call-ID", callid),
            ("CSeq", "1 OPTIONS"),
        ],
    )
