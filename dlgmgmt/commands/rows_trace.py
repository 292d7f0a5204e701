"""Rows of the commands about copies of the messages."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_trace as trace
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import TRACE as TRACE_EXAMPLE
from dlgmgmt.commands.params import CALLID
from dlgmgmt.commands.registry import Command, Example, Param

_RPC = MgmtProtocol.RPC

_STATUS_ERROR = "Bad parameter (on, off or check)"

TRACE = (
    Command(
        ("dlg_trace",),
        ("dlg.trace",),
        (
            Param("callid", "string", "Call-ID of the messages", aliases=CALLID.aliases),
            Param(
                "after",
                "integer",
                "number of the last message that is known already; 0 without it",
                required=False,
            ),
        ),
        "view",
        "The messages with a Call-ID that are still kept, oldest first, some 500 at most: those "
        "that follow are asked for with after, until the answer is empty.",
        trace.trace,
        "TraceLog",
        Example(("ab12@192.0.2.1",), TRACE_EXAMPLE),
        failures=(Failure.NO_TRACE,),
    ),
    Command(
        ("sip_trace",),
        ("siptrace.status",),
        (
            Param(
                "status",
                "string",
                "on or off: whether copies of all messages are sent to a collector (HEPv3); "
                "check, or nothing: only tell",
                required=False,
            ),
            Param(
                "collector",
                "string",
                "with on: where to, such as udp:127.0.0.1:9060; the one of before without it",
                required=False,
            ),
        ),
        "operate",
        "Switch the sending of copies of all messages on or off, until it is switched again or "
        "[trace] changes.",
        trace.status,
        "TraceStatus",
        Example(("on", "udp:127.0.0.1:9060"), "Enabled"),
        errors=MappingProxyType({(_RPC, Failure.BAD_VALUE): (500, _STATUS_ERROR)}),
        failures=(Failure.NO_COLLECTOR,),
    ),
)
