"""dlgctl over HTTP, against a real server on loopback: what it prints, and its exit codes."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dlgmgmt.cli.dlgctl import main
from tests.unit.cli.conftest import RpcStub, dialog

HOSTILE = "evil\x1b[2J\u202e\u200b\n\x9b@x"


def run(capsys: pytest.CaptureFixture[str], rpc: RpcStub, *args: str) -> tuple[int, str, str]:
    code = main(["--http", rpc.url, *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_list_is_an_aligned_table(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    long = "long-call-id-" + "x" * 300
    rpc.dialogs = [
        dialog(1, "one@x"),
        dialog(22, long, state_name="early", start_ts=0, duration=0, legs=[]),
    ]
    code, out, err = run(capsys, rpc, "list")
    assert (code, err) == (0, "")
    head, first, second = out.splitlines()
    assert head.split() == ["ID", "STATE", "AGE", "DURATION", "CALL-ID", "FROM", "TO", "LEGS"]
    assert first.split()[0] == "10:1"
    assert "4m05s" in first
    assert second.split()[-1] == "0"
    assert long in second  # not on a terminal: nothing is cut
    for line in (first, second):
        assert line.index("sip:alice") == head.index("FROM")


def test_an_empty_list_has_its_headings(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, rpc, "list")[1].split()[0] == "ID"
    assert run(capsys, rpc, "list", "--json")[:2] == (0, "[]\n")


def test_json_is_exact_and_ascii(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    rpc.dialogs = [dialog(1, HOSTILE), dialog(2, "two")]
    _, out, _ = run(capsys, rpc, "list", "--json")
    assert json.loads(out) == rpc.dialogs
    assert out.isascii()
    assert len(out.splitlines()) == 2
    _, out, _ = run(capsys, rpc, "show", "two", "--json")
    assert json.loads(out) == rpc.dialogs[1]


@pytest.mark.parametrize("command", [["list"], ["show", HOSTILE], ["kill", HOSTILE, "--yes"]])
def test_hostile_text_does_not_reach_the_terminal(
    command: list[str], rpc: RpcStub, capsys: pytest.CaptureFixture[str]
) -> None:
    rpc.dialogs = [dialog(1, HOSTILE, from_uri="sip:%s%n\x07@x", **{"new\x1bfield": "\x1b"})]
    _, out, err = run(capsys, rpc, *command)
    assert all(line.isprintable() for line in (out + err).splitlines())
    assert r"evil\x1b[2J\u202e\u200b\x0a\x9b@x" in out
    if command[0] != "kill":
        assert r"sip:%s%n\x07@x" in out


def test_show_has_every_field_and_leg(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    rpc.dialogs = [dialog(1, "one@x")]
    code, out, _ = run(capsys, rpc, "show", "one@x")
    assert code == 0
    assert out.startswith("dialog 10:1\n")
    lines = [" ".join(line.split()) for line in out.splitlines()]
    for wanted in (
        "call-id one@x",
        "state_name confirmed",
        "duration 245 4m05s",
        "caller",
        "tag from1",
        "contact -",
        "legs 1 of 1",
        "acked yes",
        "history 1 of 1",
        "code 486",
        "cause rejected",
    ):
        assert wanted in lines


def test_show_of_nothing(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, rpc, "show", "none") == (3, "", "dlgctl: no dialog has the Call-ID none\n")


def test_stats(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, rpc, "stats")
    assert [line.split() for line in out.splitlines()][1] == ["connecting", "1"]
    assert json.loads(run(capsys, rpc, "stats", "--json")[1])["all"] == 3


def test_kill_ends_the_single_dialog_and_tells_the_outcome(
    rpc: RpcStub, capsys: pytest.CaptureFixture[str]
) -> None:
    rpc.dialogs = [dialog(1, "one@x"), dialog(2, "two@x")]
    code, out, _ = run(capsys, rpc, "kill", "one@x", "--yes")
    assert code == 0
    assert rpc.calls == [("end_dlg", [10, 1])]
    assert out.startswith("killed 10:1 one@x\n")
    assert [line.split() for line in out.splitlines()[2:]] == [
        ["caller", "-", "BYE", "200"],
        ["callee", "to1", "BYE", "200"],
    ]


def test_kill_does_not_wait_for_ever(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    rpc.dialogs = [dialog(1, "one@x")]
    rpc.outcomes = ["pending"]
    code, out, _ = run(capsys, rpc, "kill", "one@x", "--yes", "--wait", "0", "--json")
    assert code == 0
    assert {leg["outcome"] for leg in json.loads(out)["legs"]} == {"pending"}


def test_kill_ignores_a_dialog_that_has_ended(
    rpc: RpcStub, capsys: pytest.CaptureFixture[str]
) -> None:
    rpc.dialogs = [dialog(1, "one@x", ims_state=6), dialog(2, "one@x")]
    assert run(capsys, rpc, "kill", "one@x", "--yes")[0] == 0
    assert rpc.calls == [("end_dlg", [10, 2])]
    rpc.dialogs = rpc.dialogs[:1]
    assert run(capsys, rpc, "kill", "one@x", "--yes")[0] == 3


@pytest.mark.parametrize(("state", "cause"), [(4, 200), (2, 488)])
def test_the_reason_is_told(
    state: int, cause: int, rpc: RpcStub, capsys: pytest.CaptureFixture[str]
) -> None:
    rpc.dialogs = [dialog(1, "one@x", ims_state=state)]
    run(capsys, rpc, "kill", "one@x", "--yes", "--reason", 'say "50%s" \\')
    header = f'Reason: SIP;cause={cause};text="say \\"50%s\\" \\\\"\r\n'
    assert rpc.calls == [("end_dlg", [10, 1, header])]


def test_kill_with_tags(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    rpc.dialogs = [dialog(1, "one@x"), dialog(2, "one@x")]
    code, _, _ = run(capsys, rpc, "kill", "one@x", "from2", "to2", "--yes")
    assert code == 0
    assert rpc.calls == [("terminate_dlg", ["one@x", "from2", "to2"])]


def test_kill_with_wrong_tags(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    rpc.dialogs = [dialog(1, "one@x")]
    code, out, err = run(capsys, rpc, "kill", "one@x", "wrong", "to1", "--yes")
    assert (code, out) == (3, "")
    assert "404 Requested Dialog not found" in err


def test_kill_of_several_lists_them(rpc: RpcStub, capsys: pytest.CaptureFixture[str]) -> None:
    rpc.dialogs = [dialog(1, "one@x"), dialog(2, "one@x")]
    code, out, err = run(capsys, rpc, "kill", "one@x", "--yes")
    assert code == 4
    assert "2 dialogs have the Call-ID one@x, none was killed" in err
    assert "tags of 10:2: from2 to2" in out
    code, out, _ = run(capsys, rpc, "kill", "one@x", "--yes", "--json")
    assert (code, len(json.loads(out))) == (4, 2)
    assert rpc.calls == []


def test_kill_without_a_terminal_wants_yes(
    rpc: RpcStub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    rpc.dialogs = [dialog(1, "one@x")]
    code, _, err = run(capsys, rpc, "kill", "one@x")
    assert code == 5
    assert "--yes kills without asking" in err
    assert rpc.calls == []


@pytest.mark.parametrize(
    ("typed", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 5), ("n\n", 5), ("yep\n", 5), ("\x04", 5)]
)
def test_kill_asks_on_a_terminal(typed: str, code: int, rpc: RpcStub) -> None:
    rpc.dialogs = [dialog(1, "one@x", from_uri="sip:\x1b]0;x\x07@x")]
    master, slave = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "dlgmgmt.cli.dlgctl", "--http", rpc.url, "kill", "one@x"],
        stdin=slave,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        os.close(slave)
        os.write(master, typed.encode())
        out, err = process.communicate(timeout=30)
        os.close(master)
    assert process.returncode == code
    assert err.startswith("Kill call one@x (confirmed, from sip:\\x1b]0;x\\x07@x to sip:bob")
    assert "? [y/N] " in err
    assert bool(rpc.calls) == (code == 0)
    assert ("killed 10:1" in out) == (code == 0)


def test_a_table_fits_the_terminal(rpc: RpcStub) -> None:
    rpc.dialogs = [dialog(1, "c" * 200)]
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "dlgmgmt.cli.dlgctl", "--http", rpc.url, "list"],
        stdout=slave,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "COLUMNS": "100"},
    )
    os.close(slave)
    shown = b""
    with contextlib.suppress(OSError):  # how Linux says that the other end has closed
        while data := os.read(master, 4096):
            shown += data
    assert process.wait(30) == 0
    os.close(master)
    _, line = shown.decode().splitlines()
    assert len(line) <= 100
    assert "ccc~" in line


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"<html>", "no JSON-RPC answer (HTTP status 200)"),
        (b"[" * 100_000, "no JSON-RPC answer"),
        (b"3", "no JSON-RPC answer"),
        (b'{"jsonrpc": "2.0", "id": 1}', "no JSON-RPC answer"),
        (b'{"jsonrpc": "2.0", "id": 1, "result": 3}', "not a list of dialogs"),
        (
            b'{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "\\u001b[2J"}}',
            "the daemon answered -32601 \\x1b[2J",
        ),
    ],
)
def test_answers_that_are_none(
    answer: bytes, message: str, rpc: RpcStub, capsys: pytest.CaptureFixture[str]
) -> None:
    rpc.raw = answer
    code, out, err = run(capsys, rpc, "list")
    assert (code, out) == (1, "")
    assert message in err
    assert err.count("\n") == 1


def test_a_silent_daemon(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/RPC"
        assert main(["--http", url, "--timeout", "0.1", "list"]) == 1
    assert "no answer for 0.1 s" in capsys.readouterr().err


def test_nobody_listens(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/RPC"
    assert main(["--http", url, "list"]) == 1
    assert capsys.readouterr().err == f"dlgctl: {url}: Connection refused\n"


def test_the_environment_names_the_daemon(
    rpc: RpcStub, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DLGCTL_HTTP", rpc.url)
    rpc.dialogs = [dialog(1, "one@x")]
    assert main(["list"]) == 0
    assert "one@x" in capsys.readouterr().out


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["nonsense\x1b"],
        ["show"],
        ["kill", "a", "b", "--yes"],
        ["--http", "ftp://x", "list"],
        ["--http", "http://x:port/", "list"],
        ["--http", "http://x/", "list", "--fifo", "/f"],
        ["--timeout", "0", "list"],
        ["--timeout", "nan", "list"],
        ["kill", "a", "--yes", "--reason", "two\nlines"],
        ["kill", "a", "--yes", "--reason", ""],
    ],
)
def test_wrong_usage(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert all(line.isprintable() for line in capsys.readouterr().err.splitlines())


def test_a_reader_that_leaves(rpc: RpcStub, tmp_path: Path) -> None:
    rpc.dialogs = [dialog(number, "c" * 100) for number in range(3000)]
    command = f"'{sys.executable}' -m dlgmgmt.cli.dlgctl --http {rpc.url} list | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("\n") == 1
