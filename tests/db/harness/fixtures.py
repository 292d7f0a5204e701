"""Fixtures of the tests that start the real daemon on a database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from .calls import Exchange
from .stage import Stage


@pytest.fixture
def start(database_url: Callable[[], str], tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Starts daemons in a mode, all of a test on one database unless they are given another."""
    stages: list[Stage] = []
    url = ""

    def start(mode: int, *, started: bool = True, **more: Any) -> Stage:
        nonlocal url
        own = more.pop("url", "")
        url = url or own or database_url()
        stage = Stage(tmp_path / f"daemon{len(stages)}", own or url, mode, **more)
        stages.append(stage)
        if started:
            stage.start()
            stage.wait_loaded()
        return stage

    yield start
    for stage in stages:
        stage.end()
    for stage in stages:
        if stage.stderr_path.exists():
            assert "Traceback" not in stage.stderr(), stage.stderr()[-4000:]


@pytest.fixture
def exchange(tmp_path: Path) -> Iterator[Callable[[Stage], Exchange]]:
    """Phones for calls through a daemon."""
    exchanges: list[Exchange] = []

    def exchange(stage: Stage) -> Exchange:
        exchanges.append(Exchange(tmp_path, stage))
        return exchanges[-1]

    yield exchange
    for each in exchanges:
        each.close()
