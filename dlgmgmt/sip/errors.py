"""What the SIP engine refuses, as types."""

from __future__ import annotations


class SipError(Exception):
    """Base of the engine's errors."""


class NotSip(SipError):
    """A datagram that is no SIP message; it gets no answer."""


class BadMessage(SipError):
    """A SIP message that cannot be processed.

    status, reason: the reply that it deserves, if it is a request that can be answered.
    """

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(f"{status} {reason}")
        self.status = status
        self.reason = reason


class BadUri(BadMessage):
    """A URI that cannot be read (400), or whose scheme is not ours (416)."""


class Unreachable(SipError):
    """No address, or no socket of the right family, for the next hop."""


class ListenError(SipError):
    """A listener could not be bound; the text names it."""
