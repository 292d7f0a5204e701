"""Who may send to a listener: over UDP and TCP, and changed while the daemon runs."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable

from tests.sip.harness.daemon import Daemon, poll

FRIEND, STRANGER = "127.0.0.9", "127.0.0.8"


def options(source: str, port: int, kind: str) -> bytes:
    return (
        f"OPTIONS sip:127.0.0.1 SIP/2.0\r\n"
        f"Via: SIP/2.0/{kind.upper()} {source}:{port};branch=z9hG4bK{source}{port}{kind}\r\n"
        f"Max-Forwards: 0\r\nFrom: <sip:a@{source}>;tag=1\r\nTo: <sip:127.0.0.1>\r\n"
        f"Call-ID: {source}-{port}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    ).encode()


def answer(daemon: Daemon, source: str, kind: str) -> bytes:
    """What comes back, b"" for nothing."""
    sort = socket.SOCK_DGRAM if kind == "udp" else socket.SOCK_STREAM
    with socket.socket(socket.AF_INET, sort) as sock:
        sock.bind((source, 0))
        sock.settimeout(5 if kind == "tcp" or source == FRIEND else 0.3)
        sock.connect(daemon.where(kind))
        try:
            sock.send(options(source, sock.getsockname()[1], kind))
            return sock.recv(65_535)
        except (TimeoutError, ConnectionError):
            return b""


def test_only_who_is_allowed_is_heard(start_daemon: Callable[..., Daemon]) -> None:
    daemon = start_daemon(kinds=("udp", "tcp"))
    path = daemon.folder / "dlgmgmt.toml"
    plain = path.read_text()
    assert answer(daemon, STRANGER, "udp").startswith(b"SIP/2.0 200")
    assert answer(daemon, STRANGER, "tcp").startswith(b"SIP/2.0 200")
    rules = "".join(
        f'[[sip.allow]]\nlisten = "{kind}:{daemon.at(kind)}"\nfrom = ["{FRIEND}/32"]\n'
        for kind in daemon.kinds
    )
    path.write_text(plain + rules)
    daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: "changed sip.allow" in daemon.stderr(), 10, daemon.stderr)
    lines = len(daemon.stderr().splitlines())
    for kind in daemon.kinds:
        assert answer(daemon, FRIEND, kind).startswith(b"SIP/2.0 200")
        assert answer(daemon, STRANGER, kind) == b""
    found = dict(line.split(" = ") for line in daemon.rpc.call("stats.get_statistics", "core:"))
    assert found["core:forbidden"] == "2"
    # Not a word of it in the log.
    assert len(daemon.stderr().splitlines()) <= lines + 1
    path.write_text(plain)
    daemon.process.send_signal(signal.SIGHUP)
    poll(lambda: daemon.stderr().count("changed sip.allow") == 2, 10, daemon.stderr)
    assert answer(daemon, STRANGER, "tcp").startswith(b"SIP/2.0 200")
