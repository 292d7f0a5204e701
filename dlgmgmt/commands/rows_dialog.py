"""Rows of the commands that end dialogs, say how many there are, and set their state."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_calls as calls
from dlgmgmt.commands import handlers_dialog as dialog
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import ACTIVE, ORDERED, STATUS
from dlgmgmt.commands.params import CALLID, FROM_TAG, HEADERS, REASON, TO_TAG, WAIT
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

_SET_STATE_ERRORS = MappingProxyType(
    {
        (_RPC, Failure.TOO_FEW): (400, "Need the callid, from tag,to tag and state"),
        (_RPC, Failure.BAD_VALUE): (500, "Invalid state value"),
        (_RPC, Failure.NO_DIALOG): (500, "Dialog not found"),
    }
)

_ALIVE_ERRORS = MappingProxyType(
    {
        (_RPC, Failure.TOO_FEW): (
            400,
            "Too few parameters (required callid, from-tag, to-tag)",
        ),
    }
)


DIALOGS = (
    Command(
        ("dlg_terminate_dlg",),
        ("dlg.terminate_dlg",),
        (CALLID, FROM_TAG, TO_TAG, HEADERS, REASON, WAIT),
        "operate",
        "End the dialog that these name; both parties are told. The answer comes before theirs, "
        "unless it is told to wait: dlg.termination says what they answered.",
        dialog.terminate_by_tags,
        "TerminationOrdered",
        Example(("ab12@192.0.2.1", "a1", "b1"), ORDERED),
        errors=_TERMINATE_ERRORS,
        failures=(Failure.NO_CALLID, *_KILL),
        # The module reads four parameters and never looks at what follows.
        ignore_extra=frozenset({_MI}),
    ),
    Command(
        ("dlg_end_dlg",),
        ("dlg.end_dlg", "dlg2.end_dlg"),
        (
            Param("h_entry", "integer", "number of the dialog's hash entry"),
            Param("h_id", "integer", "number of the dialog within its hash entry"),
            HEADERS,
            REASON,
            WAIT,
        ),
        "operate",
        "End the dialog h_entry:h_id; both parties are told. The answer comes before theirs, "
        "unless it is told to wait: dlg.termination says what they answered.",
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
        # The real server takes a number here, and counts the same with it.
        ignore_extra=frozenset({_RPC}),
    ),
    Command(
        (),
        ("dlg2.end_all_active_dlg",),
        (),
        "operate",
        "End every answered dialog; the parties are told. Of very many, 500 a second are ended "
        "after the answer.",
        calls.end_all,
        "AllOrdered",
        Example((), {"ordered": 3}),
    ),
    Command(
        (),
        ("dlg.is_alive",),
        (CALLID, FROM_TAG, TO_TAG),
        "view",
        "Whether the dialog that these name is answered and has not ended: the word Alive, or "
        "the error 404.",
        calls.is_alive,
        "Alive",
        Example(("ab12@192.0.2.1", "a1", "b1"), "Alive"),
        errors=_ALIVE_ERRORS,
        failures=(Failure.NO_DIALOG,),
    ),
    Command(
        (),
        ("dlg.set_state",),
        (
            CALLID,
            FROM_TAG,
            TO_TAG,
            Param(
                "state",
                "integer",
                "number of the dialog module: 4 (confirmed) for one whose ACK went another way, "
                "5 (deleted) to forget an answered one",
            ),
        ),
        "operate",
        "Say which state a dialog is in, where its messages have gone another way. Nothing is "
        "sent: a forgotten call goes on without the daemon. The state that it has is accepted "
        "too, any other one is an error.",
        calls.set_state,
        "StateSet",
        Example(("ab12@192.0.2.1", "a1", "b1", 5), "Done"),
        errors=_SET_STATE_ERRORS,
        failures=(Failure.NO_DIALOG, Failure.BAD_STATE),
    ),
)
