"""One line per figure."""

from __future__ import annotations


class Report:
    """Prints figures as they come."""

    def note(self, name: str, text: str) -> None:
        """A figure without a target."""
        print(f"{name:<52} {text}", flush=True)

    def figure(self, name: str, value: float, unit: str, target: float) -> None:
        """A figure that should not exceed ``target``."""
        verdict = "PASS" if value <= target else "MISS"
        print(f"{name:<52} {value:9.2f} {unit:<14} target <= {target:g}  {verdict}", flush=True)
