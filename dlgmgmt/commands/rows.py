"""The rows of the registry: every command that there is, once."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_core as core
from dlgmgmt.commands import handlers_dialog as dialog
from dlgmgmt.commands import handlers_trace as trace
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import ACTIVE, DIALOG, ORDERED, STATUS, TRACE
from dlgmgmt.commands.registry import Command, Example, Param, Registry

_MI, _RPC = MgmtProtocol.MI, MgmtProtocol.RPC

_CALLID = Param("callid", "string", "Call-ID of the dialog", aliases=("call-id", "call_id"))
_FROM_TAG = Param("from_tag", "string", "tag of the caller", aliases=("ftag", "fromtag"))
_TO_TAG = Param("to_tag", "string", "tag of the callee", aliases=("ttag", "totag"))
_HEADERS = Param(
    "headers",
    "string",
    "header lines to add to every request that this sends",
    required=False,
    aliases=("hdrs", "extra_headers"),
)
_ANY_CALLID = Param(
    "callid",
    "string",
    "Call-ID of the dialogs wanted; all dialogs without it",
    required=False,
    aliases=_CALLID.aliases,
)
_ANY_FROM_TAG = Param(
    "from_tag",
    "string",
    "tag of the caller; any without it",
    required=False,
    aliases=_FROM_TAG.aliases,
)

_KILL = (Failure.NO_DIALOG, Failure.BAD_HEADERS)

# Kamailio has this one answer to everything that is wrong with the parameters of dlg.end_dlg.
_END_DLG_ERRORS = MappingProxyType(
    {
        (_RPC, failure): (500, "Invalid parameters")
        for failure in (
            Failure.TOO_FEW,
            Failure.TOO_MANY,
            Failure.UNKNOWN_PARAMETER,
            Failure.BAD_VALUE,
            Failure.BAD_HEADERS,
        )
    }
)

_TERMINATE_ERRORS = MappingProxyType(
    {
        (_RPC, Failure.TOO_FEW): (400, "Need a Callid ,from tag ,to tag"),
        (_RPC, Failure.NO_CALLID): (500, "Couldnt find callid in dialog"),
        (_RPC, Failure.NO_DIALOG): (404, "Requested Dialog not found"),
    }
)

_STATUS_ERROR = "Bad parameter (on, off or check)"

COMMANDS = (
    Command(
        ("uptime",),
        ("core.uptime",),
        (),
        "view",
        "Since when the daemon runs.",
        core.uptime,
        "Uptime",
        Example(
            (),
            {
                "now": "Mon Nov 23 04:04:58 2026",
                "up_since": "Mon Nov 23 04:01:18 2026",
                "uptime": 220,
            },
        ),
    ),
    Command(
        ("version",),
        ("core.version",),
        (),
        "view",
        "Name and version of the daemon.",
        core.version,
        "Version",
        Example((), "dlgmgmt 0.1.0 (x86_64/linux)"),
    ),
    Command(
        ("which",),
        ("system.listMethods",),
        (),
        "view",
        "Names of all commands.",
        core.which,
        "CommandNames",
        Example((), ["core.uptime", "core.version"]),
    ),
    Command(
        ("get_statistics",),
        ("stats.get_statistics",),
        (
            Param(
                "name",
                "string",
                "a counter's name, for dialogs also GROUP:NAME, a group's name with a colon after "
                "it, or the word all; several",
                variadic=True,
            ),
        ),
        "view",
        "Counters of the daemon.",
        core.get_statistics,
        "Statistics",
        Example(("active_dialogs",), ["dialog:active_dialogs = 2"]),
        failures=(Failure.NO_STATISTICS,),
    ),
    Command(
        ("dlg_list",),
        (),
        (_ANY_CALLID, _ANY_FROM_TAG),
        "view",
        "Every dialog, or those with a Call-ID and perhaps a From tag.",
        dialog.list_or_find,
        "DialogList",
        Example((), []),
        errors=MappingProxyType({(_MI, Failure.NO_DIALOG): (404, "Nu such dialog")}),
        failures=(Failure.NO_DIALOG,),
    ),
    Command(
        (),
        ("dlg.list",),
        (),
        "view",
        "Every dialog.",
        dialog.list_all,
        "DialogList",
        Example((), [DIALOG]),
    ),
    Command(
        (),
        ("dlg.dlg_list",),
        (_CALLID, _ANY_FROM_TAG),
        "view",
        "The dialogs with a Call-ID and perhaps a From tag: an empty object if there is none, "
        "the dialog if there is one, an array if there are several.",
        dialog.find,
        "DialogMatches",
        Example(("ab12@192.0.2.1",), DIALOG),
    ),
    Command(
        ("dlg_terminate_dlg",),
        ("dlg.terminate_dlg",),
        (_CALLID, _FROM_TAG, _TO_TAG, _HEADERS),
        "operate",
        "End the dialog that these name; both parties are told. The answer comes before theirs: "
        "dlg.termination says what they answered.",
        dialog.terminate_by_tags,
        "TerminationOrdered",
        Example(("ab12@192.0.2.1", "a1", "b1"), ORDERED),
        errors=_TERMINATE_ERRORS,
        failures=(Failure.NO_CALLID, *_KILL),
        # The module reads four parameters and never looks at what follows.
        ignore_extra=frozenset({_MI}),
    ),
    Command(
        (),
        ("dlg.end_dlg",),
        (
            Param("h_entry", "integer", "number of the dialog's hash entry"),
            Param("h_id", "integer", "number of the dialog within its hash entry"),
            _HEADERS,
        ),
        "operate",
        "End the dialog h_entry:h_id; both parties are told. The answer comes before theirs: "
        "dlg.termination says what they answered.",
        dialog.terminate_by_id,
        "TerminationOrdered",
        Example((1681, 11750), ORDERED),
        errors=_END_DLG_ERRORS,
        failures=_KILL,
    ),
    Command(
        (),
        ("dlg.termination",),
        (Param("id", "integer", "the id that dlg.terminate_dlg or dlg.end_dlg answered"),),
        "view",
        "What has become of a termination.",
        dialog.termination,
        "TerminationStatus",
        Example((1,), STATUS),
        failures=(Failure.NO_TERMINATION,),
    ),
    Command(
        (),
        ("dlg.stats_active",),
        (),
        "view",
        "How many live dialogs are in which phase.",
        dialog.stats_active,
        "ActiveStats",
        Example((), ACTIVE),
    ),
    Command(
        ("dlg_trace",),
        ("dlg.trace",),
        (
            Param("callid", "string", "Call-ID of the messages", aliases=_CALLID.aliases),
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
        Example(("ab12@192.0.2.1",), TRACE),
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


def build_registry() -> Registry:
    """The registry of all commands."""
    return Registry(COMMANDS)
