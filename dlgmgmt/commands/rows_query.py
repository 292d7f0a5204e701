"""Rows of the commands that choose among all dialogs, end the chosen, and change one."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_change as change
from dlgmgmt.commands import handlers_query as query
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import DIALOG, ORDERED, SWEEP, SWEEP_BEGUN
from dlgmgmt.commands.params import (
    CALLID,
    FILTERS,
    H_ENTRY,
    H_ID,
    REASON,
    SOME_CALLID,
    SOME_FROM_TAG,
    SOME_HEADERS,
    SOME_TO_TAG,
    WAIT,
)
from dlgmgmt.commands.registry import Command, Example, Param

_MI, _RPC = MgmtProtocol.MI, MgmtProtocol.RPC

# Over MI, where an error has no room for more, its text says what is wrong.
_WORDS = MappingProxyType({(_MI, Failure.BAD_VALUE): (400, "{detail}")})
_MATCH_ERRORS = MappingProxyType({**_WORDS, (_MI, Failure.TOO_FEW): (400, "{detail}")})

_SHOWN = (
    Param(
        "limit",
        "integer",
        "dialogs of the answer, 1000 at most; 100 without it",
        required=False,
        by_name=True,
    ),
)
_ONE = (Failure.NO_CALLID, Failure.NO_DIALOG, Failure.AMBIGUOUS)
_WHICH = (SOME_CALLID, SOME_FROM_TAG, SOME_TO_TAG)
_OR_NUMBERS = (H_ENTRY, H_ID)
_NAMED = (
    "The dialog is named by its Call-ID, with its tags if there are several, or by h_entry and "
    "h_id."
)
_FLAG = Param("flag", "integer", "its number, 0 to 31")
_PROFILE = Param("profile", "string", "name of a profile that is configured")
_VALUE = Param("value", "string", "its value, for a profile that has values", required=False)
_TAGS = ("ab12@192.0.2.1", "a1", "b1")

QUERY = (
    Command(
        ("dlg_query",),
        ("dlg.query",),
        (
            *FILTERS,
            Param(
                "sort",
                "string",
                "created (when the INVITE came), age (shortest first), callid; with a minus before "
                "it the other way round. The table's order without it",
                required=False,
                by_name=True,
            ),
            *_SHOWN,
            Param(
                "cursor",
                "string",
                "the one of the page before; the first page without it",
                required=False,
                by_name=True,
            ),
        ),
        "view",
        "The dialogs that fit all filters, page by page. A dialog that lives throughout is shown "
        "exactly once, whatever comes and goes between two pages; sorted by age, unless it is "
        "answered meanwhile. The total is that of the first page's time.",
        query.dialog_query,
        "QueryPage",
        Example(("ab12@192.0.2.1",), {"items": [DIALOG], "cursor": None, "total": 1}),
        errors=_WORDS,
        failures=(Failure.NO_PROFILE,),
    ),
    Command(
        ("dlg_kill",),
        ("dlg.kill",),
        (CALLID, REASON, WAIT, SOME_FROM_TAG, SOME_TO_TAG, SOME_HEADERS),
        "operate",
        "End the one dialog that has this Call-ID. If there are several, none is ended: the error "
        "409 lists them.",
        query.kill,
        "TerminationOrdered",
        Example(("ab12@192.0.2.1", "fraud"), ORDERED),
        errors=_WORDS,
        failures=(*_ONE, Failure.BAD_HEADERS),
    ),
    Command(
        ("dlg_end_match",),
        ("dlg.end_match",),
        (
            Param(
                "expect",
                "integer",
                "how many dialogs have to fit: if it is another number, none is ended. Needed "
                "unless it is a dry run",
                required=False,
                by_name=True,
            ),
            *FILTERS,
            Param(
                "dry_run",
                "boolean",
                "only show which they are",
                required=False,
                by_name=True,
            ),
            Param(
                "rate",
                "integer",
                f"dialogs a second, {query.MAX_RATE} at most; {query.DEFAULT_RATE} without it",
                required=False,
                by_name=True,
            ),
            REASON,
            SOME_HEADERS,
            *_SHOWN,
        ),
        "operate",
        "End all dialogs that fit all filters, of which there must be one. They are ended after "
        "the answer, at a steady rate, those that still fit then: dlg.match_status tells how it "
        "goes, and what each party has answered.",
        query.end_match,
        "Sweep",
        Example((1, "ab12@192.0.2.1"), SWEEP_BEGUN),
        errors=_MATCH_ERRORS,
        failures=(
            Failure.TOO_FEW,
            Failure.UNEXPECTED,
            Failure.NO_PROFILE,
            Failure.BAD_HEADERS,
            Failure.NO_ROOM,
        ),
    ),
    Command(
        ("dlg_match_status",),
        ("dlg.match_status",),
        (
            Param("id", "integer", "the id that dlg.end_match answered"),
            Param(
                "after",
                "integer",
                "how many of its dialogs are known already; 0 without it",
                required=False,
                by_name=True,
            ),
            *_SHOWN,
        ),
        "view",
        "How the ending of many dialogs goes, with a part of them; the last hundred are known, of "
        "200,000 dialogs together. While 500 that were ended wait for their parties' answers, no "
        "more are ended.",
        query.match_status,
        "Sweep",
        Example((1,), SWEEP),
        failures=(Failure.NO_SWEEP,),
    ),
)

CHANGE = (
    Command(
        (),
        ("dlg.var_set",),
        (
            *_WHICH,
            Param("key", "string", "name of the variable, up to 64 characters"),
            Param(
                "value",
                "string",
                "up to 4096 characters; without it the variable is removed",
                required=False,
            ),
            *_OR_NUMBERS,
        ),
        "operate",
        f"Set a variable of a dialog. {_NAMED}",
        change.var_set,
        "Done",
        Example((*_TAGS, "account", "4711"), "Done"),
        failures=_ONE,
    ),
    Command(
        (),
        ("dlg.var_get",),
        (
            *_WHICH,
            Param("key", "string", "name of the variable; all without it", required=False),
            *_OR_NUMBERS,
        ),
        "view",
        f"A variable of a dialog, or all. {_NAMED}",
        change.var_get,
        "Variables",
        Example((*_TAGS, "account"), {"account": "4711"}),
        failures=(*_ONE, Failure.TOO_FEW, Failure.NO_VARIABLE),
    ),
    *(
        Command(
            (),
            (f"dlg.flag_{verb}",),
            (*_WHICH, _FLAG, *_OR_NUMBERS),
            "view" if verb == "get" else "operate",
            f"{doc} {_NAMED}",
            handler,
            "Flag",
            Example((*_TAGS, 5), {"flag": 5, "set": verb != "reset"}),
            failures=_ONE,
        )
        for verb, doc, handler in (
            ("set", "Set a flag of a dialog.", change.flag_set),
            ("reset", "Clear a flag of a dialog.", change.flag_reset),
            ("get", "Whether a flag of a dialog is set.", change.flag_get),
        )
    ),
    Command(
        (),
        ("dlg.profile_set",),
        (*_WHICH, _PROFILE, _VALUE, *_OR_NUMBERS),
        "operate",
        f"Put a dialog into a profile, unless it is there. {_NAMED}",
        change.profile_set,
        "Done",
        Example((*_TAGS, "caller", "alice"), "Done"),
        failures=(*_ONE, Failure.NO_PROFILE),
    ),
    Command(
        (),
        ("dlg.profile_unset",),
        (*_WHICH, _PROFILE, _VALUE, *_OR_NUMBERS),
        "operate",
        f"Take a dialog out of a profile, however often it is in it. {_NAMED}",
        change.profile_unset,
        "Done",
        Example((*_TAGS, "caller", "alice"), "Done"),
        failures=(*_ONE, Failure.NO_PROFILE, Failure.NO_MEMBER),
    ),
    Command(
        (),
        ("dlg.timeout_set",),
        (
            *_WHICH,
            Param("seconds", "integer", "how long the dialog may last, from now on if answered"),
            *_OR_NUMBERS,
        ),
        "operate",
        f"Set the timeout of a dialog. {_NAMED}",
        change.timeout_set,
        "Done",
        Example((*_TAGS, 600), "Done"),
        failures=_ONE,
    ),
)
