"""What every test may rely on, and a summary that does not hide what was left out."""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from dlgmgmt.sip import quiet

_ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """A shell that starts a job in the background has it ignore SIGINT, and all that it starts."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly that, and why, there were no real SIP calls."""
    if shutil.which("sipp") is None:
        note = _ROOT / os.environ.get("VENV", ".venv") / ".sipp-missing"
        why = note.read_text().strip() if note.is_file() else "it is not on the PATH"
        terminalreporter.section("NO REAL SIP CALLS: sipp is missing", "!", red=True, bold=True)
        terminalreporter.line(f"The tests that need sipp were skipped ({why}).")
        terminalreporter.line("Install the Debian package sip-tester, then run make test again.")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test depends on what the developer's shell has set for dlgctl."""
    for name in ("DLGCTL_HTTP", "DLGCTL_FIFO", "DLGCTL_TOKEN", "DLGMGMT_TOKENS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _nothing_was_logged_yet() -> None:
    """What another test has logged a moment ago does not silence this one's lines."""
    quiet.forget()
