"""The dlgmgmt program, as far as it goes without a running daemon."""

from __future__ import annotations

import logging
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
