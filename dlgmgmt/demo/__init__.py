"""Built-in phones for a first look: real SIP over loopback, independent of the proxy's code."""

from __future__ import annotations

from dlgmgmt.demo.demo import Demo, DemoRoute

__all__ = ["Demo", "DemoRoute"]
