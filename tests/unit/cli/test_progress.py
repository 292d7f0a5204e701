"""How far a long command has come."""

from __future__ import annotations

import io

from dlgmgmt.cli.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def count(stream: io.StringIO, items: int, seconds: float, total: int = 0) -> None:
    """``items`` that take ``seconds`` each."""
    clock = Clock()
    for _ in Progress("dialogs", total, stream=stream, clock=clock).count(range(items)):
        clock.now += seconds


def test_a_short_command_says_nothing() -> None:
    for stream in (io.StringIO(), Terminal()):
        count(stream, 10_000, 0.00009)
        assert stream.getvalue() == ""


def test_a_log_gets_a_line_every_five_seconds() -> None:
    stream = io.StringIO()
    count(stream, 64 * 20, 1 / 64, total=1280)
    assert stream.getvalue().splitlines() == [
        "dlgmgmt: 320 of 1280 dialogs",
        "dlgmgmt: 640 of 1280 dialogs",
        "dlgmgmt: 960 of 1280 dialogs",
        "dlgmgmt: 1280 of 1280 dialogs",
    ]


def test_a_terminal_has_one_line_that_is_gone_at_the_end() -> None:
    stream = Terminal()
    count(stream, 64 * 3, 1 / 64)
    text = stream.getvalue()
    assert text.startswith("\r\x1b[Kdlgmgmt: 64 dialogs\r\x1b[K")
    assert text.endswith("dlgmgmt: 192 dialogs\r\x1b[K")
    assert "\n" not in text
