"""Handlers of the commands that show a call's messages, and have copies of all of them sent."""

from __future__ import annotations

from dlgmgmt.commands.binding import quoted
from dlgmgmt.commands.errors import Failure, Refused
from dlgmgmt.commands.registry import Call
from dlgmgmt.commands.results import TraceLog, TraceStatus
from dlgmgmt.sip.hep import collector_address
from dlgmgmt.sip.trace import NoCollector


def trace(call: Call) -> TraceLog:
    """The kept messages of a call; Refused(NO_TRACE) if there is not one."""
    tracing = call.context.tracing
    after = call.number("after") if "after" in call.values else 0
    found = None if tracing is None else tracing.find(call.text("callid"), after)
    if found is None:
        raise Refused(Failure.NO_TRACE)
    return TraceLog(tuple(found))


def status(call: Call) -> TraceStatus:
    """Switch the copies on or off, or tell which; Refused(NO_COLLECTOR) without an address."""
    wanted = call.text("status").lower() if "status" in call.values else "check"
    if wanted not in ("on", "off", "check"):
        raise Refused(Failure.BAD_VALUE, f"status must be on, off or check, not {quoted(wanted)}")
    text = call.optional_text("collector")
    if text is not None and wanted != "on":
        raise Refused(Failure.BAD_VALUE, "a collector goes with on alone")
    try:
        collector = None if text is None else collector_address(text)
    except ValueError:
        raise Refused(
            Failure.BAD_VALUE,
            f"collector must be like udp:127.0.0.1:9060, not {quoted(text or '')}",
        ) from None
    tracing = call.context.tracing
    if wanted == "check":
        return TraceStatus(tracing is not None and tracing.sending)
    if tracing is None:
        raise Refused(Failure.NO_COLLECTOR)
    try:
        tracing.switch(on=wanted == "on", collector=collector)
    except NoCollector:
        raise Refused(Failure.NO_COLLECTOR) from None
    return TraceStatus(wanted == "on")
