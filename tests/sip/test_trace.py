"""Tracing real calls: a call's log by dlgctl, and copies of its messages to collectors."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.sip.harness.daemon import T1, Daemon, poll
from tests.sip.harness.hep import Collector, Packet
from tests.sip.harness.phones import Phones
from tests.sip.harness.ports import free_port, has_ipv6_loopback
from tests.sip.harness.sipp import Sipp

HOLD = {"RING": "100", "TALK": "100"}
LADDER = [
    *("in INVITE", "out 100", "out INVITE", "in 180", "out 180", "in 200", "out 200"),
    *("in ACK", "out ACK", "in BYE", "out BYE", "in 200", "out 200"),
]


def place(daemon: Daemon, phones: Phones, callid: str = "") -> tuple[Sipp, Sipp]:
    """A whole call, from INVITE to the 200 of its BYE."""
    uas = phones.sipp("uas_answer", fill=HOLD)
    uac = phones.sipp(
        "uac_call",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        callid=callid or phones.callid,
        fill=HOLD,
    )
    uac.wait()
    uas.wait()
    return uac, uas


def dlgctl(daemon: Daemon, *args: str, fifo: bool = False) -> subprocess.CompletedProcess[str]:
    way = (
        ["--fifo", str(daemon.fifo.command), "--reply-dir", str(daemon.fifo.reply_dir)]
        if fifo
        else ["--http", f"http://127.0.0.1:{daemon.http_port}/RPC"]
    )
    command = [sys.executable, "-m", "dlgmgmt.cli.dlgctl", *way, *args]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)


def trace(daemon: Daemon, callid: str) -> list[dict[str, Any]]:
    done = dlgctl(daemon, "trace", callid, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def what(direction: str, text: str) -> str:
    """A message's place in a ladder: "in INVITE", "out 200"."""
    words = text.split(" ", 2)
    return f"{direction} {words[1] if words[0] == 'SIP/2.0' else words[0]}"


def saw(phone: Sipp, direction: str) -> list[bytes]:
    return [message.raw for message in phone.messages(direction)]


def between(packets: list[Packet], source: int, destination: int) -> list[bytes]:
    """What was sent from one port to the other."""
    ends = ("127.0.0.1", source), ("127.0.0.1", destination)
    return [p.payload for p in packets if (p.source, p.destination) == ends]


def saw_all(packets: list[Packet], daemon: Daemon, *sipps: Sipp) -> None:
    """The copies are what these phones have sent and received, in their order, and no more."""
    for phone in sipps:
        assert between(packets, phone.port, daemon.port) == saw(phone, "sent")
        assert between(packets, daemon.port, phone.port) == saw(phone, "received")
    assert len(packets) == sum(
        len(saw(phone, way)) for phone in sipps for way in ("sent", "received")
    )


# -- the log of one call ------------------------------------------------------------------------


def test_dlgctl_trace_shows_the_whole_ladder_and_only_it(daemon: Daemon, phones: Phones) -> None:
    before = time.time()
    uac, uas = place(daemon, phones)
    place(daemon, phones, callid=f"other-{phones.callid}")
    messages = trace(daemon, phones.callid)
    assert [what(m["direction"], m["message"]) for m in messages] == LADDER
    for phone in (uac, uas):
        for direction, way in (("in", "sent"), ("out", "received")):
            assert [
                m["message"].encode()
                for m in messages
                if (m["remote"], m["direction"]) == (f"127.0.0.1:{phone.port}", direction)
            ] == saw(phone, way)
    assert {(m["transport"], m["local"]) for m in messages} == {("udp", daemon.hostport)}
    assert [m["size"] for m in messages] == [len(m["message"]) for m in messages]
    times = [m["time"] for m in messages]
    assert before < times[0] <= times[-1] < time.time()
    assert times == sorted(times)


def test_dlgctl_trace_is_read_by_people(daemon: Daemon, phones: Phones) -> None:
    uac, uas = place(daemon, phones)
    done = dlgctl(daemon, "trace", phones.callid)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    heads = [(line, lines[at + 1]) for at, line in enumerate(lines) if line[:1].isdigit()]
    pattern = re.compile(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}  (in |out)  udp  "
        r"127\.0\.0\.1:(\d+) -> 127\.0\.0\.1:(\d+)  \d+ bytes"
    )
    found = [(pattern.fullmatch(head), start) for head, start in heads]
    assert [what(match[1].strip(), start.strip()) for match, start in found if match] == LADDER
    assert [(int(match[2]), int(match[3])) for match, _ in found if match][:3] == [
        (uac.port, daemon.port),
        (daemon.port, uac.port),
        (daemon.port, uas.port),
    ]
    assert dlgctl(daemon, "trace", phones.callid, fifo=True).stdout == done.stdout


def test_a_call_that_never_was_is_exit_code_3(daemon: Daemon) -> None:
    for fifo in (False, True):
        done = dlgctl(daemon, "trace", "never@was", fifo=fifo)
        assert (done.returncode, done.stdout) == (3, "")


def test_follow_prints_what_comes(daemon: Daemon, phones: Phones) -> None:
    caller, callee, _ = phones.ring(daemon)
    url = f"http://127.0.0.1:{daemon.http_port}/RPC"
    command = [sys.executable, "-m", "dlgmgmt.cli.dlgctl", "--http", url, "--json"]
    with subprocess.Popen(
        [*command, "trace", phones.callid, "--follow"], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        seen = [json.loads(follower.stdout.readline()) for _ in range(5)]
        callee.answer()
        leg = caller.ack(caller.expect(200, "INVITE"))
        callee.expect("ACK")
        leg.bye(callee)
        seen += [json.loads(follower.stdout.readline()) for _ in range(8)]
        follower.send_signal(signal.SIGINT)
        assert follower.wait(10) == 130
    assert [what(m["direction"], m["message"]) for m in seen] == LADDER


def test_what_a_stranger_writes_does_not_steer_the_terminal(daemon: Daemon, phones: Phones) -> None:
    caller = phones.caller(daemon)
    line = f"Call-ID: {phones.callid}\r\n".encode()
    caller.send(
        b"OPTIONS sip:\x1b[2J@x SIP/2.0\r\n" + line + b"Subject: \x1b]0;pwned\x07\x9b\xe2\x80\xae\r"
        b"\r\n\r\n2026-01-01 00:00:00.000000  in   udp  a -> b\r\n"
    )

    def found(*, fifo: bool = False) -> subprocess.CompletedProcess[str]:
        return dlgctl(daemon, "trace", phones.callid, fifo=fifo)

    poll(lambda: found().returncode == 0, 10, lambda: "the message is not kept")
    for text in (found().stdout, found(fifo=True).stdout):
        assert all(row.isprintable() for row in text.split("\n"))
        assert r"\x1b]0;pwned\x07" in text
        assert all(row.startswith("    ") for row in text.split("\n")[1:6] if row)


# -- copies to a collector ----------------------------------------------------------------------


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        yield made


Start = Callable[..., Daemon]


def traced(start_daemon: Start, **trace_settings: object) -> Daemon:
    return start_daemon(sip={"t1": T1, "t4": 0.5}, tables={"trace": trace_settings})


def test_a_collector_gets_what_the_phones_saw(
    start_daemon: Start, phones: Phones, collector: Collector
) -> None:
    key = "pa ss"
    daemon = traced(
        start_daemon, enabled=True, hep=collector.url, hep_id=77, hep_password=key, ring_bytes=0
    )
    before = time.time()
    sipps = place(daemon, phones)
    packets = collector.packets(len(LADDER))
    saw_all(packets, daemon, *sipps)
    times = [p.time for p in packets]
    assert before - 0.001 < times[0]
    assert times == sorted(times)
    assert {(p.transport, p.agent, p.key, p.correlation) for p in packets} == {
        ("udp", 77, b"pa ss", phones.callid.encode())
    }
    # There is no ring here: of no call anything is known.
    assert dlgctl(daemon, "trace", phones.callid).returncode == 3


def test_it_is_switched_while_the_daemon_runs(
    start_daemon: Start, phones: Phones, collector: Collector
) -> None:
    daemon = traced(start_daemon, hep=collector.url)
    assert daemon.rpc.call("siptrace.status", "check") == "Disabled"
    place(daemon, phones, callid="off")
    assert daemon.rpc.call("siptrace.status", "on") == "Enabled"
    sipps = place(daemon, phones, callid="on")
    saw_all(collector.packets(len(LADDER)), daemon, *sipps)
    with Collector() as other:
        assert daemon.fifo.call("sip_trace", "on", other.url) == b"200 OK\non\n\n"
        sipps = place(daemon, phones, callid="elsewhere")
        saw_all(other.packets(len(LADDER)), daemon, *sipps)
        assert daemon.fifo.call("sip_trace", "off") == b"200 OK\noff\n\n"
        place(daemon, phones, callid="off-again")
        assert not other.waiting()
    assert not collector.waiting()
    counters = daemon.fifo.call("get_statistics", "trace:").decode()
    assert f"trace:hep_sent = {2 * len(LADDER)}\n" in counters
    assert "trace:hep_dropped = 0\n" in counters


def test_sighup_switches_it(start_daemon: Start, phones: Phones, collector: Collector) -> None:
    daemon = traced(start_daemon, hep=collector.url)
    config = daemon.folder / "dlgmgmt.toml"

    def reload(old: str, new: str) -> None:
        text = config.read_text()
        assert old in text
        config.write_text(text.replace(old, new))
        done = daemon.stderr().count(": reloaded, ")
        daemon.process.send_signal(signal.SIGHUP)
        poll(lambda: daemon.stderr().count(": reloaded, ") > done, 10, daemon.stderr)

    reload("[trace]\n", "[trace]\nenabled = true\n")
    assert daemon.rpc.call("siptrace.status", "check") == "Enabled"
    sipps = place(daemon, phones, callid="on")
    saw_all(collector.packets(len(LADDER)), daemon, *sipps)
    reload("enabled = true\n", "")
    place(daemon, phones, callid="off")
    assert not collector.waiting()
    # What an operator has switched stays when something else in the file changes.
    assert daemon.rpc.call("siptrace.status", "on") == "Enabled"
    reload("[sip]\n", '[sip]\nserver_header = "other"\n')
    assert daemon.rpc.call("siptrace.status", "check") == "Enabled"


@pytest.mark.skipif(not has_ipv6_loopback(), reason="no ::1 here")
def test_ipv6(start_daemon: Start, phones: Phones, collector: Collector) -> None:
    daemon = start_daemon(
        kinds=("udp6",), tables={"trace": {"enabled": True, "hep": collector.url}}
    )
    options = (
        f"OPTIONS sip:{daemon.at('udp6')} SIP/2.0\r\nVia: SIP/2.0/UDP [::1];branch=z9hG4bK1;rport"
        f"\r\nFrom: <sip:a@x>;tag=1\r\nTo: <sip:b@x>\r\nCSeq: 1 OPTIONS\r\n"
        f"i: {phones.callid}\r\nMax-Forwards: 0\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as phone:
        phone.bind(("::1", 0))
        phone.settimeout(10)
        phone.sendto(options, daemon.where("udp6"))
        answer = phone.recv(65_536)
        own = phone.getsockname()[:2]
    there, back = collector.packets(2)
    assert (there.source, there.destination, there.payload) == (own, daemon.where("udp6"), options)
    assert (back.source, back.destination, back.payload) == (daemon.where("udp6"), own, answer)
    assert [m["remote"] for m in trace(daemon, phones.callid)] == [f"[::1]:{own[1]}"] * 2


def test_over_tcp_the_packets_say_so(
    start_daemon: Start, phones: Phones, collector: Collector
) -> None:
    daemon = start_daemon(
        sip={"t1": T1, "t4": 0.5},
        kinds=("udp", "tcp"),
        tables={"trace": {"enabled": True, "hep": collector.url}},
    )
    uas = phones.sipp("uas_answer", fill=HOLD)
    uac = phones.sipp(
        "uac_call",
        remote=daemon.hostport,
        target=f"127.0.0.1:{uas.port}",
        callid=phones.callid,
        fill=HOLD,
        kind="tcp",
    )
    uac.wait()
    uas.wait()
    packets = collector.packets(len(LADDER))
    over = {name: [p.payload for p in packets if p.transport == name] for name in ("tcp", "udp")}
    assert sorted(over["tcp"]) == sorted(saw(uac, "sent") + saw(uac, "received"))
    assert sorted(over["udp"]) == sorted(saw(uas, "sent") + saw(uas, "received"))
    assert {m["transport"] for m in trace(daemon, phones.callid)} == {"tcp", "udp"}


SNGREP, TSHARK = shutil.which("sngrep"), shutil.which("tshark")


def test_sngrep_reads_the_packets(start_daemon: Start, phones: Phones, tmp_path: Path) -> None:
    if SNGREP is None or TSHARK is None:
        pytest.skip("sngrep and tshark are not installed (Debian: apt-get install sngrep tshark)")
    port, pcap = free_port(), tmp_path / "out.pcap"
    daemon = traced(start_daemon, enabled=True, hep=f"udp:127.0.0.1:{port}")
    with subprocess.Popen(
        [SNGREP, "-F", "-N", "-q", "-L", f"udp:127.0.0.1:{port}", "-O", str(pcap)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"TERM": "dumb", "PATH": "/usr/bin:/bin"},
    ) as sngrep:
        try:
            # Bound, as the kernel tells it: sngrep itself says nothing.
            bound = f":{port:04X} "
            poll(lambda: bound in Path("/proc/net/udp").read_text(), 10, lambda: "sngrep is late")
            sipps = place(daemon, phones)
            done = re.compile(rf"trace:hep_sent = {len(LADDER)}\n")
            poll(
                lambda: bool(done.search(daemon.fifo.call("get_statistics", "trace:").decode())),
                10,
                lambda: "not all has been sent",
            )
            poll(lambda: pcap.exists() and _starts(pcap) == LADDER_OF_SNGREP, 10, lambda: "")
        finally:
            sngrep.send_signal(signal.SIGINT)
            sngrep.wait(10)
    ends = {(int(source), int(destination)) for source, destination in _ports(pcap)}
    assert ends == {
        pair for phone in sipps for pair in ((phone.port, daemon.port), (daemon.port, phone.port))
    }


LADDER_OF_SNGREP = [entry.partition(" ")[2] for entry in LADDER]


def _fields(pcap: Path, *names: str) -> list[list[str]]:
    wanted = [part for name in names for part in ("-e", name)]
    done = subprocess.run(
        ["tshark", "-r", str(pcap), "-Y", "sip", "-T", "fields", *wanted],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return [line.split("\t") for line in done.stdout.splitlines()]


def _starts(pcap: Path) -> list[str]:
    return [method or code for method, code in _fields(pcap, "sip.Method", "sip.Status-Code")]


def _ports(pcap: Path) -> list[list[str]]:
    return _fields(pcap, "udp.srcport", "udp.dstport")
