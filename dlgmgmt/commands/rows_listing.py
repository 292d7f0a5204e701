"""Rows of the commands that list and look up dialogs."""

from __future__ import annotations

from types import MappingProxyType

from dlgmgmt.commands import handlers_listing as listing
from dlgmgmt.commands import handlers_match as match
from dlgmgmt.commands.errors import Failure, MgmtProtocol
from dlgmgmt.commands.examples import BRIEF, CONTEXT, DIALOG, IMS
from dlgmgmt.commands.params import ANY_CALLID, ANY_FROM_TAG, CALLID
from dlgmgmt.commands.registry import Command, Example, Param

_MI, _RPC = MgmtProtocol.MI, MgmtProtocol.RPC

_LIST_ERRORS = MappingProxyType({(_MI, Failure.NO_DIALOG): (404, "Nu such dialog")})

_CALLBACKS = "what the callbacks of type DLGCB_MI_CONTEXT write about it"

_MATCH = (
    Param("mkey", "string", "what is compared: callid, furi, turi, ruri or start_ts"),
    Param(
        "mop",
        "string",
        "eq (the same), sw (begins so) or re (a POSIX extended regular expression, whatever the "
        "case); of start_ts lt (before) or gt (after)",
    ),
    Param("mval", "string", "what it is compared with; of start_ts, Unix seconds"),
    Param("limit", "integer", "at most so many dialogs; 0: all", required=False),
)

# Kamailio has this one answer to whatever else is wrong with the parameters.
_MATCH_ERRORS = MappingProxyType(
    {
        (_RPC, failure): (500, "Invalid parameters")
        for failure in (
            Failure.TOO_FEW,
            Failure.TOO_MANY,
            Failure.UNKNOWN_PARAMETER,
            Failure.BAD_VALUE,
        )
    }
)
_MATCH_FAILURES = (Failure.NO_MATCH, Failure.BAD_MATCH)

_PROFILE = Param("profile", "string", "name of a profile that is configured")
_VALUE = Param(
    "value",
    "string",
    "one value of a profile that has values; any without it",
    required=False,
)

LISTING = (
    Command(
        ("dlg_list",),
        (),
        (ANY_CALLID, ANY_FROM_TAG),
        "view",
        "Every dialog, or those with a Call-ID and perhaps a From tag.",
        listing.list_or_find,
        "DialogList",
        Example((), []),
        errors=_LIST_ERRORS,
        failures=(Failure.NO_DIALOG,),
    ),
    Command(
        ("dlg_list_ctx",),
        (),
        (ANY_CALLID, ANY_FROM_TAG),
        "view",
        f"Every dialog, or those with a Call-ID and perhaps a From tag, each with {_CALLBACKS}.",
        listing.list_or_find_ctx,
        "ContextList",
        Example((), []),
        errors=_LIST_ERRORS,
        failures=(Failure.NO_DIALOG,),
    ),
    Command(
        (),
        ("dlg.list",),
        (),
        "view",
        "Every dialog.",
        listing.list_all,
        "DialogList",
        Example((), [DIALOG]),
    ),
    Command(
        (),
        ("dlg.list_ctx",),
        (),
        "view",
        f"Every dialog, each with {_CALLBACKS}.",
        listing.list_all_ctx,
        "ContextList",
        Example((), [CONTEXT]),
    ),
    Command(
        (),
        ("dlg.dlg_list",),
        (CALLID, ANY_FROM_TAG),
        "view",
        "The dialogs with a Call-ID and perhaps a From tag: an empty object if there is none, "
        "the dialog if there is one, an array if there are several.",
        listing.find,
        "DialogMatches",
        Example(("ab12@192.0.2.1",), DIALOG),
    ),
    Command(
        (),
        ("dlg.dlg_list_ctx",),
        (CALLID, ANY_FROM_TAG),
        "view",
        f"As dlg.dlg_list, each dialog with {_CALLBACKS}.",
        listing.find_ctx,
        "ContextMatches",
        Example(("ab12@192.0.2.1",), CONTEXT),
    ),
    Command(
        (),
        ("dlg.list_match",),
        _MATCH,
        "view",
        "The dialogs of which one field fits. None is the error 404.",
        match.list_match,
        "DialogList",
        Example(("furi", "sw", "sip:alice@"), [DIALOG]),
        errors=_MATCH_ERRORS,
        failures=_MATCH_FAILURES,
    ),
    Command(
        (),
        ("dlg.list_match_ctx",),
        _MATCH,
        "view",
        f"As dlg.list_match, each dialog with {_CALLBACKS}.",
        match.list_match_ctx,
        "ContextList",
        Example(("furi", "sw", "sip:alice@"), [CONTEXT]),
        errors=_MATCH_ERRORS,
        failures=_MATCH_FAILURES,
    ),
    Command(
        (),
        ("dlg.briefing",),
        (
            Param(
                "fields",
                "string",
                "letters of the fields besides h_entry and h_id: f from_uri, t to_uri, c call-id, "
                "F from_tag, T to_tag, I init_ts, S start_ts, E end_ts, s state; "
                f"{listing.BRIEF_DEFAULT} without it",
                required=False,
            ),
        ),
        "view",
        "Every dialog, with a few of its fields.",
        listing.briefing,
        "BriefList",
        Example(("cs",), BRIEF),
    ),
    Command(
        (),
        ("dlg2.list",),
        (),
        "view",
        "Every dialog as the ims_dialog module lists it.",
        listing.list_ims,
        "ImsList",
        Example((), IMS),
    ),
    Command(
        ("profile_get_size",),
        ("dlg.profile_get_size",),
        (_PROFILE, _VALUE),
        "view",
        "How often dialogs are in a profile.",
        listing.profile_size,
        "ProfileSize",
        Example(("caller", "alice"), 2),
        failures=(Failure.NO_PROFILE,),
    ),
    Command(
        ("profile_list_dlgs",),
        ("dlg.profile_list",),
        (_PROFILE, _VALUE),
        "view",
        "The dialogs of a profile.",
        listing.profile_list,
        "DialogList",
        Example(("inbound",), [DIALOG]),
        failures=(Failure.NO_PROFILE,),
    ),
)
