"""A phone behind a NAT."""

from __future__ import annotations

from tests.unit.sip.harness import Phone

NATTED = "203.0.113.7", 41022
"""Where the NAT sends Alice's messages from."""


class Hidden(Phone):
    """A phone that says in Via and Contact where it believes itself to be."""

    @property
    def contact(self) -> str:
        return f"sip:{self.name}@10.9.9.9:5062"

    def via(self, branch: str) -> str:
        return f"SIP/2.0/UDP 10.9.9.9:5062;branch={branch};rport"
