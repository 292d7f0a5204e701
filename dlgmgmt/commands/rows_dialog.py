"""Rows of the commands that list, look up, count and end dialogs."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_dialog as dialog
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import ACTIVE, DIALOG, ORDERED, STATUS
from dlgmgmt.commands.params import ANY_CALLID, ANY_FROM_TAG, CALLID, FROM_TAG, HEADERS, TO_TAG
from dlgmgmt.commands.registry import Command, Example, Param

_MI, _RPC = MgmtProtocol.MI, MgmtProtocol.RPC

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

DIALOGS = (
    Command(
        ("dlg_list",),
        (),
        (ANY_CALLID, ANY_FROM_TAG),
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
        (CALLID, ANY_FROM_TAG),
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
        (CALLID, FROM_TAG, TO_TAG, HEADERS),
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
            HEADERS,
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
)
