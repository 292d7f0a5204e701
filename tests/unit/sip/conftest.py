"""Fixtures of the proxy's unit tests; each ends by letting every timer pass."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from tests.unit.sip.harness import House, World, house


class Make(Protocol):
    """Builds a house around a proxy with settings of its own; see World for them."""

    def __call__(self, **settings: Any) -> House: ...


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[World] = []

    def build(**settings: Any) -> House:
        world = World(**settings)
        made.append(world)
        return house(world)

    yield build
    for world in made:
        world.finish()


@pytest.fixture
def home(make: Make) -> House:
    return make()
