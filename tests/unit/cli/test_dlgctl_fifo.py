"""dlgctl over a real MI FIFO."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from dlgmgmt.cli import dlgctl
from dlgmgmt.cli.backend import BackendError
from dlgmgmt.cli.dlgctl import main
from dlgmgmt.cli.fifo import read_dialogs
from mi_fifo import MiNode, MiReply, parse_tree
from tests.unit.cli.conftest import FifoStub

# As ims_dialog of Kamailio 4.4.7 prints it; "_" stands for the space before an empty value.
CAPTURED = """\
dialog::  hash=3928:10426
\tstate:: 2
\tref_count:: 1
\ttimestart:: 0
\ttimeout:: 0
\tcallid:: one@x
\tfrom_uri:: sip:alice@ims.example.com
\tfrom_tag:: uac-1
\tdid::_
\tcaller_contact:: sip:alice@127.0.0.1:5192;ob
\tfirst_req_cseq:: 1
\tcaller_route_set::_
\tcaller_bind_addr:: udp:127.0.0.1:5170
dialog_out::  hash=2528:0
\tto_tag:: uas5190-1
\tdid::_
\tcallee_contact:: sip:uas@127.0.0.1:5190;transport=UDP
\tcaller_cseq:: 1
\tcallee_cseq:: 1
\tcallee_route_set::_
\tcallee_bind_addr:: udp:127.0.0.1:5170
""".replace("::_", ":: ")


def captured() -> list[MiNode]:
    return [node for node in parse_tree(CAPTURED.splitlines()) if isinstance(node, MiNode)]


def run(capsys: pytest.CaptureFixture[str], fifo: FifoStub, *args: str) -> tuple[int, str, str]:
    code = main(["--fifo", fifo.path, *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_captured_tree_becomes_the_shape_of_json_rpc() -> None:
    (dialog,) = read_dialogs(parse_tree(CAPTURED.splitlines()), now=1000)
    assert (dialog["h_entry"], dialog["h_id"]) == (3928, 10426)
    assert (dialog["state"], dialog["ims_state"]) == (2, 2)
    assert dialog["call-id"] == "one@x"
    assert dialog["caller"] == {
        "tag": "uac-1",
        "contact": "sip:alice@127.0.0.1:5192;ob",
        "cseq": "1",
        "route_set": "",
        "socket": "udp:127.0.0.1:5170",
    }
    assert [leg["to_tag"] for leg in dialog["legs"]] == ["uas5190-1"]
    assert dialog["callee"]["contact"] == "sip:uas@127.0.0.1:5190;transport=UDP"


def test_a_tree_of_something_else() -> None:
    for text in ("Up time:: 3", "plain", "dialog_out::  hash=1:0"):
        with pytest.raises(BackendError, match="dialog listing"):
            list(read_dialogs(parse_tree([text]), now=0))


def test_list_show_and_stats(fifo: FifoStub, capsys: pytest.CaptureFixture[str]) -> None:
    fifo.nodes = captured()
    code, out, _ = run(capsys, fifo, "list")
    assert code == 0
    assert "3928:10426" in out
    assert "one@x" in out
    code, out, _ = run(capsys, fifo, "show", "one@x", "--json")
    assert json.loads(out)["from_uri"] == "sip:alice@ims.example.com"
    _, out, _ = run(capsys, fifo, "stats", "--json")
    assert json.loads(out) == {
        "starting": 0,
        "connecting": 1,
        "answering": 0,
        "ongoing": 0,
        "all": 1,
    }
    assert run(capsys, fifo, "show", "none")[0] == 3


def test_kill(fifo: FifoStub, capsys: pytest.CaptureFixture[str]) -> None:
    fifo.nodes = captured()
    code, out, _ = run(capsys, fifo, "kill", "one@x", "--yes", "--reason", 'a "b"')
    assert code == 0
    assert fifo.calls == [
        ["one@x", "uac-1", "uas5190-1", 'Reason: SIP;cause=488;text="a \\"b\\""\r\n']
    ]
    assert out.startswith("killed 3928:10426 one@x\n")


def test_kill_that_the_daemon_refuses(fifo: FifoStub, capsys: pytest.CaptureFixture[str]) -> None:
    fifo.nodes = captured()
    fifo.kill_reply = MiReply(404, "Requested Dialog not found")
    code, _, err = run(capsys, fifo, "kill", "one@x", "bad", "tags", "--yes")
    assert code == 3
    assert "404 Requested Dialog not found" in err
    fifo.kill_reply = MiReply(400, "Bad parameter")
    code, _, err = run(capsys, fifo, "kill", "one@x", "bad", "tags", "--yes")
    assert (code, err) == (1, "dlgctl: the daemon answered 400 Bad parameter\n")


def test_a_call_without_a_to_tag_cannot_be_named(
    fifo: FifoStub, capsys: pytest.CaptureFixture[str]
) -> None:
    fifo.nodes = captured()[:1]
    code, _, err = run(capsys, fifo, "kill", "one@x", "--yes")
    assert code == 1
    assert "over HTTP alone" in err
    assert fifo.calls == []


def test_no_daemon(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "fifo"
    assert main(["--fifo", str(path), "list"]) == 1
    os.mkfifo(path)
    (tmp_path / "reply").mkdir()
    assert main(["--fifo", str(path), "list"]) == 1
    missing, unread = capsys.readouterr().err.splitlines()
    assert f"{path}: No such file" in missing
    assert f"{path}: nobody reads it" in unread


def test_the_fifo_is_taken_where_nobody_listens_on_http(
    fifo: FifoStub,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # Port 1 of loopback: closed on any machine, as 8080 is not on a developer's.
    monkeypatch.setattr(dlgctl, "DEFAULT_URL", "http://127.0.0.1:1/RPC")
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    (tmp_path / "dlgmgmt").mkdir()
    (tmp_path / "dlgmgmt" / "dlgmgmt_fifo").symlink_to(fifo.path)
    (tmp_path / "dlgmgmt" / "reply").symlink_to(fifo.reply_dir)
    fifo.nodes = captured()
    assert main(["list"]) == 0
    assert "one@x" in capsys.readouterr().out
    fifo_path = tmp_path / "dlgmgmt" / "dlgmgmt_fifo"
    fifo_path.unlink()
    assert main(["list"]) == 1
    err = capsys.readouterr().err
    assert err.startswith("dlgctl: no daemon was found: http://127.0.0.1:1/RPC: Connection refused")
    assert str(fifo_path) in err
