"""Parameters that several commands have."""

from __future__ import annotations

from dataclasses import replace

from dlgmgmt.commands.registry import Param

CALLID = Param("callid", "string", "Call-ID of the dialog", aliases=("call-id", "call_id"))
FROM_TAG = Param("from_tag", "string", "tag of the caller", aliases=("ftag", "fromtag"))
TO_TAG = Param("to_tag", "string", "tag of the callee", aliases=("ttag", "totag"))
HEADERS = Param(
    "headers",
    "string",
    "header lines to add to every request that this sends",
    required=False,
    aliases=("hdrs", "extra_headers"),
)
ANY_CALLID = Param(
    "callid",
    "string",
    "Call-ID of the dialogs wanted; all dialogs without it",
    required=False,
    aliases=CALLID.aliases,
)
ANY_FROM_TAG = Param(
    "from_tag",
    "string",
    "tag of the caller; any without it",
    required=False,
    aliases=FROM_TAG.aliases,
)
REASON = Param(
    "reason",
    "string",
    "why, for the Reason header of what the parties are sent; 1 to 200 printable characters",
    required=False,
    by_name=True,
)
WAIT = Param(
    "wait",
    "integer",
    "seconds to wait for what the parties answer, 32 at most; over MI nothing is waited for",
    required=False,
    by_name=True,
)
SOME_HEADERS = replace(HEADERS, by_name=True)
SOME_CALLID = replace(CALLID, required=False)
SOME_FROM_TAG = replace(FROM_TAG, required=False, by_name=True)
SOME_TO_TAG = replace(TO_TAG, required=False, by_name=True)
H_ENTRY = Param(
    "h_entry", "integer", "number of its hash entry, with h_id instead of callid", required=False
)
H_ID = Param("h_id", "integer", "number of the dialog within its hash entry", required=False)

FILTERS = tuple(
    replace(each, required=False, by_name=True)
    for each in (
        Param("callid", "string", "Call-ID", aliases=CALLID.aliases),
        Param(
            "caller",
            "string",
            "URI of the From header; * stands for any characters, ? for one; capitals do not count",
        ),
        Param("callee", "string", "URI of the To header, as caller"),
        Param(
            "state",
            "string",
            "states, with commas between them: unconfirmed, early, confirmed_na, confirmed, "
            "concurrent, deleted, or the numbers of the dialog module, 1 to 5; confirmed includes "
            "concurrent",
        ),
        Param("min_age", "integer", "seconds since the answer, or the INVITE without one: so many"),
        Param("max_age", "integer", "seconds since the answer, or the INVITE without one: no more"),
        Param("profile", "string", "a profile that it is in, as NAME or NAME=VALUE"),
        Param("variable", "string", "a variable that it has, as KEY or KEY=VALUE"),
        Param("flag", "integer", "a flag that is set, 0 to 31"),
        Param(
            "address",
            "string",
            "HOST or HOST:PORT of a party's Contact or of a socket of the daemon towards it",
        ),
    )
)
"""What dialogs are chosen by."""
