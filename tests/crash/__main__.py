"""Crashes and outages under load, many times; see --help."""

from __future__ import annotations
