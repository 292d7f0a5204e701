"""Fixtures of the tests with other people's clients: the real daemon, real calls."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sip.harness.phones import Phones
from tests.sip.harness.sipp import SIPP

_HERE = Path(__file__).parent
_numbers = itertools.count(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Without sipp this folder is skipped as one, and says so."""
    if SIPP is not None:
        return
    reason = "sipp is not installed (Debian: apt-get install sip-tester): NO SIP CALL WAS TESTED"
    for item in items:
        if item.path.is_relative_to(_HERE):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture
def callid(request: pytest.FixtureRequest) -> str:
    """A Call-ID that no other test uses and that names the test."""
    name = "".join(c if c.isalnum() or c in "-._" else "-" for c in request.node.name)
    return f"{name}-{next(_numbers)}@tests"


@pytest.fixture
def phones(tmp_path: Path, callid: str) -> Iterator[Phones]:
    phones = Phones(tmp_path, callid)
    yield phones
    phones.hang_up()
