"""Fixtures of the tests of scripts."""

from __future__ import annotations

from tests.unit.routing.scripted import home

__all__ = ["home"]
