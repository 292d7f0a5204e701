"""dlgctl trace over HTTP and over the FIFO: what it prints, and when it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dlgmgmt.cli.dlgctl import main
from mi_fifo import MiNode, MiReply, MiRequest
from tests.unit.cli.conftest import FifoStub, RpcStub

INVITE = "INVITE sip:bob@x SIP/2.0\r\nCall-ID: one@x\r\n\r\nv=0\r\n"
HOSTILE = (
    "INFO sip:bob@x SIP/2.0\r\nX: \x1b[2J\x9b\u202e\x00\u2028\r\r\n"
    "2026-01-01 00:00:00.000000  in   udp  a -> b\r\n\r\n\nlast\x0c"
)


def message(number: int, text: str = INVITE, **changes: object) -> dict[str, Any]:
    """A message as dlg.trace shows it."""
    return {
        "number": number,
        "time": 1_700_000_000.25 + number,
        "direction": "in",
        "transport": "udp",
        "local": "127.0.0.1:5060",
        "remote": "192.0.2.1:5062",
        "size": len(text.encode()),
        "message": text,
        **changes,
    }


class TraceStub(RpcStub):
    """Gives two messages at a time; ``calls`` are all questions for some."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[dict[str, Any]] = []
        self.coming: list[dict[str, Any]] = []

    def rpc_trace(self, callid: str, after: int) -> object:
        self.calls.append(("trace", [callid, after]))
        if callid != "one@x" or not self.messages:
            raise LookupError(404, "Trace not found")
        found = [one for one in self.messages if one["number"] > after][:2]
        if not found and self.coming:
            self.messages.append(self.coming.pop(0))
        return found


@pytest.fixture
def daemon() -> Iterator[TraceStub]:
    stub = TraceStub()
    try:
        yield stub
    finally:
        stub.close()


def run(capsys: pytest.CaptureFixture[str], daemon: RpcStub, *args: str) -> tuple[int, str, str]:
    code = main(["--http", daemon.url, "trace", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def moment(value: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(value)) + ".250000"


def test_every_message_is_printed_with_its_way(
    daemon: TraceStub, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.messages = [
        message(1),
        message(3, "SIP/2.0 200 OK\r\n\r\n", direction="out", transport="tls"),
        message(4, "", local="[::1]:5060", remote="[::2]:5060"),
    ]
    code, out, err = run(capsys, daemon, "one@x")
    assert (code, err) == (0, "")
    assert out == (
        f"{moment(1_700_000_001)}  in   udp  192.0.2.1:5062 -> 127.0.0.1:5060  49 bytes\n"
        "    INVITE sip:bob@x SIP/2.0\n"
        "    Call-ID: one@x\n"
        "\n"
        "    v=0\n"
        "\n"
        f"{moment(1_700_000_003)}  out  tls  127.0.0.1:5060 -> 192.0.2.1:5062  18 bytes\n"
        "    SIP/2.0 200 OK\n"
        "\n"
        "\n"
        f"{moment(1_700_000_004)}  in   udp  [::2]:5060 -> [::1]:5060  0 bytes\n"
        "\n"
    )
    assert daemon.calls == [("trace", ["one@x", after]) for after in (0, 3, 4)]


def test_nothing_in_a_message_steers_the_terminal_or_passes_for_another(
    daemon: TraceStub, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.messages = [message(1, HOSTILE, transport="\x1b]0;t\x07", local="a\nb")]
    _, out, _ = run(capsys, daemon, "one@x")
    lines = out.split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line for line in lines if line and not line.startswith("    ")] == lines[:1]
    assert r"    X: \x1b[2J\x9b\u202e\x00\u2028\x0d" in lines
    assert r"    last\x0c" in lines
    _, out, err = run(capsys, daemon, "\x1b[2J")
    assert (out, err) == ("", "dlgctl: no message with the Call-ID \\x1b[2J is kept\n")


def test_json_has_one_object_a_line(daemon: TraceStub, capsys: pytest.CaptureFixture[str]) -> None:
    daemon.messages = [message(1, HOSTILE), message(2), message(3)]
    code, out, _ = run(capsys, daemon, "one@x", "--json")
    assert code == 0
    assert out.isascii()
    assert [json.loads(line) for line in out.splitlines()] == daemon.messages


def test_an_unknown_call_is_exit_code_3(
    daemon: TraceStub, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in ([], ["--follow"], ["--json"]):
        code, out, err = run(capsys, daemon, "two@x", *options)
        assert (code, out) == (3, "")
        assert err == "dlgctl: no message with the Call-ID two@x is kept\n"


@pytest.mark.parametrize("answer", [b"{}", b'{"result": {}}', b'{"result": [1]}', b"x"])
def test_an_answer_that_is_no_trace(
    answer: bytes, daemon: TraceStub, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.raw = answer
    assert run(capsys, daemon, "one@x")[0] == 1


def test_messages_without_numbers_do_not_make_it_go_round_for_ever(
    daemon: TraceStub, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon.raw = b'{"result": [{"message": null, "time": 1e300, "size": "x"}]}'
    code, out, _ = run(capsys, daemon, "one@x")
    assert code == 1
    assert out.startswith("(no date)")


def test_follow_goes_on_with_what_comes_until_the_daemon_goes(daemon: TraceStub) -> None:
    daemon.messages = [message(1)]
    daemon.coming = [message(2, "second"), message(3, "third")]
    command = [sys.executable, "-m", "dlgmgmt.cli.dlgctl", "--http", daemon.url]
    with subprocess.Popen(
        [*command, "trace", "one@x", "--follow", "--json"], stdout=subprocess.PIPE, text=True
    ) as follower:
        assert follower.stdout is not None
        for expected in (message(1), message(2, "second"), message(3, "third")):
            assert json.loads(follower.stdout.readline()) == expected
        # All messages of the call have made room for others, and then there is one again.
        daemon.messages = []
        end = len(daemon.calls) + 2
        while len(daemon.calls) < end:
            time.sleep(0.02)
        daemon.messages = [message(9, "late")]
        assert json.loads(follower.stdout.readline()) == message(9, "late")
        daemon.raw = b"gone"
        assert follower.wait(10) == 1


class FifoTraceStub(FifoStub):
    """An MI FIFO whose dlg_trace answers ``nodes``, once each."""

    def _handle(self, request: MiRequest) -> MiReply:
        callid, after = (param.value for param in request.params)
        if request.command != "dlg_trace" or callid != "one@x":
            return MiReply(404, "Trace not found")
        return MiReply(200, "OK", [n for n in self.nodes if int(n.value or 0) > int(after)])


def test_over_the_fifo_it_is_the_same_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stub = FifoTraceStub(tmp_path)
    fields = {
        "time": "1700000001.250000",
        "direction": "out",
        "transport": "tcp",
        "local": "127.0.0.1:5060",
        "remote": "192.0.2.1:5062",
        "size": 49,
    }
    lines = ["INVITE sip:bob@x SIP/2.0", " a=b :: c", "\tx", "", "v=0", ""]
    children = [MiNode(name, value) for name, value in fields.items()]  # type: ignore[arg-type]
    stub.nodes = [MiNode("message", 1, (), [*children, *(MiNode("line", f'"{t}"') for t in lines)])]
    try:
        assert main(["--fifo", stub.path, "trace", "one@x"]) == 0
        assert capsys.readouterr().out == (
            f"{moment(1_700_000_001)}  out  tcp  127.0.0.1:5060 -> 192.0.2.1:5062  49 bytes\n"
            "    INVITE sip:bob@x SIP/2.0\n"
            "     a=b :: c\n"
            "    \\x09x\n"
            "\n"
            "    v=0\n"
        )
        assert main(["--fifo", stub.path, "trace", "two@x"]) == 3
        stub.nodes = [MiNode("dialog", 1)]
        assert main(["--fifo", stub.path, "trace", "one@x"]) == 1
    finally:
        stub.close()
