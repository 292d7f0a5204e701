"""The MI FIFO of Kamailio 4.4: framing, reply tree, server and client; and MI in datagrams.

It knows nothing of what the commands do; ``../PROTOCOL.md`` describes what is on the wire.
"""

from __future__ import annotations

from mi_fifo.client import MiAnswer, call
from mi_fifo.datagram import encode_datagram, parse_datagram, render_datagram
from mi_fifo.errors import (
    AccessDenied,
    DaemonUnavailable,
    FifoError,
    FifoInUse,
    FifoSetupError,
    MiClientError,
    NotAFifo,
    ReplyBroken,
    ReplyTimeout,
    RequestUnsendable,
)
from mi_fifo.grammar import Limits, MiBadRequest, MiRequest, RequestParser, encode_request
from mi_fifo.params import MiParam
from mi_fifo.reply import (
    MiNode,
    MiRendered,
    MiReply,
    MiTemplate,
    MiText,
    command_failed,
    command_not_available,
    escape,
    parse_error,
    parse_tree,
    prerender,
    render,
)
from mi_fifo.server import FifoCounters, FifoServer
from mi_fifo.settings import FifoSettings

__all__ = [
    "AccessDenied",
    "DaemonUnavailable",
    "FifoCounters",
    "FifoError",
    "FifoInUse",
    "FifoServer",
    "FifoSettings",
    "FifoSetupError",
    "Limits",
    "MiAnswer",
    "MiBadRequest",
    "MiClientError",
    "MiNode",
    "MiParam",
    "MiRendered",
    "MiReply",
    "MiRequest",
    "MiTemplate",
    "MiText",
    "NotAFifo",
    "ReplyBroken",
    "ReplyTimeout",
    "RequestParser",
    "RequestUnsendable",
    "call",
    "command_failed",
    "command_not_available",
    "encode_datagram",
    "encode_request",
    "escape",
    "parse_datagram",
    "parse_error",
    "parse_tree",
    "prerender",
    "render",
    "render_datagram",
]
