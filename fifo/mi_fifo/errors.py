"""What can go wrong with a FIFO, on the daemon's side and on the client's."""

from __future__ import annotations


class FifoError(Exception):
    """The command FIFO or the reply directory cannot be set up. path: which one."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}: {why}")
        self.path = path
        self.why = why


class NotAFifo(FifoError):
    """Something that is not a FIFO lies where the command FIFO belongs; it is left as it is."""


class FifoInUse(FifoError):
    """Another process reads the command FIFO."""


class FifoSetupError(FifoError):
    """The system refused: a missing right, an unknown user or group, a missing directory."""


class ReplyRefused(Exception):
    """A reply FIFO that is not written. cause: the counter under which the reply is dropped."""

    def __init__(self, cause: str, why: str) -> None:
        super().__init__(why)
        self.cause = cause


class NoReader(ReplyRefused):
    """The reply FIFO is there and nobody reads it yet."""


class MiClientError(Exception):
    """A command got no answer."""


class DaemonUnavailable(MiClientError):
    """There is no command FIFO, or nobody reads it."""


class AccessDenied(MiClientError):
    """The command FIFO or the reply directory is closed to this user."""


class RequestUnsendable(MiClientError):
    """The command cannot be expressed in the framing, or is too long for one atomic write."""


class ReplyTimeout(MiClientError):
    """No answer, or no further part of it, came in time."""


class ReplyBroken(MiClientError):
    """What came is not a whole reply."""
