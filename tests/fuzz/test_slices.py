"""A slice of each fuzz target: the same inputs each time, as many as fit into 20 seconds."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz import run, sequence

SECONDS = 18.0


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What strangers send is logged, and nobody reads it here."""
    log = logging.getLogger("dlgmgmt")
    old = log.level
    log.setLevel(logging.CRITICAL + 1)
    yield
    log.setLevel(old)


@pytest.mark.parametrize("name", run.TARGETS)
def test_messages_and_streams(name: str, tmp_path: Path) -> None:
    outcome = run.fuzz(name, SECONDS, 1, tmp_path, quiet=True)
    assert outcome.finding is None, outcome.trace
    assert outcome.executions > 100


def test_sequences(tmp_path: Path) -> None:
    # In small batches: the time is looked at between them.
    outcome = sequence.fuzz(SECONDS, 1, tmp_path, quiet=True, examples=10)
    assert outcome.finding is None, outcome.trace
    assert outcome.executions >= 10
