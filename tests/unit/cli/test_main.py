"""The dlgmgmt program, as far as it goes without a running daemon."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from dlgmgmt import __version__
from dlgmgmt.cli.main import _VisibleFormatter, main


def test_check_of_good_and_bad_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "x.toml"
    path.write_text("[ims_dialog]\nhash_size = 1000\n")
    assert main(["check", "--config", str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{path}: configuration is good\n"
    assert captured.err == (
        f"dlgmgmt: warning: {path}:2: ims_dialog.hash_size = 1000 is not a power of two, "
        "rounded down to 512\n"
    )
    path.write_text("[ims_dialog]\nhash_size = 'x'\nrr_param = 3\n")
    for command in ("check", "serve", "run"):
        assert main([command, "--config", str(path)]) == 2
        first, second = capsys.readouterr().err.splitlines()
        assert first.startswith(f"dlgmgmt: {path}:2: ims_dialog.hash_size = 'x' is refused")
        assert second.startswith(f"dlgmgmt: {path}:3: ims_dialog.rr_param = 3 is refused")


def test_check_without_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "embedded defaults: configuration is good\n"


def test_a_missing_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--config", "/no/such/file"]) == 2
    assert (
        capsys.readouterr().err == "dlgmgmt: cannot read /no/such/file: No such file or directory\n"
    )


def test_the_module_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dlgmgmt", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout == f"dlgmgmt {__version__}\n"


@pytest.mark.parametrize("taken", ["fifo", "http", "sip"])
def test_what_another_has_taken_is_told_in_one_line(tmp_path: Path, taken: str) -> None:
    config, fifo = tmp_path / "dlgmgmt.toml", tmp_path / "fifo"
    os.mkfifo(fifo)
    with (
        socket.socket() as http,
        socket.socket(type=socket.SOCK_DGRAM) as sip,
        contextlib.ExitStack() as stack,
    ):
        for sock in (http, sip):
            sock.bind(("127.0.0.1", 0))
        http.listen()
        ports = {"http": http.getsockname()[1], "sip": sip.getsockname()[1]}
        if taken == "fifo":
            stack.callback(os.close, os.open(fifo, os.O_RDWR | os.O_NONBLOCK))
        listen = {name: port if name == taken else 0 for name, port in ports.items()}
        config.write_text(
            f'[sip]\nlisten = ["udp:127.0.0.1:{listen["sip"]}"]\n'
            f'[http]\nlisten = "127.0.0.1:{listen["http"]}"\n'
            f'[mi_fifo]\nfifo_name = "{fifo}"\nreply_dir = "{tmp_path}/reply"\n'
            f'[ims_dialog]\ndb_mode = 1\ndb_url = "sqlite:///{tmp_path}/dialogs.sqlite"\n'
        )
        done = subprocess.run(
            [sys.executable, "-m", "dlgmgmt", "serve", "--config", str(config)],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={"PYTHONPATH": ":".join(sys.path)},
        )

    what = str(fifo) if taken == "fifo" else f":{ports[taken]}"
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("dlgmgmt: ")
    assert what in line


@pytest.mark.parametrize("args", [[], ["nonsense"], ["serve", "--log-level", "loud"]])
def test_wrong_usage(args: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(args)
    assert caught.value.code == 2
    assert capsys.readouterr().err.startswith("usage: dlgmgmt")


def test_the_log_stays_on_its_line() -> None:
    formatter = _VisibleFormatter("%(message)s")
    record = logging.LogRecord("x", 20, __file__, 1, "call %s", ("a\n\x1b[2J",), None)
    assert formatter.format(record) == r"call a\x0a\x1b[2J"
    try:
        int("\x1b")
    except ValueError:
        record = logging.LogRecord("x", 20, __file__, 1, "failed", (), sys.exc_info())
    lines = formatter.format(record).splitlines()
    assert lines[0] == "failed"
    assert lines[-1].startswith("ValueError: invalid literal")
    assert all(line.isprintable() for line in lines)
    error = ValueError("\x1b")
    record = logging.LogRecord("x", 20, __file__, 1, "failed", (), (ValueError, error, None))
    assert formatter.format(record) == "failed\nValueError: \\x1b"
