"""The capture that the session makes of the daemons' messages (see ``conftest.py``)."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tests.sip.harness import ports, wire
from tests.sip.harness.daemon import Daemon
from tests.sip.harness.message import build
from tests.sip.harness.phones import Phones
from tests.sip.harness.wire import Wire

GOOD = build(
    "OPTIONS sip:b@example.com SIP/2.0",
    [
        ("Via", "SIP/2.0/UDP 127.0.0.1:5060;branch=z9hG4bK1"),
        ("From", "<sip:a@example.com>;tag=1"),
        ("To", "<sip:b@example.com>"),
        ("Call-ID", "1@example.com"),
        ("CSeq", "1 OPTIONS"),
    ],
)
BAD = {
    "no-colon": GOOD.replace(b"CSeq:", b"CSeq"),
    "no-end": GOOD[:-2],
    "cut": GOOD[:-12],
    "no-sip": b"hello",
    "no-via": GOOD.replace(b"Via:", b"X-Via:"),
    "no-cseq": GOOD.replace(b"CSeq: 1 OPTIONS\r\n", b""),
}


@pytest.mark.parametrize("kind", ["udp", "tcp"])
def test_what_is_wrong_is_found(captures: Wire, tmp_path: Path, kind: str) -> None:
    """The judge is awake: each of these is found, and the good ones among them are not."""
    port = ports.free_port()
    own = Wire(tmp_path / "own", port, port)
    for message in BAD.values():
        for data in (GOOD, message, GOOD):
            _say(kind, port, data)
    files = own.end()
    found = wire.findings(files, {kind: {port}})
    # Of a stream only what has an end is taken for a message.
    wanted = len(BAD) if kind == "udp" else len(BAD) - len({"no-end", "cut", "no-sip"})
    assert len(found) == wanted, "\n".join(found)
    assert own.lost() == 0


def _say(kind: str, port: int, data: bytes) -> None:
    """Send from ``port``, to somebody who listens."""
    sort = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(type=sort) as sender, socket.socket(type=sort) as listener:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sender.bind(("127.0.0.1", port))
        listener.bind(("127.0.0.1", 0))
        if kind == "tcp":
            listener.listen()
        sender.connect(listener.getsockname())
        sender.sendall(data)


def test_the_session_is_captured(captures: Wire, daemon: Daemon, phones: Phones) -> None:
    """A call of this test is in the capture that is judged when the session ends."""
    phones.talk(daemon).hang_up()
    assert daemon.port in ports.senders()["udp"]
    assert captures.has(phones.callid.encode())
