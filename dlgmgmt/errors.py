"""What the parts of the daemon raise when they are put together."""

from __future__ import annotations


class StartError(Exception):
    """A part of the daemon could not start; the text says which and why."""
