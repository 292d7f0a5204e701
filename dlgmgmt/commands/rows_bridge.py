"""Rows of the commands that bring two parties together."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_calls as calls
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import BRIDGE
from dlgmgmt.commands.registry import Command, Example, Param

_ERRORS = MappingProxyType(
    {
        (MgmtProtocol.RPC, failure): (500, "Invalid parameters")
        for failure in (
            Failure.TOO_FEW,
            Failure.TOO_MANY,
            Failure.UNKNOWN_PARAMETER,
            Failure.BAD_VALUE,
        )
    }
)

BRIDGES = (
    Command(
        ("dlg_bridge",),
        ("dlg.bridge_dlg",),
        (
            Param("from", "string", "SIP URI of the party that is called"),
            Param("to", "string", "SIP URI that it is referred to when it has answered"),
            Param(
                "op",
                "string",
                "SIP URI of an outbound proxy for the call, or a dot for none",
                required=False,
            ),
        ),
        "operate",
        "Call one party and connect it to another. The answer comes before the first phone rings: "
        "dlg.bridges tells what has become of it.",
        calls.bridge,
        "BridgeOrdered",
        Example(("sip:alice@example.com", "sip:bob@example.com"), {"id": 1}),
        errors=_ERRORS,
        failures=(Failure.BAD_ADDRESS, Failure.BAD_TO, Failure.NO_ROOM),
    ),
    Command(
        ("dlg_bridges",),
        ("dlg.bridges",),
        (
            Param(
                "id",
                "integer",
                "the id that dlg.bridge_dlg answered; all without it",
                required=False,
            ),
        ),
        "view",
        "What has become of bridges, oldest first; the last thousand are known.",
        calls.bridges,
        "BridgeList",
        Example((1,), [BRIDGE]),
        failures=(Failure.NO_BRIDGE, Failure.NO_ROOM),
    ),
)
