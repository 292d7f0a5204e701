"""Fixtures of the tests of interfaces."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.interfaces.binrpc_doors import Open, opener


@pytest.fixture
def doors(tmp_path: Path) -> Open:
    return opener(tmp_path)
